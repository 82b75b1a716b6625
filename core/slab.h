/* A pool of equal buffers, bought once; after pyDICOS' CustomMemoryManager (DESIGN 3).
 *
 * Happy path: a loop thread gets a buffer, O(1); references are shared with the disk job that writes
 * it; whoever puts the last reference (any thread) returns it. No buffer free: the caller enqueues a
 * waiter it owns, and the thread that returns the next buffer hands it over directly, so nobody can
 * overtake. Order among waiters: by criticality (finishing work before new intake), then FIFO; but
 * every SL_SLAB_FAIR-th grant goes to the longest waiter of the lower class, so that one endless
 * object cannot starve newcomers. A free buffer and a waiter never exist at the same time.
 *
 * Never falls back to malloc, never grows. A foreign or doubly put buffer is a programming error, in
 * every build; in integrity mode so is a write to a buffer after it was put.
 * Threads: all functions but init may be called on any thread; one short spin lock (see slab.c).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/list.h"
#include "core/status.h"

#define SL_SLAB_FAIR 4 /* one grant in four ignores criticality while both classes wait */

struct sl_slab_pool;

/* One buffer. Its slot lives as long as the pool; the bytes are the holder's while refs > 0. */
struct sl_slab {
	uint8_t *base;             /* the buffer; page-aligned when the memory handed in was */
	size_t cap;                /* bytes */
	struct sl_slab_pool *pool; /* owner, checked by put */
	uint32_t index;            /* 0 .. pool->n - 1: callers keep parallel arrays by it */
	atomic_uint refs;          /* 0 = free */
	struct sl_slab *next_free; /* under the pool's lock */
};

enum sl_slab_crit {
	SL_SLAB_FINISH, /* more bytes of an object that already began to reach the disk */
	SL_SLAB_INTAKE, /* the first buffer of an object */
	SL_SLAB_CRIT_N
};

/* Owned by the caller, which keeps it alive until granted or unwaited. */
struct sl_slab_waiter {
	struct sl_list node; /* under the pool's lock */
	bool is_queued;      /* under the pool's lock; false before the first use */
	/* Called once, by the thread that put the buffer, outside the lock: the waiter now holds one
	 * reference to `granted`. Must only pass the news on (post to a mailbox). */
	void (*on_grant)(struct sl_slab_waiter *w);
	struct sl_slab *granted; /* NULL until granted */
};

struct sl_slab_stats {
	uint32_t n, used, peak, waiters; /* buffers; peak since init */
	uint64_t gets, waits;            /* totals since init */
};

struct sl_slab_pool {
	atomic_flag lock;
	bool has_integrity;    /* see sl_slab_pool_integrity() */
	struct sl_slab *slots; /* n of them, handed in */
	uint8_t *mem;          /* n * buffer_size bytes, handed in */
	size_t buffer_size;
	uint32_t n;
	struct sl_slab *free_head; /* last put, first got: its pages are warm */
	struct sl_list waiting[SL_SLAB_CRIT_N];
	uint32_t grants_in_row; /* of SL_SLAB_FINISH while SL_SLAB_INTAKE waited */
	struct sl_slab_stats stats;
};

/* The caller hands in n slots and n * buffer_size bytes (both outlive the pool). n >= 1. */
void sl_slab_pool_init(
	struct sl_slab_pool *p, struct sl_slab *slots, void *mem, size_t buffer_size, uint32_t n);

/* Integrity mode, before the first get: a free buffer is filled with a pattern that is checked when it
 * is got again, so a write through a stale slice stops the process. Costs two passes over each buffer:
 * for tests and hunts. */
void sl_slab_pool_integrity(struct sl_slab_pool *p);

/* A buffer with one reference, or NULL when none is free or somebody waits already (no overtaking). */
struct sl_slab *sl_slab_get(struct sl_slab_pool *p);

/* As get, but when there is none, enqueues *w and returns NULL; w->on_grant follows exactly once,
 * unless sl_slab_unwait() took the waiter back. w->on_grant is set by the caller. */
struct sl_slab *sl_slab_get_or_wait(
	struct sl_slab_pool *p, struct sl_slab_waiter *w, enum sl_slab_crit crit);

/* Takes a waiter that get_or_wait enqueued out of the queue again. False: it was granted already,
 * on_grant was or is being called, and the holder must put w->granted when the news arrives. */
bool sl_slab_unwait(struct sl_slab_pool *p, struct sl_slab_waiter *w);

/* Another reference to a buffer the caller already holds. */
void sl_slab_share(struct sl_slab *s);

/* Gives one reference back; the last one returns the buffer or hands it to the next waiter. */
void sl_slab_put(struct sl_slab *s);

/* True when more than the caller's own reference is out. */
bool sl_slab_is_shared(const struct sl_slab *s);

struct sl_slab_stats sl_slab_pool_stats(struct sl_slab_pool *p);
