/* The indexer's batches: what is due when, what goes in together, in which order it moves, and what a full
 * index or disk makes of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/indexer_rig.h"

/* ---- batches ------------------------------------------------------------------------------------- */

static void a_full_batch_goes_at_once_and_no_other(void **state)
{
	struct rig *r = *state;
	start(r);
	push_range(r, 1, 3);
	let_it_come_round(r);
	assert_int_equal(sl_indexer_stats(r->ix).queued, 3);
	assert_int_equal(unsettled(r), 3);
	push_range(r, 4, 4);
	wait_until_settled(r);
	assert_int_equal(sl_indexer_stats(r->ix).queued, 0);
	assert_int_equal(r->unreserved, 4);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->puts_n, 1);
	assert_put(r, 0, 1, 4);
	assert_int_equal(r->settled_n, 4);
}

/* Again and again: a batch that fills while the thread sleeps wakes it. */
static void every_full_batch_wakes_the_thread(void **state)
{
	struct rig *r = *state;
	r->conf.batch = 2;
	start(r);
	for (int i = 0; i < CALLS; i++) {
		push_range(r, 1, 2);
		wait_until_settled(r);
		r->settled_n = 0;
	}
	sl_indexer_stop(r->ix);
	assert_int_equal(r->puts_n, CALLS);
}

static void what_waited_long_enough_goes_alone(void **state)
{
	struct rig *r = *state;
	r->conf.max_delay_ms = 0;
	start(r);
	push_range(r, 1, 1);
	wait_until_settled(r);
	sl_indexer_stop(r->ix);
	assert_put(r, 0, 1, 1);
}

static void the_lag_is_the_age_of_the_oldest(void **state)
{
	struct rig *r = *state;
	start(r);
	assert_int_equal(sl_indexer_stats(r->ix).lag_ms, 0);
	push_range(r, 1, 1);
	atomic_fetch_add(&r->now_ns, 7000000);
	push_range(r, 2, 2);
	assert_int_equal(sl_indexer_stats(r->ix).lag_ms, 7);
	assert_int_equal(sl_indexer_catch_up(r->ix), SL_OK);
	assert_int_equal(sl_indexer_stats(r->ix).lag_ms, 0);
	sl_indexer_stop(r->ix);
}

static void who_catches_up_or_hurries_does_not_wait_for_company(void **state)
{
	struct rig *r = *state;
	start(r);
	assert_int_equal(sl_indexer_catch_up(r->ix), SL_OK); /* nothing to wait for */
	push_range(r, 1, 2);
	assert_int_equal(sl_indexer_catch_up(r->ix), SL_OK);
	assert_int_equal(sl_indexer_stats(r->ix).queued, 0);
	push_range(r, 3, 4);
	assert_int_equal(sl_indexer_hurry(r->ix), SL_OK);
	wait_until_settled(r);
	push_range(r, 5, 5); /* nobody hurries any more */
	let_it_come_round(r);
	assert_int_equal(unsettled(r), 1);
	sl_indexer_stop(r->ix); /* but at the end everything goes */
	assert_int_equal(unsettled(r), 0);
	assert_put(r, 0, 1, 2);
	assert_put(r, 1, 3, 2);
	assert_put(r, 2, 5, 1);
}

static void a_batch_moves_by_series_and_in_these_by_age(void **state)
{
	struct rig *r = *state;
	static const uint64_t want[] = {2, 4, 1, 3};
	start(r);
	for (uint64_t seq = 1; seq <= 4; seq++)
		push(r, seq, seq % 2 == 0 ? "1.1.1" : "1.1.2");
	wait_until_settled(r);
	sl_indexer_stop(r->ix);
	assert_put(r, 0, 1, 4);
	assert_memory_equal(r->settled_seq, want, sizeof(want));
}

/* ---- no room ------------------------------------------------------------------------------------- */

static void a_batch_that_does_not_fit_is_halved_until_it_does(void **state)
{
	struct rig *r = *state;
	static const unsigned sizes[] = {8, 4, 2, 4, 2, 4, 2, 2};
	unsigned put = 0, done = 0;
	r->conf.batch = 8;
	r->room = 2;
	start(r);
	push_range(r, 1, 8);
	while (unsettled(r) > 6)
		sched_yield();
	let_it_come_round(r);
	assert_int_equal(
		unsettled(r), 6); /* what went back is no full batch: it waits for its time */
	while (unsettled(r) > 0)
		(void)!sl_indexer_catch_up(r->ix);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->puts_n, SL_ARRAY_N(sizes));
	for (; put < r->puts_n; put++) { /* always those that came first, in their order */
		assert_put(r, put, 1 + done, sizes[put]);
		done += sizes[put] <= 2 ? sizes[put] : 0;
	}
	assert_int_equal(done, 8);
	assert_int_equal(r->unreserved, 8);
}

static void an_index_without_room_tells_who_waits_and_goes_on_when_it_has_some(void **state)
{
	struct rig *r = *state;
	r->room = 0;
	start(r);
	push_range(r, 1, 1);
	assert_int_equal(sl_indexer_catch_up(r->ix), SL_E_FULL);
	assert_true(sl_indexer_stats(r->ix).is_full);
	assert_int_equal(sl_indexer_hurry(r->ix), SL_E_FULL);
	assert_int_equal(sl_indexer_stats(r->ix).queued, 1);
	sl_indexer_wake(r->ix); /* the thread is not stuck: whoever makes room is served */
	sem_wait(&r->did_errand);
	assert_false(sl_latch_is_failed(&r->latch));
	sl_indexer_stop(r->ix); /* what does not fit stays in the spool */
	assert_int_equal(unsettled(r), 1);
	assert_int_equal(r->settles_n, 0);
}

static void a_full_disk_is_waited_out(void **state)
{
	struct rig *r = *state;
	r->settle_fulls = 3;
	start(r);
	push_range(r, 1, 4);
	wait_until_settled(r);
	let_it_come_round(r);
	assert_false(r->was_full[1]);
	assert_int_equal(sl_indexer_hurry(r->ix), SL_OK);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->puts_n, 1); /* committed once, moved at the fourth try */
	assert_int_equal(r->settles_n, 4);
	assert_false(sl_latch_is_failed(&r->latch));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_full_batch_goes_at_once_and_no_other),
		T(every_full_batch_wakes_the_thread),
		T(what_waited_long_enough_goes_alone),
		T(the_lag_is_the_age_of_the_oldest),
		T(who_catches_up_or_hurries_does_not_wait_for_company),
		T(a_batch_moves_by_series_and_in_these_by_age),
		T(a_batch_that_does_not_fit_is_halved_until_it_does),
		T(an_index_without_room_tells_who_waits_and_goes_on_when_it_has_some),
		T(a_full_disk_is_waited_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
