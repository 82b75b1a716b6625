/* The disk threads: a bounded number of threads that take jobs in order of submission.
 *
 * A job is embedded in what it works for; submitting never allocates and never blocks for long.
 * libuv's own thread pool is not used: it is global and shared with DNS (DESIGN 8).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "core/list.h"
#include "core/status.h"

#define SL_IOQ_THREADS_MAX 64
#define SL_IOQ_SCRATCH     (256 * SL_KIB) /* bytes of work space per disk thread */

/* What a disk thread has of its own; handed to every job it runs. */
struct sl_ioq_thread {
	unsigned number;  /* 0 .. threads - 1: index into per-thread tables (index readers) */
	uint8_t *scratch; /* SL_IOQ_SCRATCH bytes, for comparing files and recovery */
	struct sl_ioq *ioq;
	pthread_t id;
};

struct sl_job {
	struct sl_list node;
	void (*run)(struct sl_job *job, struct sl_ioq_thread *thread); /* may submit itself again */
};

struct sl_ioq_stats {
	uint32_t threads, queued, running; /* now */
	uint64_t done;                     /* jobs since start */
};

struct sl_ioq;

/* Starts `threads` threads (1 .. SL_IOQ_THREADS_MAX); allocates, so before the memory is sealed.
 * on_thread(arg) runs first on each of them (to seal it, to name it); may be NULL.
 * SL_E_NOMEM, SL_E_IO with *d filled. Returns owned; sl_ioq_stop() frees. */
SL_MUST enum sl_status sl_ioq_start(struct sl_ioq **out, unsigned threads,
	void (*on_thread)(void *arg), void *arg, struct sl_diag *d);

/* Queues a job; runs it once. Any thread. */
void sl_ioq_submit(struct sl_ioq *q, struct sl_job *job);

/* Runs what is queued to the end (also what those jobs submit), then joins the threads and frees.
 * Nobody else submits any more. */
void sl_ioq_stop(struct sl_ioq *q);

struct sl_ioq_stats sl_ioq_stats(struct sl_ioq *q);
