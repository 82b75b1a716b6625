/* The disk threads: each job once, in order, to the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "storage/ioq.h"

struct task {
	struct sl_job job;
	struct sl_ioq *ioq;
	atomic_int runs;
	int again;          /* times to submit itself once more */
	struct task *child; /* submitted when it runs */
	int *book, *book_n, number;
	sem_t *hold, *started; /* posts started, waits for hold */
};

static void run_task(struct sl_job *job, struct sl_ioq_thread *thread)
{
	struct task *t = sl_container_of(job, struct task, job);
	sl_assert(thread->ioq == t->ioq);
	memset(thread->scratch, (int)thread->number, SL_IOQ_SCRATCH); /* one's own: TSan watches */
	if (t->started != NULL)
		sem_post(t->started);
	if (t->hold != NULL)
		sem_wait(t->hold);
	if (t->book != NULL)
		t->book[(*t->book_n)++] = t->number;
	if (t->child != NULL)
		sl_ioq_submit(t->ioq, &t->child->job);
	bool is_again = t->again-- > 0;
	atomic_fetch_add(&t->runs, 1);
	if (is_again)
		sl_ioq_submit(t->ioq, job);
}

static struct sl_ioq *start(unsigned threads)
{
	struct sl_ioq *q;
	struct sl_diag d = {0};
	assert_int_equal(sl_ioq_start(&q, threads, NULL, NULL, &d), SL_OK);
	return q;
}

static void one_thread_runs_jobs_in_order(void **state)
{
	(void)state;
	enum { N = 100 };
	static struct task t[N];
	int book[N], book_n = 0;
	struct sl_ioq *q = start(1);
	memset(t, 0, sizeof(t));
	for (int i = 0; i < N; i++) {
		t[i].job.run = run_task;
		t[i].ioq = q;
		t[i].book = book;
		t[i].book_n = &book_n;
		t[i].number = i;
		sl_ioq_submit(q, &t[i].job);
	}
	sl_ioq_stop(q);
	assert_int_equal(book_n, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(book[i], i);
}

/* Submits its share of the jobs. */
struct submitter {
	struct task *tasks;
	int n;
	struct sl_ioq *ioq;
	pthread_t id;
};

static void *submit_all(void *arg)
{
	struct submitter *s = arg;
	for (int i = 0; i < s->n; i++)
		sl_ioq_submit(s->ioq, &s->tasks[i].job);
	return NULL;
}

static void many_threads_run_each_job_once(void **state)
{
	(void)state;
	enum { PER = 500, FROM = 4 };
	static struct task t[PER * FROM];
	struct submitter s[FROM];
	struct sl_ioq *q = start(4);
	memset(t, 0, sizeof(t));
	for (int i = 0; i < PER * FROM; i++) {
		t[i].job.run = run_task;
		t[i].ioq = q;
		t[i].again = i % 10 == 0;
	}
	for (int i = 0; i < FROM; i++) {
		s[i] = (struct submitter){.tasks = t + i * PER, .n = PER, .ioq = q};
		assert_int_equal(pthread_create(&s[i].id, NULL, submit_all, &s[i]), 0);
	}
	for (int i = 0; i < FROM; i++)
		pthread_join(s[i].id, NULL);
	sl_ioq_stop(q);
	for (int i = 0; i < PER * FROM; i++)
		assert_int_equal(t[i].runs, i % 10 == 0 ? 2 : 1);
}

static void *stop_it(void *arg)
{
	sl_ioq_stop(arg);
	return NULL;
}

/* Stop is asked for while a chain of jobs has only begun: each submits the next. */
static void stop_runs_also_what_running_jobs_submit(void **state)
{
	(void)state;
	enum { N = 50 };
	static struct task t[N];
	sem_t hold, started;
	struct sl_ioq *q = start(3);
	pthread_t stopper;
	memset(t, 0, sizeof(t));
	sem_init(&hold, 0, 0);
	sem_init(&started, 0, 0);
	for (int i = 0; i < N; i++) {
		t[i].job.run = run_task;
		t[i].ioq = q;
		t[i].child = i + 1 < N ? &t[i + 1] : NULL;
	}
	t[0].hold = &hold;
	t[0].started = &started;
	sl_ioq_submit(q, &t[0].job);
	sem_wait(&started);
	assert_int_equal(sl_ioq_stats(q).running, 1);
	assert_int_equal(sl_ioq_stats(q).queued, 0);
	assert_int_equal(sl_ioq_stats(q).threads, 3);
	assert_int_equal(pthread_create(&stopper, NULL, stop_it, q), 0);
	sem_post(&hold);
	pthread_join(stopper, NULL);
	for (int i = 0; i < N; i++)
		assert_int_equal(t[i].runs, 1);
	sem_destroy(&hold);
	sem_destroy(&started);
}

static void count_thread(void *arg)
{
	sigset_t blocked;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	sl_assert(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGHUP) == 1);
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* All threads at once: each has its own number and its own scratch. */
struct meeting {
	struct sl_job job;
	pthread_barrier_t *all;
	unsigned number;
	uint8_t *scratch;
};

static void meet(struct sl_job *job, struct sl_ioq_thread *thread)
{
	struct meeting *m = sl_container_of(job, struct meeting, job);
	m->number = thread->number;
	m->scratch = thread->scratch;
	pthread_barrier_wait(m->all);
}

static void each_thread_is_prepared_and_has_its_own(void **state)
{
	(void)state;
	enum { N = 6 };
	struct meeting m[N];
	struct sl_ioq *q;
	struct sl_diag d = {0};
	pthread_barrier_t all;
	atomic_int prepared = 0;
	pthread_barrier_init(&all, NULL, N);
	assert_int_equal(sl_ioq_start(&q, N, count_thread, &prepared, &d), SL_OK);
	for (int i = 0; i < N; i++) {
		m[i] = (struct meeting){.job = {.run = meet}, .all = &all};
		sl_ioq_submit(q, &m[i].job);
	}
	sl_ioq_stop(q);
	assert_int_equal(prepared, N);
	unsigned seen = 0;
	for (int i = 0; i < N; i++) {
		seen |= 1u << m[i].number;
		for (int k = 0; k < i; k++) {
			ptrdiff_t apart = m[i].scratch - m[k].scratch;
			assert_true(apart >= (ptrdiff_t)SL_IOQ_SCRATCH ||
				    apart <= -(ptrdiff_t)SL_IOQ_SCRATCH);
		}
	}
	assert_int_equal(seen, (1u << N) - 1);
	pthread_barrier_destroy(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_runs_jobs_in_order),
		cmocka_unit_test(many_threads_run_each_job_once),
		cmocka_unit_test(stop_runs_also_what_running_jobs_submit),
		cmocka_unit_test(each_thread_is_prepared_and_has_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
