/* The watermarks while somebody makes room: who waits, who is told, what is needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/water_world.h"

struct waiter {
	struct sl_water_wait wait;
	int told;
};

static void count_news(struct sl_water_wait *wait)
{
	sl_container_of(wait, struct waiter, wait)->told++;
}

static void count_short(void *arg)
{
	++*(int *)arg;
}

static void relieved_new_objects_wait_at_high_and_begun_ones_at_full(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	struct waiter waiter = {.wait.on_news = count_news};
	int shorts = 0;
	world_init(&x, 1000 * SL_MIB);
	world_open(&x);
	world_use(&x, 840 * SL_MIB);
	look(&x);
	sl_water_on_short(x.w, count_short, &shorts);
	sl_water_set_relief(x.w, true);
	assert_int_equal(sl_water_reserve_first(x.w, 9 * SL_MIB, &d), SL_OK); /* up to 84.9 % */
	assert_false(sl_water_excess(x.w).disk.is_high);
	assert_int_equal(sl_water_reserve_first(x.w, 9 * SL_MIB, &d), SL_AGAIN);
	assert_true(sl_water_excess(x.w).disk.is_high);
	assert_int_equal(shorts, 1);
	assert_int_equal(sl_water_reserve(x.w, 90 * SL_MIB, &d), SL_OK); /* of one that is begun */
	assert_int_equal(sl_water_reserve(x.w, 90 * SL_MIB, &d), SL_AGAIN);
	assert_int_equal(d.status, SL_OK); /* waiting is no failure */
	assert_int_equal(sl_water_now(x.w).refusals, 0);
	assert_true(sl_water_may_begin(x.w));
	/* Without anybody waiting, what is reserved will come back: only what is used is too much. */
	assert_int_equal(sl_water_excess(x.w).disk.excess, 90 * SL_MIB);
	sl_water_wait(x.w, &waiter.wait);
	assert_int_equal(sl_water_excess(x.w).disk.excess, (90 + 99) * SL_MIB);
	assert_int_equal(waiter.told, 0);
	look(&x);
	assert_int_equal(waiter.told, 1);
	look(&x);
	assert_int_equal(waiter.told, 1); /* once */
	sl_water_close(x.w);
}

static void when_relief_ends_who_waits_is_told_and_refused(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	struct waiter waiter = {.wait.on_news = count_news};
	world_init(&x, 1000 * SL_MIB);
	world_open(&x);
	sl_water_set_relief(x.w, true);
	world_use(&x, 960 * SL_MIB);
	look(&x);
	assert_int_equal(sl_water_now(x.w).state, SL_WATER_REFUSING);
	assert_true(sl_water_may_begin(x.w)); /* to wait */
	assert_int_equal(sl_water_reserve_first(x.w, SL_MIB, &d), SL_AGAIN);
	sl_water_wait(x.w, &waiter.wait);
	/* Behind one who waits, another new one waits too, however small. */
	world_use(&x, 100 * SL_MIB);
	assert_int_equal(sl_water_reserve_first(x.w, 1, &d), SL_AGAIN);
	sl_water_set_relief(x.w, true);
	assert_int_equal(waiter.told, 0); /* no change */
	sl_water_set_relief(x.w, false);
	assert_int_equal(waiter.told, 1);
	assert_false(sl_water_may_begin(x.w));
	assert_int_equal(sl_water_reserve_first(x.w, SL_MIB, &d), SL_E_FULL);
	assert_int_equal(sl_water_now(x.w).refusals, 1);
	sl_water_close(x.w);
}

/* A quota that is passed is no reason to empty the disk down to its own low mark. */
static void each_measure_says_its_own_need(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000 * SL_MIB);
	x.conf.quota = 100 * SL_MIB;
	world_open(&x);
	world_use(&x, 800 * SL_MIB);
	sl_water_settle(x.w, 0, 90 * SL_MIB);
	look(&x);
	struct sl_water_excess need = sl_water_excess(x.w);
	assert_true(need.quota.is_high && need.quota.excess == 15 * SL_MIB);
	assert_true(!need.disk.is_high && need.disk.excess == 50 * SL_MIB);
	assert_true(!need.inodes.is_high && need.inodes.excess == 0);
	sl_water_removed(x.w, 15 * SL_MIB);
	need = sl_water_excess(x.w);
	assert_true(!need.quota.is_high && need.quota.excess == 0);
	sl_water_close(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relieved_new_objects_wait_at_high_and_begun_ones_at_full),
		cmocka_unit_test(when_relief_ends_who_waits_is_told_and_refused),
		cmocka_unit_test(each_measure_says_its_own_need),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
