/* A part's way into the file: limits, element walk, digest, space, write.
 *
 * The walk and the digest run over the bytes where they lie, in the fragments of the part; the file
 * is begun when the first part is written, so an object that fits one part costs one write. Deflated
 * data sets are written as they came and looked into at the end, by this thread's inflater, just far
 * enough to index them.
 *
 * Disk threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ingest_int.h"

#include "storage/rewalk.h"

/* Space for a file is counted in blocks, and its folders need some. */
#define BLOCK 4096u

static uint64_t in_blocks(uint64_t bytes)
{
	return (bytes + 2 * BLOCK - 1) / BLOCK * BLOCK;
}

struct sl_p10 sl_ingest_header(const struct sl_object *o)
{
	return (struct sl_p10){
		.sop_class_uid = o->params.sop_class_uid,
		.sop_instance_uid = o->params.sop_instance_uid,
		.transfer_syntax_uid = o->params.transfer_syntax_uid,
		.source = o->params.calling,
		.sending = o->params.calling,
		.receiving = o->params.called,
	};
}

void sl_ingest_prepare(struct sl_object *o)
{
	sl_record_init(&o->record);
	o->record.sop_class_uid = o->params.sop_class_uid;
	o->record.sop_instance_uid = o->params.sop_instance_uid;
	o->record.transfer_syntax_uid = o->params.transfer_syntax_uid;
	sl_elem_init(&o->elem, &o->conf.elem,
		sl_rewalk_encoding(&o->params.transfer_syntax_uid, &o->is_deflated), &o->record);
	const struct sl_p10 p10 = sl_ingest_header(o);
	o->header_len = sl_p10_header_len(&p10);
}

enum sl_status sl_ingest_room(struct sl_object *o, uint64_t bytes, bool is_last)
{
	struct sl_water *water = o->ingest->deps.water;
	uint64_t need = in_blocks(o->header_len + o->file.written + bytes);
	if (need <= o->reserved)
		return SL_OK;
	uint64_t more = need - o->reserved;
	/* A streamed object states no size: it takes a step at a time, the last part what it needs. */
	if (!is_last)
		more = sl_max64(more, sl_water_step(water));
	enum sl_status st = o->reserved > 0 ? sl_water_reserve(water, more, &o->result.diag)
					    : sl_water_reserve_first(water, more, &o->result.diag);
	if (st == SL_OK)
		o->reserved += more;
	return st;
}

enum sl_status sl_ingest_open_file(struct sl_object *o, bool is_whole)
{
	struct sl_store *store = o->ingest->deps.store;
	if (o->is_file_open)
		return SL_OK;
	enum sl_status st =
		store->ops->begin(store, &o->file, o->header_len, is_whole, &o->result.diag);
	o->is_file_open = st == SL_OK;
	return st;
}

/* Walks and hashes the fragments. SL_E_LIMIT: the walker met a cap. */
static enum sl_status look_at(struct sl_object *o, const struct sl_part *p)
{
	enum sl_status st = SL_OK;
	bool walks = !o->is_deflated && !o->is_condemned;
	for (uint16_t i = 0; i < p->iov_n; i++) {
		sl_digest_feed(&o->digest, p->iov[i].iov_base, p->iov[i].iov_len);
		if (walks && st == SL_OK)
			st = sl_elem_feed(&o->elem, p->iov[i].iov_base, p->iov[i].iov_len);
	}
	return st;
}

static enum sl_verdict verdict_of_limit(const struct sl_object *o)
{
	return o->elem.flaw == SL_ELEM_FLAW_TOO_DEEP ? SL_VERDICT_TOO_DEEP : SL_VERDICT_TOO_MANY;
}

void sl_ingest_write(struct sl_object *o, const struct sl_part *p)
{
	enum sl_status st = sl_ingest_open_file(o, false);
	if (st == SL_OK)
		st = o->ingest->deps.store->ops->append(
			&o->file, p->iov, p->iov_n, &o->result.diag);
	if (st != SL_OK)
		sl_ingest_fail_io(o, st);
}

/* As soon as it is known which study the object is of, that study is not evicted; closed just now, the
 * object asks again with its next part, at the latest when it decides. */
static void enter_study(struct sl_object *o)
{
	const struct sl_uid *study = &o->elem.uid[SL_ELEM_UID_STUDY];
	if (o->elem.uid_found[SL_ELEM_UID_STUDY] == SL_ELEM_OK)
		(void)!sl_pending_enter_study(o->ingest->deps.pending, &o->turn, study);
}

enum sl_status sl_ingest_part(struct sl_object *o, struct sl_part *p, bool is_last)
{
	enum sl_status st = SL_OK;
	if (sl_ingest_is_failed(o))
		return SL_OK;
	if (o->file.written + p->bytes > o->conf.max_object) {
		sl_ingest_fail(o, SL_VERDICT_TOO_LARGE);
		return SL_OK;
	}
	/* Before the part is walked: a part that waits for room is not walked twice. */
	if (!is_last)
		st = sl_ingest_room(o, p->bytes, false);
	if (st == SL_AGAIN)
		return st;
	if (st != SL_OK) {
		sl_ingest_fail_io(o, st);
		return SL_OK;
	}
	if (look_at(o, p) == SL_E_LIMIT) {
		sl_ingest_condemn(o, verdict_of_limit(o));
		if (sl_ingest_is_failed(o))
			return SL_OK;
	}
	enter_study(o);
	if (!is_last)
		sl_ingest_write(o, p);
	return SL_OK;
}

/* Inflates what is in the file, then the last part, into the walker. */
static enum sl_status look_into(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch)
{
	const struct sl_store_ops *ops = o->ingest->deps.store->ops;
	struct sl_inflate *inf = sl_inflate_init(t->inflate_memory, o->conf.inflate_max);
	enum sl_status st = SL_OK;
	for (uint64_t off = 0; st == SL_OK && off < o->file.written;) {
		size_t got = 0;
		st = ops->reread(&o->file, off, scratch, SL_IOQ_SCRATCH, &got, &o->result.diag);
		if (st != SL_OK || got == 0)
			return SL_E_IO;
		st = sl_inflate_feed(inf, &o->elem, scratch, got);
		off += got;
	}
	for (uint16_t i = 0; st == SL_OK && o->last != NULL && i < o->last->iov_n; i++)
		st = sl_inflate_feed(
			inf, &o->elem, o->last->iov[i].iov_base, o->last->iov[i].iov_len);
	enum sl_status end = sl_inflate_end(inf, &o->elem);
	return st == SL_OK ? end : st;
}

/* The UIDs of the data set against the command's; study and series into the record. */
static void judge_uids(struct sl_object *o)
{
	const struct sl_elem *e = &o->elem;
	for (int u = 0; u < SL_ELEM_UID_N; u++) {
		if (e->uid_found[u] == SL_ELEM_INVALID) {
			sl_ingest_condemn(o, SL_VERDICT_BAD_UID);
			return;
		}
	}
	if (!sl_elem_has_identity(e)) {
		sl_ingest_condemn(o, SL_VERDICT_NO_UID);
		return;
	}
	if (!sl_uid_equal(&e->uid[SL_ELEM_UID_CLASS], &o->params.sop_class_uid)) {
		sl_ingest_condemn(o, SL_VERDICT_CLASS_MISMATCH);
	} else if (!sl_uid_equal(&e->uid[SL_ELEM_UID_INSTANCE], &o->params.sop_instance_uid)) {
		sl_ingest_condemn(o, SL_VERDICT_INSTANCE_MISMATCH);
	}
	o->record.study_instance_uid = e->uid[SL_ELEM_UID_STUDY];
	o->record.series_instance_uid = e->uid[SL_ELEM_UID_SERIES];
}

void sl_ingest_judge(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch)
{
	if (sl_ingest_is_failed(o))
		return;
	if (o->result.bytes == 0) {
		sl_ingest_fail(o, SL_VERDICT_NO_DATA_SET);
		return;
	}
	sl_digest_end(&o->digest, o->digest_bytes);
	if (o->is_condemned)
		return;
	enum sl_status st = o->is_deflated ? look_into(o, t, scratch) : sl_elem_end(&o->elem);
	if (st == SL_E_LIMIT) {
		sl_ingest_condemn(o, verdict_of_limit(o));
		return;
	}
	if (st == SL_E_IO) {
		sl_ingest_fail_io(o, st);
		return;
	}
	o->result.is_sound = st == SL_OK;
	if (!o->result.is_sound)
		o->result.unsound_why = sl_elem_flaw_words(o->elem.flaw);
	judge_uids(o);
	sl_charset_assume(&o->record, o->params.charset);
	if (!o->result.is_sound && o->conf.unsound == SL_UNSOUND_REFUSE)
		sl_ingest_condemn(o, SL_VERDICT_UNSOUND);
}

enum sl_verdict sl_ingest_kept_verdict(const struct sl_object *o)
{
	if (o->result.is_sound)
		return SL_VERDICT_STORED;
	return o->conf.unsound == SL_UNSOUND_WARN ? SL_VERDICT_WARNED_UNSOUND
						  : SL_VERDICT_STORED_UNSOUND;
}
