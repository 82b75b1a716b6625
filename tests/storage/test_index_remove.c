/* Removals and tombstones, of every implementation of the index seam.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_fixture.h"

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

#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, teardown)

/* clang-format off */
#define BATTERY(open) \
	TEST(pages_pass_over_rows_that_went, open), \
	TEST(removing_takes_out_what_is_empty_above, open), \
	TEST(a_study_goes_as_a_whole, open), \
	TEST(tombstones_wait_in_order_of_seq, open)
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
