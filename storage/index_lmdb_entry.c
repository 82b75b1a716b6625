/* Stepping through a range: the entries of a tree between its ends, or of a list of UIDs.
 *
 * A step begins at the bytes of the last entry, not at a place in a page: so it goes on after a turn, on
 * a later page, and where that entry went meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_find_priv.h"

enum sl_status sl_index_lmdb_seek(struct sl_index_lmdb_finder *f, enum sl_index_lmdb_tree tree,
	const void *from, size_t n, bool after, MDB_val *key, MDB_val *value)
{
	MDB_cursor *cursor = f->rd->cursor[tree];
	*key = (MDB_val){n, (void *)(uintptr_t)from};
	f->steps++;
	int rc = mdb_cursor_get(cursor, key, value, n > 0 ? MDB_SET_RANGE : MDB_FIRST);
	if (rc == 0 && after && key->mv_size == n && memcmp(key->mv_data, from, n) == 0)
		rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
	return rc == MDB_NOTFOUND ? SL_END : sl_index_lmdb_error(rc, "lmdb/find", f->t->diag);
}

/* Where to go on from an entry of another modality: the wanted one of that date, or the next date.
 * False for an entry that is wanted. */
static bool skip_to(
	const struct sl_index_lmdb_range *r, const struct sl_index_key_entry *e, struct sl_wbuf *to)
{
	int order = memcmp(e->with.s, r->want.s, sl_min(e->with.len, r->want.len));
	order = order != 0 ? order : (e->with.len > r->want.len) - (e->with.len < r->want.len);
	if (order == 0)
		return false;
	sl_wbuf_u8(to, (uint8_t)r->key);
	sl_wbuf_put(to, e->text.s, e->text.len);
	sl_wbuf_u8(to, order < 0 ? 0 : 1);
	if (order < 0)
		sl_wbuf_put(to, r->want.s, r->want.len);
	if (order < 0)
		sl_wbuf_u8(to, 0);
	return true;
}

static enum sl_status next_in_tree(
	struct sl_index_lmdb_finder *f, const struct sl_index_lmdb_range *r, bool again)
{
	MDB_val key, value;
	uint8_t bytes[SL_INDEX_KEY_MAX];
	struct sl_wbuf from = sl_wbuf_of(bytes, sizeof(bytes));
	struct sl_index_key_entry e;
	bool has_begun = f->entry.n > 0, after = has_begun && !again;
	sl_wbuf_put(&from, has_begun ? f->entry.bytes : r->lo, has_begun ? f->entry.n : r->lo_n);
	for (;;) {
		enum sl_status st =
			sl_index_lmdb_seek(f, r->tree, from.base, from.len, after, &key, &value);
		if (st != SL_OK)
			return st;
		if (r->hi_n > 0 && memcmp(key.mv_data, r->hi, sl_min(key.mv_size, r->hi_n)) > 0)
			return SL_END;
		if (key.mv_size > sizeof(f->entry.bytes))
			return sl_index_lmdb_corrupt("index/key", f->t->diag);
		if (r->want.len == 0)
			break;
		if (sl_index_key_get(sl_cur_of(key.mv_data, key.mv_size), &e) != SL_OK)
			return sl_index_lmdb_corrupt("index/key", f->t->diag);
		from.len = 0;
		if (!skip_to(r, &e, &from))
			break;
		after = false;
	}
	memcpy(f->entry.bytes, key.mv_data, key.mv_size);
	f->entry.n = key.mv_size;
	return SL_OK;
}

/* An entry of a list is the place in it and, since one series UID may be in several studies, a study. */
static void set_list_entry(struct sl_index_lmdb_finder *f, uint64_t i, uint64_t study)
{
	struct sl_wbuf w = sl_wbuf_of(f->entry.bytes, sizeof(f->entry.bytes));
	sl_lmdb_key_put_uint(&w, i);
	sl_lmdb_key_put_uint(&w, study);
	f->entry.n = w.len;
}

bool sl_index_lmdb_list_entry(const struct sl_index_lmdb_finder *f, uint64_t *i, uint64_t *study)
{
	struct sl_cur c = sl_cur_of(f->entry.bytes, f->entry.n);
	*i = sl_lmdb_key_uint(&c);
	*study = sl_lmdb_key_uint(&c);
	return !c.bad && sl_cur_left(&c) == 0;
}

/* The first study from `from` on that has that series. */
static enum sl_status next_study_of(
	struct sl_index_lmdb_finder *f, const struct sl_uid *series, uint64_t from, uint64_t *study)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	MDB_val found, value;
	sl_lmdb_key_put_uid_end(&key, series->s, series->len);
	size_t n = key.len;
	sl_lmdb_key_put_uint(&key, from);
	enum sl_status st =
		sl_index_lmdb_seek(f, SL_TREE_SERIES_UID, key.base, key.len, false, &found, &value);
	if (st != SL_OK)
		return st;
	if (found.mv_size <= n || memcmp(found.mv_data, key.base, n) != 0)
		return SL_END;
	struct sl_cur c = sl_cur_of((const uint8_t *)found.mv_data + n, found.mv_size - n);
	*study = sl_lmdb_key_uint(&c);
	return c.bad ? sl_index_lmdb_corrupt("index/series.uid", f->t->diag) : SL_OK;
}

static bool is_named_before(const struct sl_index_lmdb_range *r, uint64_t i)
{
	for (uint64_t k = 0; k < i; k++)
		if (sl_uid_equal(&r->uids[k], &r->uids[i]))
			return true;
	return false;
}

static enum sl_status next_in_list(
	struct sl_index_lmdb_finder *f, const struct sl_index_lmdb_range *r, bool again)
{
	uint64_t i = 0, study = 0, found = 0;
	if (f->entry.n > 0 && !sl_index_lmdb_list_entry(f, &i, &study))
		return sl_fail(f->t->diag, SL_E_CORRUPT, 0, "index/cursor",
			"the cursor is not of this query");
	if (f->entry.n > 0 && !again && r->key == SL_KEY_SERIES_UID)
		study++;
	else if (f->entry.n > 0 && !again)
		i++;
	for (; i < r->uids_n; i++, study = 0) {
		enum sl_status st = SL_OK;
		f->steps++;
		if (is_named_before(r, i))
			continue;
		if (r->key == SL_KEY_SERIES_UID)
			st = next_study_of(f, &r->uids[i], study, &found);
		if (st == SL_END)
			continue;
		if (st == SL_OK)
			set_list_entry(f, i, found);
		return st;
	}
	return SL_END;
}

enum sl_status sl_index_lmdb_next_entry(
	struct sl_index_lmdb_finder *f, const struct sl_index_lmdb_range *r, bool again)
{
	if (r->uids != NULL || r->key == SL_KEY_STUDY_UID || r->key == SL_KEY_SERIES_UID ||
		r->key == SL_KEY_SOP_UID)
		return next_in_list(f, r, again);
	return next_in_tree(f, r, again);
}
