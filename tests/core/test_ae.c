/* AE titles: padding means nothing, everything else is checked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/ae.h"

#define RAW(s) (s), sizeof(s) - 1

static void U7_spaces_and_nuls_around_a_title_mean_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t n;
		enum sl_status st;
		const char *value;
	} rows[] = {
		{RAW("AE              "), SL_OK, "AE"},
		{RAW("           AE   "), SL_OK, "AE"},
		{RAW("AE\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), SL_OK, "AE"},
		{RAW("\0 AE \0 \0"), SL_OK, "AE"},
		{RAW("AE"), SL_OK, "AE"},
		{RAW("MY AE"), SL_OK, "MY AE"},
		{RAW("ABCDEFGHIJKLMNOP"), SL_OK, "ABCDEFGHIJKLMNOP"},
		{RAW("  ABCDEFGHIJKLMNOP  "), SL_OK, "ABCDEFGHIJKLMNOP"},
		{RAW("../secret"), SL_OK, "../secret"}, /* a title is never part of a path */
		{RAW("ABCDEFGHIJKLMNOPQ"), SL_E_UNSUPPORTED, ""},
		{RAW("                "), SL_E_NOTFOUND, ""},
		{RAW("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), SL_E_NOTFOUND, ""},
		{RAW(""), SL_E_NOTFOUND, ""},
		{RAW("A\\B             "), SL_E_UNSUPPORTED, ""},
		{RAW("A\0B             "), SL_E_UNSUPPORTED, ""},
		{RAW("A\nB             "), SL_E_UNSUPPORTED, ""},
		{RAW("A\x1B[2J          "), SL_E_UNSUPPORTED, ""},
		{RAW("A\x7F             "), SL_E_UNSUPPORTED, ""},
		{RAW("\xC4\xD6             "), SL_E_UNSUPPORTED, ""},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct sl_ae ae;
		memset(&ae, 0xEE, sizeof(ae));
		assert_int_equal(sl_ae_parse(&ae, rows[i].bytes, rows[i].n), rows[i].st);
		assert_string_equal(ae.s, rows[i].value);
		assert_int_equal(ae.len, strlen(rows[i].value));
	}
}

static void U7_a_title_is_padded_with_spaces_on_the_wire(void **state)
{
	(void)state;
	uint8_t field[SL_AE_MAX];
	struct sl_ae a = sl_ae_of("SLUICE"), b = sl_ae_of(" SLUICE"), c = sl_ae_of("sluice");
	sl_ae_encode(&a, field);
	assert_memory_equal(field, "SLUICE          ", SL_AE_MAX);
	struct sl_ae full = sl_ae_of("ABCDEFGHIJKLMNOP");
	sl_ae_encode(&full, field);
	assert_memory_equal(field, "ABCDEFGHIJKLMNOP", SL_AE_MAX);
	assert_true(sl_ae_equal(&a, &b));
	assert_false(sl_ae_equal(&a, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U7_spaces_and_nuls_around_a_title_mean_nothing),
		cmocka_unit_test(U7_a_title_is_padded_with_spaces_on_the_wire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
