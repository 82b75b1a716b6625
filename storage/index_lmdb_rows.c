/* Rows in and out of the trees.
 *
 * Keys and rows are made in buffers on the stack; what comes out is decoded into values before the
 * transaction goes on, so that no pointer into a page outlives its page.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"
#include "storage/text.h"

static MDB_val val_of(const struct sl_wbuf *w)
{
	sl_assert(!w->bad && w->len > 0);
	return (MDB_val){w->len, w->base};
}

enum sl_status sl_index_lmdb_get(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, struct sl_cur *value)
{
	MDB_val k = val_of(key), v;
	int rc = mdb_get(t->txn, t->ix->tree[tree], &k, &v);
	if (rc == 0)
		*value = sl_cur_of(v.mv_data, v.mv_size);
	return sl_index_lmdb_error(rc, "lmdb/get", t->diag);
}

enum sl_status sl_index_lmdb_put(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, const struct sl_wbuf *value)
{
	MDB_val k = val_of(key), v = val_of(value);
	return sl_index_lmdb_error(
		mdb_put(t->txn, t->ix->tree[tree], &k, &v, 0), "lmdb/put", t->diag);
}

enum sl_status sl_index_lmdb_put_near(struct sl_index_txn *t, MDB_cursor *cursor,
	const struct sl_wbuf *key, const struct sl_wbuf *value)
{
	MDB_val k = val_of(key), v = val_of(value);
	int rc = mdb_cursor_put(cursor, &k, &v, MDB_NOOVERWRITE);
	return rc == MDB_KEYEXIST ? SL_E_EXISTS : sl_index_lmdb_error(rc, "lmdb/put", t->diag);
}

enum sl_status sl_index_lmdb_put_key(struct sl_index_txn *t, const struct sl_wbuf *key)
{
	MDB_val k = val_of(key), nothing = {0, NULL};
	int rc = mdb_put(t->txn, t->ix->tree[SL_TREE_KEY], &k, &nothing, MDB_NOOVERWRITE);
	return sl_index_lmdb_error(rc == MDB_KEYEXIST ? 0 : rc, "lmdb/put", t->diag);
}

enum sl_status sl_index_lmdb_del(
	struct sl_index_txn *t, enum sl_index_lmdb_tree tree, const struct sl_wbuf *key)
{
	MDB_val k = val_of(key);
	return sl_index_lmdb_error(
		mdb_del(t->txn, t->ix->tree[tree], &k, NULL), "lmdb/del", t->diag);
}

/* "Is not there" of a row that must be: damage. */
static enum sl_status decoded(struct sl_index_txn *t, enum sl_status st, const char *where)
{
	return st == SL_E_CORRUPT ? sl_index_lmdb_corrupt(where, t->diag) : st;
}

enum sl_status sl_index_lmdb_get_number(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, uint64_t *out)
{
	struct sl_cur c;
	enum sl_status st = sl_index_lmdb_get(t, tree, key, &c);
	if (st != SL_OK)
		return st;
	*out = sl_lmdb_key_uint(&c);
	if (c.bad || sl_cur_left(&c) > 0)
		return sl_index_lmdb_corrupt("index/number", t->diag);
	return SL_OK;
}

enum sl_status sl_index_lmdb_put_number(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, uint64_t value)
{
	uint8_t bytes[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_lmdb_key_put_uint(&w, value);
	return sl_index_lmdb_put(t, tree, key, &w);
}

/* ---- state ------------------------------------------------------------------------------------- */

enum sl_status sl_index_lmdb_get_state(struct sl_index_txn *t, struct sl_index_row_state *out)
{
	struct sl_cur c;
	uint8_t name[] = {'s', 't', 'a', 't', 'e'};
	struct sl_wbuf key = {name, sizeof(name), sizeof(name), false};
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_META, &key, &c);
	return st == SL_OK ? decoded(t, sl_index_row_state(c, out), "index/state") : st;
}

enum sl_status sl_index_lmdb_put_state(
	struct sl_index_txn *t, const struct sl_index_row_state *state)
{
	uint8_t row[SL_INDEX_ROW_MAX];
	uint8_t name[] = {'s', 't', 'a', 't', 'e'};
	struct sl_wbuf key = {name, sizeof(name), sizeof(name), false};
	struct sl_wbuf w = sl_wbuf_of(row, sizeof(row));
	sl_index_row_put_state(&w, state);
	return sl_index_lmdb_put(t, SL_TREE_META, &key, &w);
}

/* ---- patient, study, series -------------------------------------------------------------------- */

/* Patient and study rows stand under a number of their own. */
static enum sl_status get_numbered(
	struct sl_index_txn *t, enum sl_index_lmdb_tree tree, uint64_t no, struct sl_cur *row)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uint(&key, no);
	return sl_index_lmdb_get(t, tree, &key, row);
}

static enum sl_status put_numbered(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	uint64_t no, const struct sl_wbuf *row)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uint(&key, no);
	return sl_index_lmdb_put(t, tree, &key, row);
}

enum sl_status sl_index_lmdb_get_patient(
	struct sl_index_txn *t, uint64_t no, struct sl_index_row_patient *out)
{
	struct sl_cur c;
	enum sl_status st = get_numbered(t, SL_TREE_PATIENT, no, &c);
	return st == SL_OK ? decoded(t, sl_index_row_patient(c, out), "index/patient") : st;
}

enum sl_status sl_index_lmdb_put_patient(
	struct sl_index_txn *t, uint64_t no, const struct sl_index_row_patient *row)
{
	uint8_t rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(rb, sizeof(rb));
	sl_index_row_put_patient(&w, row);
	return put_numbered(t, SL_TREE_PATIENT, no, &w);
}

enum sl_status sl_index_lmdb_get_study(
	struct sl_index_txn *t, uint64_t no, struct sl_index_row_study *out)
{
	struct sl_cur c;
	enum sl_status st = get_numbered(t, SL_TREE_STUDY, no, &c);
	return st == SL_OK ? decoded(t, sl_index_row_study(c, out), "index/study") : st;
}

enum sl_status sl_index_lmdb_get_study_uid(struct sl_index_txn *t, uint64_t no, struct sl_uid *out)
{
	struct sl_cur c;
	enum sl_status st = get_numbered(t, SL_TREE_STUDY, no, &c);
	return st == SL_OK ? decoded(t, sl_index_row_study_uid(c, out), "index/study") : st;
}

enum sl_status sl_index_lmdb_put_study(
	struct sl_index_txn *t, uint64_t no, const struct sl_index_row_study *row)
{
	uint8_t rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(rb, sizeof(rb));
	sl_index_row_put_study(&w, row);
	return put_numbered(t, SL_TREE_STUDY, no, &w);
}

static enum sl_status get_series_row(
	struct sl_index_txn *t, uint64_t study, uint64_t series, struct sl_cur *row)
{
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uint(&key, study);
	sl_lmdb_key_put_uint(&key, series);
	return sl_index_lmdb_get(t, SL_TREE_SERIES, &key, row);
}

enum sl_status sl_index_lmdb_get_series(
	struct sl_index_txn *t, uint64_t study, uint64_t series, struct sl_index_row_series *out)
{
	struct sl_cur c;
	enum sl_status st = get_series_row(t, study, series, &c);
	return st == SL_OK ? decoded(t, sl_index_row_series(c, out), "index/series") : st;
}

enum sl_status sl_index_lmdb_get_series_head(struct sl_index_txn *t, uint64_t study,
	uint64_t series, struct sl_uid *uid, uint8_t *volume)
{
	struct sl_cur c;
	enum sl_status st = get_series_row(t, study, series, &c);
	return st == SL_OK ? decoded(t, sl_index_row_series_head(c, uid, volume), "index/series")
			   : st;
}

enum sl_status sl_index_lmdb_put_series(struct sl_index_txn *t, uint64_t study, uint64_t series,
	const struct sl_index_row_series *row)
{
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX], rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb)), w = sl_wbuf_of(rb, sizeof(rb));
	sl_lmdb_key_put_uint(&key, study);
	sl_lmdb_key_put_uint(&key, series);
	sl_index_row_put_series(&w, row);
	return sl_index_lmdb_put(t, SL_TREE_SERIES, &key, &w);
}

/* ---- by UID ------------------------------------------------------------------------------------ */

enum sl_status sl_index_lmdb_get_place(
	struct sl_index_txn *t, const struct sl_uid *uid, struct sl_index_row_place *out)
{
	struct sl_cur c;
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	if (uid->len == 0)
		return SL_E_NOTFOUND;
	sl_lmdb_key_put_uid(&key, uid->s, uid->len);
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_UID, &key, &c);
	return st == SL_OK ? decoded(t, sl_index_row_place(c, out), "index/uid") : st;
}

enum sl_status sl_index_lmdb_find_study(
	struct sl_index_txn *t, const struct sl_uid *uid, uint64_t *no)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uid_end(&key, uid->s, uid->len);
	return sl_index_lmdb_get_number(t, SL_TREE_STUDY_UID, &key, no);
}

void sl_index_lmdb_key_series_uid(struct sl_wbuf *w, const struct sl_uid *uid, uint64_t study)
{
	sl_lmdb_key_put_uid_end(w, uid->s, uid->len);
	sl_lmdb_key_put_uint(w, study);
}

enum sl_status sl_index_lmdb_find_series(
	struct sl_index_txn *t, uint64_t study, const struct sl_uid *uid, uint64_t *series)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_lmdb_key_series_uid(&key, uid, study);
	return sl_index_lmdb_get_number(t, SL_TREE_SERIES_UID, &key, series);
}

enum sl_status sl_index_lmdb_move_arrival(
	struct sl_index_txn *t, uint64_t study, uint64_t from_seq, uint64_t to_seq)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	enum sl_status st = SL_OK;
	if (from_seq != 0) {
		sl_lmdb_key_put_uint(&key, from_seq);
		st = sl_index_lmdb_del(t, SL_TREE_ARRIVAL, &key);
		if (st == SL_E_NOTFOUND)
			st = sl_index_lmdb_corrupt("index/arrival", t->diag);
	}
	if (st != SL_OK || to_seq == 0)
		return st;
	key.len = 0;
	sl_lmdb_key_put_uint(&key, to_seq);
	return sl_index_lmdb_put_number(t, SL_TREE_ARRIVAL, &key, study);
}

/* ---- dictionary and text ----------------------------------------------------------------------- */

enum { NUMBER_BY_WORD = 2, WORD_MAX = 128 };

enum sl_status sl_index_lmdb_find_word(
	struct sl_index_txn *t, const char *word, size_t n, uint32_t *no)
{
	uint8_t kb[1 + WORD_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	uint64_t found = 0;
	sl_wbuf_u8(&key, NUMBER_BY_WORD);
	sl_wbuf_put(&key, word, n);
	*no = 0;
	if (key.bad)
		return SL_E_NOTFOUND;
	enum sl_status st = sl_index_lmdb_get_number(t, SL_TREE_DICT, &key, &found);
	*no = found <= UINT32_MAX ? (uint32_t)found : 0;
	return st;
}

enum sl_status sl_index_lmdb_put_word(
	struct sl_index_txn *t, const char *word, size_t n, uint32_t *no)
{
	uint8_t kb[1 + WORD_MAX], nb[1 + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb)), by_no = sl_wbuf_of(nb, sizeof(nb));
	struct sl_wbuf value = {(uint8_t *)kb + 1, n, n, false};
	uint64_t found = 0;
	*no = 0;
	if (n == 0)
		return SL_OK;
	sl_wbuf_u8(&key, NUMBER_BY_WORD);
	sl_wbuf_put(&key, word, n);
	enum sl_status st = sl_index_lmdb_get_number(t, SL_TREE_DICT, &key, &found);
	if (st == SL_E_NOTFOUND) {
		if (t->state.next_word > UINT32_MAX)
			return sl_fail(t->diag, SL_E_LIMIT, 0, "index/dict",
				"the index's dictionary has no number left");
		found = t->state.next_word++;
		sl_wbuf_u8(&by_no, SL_INDEX_LMDB_WORD_BY_NUMBER);
		sl_lmdb_key_put_uint(&by_no, found);
		st = sl_index_lmdb_put_number(t, SL_TREE_DICT, &key, found);
		if (st == SL_OK)
			st = sl_index_lmdb_put(t, SL_TREE_DICT, &by_no, &value);
	}
	*no = (uint32_t)found;
	return st;
}

enum sl_status sl_index_lmdb_get_word(
	struct sl_index_txn *t, uint32_t no, char *out, size_t cap, size_t *n)
{
	struct sl_cur c;
	uint8_t kb[1 + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	*n = 0;
	if (no == 0)
		return SL_OK;
	sl_wbuf_u8(&key, SL_INDEX_LMDB_WORD_BY_NUMBER);
	sl_lmdb_key_put_uint(&key, no);
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_DICT, &key, &c);
	if (st == SL_E_NOTFOUND || (st == SL_OK && sl_cur_left(&c) > cap))
		return sl_index_lmdb_corrupt("index/dict", t->diag);
	if (st != SL_OK)
		return st;
	*n = sl_cur_left(&c);
	memcpy(out, c.p, *n);
	return SL_OK;
}

enum sl_status sl_index_lmdb_read_value(struct sl_index_txn *t, const struct sl_index_row_text *row,
	enum sl_attr a, struct sl_wbuf *w)
{
	char charset[WORD_MAX];
	size_t charset_n;
	enum sl_status st =
		sl_index_lmdb_get_word(t, row->charset[a], charset, sizeof(charset), &charset_n);
	if (st != SL_OK)
		return st;
	struct sl_text_charset cs = sl_text_charset_of(charset, charset_n);
	sl_text_to_utf8(w, row->bytes + row->at[a], row->len[a], sl_text_kind_of(a), &cs);
	return SL_OK;
}

enum sl_status sl_index_lmdb_read_text(
	struct sl_index_txn *t, const struct sl_index_row_text *row, struct sl_index_text *out)
{
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		if (row->len[a] == 0)
			continue;
		struct sl_wbuf w = sl_wbuf_of(out->utf8 + out->used, sizeof(out->utf8) - out->used);
		enum sl_status st = sl_index_lmdb_read_value(t, row, a, &w);
		if (st != SL_OK)
			return st;
		out->at[a] = out->used;
		out->len[a] = (uint16_t)w.len;
		out->used = (uint16_t)(out->used + w.len);
	}
	return SL_OK;
}
