/* The rate of filling, from a ring of samples that grow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/forecast.h"

#define NS_PER_S    1e9
#define TEN_YEARS_S (10 * 365.0 * 24 * 3600)
#define NOISE       64 /* quanta: a fall by less is a block freed here and there, no removal */

void sl_forecast_init(struct sl_forecast *f, uint64_t quantum)
{
	sl_assert(quantum >= 1);
	f->quantum = quantum;
	f->first = f->n = 0;
	f->now_ns = 0;
}

static const struct sl_forecast_sample *sample(const struct sl_forecast *f, uint32_t i)
{
	return &f->ring[(f->first + i) % SL_FORECAST_SAMPLES];
}

static void push(struct sl_forecast *f, uint64_t at_ns, uint64_t used)
{
	if (f->n == SL_FORECAST_SAMPLES) {
		f->first = (f->first + 1) % SL_FORECAST_SAMPLES;
		f->n--;
	}
	f->ring[(f->first + f->n) % SL_FORECAST_SAMPLES] = (struct sl_forecast_sample){at_ns, used};
	f->n++;
}

/* True when what is remembered says nothing about now. */
static bool is_stale(const struct sl_forecast *f, uint64_t now_ns, uint64_t used)
{
	if (f->n == 0)
		return true;
	const struct sl_forecast_sample *last = sample(f, f->n - 1);
	return now_ns - last->at_ns > SL_FORECAST_IDLE_NS || used + NOISE * f->quantum < last->used;
}

void sl_forecast_feed(struct sl_forecast *f, uint64_t now_ns, uint64_t used)
{
	f->now_ns = now_ns;
	if (is_stale(f, now_ns, used))
		f->n = 0;
	if (f->n == 1 && used <= sample(f, 0)->used)
		f->n = 0; /* still quiet: the ground moves with the looks */
	if (f->n == 0 || used >= sample(f, f->n - 1)->used + f->quantum)
		push(f, now_ns, used);
}

/* Bytes per second since sample i. While samples keep coming as often as they did, the last of them is
 * the end: the time since then says only that a look is due. */
static double rate_since(const struct sl_forecast *f, uint32_t i)
{
	const struct sl_forecast_sample *from = sample(f, i), *last = sample(f, f->n - 1);
	uint64_t span = last->at_ns - from->at_ns, quiet = f->now_ns - last->at_ns;
	if (quiet > 2 * span / (f->n - 1 - i))
		span += quiet;
	return span == 0 ? 0 : (double)(last->used - from->used) * NS_PER_S / (double)span;
}

double sl_forecast_rate(const struct sl_forecast *f)
{
	double best = 0;
	if (f->n < 2)
		return 0;
	uint64_t ground = sample(f, 0)->used;
	uint64_t tenth = (sample(f, f->n - 1)->used - ground) / 10;
	for (uint32_t i = 0; i + 1 < f->n && sample(f, i)->used - ground <= tenth; i++) {
		double rate = rate_since(f, i);
		best = rate > best ? rate : best;
	}
	return best;
}

int64_t sl_forecast_seconds(const struct sl_forecast *f, uint64_t room)
{
	double rate = sl_forecast_rate(f);
	if (rate <= 0 || (double)room > rate * TEN_YEARS_S)
		return -1;
	return (int64_t)((double)room / rate + 0.5);
}
