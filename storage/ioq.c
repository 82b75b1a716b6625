/* The disk threads: one queue, one lock, as many threads as configured.
 *
 * Disk work takes milliseconds, the lock nanoseconds, so one queue is enough and keeps the order of
 * submission exact. On stop the queue is drained: a thread leaves when it finds nothing queued, and a
 * job that submits another has its own thread come back for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ioq.h"

#include <stdlib.h>

#include "storage/thread.h"

struct sl_ioq {
	pthread_mutex_t lock;
	pthread_cond_t wake;       /* a job was queued, or it is time to leave */
	struct sl_list jobs;       /* struct sl_job.node, in order of submission; under lock */
	struct sl_ioq_stats stats; /* under lock */
	bool is_stopping;          /* under lock */
	void (*on_thread)(void *arg);
	void *arg;
	uint8_t *scratch; /* SL_IOQ_SCRATCH for each thread */
	struct sl_ioq_thread threads[SL_IOQ_THREADS_MAX];
};

/* The next job, counted as running; NULL when the thread should leave. Called and returns locked. */
static struct sl_job *next_job(struct sl_ioq *q)
{
	while (sl_list_is_empty(&q->jobs)) {
		if (q->is_stopping)
			return NULL;
		pthread_cond_wait(&q->wake, &q->lock);
	}
	q->stats.queued--;
	q->stats.running++;
	return sl_container_of(sl_list_pop(&q->jobs), struct sl_job, node);
}

static void *thread_main(void *arg)
{
	struct sl_ioq_thread *self = arg;
	struct sl_ioq *q = self->ioq;
	struct sl_job *job;
	if (q->on_thread != NULL)
		q->on_thread(q->arg);
	pthread_mutex_lock(&q->lock);
	while ((job = next_job(q)) != NULL) {
		pthread_mutex_unlock(&q->lock);
		job->run(job, self); /* the job may be gone, or queued again, when it returns */
		pthread_mutex_lock(&q->lock);
		q->stats.running--;
		q->stats.done++;
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

enum sl_status sl_ioq_start(struct sl_ioq **out, unsigned threads, void (*on_thread)(void *arg),
	void *arg, struct sl_diag *d)
{
	sl_assert(threads >= 1 && threads <= SL_IOQ_THREADS_MAX);
	struct sl_ioq *q = calloc(1, sizeof(*q));
	uint8_t *scratch = aligned_alloc(4096, threads * SL_IOQ_SCRATCH); /* as O_DIRECT wants it */
	if (q == NULL || scratch == NULL) {
		free(q);
		free(scratch);
		return sl_fail(
			d, SL_E_NOMEM, 0, "ioq/start", "no memory for %u disk threads", threads);
	}
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	sl_list_init(&q->jobs);
	q->on_thread = on_thread;
	q->arg = arg;
	q->scratch = scratch;
	for (unsigned i = 0; i < threads; i++) {
		struct sl_ioq_thread *t = &q->threads[i];
		t->number = i;
		t->scratch = scratch + i * SL_IOQ_SCRATCH;
		t->ioq = q;
		enum sl_status st = sl_thread_start(&t->id, thread_main, t, "ioq/start", d);
		if (st != SL_OK) {
			sl_ioq_stop(q);
			return st;
		}
		q->stats.threads++;
	}
	*out = q;
	return SL_OK;
}

void sl_ioq_submit(struct sl_ioq *q, struct sl_job *job)
{
	pthread_mutex_lock(&q->lock);
	sl_list_push(&q->jobs, &job->node);
	q->stats.queued++;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

void sl_ioq_stop(struct sl_ioq *q)
{
	pthread_mutex_lock(&q->lock);
	q->is_stopping = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
	for (unsigned i = 0; i < q->stats.threads; i++)
		pthread_join(q->threads[i].id, NULL);
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q->scratch);
	free(q);
}

struct sl_ioq_stats sl_ioq_stats(struct sl_ioq *q)
{
	pthread_mutex_lock(&q->lock);
	struct sl_ioq_stats now = q->stats;
	pthread_mutex_unlock(&q->lock);
	return now;
}
