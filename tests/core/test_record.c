/* The record keeps what it is given, trimmed and capped, and never runs over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/record.h"

static void attrs_ascend_and_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ATTR_N; i++) {
		if (i > 0)
			assert_true(sl_attrs[i - 1].tag < sl_attrs[i].tag);
		assert_int_equal(sl_attr_find(sl_attrs[i].tag), i);
	}
	assert_int_equal(sl_attr_find(0), SL_ATTR_N);
	assert_int_equal(sl_attr_find(UINT32_MAX), SL_ATTR_N);
	assert_int_equal(sl_attr_find(0x00080021 + 1), SL_ATTR_N);
}

static void values_are_trimmed_capped_and_first_wins(void **state)
{
	(void)state;
	struct sl_record r;
	size_t n;
	char big[512];
	sl_record_init(&r);
	sl_record_set(&r, SL_ATTR_MODALITY, "  ", 2);
	assert_ptr_not_equal(sl_record_get(&r, SL_ATTR_MODALITY, &n), NULL);
	assert_int_equal(n, 0);
	sl_record_set(&r, SL_ATTR_MODALITY, " CT \0", 5);
	sl_record_set(&r, SL_ATTR_MODALITY, "MR", 2);
	assert_memory_equal(sl_record_get(&r, SL_ATTR_MODALITY, &n), "CT", 2);
	assert_int_equal(n, 2);
	memset(big, 'x', sizeof(big));
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++)
		sl_record_set(&r, a, big, sizeof(big));
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		(void)sl_record_get(&r, a, &n);
		assert_int_equal(n, a == SL_ATTR_MODALITY ? 2 : sl_attrs[a].cap);
	}
	assert_true(r.text_len <= sizeof(r.text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attrs_ascend_and_are_found),
		cmocka_unit_test(values_are_trimmed_capped_and_first_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
