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

/* Which rows a page is of, and how each is shown. */
struct page {
	enum sl_index_lmdb_tree tree;
	struct sl_wbuf prefix;
	enum sl_status (*show)(const struct page *p, struct sl_index_txn *t, struct sl_cur value,
		size_t i); /* as the i-th of `out` */
	void *out;
	const struct sl_uid *study;                   /* of series and instances */
	const struct sl_index_row_series *series_row; /* of instances */
};

/* From behind *at, which moves on; *n: room of the page, then its rows. */
static enum sl_status fill_page(struct sl_index_lmdb_reader *rd, struct sl_index_txn *t,
	const struct page *p, struct sl_index_cursor *at, size_t *n)
{
	struct walk w = {.t = t};
	size_t i = 0;
	enum sl_status st = walk_first(&w, rd, p->tree, &p->prefix, at);
	while (st == SL_OK && i < *n) {
		st = p->show(p, t, sl_cur_of(w.value.mv_data, w.value.mv_size), i);
		if (st != SL_OK)
			break;
		walk_shown(&w, at);
		if (++i < *n)
			st = walk_next(&w);
	}
	return page_end(st, i, n);
}

static enum sl_status show_study(
	const struct page *p, struct sl_index_txn *t, struct sl_cur value, size_t i)
{
	struct sl_index_study *out = p->out;
	struct sl_index_row_study row;
	if (sl_index_row_study(value, &row) != SL_OK)
		return sl_index_lmdb_corrupt("index/study", t->diag);
	return sl_index_lmdb_show_study(t, &row, &out[i]);
}

enum sl_status sl_index_lmdb_list_studies(struct sl_index_reader *base, struct sl_index_cursor *at,
	struct sl_index_study *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	const struct page p = {.tree = SL_TREE_STUDY, .show = show_study, .out = out};
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	return st != SL_OK ? st : sl_index_lmdb_read_end(rd, fill_page(rd, &t, &p, at, n));
}

static enum sl_status show_series(
	const struct page *p, struct sl_index_txn *t, struct sl_cur value, size_t i)
{
	struct sl_index_series *out = p->out;
	struct sl_index_row_series row;
	if (sl_index_row_series(value, &row) != SL_OK)
		return sl_index_lmdb_corrupt("index/series", t->diag);
	return sl_index_lmdb_show_series(t, p->study, &row, &out[i]);
}

enum sl_status sl_index_lmdb_list_series(struct sl_index_reader *base, const struct sl_uid *study,
	struct sl_index_cursor *at, struct sl_index_series *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct page p = {.tree = SL_TREE_SERIES,
		.prefix = sl_wbuf_of(kb, sizeof(kb)),
		.show = show_series,
		.out = out,
		.study = study};
	struct sl_index_txn t;
	uint64_t study_no;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_study(&t, study, &study_no);
	if (st != SL_OK)
		return sl_index_lmdb_read_end(rd, page_end(st, 0, n));
	sl_lmdb_key_put_uint(&p.prefix, study_no);
	return sl_index_lmdb_read_end(rd, fill_page(rd, &t, &p, at, n));
}

static enum sl_status show_instance(
	const struct page *p, struct sl_index_txn *t, struct sl_cur value, size_t i)
{
	struct sl_index_instance *out = p->out;
	return sl_index_lmdb_show_row(
		t, value, p->study, &p->series_row->uid, p->series_row->volume, &out[i]);
}

enum sl_status sl_index_lmdb_list_instances(struct sl_index_reader *base,
	const struct sl_uid *study, const struct sl_uid *series, struct sl_index_cursor *at,
	struct sl_index_instance *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_row_series series_row;
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX];
	struct page p = {.tree = SL_TREE_INSTANCE,
		.prefix = sl_wbuf_of(kb, sizeof(kb)),
		.show = show_instance,
		.out = out,
		.study = study,
		.series_row = &series_row};
	struct sl_index_txn t;
	uint64_t study_no, series_no;
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
	if (st != SL_OK)
		return sl_index_lmdb_read_end(rd, page_end(st, 0, n));
	sl_lmdb_key_put_uint(&p.prefix, study_no);
	sl_lmdb_key_put_uint(&p.prefix, series_no);
	return sl_index_lmdb_read_end(rd, fill_page(rd, &t, &p, at, n));
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
	const struct page *p, struct sl_index_txn *t, struct sl_cur value, size_t i)
{
	struct sl_index_arrival *out = p->out;
	struct sl_index_row_study row;
	uint64_t no = sl_lmdb_key_uint(&value);
	if (value.bad || sl_cur_left(&value) != 0)
		return sl_index_lmdb_corrupt("index/arrival", t->diag);
	enum sl_status st =
		sl_index_lmdb_must(t, sl_index_lmdb_get_study(t, no, &row), "index/arrival");
	if (st == SL_OK)
		out[i] = (struct sl_index_arrival){row.uid, row.counts};
	return st;
}

enum sl_status sl_index_lmdb_list_arrivals(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_arrival *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	const struct page p = {.tree = SL_TREE_ARRIVAL, .show = show_arrival, .out = out};
	struct sl_index_cursor at = cursor_after(*after_seq);
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = fill_page(rd, &t, &p, &at, n);
	if (*n > 0)
		*after_seq = out[*n - 1].counts.last_seq;
	return sl_index_lmdb_read_end(rd, st);
}

static enum sl_status show_tombstone(
	const struct page *p, struct sl_index_txn *t, struct sl_cur value, size_t i)
{
	struct sl_index_tombstone *out = p->out;
	if (sl_index_row_tombstone(value, &out[i]) != SL_OK)
		return sl_index_lmdb_corrupt("index/tombstone", t->diag);
	return SL_OK;
}

enum sl_status sl_index_lmdb_list_tombstones(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	const struct page p = {.tree = SL_TREE_TOMBSTONE, .show = show_tombstone, .out = out};
	struct sl_index_cursor at = cursor_after(*after_seq);
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = fill_page(rd, &t, &p, &at, n);
	if (*n > 0)
		*after_seq = out[*n - 1].seq;
	return sl_index_lmdb_read_end(rd, st);
}
