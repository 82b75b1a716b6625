/* Sizes in buckets of powers of two, and what follows from them for the size of a buffer.
 *
 * Bucket k holds the sizes above 2^(k-1) up to 2^k (bucket 0: 0 and 1). The counts are the caller's,
 * who may keep them in atomics and hand in a copy. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_HIST_BUCKETS 48 /* the last one also holds everything above 2^47 */

/* Which bucket a size belongs to. */
uint32_t sl_hist_bucket(uint64_t bytes);

/* Objects in all buckets. */
uint64_t sl_hist_total(const uint64_t counts[SL_HIST_BUCKETS]);

/* Those surely larger than `bytes`: the buckets that begin at it or above. Exact for powers of two. */
uint64_t sl_hist_above(const uint64_t counts[SL_HIST_BUCKETS], uint64_t bytes);

/* The least power of two that holds `percent` of all objects; 0 when there are none. */
uint64_t sl_hist_holds(const uint64_t counts[SL_HIST_BUCKETS], uint32_t percent);
