/* Counters by name, and the advice on the buffer size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "server/stats.h"

#include <stdlib.h>
#include <string.h>

static void every_row_names_its_own_counter(void **state)
{
	(void)state;
	struct sl_stats *stats = calloc(1, sizeof(*stats));
	assert_non_null(stats);
	sl_stats_add(&stats->connects, 1);
	sl_stats_add(&stats->spills, 5);
	uint64_t sum = 0;
	for (size_t i = 0; i < sl_stats_rows_n; i++) {
		sum += sl_stats_row_get(stats, &sl_stats_rows[i]);
		assert_true(strlen(sl_stats_rows[i].text) > 0 && strlen(sl_stats_rows[i].unit) > 0);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(sl_stats_rows[i].name, sl_stats_rows[j].name);
	}
	assert_int_equal(sum, 6);
	assert_int_equal(sl_stats_row_get(stats, &sl_stats_rows[sl_stats_rows_n - 1]), 5);
	free(stats);
}

static void the_advice_names_the_share_and_a_better_size(void **state)
{
	(void)state;
	char text[160];
	struct sl_stats *stats = calloc(1, sizeof(*stats));
	assert_non_null(stats);
	assert_false(sl_stats_advice(stats, SL_MIB, text, sizeof(text)));
	for (int i = 0; i < 62; i++)
		sl_stats_size(stats, 512 * SL_KIB);
	for (int i = 0; i < 34; i++)
		sl_stats_size(stats, 3 * SL_MIB);
	for (int i = 0; i < 3; i++)
		sl_stats_size(stats, 900 * SL_MIB);
	assert_false(sl_stats_advice(stats, SL_MIB, text, sizeof(text))); /* 99: too few to judge */
	assert_string_equal(text, "");
	sl_stats_size(stats, 900 * SL_MIB);
	assert_true(sl_stats_advice(stats, SL_MIB, text, sizeof(text)));
	assert_string_equal(text,
		"38 % of objects are larger than pool.buffer_size 1MiB; 4MiB would hold 96 %");
	assert_false(sl_stats_advice(stats, 4 * SL_MIB, text, sizeof(text)));
	free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_names_its_own_counter),
		cmocka_unit_test(the_advice_names_the_share_and_a_better_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
