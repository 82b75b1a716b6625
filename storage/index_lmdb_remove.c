/* Removals: rows out and tombstone in, in one commit.
 *
 * What a row names goes with it: the UID of an instance, the UID of a series, the key of a patient.
 * Where a UID has versions that stay, the best of them becomes current.
 * Rows above lose the counts of what went and disappear with their last row below; their values, and
 * the span of seq and arrival, stay as they came in. Numbers are not given again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

static enum sl_status put_tombstone(struct sl_index_txn *t, const struct sl_index_tombstone *tomb)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX], rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb)), w = sl_wbuf_of(rb, sizeof(rb));
	if (tomb->seq == 0)
		return SL_OK;
	t->state.next_seq = sl_max64(t->state.next_seq, tomb->seq + 1);
	sl_lmdb_key_put_uint(&key, tomb->seq);
	sl_index_row_put_tombstone(&w, tomb);
	return sl_index_lmdb_put(t, SL_TREE_TOMBSTONE, &key, &w);
}

static void uncount_conflict(struct sl_index_txn *t, uint32_t flags)
{
	if (flags & SL_INDEX_ROW_CONFLICT)
		t->state.usage.conflicts--;
}

/* ---- one row and what names it ----------------------------------------------------------------- */

static enum sl_status remove_uid(struct sl_index_txn *t, const struct sl_uid *uid)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uid(&key, uid->s, uid->len);
	return sl_index_lmdb_must(t, sl_index_lmdb_del(t, SL_TREE_UID, &key), "index/uid");
}

static enum sl_status remove_series_row(struct sl_index_txn *t, uint64_t study, uint64_t series,
	const struct sl_index_row_study *above, const struct sl_index_row_series *row)
{
	struct sl_index_lmdb_keys keys = {.t = t, .what = SL_INDEX_LMDB_KEYS_DEL};
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_lmdb_key_series_uid(&key, &row->uid, study);
	enum sl_status st = sl_index_lmdb_del(t, SL_TREE_SERIES_UID, &key);
	if (st == SL_OK) {
		key.len = 0;
		sl_lmdb_key_put_uint(&key, study);
		sl_lmdb_key_put_uint(&key, series);
		st = sl_index_lmdb_del(t, SL_TREE_SERIES, &key);
	}
	t->state.usage.series--;
	uncount_conflict(t, row->flags);
	if (st == SL_OK)
		st = sl_index_lmdb_keys_of_series(&keys, study, series, above, row);
	return sl_index_lmdb_must(t, st, "index/series");
}

/* Takes one study off its patient. */
static enum sl_status leave_patient(struct sl_index_txn *t, uint64_t no)
{
	struct sl_index_row_patient row;
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	enum sl_status st =
		sl_index_lmdb_must(t, sl_index_lmdb_get_patient(t, no, &row), "index/patient");
	if (st != SL_OK)
		return st;
	if (row.studies_n > 1) {
		row.studies_n--;
		return sl_index_lmdb_put_patient(t, no, &row);
	}
	struct sl_index_lmdb_keys keys = {.t = t, .what = SL_INDEX_LMDB_KEYS_DEL};
	struct sl_wbuf name = {row.key, sizeof(row.key), row.key_len, false};
	sl_lmdb_key_put_uint(&key, no);
	st = sl_index_lmdb_del(t, SL_TREE_PATIENT_KEY, &name);
	if (st == SL_OK)
		st = sl_index_lmdb_del(t, SL_TREE_PATIENT, &key);
	t->state.usage.patients--;
	uncount_conflict(t, row.flags);
	if (st == SL_OK)
		st = sl_index_lmdb_keys_of_patient(&keys, no, &row);
	return sl_index_lmdb_must(t, st, "index/patient");
}

static enum sl_status remove_study_row(
	struct sl_index_txn *t, uint64_t no, const struct sl_index_row_study *row)
{
	struct sl_index_lmdb_keys keys = {.t = t, .what = SL_INDEX_LMDB_KEYS_DEL};
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uid_end(&key, row->uid.s, row->uid.len);
	enum sl_status st = sl_index_lmdb_del(t, SL_TREE_STUDY_UID, &key);
	if (st == SL_OK) {
		key.len = 0;
		sl_lmdb_key_put_uint(&key, no);
		st = sl_index_lmdb_del(t, SL_TREE_STUDY, &key);
	}
	if (st == SL_OK)
		st = sl_index_lmdb_move_arrival(t, no, row->counts.last_seq, 0);
	if (st == SL_OK)
		st = sl_index_lmdb_keys_of_study(&keys, no, row);
	t->state.usage.studies--;
	uncount_conflict(t, row->flags);
	st = sl_index_lmdb_must(t, st, "index/study");
	return st == SL_OK ? leave_patient(t, row->patient) : st;
}

/* Names the modalities of a study anew from the series it still has. */
static enum sl_status recount_modalities(
	struct sl_index_txn *t, uint64_t no, struct sl_index_row_study *study)
{
	study->modalities_n = 0;
	for (uint64_t series = 0; series < study->next_series; series++) {
		struct sl_index_row_series row;
		enum sl_status st = sl_index_lmdb_get_series(t, no, series, &row);
		if (st == SL_E_NOTFOUND)
			continue;
		if (st != SL_OK)
			return st;
		if (row.text.len[SL_ATTR_MODALITY] > 0)
			sl_index_row_add_modality(study,
				row.text.bytes + row.text.at[SL_ATTR_MODALITY],
				row.text.len[SL_ATTR_MODALITY]);
	}
	return SL_OK;
}

static enum sl_status uncount(
	struct sl_index_txn *t, struct sl_index_counts *n, const struct sl_index_removed *gone)
{
	if (n->instances < gone->instances || n->versions < gone->versions ||
		n->bytes < gone->bytes)
		return sl_index_lmdb_corrupt("index/counts", t->diag);
	n->instances -= gone->instances;
	n->versions -= gone->versions;
	n->bytes -= gone->bytes;
	return SL_OK;
}

static enum sl_status uncount_usage(struct sl_index_txn *t, const struct sl_index_removed *gone)
{
	struct sl_index_usage *u = &t->state.usage;
	if (u->instances < gone->instances || u->versions < gone->versions ||
		u->bytes < gone->bytes)
		return sl_index_lmdb_corrupt("index/usage", t->diag);
	u->instances -= gone->instances;
	u->versions -= gone->versions;
	u->bytes -= gone->bytes;
	return SL_OK;
}

/* ---- an instance ------------------------------------------------------------------------------- */

static enum sl_status take_instance(struct sl_index_txn *t, const struct sl_index_row_place *place,
	const struct sl_index_row_series *series, struct sl_index_row_instance *row)
{
	struct sl_cur c;
	uint8_t kb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_row_put_place(&key, place);
	enum sl_status st = sl_index_lmdb_must(
		t, sl_index_lmdb_get(t, SL_TREE_INSTANCE, &key, &c), "index/uid");
	if (st == SL_OK && sl_index_row_instance(c, &series->uid, row) != SL_OK)
		st = sl_index_lmdb_corrupt("index/instance", t->diag);
	return st == SL_OK ? sl_index_lmdb_del(t, SL_TREE_INSTANCE, &key) : st;
}

/* Writes or removes the rows above an instance that went. */
static enum sl_status settle(struct sl_index_txn *t, const struct sl_index_row_place *place,
	struct sl_index_row_study *study, struct sl_index_row_series *series,
	struct sl_index_removed *gone)
{
	enum sl_status st = uncount(t, &series->counts, gone);
	if (st == SL_OK)
		st = uncount(t, &study->counts, gone);
	if (st == SL_OK)
		st = uncount_usage(t, gone);
	gone->series_gone = series->counts.versions == 0;
	gone->study_gone = study->counts.versions == 0;
	if (st == SL_OK && gone->series_gone) {
		st = remove_series_row(t, place->study, place->series, study, series);
		study->series_n--;
		if (st == SL_OK && !gone->study_gone)
			st = recount_modalities(t, place->study, study);
	} else if (st == SL_OK) {
		st = sl_index_lmdb_put_series(t, place->study, place->series, series);
	}
	if (st != SL_OK)
		return st;
	return gone->study_gone ? remove_study_row(t, place->study, study)
				: sl_index_lmdb_put_study(t, place->study, study);
}

/* What was current under a UID is gone: the best of those behind takes its place, and the UID is not
 * gone then. `except` as in sl_index_lmdb_best_behind(). */
static enum sl_status succeed(
	struct sl_index_txn *t, const struct sl_uid *uid, uint64_t except, uint64_t *successors)
{
	struct sl_index_lmdb_version next;
	enum sl_status st = sl_index_lmdb_best_behind(t, uid, except, &next);
	if (st == SL_E_NOTFOUND)
		return SL_OK;
	if (st == SL_OK)
		st = sl_index_lmdb_set_current(t, NULL, uid, &next, true);
	*successors += 1;
	return st;
}

static enum sl_status remove_one(struct sl_index_txn *t, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *gone)
{
	struct sl_index_row_place place;
	struct sl_index_row_study study;
	struct sl_index_row_series series;
	struct sl_index_row_instance row;
	enum sl_status st = sl_index_lmdb_get_place(t, uid, &place);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_must(t, sl_index_lmdb_get_study(t, place.study, &study), "index/study");
	if (st == SL_OK)
		st = sl_index_lmdb_must(t,
			sl_index_lmdb_get_series(t, place.study, place.series, &series),
			"index/series");
	if (st == SL_OK)
		st = take_instance(t, &place, &series, &row);
	if (st == SL_OK)
		st = remove_uid(t, uid);
	if (st != SL_OK)
		return st;
	uint64_t successors = 0;
	*gone = (struct sl_index_removed){.instances = 1, .versions = 1, .bytes = row.file_len};
	st = settle(t, &place, &study, &series, gone);
	if (st == SL_OK)
		st = succeed(t, uid, 0, &successors);
	if (st != SL_OK)
		return st;
	gone->instances -= successors;
	const struct sl_index_tombstone tomb = {
		.seq = tombstone_seq,
		.kind = SL_INDEX_TOMB_INSTANCE,
		.volume = series.volume,
		.study_instance_uid = study.uid,
		.series_instance_uid = series.uid,
		.sop_instance_uid = row.uid,
		.object_seq = row.seq,
		.is_plain_name = (row.flags & SL_RECORD_PLAIN_NAME) != 0,
	};
	return put_tombstone(t, &tomb);
}

enum sl_status sl_index_lmdb_remove_instance(struct sl_index *base, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *diag)
{
	struct sl_index_txn t;
	*removed = (struct sl_index_removed){0};
	enum sl_status st = sl_index_lmdb_begin(sl_index_lmdb_of(base), &t, diag);
	if (st != SL_OK)
		return st;
	return sl_index_lmdb_end(&t, remove_one(&t, uid, tombstone_seq, removed));
}

/* ---- a study ----------------------------------------------------------------------------------- */

/* The names of a row that goes with its study. */
static enum sl_status remove_names(struct sl_index_txn *t, uint64_t study,
	const struct sl_index_row_instance *row, uint64_t *successors)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	if (row->is_behind) {
		sl_index_lmdb_key_version(&key, &row->uid, row->seq);
		return sl_index_lmdb_must(
			t, sl_index_lmdb_del(t, SL_TREE_VERSION, &key), "index/version");
	}
	enum sl_status st = remove_uid(t, &row->uid);
	return st == SL_OK ? succeed(t, &row->uid, study, successors) : st;
}

/* Removes the instances of one series, by a cursor over their places. */
static enum sl_status empty_series(struct sl_index_txn *t, MDB_cursor *cursor, uint64_t study,
	uint64_t series, const struct sl_uid *series_uid, struct sl_index_removed *gone,
	uint64_t *successors)
{
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	sl_lmdb_key_put_uint(&prefix, study);
	sl_lmdb_key_put_uint(&prefix, series);
	MDB_val key = {prefix.len, prefix.base}, value;
	int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0 && sl_index_lmdb_is_below(&key, &prefix)) {
		struct sl_index_row_instance row;
		if (sl_index_row_instance(
			    sl_cur_of(value.mv_data, value.mv_size), series_uid, &row) != SL_OK)
			return sl_index_lmdb_corrupt("index/instance", t->diag);
		/* Before its names: a successor's row is in this tree too. */
		rc = mdb_cursor_del(cursor, 0);
		if (rc != 0)
			break;
		enum sl_status st = remove_names(t, study, &row, successors);
		if (st != SL_OK)
			return st;
		gone->instances += !row.is_behind;
		gone->versions++;
		gone->bytes += row.file_len;
		/* What went was the first below the prefix, so the next one is now. */
		key = (MDB_val){prefix.len, prefix.base};
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	}
	return rc == MDB_NOTFOUND ? SL_OK : sl_index_lmdb_error(rc, "lmdb/del", t->diag);
}

static enum sl_status empty_study(struct sl_index_txn *t, uint64_t no,
	const struct sl_index_row_study *study, uint8_t *volume, struct sl_index_removed *gone,
	uint64_t *successors)
{
	MDB_cursor *cursor = NULL;
	enum sl_status st =
		sl_index_lmdb_error(mdb_cursor_open(t->txn, t->ix->tree[SL_TREE_INSTANCE], &cursor),
			"lmdb/cursor", t->diag);
	for (uint64_t series = 0; series < study->next_series && st == SL_OK; series++) {
		struct sl_index_row_series row;
		st = sl_index_lmdb_get_series(t, no, series, &row);
		if (st == SL_OK) {
			*volume = row.volume;
			st = empty_series(t, cursor, no, series, &row.uid, gone, successors);
			if (st == SL_OK)
				st = remove_series_row(t, no, series, study, &row);
		} else if (st == SL_E_NOTFOUND) {
			st = SL_OK; /* that series went before */
		}
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	return st;
}

static enum sl_status remove_all(struct sl_index_txn *t, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *gone)
{
	struct sl_index_row_study study;
	uint64_t no, successors = 0;
	uint8_t volume = 0;
	enum sl_status st = sl_index_lmdb_find_study(t, uid, &no);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_must(t, sl_index_lmdb_get_study(t, no, &study), "index/study");
	if (st == SL_OK)
		st = empty_study(t, no, &study, &volume, gone, &successors);
	if (st == SL_OK)
		st = uncount_usage(t, gone);
	if (st == SL_OK)
		st = remove_study_row(t, no, &study);
	if (st != SL_OK)
		return st;
	gone->instances -= successors;
	gone->study_gone = gone->series_gone = true;
	const struct sl_index_tombstone tomb = {
		.seq = tombstone_seq,
		.kind = SL_INDEX_TOMB_STUDY,
		.volume = volume,
		.study_instance_uid = study.uid,
	};
	return put_tombstone(t, &tomb);
}

enum sl_status sl_index_lmdb_remove_studies(
	struct sl_index *base, struct sl_index_removal *removals, size_t n, struct sl_diag *diag)
{
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_begin(sl_index_lmdb_of(base), &t, diag);
	if (st != SL_OK)
		return st;
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		struct sl_index_removal *r = &removals[i];
		r->removed = (struct sl_index_removed){0};
		st = remove_all(&t, &r->study_instance_uid, r->tombstone_seq, &r->removed);
		r->status = st;
		if (st == SL_E_NOTFOUND)
			st = SL_OK;
	}
	return sl_index_lmdb_end(&t, st);
}

enum sl_status sl_index_lmdb_drop_tombstones(
	struct sl_index *base, const uint64_t *seqs, size_t n, struct sl_diag *diag)
{
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_begin(sl_index_lmdb_of(base), &t, diag);
	if (st != SL_OK)
		return st;
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		uint8_t kb[SL_LMDB_KEY_UINT_MAX];
		struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
		sl_lmdb_key_put_uint(&key, seqs[i]);
		st = sl_index_lmdb_del(&t, SL_TREE_TOMBSTONE, &key);
		if (st == SL_E_NOTFOUND)
			st = SL_OK;
	}
	return sl_index_lmdb_end(&t, st);
}
