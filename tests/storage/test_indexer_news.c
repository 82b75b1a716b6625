/* What the indexer tells, what it does for others between its batches, and what a failure means.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/indexer_rig.h"

/* ---- news ---------------------------------------------------------------------------------------- */

static void a_conflict_is_told_with_its_record(void **state)
{
	struct rig *r = *state;
	r->conflicts[3] = 1u << SL_ATTR_PATIENT_ID;
	start(r);
	push_range(r, 1, 4);
	wait_until_settled(r);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->conflicts_n, 1);
	assert_int_equal(r->conflict_seq, 3);
	assert_int_equal(r->conflict_bits, 1u << SL_ATTR_PATIENT_ID);
}

static void nobody_needs_to_listen(void **state)
{
	struct rig *r = *state;
	r->conflicts[3] = 1;
	r->deps.on_conflict = NULL;
	r->deps.on_tidied = NULL;
	start(r);
	sl_indexer_tidy(r->ix);
	push_range(r, 1, 4);
	wait_until_settled(r);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->conflicts_n + r->tidied, 0);
}

static void readers_are_counted_when_asked_and_not_without_memory(void **state)
{
	struct rig *r = *state;
	start(r);
	sl_indexer_tidy(r->ix);
	while (r->tidied == 0)
		sched_yield();
	r->tidy = SL_E_NOMEM;
	sl_indexer_tidy(r->ix);
	let_it_come_round(r);
	assert_int_equal(r->tidied, 1);
	assert_false(sl_latch_is_failed(&r->latch));
	r->tidy = SL_OK;
	sl_indexer_tidy(r->ix);
	while (r->tidied == 1)
		sched_yield();
	sl_indexer_stop(r->ix);
	assert_int_equal(r->tidied, 2);
}

/* ---- the errand ---------------------------------------------------------------------------------- */

static void an_errand_without_room_is_tried_again_and_then_it_is_over(void **state)
{
	struct rig *r = *state;
	r->errand[0] = SL_ERRAND_RETRY;
	start(r);
	sl_indexer_wake(r->ix);
	sem_wait(&r->did_errand);
	sem_wait(&r->did_errand);
	sl_indexer_wake(r->ix);
	sem_wait(&r->did_errand);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->errands_n, 3);
	assert_false(r->was_full[0]);
	assert_true(r->was_full[1]);
	assert_false(r->was_full[2]);
}

static void an_errand_with_more_to_do_comes_again_by_itself(void **state)
{
	struct rig *r = *state;
	r->errand[0] = r->errand[1] = SL_ERRAND_MORE;
	start(r);
	sl_indexer_wake(r->ix);
	for (int i = 0; i < 3; i++)
		sem_wait(&r->did_errand);
	sl_indexer_stop(r->ix);
	assert_int_equal(r->errands_n, 3);
}

/* ---- failures ------------------------------------------------------------------------------------ */

/* From then on nothing is taken, nobody waits, and the thread can be joined. */
static void assert_it_has_stopped(struct rig *r)
{
	assert_int_equal(sl_indexer_catch_up(r->ix), SL_E_FULL);
	assert_int_equal(sl_indexer_hurry(r->ix), SL_E_FULL);
	sl_indexer_stop(r->ix);
}

static void an_index_that_fails_latches_the_store(void **state)
{
	struct rig *r = *state;
	r->put = SL_E_IO;
	start(r);
	push_range(r, 1, 4);
	wait_until_latched(r, SL_E_IO, "test/put");
	assert_it_has_stopped(r);
	assert_int_equal(r->settles_n, 0);
	assert_int_equal(r->unreserved, 0);
	assert_int_equal(unsettled(r), 4);
}

static void an_index_that_refuses_a_winner_latches_the_store(void **state)
{
	struct rig *r = *state;
	r->result = SL_E_EXISTS;
	start(r);
	push_range(r, 1, 4);
	wait_until_latched(r, SL_E_CORRUPT, "index/put");
	push_range(r, 5, 5);
	assert_it_has_stopped(r);
	assert_int_equal(r->settles_n, 0);
}

static void a_disk_that_fails_latches_the_store(void **state)
{
	struct rig *r = *state;
	r->settle = SL_E_SYNC;
	start(r);
	push_range(r, 1, 4);
	wait_until_latched(r, SL_E_SYNC, "test/settle");
	push_range(r, 5, 5);
	assert_it_has_stopped(r);
	assert_int_equal(r->settles_n, 1);
	assert_int_equal(unsettled(r), 5);
}

static void an_index_that_cannot_be_tidied_latches_the_store(void **state)
{
	struct rig *r = *state;
	r->tidy = SL_E_IO;
	start(r);
	sl_indexer_tidy(r->ix);
	wait_until_latched(r, SL_E_IO, "test/tidy");
	push_range(r, 1, 1);
	assert_it_has_stopped(r);
	assert_int_equal(r->tidied, 0);
	assert_int_equal(r->puts_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_conflict_is_told_with_its_record),
		T(nobody_needs_to_listen),
		T(readers_are_counted_when_asked_and_not_without_memory),
		T(an_errand_without_room_is_tried_again_and_then_it_is_over),
		T(an_errand_with_more_to_do_comes_again_by_itself),
		T(an_index_that_fails_latches_the_store),
		T(an_index_that_refuses_a_winner_latches_the_store),
		T(a_disk_that_fails_latches_the_store),
		T(an_index_that_cannot_be_tidied_latches_the_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
