/* What instances say of what is above them: a patient's, study's and series' values.
 *
 * The first value stays (DESIGN 5). A value that is absent so far is filled in, but not a patient's from
 * an instance that names another PatientID than its study's patient has; a value that differs marks the
 * row `conflict`. Most records say what the one before them said: then there is nothing to merge.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"
#include "storage/text.h"

enum { PATIENT_KEY_PART_MAX = 240 }; /* bytes of an ID or an issuer, in UTF-8 */
_Static_assert(
	2 * PATIENT_KEY_PART_MAX + 2 <= SL_INDEX_ROW_KEY_MAX, "a patient's key fits its row");

/* ---- whose it is ------------------------------------------------------------------------------- */

/* Appends one value in UTF-8. PS3.5 6.2 allows 64 characters: a longer one is cut, and shows as a
 * conflict when another has the same beginning. */
static void patient_key_part(struct sl_wbuf *w, const struct sl_record *r, enum sl_attr a)
{
	char text[PATIENT_KEY_PART_MAX];
	struct sl_wbuf part = sl_wbuf_of(text, sizeof(text));
	size_t n, charset_n;
	const char *charset = sl_record_get(r, SL_ATTR_SPECIFIC_CHARACTER_SET, &charset_n);
	const char *bytes = sl_record_get(r, a, &n);
	struct sl_text_charset cs = sl_text_charset_of(charset, charset_n);
	sl_text_to_utf8(&part, bytes, n, sl_text_kind_of(a), &cs);
	sl_wbuf_put(w, text, part.len);
}

void sl_index_lmdb_patient_key(struct sl_wbuf *w, const struct sl_record *r, uint64_t study)
{
	size_t n;
	(void)sl_record_get(r, SL_ATTR_PATIENT_ID, &n);
	if (n == 0) {
		sl_wbuf_u8(w, 2);
		sl_lmdb_key_put_uint(w, study);
		return;
	}
	sl_wbuf_u8(w, 1);
	patient_key_part(w, r, SL_ATTR_PATIENT_ID);
	sl_wbuf_u8(w, 0);
	patient_key_part(w, r, SL_ATTR_ISSUER_OF_PATIENT_ID);
}

/* ---- values ------------------------------------------------------------------------------------ */

/* The number of the record's character set, which the last record most often had too. */
static enum sl_status charset_number(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *no)
{
	size_t n;
	const char *charset = sl_record_get(r, SL_ATTR_SPECIFIC_CHARACTER_SET, &n);
	if (n != b->charset_len || memcmp(charset, b->charset, n) != 0) {
		enum sl_status st = sl_index_lmdb_put_word(t, charset, n, &b->charset_no);
		if (st != SL_OK)
			return st;
		memcpy(b->charset, charset, n);
		b->charset_len = n;
	}
	*no = b->charset_no;
	return SL_OK;
}

/* Merges the values of one level: fills in what is absent, sets the bit of what differs. */
static enum sl_status merge(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, enum sl_attr_level level, struct sl_index_row_text *row,
	bool *is_dirty, uint32_t *conflicts)
{
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n;
		uint32_t charset = 0;
		const char *bytes = sl_record_get(r, a, &n);
		if (sl_attrs[a].level != level || n == 0)
			continue;
		if (!sl_text_is_plain(bytes, n)) {
			enum sl_status st = charset_number(t, b, r, &charset);
			if (st != SL_OK)
				return st;
		}
		if (row->len[a] == 0) {
			if (is_dirty == NULL)
				continue;
			sl_index_row_text_set(row, a, bytes, n, charset);
			*is_dirty = b->is_new[level] = true;
		} else if (row->len[a] != n || row->charset[a] != charset ||
			   memcmp(row->bytes + row->at[a], bytes, n) != 0) {
			*conflicts |= UINT32_C(1) << a;
		}
	}
	return SL_OK;
}

static void mark_conflict(struct sl_index_txn *t, uint32_t *flags, bool *is_dirty)
{
	if (*flags & SL_INDEX_ROW_CONFLICT)
		return;
	*flags |= SL_INDEX_ROW_CONFLICT;
	t->state.usage.conflicts++;
	*is_dirty = true;
}

/* True when the instance's patient is not the one of its study. An absent PatientID says nothing. */
static bool is_other_patient(const struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	uint8_t kb[SL_INDEX_ROW_KEY_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	size_t n;
	(void)sl_record_get(r, SL_ATTR_PATIENT_ID, &n);
	if (n == 0)
		return false;
	sl_index_lmdb_patient_key(&key, r, b->study_no);
	return key.len != b->patient.key_len || memcmp(key.base, b->patient.key, key.len) != 0;
}

static enum sl_status merge_patient(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *conflicts)
{
	uint32_t found = 0;
	bool is_other = is_other_patient(b, r);
	enum sl_status st = merge(t, b, r, SL_LEVEL_PATIENT, &b->patient.text,
		is_other ? NULL : &b->is_patient_dirty, &found);
	if (is_other)
		found |= UINT32_C(1) << SL_ATTR_PATIENT_ID;
	/* Another patient's values say nothing against this patient's row, only against the study's;
	 * what two studies of one patient disagree on is the patient's. */
	if (found != 0 && !is_other)
		mark_conflict(t, &b->patient.flags, &b->is_patient_dirty);
	if (found != 0)
		mark_conflict(t, &b->study.flags, &b->is_study_dirty);
	*conflicts |= found;
	return st;
}

static enum sl_status merge_series(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *conflicts)
{
	uint32_t found = 0;
	bool had_modality = b->series.text.len[SL_ATTR_MODALITY] != 0;
	enum sl_status st =
		merge(t, b, r, SL_LEVEL_SERIES, &b->series.text, &b->is_series_dirty, &found);
	if (found != 0)
		mark_conflict(t, &b->series.flags, &b->is_series_dirty);
	if (!had_modality && b->series.text.len[SL_ATTR_MODALITY] != 0) {
		const struct sl_index_row_text *text = &b->series.text;
		sl_index_row_add_modality(&b->study, text->bytes + text->at[SL_ATTR_MODALITY],
			text->len[SL_ATTR_MODALITY]);
		b->is_study_dirty = true;
	}
	*conflicts |= found;
	return st;
}

/* True when both have each value at the same place and all text is the same but for the values of their
 * own: what records of one series are, nearly always. */
static bool is_text_same(const struct sl_record *a, const struct sl_record *b)
{
	if (a->text_len != b->text_len || memcmp(a->at, b->at, sizeof(a->at)) != 0 ||
		memcmp(a->len, b->len, sizeof(a->len)) != 0)
		return false;
	enum sl_attr first = SL_ATTR_INSTANCE_NUMBER, second = SL_ATTR_NUMBER_OF_FRAMES;
	if (a->at[first] > a->at[second]) {
		first = SL_ATTR_NUMBER_OF_FRAMES;
		second = SL_ATTR_INSTANCE_NUMBER;
	}
	size_t between = a->at[first] + (size_t)a->len[first];
	size_t rest = a->at[second] + (size_t)a->len[second];
	return memcmp(a->text, b->text, a->at[first]) == 0 &&
	       memcmp(a->text + between, b->text + between, a->at[second] - between) == 0 &&
	       memcmp(a->text + rest, b->text + rest, a->text_len - rest) == 0;
}

bool sl_index_lmdb_says_same(
	const struct sl_record *a, const struct sl_record *b, enum sl_attr_level lowest)
{
	if (lowest <= SL_LEVEL_SERIES && is_text_same(a, b))
		return true;
	for (enum sl_attr i = 0; i < SL_ATTR_N; i++) {
		if (sl_attrs[i].level > lowest && i != SL_ATTR_SPECIFIC_CHARACTER_SET)
			continue;
		if (a->len[i] != b->len[i] ||
			memcmp(a->text + a->at[i], b->text + b->at[i], a->len[i]) != 0)
			return false;
	}
	return true;
}

static enum sl_status merge_all(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *conflicts)
{
	enum sl_status st = SL_OK;
	if (r->study_instance_uid.len > 0) {
		uint32_t found = 0;
		bool had_date = b->study.text.len[SL_ATTR_STUDY_DATE] > 0;
		st = merge(t, b, r, SL_LEVEL_STUDY, &b->study.text, &b->is_study_dirty, &found);
		if (found != 0)
			mark_conflict(t, &b->study.flags, &b->is_study_dirty);
		*conflicts |= found;
		/* Its series have keys with the date: the one at hand, and those before it. */
		if (!had_date && b->study.text.len[SL_ATTR_STUDY_DATE] > 0) {
			b->is_new[SL_LEVEL_SERIES] = true;
			b->is_date_late = b->study.series_n > 1;
		}
		if (st == SL_OK)
			st = merge_patient(t, b, r, conflicts);
	}
	if (st == SL_OK && r->series_instance_uid.len > 0)
		st = merge_series(t, b, r, conflicts);
	return st;
}

enum sl_status sl_index_lmdb_merge(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *conflicts)
{
	if (b->said == NULL || !sl_index_lmdb_says_same(b->said, r, SL_LEVEL_SERIES)) {
		b->said_conflicts = 0;
		enum sl_status st = merge_all(t, b, r, &b->said_conflicts);
		b->said = st == SL_OK ? r : NULL;
		if (st != SL_OK)
			return st;
	}
	*conflicts = b->said_conflicts;
	return SL_OK;
}
