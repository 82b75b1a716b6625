/* Pages of rows: children of a row, versions of a UID, the order of arrival, tombstones.
 *
 * A page begins behind the key that the last one showed, so nothing is pinned between two of them, and
 * what came or went meanwhile does no harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

/* A walk over the keys of a tree that begin with `prefix`, from behind those already shown. */
struct walk {
	struct sl_index_txn *t;
	MDB_cursor *cursor;
	const struct sl_wbuf *prefix; /* may be empty */
	MDB_val key, value;
};

static enum sl_status check_row(struct walk *w, int rc)
{
	if (rc != 0 && rc != MDB_NOTFOUND)
		return sl_index_lmdb_error(rc, "lmdb/walk", w->t->diag);
	if (rc == MDB_NOTFOUND || !sl_index_lmdb_is_below(&w->key, w->prefix))
		return SL_END;
	return SL_OK;
}

/* SL_OK and the first row behind *at (of length 0: the first row), or SL_END. */
static enum sl_status walk_first(struct walk *w, struct sl_index_lmdb_reader *rd,
	enum sl_index_lmdb_tree tree, const struct sl_wbuf *prefix,
	const struct sl_index_cursor *at)
{
	bool has_seen = at->len > 0;
	w->cursor = rd->cursor[tree];
	w->prefix = prefix;
	w->key = has_seen ? (MDB_val){at->len, (void *)(uintptr_t)at->key}
			  : (MDB_val){prefix->len, prefix->base};
	int rc = mdb_cursor_renew(w->t->txn, w->cursor);
	if (rc == 0)
		rc = mdb_cursor_get(w->cursor, &w->key, &w->value,
			w->key.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST);
	if (rc == 0 && has_seen && w->key.mv_size == at->len &&
		memcmp(w->key.mv_data, at->key, at->len) == 0)
		rc = mdb_cursor_get(w->cursor, &w->key, &w->value, MDB_NEXT);
	return check_row(w, rc);
}

static enum sl_status walk_next(struct walk *w)
{
	return check_row(w, mdb_cursor_get(w->cursor, &w->key, &w->value, MDB_NEXT));
}

/* Remembers that the current row was shown. */
static void walk_shown(const struct walk *w, struct sl_index_cursor *at)
{
	sl_assert(w->key.mv_size <= sizeof(at->key));
	memcpy(at->key, w->key.mv_data, w->key.mv_size);
	at->len = (uint8_t)w->key.mv_size;
}

/* What a page comes to: rows beat the end. */
static enum sl_status page_end(enum sl_status st, size_t filled, size_t *n)
{
	*n = filled;
	return st == SL_END && filled > 0 ? SL_OK : st;
}

enum sl_status sl_index_lmdb_list_studies(struct sl_index_reader *base, struct sl_index_cursor *at,
	struct sl_index_study *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	struct sl_wbuf all = {0};
	size_t i = 0;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = walk_first(&w, rd, SL_TREE_STUDY, &all, at);
	while (st == SL_OK && i < *n) {
		struct sl_index_row_study row;
		if (sl_index_row_study(sl_cur_of(w.value.mv_data, w.value.mv_size), &row) != SL_OK)
			st = sl_index_lmdb_corrupt("index/study", diag);
		else
			st = sl_index_lmdb_show_study(&t, &row, &out[i]);
		if (st != SL_OK)
			break;
		walk_shown(&w, at);
		if (++i < *n)
			st = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}

enum sl_status sl_index_lmdb_list_series(struct sl_index_reader *base, const struct sl_uid *study,
	struct sl_index_cursor *at, struct sl_index_series *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	uint64_t study_no;
	size_t i = 0;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_study(&t, study, &study_no);
	if (st == SL_OK) {
		sl_lmdb_key_put_uint(&prefix, study_no);
		st = walk_first(&w, rd, SL_TREE_SERIES, &prefix, at);
	}
	while (st == SL_OK && i < *n) {
		struct sl_index_row_series row;
		if (sl_index_row_series(sl_cur_of(w.value.mv_data, w.value.mv_size), &row) != SL_OK)
			st = sl_index_lmdb_corrupt("index/series", diag);
		else
			st = sl_index_lmdb_show_series(&t, study, &row, &out[i]);
		if (st != SL_OK)
			break;
		walk_shown(&w, at);
		if (++i < *n)
			st = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}

enum sl_status sl_index_lmdb_list_instances(struct sl_index_reader *base,
	const struct sl_uid *study, const struct sl_uid *series, struct sl_index_cursor *at,
	struct sl_index_instance *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	struct sl_index_row_series series_row;
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	uint64_t study_no, series_no;
	size_t i = 0;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_study(&t, study, &study_no);
	if (st == SL_OK)
		st = sl_index_lmdb_find_series(&t, study_no, series, &series_no);
	if (st == SL_OK)
		st = sl_index_lmdb_must(&t,
			sl_index_lmdb_get_series(&t, study_no, series_no, &series_row),
			"index/series");
	if (st == SL_OK) {
		sl_lmdb_key_put_uint(&prefix, study_no);
		sl_lmdb_key_put_uint(&prefix, series_no);
		st = walk_first(&w, rd, SL_TREE_INSTANCE, &prefix, at);
	}
	while (st == SL_OK && i < *n) {
		st = sl_index_lmdb_show_row(&t, sl_cur_of(w.value.mv_data, w.value.mv_size), study,
			&series_row, &out[i]);
		if (st != SL_OK)
			break;
		walk_shown(&w, at);
		if (++i < *n)
			st = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}

/* The row the walk over versions behind stands at. */
static enum sl_status read_behind(const struct walk *w, struct sl_index_lmdb_version *out)
{
	struct sl_cur key = sl_cur_of(w->key.mv_data, w->key.mv_size);
	(void)sl_cur_take(&key, w->prefix->len);
	out->seq = sl_lmdb_key_uint(&key);
	enum sl_status st =
		sl_index_row_place(sl_cur_of(w->value.mv_data, w->value.mv_size), &out->place);
	return key.bad || st != SL_OK ? sl_index_lmdb_corrupt("index/version", w->t->diag) : SL_OK;
}

/* The walk goes over those that are behind; the current one is shown in between, by its seq. */
enum sl_status sl_index_lmdb_list_versions(struct sl_index_reader *base, const struct sl_uid *uid,
	uint64_t *after_seq, struct sl_index_instance *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	struct sl_index_lmdb_version current, behind = {.seq = 0};
	struct sl_index_cursor at = {0};
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb)),
		       from = sl_wbuf_of(at.key, sizeof(at.key));
	size_t i = 0;
	sl_lmdb_key_put_uid_end(&prefix, uid->s, uid->len);
	sl_index_lmdb_key_version(&from, uid, *after_seq);
	at.len = (uint8_t)from.len;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_get_place(&t, uid, &current.place);
	if (st == SL_OK)
		st = sl_index_lmdb_get_version(&t, &current);
	if (st != SL_OK)
		return sl_index_lmdb_read_end(rd, st);
	enum sl_status more = walk_first(&w, rd, SL_TREE_VERSION, &prefix, &at);
	while (st == SL_OK && i < *n) {
		if (more == SL_OK)
			st = read_behind(&w, &behind);
		bool is_current_due =
			current.seq > *after_seq &&
			(more == SL_END || (more == SL_OK && current.seq < behind.seq));
		if (st == SL_OK && !is_current_due)
			st = more;
		if (st != SL_OK)
			break;
		const struct sl_index_lmdb_version *next = is_current_due ? &current : &behind;
		st = sl_index_lmdb_show_place(&t, &next->place, &out[i]);
		*after_seq = next->seq;
		if (st == SL_OK && ++i < *n && !is_current_due)
			more = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}

/* Where a walk by seq goes on. */
static struct sl_index_cursor cursor_after(uint64_t seq)
{
	struct sl_index_cursor at = {0};
	struct sl_wbuf key = sl_wbuf_of(at.key, sizeof(at.key));
	if (seq > 0)
		sl_lmdb_key_put_uint(&key, seq);
	at.len = (uint8_t)key.len;
	return at;
}

static enum sl_status show_arrival(
	struct sl_index_txn *t, struct sl_cur number, struct sl_index_arrival *out)
{
	struct sl_index_row_study row;
	uint64_t no = sl_lmdb_key_uint(&number);
	if (number.bad || sl_cur_left(&number) != 0)
		return sl_index_lmdb_corrupt("index/arrival", t->diag);
	enum sl_status st =
		sl_index_lmdb_must(t, sl_index_lmdb_get_study(t, no, &row), "index/arrival");
	if (st == SL_OK)
		*out = (struct sl_index_arrival){row.uid, row.counts};
	return st;
}

enum sl_status sl_index_lmdb_list_arrivals(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_arrival *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	struct sl_wbuf all = {0};
	struct sl_index_cursor at = cursor_after(*after_seq);
	size_t i = 0;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = walk_first(&w, rd, SL_TREE_ARRIVAL, &all, &at);
	while (st == SL_OK && i < *n) {
		st = show_arrival(&t, sl_cur_of(w.value.mv_data, w.value.mv_size), &out[i]);
		if (st != SL_OK)
			break;
		*after_seq = out[i].counts.last_seq;
		if (++i < *n)
			st = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}

enum sl_status sl_index_lmdb_list_tombstones(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct walk w = {.t = &t};
	struct sl_wbuf all = {0};
	struct sl_index_cursor at = cursor_after(*after_seq);
	size_t i = 0;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = walk_first(&w, rd, SL_TREE_TOMBSTONE, &all, &at);
	while (st == SL_OK && i < *n) {
		if (sl_index_row_tombstone(sl_cur_of(w.value.mv_data, w.value.mv_size), &out[i]) !=
			SL_OK) {
			st = sl_index_lmdb_corrupt("index/tombstone", diag);
			break;
		}
		*after_seq = out[i].seq;
		if (++i < *n)
			st = walk_next(&w);
	}
	return sl_index_lmdb_read_end(rd, page_end(st, i, n));
}
