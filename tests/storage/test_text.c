/* Text to UTF-8: never a failure, never a byte that is not UTF-8, never more than asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "storage/text.h"
#include "support/records.h"

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static void check(const char *charset, const char *in, const char *expected)
{
	char out[256];
	size_t n = sl_text_to_utf8(out, sizeof(out), in, strlen(in), charset, strlen(charset));
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(out, expected, n);
}

static void known_sets_are_converted(void **state)
{
	(void)state;
	check("", "Doe^John", "Doe^John");
	check("ISO_IR 100", "M\xFCller^Ren\xE9", "M\xC3\xBCller^Ren\xC3\xA9");
	check("ISO_IR 192", "M\xC3\xBCller^\xE5\xB1\xB1\xF0\x9F\x98\x80",
		"M\xC3\xBCller^\xE5\xB1\xB1\xF0\x9F\x98\x80");
}

static void other_bytes_become_replacement_characters(void **state)
{
	(void)state;
	check("", "M\xFCller", "M" BAD "ller");
	check("ISO_IR 6", "\x80", BAD);
	check("ISO_IR 100", "a\x81z", "a" BAD "z"); /* C1 controls are no text */
	check("ISO 2022 IR 87", "\xA4\xA2", BAD BAD);
	/* PS3.5 6.1.2.3 says UTF-8; overlong, surrogate, too large and cut are not (RFC 3629). */
	check("ISO_IR 192", "\xC0\xAF", BAD BAD);
	check("ISO_IR 192", "\xED\xA0\x80", BAD BAD BAD);
	check("ISO_IR 192", "\xF4\x90\x80\x80", BAD BAD BAD BAD);
	check("ISO_IR 192", "a\xE5\xB1", "a" BAD BAD);
	char out[8];
	assert_int_equal(sl_text_to_utf8(out, sizeof(out), "a\0b", 3, "", 0), 5);
	assert_memory_equal(out, "a" BAD "b", 5);
}

static void the_end_falls_between_characters(void **state)
{
	(void)state;
	char out[8];
	assert_int_equal(sl_text_to_utf8(out, 2, "a\xFC", 2, "ISO_IR 100", 10), 1);
	assert_int_equal(sl_text_to_utf8(out, 3, "a\xFC", 2, "ISO_IR 100", 10), 3);
	assert_int_equal(sl_text_to_utf8(out, 0, "a", 1, "", 0), 0);
}

static void plain_text_reads_the_same_in_every_set(void **state)
{
	(void)state;
	assert_true(sl_text_is_plain("Doe^John 1.2", 12));
	assert_true(sl_text_is_plain("", 0));
	assert_false(sl_text_is_plain("\xFC", 1));
	assert_false(sl_text_is_plain("\x1B$B", 3));
	assert_false(sl_text_is_plain("a\\b", 3));
	assert_false(sl_text_is_plain("~", 1));
}

static void any_bytes_give_utf8(void **state)
{
	(void)state;
	static const char *const sets[] = {"", "ISO_IR 100", "ISO_IR 192", "junk\\more"};
	uint64_t seed = 3;
	for (int i = 0; i < 100000; i++) {
		char in[24], out[SL_TEXT_GROWTH * sizeof(in)], again[sizeof(out)];
		size_t n = rec_random(&seed) % sizeof(in);
		for (size_t j = 0; j < n; j++)
			in[j] = (char)rec_random(&seed);
		const char *set = sets[i % 4];
		size_t got = sl_text_to_utf8(out, sizeof(out), in, n, set, strlen(set));
		assert_true(got >= n / 4 && got <= SL_TEXT_GROWTH * n);
		/* UTF-8 is what the UTF-8 reading leaves as it is. */
		assert_int_equal(
			sl_text_to_utf8(again, sizeof(again), out, got, "ISO_IR 192", 10), got);
		assert_memory_equal(again, out, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_sets_are_converted),
		cmocka_unit_test(other_bytes_become_replacement_characters),
		cmocka_unit_test(the_end_falls_between_characters),
		cmocka_unit_test(plain_text_reads_the_same_in_every_set),
		cmocka_unit_test(any_bytes_give_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
