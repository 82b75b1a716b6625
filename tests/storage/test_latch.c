/* The latch goes one way, keeps its first cause, and is seen by every thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <pthread.h>
#include <string.h>

#include "storage/latch.h"

#define THREADS 8

struct race {
	struct sl_latch latch;
	pthread_barrier_t start;
	atomic_int wins, calls, next;
	char told[160];
};

static void on_fail(void *arg, const struct sl_diag *cause)
{
	struct race *r = arg;
	atomic_fetch_add(&r->calls, 1);
	memcpy(r->told, cause->text, sizeof(r->told));
}

static void *fail_it(void *arg)
{
	struct race *r = arg;
	struct sl_diag d = {0};
	(void)sl_fail(&d, SL_E_SYNC, 5, "test", "thread %d", atomic_fetch_add(&r->next, 1));
	pthread_barrier_wait(&r->start);
	if (sl_latch_fail(&r->latch, &d))
		atomic_fetch_add(&r->wins, 1);
	assert_true(sl_latch_is_failed(&r->latch));
	const struct sl_diag *cause = sl_latch_cause(&r->latch);
	if (cause != NULL) /* the winner may still be writing it down */
		assert_int_equal(cause->status, SL_E_SYNC);
	return NULL;
}

static void first_cause_stays_and_is_told_once(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct race r = {.told = ""};
		pthread_t t[THREADS];
		sl_latch_init(&r.latch, on_fail, &r);
		assert_false(sl_latch_is_failed(&r.latch));
		assert_ptr_equal(sl_latch_cause(&r.latch), NULL);
		pthread_barrier_init(&r.start, NULL, THREADS);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, fail_it, &r), 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		pthread_barrier_destroy(&r.start);
		assert_int_equal(r.wins, 1);
		assert_int_equal(r.calls, 1);
		assert_non_null(sl_latch_cause(&r.latch));
		assert_string_equal(sl_latch_cause(&r.latch)->text, r.told);
	}
}

static void on_fail_sees_the_latch_failed(void *arg, const struct sl_diag *cause)
{
	struct sl_latch *l = arg;
	assert_true(sl_latch_is_failed(l));
	assert_ptr_equal(sl_latch_cause(l), cause);
}

static void it_is_failed_before_anybody_is_told(void **state)
{
	(void)state;
	struct sl_latch l;
	struct sl_diag d = {.status = SL_E_SYNC, .where = "test"};
	sl_latch_init(&l, on_fail_sees_the_latch_failed, &l);
	assert_true(sl_latch_fail(&l, &d));
	assert_false(sl_latch_fail(&l, &d));
	sl_latch_init(&l, NULL, NULL);
	assert_true(sl_latch_fail(&l, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_cause_stays_and_is_told_once),
		cmocka_unit_test(it_is_failed_before_anybody_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
