/* The acknowledgement gate: the only place that decides that a success may be told (DESIGN 2).
 *
 * What a success promises, and which call earned it:
 *   - the bytes: fdatasync of this object's file returned 0 after its last byte was written;
 *   - the name: an fsync of spool/ that began after the file had its name there has returned 0 (dirsync
 *     counts them: covered_by > named_after); of a name made ahead, before the object came;
 *   - or, for a re-send of identical bytes: an object that has both already;
 *   - and the store has not failed since.
 * With storage.durability = "none" the operator has given up the first two; the start line says so.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ingest_int.h"

bool sl_ack_gate(const struct sl_object *o)
{
	const struct sl_store_file *f = &o->file;
	if (sl_latch_is_failed(o->ingest->deps.latch))
		return false;
	if (o->result.dup == SL_DUP_IDENTICAL)
		return o->is_rival_durable;
	if (!o->conf.is_durable)
		return f->is_named;
	return f->is_data_synced && f->is_named && f->sync.covered_by > f->sync.named_after;
}

bool sl_ack_answer(struct sl_object *o, enum sl_verdict v)
{
	if (!sl_ingest_is_failed(o) && !sl_ack_gate(o))
		sl_ingest_fail(o, SL_VERDICT_SYNC_FAILED);
	if (sl_ingest_is_failed(o))
		return false;
	o->result.verdict = v;
	return true;
}
