/* Which object lies in which berth: against a plain array, through growth and removals.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "storage/berth_map.h"

enum { SEQS = 4096, STEPS = 200000 };

static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

/* Numbers whose low bits agree, neighbours, and large ones. */
static uint64_t seq_of(unsigned i, unsigned kind)
{
	return kind == 0 ? i : kind == 1 ? (uint64_t)i << 32 : UINT64_MAX - i * 1000003ull;
}

static void it_says_what_an_array_says(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		static uint64_t truth[SEQS];
		uint32_t chance = 7 + kind;
		memset(truth, 0, sizeof(truth));
		struct sl_berth_map *m = sl_berth_map_open(SEQS);
		assert_non_null(m);
		for (unsigned step = 0; step < STEPS; step++) {
			unsigned i = next(&chance) % SEQS;
			uint64_t seq = seq_of(i, kind);
			if (next(&chance) % 3 == 0) {
				sl_berth_map_drop(m, seq);
				truth[i] = 0;
			} else {
				assert_int_equal(sl_berth_map_put(m, seq, step + 1), truth[i] == 0);
				truth[i] = truth[i] == 0 ? step + 1 : truth[i];
			}
			unsigned j = next(&chance) % SEQS;
			assert_int_equal(sl_berth_map_find(m, seq_of(j, kind)), truth[j]);
		}
		for (unsigned i = 0; i < SEQS; i++)
			assert_int_equal(sl_berth_map_find(m, seq_of(i, kind)), truth[i]);
		sl_berth_map_close(m);
	}
}

static void it_grows_where_it_is_told(void **state)
{
	(void)state;
	struct sl_berth_map *m = sl_berth_map_open(1);
	assert_non_null(m);
	for (uint64_t i = 1; i <= 10000; i++) {
		assert_int_equal(sl_berth_map_reserve(m, 1), SL_OK);
		assert_true(sl_berth_map_put(m, i * 3, i));
		assert_false(sl_berth_map_put(m, i * 3, i + 1));
	}
	for (uint64_t i = 1; i <= 10000; i++)
		assert_int_equal(sl_berth_map_find(m, i * 3), i);
	assert_int_equal(sl_berth_map_find(m, 4), 0);
	sl_berth_map_drop(m, 4); /* not there */
	sl_berth_map_close(m);
	sl_berth_map_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_says_what_an_array_says),
		cmocka_unit_test(it_grows_where_it_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
