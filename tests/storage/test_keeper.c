/* The keeper's plan on a made-up clock, and its thread with duties that tell when they ran.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <semaphore.h>

#include "storage/keeper.h"

#define MS ((uint64_t)1000000)

static void count(void *arg)
{
	(*(int *)arg)++;
}

static void duties_run_at_once_and_then_by_their_periods(void **state)
{
	(void)state;
	int often = 0, seldom = 0;
	const struct sl_keeper_duty duties[] = {{count, &often, 250}, {count, &seldom, 60000}};
	struct sl_keeper_plan p;
	uint64_t now = 777 * MS;
	sl_keeper_plan_init(&p, duties, 2, now);
	assert_int_equal(sl_keeper_plan_turn(&p, now), now + 250 * MS);
	assert_int_equal(often, 1);
	assert_int_equal(seldom, 1);
	assert_int_equal(sl_keeper_plan_turn(&p, now + 249 * MS), now + 250 * MS); /* nothing due */
	assert_int_equal(often, 1);
	for (uint64_t t = now; t < now + 120000 * MS;)
		t = sl_keeper_plan_turn(&p, t);
	assert_int_equal(often, 480);
	assert_int_equal(seldom, 2);
}

static void a_late_turn_is_not_made_up_for(void **state)
{
	(void)state;
	int often = 0;
	const struct sl_keeper_duty duties[] = {{count, &often, 250}};
	struct sl_keeper_plan p;
	sl_keeper_plan_init(&p, duties, 1, 0);
	assert_int_equal(sl_keeper_plan_turn(&p, 0), 250 * MS);
	assert_int_equal(
		sl_keeper_plan_turn(&p, 1100 * MS), 1250 * MS); /* once, back on its grid */
	assert_int_equal(often, 2);
	assert_int_equal(sl_keeper_plan_turn(&p, 1250 * MS), 1500 * MS);
	assert_int_equal(often, 3);
}

static void no_duty_is_never_due(void **state)
{
	(void)state;
	struct sl_keeper_plan p;
	sl_keeper_plan_init(&p, NULL, 0, 5);
	assert_int_equal(sl_keeper_plan_turn(&p, 5), UINT64_MAX);
}

static void post(void *arg)
{
	sem_post(arg);
}

static void the_thread_keeps_coming_back(void **state)
{
	(void)state;
	struct sl_keeper *k;
	struct sl_diag d = {0};
	sem_t prepared, a, b;
	sem_init(&prepared, 0, 0);
	sem_init(&a, 0, 0);
	sem_init(&b, 0, 0);
	const struct sl_keeper_duty duties[] = {{post, &a, 1}, {post, &b, 3600000}};
	assert_int_equal(sl_keeper_start(&k, duties, 2, post, &prepared, &d), SL_OK);
	sem_wait(&prepared);
	sem_wait(&b); /* also the one that is due once an hour ran at once */
	for (int i = 0; i < 5; i++)
		sem_wait(&a);
	sl_keeper_stop(k); /* and does not wait for the hour */
	assert_int_equal(sl_keeper_start(&k, NULL, 0, NULL, NULL, &d), SL_OK);
	sl_keeper_stop(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(duties_run_at_once_and_then_by_their_periods),
		cmocka_unit_test(a_late_turn_is_not_made_up_for),
		cmocka_unit_test(no_duty_is_never_due),
		cmocka_unit_test(the_thread_keeps_coming_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
