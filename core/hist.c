/* Sizes in buckets of powers of two.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/hist.h"

uint32_t sl_hist_bucket(uint64_t bytes)
{
	if (bytes <= 1)
		return 0;
	uint32_t k = 64 - (uint32_t)__builtin_clzll(bytes - 1);
	return k < SL_HIST_BUCKETS ? k : SL_HIST_BUCKETS - 1;
}

uint64_t sl_hist_total(const uint64_t counts[SL_HIST_BUCKETS])
{
	uint64_t n = 0;
	for (uint32_t k = 0; k < SL_HIST_BUCKETS; k++)
		n += counts[k];
	return n;
}

uint64_t sl_hist_above(const uint64_t counts[SL_HIST_BUCKETS], uint64_t bytes)
{
	uint64_t n = 0;
	for (uint32_t k = sl_hist_bucket(bytes) + 1; k < SL_HIST_BUCKETS; k++)
		n += counts[k];
	return n;
}

uint64_t sl_hist_holds(const uint64_t counts[SL_HIST_BUCKETS], uint32_t percent)
{
	uint64_t total = sl_hist_total(counts), n = 0;
	if (total == 0)
		return 0;
	for (uint32_t k = 0; k < SL_HIST_BUCKETS; k++) {
		n += counts[k];
		if (n * 100 >= total * percent)
			return (uint64_t)1 << k;
	}
	return (uint64_t)1 << (SL_HIST_BUCKETS - 1);
}
