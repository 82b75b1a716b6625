/* Escaping: every byte, both caps, no cut inside an escape.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "core/esc.h"

#include <stdio.h>
#include <string.h>

static void plain_bytes_stay_all_others_become_hex(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		char out[8], want[8];
		bool is_plain = c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
		snprintf(want, sizeof(want), is_plain ? "%c" : "\\x%02x", c);
		assert_int_equal(sl_esc_put(out, sizeof(out), &byte, 1, 64), strlen(want));
		assert_string_equal(out, want);
	}
}

static void the_limit_counts_bytes_of_input_and_shows_that_more_came(void **state)
{
	(void)state;
	char out[SL_ESC_CAP(4)];
	assert_int_equal(sl_esc_put(out, sizeof(out), "abcd", 4, 4), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(sl_esc_put(out, sizeof(out), "abcde", 5, 4), 6);
	assert_string_equal(out, "abcd..");
	assert_int_equal(sl_esc_put(out, sizeof(out), "\0\0\0\0\0", 5, 4), 18);
	assert_string_equal(out, "\\x00\\x00\\x00\\x00..");
	assert_int_equal(sl_esc_put(out, sizeof(out), NULL, 0, 4), 0);
	assert_string_equal(out, "");
}

static void every_capacity_is_kept_and_no_escape_is_cut(void **state)
{
	(void)state;
	for (size_t cap = 3; cap < 40; cap++) {
		char out[64];
		memset(out, '#', sizeof(out));
		size_t len = sl_esc_put(out, cap, "a\nb\nc\nd\n", 8, 64);
		assert_true(len < cap);
		assert_int_equal(strlen(out), len);
		assert_int_equal(out[cap], '#');
		for (const char *p = out; (p = strchr(p, '\\')) != NULL; p++)
			assert_memory_equal(p, "\\x0a", 4);
		assert_true(len == 20 || strcmp(out + len - 2, "..") == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_bytes_stay_all_others_become_hex),
		cmocka_unit_test(the_limit_counts_bytes_of_input_and_shows_that_more_came),
		cmocka_unit_test(every_capacity_is_kept_and_no_escape_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
