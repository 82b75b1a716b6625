/* A thread of sluice-bench: an epoll loop over its share of the senders.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "tools/bench/opts.h"
#include "tools/bench/tally.h"

struct sl_sender;

struct sl_worker {
	const struct sl_opts *opts; /* borrowed */
	pthread_t thread;
	int epoll;
	int ledger;                /* borrowed by all; -1: none */
	struct sl_sender *senders; /* owned */
	uint32_t senders_n;
	uint32_t active_n;        /* senders that are not done */
	struct sl_sender **again; /* owned; those that want another turn */
	uint32_t again_n;
	uint64_t now_ns; /* monotonic; of the present turn */
	uint64_t began_ns;
	uint64_t scan_ns; /* when to look at every sender */
	bool is_over;     /* --duration has passed: no new objects */
	struct sl_tally tally;
};

/* Prepares worker `number` of opts->threads with the senders number, number + threads, ... */
SL_MUST enum sl_status sl_worker_init(struct sl_worker *w, const struct sl_opts *opts,
	uint32_t number, int ledger, struct sl_diag *d);

/* Runs until every sender is done. The thread's function; returns NULL. */
void *sl_worker_run(void *worker);
void sl_worker_fini(struct sl_worker *w);

/* The sender has more to do at once: it gets another turn behind the others. */
void sl_worker_again(struct sl_worker *w, struct sl_sender *s);

/* The sender wants to be looked at then. */
static inline void sl_worker_wake_at(struct sl_worker *w, uint64_t ns)
{
	w->scan_ns = sl_min64(w->scan_ns, ns);
}

uint64_t sl_worker_clock(void);
