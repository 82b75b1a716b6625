/* The assumed character set: for whom, and where it is not assumed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "storage/charset.h"

static struct sl_record record(const char *charset, const char *name)
{
	struct sl_record r;
	sl_record_init(&r);
	sl_record_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, charset, strlen(charset));
	sl_record_set(&r, SL_ATTR_PATIENT_NAME, name, strlen(name));
	return r;
}

static void expect(const char *charset, const char *name, const char *term, const char *expected)
{
	struct sl_record r = record(charset, name);
	size_t n;
	sl_charset_assume(&r, term);
	const char *got = sl_record_get(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, &n);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(got, expected, n);
	const char *kept = sl_record_get(&r, SL_ATTR_PATIENT_NAME, &n);
	assert_memory_equal(kept, name, n);
}

static void it_is_assumed_where_nothing_is_said_of_bytes_that_are_there(void **state)
{
	(void)state;
	expect("", "M\xfcller", "ISO_IR 100", "ISO_IR 100");
	expect("no such term", "M\xfcller", "ISO_IR 100", "ISO_IR 100");
	expect("ISO_IR 6", "M\xfcller", "ISO_IR 100", "ISO_IR 100");
	expect("", "Muller", "ISO_IR 100", "");                        /* nothing to read */
	expect("", "M\xfcller", "", "");                               /* nothing configured */
	expect("ISO_IR 144", "M\xfcller", "ISO_IR 100", "ISO_IR 144"); /* it says so itself */
	expect("ISO IR 192", "M\xc3\xbcller", "ISO_IR 100", "ISO IR 192");
}

static void the_first_rule_of_a_title_counts(void **state)
{
	(void)state;
	const struct sl_charset_rule rules[] = {{sl_ae_of("CT"), "ISO_IR 100"},
		{sl_ae_of("CT"), "ISO_IR 144"}, {sl_ae_of("MR"), ""}};
	const struct sl_charsets c = {rules, 3, "GB18030"};
	const struct sl_charsets none = {0};
	struct sl_ae ct = sl_ae_of("CT"), mr = sl_ae_of("MR"), us = sl_ae_of("US");
	assert_string_equal(sl_charsets_of(&c, &ct), "ISO_IR 100");
	assert_string_equal(sl_charsets_of(&c, &mr), "");
	assert_string_equal(sl_charsets_of(&c, &us), "GB18030");
	assert_string_equal(sl_charsets_of(&none, &us), "");
}

static void a_term_says_what_bytes_outside_ascii_are(void **state)
{
	(void)state;
	const char *const good[] = {
		"ISO_IR 100", "iso ir 13", "GB18030", "GBK", "ISO_IR 192", "ISO 2022 IR 87"};
	const char *const bad[] = {"", "ISO_IR 6", "latin", "windows"};
	for (size_t i = 0; i < SL_ARRAY_N(good); i++)
		assert_true(sl_charset_is_term(good[i]));
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++)
		assert_false(sl_charset_is_term(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_assumed_where_nothing_is_said_of_bytes_that_are_there),
		cmocka_unit_test(the_first_rule_of_a_title_counts),
		cmocka_unit_test(a_term_says_what_bytes_outside_ascii_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
