/* Durations counted in buckets that are at most 1/64 wide: percentiles of any number of values in a fixed
 * 20 KiB, the greatest and the sum exact.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_LAT_FINE    64 /* buckets of one power of two */
#define SL_LAT_POWERS  38 /* up to 2^43 ns, two hours; more falls into the last bucket */
#define SL_LAT_BUCKETS (SL_LAT_FINE * (SL_LAT_POWERS + 1))

struct sl_lat {
	uint64_t n, sum_ns, min_ns, max_ns;
	uint64_t counts[SL_LAT_BUCKETS];
};

void sl_lat_add(struct sl_lat *l, uint64_t ns);
void sl_lat_merge(struct sl_lat *into, const struct sl_lat *from);

/* The least duration that `share` (0 to 1) of all do not exceed; 0 when there are none. */
uint64_t sl_lat_quantile(const struct sl_lat *l, double share);
uint64_t sl_lat_mean(const struct sl_lat *l);

/* Upper end of the bucket. */
uint64_t sl_lat_edge(size_t bucket);
