/* Buckets at their borders, and what they say about a buffer size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "core/hist.h"

static void a_power_of_two_is_the_last_size_of_its_bucket(void **state)
{
	(void)state;
	assert_int_equal(sl_hist_bucket(0), 0);
	assert_int_equal(sl_hist_bucket(1), 0);
	for (uint32_t k = 1; k < SL_HIST_BUCKETS - 1; k++) {
		assert_int_equal(sl_hist_bucket((uint64_t)1 << k), k);
		assert_int_equal(sl_hist_bucket(((uint64_t)1 << k) + 1), k + 1);
	}
	assert_int_equal(sl_hist_bucket(UINT64_MAX), SL_HIST_BUCKETS - 1);
}

static void above_and_holds_agree(void **state)
{
	(void)state;
	uint64_t counts[SL_HIST_BUCKETS] = {0};
	assert_int_equal(sl_hist_holds(counts, 95), 0);
	counts[sl_hist_bucket(512 * SL_KIB)] = 62;
	counts[sl_hist_bucket(3 * SL_MIB)] = 34;
	counts[sl_hist_bucket(900 * SL_MIB)] = 4;
	assert_int_equal(sl_hist_total(counts), 100);
	assert_int_equal(sl_hist_above(counts, SL_MIB), 38);
	assert_int_equal(sl_hist_above(counts, 4 * SL_MIB), 4);
	assert_int_equal(sl_hist_holds(counts, 96), 4 * SL_MIB);
	assert_int_equal(sl_hist_holds(counts, 97), SL_GIB);
	assert_int_equal(sl_hist_holds(counts, 62), 512 * SL_KIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_of_two_is_the_last_size_of_its_bucket),
		cmocka_unit_test(above_and_holds_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
