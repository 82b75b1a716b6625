/* Loading: the rows that an entry of the walk, or a step down from a row, leads to.
 *
 * What is loaded stays in the finder until the transaction ends: a row and those above it are read
 * once for all the entries that lead there one after the other. A row that another names and that is
 * not there is damage. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_find_priv.h"

/* ---- rows -------------------------------------------------------------------------------------- */

static void set_loaded(struct sl_index_lmdb_finder *f, enum sl_attr_level level, uint64_t no)
{
	f->no[level] = no;
	f->is_loaded[level] = true;
	for (unsigned below = level + 1u; below < SL_INDEX_LMDB_LEVELS; below++)
		f->is_loaded[below] = false;
}

static enum sl_status load_patient(struct sl_index_lmdb_finder *f, uint64_t no)
{
	if (f->is_loaded[SL_LEVEL_PATIENT] && f->no[SL_LEVEL_PATIENT] == no)
		return SL_OK;
	f->steps++;
	f->is_loaded[SL_LEVEL_PATIENT] = false;
	enum sl_status st = sl_index_lmdb_must(
		f->t, sl_index_lmdb_get_patient(f->t, no, &f->patient), "index/patient");
	if (st == SL_OK)
		set_loaded(f, SL_LEVEL_PATIENT, no);
	return st;
}

/* The study and its patient. */
static enum sl_status load_study(struct sl_index_lmdb_finder *f, uint64_t no)
{
	if (f->is_loaded[SL_LEVEL_STUDY] && f->no[SL_LEVEL_STUDY] == no)
		return SL_OK;
	f->steps++;
	f->is_loaded[SL_LEVEL_STUDY] = false;
	enum sl_status st = sl_index_lmdb_must(
		f->t, sl_index_lmdb_get_study(f->t, no, &f->study), "index/study");
	if (st == SL_OK)
		st = load_patient(f, f->study.patient);
	if (st == SL_OK)
		set_loaded(f, SL_LEVEL_STUDY, no);
	return st;
}

static enum sl_status load_series(struct sl_index_lmdb_finder *f, uint64_t study, uint64_t no)
{
	enum sl_status st = load_study(f, study);
	if (st != SL_OK || (f->is_loaded[SL_LEVEL_SERIES] && f->no[SL_LEVEL_SERIES] == no))
		return st;
	f->steps++;
	f->is_loaded[SL_LEVEL_SERIES] = false;
	st = sl_index_lmdb_must(
		f->t, sl_index_lmdb_get_series(f->t, study, no, &f->series), "index/series");
	if (st == SL_OK)
		set_loaded(f, SL_LEVEL_SERIES, no);
	return st;
}

static enum sl_status take_instance(
	struct sl_index_lmdb_finder *f, uint64_t no, const struct sl_cur *row)
{
	if (sl_index_row_instance(*row, &f->series.uid, &f->instance) != SL_OK)
		return sl_index_lmdb_corrupt("index/instance", f->t->diag);
	set_loaded(f, SL_LEVEL_INSTANCE, no);
	return SL_OK;
}

static enum sl_status load_instance(
	struct sl_index_lmdb_finder *f, const struct sl_index_row_place *place)
{
	struct sl_cur row;
	uint8_t kb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	enum sl_status st = load_series(f, place->study, place->series);
	sl_index_row_put_place(&key, place);
	f->steps++;
	if (st == SL_OK)
		st = sl_index_lmdb_must(
			f->t, sl_index_lmdb_get(f->t, SL_TREE_INSTANCE, &key, &row), "index/uid");
	return st == SL_OK ? take_instance(f, place->ordinal, &row) : st;
}

enum sl_status sl_index_lmdb_next_child(
	struct sl_index_lmdb_finder *f, enum sl_attr_level level, uint64_t from)
{
	static const enum sl_index_lmdb_tree trees[SL_INDEX_LMDB_LEVELS] = {
		SL_TREE_META, SL_TREE_KEY, SL_TREE_SERIES, SL_TREE_INSTANCE};
	uint8_t kb[1 + 3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	MDB_val found, value;
	if (level == SL_LEVEL_STUDY) {
		sl_wbuf_u8(&key, SL_KEY_PATIENT_STUDY);
		sl_lmdb_key_put_uint(&key, f->no[SL_LEVEL_PATIENT]);
	}
	for (unsigned above = SL_LEVEL_STUDY; above < level; above++)
		sl_lmdb_key_put_uint(&key, f->no[above]);
	size_t n = key.len;
	sl_lmdb_key_put_uint(&key, from);
	enum sl_status st =
		sl_index_lmdb_seek(f, trees[level], key.base, key.len, false, &found, &value);
	if (st != SL_OK)
		return st;
	if (found.mv_size <= n || memcmp(found.mv_data, key.base, n) != 0)
		return SL_END;
	struct sl_cur tail = sl_cur_of((const uint8_t *)found.mv_data + n, found.mv_size - n);
	struct sl_cur row = sl_cur_of(value.mv_data, value.mv_size);
	uint64_t no = sl_lmdb_key_uint(&tail);
	if (tail.bad || sl_cur_left(&tail) > 0)
		return sl_index_lmdb_corrupt("index/key", f->t->diag);
	if (level == SL_LEVEL_STUDY)
		return load_study(f, no);
	if (level == SL_LEVEL_INSTANCE)
		return take_instance(f, no, &row);
	if (sl_index_row_series(row, &f->series) != SL_OK)
		return sl_index_lmdb_corrupt("index/series", f->t->diag);
	set_loaded(f, SL_LEVEL_SERIES, no);
	return SL_OK;
}

/* ---- what an entry leads to -------------------------------------------------------------------- */

/* A name has an entry for each of its groups: the first of them in the range counts. */
static enum sl_status is_first_name(
	struct sl_index_lmdb_finder *f, const struct sl_index_key_entry *e)
{
	struct sl_index_key_text names[SL_INDEX_GROUPS];
	char value[SL_INDEX_VALUE_MAX];
	struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
	enum sl_status st =
		sl_index_lmdb_read_value(f->t, &f->patient.text, SL_ATTR_PATIENT_NAME, &w);
	size_t n = sl_index_lmdb_name_texts(value, w.len, names);
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		uint8_t kb[SL_INDEX_KEY_MAX];
		struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
		struct sl_index_key_entry other = *e;
		other.text = names[i];
		sl_index_key_put(&key, &other);
		if (memcmp(key.base, f->range.lo, sl_min(key.len, f->range.lo_n)) >= 0 &&
			memcmp(key.base, f->range.hi, sl_min(key.len, f->range.hi_n)) <= 0)
			return key.len == f->entry.n &&
					       memcmp(key.base, f->entry.bytes, key.len) == 0
				       ? SL_OK
				       : SL_END;
	}
	return st == SL_OK ? sl_index_lmdb_corrupt("index/key", f->t->diag) : st;
}

/* Loads what an entry of the tree of keys leads to. */
static enum sl_status load_entry(struct sl_index_lmdb_finder *f, enum sl_attr_level level)
{
	struct sl_index_key_entry e;
	enum sl_status st;
	if (sl_index_key_get(sl_cur_of(f->entry.bytes, f->entry.n), &e) != SL_OK)
		return sl_index_lmdb_corrupt("index/key", f->t->diag);
	if (level == SL_LEVEL_SERIES)
		return load_series(f, e.study, e.series);
	if (level == SL_LEVEL_STUDY)
		return load_study(f, e.study);
	st = load_patient(f, e.patient);
	return st == SL_OK && e.key == SL_KEY_PATIENT_NAME ? is_first_name(f, &e) : st;
}

/* Loads what an entry of a list leads to. SL_END: no such row. */
static enum sl_status load_uid(struct sl_index_lmdb_finder *f)
{
	struct sl_index_row_place place = {0};
	uint64_t i = 0, no = 0;
	if (!sl_index_lmdb_list_entry(f, &i, &place.study) || i >= f->range.uids_n)
		return SL_E_CORRUPT;
	const struct sl_uid *uid = &f->range.uids[i];
	enum sl_status st;
	switch (f->range.key) {
	case SL_KEY_STUDY_UID:
		st = sl_index_lmdb_find_study(f->t, uid, &no);
		return st == SL_OK ? load_study(f, no) : st == SL_E_NOTFOUND ? SL_END : st;
	case SL_KEY_SERIES_UID:
		st = sl_index_lmdb_find_series(f->t, place.study, uid, &no);
		return st == SL_OK ? load_series(f, place.study, no)
				   : sl_index_lmdb_must(f->t, st, "index/series.uid");
	default:
		st = sl_index_lmdb_get_place(f->t, uid, &place);
		return st == SL_OK ? load_instance(f, &place) : st == SL_E_NOTFOUND ? SL_END : st;
	}
}

enum sl_status sl_index_lmdb_load(struct sl_index_lmdb_finder *f, enum sl_attr_level level)
{
	const struct sl_index_lmdb_range *r = &f->range;
	struct sl_wbuf key = {f->entry.bytes, sizeof(f->entry.bytes), f->entry.n, false};
	struct sl_cur c = sl_cur_of(f->entry.bytes, f->entry.n);
	uint64_t no = 0;
	if (r->uids_n > 0)
		return load_uid(f);
	if (r->tree == SL_TREE_KEY)
		return load_entry(f, level);
	if (r->tree == SL_TREE_ARRIVAL) {
		enum sl_status st = sl_index_lmdb_get_number(f->t, SL_TREE_ARRIVAL, &key, &no);
		return st == SL_OK ? load_study(f, no)
				   : sl_index_lmdb_must(f->t, st, "index/arrival");
	}
	no = sl_lmdb_key_uint(&c);
	return level == SL_LEVEL_PATIENT ? load_patient(f, no) : load_study(f, no);
}
