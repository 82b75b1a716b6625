/* The status table is sound: sorted, one row per code and service, kinds as PS3.7 annex C says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/dstat.h"

static void D4_rows_ascend_and_are_unique_per_service(void **state)
{
	(void)state;
	size_t n;
	const struct sl_dstat_row *rows = sl_dstat_rows(&n);
	assert_true(n > 30);
	for (size_t i = 0; i < n; i++) {
		assert_true(rows[i].services != 0);
		assert_true(rows[i].meaning[0] != 0);
		if (i > 0)
			assert_true(rows[i - 1].code <= rows[i].code);
		for (size_t j = 0; j < i; j++)
			if (rows[i].code == rows[j].code)
				assert_int_equal(rows[i].services & rows[j].services, 0);
	}
}

static void D4_kind_of_a_code_agrees_with_its_row(void **state)
{
	(void)state;
	size_t n;
	const struct sl_dstat_row *rows = sl_dstat_rows(&n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(sl_dstat_kind_of((uint16_t)rows[i].code), rows[i].kind);
	assert_int_equal(sl_dstat_kind_of(0x0001), SL_DSTAT_KIND_WARNING);
	assert_int_equal(sl_dstat_kind_of(0xBFFF), SL_DSTAT_KIND_WARNING);
	assert_int_equal(sl_dstat_kind_of(0xC123), SL_DSTAT_KIND_FAILURE);
	assert_int_equal(sl_dstat_kind_of(0xFFFF), SL_DSTAT_KIND_FAILURE);
}

static void D3_storage_answers_with_these_and_no_others(void **state)
{
	(void)state;
	static const uint16_t sent[] = {0x0000, 0x0110, 0x0111, 0x0122, 0x0210, 0x0211, 0xA700,
		0xA702, 0xA900, 0xB007, 0xC000, 0xC001, 0xC010, 0xC011};
	size_t n, k = 0;
	const struct sl_dstat_row *rows = sl_dstat_rows(&n);
	for (size_t i = 0; i < n; i++) {
		if (!(rows[i].services & SL_DSTAT_FOR_STORE) || rows[i].sent_when[0] == 0)
			continue;
		assert_true(k < SL_ARRAY_N(sent));
		assert_int_equal((unsigned)rows[i].code, sent[k++]);
	}
	assert_int_equal(k, SL_ARRAY_N(sent));
}

static void D5_one_code_means_other_things_to_other_services(void **state)
{
	(void)state;
	const struct sl_dstat_row *store = sl_dstat_find(0xA900, SL_DSTAT_FOR_STORE);
	const struct sl_dstat_row *find = sl_dstat_find(0xA900, SL_DSTAT_FOR_FIND);
	assert_non_null(store);
	assert_non_null(find);
	assert_string_equal(store->name, "CLASS_MISMATCH");
	assert_string_equal(find->name, "IDENTIFIER_MISMATCH");
	assert_null(sl_dstat_find(0xA801, SL_DSTAT_FOR_STORE));
	assert_null(sl_dstat_find(0x1234, SL_DSTAT_FOR_STORE));
	assert_string_equal(sl_dstat_kind_name(store->kind), "failure");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(D4_rows_ascend_and_are_unique_per_service),
		cmocka_unit_test(D4_kind_of_a_code_agrees_with_its_row),
		cmocka_unit_test(D3_storage_answers_with_these_and_no_others),
		cmocka_unit_test(D5_one_code_means_other_things_to_other_services),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
