/* What the node has done since it started: counters that any thread may add to.
 *
 * Relaxed atomics: each counter is exact, two counters read together need not be of one moment.
 * Gauges (pool in use, queue, disk) are not here; their owners know them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/hist.h"

struct sl_stats {
#define SL_STAT(name, unit, text) _Atomic uint64_t name;
#include "server/stats.def"
#undef SL_STAT
	_Atomic uint64_t sizes[SL_HIST_BUCKETS]; /* objects by size, see core/hist.h */
};

/* One row of stats.def, for the metrics and the manual. */
struct sl_stats_row {
	const char *name, *unit, *text;
	size_t offset; /* of the counter in struct sl_stats */
};
extern const struct sl_stats_row sl_stats_rows[];
extern const size_t sl_stats_rows_n;

static inline void sl_stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t sl_stats_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The counter of a row. */
uint64_t sl_stats_row_get(const struct sl_stats *stats, const struct sl_stats_row *row);

/* One object of this many bytes. */
void sl_stats_size(struct sl_stats *stats, uint64_t bytes);

/* "38 % of objects are larger than pool.buffer_size 1MiB; 4MiB would hold 96 %" into buf (cap >= 128).
 * False, and "" in buf, when fewer than SL_STATS_ADVICE_MIN objects came, or when the buffer holds
 * SL_STATS_ADVICE_SHARE percent of them. */
#define SL_STATS_ADVICE_MIN   100
#define SL_STATS_ADVICE_SHARE 95
bool sl_stats_advice(const struct sl_stats *stats, size_t buffer_size, char *buf, size_t cap);
