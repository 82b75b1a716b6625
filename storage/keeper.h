/* The keeper: one thread for the small things that are due every so often.
 *
 * It looks at the disk (water.h), checks for stale readers of the index, and the like. Duties run one
 * after another, so each should take milliseconds; one that was late is not made up for.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

#define SL_KEEPER_DUTIES_MAX 16

struct sl_keeper_duty {
	void (*run)(void *arg); /* on the keeper thread */
	void *arg;
	uint32_t period_ms; /* >= 1; the first run is at once */
};

struct sl_keeper;

/* Starts the thread; duties are copied. on_thread(thread_arg) runs first on it (ioq.h); may be NULL.
 * SL_E_NOMEM. Returns owned; sl_keeper_stop() frees. */
SL_MUST enum sl_status sl_keeper_start(struct sl_keeper **out, const struct sl_keeper_duty *duties,
	size_t duties_n, void (*on_thread)(void *arg), void *thread_arg, struct sl_diag *d);

/* Lets the duty that is running end, joins the thread and frees. */
void sl_keeper_stop(struct sl_keeper *k);

/* ---- the schedule alone, without a thread or a clock ---- */

struct sl_keeper_plan {
	struct sl_keeper_duty duties[SL_KEEPER_DUTIES_MAX];
	uint64_t due_ns[SL_KEEPER_DUTIES_MAX]; /* monotonic */
	size_t n;
};

/* All duties are due at now_ns. */
void sl_keeper_plan_init(struct sl_keeper_plan *p, const struct sl_keeper_duty *duties,
	size_t duties_n, uint64_t now_ns);

/* Runs what is due, in the order given; returns when the next one is [ns], UINT64_MAX with none. */
uint64_t sl_keeper_plan_turn(struct sl_keeper_plan *p, uint64_t now_ns);
