/* The watermarks on a scripted disk and a made-up clock.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/water_world.h"

/* ---- marks ---- */

static void F21_the_hysteresis_is_exact_at_the_marks(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000000);
	world_open(&x);
	static const struct {
		uint64_t used;
		enum sl_water_state state;
		const char *why;
	} way[] = {
		{0, SL_WATER_OK, ""},
		{849999, SL_WATER_OK, ""},
		{850000, SL_WATER_HIGH, "disk"},
		{849999, SL_WATER_OK, ""},
		{949999, SL_WATER_HIGH, "disk"},
		{950000, SL_WATER_REFUSING, "disk"},
		{949999, SL_WATER_REFUSING, "disk"},
		{850000, SL_WATER_REFUSING, "disk"},
		{849999, SL_WATER_OK, ""},
		{1000000, SL_WATER_REFUSING, "disk"},
		{0, SL_WATER_OK, ""},
	};
	for (size_t i = 0; i < SL_ARRAY_N(way); i++) {
		world_use(&x, way[i].used);
		look(&x);
		assert_state(&x, way[i].state, way[i].why);
	}
	sl_water_close(x.w);
}

static void the_first_look_is_taken_by_open(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_use(&x, 960000);
	world_open(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	sl_water_close(x.w);
	x.is_broken = true;
	assert_int_equal(sl_water_open(&x.w, &x.conf, &x.env, world_look, &x, 0, &d), SL_E_IO);
}

static void a_share_leaves_at_most_reserve_max(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 100 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_now(x.w).refuse_below, 5 * SL_GIB); /* the shares, as they are */
	assert_int_equal(sl_water_now(x.w).accept_above, 15 * SL_GIB);
	sl_water_close(x.w);
	world_init(&x, 100 * 1024 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_now(x.w).refuse_below, 10 * SL_GIB);
	assert_int_equal(sl_water_now(x.w).accept_above, 15 * SL_GIB);
	sl_water_close(x.w);
}

static void an_absolute_mark_stays_free_whatever_the_disk(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 100 * 1024 * SL_GIB);
	x.conf.full = (struct sl_water_mark){.is_free_bytes = true, .free_bytes = 50 * SL_GIB};
	world_open(&x);
	struct sl_water_now now = sl_water_now(x.w);
	assert_int_equal(now.refuse_below, 50 * SL_GIB);
	assert_true(now.accept_above >= now.refuse_below); /* high cannot be behind full */
	sl_water_close(x.w);
}

static void new_marks_hold_at_once(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000000);
	world_use(&x, 900000);
	world_open(&x);
	assert_state(&x, SL_WATER_HIGH, "disk");
	share(&x.conf.full, 90);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	share(&x.conf.high, 92);
	share(&x.conf.full, 97);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

/* ---- reservations ---- */

static void reservations_end_exactly_at_full(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 900000, &d), SL_OK);
	assert_int_equal(sl_water_reserve(x.w, 50000, &d), SL_OK); /* the last byte before full */
	assert_true(sl_water_may_begin(x.w));
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	assert_int_equal(d.errnum, 0);
	assert_non_null(strstr(d.text, "disk"));
	assert_state(&x, SL_WATER_REFUSING, "disk"); /* nothing small slips in any more */
	assert_int_equal(sl_water_now(x.w).refusals, 1);
	sl_water_settle(x.w, 900000, 0);
	sl_water_settle(x.w, 50000, 0);
	assert_state(&x, SL_WATER_REFUSING, "disk");            /* until a look */
	assert_int_equal(sl_water_reserve(x.w, 10, &d), SL_OK); /* who began may go on */
	sl_water_settle(x.w, 10, 0);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	assert_int_equal(sl_water_reserve(x.w, UINT64_MAX, &d), SL_E_FULL);
	assert_int_equal(sl_water_now(x.w).reserved, 0);
	sl_water_close(x.w);
}

static void what_was_settled_counts_until_a_look_has_seen_it(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	sl_water_settle(x.w, 500000, 400000);
	assert_int_equal(sl_water_now(x.w).kept, 400000);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA, &d), SL_OK);
	sl_water_settle(x.w, 550000 - EXTRA, 0);
	world_use(&x, 400000);
	look(&x);
	assert_int_equal(sl_water_reserve(x.w, 550001, &d), SL_E_FULL); /* 400000, but not twice */
	assert_int_equal(sl_water_reserve(x.w, 550000, &d), SL_OK);
	sl_water_close(x.w);
}

static void settle_late(struct world *x)
{
	sl_water_settle(x->w, 500000, 400000);
}

static void what_is_settled_during_a_look_still_counts_after_it(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	x.during_look = settle_late; /* the look read the disk before the bytes were there */
	look(&x);
	x.during_look = NULL;
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA, &d), SL_OK);
	sl_water_close(x.w);
}

static void a_look_that_fails_changes_nothing(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	sl_water_settle(x.w, 500000, 400000);
	x.is_broken = true;
	assert_int_equal(sl_water_look(x.w, &d), SL_E_IO);
	assert_int_equal(d.status, SL_E_IO);
	d = (struct sl_diag){0};
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	sl_water_enospc(x.w);
	assert_int_equal(sl_water_look(x.w, &d), SL_E_IO);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	x.is_broken = false;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

static void the_step_fits_the_room(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1024 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_step(x.w), 16 * SL_MIB);
	sl_water_close(x.w);
	world_init(&x, 256 * SL_MIB);
	world_open(&x);
	uint64_t step = sl_water_step(x.w);
	assert_true(step >= 64 * SL_KIB && step < SL_MIB); /* 64 senders do not use it up */
	assert_int_equal(sl_water_reserve(x.w, 240 * SL_MIB, &d), SL_OK);
	assert_int_equal(sl_water_step(x.w), 64 * SL_KIB);
	sl_water_close(x.w);
	world_init(&x, 1024 * SL_GIB);
	x.conf.quota = SL_GIB;
	world_open(&x);
	assert_true(sl_water_step(x.w) < SL_MIB + SL_KIB);
	sl_water_close(x.w);
	world_init(&x, 1024 * SL_GIB);
	x.conf.quota =
		200 * SL_KIB; /* 20 KiB between low and high: who waits at high must fit there */
	world_open(&x);
	assert_true(sl_water_step(x.w) <= 10 * SL_KIB && sl_water_step(x.w) >= 4096);
	sl_water_close(x.w);
}

/* ---- quota, inodes, somebody else ---- */

static void the_quota_counts_what_we_keep(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 100000000);
	x.conf.quota = 1000000;
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 950000, &d), SL_OK);
	sl_water_settle(x.w, 950000, 949999);
	world_use(&x, 949999);
	look(&x);
	assert_state(&x, SL_WATER_HIGH, "quota");
	assert_true(sl_water_now(x.w).used_share > 94 && sl_water_now(x.w).used_share < 96);
	assert_int_equal(sl_water_reserve(x.w, 2, &d), SL_E_FULL);
	assert_non_null(strstr(d.text, "quota"));
	assert_state(&x, SL_WATER_REFUSING, "quota");
	sl_water_removed(x.w, 99999); /* 850,000 kept: at high, not below it */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "quota");
	sl_water_removed(x.w, 1);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_removed(x.w, UINT64_MAX); /* miscounted once: never below nothing */
	assert_int_equal(sl_water_now(x.w).kept, 0);
	sl_water_close(x.w);
}

static void inodes_count_like_bytes(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, SL_GIB);
	x.fs.files = 1000;
	x.fs.files_avail = 54; /* full leaves 50 */
	world_open(&x);
	assert_state(&x, SL_WATER_HIGH, "inodes");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_OK);
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	assert_non_null(strstr(d.text, "inodes"));
	sl_water_settle(x.w, 1, 0);
	x.fs.files_avail = 151;
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "inodes"); /* the first one's files may come yet */
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	x.fs.files_avail = 50;
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "inodes");
	x.fs.files = 0; /* a file system that does not count them */
	x.fs.files_avail = 0;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

/* As large as the disk of which reserve_max is a share, at 16 KiB a file. */
static void a_share_of_many_inodes_leaves_what_reserve_max_means_in_inodes(void **state)
{
	(void)state;
	struct world x;
	const uint64_t full = 20 * SL_GIB / (16 * SL_KIB) / 2, high = full / 2 * 3;
	world_init(&x, SL_GIB);
	x.fs.files = 1000000000;
	x.fs.files_avail = high + 1;
	world_open(&x);
	assert_state(&x, SL_WATER_OK, "");
	x.fs.files_avail = high;
	look(&x);
	assert_state(&x, SL_WATER_HIGH, "inodes");
	x.fs.files_avail = full + 1;
	look(&x);
	assert_state(&x, SL_WATER_HIGH, "inodes");
	x.fs.files_avail = full;
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "inodes");
	sl_water_close(x.w);
}

static void report_enospc(struct world *x)
{
	sl_water_enospc(x->w);
}

static void enospc_refuses_until_a_look_finds_room(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	sl_water_enospc(x.w);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	sl_water_configure(x.w, &x.conf); /* no way around */
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	world_use(&x, 1000000);
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	world_use(&x, 900000); /* some room, not below high */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	world_use(&x, 100000);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	x.during_look = report_enospc; /* after that look read the disk */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	x.during_look = NULL;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F21_the_hysteresis_is_exact_at_the_marks),
		cmocka_unit_test(the_first_look_is_taken_by_open),
		cmocka_unit_test(a_share_leaves_at_most_reserve_max),
		cmocka_unit_test(an_absolute_mark_stays_free_whatever_the_disk),
		cmocka_unit_test(new_marks_hold_at_once),
		cmocka_unit_test(reservations_end_exactly_at_full),
		cmocka_unit_test(what_was_settled_counts_until_a_look_has_seen_it),
		cmocka_unit_test(what_is_settled_during_a_look_still_counts_after_it),
		cmocka_unit_test(a_look_that_fails_changes_nothing),
		cmocka_unit_test(the_step_fits_the_room),
		cmocka_unit_test(the_quota_counts_what_we_keep),
		cmocka_unit_test(inodes_count_like_bytes),
		cmocka_unit_test(a_share_of_many_inodes_leaves_what_reserve_max_means_in_inodes),
		cmocka_unit_test(enospc_refuses_until_a_look_finds_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
