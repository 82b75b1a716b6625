/* Batches of records: one transaction, rows of a study touched once.
 *
 * Happy path: records are put in order (index_lmdb_order.c), so that first values are those that came first, and so that the
 * rows of a study and of a series are mostly read once and written once. Then per record two puts, each
 * beside the one before it: of the UID's place, which finds out whether the UID is there already, and of the row.
 * Where it is there, or the study or series is new, the versions are compared first. Another version of a
 * UID moves what is current, if it is ahead (index_lmdb_version.c).
 * What the records say of patient, study and series is merged in index_lmdb_merge.c.
 * Failure: anything but a conflict or a plain name that is taken aborts the whole batch.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

/* ---- the loaded rows --------------------------------------------------------------------------- */

static enum sl_status leave_series(struct sl_index_txn *t, struct sl_index_lmdb_batch *b)
{
	struct sl_index_lmdb_keys keys = {.t = t, .what = SL_INDEX_LMDB_KEYS_PUT};
	enum sl_status st = SL_OK;
	if (b->has_series && b->is_series_dirty)
		st = sl_index_lmdb_put_series(t, b->study_no, b->series_no, &b->series);
	if (st == SL_OK && b->has_series && b->is_new[SL_LEVEL_SERIES])
		st = sl_index_lmdb_keys_of_series(
			&keys, b->study_no, b->series_no, &b->study, &b->series);
	b->has_series = b->is_series_dirty = b->is_new[SL_LEVEL_SERIES] = false;
	b->said = NULL;
	return st;
}

/* The keys of values that came in. Series that were there before the study's date lack it in theirs. */
static enum sl_status put_new_keys(struct sl_index_txn *t, struct sl_index_lmdb_batch *b)
{
	struct sl_index_lmdb_keys keys = {.t = t, .what = SL_INDEX_LMDB_KEYS_PUT};
	enum sl_status st = SL_OK;
	if (b->is_new[SL_LEVEL_PATIENT])
		st = sl_index_lmdb_keys_of_patient(&keys, b->study.patient, &b->patient);
	if (st == SL_OK && b->is_new[SL_LEVEL_STUDY])
		st = sl_index_lmdb_keys_of_study(&keys, b->study_no, &b->study);
	if (st == SL_OK && b->is_date_late)
		st = sl_index_lmdb_keys_below(&keys, b->study_no, &b->study);
	return st;
}

static enum sl_status leave_study(struct sl_index_txn *t, struct sl_index_lmdb_batch *b)
{
	enum sl_status st = leave_series(t, b);
	if (st == SL_OK && b->has_study && b->is_patient_dirty)
		st = sl_index_lmdb_put_patient(t, b->study.patient, &b->patient);
	if (st == SL_OK && b->has_study && b->is_study_dirty)
		st = sl_index_lmdb_put_study(t, b->study_no, &b->study);
	if (st == SL_OK && b->has_study && b->arrival != b->study.counts.last_seq)
		st = sl_index_lmdb_move_arrival(
			t, b->study_no, b->arrival, b->study.counts.last_seq);
	if (st == SL_OK && b->has_study)
		st = put_new_keys(t, b);
	b->has_study = b->is_study_dirty = b->is_patient_dirty = false;
	b->is_new[SL_LEVEL_STUDY] = b->is_new[SL_LEVEL_PATIENT] = b->is_date_late = false;
	return st;
}

/* Loads the patient of a new study, or makes one, and counts the study. */
static enum sl_status join_patient(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	struct sl_wbuf key = sl_wbuf_of(b->patient.key, sizeof(b->patient.key));
	sl_index_lmdb_patient_key(&key, r, b->study_no);
	uint64_t no = 0;
	enum sl_status st = sl_index_lmdb_get_number(t, SL_TREE_PATIENT_KEY, &key, &no);
	if (st == SL_E_NOTFOUND) {
		no = t->state.next_patient++;
		t->state.usage.patients++;
		b->patient.flags = 0;
		b->patient.studies_n = 0;
		b->patient.key_len = (uint16_t)key.len;
		memset(&b->patient.text, 0, offsetof(struct sl_index_row_text, bytes));
		st = sl_index_lmdb_put_number(t, SL_TREE_PATIENT_KEY, &key, no);
	} else if (st == SL_OK) {
		st = sl_index_lmdb_get_patient(t, no, &b->patient);
		if (st == SL_E_NOTFOUND)
			st = sl_index_lmdb_corrupt("index/patient", t->diag);
	}
	b->study.patient = no;
	b->patient.studies_n++;
	b->is_patient_dirty = true;
	return st;
}

static enum sl_status make_study(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	const struct sl_uid *uid = &r->study_instance_uid;
	b->study_no = t->state.next_study++;
	memset(&b->study, 0, offsetof(struct sl_index_row_study, text.bytes));
	b->study.uid = *uid;
	t->state.usage.studies++;
	b->is_study_dirty = b->is_new[SL_LEVEL_STUDY] = true;
	sl_lmdb_key_put_uid_end(&key, uid->s, uid->len);
	enum sl_status st = sl_index_lmdb_put_number(t, SL_TREE_STUDY_UID, &key, b->study_no);
	return st == SL_OK ? join_patient(t, b, r) : st;
}

static enum sl_status enter_study(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	if (b->has_study && sl_uid_equal(&b->study.uid, &r->study_instance_uid))
		return SL_OK;
	enum sl_status st = leave_study(t, b);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_study(t, &r->study_instance_uid, &b->study_no);
	if (st == SL_E_NOTFOUND) {
		st = make_study(t, b, r);
	} else if (st == SL_OK) {
		st = sl_index_lmdb_get_study(t, b->study_no, &b->study);
		if (st == SL_OK)
			st = sl_index_lmdb_get_patient(t, b->study.patient, &b->patient);
		if (st == SL_E_NOTFOUND)
			st = sl_index_lmdb_corrupt("index/study", t->diag);
	}
	b->arrival = st == SL_OK ? b->study.counts.last_seq : 0;
	b->has_study = st == SL_OK;
	return st;
}

static enum sl_status make_series(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	if (b->study.next_series == UINT32_MAX)
		return sl_fail(t->diag, SL_E_LIMIT, 0, "index/series",
			"a study has no series number left");
	b->series_no = b->study.next_series++;
	b->study.series_n++;
	memset(&b->series, 0, offsetof(struct sl_index_row_series, text.bytes));
	b->series.uid = r->series_instance_uid;
	t->state.usage.series++;
	b->is_series_dirty = b->is_study_dirty = true;
	sl_index_lmdb_key_series_uid(&key, &b->series.uid, b->study_no);
	return sl_index_lmdb_put_number(t, SL_TREE_SERIES_UID, &key, b->series_no);
}

static enum sl_status enter_series(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	if (b->has_series && sl_uid_equal(&b->series.uid, &r->series_instance_uid))
		return SL_OK;
	enum sl_status st = leave_series(t, b);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_find_series(t, b->study_no, &r->series_instance_uid, &b->series_no);
	if (st == SL_E_NOTFOUND) {
		st = make_series(t, b, r);
	} else if (st == SL_OK) {
		st = sl_index_lmdb_get_series(t, b->study_no, b->series_no, &b->series);
		if (st == SL_E_NOTFOUND)
			st = sl_index_lmdb_corrupt("index/series", t->diag);
	}
	b->has_series = st == SL_OK;
	return st;
}

/* ---- instances --------------------------------------------------------------------------------- */

static void count_in(struct sl_index_counts *n, const struct sl_record *r, bool is_current)
{
	if (n->first_seq == 0 || r->seq < n->first_seq) {
		n->first_seq = r->seq;
		n->first_ms = r->arrived_ms;
	}
	if (r->seq >= n->last_seq) {
		n->last_seq = r->seq;
		n->last_ms = r->arrived_ms;
	}
	n->instances += is_current;
	n->versions++;
	n->bytes += r->file_len;
}

static enum sl_status word_number(
	struct sl_index_txn *t, const struct sl_uid *word, struct sl_uid *last, uint32_t *no)
{
	if (sl_uid_equal(word, last))
		return SL_OK;
	*last = *word;
	return sl_index_lmdb_put_word(t, word->s, word->len, no);
}

/* The words' numbers, which the last record most often had too. */
static enum sl_status put_words(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	enum sl_status st = word_number(t, &r->sop_class_uid, &b->sop_class, &b->sop_class_no);
	return st != SL_OK ? st
			   : word_number(t, &r->transfer_syntax_uid, &b->transfer_syntax,
				     &b->transfer_syntax_no);
}

/* The row at the series' next ordinal, `at`, which is used up by it. */
static enum sl_status put_row(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, const struct sl_wbuf *at, bool is_current)
{
	uint8_t rb[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(rb, sizeof(rb));
	size_t number_n, frames_n;
	const char *number = sl_record_get(r, SL_ATTR_INSTANCE_NUMBER, &number_n);
	const char *frames = sl_record_get(r, SL_ATTR_NUMBER_OF_FRAMES, &frames_n);
	int64_t frames_v = sl_index_row_integer(frames, frames_n, 0);
	enum sl_status st = put_words(t, b, r);
	if (st != SL_OK)
		return st;
	struct sl_index_row_instance row = {
		.flags = r->flags,
		.seq = r->seq,
		.sop_class = b->sop_class_no,
		.transfer_syntax = b->transfer_syntax_no,
		.dataset_len = r->dataset_len,
		.file_len = r->file_len,
		.instance_number = sl_index_row_integer(number, number_n, SL_INDEX_NO_NUMBER),
		.frames = frames_v > 0 && frames_v <= UINT32_MAX ? (uint32_t)frames_v : 0,
		.is_behind = !is_current,
		.uid = r->sop_instance_uid,
	};
	sl_index_row_put_instance(&w, &row, &b->series.uid);
	b->series.next_ordinal++;
	st = sl_index_lmdb_put_near(t, b->by_place, at, &w);
	return st == SL_E_EXISTS ? sl_index_lmdb_corrupt("index/instance", t->diag) : st;
}

static void count_record(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, bool is_current)
{
	count_in(&b->series.counts, r, is_current);
	count_in(&b->study.counts, r, is_current);
	b->is_series_dirty = b->is_study_dirty = true;
	t->state.usage.instances += is_current;
	t->state.usage.versions++;
	t->state.usage.bytes += r->file_len;
}

static void next_place(const struct sl_index_lmdb_batch *b, struct sl_wbuf *at)
{
	const struct sl_index_row_place place = {b->study_no, b->series_no, b->series.next_ordinal};
	sl_index_row_put_place(at, &place);
}

/* A UID that the index does not have, in the series that is loaded. SL_E_EXISTS: it has it, nothing was put. */
static enum sl_status put_new(
	struct sl_index_txn *t, struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	uint8_t ub[SL_LMDB_KEY_UID_MAX], pb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf uid = sl_wbuf_of(ub, sizeof(ub)), at = sl_wbuf_of(pb, sizeof(pb));
	sl_lmdb_key_put_uid(&uid, r->sop_instance_uid.s, r->sop_instance_uid.len);
	next_place(b, &at);
	enum sl_status st = sl_index_lmdb_put_near(t, b->by_uid, &uid, &at);
	if (st == SL_OK)
		st = put_row(t, b, r, &at, true);
	if (st == SL_OK)
		count_record(t, b, r, true);
	return st;
}

/* A version of a UID that the index has: its row, and the entry that leads to it. */
static enum sl_status put_version(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, bool is_current)
{
	uint8_t ub[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX], pb[3 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf uid = sl_wbuf_of(ub, sizeof(ub)), at = sl_wbuf_of(pb, sizeof(pb));
	if (is_current)
		sl_lmdb_key_put_uid(&uid, r->sop_instance_uid.s, r->sop_instance_uid.len);
	else
		sl_index_lmdb_key_version(&uid, &r->sop_instance_uid, r->seq);
	next_place(b, &at);
	enum sl_status st = put_row(t, b, r, &at, is_current);
	if (st == SL_OK)
		st = sl_index_lmdb_put(t, is_current ? SL_TREE_UID : SL_TREE_VERSION, &uid, &at);
	if (st == SL_OK)
		count_record(t, b, r, is_current);
	return st;
}

/* What the index holds under a record's UID. */
struct present {
	enum sl_status
		status; /* SL_E_NOTFOUND: nothing; SL_OK: this very record; SL_E_EXISTS: others,
				* and both have the plain name; SL_END: others, of which `current` is */
	struct sl_index_lmdb_version current;
};

/* Looks through the versions of a UID that has some. */
static enum sl_status compare_versions(
	struct sl_index_txn *t, const struct sl_record *r, struct present *p)
{
	struct sl_cur c;
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	bool is_plain_taken = (p->current.flags & SL_RECORD_PLAIN_NAME) != 0;
	p->status = SL_OK;
	if (p->current.seq == r->seq)
		return SL_OK;
	sl_index_lmdb_key_version(&key, &r->sop_instance_uid, r->seq);
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_VERSION, &key, &c);
	if (st != SL_E_NOTFOUND)
		return st;
	p->status = SL_END;
	if ((r->flags & SL_RECORD_PLAIN_NAME) == 0)
		return SL_OK;
	st = is_plain_taken
		     ? SL_OK
		     : sl_index_lmdb_has_plain_behind(t, &r->sop_instance_uid, &is_plain_taken);
	if (is_plain_taken)
		p->status = SL_E_EXISTS;
	return st;
}

static enum sl_status compare_present(
	struct sl_index_txn *t, const struct sl_record *r, struct present *p)
{
	p->status = SL_E_NOTFOUND;
	enum sl_status st = sl_index_lmdb_get_place(t, &r->sop_instance_uid, &p->current.place);
	if (st != SL_OK)
		return st == SL_E_NOTFOUND ? SL_OK : st;
	st = sl_index_lmdb_get_version(t, &p->current);
	return st == SL_OK ? compare_versions(t, r, p) : st;
}

/* The rows of a record that has none yet; its study's and series' are loaded. */
static enum sl_status add_version(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, const struct present *p)
{
	const struct sl_index_lmdb_version own = {.seq = r->seq, .flags = r->flags};
	enum sl_status st = SL_OK;
	if (p->status == SL_E_NOTFOUND) {
		st = put_new(t, b, r);
		return st == SL_E_EXISTS ? sl_index_lmdb_corrupt("index/uid", t->diag) : st;
	}
	bool is_current = sl_index_lmdb_is_ahead(&own, &p->current);
	if (is_current)
		st = sl_index_lmdb_set_current(t, b, &r->sop_instance_uid, &p->current, false);
	return st == SL_OK ? put_version(t, b, r, is_current) : st;
}

static bool is_loaded(const struct sl_index_lmdb_batch *b, const struct sl_record *r)
{
	return b->has_series && sl_uid_equal(&b->series.uid, &r->series_instance_uid) &&
	       sl_uid_equal(&b->study.uid, &r->study_instance_uid);
}

static enum sl_status put_record(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, struct sl_index_result *result)
{
	struct present present;
	enum sl_status st = SL_E_EXISTS;
	sl_assert(r->sop_instance_uid.len > 0 && r->seq > 0);
	t->state.next_seq = sl_max64(t->state.next_seq, r->seq + 1);
	*result = (struct sl_index_result){SL_OK, 0};
	if (is_loaded(b, r))
		st = put_new(t, b, r);
	if (st != SL_E_EXISTS)
		return st == SL_OK ? sl_index_lmdb_merge(t, b, r, &result->conflicts) : st;
	st = compare_present(t, r, &present);
	if (st == SL_OK && (present.status == SL_OK || present.status == SL_E_EXISTS))
		result->status = present.status;
	if (st != SL_OK || present.status == SL_OK || present.status == SL_E_EXISTS)
		return st;
	st = enter_study(t, b, r);
	if (st == SL_OK)
		st = enter_series(t, b, r);
	if (st == SL_OK)
		st = sl_index_lmdb_merge(t, b, r, &result->conflicts);
	return st == SL_OK ? add_version(t, b, r, &present) : st;
}

/* Removals must find room when stores do not: a batch that brings something new does not end in the
 * pages that are kept for them. */
static enum sl_status check_room_left(struct sl_index_txn *t)
{
	enum { FREE_LIST = 0, MAIN_TREE = 1, META_PAGES = 2 };
	uint64_t used = META_PAGES;
	if (t->state.usage.versions == t->ix->state.usage.versions)
		return SL_OK;
	for (size_t i = 0; i < SL_TREE_N + 2; i++) {
		MDB_stat stat;
		MDB_dbi dbi = i < SL_TREE_N    ? t->ix->tree[i]
			      : i == SL_TREE_N ? FREE_LIST
					       : MAIN_TREE;
		int rc = mdb_stat(t->txn, dbi, &stat);
		if (rc != 0)
			return sl_index_lmdb_error(rc, "lmdb/stat", t->diag);
		used += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	}
	if (used + t->ix->headroom_pages <= t->ix->map_pages)
		return SL_OK;
	return sl_index_lmdb_error(MDB_MAP_FULL, "index/room", t->diag);
}

/* Nothing is loaded, and numbers given in a transaction that was aborted were not given. The cursors go
 * with the transaction. */
static enum sl_status start_batch(struct sl_index_txn *t, struct sl_index_lmdb_batch *b)
{
	b->has_study = b->has_series = false;
	b->is_patient_dirty = b->is_study_dirty = b->is_series_dirty = false;
	memset(b->is_new, 0, sizeof(b->is_new));
	b->is_date_late = false;
	b->said = NULL;
	b->sop_class = b->transfer_syntax = (struct sl_uid){0};
	b->sop_class_no = b->transfer_syntax_no = b->charset_no = 0;
	b->charset_len = 0;
	int rc = mdb_cursor_open(t->txn, t->ix->tree[SL_TREE_UID], &b->by_uid);
	if (rc == 0)
		rc = mdb_cursor_open(t->txn, t->ix->tree[SL_TREE_INSTANCE], &b->by_place);
	return sl_index_lmdb_error(rc, "lmdb/cursor", t->diag);
}

enum sl_status sl_index_lmdb_put_batch(struct sl_index *base,
	const struct sl_record *const *records, size_t n, struct sl_index_result *results,
	struct sl_diag *diag)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	struct sl_index_lmdb_batch *b = &ix->batch;
	struct sl_index_txn t;
	sl_assert(n <= ix->batch_max);
	if (n == 0)
		return SL_OK;
	enum sl_status st = sl_index_lmdb_begin(ix, &t, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_lmdb_order(&t, b, n, records);
	if (st == SL_OK)
		st = start_batch(&t, b);
	for (size_t i = 0; i < n && st == SL_OK; i++)
		st = put_record(&t, b, records[b->order[i]], &results[b->order[i]]);
	if (st == SL_OK)
		st = leave_study(&t, b);
	if (st == SL_OK)
		st = check_room_left(&t);
	return sl_index_lmdb_end(&t, st);
}
