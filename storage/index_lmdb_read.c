/* Readers: rows as the seam shows them, and lookups by UID. Pages are in index_lmdb_list.c.
 *
 * A reader is one read transaction, kept and renewed (MDB_NOTLS: the slot is the transaction's, not
 * the thread's), and one cursor for each tree that is walked: a call allocates nothing. The transaction
 * is reset before the call returns, so that no slow client ever pins pages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <stdlib.h>

static const enum sl_index_lmdb_tree walked[] = {SL_TREE_STUDY, SL_TREE_SERIES, SL_TREE_SERIES_UID,
	SL_TREE_INSTANCE, SL_TREE_TOMBSTONE, SL_TREE_ARRIVAL, SL_TREE_VERSION, SL_TREE_PATIENT,
	SL_TREE_KEY};

void sl_index_lmdb_close_reader(struct sl_index_reader *base)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	for (size_t i = 0; i < SL_TREE_N; i++)
		if (rd->cursor[i] != NULL)
			mdb_cursor_close(rd->cursor[i]);
	if (rd->txn != NULL)
		mdb_txn_abort(rd->txn);
	free(rd->finder);
	free(rd);
}

enum sl_status sl_index_lmdb_open_reader(
	struct sl_index *base, struct sl_index_reader **out, struct sl_diag *diag)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	struct sl_index_lmdb_reader *rd = calloc(1, sizeof(*rd));
	*out = NULL;
	if (rd == NULL)
		return sl_fail(diag, SL_E_NOMEM, 0, "index/reader", "out of memory");
	rd->base.index = base;
	rd->finder = sl_index_lmdb_finder_new();
	if (rd->finder == NULL) {
		free(rd);
		return sl_fail(diag, SL_E_NOMEM, 0, "index/reader", "out of memory");
	}
	int rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &rd->txn);
	for (size_t i = 0; i < SL_ARRAY_N(walked) && rc == 0; i++)
		rc = mdb_cursor_open(rd->txn, ix->tree[walked[i]], &rd->cursor[walked[i]]);
	if (rc != 0) {
		sl_index_lmdb_close_reader(&rd->base);
		return sl_index_lmdb_error(rc, "lmdb/reader", diag);
	}
	mdb_txn_reset(rd->txn);
	*out = &rd->base;
	return SL_OK;
}

enum sl_status sl_index_lmdb_read_begin(
	struct sl_index_lmdb_reader *rd, struct sl_index_txn *t, struct sl_diag *diag)
{
	*t = (struct sl_index_txn){.ix = sl_index_lmdb_of(rd->base.index),
		.txn = rd->txn,
		.words = rd->words,
		.diag = diag};
	return sl_index_lmdb_error(mdb_txn_renew(rd->txn), "lmdb/renew", diag);
}

enum sl_status sl_index_lmdb_read_end(struct sl_index_lmdb_reader *rd, enum sl_status st)
{
	mdb_txn_reset(rd->txn);
	return st;
}

/* ---- rows as the seam shows them --------------------------------------------------------------- */

/* SOP class or transfer syntax, most often one that was shown before. */
static enum sl_status show_word(struct sl_index_txn *t, uint32_t no, struct sl_uid *out)
{
	struct sl_index_lmdb_word *known = &t->words[no % SL_INDEX_LMDB_WORDS];
	size_t n;
	if (known->no != no) {
		*known = (struct sl_index_lmdb_word){0};
		enum sl_status st = sl_index_lmdb_get_word(t, no, known->uid.s, SL_UID_MAX, &n);
		if (st != SL_OK)
			return st;
		known->uid.len = (uint8_t)n;
		known->no = no;
	}
	*out = known->uid;
	return SL_OK;
}

enum sl_status sl_index_lmdb_show_instance(struct sl_index_txn *t,
	const struct sl_index_row_instance *row, const struct sl_uid *study,
	const struct sl_uid *series, uint8_t volume, struct sl_index_instance *out)
{
	out->study_instance_uid = *study;
	out->series_instance_uid = *series;
	out->sop_instance_uid = row->uid;
	out->seq = row->seq;
	out->dataset_len = row->dataset_len;
	out->file_len = row->file_len;
	out->instance_number = row->instance_number;
	out->frames = row->frames;
	out->flags = row->flags;
	out->is_current = !row->is_behind;
	out->volume = volume;
	enum sl_status st = show_word(t, row->sop_class, &out->sop_class_uid);
	return st == SL_OK ? show_word(t, row->transfer_syntax, &out->transfer_syntax_uid) : st;
}

enum sl_status sl_index_lmdb_show_row(struct sl_index_txn *t, struct sl_cur c,
	const struct sl_uid *study, const struct sl_uid *series, uint8_t volume,
	struct sl_index_instance *out)
{
	struct sl_index_row_instance row;
	if (sl_index_row_instance(c, series, &row) != SL_OK)
		return sl_index_lmdb_corrupt("index/instance", t->diag);
	return sl_index_lmdb_show_instance(t, &row, study, series, volume, out);
}

enum sl_status sl_index_lmdb_show_series(struct sl_index_txn *t, const struct sl_uid *study,
	const struct sl_index_row_series *row, struct sl_index_series *out)
{
	out->study_instance_uid = *study;
	out->series_instance_uid = row->uid;
	out->counts = row->counts;
	out->volume = row->volume;
	out->is_conflict = (row->flags & SL_INDEX_ROW_CONFLICT) != 0;
	memset(&out->text, 0, offsetof(struct sl_index_text, utf8));
	return sl_index_lmdb_read_text(t, &row->text, &out->text);
}

enum sl_status sl_index_lmdb_show_study(
	struct sl_index_txn *t, const struct sl_index_row_study *row, struct sl_index_study *out)
{
	struct sl_index_row_patient patient;
	out->study_instance_uid = row->uid;
	out->counts = row->counts;
	out->series_n = row->series_n;
	out->modalities_n = row->modalities_n;
	memcpy(out->modalities, row->modalities, sizeof(out->modalities));
	out->is_conflict = (row->flags & SL_INDEX_ROW_CONFLICT) != 0;
	out->patient = row->patient;
	memset(&out->text, 0, offsetof(struct sl_index_text, utf8));
	enum sl_status st = sl_index_lmdb_must(
		t, sl_index_lmdb_get_patient(t, row->patient, &patient), "index/patient");
	if (st == SL_OK)
		st = sl_index_lmdb_read_text(t, &row->text, &out->text);
	return st == SL_OK ? sl_index_lmdb_read_text(t, &patient.text, &out->text) : st;
}

/* ---- lookups ----------------------------------------------------------------------------------- */

enum sl_status sl_index_lmdb_show_place(struct sl_index_txn *t,
	const struct sl_index_row_place *place, struct sl_index_instance *out)
{
	struct sl_uid study, series;
	uint8_t volume = 0;
	struct sl_cur c;
	uint8_t kb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_row_put_place(&key, place);
	enum sl_status st = sl_index_lmdb_must(
		t, sl_index_lmdb_get_study_uid(t, place->study, &study), "index/study");
	if (st == SL_OK)
		st = sl_index_lmdb_must(t,
			sl_index_lmdb_get_series_head(
				t, place->study, place->series, &series, &volume),
			"index/series");
	if (st == SL_OK)
		st = sl_index_lmdb_must(
			t, sl_index_lmdb_get(t, SL_TREE_INSTANCE, &key, &c), "index/instance");
	return st == SL_OK ? sl_index_lmdb_show_row(t, c, &study, &series, volume, out) : st;
}

static enum sl_status find_instance(
	struct sl_index_txn *t, const struct sl_uid *uid, struct sl_index_instance *out)
{
	struct sl_index_row_place place;
	enum sl_status st = sl_index_lmdb_get_place(t, uid, &place);
	return st == SL_OK ? sl_index_lmdb_show_place(t, &place, out) : st;
}

enum sl_status sl_index_lmdb_locate_instance(struct sl_index_reader *base, const struct sl_uid *uid,
	struct sl_index_instance *out, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	return st == SL_OK ? sl_index_lmdb_read_end(rd, find_instance(&t, uid, out)) : st;
}

enum sl_status sl_index_lmdb_locate_study(struct sl_index_reader *base, const struct sl_uid *uid,
	struct sl_index_study *out, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct sl_index_row_study row;
	uint64_t no;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_study(&t, uid, &no);
	if (st == SL_OK)
		st = sl_index_lmdb_must(&t, sl_index_lmdb_get_study(&t, no, &row), "index/study");
	return sl_index_lmdb_read_end(
		rd, st == SL_OK ? sl_index_lmdb_show_study(&t, &row, out) : st);
}

/* The first study that has a series of that UID. */
static enum sl_status first_study_of(struct sl_index_lmdb_reader *rd, struct sl_index_txn *t,
	const struct sl_uid *series, uint64_t *study_no)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	MDB_cursor *cursor = rd->cursor[SL_TREE_SERIES_UID];
	sl_lmdb_key_put_uid_end(&prefix, series->s, series->len);
	MDB_val key = {prefix.len, prefix.base}, value;
	int rc = mdb_cursor_renew(t->txn, cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (rc != 0)
		return sl_index_lmdb_error(rc, "lmdb/get", t->diag);
	if (!sl_index_lmdb_is_below(&key, &prefix))
		return SL_E_NOTFOUND;
	struct sl_cur c =
		sl_cur_of((const uint8_t *)key.mv_data + prefix.len, key.mv_size - prefix.len);
	*study_no = sl_lmdb_key_uint(&c);
	return c.bad ? sl_index_lmdb_corrupt("index/series.uid", t->diag) : SL_OK;
}

enum sl_status sl_index_lmdb_locate_series(struct sl_index_reader *base, const struct sl_uid *study,
	const struct sl_uid *series, struct sl_index_series *out, struct sl_diag *diag)
{
	struct sl_index_lmdb_reader *rd = sl_index_lmdb_reader_of(base);
	struct sl_index_txn t;
	struct sl_index_row_study study_row;
	struct sl_index_row_series row;
	uint64_t study_no, series_no;
	enum sl_status st = sl_index_lmdb_read_begin(rd, &t, diag);
	if (st != SL_OK)
		return st;
	st = study != NULL ? sl_index_lmdb_find_study(&t, study, &study_no)
			   : first_study_of(rd, &t, series, &study_no);
	if (st == SL_OK)
		st = sl_index_lmdb_find_series(&t, study_no, series, &series_no);
	if (st == SL_OK)
		st = sl_index_lmdb_must(
			&t, sl_index_lmdb_get_study(&t, study_no, &study_row), "index/study");
	if (st == SL_OK)
		st = sl_index_lmdb_must(&t, sl_index_lmdb_get_series(&t, study_no, series_no, &row),
			"index/series");
	return sl_index_lmdb_read_end(
		rd, st == SL_OK ? sl_index_lmdb_show_series(&t, &study_row.uid, &row, out) : st);
}
