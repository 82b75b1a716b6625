/* The shared fsync: a waiter is released only by an fsync that began after it joined; many share one;
 * a failed one is the last.
 *
 * This program's own fsync() stands before the C library's: it can be held open, made to fail, and
 * counts its beginnings and ends, so nothing here depends on time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "storage/dirsync.h"

#define FD 12345 /* never opened: only handed to our fsync() */

/* ---- the fsync of this program ---- */

static struct {
	atomic_ulong begun, ended;
	atomic_int fail_errno; /* 0 = succeed */
	atomic_bool is_held;   /* each call posts entered and waits for go */
	sem_t entered, go;
} script;

int fsync(int fd)
{
	sl_assert(fd == FD);
	atomic_fetch_add(&script.begun, 1);
	if (atomic_load(&script.is_held)) {
		sem_post(&script.entered);
		sem_wait(&script.go);
	}
	int errnum = atomic_load(&script.fail_errno);
	atomic_fetch_add(&script.ended, 1);
	errno = errnum;
	return errnum == 0 ? 0 : -1;
}

static struct sl_dirsync *start(bool is_held, bool do_sync)
{
	struct sl_dirsync *ds;
	struct sl_diag d = {0};
	memset(&script, 0, sizeof(script));
	sem_init(&script.entered, 0, 0);
	sem_init(&script.go, 0, 0);
	script.is_held = is_held;
	assert_int_equal(sl_dirsync_start(&ds, FD, do_sync, NULL, NULL, &d), SL_OK);
	return ds;
}

/* ---- waiters ---- */

struct name {
	struct sl_dirsync_wait wait;
	sem_t *released; /* posted */
	pthread_t by;    /* the thread that released it */
	atomic_int calls;
	enum sl_status st;
	unsigned long begun_at_join, ended_at_release;
};

static void on_synced(struct sl_dirsync_wait *w, enum sl_status st)
{
	struct name *n = sl_container_of(w, struct name, wait);
	n->st = st;
	n->by = pthread_self();
	n->ended_at_release = atomic_load(&script.ended);
	atomic_fetch_add(&n->calls, 1);
	if (n->released != NULL)
		sem_post(n->released);
}

static void join_only(struct sl_dirsync *ds, struct name *n, sem_t *released)
{
	memset(n, 0, sizeof(*n));
	n->wait.on_synced = on_synced;
	n->released = released;
	n->begun_at_join = atomic_load(&script.begun);
	sl_dirsync_join(ds, &n->wait);
}

static void join(struct sl_dirsync *ds, struct name *n, sem_t *released)
{
	join_only(ds, n, released);
	sl_dirsync_await(ds, &n->wait);
}

/* Returns when its fsync has begun, which is held. */
static void first_join(struct name *n, struct sl_dirsync *ds, sem_t *released)
{
	join(ds, n, released);
	sem_wait(&script.entered);
}

static void assert_released_by_a_later_one(const struct name *n)
{
	assert_int_equal(n->calls, 1);
	assert_int_equal(n->st, SL_OK);
	assert_true(n->wait.covered_by > n->wait.named_after);
	/* Of the fsyncs begun after the join at least one has ended. They run one at a time. */
	assert_true(n->ended_at_release > n->begun_at_join);
}

/* ---- the promise ---- */

static void a_waiter_is_released_only_by_an_fsync_begun_after_it_joined(void **state)
{
	(void)state;
	struct name a, b, c;
	sem_t released;
	sem_init(&released, 0, 0);
	struct sl_dirsync *ds = start(true, true);
	first_join(&a, ds, &released); /* the fsync for a has begun */
	join(ds, &b, &released);       /* too late for it */
	join(ds, &c, &released);
	sem_post(&script.go);
	sem_wait(&released);
	sem_wait(&script.entered); /* the next has begun, the first is long over */
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	assert_int_equal(c.calls, 0);
	sem_post(&script.go);
	sem_wait(&released);
	sem_wait(&released);
	sl_dirsync_stop(ds);
	assert_released_by_a_later_one(&a);
	assert_released_by_a_later_one(&b);
	assert_released_by_a_later_one(&c);
	assert_int_equal(a.wait.covered_by, 1);
	assert_int_equal(b.wait.named_after, 1);
	assert_int_equal(b.wait.covered_by, 2);
	assert_int_equal(c.wait.covered_by, 2);
	assert_int_equal(script.begun, 2);
	assert_false(pthread_equal(a.by, pthread_self()));
}

/* ---- between join and await ---- */

static void who_awaits_late_is_told_at_once(void **state)
{
	(void)state;
	struct name a, b;
	sem_t released;
	sem_init(&released, 0, 0);
	struct sl_dirsync *ds = start(true, true);
	join_only(ds, &a, NULL);
	sem_wait(&script.entered);
	join(ds, &b, &released);
	sem_post(&script.go);
	sem_wait(&script.entered); /* a's round is over, b's has begun */
	assert_int_equal(a.calls, 0);
	sl_dirsync_await(ds, &a.wait);
	assert_int_equal(a.calls, 1);
	assert_true(pthread_equal(a.by, pthread_self()));
	sem_post(&script.go);
	sem_wait(&released);
	sl_dirsync_stop(ds);
	assert_int_equal(script.ended, 2);
	assert_released_by_a_later_one(&a);
	assert_released_by_a_later_one(&b);
}

static void who_leaves_is_never_called(void **state)
{
	(void)state;
	struct name a, b, c;
	sem_t released;
	sem_init(&released, 0, 0);
	struct sl_dirsync *ds = start(true, true);
	join_only(ds, &a, NULL);
	sem_wait(&script.entered);
	join_only(ds, &b, NULL); /* no fsync has begun for it: it goes at once */
	sl_dirsync_leave(ds, &b.wait);
	memset(&b.wait, 0xff, sizeof(b.wait)); /* its memory is its own again */
	join(ds, &c, &released);
	script.is_held = false;
	sem_post(&script.go);
	sl_dirsync_leave(ds, &a.wait); /* in a round: it waits for the end of it */
	assert_true(script.ended >= 1);
	memset(&a.wait, 0xff, sizeof(a.wait));
	sem_wait(&released);
	sl_dirsync_stop(ds);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 0);
	assert_released_by_a_later_one(&c);
	assert_int_equal(script.begun, 2);
}

/* ---- sharing ---- */

#define THREADS    8
#define PER_THREAD 50

struct joiner {
	struct sl_dirsync *ds;
	struct name names[PER_THREAD];
	sem_t released;
	bool one_by_one; /* waits for each before the next */
	pthread_t id;
};

/* Every second one awaits late, every fifth leaves and joins again. */
static void *join_all(void *arg)
{
	struct joiner *j = arg;
	for (int i = 0; i < PER_THREAD; i++) {
		join_only(j->ds, &j->names[i], &j->released);
		if (j->one_by_one && i % 5 == 0) {
			sl_dirsync_leave(j->ds, &j->names[i].wait);
			join_only(j->ds, &j->names[i], &j->released);
		}
		if (i % 2 == 0)
			sched_yield();
		sl_dirsync_await(j->ds, &j->names[i].wait);
		if (j->one_by_one)
			sem_wait(&j->released);
	}
	return NULL;
}

static void crowd_start(struct joiner *j, struct sl_dirsync *ds, bool one_by_one)
{
	for (int i = 0; i < THREADS; i++) {
		j[i].ds = ds;
		j[i].one_by_one = one_by_one;
		sem_init(&j[i].released, 0, 0);
		assert_int_equal(pthread_create(&j[i].id, NULL, join_all, &j[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(j[i].id, NULL);
}

static void whoever_comes_during_an_fsync_shares_the_next(void **state)
{
	(void)state;
	static struct joiner crowd[THREADS];
	struct name first;
	struct sl_dirsync *ds = start(true, true);
	first_join(&first, ds, NULL);
	crowd_start(crowd, ds, false); /* 400 names while the first fsync runs */
	script.is_held = false;
	sem_post(&script.go);
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < PER_THREAD; k++)
			sem_wait(&crowd[i].released);
	sl_dirsync_stop(ds);
	assert_int_equal(script.begun, 2);
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < PER_THREAD; k++)
			assert_released_by_a_later_one(&crowd[i].names[k]);
}

static void the_promise_holds_in_a_crowd(void **state)
{
	(void)state;
	static struct joiner crowd[THREADS];
	struct sl_dirsync *ds = start(false, true);
	crowd_start(crowd, ds, true);
	sl_dirsync_stop(ds);
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < PER_THREAD; k++)
			assert_released_by_a_later_one(&crowd[i].names[k]);
	assert_true(script.begun <= THREADS * (PER_THREAD + PER_THREAD / 5)); /* with who left */
	assert_int_equal(script.begun, script.ended);
}

/* ---- failure ---- */

static void a_failed_fsync_fails_everybody_and_is_never_tried_again(void **state)
{
	(void)state;
	struct name a, b, c;
	sem_t released;
	sem_init(&released, 0, 0);
	struct sl_dirsync *ds = start(true, true);
	first_join(&a, ds, &released);
	join(ds, &b, &released);
	script.fail_errno = EIO;
	sem_post(&script.go);
	sem_wait(&released);
	sem_wait(&released);   /* b too, without an fsync of its own */
	script.fail_errno = 0; /* the disk is well again: it does not matter */
	join(ds, &c, &released);
	sem_wait(&released);
	sl_dirsync_stop(ds);
	const struct name *all[] = {&a, &b, &c};
	for (size_t i = 0; i < SL_ARRAY_N(all); i++) {
		assert_int_equal(all[i]->st, SL_E_SYNC);
		assert_int_equal(all[i]->calls, 1);
		assert_int_equal(all[i]->wait.errnum, EIO);
		assert_int_equal(all[i]->wait.covered_by, 0); /* the ack gate finds no proof */
	}
	assert_int_equal(script.begun, 1);
}

/* ---- the rest ---- */

static void without_durability_nothing_is_synced(void **state)
{
	(void)state;
	struct name a;
	struct sl_dirsync *ds = start(false, false);
	join(ds, &a, NULL);
	sl_dirsync_stop(ds);
	assert_int_equal(a.st, SL_OK);
	assert_true(a.wait.covered_by > a.wait.named_after);
	assert_int_equal(script.begun, 0);
}

static void stop_serves_who_waits(void **state)
{
	(void)state;
	static struct name names[100];
	struct sl_dirsync *ds = start(false, true);
	for (size_t i = 0; i < SL_ARRAY_N(names); i++)
		join(ds, &names[i], NULL);
	sl_dirsync_stop(ds);
	for (size_t i = 0; i < SL_ARRAY_N(names); i++)
		assert_released_by_a_later_one(&names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_waiter_is_released_only_by_an_fsync_begun_after_it_joined),
		cmocka_unit_test(who_awaits_late_is_told_at_once),
		cmocka_unit_test(who_leaves_is_never_called),
		cmocka_unit_test(whoever_comes_during_an_fsync_shares_the_next),
		cmocka_unit_test(the_promise_holds_in_a_crowd),
		cmocka_unit_test(a_failed_fsync_fails_everybody_and_is_never_tried_again),
		cmocka_unit_test(without_durability_nothing_is_synced),
		cmocka_unit_test(stop_serves_who_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
