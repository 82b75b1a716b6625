/* The forecast on made-up looks, alone and as the watermarks tell it: within 15 % under a steady fill,
 * quiet when nothing grows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/water_world.h"

#include "storage/forecast.h"

#define MS      ((uint64_t)1000000)
#define QUANTUM (64 * SL_KIB)

struct fill {
	struct sl_forecast f;
	uint64_t now_ns, used;
	double rest; /* bytes arrived, not yet a whole object */
	uint64_t object;
	unsigned random;
};

static struct fill fill_of(uint64_t object)
{
	struct fill x = {.now_ns = 1000 * MS, .used = SL_GIB, .object = object, .random = 1};
	sl_forecast_init(&x.f, QUANTUM);
	sl_forecast_feed(&x.f, x.now_ns, x.used);
	return x;
}

/* Looks every 250 ms (give or take 50) for so long, while whole objects arrive at `rate` bytes/s. */
static void fill_for(struct fill *x, unsigned seconds, double rate)
{
	uint64_t end = x->now_ns + seconds * 1000 * MS;
	while (x->now_ns < end) {
		x->random = x->random * 1103515245 + 12345;
		uint64_t step = (200 + (x->random >> 16) % 100) * MS;
		x->now_ns += step;
		x->rest += rate * (double)step / 1e9;
		while (x->rest >= (double)x->object) {
			x->rest -= (double)x->object;
			x->used += x->object;
		}
		sl_forecast_feed(&x->f, x->now_ns, x->used);
	}
}

static void assert_rate(const struct fill *x, double rate)
{
	double got = sl_forecast_rate(&x->f);
	if (got < rate * 0.85 || got > rate * 1.15)
		fail_msg("%.0f bytes/s said, %.0f true", got, rate);
}

static void a_steady_fill_is_seen_within_15_percent(void **state)
{
	(void)state;
	static const double rates[] = {100e3, 1e6, 20e6, 500e6};
	for (size_t i = 0; i < SL_ARRAY_N(rates); i++) {
		struct fill x = fill_of(512 * SL_KIB);
		unsigned beginning = rates[i] < 1e6 ? 60 : 4; /* some ten objects */
		fill_for(&x, beginning, rates[i]);
		for (int k = 0; k < 100; k++) {
			fill_for(&x, 10, rates[i]);
			assert_rate(&x, rates[i]);
		}
	}
}

static void a_fill_after_quiet_is_seen_at_its_own_speed(void **state)
{
	(void)state;
	struct fill x = fill_of(512 * SL_KIB);
	fill_for(&x, 300, 0); /* idle since the start */
	assert_true(sl_forecast_rate(&x.f) == 0);
	fill_for(&x, 4, 20e6);
	assert_rate(&x, 20e6);
	x = fill_of(512 * SL_KIB);
	fill_for(&x, 2, 512 * 1024); /* somebody tries one object first */
	fill_for(&x, 30, 0);
	fill_for(&x, 5, 20e6);
	assert_rate(&x, 20e6);
}

static void bursts_average_out(void **state)
{
	(void)state;
	struct fill x = fill_of(512 * SL_KIB);
	for (int i = 0; i < 40; i++) { /* a study of ten seconds every forty */
		fill_for(&x, 10, 20e6);
		fill_for(&x, 30, 0);
	}
	double got = sl_forecast_rate(&x.f);
	assert_true(got > 4e6 && got < 7e6); /* 5e6 on average, never the 20e6 of a burst */
}

static void what_stops_is_not_filling(void **state)
{
	(void)state;
	struct fill x = fill_of(512 * SL_KIB);
	fill_for(&x, 60, 20e6);
	assert_rate(&x, 20e6);
	fill_for(&x, 30, 0); /* 60 seconds of filling in 90 */
	assert_true(sl_forecast_rate(&x.f) < 15e6 && sl_forecast_rate(&x.f) > 12e6);
	fill_for(&x, 31, 0);
	assert_true(sl_forecast_rate(&x.f) == 0);
	assert_int_equal(sl_forecast_seconds(&x.f, 1), -1);
}

static void a_removal_starts_anew(void **state)
{
	(void)state;
	struct fill x = fill_of(512 * SL_KIB);
	fill_for(&x, 60, 20e6);
	x.used -= 500 * SL_MIB;
	fill_for(&x, 1, 0);
	assert_true(sl_forecast_rate(&x.f) == 0);
	fill_for(&x, 10, 5e6);
	assert_rate(&x, 5e6);
	double before = sl_forecast_rate(&x.f);
	x.used -= SL_MIB; /* a freed block here and there is no removal */
	fill_for(&x, 1, 5e6);
	assert_true(sl_forecast_rate(&x.f) > before * 0.7);
}

static void trickles_below_the_quantum_add_up(void **state)
{
	(void)state;
	struct fill x = fill_of(4 * SL_KIB); /* a log file */
	fill_for(&x, 280, 4096 * 10);
	assert_rate(&x, 4096 * 10);
	assert_int_equal(sl_forecast_seconds(&x.f, SL_GIB * 1024 * 1024), -1); /* centuries */
}

static void seconds_are_room_by_rate(void **state)
{
	(void)state;
	struct fill x = fill_of(SL_MIB);
	assert_int_equal(sl_forecast_seconds(&x.f, 0), -1);
	fill_for(&x, 60, 10 * 1048576.0);
	int64_t s = sl_forecast_seconds(&x.f, 1000 * 10 * SL_MIB);
	assert_true(s > 900 && s < 1100);
	assert_int_equal(sl_forecast_seconds(&x.f, 0), 0);
}

/* ---- through the watermarks ---- */

/* Fills at `rate` objects of 512 KiB per look until a reservation is refused, asking for the forecast
 * at each look; returns the seconds it took since each was asked. */
static void fill_to_the_mark(uint64_t total, uint64_t quota, unsigned objects_per_look)
{
	enum { LOOKS = 4000 };
	static int64_t said[LOOKS];
	struct world x;
	struct sl_diag d = {0};
	int looks = 0;
	world_init(&x, total);
	x.conf.quota = quota;
	world_open(&x);
	for (int i = 0; i < 100; i++)
		look(&x); /* idle first */
	assert_int_equal(sl_water_now(x.w).full_in_s, -1);
	for (bool is_full = false; !is_full; looks++) {
		assert_true(looks < LOOKS);
		for (unsigned i = 0; i < objects_per_look && !is_full; i++) {
			is_full = sl_water_reserve(x.w, 512 * SL_KIB, &d) != SL_OK;
			if (is_full)
				break;
			world_use(&x, x.fs.used + 512 * SL_KIB);
			sl_water_settle(x.w, 512 * SL_KIB, 512 * SL_KIB);
		}
		look(&x);
		said[looks] = sl_water_now(x.w).full_in_s;
	}
	for (int i = 8; i < looks; i++) { /* two seconds in, to the end */
		double left_s = (looks - 1 - i) * SL_WATER_PERIOD_MS / 1000.0;
		if ((double)said[i] < left_s * 0.85 - 1 || (double)said[i] > left_s * 1.15 + 1)
			fail_msg("at look %d of %d: said %d s, took %.1f s", i, looks, (int)said[i],
				left_s);
	}
	sl_water_close(x.w);
}

static void the_forecast_is_within_15_percent_under_a_steady_fill(void **state)
{
	(void)state;
	fill_to_the_mark(256 * SL_MIB, 0, 4);            /* a loop mount, 8 MiB/s: half a minute */
	fill_to_the_mark(4 * SL_GIB, 0, 4);              /* eight minutes */
	fill_to_the_mark(SL_GIB * 1024, 2 * SL_GIB, 10); /* the quota is nearer than the disk */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_fill_is_seen_within_15_percent),
		cmocka_unit_test(a_fill_after_quiet_is_seen_at_its_own_speed),
		cmocka_unit_test(bursts_average_out),
		cmocka_unit_test(what_stops_is_not_filling),
		cmocka_unit_test(a_removal_starts_anew),
		cmocka_unit_test(trickles_below_the_quantum_add_up),
		cmocka_unit_test(seconds_are_room_by_rate),
		cmocka_unit_test(the_forecast_is_within_15_percent_under_a_steady_fill),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
