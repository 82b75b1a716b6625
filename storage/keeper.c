/* The keeper thread: a turn, then sleep until the next duty or the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storage/thread.h"

#define NS_PER_MS 1000000u
#define NS_PER_S  1000000000u

struct sl_keeper {
	pthread_mutex_t lock;
	pthread_cond_t
		wake; /* on CLOCK_MONOTONIC: a jump of the wall clock neither hurries nor stalls */
	bool is_stopping;           /* under lock */
	struct sl_keeper_plan plan; /* keeper thread only */
	void (*on_thread)(void *arg);
	void *arg;
	pthread_t id;
};

/* ---- the schedule ---- */

void sl_keeper_plan_init(struct sl_keeper_plan *p, const struct sl_keeper_duty *duties,
	size_t duties_n, uint64_t now_ns)
{
	sl_assert(duties_n <= SL_KEEPER_DUTIES_MAX);
	p->n = duties_n;
	for (size_t i = 0; i < duties_n; i++) {
		sl_assert(duties[i].period_ms >= 1);
		p->duties[i] = duties[i];
		p->due_ns[i] = now_ns;
	}
}

uint64_t sl_keeper_plan_turn(struct sl_keeper_plan *p, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < p->n; i++) {
		const struct sl_keeper_duty *duty = &p->duties[i];
		uint64_t period_ns = (uint64_t)duty->period_ms * NS_PER_MS;
		if (p->due_ns[i] <= now_ns) {
			duty->run(duty->arg);
			/* The next place on its own grid that is still ahead. */
			p->due_ns[i] += ((now_ns - p->due_ns[i]) / period_ns + 1) * period_ns;
		}
		next = sl_min64(next, p->due_ns[i]);
	}
	return next;
}

/* ---- the thread ---- */

/* The condition variable waits by this clock, so the plan is kept by it too. */
static uint64_t clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Sleeps until `until` [ns] or the stop. Locked; true when it is time to leave. */
static bool sleep_until(struct sl_keeper *k, uint64_t until)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(until / NS_PER_S),
		.tv_nsec = (long)(until % NS_PER_S),
	};
	while (!k->is_stopping && clock_ns() < until) {
		if (until == UINT64_MAX)
			pthread_cond_wait(&k->wake, &k->lock);
		else
			pthread_cond_timedwait(&k->wake, &k->lock, &ts);
	}
	return k->is_stopping;
}

static void *thread_main(void *arg)
{
	struct sl_keeper *k = arg;
	bool is_over = false;
	if (k->on_thread != NULL)
		k->on_thread(k->arg);
	while (!is_over) {
		uint64_t next = sl_keeper_plan_turn(&k->plan, clock_ns());
		pthread_mutex_lock(&k->lock);
		is_over = sleep_until(k, next);
		pthread_mutex_unlock(&k->lock);
	}
	return NULL;
}

static void destroy(struct sl_keeper *k)
{
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

enum sl_status sl_keeper_start(struct sl_keeper **out, const struct sl_keeper_duty *duties,
	size_t duties_n, void (*on_thread)(void *arg), void *thread_arg, struct sl_diag *d)
{
	struct sl_keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t monotonic;
	if (k == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "keeper/start", "no memory");
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&k->lock, NULL);
	sl_keeper_plan_init(&k->plan, duties, duties_n, clock_ns());
	k->on_thread = on_thread;
	k->arg = thread_arg;
	enum sl_status st = sl_thread_start(&k->id, thread_main, k, "keeper/start", d);
	if (st != SL_OK) {
		destroy(k);
		return st;
	}
	*out = k;
	return SL_OK;
}

void sl_keeper_stop(struct sl_keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->is_stopping = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->id, NULL);
	destroy(k);
}
