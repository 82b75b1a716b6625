/* One battery for every implementation of the index seam: LMDB and the in-memory twin.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_fixture.h"

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

#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, teardown)

/* clang-format off */
#define BATTERY(open) \
	TEST(an_empty_index_answers, open), \
	TEST(what_went_in_is_found_by_its_uids, open), \
	TEST(the_same_record_again_changes_nothing, open), \
	TEST(another_object_of_a_uid_is_told_and_the_rest_goes_in, open), \
	TEST(pages_show_each_row_once_while_others_come, open), \
	TEST(children_are_listed_in_order_of_arrival, open), \
	TEST(the_first_value_stays_and_absent_ones_are_filled, open), \
	TEST(another_patient_in_a_study_is_a_conflict_of_the_study, open), \
	TEST(a_patient_is_an_id_and_its_issuer, open), \
	TEST(text_comes_out_as_utf8, open), \
	TEST(modalities_of_a_study_are_named_once, open), \
	TEST(objects_without_study_or_series_have_rows, open), \
	TEST(one_series_uid_may_be_in_two_studies, open), \
	TEST(reservations_end_at_the_room, open)
/* clang-format on */

int main(void)
{
	const struct CMUnitTest twin[] = {BATTERY(open_mem)};
	const struct CMUnitTest lmdb[] = {BATTERY(open_lmdb)};
	struct tmpdir dir;
	int failed = cmocka_run_group_tests_name("twin", twin, NULL, NULL);
	if (!tmpdir_make(&dir))
		return failed;
	tmpdir_remove(&dir);
	return failed + cmocka_run_group_tests_name("lmdb", lmdb, NULL, NULL);
}
