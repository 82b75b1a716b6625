/* One battery for every implementation of the index seam: LMDB and the in-memory twin.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "storage/index_lmdb.h"
#include "support/index_mem.h"
#include "support/records.h"
#include "support/tmpdir.h"

enum { BATCH_MAX = 64, CAPACITY = 5000 };

struct fixture {
	struct sl_index *ix;
	struct sl_index_reader *rd;
	struct tmpdir dir;
	bool has_dir;
};

static void open_lmdb_in(struct fixture *f)
{
	const struct sl_index_lmdb_options options = {.path = f->dir.path,
		.map_size = 64 * SL_MIB,
		.readers = 4,
		.batch_max = BATCH_MAX,
		.create = true};
	struct sl_diag diag = {0};
	if (sl_index_lmdb_open(&options, &f->ix, &diag) != SL_OK)
		fail_msg("%s", diag.text);
	assert_int_equal(sl_index_open_reader(f->ix, &f->rd, &diag), SL_OK);
}

static int open_lmdb(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	assert_non_null(f);
	f->has_dir = tmpdir_make(&f->dir);
	if (f->has_dir)
		open_lmdb_in(f);
	return f->has_dir ? 0 : -1;
}

static int open_mem(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	assert_non_null(f);
	f->ix = sl_index_mem_new(CAPACITY);
	return sl_index_open_reader(f->ix, &f->rd, NULL) == SL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sl_index_close_reader(f->rd);
	sl_index_close(f->ix);
	if (f->has_dir)
		tmpdir_remove(&f->dir);
	free(f);
	return 0;
}

/* ---- helpers ----------------------------------------------------------------------------------- */

static void check_sound(struct sl_index *ix)
{
	struct sl_index_report report;
	struct sl_index_snapshot snap;
	assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
	if (report.wrong > 0)
		fail_msg("%llu wrong: %s", (unsigned long long)report.wrong, report.first);
	sl_index_snapshot(ix, &snap);
	assert_memory_equal(&report.counted, &snap.usage, sizeof(snap.usage));
}

static struct sl_index_result put(struct sl_index *ix, const struct sl_record *r)
{
	struct sl_diag diag = {0};
	struct sl_index_result result = {SL_E_IO, 0};
	if (sl_index_put_batch(ix, &r, 1, &result, &diag) != SL_OK)
		fail_msg("%s", diag.text);
	return result;
}

/* Puts instances [from, to) of the archive of records.h, `batch` at a time. */
static void put_range(struct sl_index *ix, uint64_t from, uint64_t to, size_t batch, uint64_t per)
{
	static struct sl_record records[BATCH_MAX];
	const struct sl_record *pointers[BATCH_MAX];
	struct sl_index_result results[BATCH_MAX];
	struct sl_diag diag = {0};
	while (from < to) {
		size_t n = 0;
		for (; n < batch && from < to; n++, from++) {
			rec_make(&records[n], from, per);
			pointers[n] = &records[n];
		}
		if (sl_index_put_batch(ix, pointers, n, results, &diag) != SL_OK)
			fail_msg("%s", diag.text);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(results[i].status, SL_OK);
	}
}

static bool same_instance(const struct sl_index_instance *a, const struct sl_index_instance *b)
{
	return sl_uid_equal(&a->study_instance_uid, &b->study_instance_uid) &&
	       sl_uid_equal(&a->series_instance_uid, &b->series_instance_uid) &&
	       sl_uid_equal(&a->sop_instance_uid, &b->sop_instance_uid) &&
	       sl_uid_equal(&a->sop_class_uid, &b->sop_class_uid) &&
	       sl_uid_equal(&a->transfer_syntax_uid, &b->transfer_syntax_uid) && a->seq == b->seq &&
	       a->dataset_len == b->dataset_len && a->file_len == b->file_len &&
	       a->instance_number == b->instance_number && a->frames == b->frames &&
	       a->flags == b->flags && a->volume == b->volume;
}

static bool is_of(const struct sl_index_instance *in, const struct sl_record *r)
{
	return sl_uid_equal(&in->study_instance_uid, &r->study_instance_uid) &&
	       sl_uid_equal(&in->series_instance_uid, &r->series_instance_uid) &&
	       sl_uid_equal(&in->sop_instance_uid, &r->sop_instance_uid) &&
	       sl_uid_equal(&in->sop_class_uid, &r->sop_class_uid) &&
	       sl_uid_equal(&in->transfer_syntax_uid, &r->transfer_syntax_uid) &&
	       in->seq == r->seq && in->dataset_len == r->dataset_len &&
	       in->file_len == r->file_len && in->flags == r->flags;
}

static void assert_text(const struct sl_index_text *t, enum sl_attr a, const char *expected)
{
	size_t n;
	const char *bytes = sl_index_text_get(t, a, &n);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(bytes, expected, n);
}

static struct sl_record a_record(
	const char *study, const char *series, const char *sop, uint64_t seq)
{
	struct sl_record r;
	sl_record_init(&r);
	if (*study != '\0')
		r.study_instance_uid = sl_uid_of(study);
	if (*series != '\0')
		r.series_instance_uid = sl_uid_of(series);
	r.sop_instance_uid = sl_uid_of(sop);
	r.sop_class_uid = sl_uid_of("1.2.840.10008.5.1.4.1.1.2");
	r.transfer_syntax_uid = sl_uid_of("1.2.840.10008.1.2.1");
	r.seq = seq;
	r.dataset_len = 1000;
	r.file_len = 1600;
	r.arrived_ms = 1700000000000 + (int64_t)seq;
	r.flags = SL_RECORD_PLAIN_NAME;
	return r;
}

static struct sl_index_study study_of(struct fixture *f, const char *uid)
{
	struct sl_index_study out;
	struct sl_uid u = sl_uid_of(uid);
	assert_int_equal(sl_index_locate_study(f->rd, &u, &out, NULL), SL_OK);
	return out;
}

static struct sl_index_usage usage_of(struct fixture *f)
{
	struct sl_index_snapshot snap;
	sl_index_snapshot(f->ix, &snap);
	return snap.usage;
}

/* ---- the battery ------------------------------------------------------------------------------- */

static void an_empty_index_answers(void **state)
{
	struct fixture *f = *state;
	struct sl_uid uid = sl_uid_of("1.2.3"), none = {0};
	struct sl_index_instance in;
	struct sl_index_series series;
	struct sl_index_study study;
	struct sl_index_tombstone tomb;
	struct sl_index_cursor at = {0};
	struct sl_index_snapshot snap;
	struct sl_index_removed removed;
	size_t n = 1;
	uint64_t seq = 0;
	assert_int_equal(sl_index_locate_instance(f->rd, &uid, &in, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_locate_instance(f->rd, &none, &in, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_locate_series(f->rd, NULL, &uid, &series, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_locate_study(f->rd, &uid, &study, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_list_studies(f->rd, &at, &study, &n, NULL), SL_END);
	n = 1;
	assert_int_equal(sl_index_list_series(f->rd, &uid, &at, &series, &n, NULL), SL_E_NOTFOUND);
	n = 1;
	assert_int_equal(sl_index_list_tombstones(f->rd, &seq, &tomb, &n, NULL), SL_END);
	assert_int_equal(n, 0);
	assert_int_equal(sl_index_remove_instance(f->ix, &uid, 7, &removed, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_remove_study(f->ix, &uid, 7, &removed, NULL), SL_E_NOTFOUND);
	assert_int_equal(sl_index_put_batch(f->ix, NULL, 0, NULL, NULL), SL_OK);
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.next_seq == 1);
	check_sound(f->ix);
}

static void what_went_in_is_found_by_its_uids(void **state)
{
	struct fixture *f = *state;
	struct sl_record r;
	struct sl_index_snapshot snap;
	put_range(f->ix, 0, 480, 37, 10);
	for (uint64_t i = 0; i < 480; i++) {
		struct sl_index_instance in;
		struct sl_index_series series;
		struct sl_index_study study;
		rec_make(&r, i, 10);
		assert_int_equal(
			sl_index_locate_instance(f->rd, &r.sop_instance_uid, &in, NULL), SL_OK);
		assert_true(is_of(&in, &r));
		assert_true(in.instance_number == (int64_t)(i % 10 + 1));
		assert_int_equal(sl_index_locate_series(f->rd, &r.study_instance_uid,
					 &r.series_instance_uid, &series, NULL),
			SL_OK);
		assert_true(series.counts.instances == 10);
		assert_true(series.counts.first_seq == i / 10 * 10 + 1);
		assert_true(series.counts.last_seq == i / 10 * 10 + 10);
		assert_true(series.counts.last_ms > series.counts.first_ms);
		assert_int_equal(
			sl_index_locate_study(f->rd, &r.study_instance_uid, &study, NULL), SL_OK);
		assert_true(study.counts.instances == 40 && study.series_n == 4);
		assert_text(&study.text, SL_ATTR_PATIENT_BIRTH_DATE, "19600704");
		assert_text(&series.text, SL_ATTR_MANUFACTURER, "ACME MEDICAL SYSTEMS");
	}
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.next_seq == 481 && snap.usage.instances == 480);
	assert_true(snap.usage.studies == 12 && snap.usage.series == 48);
	assert_true(snap.usage.patients == 7);
	check_sound(f->ix);
}

static void the_same_record_again_changes_nothing(void **state)
{
	struct fixture *f = *state;
	put_range(f->ix, 0, 60, 20, 10);
	struct sl_index_usage before = usage_of(f);
	put_range(f->ix, 0, 60, 33, 10);
	struct sl_index_usage after = usage_of(f);
	assert_memory_equal(&before, &after, sizeof(before));
	check_sound(f->ix);
}

static void another_object_of_a_uid_is_told_and_the_rest_goes_in(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 5);
	struct sl_record b = a_record("1.2", "1.2.1", "1.1.1.1", 6); /* other study, same UID */
	struct sl_record c = a_record("1.2", "1.2.1", "1.2.1.1", 7);
	struct sl_record d = a_record("1.2", "1.2.1", "1.2.1.1", 8); /* twice in one batch */
	const struct sl_record *batch[] = {&d, &b, &c};
	struct sl_index_result results[3];
	struct sl_index_instance in;
	struct sl_index_snapshot snap;
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_int_equal(sl_index_put_batch(f->ix, batch, 3, results, NULL), SL_OK);
	assert_int_equal(results[0].status, SL_E_EXISTS);
	assert_int_equal(results[1].status, SL_E_EXISTS);
	assert_int_equal(results[2].status, SL_OK);
	assert_int_equal(sl_index_locate_instance(f->rd, &a.sop_instance_uid, &in, NULL), SL_OK);
	assert_true(is_of(&in, &a));
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.usage.instances == 2 && snap.next_seq == 9);
	check_sound(f->ix);
}

static void pages_show_each_row_once_while_others_come(void **state)
{
	struct fixture *f = *state;
	struct sl_record first;
	struct sl_index_instance page[7];
	struct sl_index_cursor at = {0};
	bool seen[50] = {false};
	uint64_t next = 200;
	enum sl_status st;
	put_range(f->ix, 0, 200, 64, 50);
	rec_make(&first, 0, 50);
	for (;;) {
		size_t n = SL_ARRAY_N(page);
		st = sl_index_list_instances(f->rd, &first.study_instance_uid,
			&first.series_instance_uid, &at, page, &n, NULL);
		if (st != SL_OK)
			break;
		assert_true(n > 0);
		for (size_t i = 0; i < n; i++) {
			assert_true(page[i].seq >= 1 && page[i].seq <= 50);
			assert_false(seen[page[i].seq - 1]);
			seen[page[i].seq - 1] = true;
		}
		put_range(f->ix, next, next + 10, 10, 50);
		next += 10;
	}
	assert_int_equal(st, SL_END);
	for (size_t i = 0; i < 50; i++)
		assert_true(seen[i]);
}

static void pages_pass_over_rows_that_went(void **state)
{
	struct fixture *f = *state;
	struct sl_record r;
	struct sl_index_instance page[3];
	struct sl_index_cursor at = {0};
	struct sl_index_removed removed;
	size_t n = 3;
	put_range(f->ix, 0, 10, 10, 10);
	rec_make(&r, 0, 10);
	struct sl_uid study = r.study_instance_uid, series = r.series_instance_uid;
	assert_int_equal(
		sl_index_list_instances(f->rd, &study, &series, &at, page, &n, NULL), SL_OK);
	assert_int_equal(n, 3);
	/* The last one shown, where the cursor stands, and the one behind it. */
	for (uint64_t i = 2; i < 4; i++) {
		rec_make(&r, i, 10);
		assert_int_equal(
			sl_index_remove_instance(f->ix, &r.sop_instance_uid, 0, &removed, NULL),
			SL_OK);
	}
	n = 3;
	assert_int_equal(
		sl_index_list_instances(f->rd, &study, &series, &at, page, &n, NULL), SL_OK);
	assert_true(n == 3 && page[0].seq == 5 && page[2].seq == 7);
	check_sound(f->ix);
}

static void children_are_listed_in_order_of_arrival(void **state)
{
	struct fixture *f = *state;
	static struct sl_index_study studies[16];
	static struct sl_index_series series[16];
	struct sl_index_cursor at = {0};
	size_t n = 16;
	put_range(f->ix, 0, 120, 10, 10);
	assert_int_equal(sl_index_list_studies(f->rd, &at, studies, &n, NULL), SL_OK);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		size_t m = 2;
		assert_true(studies[i].counts.first_seq == i * 40 + 1);
		at = (struct sl_index_cursor){0};
		assert_int_equal(sl_index_list_series(f->rd, &studies[i].study_instance_uid, &at,
					 series, &m, NULL),
			SL_OK);
		assert_int_equal(m, 2);
		m = 16;
		assert_int_equal(sl_index_list_series(f->rd, &studies[i].study_instance_uid, &at,
					 series + 2, &m, NULL),
			SL_OK);
		assert_int_equal(m, 2);
		for (size_t k = 0; k < 4; k++)
			assert_true(series[k].counts.first_seq == i * 40 + k * 10 + 1);
		m = 1;
		assert_int_equal(sl_index_list_series(f->rd, &studies[i].study_instance_uid, &at,
					 series, &m, NULL),
			SL_END);
	}
}

static void removing_takes_out_what_is_empty_above(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 1);
	struct sl_record b = a_record("1.1", "1.1.2", "1.1.2.1", 2);
	struct sl_record c = a_record("1.2", "1.2.1", "1.2.1.1", 3);
	struct sl_index_removed gone;
	struct sl_index_study study;
	rec_set(&a, SL_ATTR_MODALITY, "CT");
	rec_set(&b, SL_ATTR_MODALITY, "PT");
	struct sl_record *const records[] = {&a, &b, &c};
	for (size_t i = 0; i < 3; i++) {
		rec_set(records[i], SL_ATTR_PATIENT_ID, "P1");
		assert_int_equal(put(f->ix, records[i]).status, SL_OK);
	}
	assert_int_equal(study_of(f, "1.1").modalities_n, 2);
	assert_int_equal(
		sl_index_remove_instance(f->ix, &a.sop_instance_uid, 10, &gone, NULL), SL_OK);
	assert_true(gone.series_gone && !gone.study_gone && gone.instances == 1);
	assert_true(gone.bytes == 1600);
	study = study_of(f, "1.1");
	assert_int_equal(study.series_n, 1);
	assert_int_equal(study.modalities_n, 1);
	assert_string_equal(study.modalities[0], "PT");
	check_sound(f->ix);
	assert_int_equal(
		sl_index_remove_instance(f->ix, &b.sop_instance_uid, 11, &gone, NULL), SL_OK);
	assert_true(gone.series_gone && gone.study_gone);
	assert_int_equal(
		sl_index_locate_study(f->rd, &a.study_instance_uid, &study, NULL), SL_E_NOTFOUND);
	assert_true(usage_of(f).patients == 1);
	check_sound(f->ix);
	assert_int_equal(
		sl_index_remove_study(f->ix, &c.study_instance_uid, 12, &gone, NULL), SL_OK);
	struct sl_index_usage empty = {0}, now = usage_of(f);
	assert_memory_equal(&now, &empty, sizeof(now));
	check_sound(f->ix);
	/* And all may come again. */
	a.seq = 20;
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_true(usage_of(f).instances == 1 && usage_of(f).patients == 1);
	check_sound(f->ix);
}

static void a_study_goes_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct sl_record r;
	struct sl_index_removed gone;
	struct sl_index_instance in;
	put_range(f->ix, 0, 120, 60, 10);
	rec_make(&r, 40, 10);
	assert_int_equal(
		sl_index_remove_study(f->ix, &r.study_instance_uid, 500, &gone, NULL), SL_OK);
	assert_true(gone.instances == 40 && gone.study_gone);
	for (uint64_t i = 0; i < 120; i++) {
		rec_make(&r, i, 10);
		assert_int_equal(sl_index_locate_instance(f->rd, &r.sop_instance_uid, &in, NULL),
			i / 40 == 1 ? SL_E_NOTFOUND : SL_OK);
	}
	assert_true(usage_of(f).instances == 80 && usage_of(f).studies == 2);
	check_sound(f->ix);
}

static void tombstones_wait_in_order_of_seq(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 1);
	struct sl_record b = a_record("1.2", "1.2.1", "1.2.1.1", 2);
	struct sl_index_removed gone;
	struct sl_index_tombstone t[2];
	struct sl_index_snapshot snap;
	uint64_t after = 0;
	size_t n = 1;
	b.flags = 0; /* a later version: <uid>~<seq>.dcm */
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_int_equal(put(f->ix, &b).status, SL_OK);
	assert_int_equal(
		sl_index_remove_study(f->ix, &a.study_instance_uid, 300, &gone, NULL), SL_OK);
	assert_int_equal(
		sl_index_remove_instance(f->ix, &b.sop_instance_uid, 20, &gone, NULL), SL_OK);
	assert_int_equal(sl_index_list_tombstones(f->rd, &after, t, &n, NULL), SL_OK);
	assert_true(n == 1 && t[0].seq == 20 && t[0].kind == SL_INDEX_TOMB_INSTANCE);
	assert_true(t[0].object_seq == 2 && !t[0].is_plain_name);
	assert_string_equal(t[0].study_instance_uid.s, "1.2");
	assert_string_equal(t[0].series_instance_uid.s, "1.2.1");
	assert_string_equal(t[0].sop_instance_uid.s, "1.2.1.1");
	n = 2;
	assert_int_equal(sl_index_list_tombstones(f->rd, &after, t, &n, NULL), SL_OK);
	assert_true(n == 1 && t[0].seq == 300 && t[0].kind == SL_INDEX_TOMB_STUDY);
	assert_string_equal(t[0].study_instance_uid.s, "1.1");
	assert_int_equal(t[0].sop_instance_uid.len, 0);
	assert_int_equal(sl_index_drop_tombstone(f->ix, 20, NULL), SL_OK);
	assert_int_equal(sl_index_drop_tombstone(f->ix, 20, NULL), SL_OK);
	after = 0;
	n = 2;
	assert_int_equal(sl_index_list_tombstones(f->rd, &after, t, &n, NULL), SL_OK);
	assert_true(n == 1 && t[0].seq == 300);
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.next_seq == 301);
}

static void the_first_value_stays_and_absent_ones_are_filled(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 1);
	struct sl_record b = a_record("1.1", "1.1.1", "1.1.1.2", 2);
	struct sl_record c = a_record("1.1", "1.1.1", "1.1.1.3", 3);
	struct sl_index_study study;
	struct sl_index_series series;
	rec_set(&a, SL_ATTR_PATIENT_ID, "P1");
	rec_set(&a, SL_ATTR_STUDY_DATE, "20240101");
	rec_set(&b, SL_ATTR_PATIENT_ID, "P1");
	rec_set(&b, SL_ATTR_PATIENT_NAME, "Doe^John");
	rec_set(&b, SL_ATTR_SERIES_DESCRIPTION, "axial");
	rec_set(&c, SL_ATTR_PATIENT_NAME, "Doe^Jon");
	rec_set(&c, SL_ATTR_STUDY_DATE, "20240102");
	rec_set(&c, SL_ATTR_SERIES_DESCRIPTION, "coronal");
	assert_int_equal(put(f->ix, &a).conflicts, 0);
	assert_int_equal(put(f->ix, &b).conflicts, 0);
	assert_true(usage_of(f).conflicts == 0);
	assert_int_equal(put(f->ix, &c).conflicts, 1u << SL_ATTR_PATIENT_NAME |
							   1u << SL_ATTR_STUDY_DATE |
							   1u << SL_ATTR_SERIES_DESCRIPTION);
	study = study_of(f, "1.1");
	assert_true(study.is_conflict);
	assert_text(&study.text, SL_ATTR_STUDY_DATE, "20240101");
	assert_text(&study.text, SL_ATTR_PATIENT_NAME, "Doe^John");
	assert_int_equal(
		sl_index_locate_series(f->rd, NULL, &a.series_instance_uid, &series, NULL), SL_OK);
	assert_true(series.is_conflict);
	assert_text(&series.text, SL_ATTR_SERIES_DESCRIPTION, "axial");
	assert_true(usage_of(f).conflicts == 3); /* patient, study, series */
	check_sound(f->ix);
}

static void another_patient_in_a_study_is_a_conflict_of_the_study(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 1);
	struct sl_record b = a_record("1.1", "1.1.1", "1.1.1.2", 2);
	struct sl_record c = a_record("1.2", "1.2.1", "1.2.1.1", 3);
	struct sl_record d = a_record("1.2", "1.2.1", "1.2.1.2", 4);
	struct sl_index_study study;
	rec_set(&a, SL_ATTR_PATIENT_ID, "P1");
	rec_set(&b, SL_ATTR_PATIENT_ID, "P2");
	rec_set(&b, SL_ATTR_PATIENT_SEX, "F"); /* P2's: not filled into P1's row */
	assert_int_equal(put(f->ix, &a).conflicts, 0);
	assert_int_equal(put(f->ix, &b).conflicts, 1u << SL_ATTR_PATIENT_ID);
	study = study_of(f, "1.1");
	assert_true(study.is_conflict);
	assert_text(&study.text, SL_ATTR_PATIENT_ID, "P1");
	assert_text(&study.text, SL_ATTR_PATIENT_SEX, "");
	assert_true(usage_of(f).patients == 1 && usage_of(f).conflicts == 1);
	/* A study begun without PatientID keeps its own patient. */
	rec_set(&d, SL_ATTR_PATIENT_ID, "P1");
	assert_int_equal(put(f->ix, &c).conflicts, 0);
	assert_int_equal(put(f->ix, &d).conflicts, 1u << SL_ATTR_PATIENT_ID);
	assert_true(study_of(f, "1.2").patient != study.patient);
	check_sound(f->ix);
}

static void a_patient_is_an_id_and_its_issuer(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *study, *id, *issuer, *charset;
		int same_as; /* index, or itself */
	} cases[] = {
		{"1.1", "P1", "", "", 0},
		{"1.2", "P1", "", "ISO_IR 192", 0},
		{"1.3", "P1", "HOSPITAL", "", 2},
		{"1.4", "P1", "HOSPITAL", "", 2},
		{"1.5", "", "", "", 4},
		{"1.6", "", "", "", 5},
		{"1.7", "M\xFC", "", "ISO_IR 100", 6},
		{"1.8", "M\xC3\xBC", "", "ISO_IR 192", 6},
		{"1.9", "P", "1", "", 8},
	};
	uint64_t patients[SL_ARRAY_N(cases)];
	for (size_t i = 0; i < SL_ARRAY_N(cases); i++) {
		char sop[16];
		snprintf(sop, sizeof(sop), "2.%zu", i);
		struct sl_record r = a_record(cases[i].study, "9", sop, i + 1);
		rec_set(&r, SL_ATTR_PATIENT_ID, cases[i].id);
		rec_set(&r, SL_ATTR_ISSUER_OF_PATIENT_ID, cases[i].issuer);
		rec_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, cases[i].charset);
		assert_int_equal(put(f->ix, &r).status, SL_OK);
		patients[i] = study_of(f, cases[i].study).patient;
		for (size_t k = 0; k < i; k++)
			assert_int_equal(
				patients[k] == patients[i], cases[k].same_as == cases[i].same_as);
	}
	assert_true(usage_of(f).patients == 6);
	check_sound(f->ix);
}

static void text_comes_out_as_utf8(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "1.1.1", "1.1.1.1", 1);
	struct sl_record b = a_record("1.1", "1.1.1", "1.1.1.2", 2);
	struct sl_record c = a_record("1.1", "1.1.1", "1.1.1.3", 3);
	struct sl_index_study study;
	rec_set(&a, SL_ATTR_SPECIFIC_CHARACTER_SET, "ISO_IR 100");
	rec_set(&a, SL_ATTR_PATIENT_NAME, "M\xFCller");
	rec_set(&b, SL_ATTR_SPECIFIC_CHARACTER_SET, "ISO_IR 192");
	rec_set(&b, SL_ATTR_STUDY_DESCRIPTION,
		"Sch\xC3\xA4"
		"del");
	rec_set(&b, SL_ATTR_REFERRING_PHYSICIAN, "Plain");
	/* The same bytes in another set are another value. */
	rec_set(&c, SL_ATTR_STUDY_DESCRIPTION,
		"Sch\xC3\xA4"
		"del");
	rec_set(&c, SL_ATTR_REFERRING_PHYSICIAN, "Plain");
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_int_equal(put(f->ix, &b).conflicts, 0);
	assert_int_equal(put(f->ix, &c).conflicts, 1u << SL_ATTR_STUDY_DESCRIPTION);
	study = study_of(f, "1.1");
	assert_text(&study.text, SL_ATTR_PATIENT_NAME, "M\xC3\xBCller");
	assert_text(&study.text, SL_ATTR_STUDY_DESCRIPTION,
		"Sch\xC3\xA4"
		"del");
}

static void modalities_of_a_study_are_named_once(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {
		"CT", "PT", "CT", "SR", "PR", "SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "KO", "REG"};
	for (size_t i = 0; i < SL_ARRAY_N(names); i++) {
		char series[16], sop[16];
		snprintf(series, sizeof(series), "1.1.%zu", i);
		snprintf(sop, sizeof(sop), "2.%zu", i);
		struct sl_record r = a_record("1.1", series, sop, i + 1);
		rec_set(&r, SL_ATTR_MODALITY, names[i]);
		assert_int_equal(put(f->ix, &r).status, SL_OK);
	}
	struct sl_index_study study = study_of(f, "1.1");
	assert_int_equal(study.modalities_n, SL_INDEX_MODALITIES);
	assert_string_equal(study.modalities[0], "CT");
	assert_string_equal(study.modalities[1], "PT");
	assert_string_equal(study.modalities[7], "RTPLAN");
	check_sound(f->ix);
}

static void objects_without_study_or_series_have_rows(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("", "", "5.1", 1), b = a_record("", "", "5.2", 2);
	struct sl_record c = a_record("1.1", "", "5.3", 3);
	struct sl_uid none = {0};
	struct sl_index_instance in[4];
	struct sl_index_cursor at = {0};
	struct sl_index_removed gone;
	size_t n = 4;
	rec_set(&a, SL_ATTR_PATIENT_ID, "P1");
	rec_set(&b, SL_ATTR_PATIENT_ID, "P2"); /* nothing that could disagree */
	assert_int_equal(put(f->ix, &a).conflicts, 0);
	assert_int_equal(put(f->ix, &b).conflicts, 0);
	assert_int_equal(put(f->ix, &c).conflicts, 0);
	assert_int_equal(sl_index_list_instances(f->rd, &none, &none, &at, in, &n, NULL), SL_OK);
	assert_int_equal(n, 2);
	assert_int_equal(in[0].study_instance_uid.len, 0);
	assert_int_equal(sl_index_locate_instance(f->rd, &c.sop_instance_uid, in, NULL), SL_OK);
	assert_string_equal(in[0].study_instance_uid.s, "1.1");
	assert_int_equal(in[0].series_instance_uid.len, 0);
	check_sound(f->ix);
	assert_int_equal(sl_index_remove_study(f->ix, &none, 9, &gone, NULL), SL_OK);
	assert_true(gone.instances == 2 && usage_of(f).instances == 1);
	check_sound(f->ix);
}

static void one_series_uid_may_be_in_two_studies(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.2", "7.7", "5.1", 1), b = a_record("1.1", "7.7", "5.2", 2);
	struct sl_index_series series;
	struct sl_index_instance in;
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_int_equal(put(f->ix, &b).status, SL_OK);
	assert_true(usage_of(f).series == 2);
	assert_int_equal(sl_index_locate_instance(f->rd, &b.sop_instance_uid, &in, NULL), SL_OK);
	assert_string_equal(in.study_instance_uid.s, "1.1");
	assert_int_equal(sl_index_locate_series(f->rd, &b.study_instance_uid,
				 &b.series_instance_uid, &series, NULL),
		SL_OK);
	assert_string_equal(series.study_instance_uid.s, "1.1");
	assert_int_equal(
		sl_index_locate_series(f->rd, NULL, &b.series_instance_uid, &series, NULL), SL_OK);
	assert_string_equal(series.study_instance_uid.s, "1.2"); /* came first */
	check_sound(f->ix);
}

static void reservations_end_at_the_room(void **state)
{
	struct fixture *f = *state;
	struct sl_index_snapshot snap;
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.room > 0);
	assert_int_equal(sl_index_reserve(f->ix, snap.room), SL_OK);
	assert_int_equal(sl_index_reserve(f->ix, 1), SL_E_FULL);
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.reserved == snap.room);
	sl_index_unreserve(f->ix, 1);
	assert_int_equal(sl_index_reserve(f->ix, 1), SL_OK);
	sl_index_unreserve(f->ix, snap.room);
	sl_index_snapshot(f->ix, &snap);
	assert_true(snap.reserved == 0);
}

/* ---- both at once ------------------------------------------------------------------------------ */

/* A record of a small world, so that everything meets everything; seq grows. */
static struct sl_record random_record(uint64_t *seed, uint64_t seq)
{
	char study[16], series[24], sop[16];
	static const char *const sets[] = {"", "ISO_IR 100", "ISO_IR 192"};
	static const char *const names[] = {"", "Doe", "M\xFC", "M\xC3\xBC"};
	unsigned st = (unsigned)(rec_random(seed) % 6);
	snprintf(study, sizeof(study), "1.%u", st);
	snprintf(series, sizeof(series), "1.%u.%u", st, (unsigned)(rec_random(seed) % 3));
	snprintf(sop, sizeof(sop), "3.%u", (unsigned)(rec_random(seed) % 60));
	struct sl_record r = a_record(st == 5 ? "" : study, st >= 4 ? "" : series, sop, seq);
	rec_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, sets[rec_random(seed) % 3]);
	rec_set(&r, SL_ATTR_PATIENT_ID, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_PATIENT_NAME, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_STUDY_DESCRIPTION, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_MODALITY, rec_random(seed) % 2 ? "CT" : "MR");
	r.file_len += rec_random(seed) % 100;
	return r;
}

static void same_studies(struct fixture *a, struct fixture *b)
{
	for (int i = 0; i < 6; i++) {
		struct sl_uid uid = {0};
		struct sl_index_study x, y;
		if (i < 5)
			rec_uid(&uid, "1.%d", i);
		enum sl_status st = sl_index_locate_study(a->rd, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_study(b->rd, &uid, &y, NULL), st);
		if (st != SL_OK)
			continue;
		assert_memory_equal(&x.counts, &y.counts, sizeof(x.counts));
		assert_int_equal(x.series_n, y.series_n);
		assert_int_equal(x.modalities_n, y.modalities_n);
		assert_int_equal(x.is_conflict, y.is_conflict);
		for (enum sl_attr k = 0; k < SL_ATTR_N; k++) {
			size_t n, m;
			const char *p = sl_index_text_get(&x.text, k, &n);
			const char *q = sl_index_text_get(&y.text, k, &m);
			assert_int_equal(n, m);
			assert_memory_equal(p, q, n);
		}
	}
}

static void same_instances(struct fixture *a, struct fixture *b)
{
	for (int i = 0; i < 60; i++) {
		struct sl_uid uid;
		struct sl_index_instance x, y;
		rec_uid(&uid, "3.%d", i);
		enum sl_status st = sl_index_locate_instance(a->rd, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_instance(b->rd, &uid, &y, NULL), st);
		if (st == SL_OK)
			assert_true(same_instance(&x, &y));
	}
	struct sl_index_usage x = usage_of(a), y = usage_of(b);
	assert_memory_equal(&x, &y, sizeof(x));
}

static void put_in_both(struct fixture *a, struct fixture *b, uint64_t *seed, uint64_t *seq)
{
	struct sl_record records[8];
	const struct sl_record *pointers[8];
	struct sl_index_result x[8], y[8];
	size_t n = rec_random(seed) % 8 + 1;
	for (size_t i = 0; i < n; i++) {
		records[i] = random_record(seed, (*seq)++);
		pointers[i] = &records[i];
	}
	assert_int_equal(sl_index_put_batch(a->ix, pointers, n, x, NULL), SL_OK);
	assert_int_equal(sl_index_put_batch(b->ix, pointers, n, y, NULL), SL_OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(x[i].status, y[i].status);
		assert_int_equal(x[i].conflicts, y[i].conflicts);
	}
}

static void remove_from_both(struct fixture *a, struct fixture *b, uint64_t *seed, uint64_t *seq)
{
	struct sl_uid uid;
	struct sl_index_removed x, y;
	bool is_study = rec_random(seed) % 4 == 0;
	enum sl_status st;
	if (is_study) {
		rec_uid(&uid, "1.%u", (unsigned)(rec_random(seed) % 5));
		st = sl_index_remove_study(a->ix, &uid, *seq, &x, NULL);
		assert_int_equal(sl_index_remove_study(b->ix, &uid, *seq, &y, NULL), st);
	} else {
		rec_uid(&uid, "3.%u", (unsigned)(rec_random(seed) % 60));
		st = sl_index_remove_instance(a->ix, &uid, *seq, &x, NULL);
		assert_int_equal(sl_index_remove_instance(b->ix, &uid, *seq, &y, NULL), st);
	}
	++*seq;
	assert_true(x.instances == y.instances && x.bytes == y.bytes);
	assert_true(x.study_gone == y.study_gone && x.series_gone == y.series_gone);
}

static void both_implementations_agree_on_a_random_life(void **state)
{
	struct fixture *a = *state; /* LMDB */
	struct fixture b = {.ix = sl_index_mem_new(CAPACITY)};
	uint64_t seed = 20240607, seq = 1;
	assert_int_equal(sl_index_open_reader(b.ix, &b.rd, NULL), SL_OK);
	for (int step = 0; step < 600; step++) {
		if (rec_random(&seed) % 3 != 0)
			put_in_both(a, &b, &seed, &seq);
		else
			remove_from_both(a, &b, &seed, &seq);
		if (step % 10 == 0) {
			same_instances(a, &b);
			same_studies(a, &b);
			check_sound(a->ix);
		}
	}
	sl_index_close_reader(b.rd);
	sl_index_close(b.ix);
}

#define BATTERY(open)                                                                             \
	cmocka_unit_test_setup_teardown(an_empty_index_answers, open, teardown),                  \
		cmocka_unit_test_setup_teardown(                                                  \
			what_went_in_is_found_by_its_uids, open, teardown),                       \
		cmocka_unit_test_setup_teardown(                                                  \
			the_same_record_again_changes_nothing, open, teardown),                   \
		cmocka_unit_test_setup_teardown(                                                  \
			another_object_of_a_uid_is_told_and_the_rest_goes_in, open, teardown),    \
		cmocka_unit_test_setup_teardown(                                                  \
			pages_show_each_row_once_while_others_come, open, teardown),              \
		cmocka_unit_test_setup_teardown(pages_pass_over_rows_that_went, open, teardown),  \
		cmocka_unit_test_setup_teardown(                                                  \
			children_are_listed_in_order_of_arrival, open, teardown),                 \
		cmocka_unit_test_setup_teardown(                                                  \
			removing_takes_out_what_is_empty_above, open, teardown),                  \
		cmocka_unit_test_setup_teardown(a_study_goes_as_a_whole, open, teardown),         \
		cmocka_unit_test_setup_teardown(tombstones_wait_in_order_of_seq, open, teardown), \
		cmocka_unit_test_setup_teardown(                                                  \
			the_first_value_stays_and_absent_ones_are_filled, open, teardown),        \
		cmocka_unit_test_setup_teardown(                                                  \
			another_patient_in_a_study_is_a_conflict_of_the_study, open, teardown),   \
		cmocka_unit_test_setup_teardown(                                                  \
			a_patient_is_an_id_and_its_issuer, open, teardown),                       \
		cmocka_unit_test_setup_teardown(text_comes_out_as_utf8, open, teardown),          \
		cmocka_unit_test_setup_teardown(                                                  \
			modalities_of_a_study_are_named_once, open, teardown),                    \
		cmocka_unit_test_setup_teardown(                                                  \
			objects_without_study_or_series_have_rows, open, teardown),               \
		cmocka_unit_test_setup_teardown(                                                  \
			one_series_uid_may_be_in_two_studies, open, teardown),                    \
		cmocka_unit_test_setup_teardown(reservations_end_at_the_room, open, teardown)

int main(void)
{
	const struct CMUnitTest twin[] = {BATTERY(open_mem)};
	const struct CMUnitTest lmdb[] = {
		BATTERY(open_lmdb),
		cmocka_unit_test_setup_teardown(
			both_implementations_agree_on_a_random_life, open_lmdb, teardown),
	};
	struct tmpdir dir;
	int failed = cmocka_run_group_tests_name("twin", twin, NULL, NULL);
	if (!tmpdir_make(&dir))
		return failed;
	tmpdir_remove(&dir);
	return failed + cmocka_run_group_tests_name("lmdb", lmdb, NULL, NULL);
}
