/* Counters as rows, and what the sizes of the objects say about the size of a buffer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/stats.h"

#include <inttypes.h>
#include <stdio.h>

const struct sl_stats_row sl_stats_rows[] = {
#define SL_STAT(name, unit, text) {#name, unit, text, offsetof(struct sl_stats, name)},
#include "server/stats.def"
#undef SL_STAT
};
const size_t sl_stats_rows_n = SL_ARRAY_N(sl_stats_rows);

uint64_t sl_stats_row_get(const struct sl_stats *stats, const struct sl_stats_row *row)
{
	const char *base = (const char *)stats;
	return sl_stats_get((const _Atomic uint64_t *)(const void *)(base + row->offset));
}

void sl_stats_size(struct sl_stats *stats, uint64_t bytes)
{
	sl_stats_add(&stats->sizes[sl_hist_bucket(bytes)], 1);
}

/* "1MiB": a size as the configuration writes it. */
static const char *size_text(uint64_t bytes, char *buf, size_t cap)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;
	for (; i + 1 < SL_ARRAY_N(units) && bytes != 0 && bytes % 1024 == 0; i++)
		bytes /= 1024;
	snprintf(buf, cap, "%" PRIu64 "%s", bytes, units[i]);
	return buf;
}

bool sl_stats_advice(const struct sl_stats *stats, size_t buffer_size, char *buf, size_t cap)
{
	uint64_t counts[SL_HIST_BUCKETS];
	for (uint32_t k = 0; k < SL_HIST_BUCKETS; k++)
		counts[k] = sl_stats_get(&stats->sizes[k]);
	uint64_t total = sl_hist_total(counts);
	uint64_t above = sl_hist_above(counts, buffer_size);
	buf[0] = '\0';
	if (total < SL_STATS_ADVICE_MIN || above * 100 <= total * (100 - SL_STATS_ADVICE_SHARE))
		return false;
	char now[32], better[32];
	uint64_t holds = sl_hist_holds(counts, SL_STATS_ADVICE_SHARE);
	uint64_t held = total - sl_hist_above(counts, holds);
	snprintf(buf, cap,
		"%" PRIu64
		" %% of objects are larger than pool.buffer_size %s; %s would hold %" PRIu64 " %%",
		above * 100 / total, size_text(buffer_size, now, sizeof(now)),
		size_text(holds, better, sizeof(better)), held * 100 / total);
	return true;
}
