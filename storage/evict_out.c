/* The way out, for room and by order:
 *
 *	spool/ fsynced -> rows out, tombstones in (one commit) -> journal/ops -> announced
 *	-> folders renamed to trash/, all folders fsynced -> tombstones out (one commit)
 *
 * Several studies go together: what is waited for (two commits, the journal, spool/, trash/) is waited
 * for once. The journal's line comes behind the commit, so that the index never misses what it says;
 * without it a study whose rows are out would be back if the index were lost before its files left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/evict_priv.h"

#include "storage/ingest.h"
#include "storage/latch.h"

enum sl_errand sl_evict_fail(struct sl_evict *ev, const struct sl_diag *d)
{
	sl_latch_fail(ev->deps.latch, d);
	sl_pending_open_studies(ev->deps.pending);
	if (ev->batch.order != NULL)
		sl_evict_tell(ev, ev->batch.order, SL_E_IO);
	return SL_ERRAND_FAILED;
}

void sl_evict_begin(struct sl_evict *ev)
{
	struct sl_evict_batch *b = &ev->batch;
	sl_assert(!b->stands);
	sl_pending_open_studies(ev->deps.pending);
	b->n = 0;
	b->order = NULL;
}

bool sl_evict_add(struct sl_evict *ev, const struct sl_uid *study_instance_uid, uint64_t age_ms)
{
	struct sl_evict_batch *b = &ev->batch;
	sl_assert(b->n < SL_EVICT_BATCH);
	if (!sl_pending_close_study(ev->deps.pending, study_instance_uid))
		return false;
	b->report[b->n] = (struct sl_evict_report){
		.study_instance_uid = *study_instance_uid, .age_ms = age_ms};
	b->tomb[b->n] = (struct sl_index_tombstone){
		.kind = SL_INDEX_TOMB_STUDY, .study_instance_uid = *study_instance_uid};
	b->n++;
	return true;
}

/* ---- rows out ----------------------------------------------------------------------------------- */

static enum sl_status remove_instance(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_evict_batch *b = &ev->batch;
	b->tomb[0].seq = sl_ingest_next_seq(ev->deps.ingest);
	return sl_index_remove_instance(ev->deps.index, &b->report[0].sop_instance_uid,
		b->tomb[0].seq, &b->report[0].removed, d);
}

/* Those that are not there drop out of the batch. SL_E_NOTFOUND: none is. */
static enum sl_status remove_studies(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_evict_batch *b = &ev->batch;
	struct sl_index_removal removals[SL_EVICT_BATCH];
	size_t n = 0;
	for (size_t i = 0; i < b->n; i++)
		removals[i] = (struct sl_index_removal){
			.study_instance_uid = b->report[i].study_instance_uid,
			.tombstone_seq = sl_ingest_next_seq(ev->deps.ingest),
		};
	enum sl_status st = sl_index_remove_studies(ev->deps.index, removals, b->n, d);
	if (st != SL_OK)
		return st;
	for (size_t i = 0; i < b->n; i++) {
		if (removals[i].status != SL_OK)
			continue;
		b->report[n] = b->report[i];
		b->report[n].removed = removals[i].removed;
		b->tomb[n] = b->tomb[i];
		b->tomb[n].seq = removals[i].tombstone_seq;
		n++;
	}
	b->n = n;
	return n > 0 ? SL_OK : SL_E_NOTFOUND;
}

/* SL_OK: the tombstones stand. */
static enum sl_status condemn(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_evict_batch *b = &ev->batch;
	bool is_instance = b->report[0].sop_instance_uid.len > 0;
	enum sl_status st = sl_trash_sync_spool(ev->deps.trash, d);
	if (st == SL_OK)
		st = is_instance ? remove_instance(ev, d) : remove_studies(ev, d);
	b->stands = st == SL_OK;
	b->bytes = b->files = 0;
	for (size_t i = 0; i < b->n && b->stands; i++) {
		b->bytes += b->report[i].removed.bytes;
		b->files += b->report[i].removed.versions;
	}
	return st;
}

/* ---- told --------------------------------------------------------------------------------------- */

static void count(struct sl_evict *ev, const struct sl_evict_report *r)
{
	pthread_mutex_lock(&ev->lock);
	if (r->is_order) {
		ev->stats.deleted += r->removed.instances;
	} else {
		ev->stats.studies++;
		ev->stats.instances += r->removed.instances;
		ev->stats.bytes += r->removed.bytes;
	}
	pthread_mutex_unlock(&ev->lock);
}

/* Before its files are moved: a removal that is committed will happen. */
static void announce(struct sl_evict *ev)
{
	for (size_t i = 0; i < ev->batch.n; i++) {
		count(ev, &ev->batch.report[i]);
		if (ev->deps.on_evicted != NULL)
			ev->deps.on_evicted(ev->deps.arg, &ev->batch.report[i]);
	}
}

/* Where the disk has no room even for that line, making room comes first: the tombstones say the same as
 * long as the index is not lost too. */
static enum sl_status note_in_journal(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_diag why = {0};
	enum sl_status st = sl_ops_gone(ev->deps.ops, ev->batch.tomb, ev->batch.n, &why);
	if (st == SL_OK || st == SL_E_FULL)
		return SL_OK;
	return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

/* ---- out ---------------------------------------------------------------------------------------- */

static enum sl_status move(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_evict_batch *b = &ev->batch;
	uint64_t seqs[SL_EVICT_BATCH];
	for (size_t i = 0; i < b->n; i++)
		seqs[i] = b->tomb[i].seq;
	enum sl_status st = sl_trash_move(ev->deps.root, b->tomb, b->n, d);
	if (st == SL_OK)
		st = sl_index_drop_tombstones(ev->deps.index, seqs, b->n, d);
	return st;
}

enum sl_errand sl_evict_finish(struct sl_evict *ev)
{
	struct sl_evict_batch *b = &ev->batch;
	struct sl_diag d = {0};
	enum sl_status st = move(ev, &d);
	/* Also where it is tried again: what is in the trash makes the room that is missing. */
	sl_trash_add(ev->deps.trash, b->bytes, b->files);
	b->bytes = b->files = 0;
	if (st == SL_E_FULL)
		return SL_ERRAND_RETRY;
	if (st == SL_OK)
		st = sl_ops_tidy(ev->deps.ops, false, &d);
	if (st != SL_OK)
		return sl_evict_fail(ev, &d);
	b->stands = false;
	sl_pending_open_studies(ev->deps.pending);
	return SL_ERRAND_MORE;
}

enum sl_status sl_evict_take_out(struct sl_evict *ev, enum sl_errand *next)
{
	struct sl_diag d = {0};
	*next = SL_ERRAND_MORE;
	enum sl_status st = condemn(ev, &d);
	if (st == SL_E_NOTFOUND || st == SL_E_FULL) {
		sl_evict_begin(ev);
		return st;
	}
	if (st == SL_OK)
		st = note_in_journal(ev, &d);
	if (st != SL_OK) {
		*next = sl_evict_fail(ev, &d);
		return st;
	}
	announce(ev);
	*next = sl_evict_finish(ev);
	return SL_OK;
}
