/* The ordered keys of rows: put with a row, taken out with it, compared, made anew.
 *
 * Each row's entries are computed from the row; nothing remembers which were put. That works because
 * a value that is there stays (DESIGN 5): a row's entries only ever grow in number, and what removal
 * computes is what was put. The one entry that depends on two rows is that of date and modality: when
 * a study gets its date late, its series' entries are put again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include "storage/index_key.h"

/* One entry: put, taken out, or looked for. */
static enum sl_status handle(struct sl_index_lmdb_keys *k, const struct sl_index_key_entry *e)
{
	uint8_t kb[SL_INDEX_KEY_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	struct sl_cur value;
	enum sl_status st = SL_E_NOTFOUND;
	sl_index_key_put(&key, e);
	k->entries++;
	switch (k->what) {
	case SL_INDEX_LMDB_KEYS_PUT:
		return sl_index_lmdb_put_key(k->t, &key);
	case SL_INDEX_LMDB_KEYS_DEL:
		st = sl_index_lmdb_del(k->t, SL_TREE_KEY, &key);
		return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt("index/key", k->t->diag) : st;
	case SL_INDEX_LMDB_KEYS_CHECK:
		st = sl_index_lmdb_get(k->t, SL_TREE_KEY, &key, &value);
		k->missing += st == SL_E_NOTFOUND;
		return st == SL_E_NOTFOUND ? SL_OK : st;
	}
	return st;
}

/* An attribute's value in UTF-8. */
static enum sl_status value_of(struct sl_index_lmdb_keys *k, const struct sl_index_row_text *row,
	enum sl_attr a, struct sl_wbuf *w)
{
	w->len = 0;
	return row->len[a] == 0 ? SL_OK : sl_index_lmdb_read_value(k->t, row, a, w);
}

/* The entry of one attribute under a key that has one text. */
static enum sl_status one(struct sl_index_lmdb_keys *k, const struct sl_index_row_text *row,
	enum sl_attr a, struct sl_index_key_entry e)
{
	char value[SL_INDEX_VALUE_MAX];
	struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
	enum sl_status st = value_of(k, row, a, &w);
	if (st != SL_OK)
		return st;
	if (e.key == SL_KEY_STUDY_DATE)
		sl_index_key_fold_date(&e.text, value, w.len);
	else
		sl_index_key_fold(&e.text, value, w.len);
	return e.text.len > 0 ? handle(k, &e) : SL_OK;
}

size_t sl_index_lmdb_name_texts(
	const char *utf8, size_t n, struct sl_index_key_text out[SL_INDEX_GROUPS])
{
	size_t texts = 0;
	for (unsigned g = 0; g < SL_INDEX_GROUPS; g++) {
		struct sl_index_key_text *text = &out[texts];
		bool is_new;
		sl_index_key_fold_pn(text, utf8, n, (enum sl_text_pn_group)g);
		is_new = text->len > 0;
		for (size_t i = 0; i < texts; i++)
			is_new &= out[i].len != text->len ||
				  memcmp(out[i].s, text->s, text->len) != 0;
		texts += is_new;
	}
	return texts;
}

enum sl_status sl_index_lmdb_keys_of_patient(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_patient *row)
{
	char value[SL_INDEX_VALUE_MAX];
	struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
	struct sl_index_key_text names[SL_INDEX_GROUPS];
	struct sl_index_key_entry e = {.key = SL_KEY_PATIENT_ID, .patient = no};
	enum sl_status st = one(k, &row->text, SL_ATTR_PATIENT_ID, e);
	if (st == SL_OK)
		st = value_of(k, &row->text, SL_ATTR_PATIENT_NAME, &w);
	if (st != SL_OK)
		return st;
	size_t n = sl_index_lmdb_name_texts(value, w.len, names);
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		e.key = SL_KEY_PATIENT_NAME;
		e.text = names[i];
		st = handle(k, &e);
	}
	return st;
}

enum sl_status sl_index_lmdb_keys_of_study(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_study *row)
{
	struct sl_index_key_entry e = {
		.key = SL_KEY_PATIENT_STUDY, .patient = row->patient, .study = no};
	enum sl_status st = handle(k, &e);
	e.patient = 0;
	e.key = SL_KEY_STUDY_DATE;
	if (st == SL_OK)
		st = one(k, &row->text, SL_ATTR_STUDY_DATE, e);
	e.key = SL_KEY_ACCESSION_NUMBER;
	return st == SL_OK ? one(k, &row->text, SL_ATTR_ACCESSION_NUMBER, e) : st;
}

static enum sl_status date_and_modality(struct sl_index_lmdb_keys *k,
	const struct sl_index_row_study *study, const struct sl_index_row_series *row,
	struct sl_index_key_entry e)
{
	char value[SL_INDEX_VALUE_MAX] = "";
	struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
	e.key = SL_KEY_DATE_MODALITY;
	enum sl_status st = value_of(k, &study->text, SL_ATTR_STUDY_DATE, &w);
	sl_index_key_fold_date(&e.text, value, w.len);
	if (st == SL_OK)
		st = value_of(k, &row->text, SL_ATTR_MODALITY, &w);
	sl_index_key_fold_modality(&e.with, value, w.len);
	return st == SL_OK && e.text.len > 0 && e.with.len > 0 ? handle(k, &e) : st;
}

enum sl_status sl_index_lmdb_keys_of_series(struct sl_index_lmdb_keys *k, uint64_t study_no,
	uint64_t series_no, const struct sl_index_row_study *study,
	const struct sl_index_row_series *row)
{
	static const struct {
		enum sl_index_key key;
		enum sl_attr attr;
	} keys[] = {
		{SL_KEY_MODALITY, SL_ATTR_MODALITY},
		{SL_KEY_MANUFACTURER, SL_ATTR_MANUFACTURER},
		{SL_KEY_RADIOPHARMACEUTICAL, SL_ATTR_RADIOPHARMACEUTICAL},
		{SL_KEY_INSTITUTION, SL_ATTR_INSTITUTION_NAME},
	};
	struct sl_index_key_entry e = {.study = study_no, .series = series_no};
	enum sl_status st = date_and_modality(k, study, row, e);
	for (size_t i = 0; i < SL_ARRAY_N(keys) && st == SL_OK; i++) {
		e.key = keys[i].key;
		st = one(k, &row->text, keys[i].attr, e);
	}
	return st;
}

enum sl_status sl_index_lmdb_keys_below(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_study *study)
{
	for (uint64_t series = 0; series < study->next_series; series++) {
		struct sl_index_row_series row;
		enum sl_status st = sl_index_lmdb_get_series(k->t, no, series, &row);
		if (st == SL_OK)
			st = sl_index_lmdb_keys_of_series(k, no, series, study, &row);
		if (st != SL_OK && st != SL_E_NOTFOUND) /* that series went before */
			return st;
	}
	return SL_OK;
}

/* ---- an index that has none -------------------------------------------------------------------- */

static enum sl_status add_patient(struct sl_index_lmdb_keys *k, uint64_t no, struct sl_cur row)
{
	struct sl_index_row_patient patient;
	if (sl_index_row_patient(row, &patient) != SL_OK)
		return sl_index_lmdb_corrupt("index/patient", k->t->diag);
	return sl_index_lmdb_keys_of_patient(k, no, &patient);
}

static enum sl_status add_study(struct sl_index_lmdb_keys *k, uint64_t no, struct sl_cur row)
{
	struct sl_index_row_study study;
	if (sl_index_row_study(row, &study) != SL_OK)
		return sl_index_lmdb_corrupt("index/study", k->t->diag);
	enum sl_status st = sl_index_lmdb_keys_of_study(k, no, &study);
	return st == SL_OK ? sl_index_lmdb_keys_below(k, no, &study) : st;
}

static enum sl_status add_all(struct sl_index_lmdb_keys *k, enum sl_index_lmdb_tree tree)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	enum sl_status st = SL_OK;
	int rc = mdb_cursor_open(k->t->txn, k->t->ix->tree[tree], &cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	while (rc == 0 && st == SL_OK) {
		struct sl_cur number = sl_cur_of(key.mv_data, key.mv_size);
		struct sl_cur row = sl_cur_of(value.mv_data, value.mv_size);
		uint64_t no = sl_lmdb_key_uint(&number);
		st = tree == SL_TREE_PATIENT ? add_patient(k, no, row) : add_study(k, no, row);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	if (st == SL_OK && rc != MDB_NOTFOUND)
		st = sl_index_lmdb_error(rc, "lmdb/upgrade", k->t->diag);
	return st;
}

enum sl_status sl_index_lmdb_add_keys(struct sl_index_txn *t)
{
	struct sl_index_lmdb_keys k = {.t = t, .what = SL_INDEX_LMDB_KEYS_PUT};
	enum sl_status st = add_all(&k, SL_TREE_PATIENT);
	return st == SL_OK ? add_all(&k, SL_TREE_STUDY) : st;
}
