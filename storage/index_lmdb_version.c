/* Which version of a SOP Instance UID is current, and what moves when that changes.
 *
 * Every version has a row of its own, in the study and series that it names itself. The tree of UIDs
 * leads to the current one; the others stand in the tree of versions, by UID and seq, and their rows
 * are marked. Nearly every UID has one version, and costs nothing here.
 *
 * The order of versions is made of what their files say alone, so that any order of putting them (a
 * rebuild goes by folders) comes to the same rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

static bool took_over(const struct sl_index_lmdb_version *v)
{
	return (v->flags & SL_RECORD_NOT_CURRENT) == 0;
}

bool sl_index_lmdb_is_ahead(
	const struct sl_index_lmdb_version *a, const struct sl_index_lmdb_version *b)
{
	if (took_over(a) != took_over(b))
		return took_over(a);
	return took_over(a) ? a->seq > b->seq : a->seq < b->seq;
}

void sl_index_lmdb_key_version(struct sl_wbuf *w, const struct sl_uid *uid, uint64_t seq)
{
	sl_lmdb_key_put_uid_end(w, uid->s, uid->len);
	sl_lmdb_key_put_uint(w, seq);
}

enum sl_status sl_index_lmdb_get_version(struct sl_index_txn *t, struct sl_index_lmdb_version *out)
{
	struct sl_cur c;
	uint8_t kb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_row_put_place(&key, &out->place);
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_INSTANCE, &key, &c);
	if (st == SL_OK)
		st = sl_index_row_instance_head(c, &out->flags, &out->seq);
	if (st == SL_E_NOTFOUND || st == SL_E_CORRUPT)
		return sl_index_lmdb_corrupt("index/instance", t->diag);
	return st;
}

/* ---- those behind ------------------------------------------------------------------------------ */

/* Goes through a UID's versions that are behind, in order of seq. see() returns false to stop. */
static enum sl_status each_behind(struct sl_index_txn *t, const struct sl_uid *uid,
	bool (*see)(void *arg, const struct sl_index_lmdb_version *v), void *arg)
{
	MDB_cursor *cursor = NULL;
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uid_end(&prefix, uid->s, uid->len);
	MDB_val key = {prefix.len, prefix.base}, value;
	int rc = mdb_cursor_open(t->txn, t->ix->tree[SL_TREE_VERSION], &cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	enum sl_status st = SL_OK;
	bool goes_on = true;
	while (rc == 0 && goes_on && sl_index_lmdb_is_below(&key, &prefix)) {
		struct sl_index_lmdb_version v;
		st = sl_index_row_place(sl_cur_of(value.mv_data, value.mv_size), &v.place);
		st = st == SL_OK ? sl_index_lmdb_get_version(t, &v)
				 : sl_index_lmdb_corrupt("index/version", t->diag);
		if (st != SL_OK)
			break;
		goes_on = see(arg, &v);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	return rc == 0 || rc == MDB_NOTFOUND ? st
					     : sl_index_lmdb_error(rc, "lmdb/version", t->diag);
}

struct search {
	uint64_t except;
	bool found;
	struct sl_index_lmdb_version best;
};

static bool see_best(void *arg, const struct sl_index_lmdb_version *v)
{
	struct search *s = arg;
	if (v->place.study == s->except || (s->found && sl_index_lmdb_is_ahead(&s->best, v)))
		return true;
	s->best = *v;
	s->found = true;
	return true;
}

enum sl_status sl_index_lmdb_best_behind(struct sl_index_txn *t, const struct sl_uid *uid,
	uint64_t except, struct sl_index_lmdb_version *out)
{
	struct search s = {.except = except};
	enum sl_status st = each_behind(t, uid, see_best, &s);
	if (st == SL_OK && s.found)
		*out = s.best;
	return st == SL_OK && !s.found ? SL_E_NOTFOUND : st;
}

static bool see_plain(void *arg, const struct sl_index_lmdb_version *v)
{
	bool *found = arg;
	*found = (v->flags & SL_RECORD_PLAIN_NAME) != 0;
	return !*found;
}

enum sl_status sl_index_lmdb_has_plain_behind(
	struct sl_index_txn *t, const struct sl_uid *uid, bool *found)
{
	*found = false;
	return each_behind(t, uid, see_plain, found);
}

/* ---- a change of the current one --------------------------------------------------------------- */

/* The mark in the version's row. */
static enum sl_status mark(
	struct sl_index_txn *t, const struct sl_index_row_place *place, bool is_behind)
{
	struct sl_cur c;
	uint8_t kb[3 * SL_LMDB_KEY_UINT_MAX], rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb)), w = sl_wbuf_of(rb, sizeof(rb));
	sl_index_row_put_place(&key, place);
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_INSTANCE, &key, &c);
	size_t n = st == SL_OK ? sl_cur_left(&c) : 0;
	if (st == SL_E_NOTFOUND || (st == SL_OK && (n == 0 || n > sizeof(rb))))
		return sl_index_lmdb_corrupt("index/instance", t->diag);
	if (st != SL_OK)
		return st;
	sl_wbuf_put(&w, sl_cur_take(&c, n), n);
	sl_index_row_instance_set_behind(w.base, is_behind);
	return sl_index_lmdb_put(t, SL_TREE_INSTANCE, &key, &w);
}

static enum sl_status move_count(struct sl_index_txn *t, struct sl_index_counts *n, bool is_current)
{
	if (is_current ? n->instances >= n->versions : n->instances == 0)
		return sl_index_lmdb_corrupt("index/counts", t->diag);
	n->instances += is_current ? 1 : UINT64_MAX;
	return SL_OK;
}

static enum sl_status count_study(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, uint64_t no, bool is_current)
{
	struct sl_index_row_study row;
	if (b != NULL && b->has_study && b->study_no == no) {
		b->is_study_dirty = true;
		return move_count(t, &b->study.counts, is_current);
	}
	enum sl_status st = sl_index_lmdb_get_study(t, no, &row);
	if (st == SL_E_NOTFOUND)
		return sl_index_lmdb_corrupt("index/study", t->diag);
	if (st == SL_OK)
		st = move_count(t, &row.counts, is_current);
	return st == SL_OK ? sl_index_lmdb_put_study(t, no, &row) : st;
}

static enum sl_status count_series(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_index_row_place *at, bool is_current)
{
	struct sl_index_row_series row;
	if (b != NULL && b->has_series && b->study_no == at->study && b->series_no == at->series) {
		b->is_series_dirty = true;
		return move_count(t, &b->series.counts, is_current);
	}
	enum sl_status st = sl_index_lmdb_get_series(t, at->study, at->series, &row);
	if (st == SL_E_NOTFOUND)
		return sl_index_lmdb_corrupt("index/series", t->diag);
	if (st == SL_OK)
		st = move_count(t, &row.counts, is_current);
	return st == SL_OK ? sl_index_lmdb_put_series(t, at->study, at->series, &row) : st;
}

/* Its names: the tree of UIDs leads to the current version, the tree of versions to the others. */
static enum sl_status rename_version(struct sl_index_txn *t, const struct sl_uid *uid,
	const struct sl_index_lmdb_version *v, bool is_current)
{
	uint8_t ub[SL_LMDB_KEY_UID_MAX], vb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	uint8_t pb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf by_uid = sl_wbuf_of(ub, sizeof(ub)), by_seq = sl_wbuf_of(vb, sizeof(vb));
	struct sl_wbuf at = sl_wbuf_of(pb, sizeof(pb));
	sl_lmdb_key_put_uid(&by_uid, uid->s, uid->len);
	sl_index_lmdb_key_version(&by_seq, uid, v->seq);
	sl_index_row_put_place(&at, &v->place);
	/* The one that takes over puts itself where this one was. */
	if (!is_current)
		return sl_index_lmdb_put(t, SL_TREE_VERSION, &by_seq, &at);
	enum sl_status st = sl_index_lmdb_del(t, SL_TREE_VERSION, &by_seq);
	if (st == SL_E_NOTFOUND)
		return sl_index_lmdb_corrupt("index/version", t->diag);
	return st == SL_OK ? sl_index_lmdb_put(t, SL_TREE_UID, &by_uid, &at) : st;
}

enum sl_status sl_index_lmdb_set_current(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_uid *uid, const struct sl_index_lmdb_version *v, bool is_current)
{
	enum sl_status st = mark(t, &v->place, !is_current);
	if (st == SL_OK)
		st = rename_version(t, uid, v, is_current);
	if (st == SL_OK)
		st = count_series(t, b, &v->place, is_current);
	if (st == SL_OK)
		st = count_study(t, b, v->place.study, is_current);
	t->state.usage.instances += is_current ? 1 : UINT64_MAX;
	return st;
}
