/* A bucket's number is the exponent and the six bits behind the leading one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/lat.h"

static size_t bucket_of(uint64_t ns)
{
	if (ns < SL_LAT_FINE)
		return (size_t)ns;
	unsigned power = 63u - (unsigned)__builtin_clzll(ns); /* >= 6 */
	size_t at = (size_t)(power - 5) * SL_LAT_FINE + (size_t)(ns >> (power - 6)) - SL_LAT_FINE;
	return sl_min(at, SL_LAT_BUCKETS - 1);
}

uint64_t sl_lat_edge(size_t bucket)
{
	if (bucket < SL_LAT_FINE)
		return bucket;
	unsigned power = (unsigned)(bucket / SL_LAT_FINE) + 5;
	return ((uint64_t)(bucket % SL_LAT_FINE + SL_LAT_FINE + 1) << (power - 6)) - 1;
}

void sl_lat_add(struct sl_lat *l, uint64_t ns)
{
	l->counts[bucket_of(ns)]++;
	l->min_ns = l->n == 0 ? ns : sl_min64(l->min_ns, ns);
	l->max_ns = sl_max64(l->max_ns, ns);
	l->sum_ns += ns;
	l->n++;
}

void sl_lat_merge(struct sl_lat *into, const struct sl_lat *from)
{
	if (from->n == 0)
		return;
	into->min_ns = into->n == 0 ? from->min_ns : sl_min64(into->min_ns, from->min_ns);
	into->max_ns = sl_max64(into->max_ns, from->max_ns);
	into->sum_ns += from->sum_ns;
	into->n += from->n;
	for (size_t i = 0; i < SL_LAT_BUCKETS; i++)
		into->counts[i] += from->counts[i];
}

uint64_t sl_lat_quantile(const struct sl_lat *l, double share)
{
	uint64_t seen = 0;
	double want = share * (double)l->n;
	for (size_t i = 0; i < SL_LAT_BUCKETS; i++) {
		seen += l->counts[i];
		if (l->counts[i] > 0 && (double)seen >= want)
			return sl_min64(sl_lat_edge(i), l->max_ns);
	}
	return l->max_ns;
}

uint64_t sl_lat_mean(const struct sl_lat *l)
{
	return l->n == 0 ? 0 : l->sum_ns / l->n;
}
