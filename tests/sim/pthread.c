/* The pthread calls of the daemon, on the simulator's threads. Misuse is a failure: a lock unlocked by
 * another, destroyed while held, taken twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "sim/sim.h"
#include "sim/wraps.h"

/* What we keep in the caller's mutex. */
struct mutex {
	unsigned owner; /* thread, plus 1; 0 = free */
};
_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "a mutex holds ours");

static struct mutex *mutex_of(pthread_mutex_t *m)
{
	return (struct mutex *)(void *)m;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	(void)attr;
	mutex_of(m)->owner = 0;
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
	if (mutex_of(m)->owner != 0)
		sim_fail("a mutex is destroyed while it is held");
	return 0;
}

static void take(pthread_mutex_t *m)
{
	unsigned self = sim_self() + 1;
	if (mutex_of(m)->owner == self)
		sim_fail("a thread waits for a mutex that it holds");
	while (mutex_of(m)->owner != 0)
		(void)sim_block(m, SIM_NEVER);
	mutex_of(m)->owner = self;
}

/* No point at which another goes on: what follows an unlock at once is one with it. */
static void give(pthread_mutex_t *m)
{
	if (mutex_of(m)->owner != sim_self() + 1)
		sim_fail("a mutex is unlocked by a thread that does not hold it");
	mutex_of(m)->owner = 0;
	sim_wake(m, true);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	sim_yield();
	take(m);
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	give(m);
	return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	(void)c;
	(void)attr;
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	(void)c;
	return 0;
}

/* Now and then nobody has called: POSIX allows it, so the daemon must bear it. */
static int wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t until)
{
	uint64_t limit = sim_one_in(64) ? sim_now_ns() + SIM_MS : until;
	give(m);
	bool was_woken = sim_block(c, sl_min64(limit, until));
	take(m);
	return was_woken || sim_now_ns() < until ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	(void)wait_until(c, m, SIM_NEVER);
	return 0;
}

int __wrap_pthread_cond_timedwait(
	pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	return wait_until(c, m, (uint64_t)until->tv_sec * 1000000000u + (uint64_t)until->tv_nsec);
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	sim_wake(c, false);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	sim_wake(c, true);
	return 0;
}

int __wrap_pthread_create(
	pthread_t *id, const pthread_attr_t *attr, void *(*main)(void *arg), void *arg)
{
	(void)attr;
	*id = sim_start(main, arg, true, "node");
	return 0;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
	(void)result;
	while (!sim_is_over((unsigned)id))
		(void)sim_block(sim_thread_channel((unsigned)id), SIM_NEVER);
	return 0;
}

pthread_t __wrap_pthread_self(void)
{
	return sim_self();
}

int __wrap_pthread_setname_np(pthread_t id, const char *name)
{
	sim_thread_name((unsigned)id, name);
	return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	(void)how;
	(void)set;
	if (before != NULL)
		sigemptyset(before);
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){.tv_sec = (time_t)(sim_now_ns() / 1000000000u),
		.tv_nsec = (long)(sim_now_ns() % 1000000000u)};
	return 0;
}

/* sl_assert() of the daemon. */
_Noreturn void __wrap_abort(void)
{
	sim_fail("the daemon aborts: see the assertion on standard error");
}
