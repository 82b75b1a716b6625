/* The store's FAILED state: once set, never cleared; the process leaves with exit 70 (DESIGN 2).
 *
 * Whoever sees an fsync, a commit or a promise of ours fail sets it with the cause; the ack gate reads
 * it before every success. The first cause stays, on_fail is called for that one only.
 * Any thread; set and read without a lock.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/status.h"

struct sl_latch {
	atomic_int stage;    /* enum in latch.c; only ever grows */
	struct sl_diag diag; /* the first cause; readable once stage says so */
	/* Called once, on the thread that failed; must only pass the news on. May be NULL. */
	void (*on_fail)(void *arg, const struct sl_diag *cause);
	void *arg;
};

/* Open, in memory of the caller's that outlives every thread of the store. */
void sl_latch_init(
	struct sl_latch *l, void (*on_fail)(void *arg, const struct sl_diag *cause), void *arg);

/* Sets FAILED. From the moment this returns, sl_latch_is_failed() is true on every thread.
 * True for the one call whose cause was kept. */
bool sl_latch_fail(struct sl_latch *l, const struct sl_diag *cause);

/* True from the beginning of the first sl_latch_fail() on. */
bool sl_latch_is_failed(const struct sl_latch *l);

/* The first cause, borrowed from l; NULL while not failed (or while it is being written down). */
const struct sl_diag *sl_latch_cause(const struct sl_latch *l);
