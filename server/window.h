/* The operations that are lent to associations with an asynchronous operations window (PS3.7 D.3.3.3).
 *
 * Every association has one operation of its own. What it is granted beyond that it borrows here when
 * it is accepted, for as long as it lives, so that an operation within its window never waits for
 * memory. Bought at start; how much one association gets follows what is free now of these and of the
 * pool's buffers: an operation without a buffer to go with it would only wait.
 *
 * Threads: any; one mutex.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "core/list.h"
#include "server/svc.h"

#define SL_WINDOW_SPARES_MAX 512 /* lent in all: some 4 MiB, of the fixed part of the ceiling */
#define SL_WINDOW_SHARE      4   /* one association gets no more than this part of what is free */

struct sl_window {
	pthread_mutex_t lock;
	struct sl_list free; /* struct sl_svc_store.node; under lock */
	uint32_t free_n;     /* under lock */
};

/* In `spares`, n of them (may be 0), handed in, not initialized. */
void sl_window_init(struct sl_window *w, struct sl_svc_store *spares, uint32_t n);
/* All were given back. */
void sl_window_fini(struct sl_window *w);

/* Moves at most `wanted` operations to the end of `to`: no more than 1 / SL_WINDOW_SHARE of those that
 * are free, or of the free buffers. Returns how many. */
uint32_t sl_window_borrow(
	struct sl_window *w, struct sl_list *to, uint32_t wanted, uint32_t buffers_free);

/* Takes one back. */
void sl_window_give_back(struct sl_window *w, struct sl_svc_store *s);
