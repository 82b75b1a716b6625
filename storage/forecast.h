/* How fast something fills, from what the looks at it said.
 *
 * Remembered are the looks that found at least a quantum more than the one before. The rate is that of
 * the whole memory (some minutes), so bursts average out; but a beginning that added less than a tenth
 * of the growth may be left off where the rest is faster. So a fill that began a moment ago is seen at
 * its own speed, though a single object came in before it.
 * After SL_FORECAST_IDLE_NS without growth it is not filling; a fall (something was removed) starts
 * anew. Pure; its owner's lock covers it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_FORECAST_SAMPLES 1024 /* looks with growth: four minutes at four looks a second */
#define SL_FORECAST_IDLE_NS (60 * (uint64_t)1000000000)

struct sl_forecast_sample {
	uint64_t at_ns, used; /* monotonic [ns]; bytes */
};

struct sl_forecast {
	uint64_t quantum;  /* growth that counts [bytes] */
	uint64_t now_ns;   /* of the last look */
	uint32_t first, n; /* of the ring; the oldest sample is the look before the first growth */
	struct sl_forecast_sample ring[SL_FORECAST_SAMPLES];
};

/* Forgets everything. quantum >= 1. */
void sl_forecast_init(struct sl_forecast *f, uint64_t quantum);

/* A look found `used` bytes. now_ns does not go backwards. */
void sl_forecast_feed(struct sl_forecast *f, uint64_t now_ns, uint64_t used);

/* Bytes per second; 0 = not filling. */
double sl_forecast_rate(const struct sl_forecast *f);

/* Seconds until `room` more bytes are used at that rate; -1 = not filling, or not within ten years. */
int64_t sl_forecast_seconds(const struct sl_forecast *f, uint64_t room);
