/* The decision on one SOP Instance UID, and the winner's file (DESIGN 2, "duplicates").
 *
 * The object has the turn on its UID. Rivals are looked for where they can be, in the order that cannot
 * miss one: the pending table, then every version in the index. Same transfer syntax, length and
 * digest: the bytes are compared as well (XXH3 is no proof against a forger); equal bytes are answered
 * as stored, and nothing is written. Other bytes are refused, or become a version of their own, by
 * storage.duplicates: beside the others under a name with its seq, current ("latest") or not ("first").
 * The pending table holds one record of a UID, so a version waits until the one before it is settled.
 * The object that is kept gets the next seq, its header is made, and the store seals the file.
 *
 * Disk threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ingest_int.h"

#include <string.h>

_Static_assert((int)SL_PROOF_UNSOUND == (int)SL_RECORD_UNSOUND &&
		       (int)SL_PROOF_PLAIN_NAME == (int)SL_RECORD_PLAIN_NAME,
	"the flags of a record and of a proof share their bits");

/* ---- the rival ---------------------------------------------------------------------------------- */

/* The object under the same UID that is durable already: its place, and digest, syntax and length
 * where they are known without opening it. */
struct rival {
	struct sl_locator at;
	struct sl_uid transfer_syntax_uid;
	uint64_t dataset_len;
};

/* Where the next bytes of the new object are: first what is in its file, then the last part. */
struct source {
	struct sl_object *o;
	uint64_t off; /* data set bytes given so far */
	size_t iov;   /* fragment of the last part */
	size_t at;    /* bytes of it given so far */
};

/* Points *bytes at the next 1..max bytes; *n is 0 at the end. `room` is used for file bytes. */
static enum sl_status source_next(struct source *s, uint8_t *room, size_t max,
	const uint8_t **bytes, size_t *n, struct sl_diag *d)
{
	struct sl_object *o = s->o;
	*n = 0;
	*bytes = room;
	if (s->off < o->file.written) {
		enum sl_status st =
			o->ingest->deps.store->ops->reread(&o->file, s->off, room, max, n, d);
		s->off += *n;
		if (st == SL_OK && *n == 0)
			st = sl_fail(d, SL_E_IO, 0, "spool/reread", "bytes written are gone");
		return st;
	}
	if (o->last == NULL || s->iov == o->last->iov_n)
		return SL_OK;
	const struct iovec *v = &o->last->iov[s->iov];
	*bytes = (const uint8_t *)v->iov_base + s->at;
	*n = sl_min(max, v->iov_len - s->at);
	s->at += *n;
	s->off += *n;
	if (s->at == v->iov_len) {
		s->iov++;
		s->at = 0;
	}
	return SL_OK;
}

/* SL_OK with *same. scratch: SL_IOQ_SCRATCH bytes. */
static enum sl_status compare_bytes(struct sl_object *o, struct sl_store_reader *reader,
	uint8_t *scratch, bool *same, struct sl_diag *d)
{
	const struct sl_store_ops *ops = o->ingest->deps.store->ops;
	const size_t half = SL_IOQ_SCRATCH / 2;
	struct source s = {.o = o};
	*same = false;
	for (;;) {
		const uint8_t *mine;
		size_t n, got = 0;
		uint64_t off = s.off;
		enum sl_status st = source_next(&s, scratch, half, &mine, &n, d);
		if (st != SL_OK)
			return st;
		if (n == 0) {
			*same = off == reader->dataset_len;
			return SL_OK;
		}
		st = ops->read(reader, off, scratch + half, n, &got, d);
		if (st != SL_OK)
			return st;
		if (got != n || memcmp(mine, scratch + half, n) != 0)
			return SL_OK;
	}
}

/* SL_OK with *dup: what the object is to its rival. */
static enum sl_status compare(struct sl_object *o, const struct rival *r, uint8_t *scratch,
	enum sl_dup *dup, struct sl_diag *d)
{
	struct sl_store *store = o->ingest->deps.store;
	*dup = SL_DUP_CHANGED;
	if (!sl_uid_equal(&r->transfer_syntax_uid, &o->params.transfer_syntax_uid)) {
		*dup = SL_DUP_RECODED;
		return SL_OK;
	}
	if (r->dataset_len != o->result.bytes)
		return SL_OK;
	struct sl_store_reader reader;
	enum sl_status st = store->ops->open(store, &reader, &r->at, d);
	if (st != SL_OK)
		return st;
	bool same = memcmp(reader.p10.proof.digest, o->digest_bytes, SL_DIGEST_LEN) == 0;
	if (same)
		st = compare_bytes(o, &reader, scratch, &same, d);
	store->ops->close(&reader);
	if (st == SL_OK && same)
		*dup = SL_DUP_IDENTICAL;
	return st;
}

/* Looks at rivals begun anew, before a file that has a row and is not there is damage. */
enum { STUDIES_EVICTED_MEANWHILE = 8 };

/* What the objects under its UID mean for the new one. */
struct rivals {
	bool is_unsettled; /* the pending table holds one */
	bool is_any;
	enum sl_dup dup; /* to one that is identical, else to the current one */
};

static enum sl_status ask_pending(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch,
	struct rivals *rs, struct sl_diag *d)
{
	uint8_t digest[SL_DIGEST_LEN];
	enum sl_status st = sl_pending_rival(o->ingest->deps.pending, &o->turn, &t->rival, digest);
	if (st != SL_OK)
		return st == SL_E_NOTFOUND ? SL_OK : st;
	const struct rival r = {
		.at = sl_locator_of(&t->rival),
		.transfer_syntax_uid = t->rival.transfer_syntax_uid,
		.dataset_len = t->rival.dataset_len,
	};
	rs->is_any = rs->is_unsettled = true;
	return compare(o, &r, scratch, &rs->dup, d);
}

static struct rival rival_of(const struct sl_index_instance *row)
{
	return (struct rival){
		.at = {.study_instance_uid = row->study_instance_uid,
			.series_instance_uid = row->series_instance_uid,
			.sop_instance_uid = row->sop_instance_uid,
			.seq = row->seq,
			.has_plain_name = (row->flags & SL_RECORD_PLAIN_NAME) != 0},
		.transfer_syntax_uid = row->transfer_syntax_uid,
		.dataset_len = row->dataset_len,
	};
}

/* Every version in the index, until one is identical. */
static enum sl_status ask_index(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch,
	struct rivals *rs, struct sl_diag *d)
{
	uint64_t after = 0;
	while (rs->dup != SL_DUP_IDENTICAL) {
		struct sl_index_instance row;
		size_t n = 1;
		enum sl_dup dup;
		enum sl_status st = sl_index_list_versions(
			t->reader, &o->params.sop_instance_uid, &after, &row, &n, d);
		if (st == SL_E_NOTFOUND || st == SL_END)
			break;
		if (st != SL_OK) {
			o->result.diag = *d;
			sl_ingest_fail_io(o, st);
			return st;
		}
		const struct rival r = rival_of(&row);
		st = compare(o, &r, scratch, &dup, d);
		if (st != SL_OK)
			return st;
		rs->is_any = true;
		if (dup == SL_DUP_IDENTICAL || (row.is_current && !rs->is_unsettled))
			rs->dup = dup;
	}
	return SL_OK;
}

/* ---- the winner --------------------------------------------------------------------------------- */

/* Completes the record and writes the header that proves the file. */
static size_t make_header(struct sl_object *o, uint8_t header[SL_P10_HEADER_MAX], uint64_t seq)
{
	struct sl_record *r = &o->record;
	const struct sl_env *env = o->ingest->deps.env;
	r->seq = seq;
	r->arrived_ms = sl_env_wall_ms(env);
	r->dataset_len = o->result.bytes;
	r->file_len = o->header_len + o->result.bytes;
	r->flags = o->result.is_sound ? 0 : SL_RECORD_UNSOUND;
	if (o->result.dup == SL_DUP_NONE)
		r->flags |= SL_RECORD_PLAIN_NAME;
	else if (o->params.duplicates == SL_DUP_FIRST)
		r->flags |= SL_RECORD_NOT_CURRENT;
	struct sl_p10 p10 = sl_ingest_header(o);
	p10.proof = (struct sl_proof){.layout = SL_PROOF_LAYOUT,
		.flags = r->flags | (o->conf.is_durable ? 0 : SL_PROOF_UNSYNCED),
		.seq = seq,
		.arrived_ms = r->arrived_ms,
		.dataset_len = r->dataset_len};
	memcpy(p10.proof.digest, o->digest_bytes, SL_DIGEST_LEN);
	struct sl_wbuf w = sl_wbuf_of(header, SL_P10_HEADER_MAX);
	sl_p10_encode(&w, &p10);
	sl_assert(!w.bad && w.len == o->header_len);
	return w.len;
}

/* Reserves what the last bytes need, opens the file if no part did, seals it. */
static enum sl_status seal(
	struct sl_object *o, struct sl_ingest_thread *t, enum sl_store_place place)
{
	struct sl_ingest *in = o->ingest;
	struct sl_store *store = in->deps.store;
	struct sl_diag *d = &o->result.diag;
	enum sl_status st = sl_ingest_room(o, o->last != NULL ? o->last->bytes : 0, true);
	if (st != SL_OK)
		return st;
	uint64_t seq = sl_ingest_next_seq(in);
	make_header(o, t->header, seq);
	st = sl_ingest_open_file(o, place == SL_STORE_SPOOL);
	if (st != SL_OK)
		return st;
	const struct iovec *iov = o->last != NULL ? o->last->iov : NULL;
	int iov_n = o->last != NULL ? o->last->iov_n : 0;
	st = store->ops->seal(&o->file, t->header, iov, iov_n, seq, place, d);
	o->is_file_open = false;
	return st;
}

void sl_ingest_set_aside(struct sl_object *o, struct sl_ingest_thread *t)
{
	enum sl_verdict v = o->result.verdict;
	enum sl_status st = sl_ingest_is_failed(o) ? SL_END : seal(o, t, SL_STORE_QUARANTINE);
	o->result.is_quarantined = st == SL_OK;
	/* The object is refused either way; where it could not be kept, the log says why. */
	if (st == SL_E_SYNC)
		sl_ingest_fail_io(o, st);
	sl_ingest_fail(o, v);
}

/* All of them. Anything but SL_OK: the object has failed. */
static enum sl_status meet_rivals(
	struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch, struct rivals *rs)
{
	for (int tries = 0;; tries++) {
		struct sl_diag why = {0};
		*rs = (struct rivals){.dup = SL_DUP_NONE};
		enum sl_status st = ask_pending(o, t, scratch, rs, &why);
		if (st == SL_OK)
			st = ask_index(o, t, scratch, rs, &why);
		if (st == SL_OK)
			return st;
		/* Between the two looks another study that had a version may have been evicted: then
		 * its row is gone too. */
		if (st == SL_E_NOTFOUND && tries < STUDIES_EVICTED_MEANWHILE)
			continue;
		o->result.diag = why;
		sl_ingest_fail(o, SL_VERDICT_RIVAL_UNREADABLE); /* unless it was the index */
		return st;
	}
}

/* The file of an object that is kept, and what the pending table is to tell of it.
 *
 * A store that has failed names no more: the object before it on the UID may have its name in spool/ and
 * have been refused all the same, and recovery would find the same bytes twice. */
static enum sl_decision keep(struct sl_object *o, struct sl_ingest_thread *t)
{
	if (sl_latch_is_failed(o->ingest->deps.latch)) {
		sl_ingest_fail(o, SL_VERDICT_SYNC_FAILED);
		return SL_DECISION_ENDED;
	}
	enum sl_status st = seal(o, t, SL_STORE_SPOOL);
	if (st == SL_AGAIN)
		return SL_DECISION_WAITS;
	if (st != SL_OK) {
		sl_ingest_fail_io(o, st);
		return SL_DECISION_ENDED;
	}
	/* The entry is ours until it is released; from then on it tells what is durable. */
	o->turn.entry->record = o->record;
	memcpy(o->turn.entry->digest, o->digest_bytes, SL_DIGEST_LEN);
	return SL_DECISION_SEALED;
}

enum sl_decision sl_ingest_decide(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch)
{
	struct rivals rs;
	/* From here on the study is not evicted: what is found of it stays. */
	if (sl_pending_enter_study(
		    o->ingest->deps.pending, &o->turn, &o->record.study_instance_uid) != SL_OK)
		return SL_DECISION_WAITS;
	if (meet_rivals(o, t, scratch, &rs) != SL_OK)
		return SL_DECISION_ENDED;
	o->result.dup = rs.dup;
	if (rs.dup == SL_DUP_IDENTICAL) {
		o->is_rival_durable = true;
		if (!sl_ack_answer(o, SL_VERDICT_IDENTICAL))
			sl_ingest_fail(o, SL_VERDICT_DUPLICATE);
		return SL_DECISION_ENDED;
	}
	if (!rs.is_any)
		return keep(o, t);
	if (o->params.duplicates == SL_DUP_REFUSE) {
		sl_ingest_fail(o, SL_VERDICT_DUPLICATE);
		return SL_DECISION_ENDED;
	}
	return rs.is_unsettled ? SL_DECISION_LATER : keep(o, t);
}
