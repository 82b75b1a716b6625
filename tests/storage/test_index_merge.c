/* When two records say the same of what is above them: by each attribute, wherever its value lies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "storage/index_lmdb_priv.h"
#include "support/records.h"

/* Every attribute but `without` (SL_ATTR_N: all), from `first` on and round; one of them has that text. */
static void fill(struct sl_record *r, enum sl_attr first, enum sl_attr without, enum sl_attr own,
	const char *text)
{
	sl_record_init(r);
	for (unsigned i = 0; i < SL_ATTR_N; i++) {
		enum sl_attr a = (enum sl_attr)((first + i) % SL_ATTR_N);
		char value[16];
		snprintf(value, sizeof(value), "v%u", (unsigned)a);
		if (a != without)
			rec_set(r, a, a == own ? text : value);
	}
}

static bool is_above(enum sl_attr a, enum sl_attr_level lowest)
{
	return a == SL_ATTR_SPECIFIC_CHARACTER_SET || sl_attrs[a].level <= lowest;
}

/* Values that differ in their bytes, in their length, in being there. */
static void each_value_counts_where_it_is_above(void **state)
{
	static const enum sl_attr_level lowest[] = {SL_LEVEL_PATIENT, SL_LEVEL_SERIES};
	static struct sl_record a, b;
	(void)state;
	for (enum sl_attr first = 0; first < SL_ATTR_N; first++)
		for (enum sl_attr own = 0; own < SL_ATTR_N; own++)
			for (size_t i = 0; i < SL_ARRAY_N(lowest); i++) {
				bool is_same = !is_above(own, lowest[i]);
				fill(&a, first, SL_ATTR_N, own, "one");
				fill(&b, first, SL_ATTR_N, own, "two");
				assert_true(sl_index_lmdb_says_same(&a, &b, lowest[i]) == is_same);
				assert_true(sl_index_lmdb_says_same(&a, &a, lowest[i]));
				fill(&b, first, SL_ATTR_N, own, "three");
				assert_true(sl_index_lmdb_says_same(&a, &b, lowest[i]) == is_same);
				fill(&b, first, own, own, "");
				assert_true(sl_index_lmdb_says_same(&a, &b, lowest[i]) == is_same);
			}
}

/* Two that lay their values out in different ways, or lack the instance's own. */
static void where_a_value_lies_does_not_count(void **state)
{
	static struct sl_record a, b;
	(void)state;
	for (enum sl_attr first = 1; first < SL_ATTR_N; first++)
		for (enum sl_attr without = 0; without <= SL_ATTR_N; without++) {
			fill(&a, 0, without, SL_ATTR_N, "");
			fill(&b, first, without, SL_ATTR_N, "");
			assert_true(sl_index_lmdb_says_same(&a, &b, SL_LEVEL_SERIES));
			assert_true(sl_index_lmdb_says_same(&a, &a, SL_LEVEL_SERIES));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_counts_where_it_is_above),
		cmocka_unit_test(where_a_value_lies_does_not_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
