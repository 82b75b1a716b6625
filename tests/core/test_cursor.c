/* The cursor: nothing behind the end is read, and what could not be read is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "core/cursor.h"

/* 1, 2, 3 ... in the last n bytes of a block of SOME, so that a sanitizer sees one read behind them. */
#define SOME 16

static const uint8_t *some(uint8_t *block, size_t n)
{
	uint8_t *b = block + SOME - n;
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(i + 1);
	return b;
}

static void take_stops_at_the_end(void **state)
{
	(void)state;
	uint8_t *block = malloc(SOME);
	for (size_t n = 0; n < 10; n++) {
		const uint8_t *b = some(block, n);
		for (size_t want = 0; want < 12; want++) {
			struct sl_cur c = sl_cur_of(b, n);
			const uint8_t *at = sl_cur_take(&c, want);
			assert_ptr_equal(at, want <= n ? b : NULL);
			assert_int_equal(c.bad, want > n);
			assert_int_equal(sl_cur_left(&c), want <= n ? n - want : 0);
		}
	}
	free(block);
}

static void numbers_are_whole_or_zero_and_bad(void **state)
{
	(void)state;
	uint8_t *block = malloc(SOME);
	for (size_t n = 0; n < 10; n++) {
		const uint8_t *b = some(block, n);
		struct sl_cur c = sl_cur_of(b, n);
		assert_int_equal(sl_cur_u8(&c), n < 1 ? 0 : 0x01);
		assert_int_equal(c.bad, n < 1);
		c = sl_cur_of(b, n);
		assert_int_equal(sl_cur_be16(&c), n < 2 ? 0 : 0x0102);
		assert_int_equal(c.bad, n < 2);
		c = sl_cur_of(b, n);
		assert_int_equal(sl_cur_le16(&c), n < 2 ? 0 : 0x0201);
		assert_int_equal(c.bad, n < 2);
		c = sl_cur_of(b, n);
		assert_int_equal(sl_cur_be32(&c), n < 4 ? 0 : 0x01020304);
		assert_int_equal(c.bad, n < 4);
		c = sl_cur_of(b, n);
		assert_int_equal(sl_cur_le32(&c), n < 4 ? 0 : 0x04030201);
		assert_int_equal(c.bad, n < 4);
		c = sl_cur_of(b, n);
		assert_true(sl_cur_le64(&c) == (n < 8 ? 0 : 0x0807060504030201u));
		assert_int_equal(c.bad, n < 8);
	}
	free(block);
}

/* A lying inner length cannot reach outer bytes, and spoils the outer cursor too. */
static void a_sub_cursor_has_its_bytes_and_no_more(void **state)
{
	(void)state;
	uint8_t *block = malloc(SOME);
	const uint8_t *b = some(block, 6);
	for (size_t n = 0; n < 9; n++) {
		struct sl_cur c = sl_cur_of(b, 6), in = sl_cur_sub(&c, n);
		assert_int_equal(sl_cur_left(&in), n <= 6 ? n : 0);
		assert_int_equal(sl_cur_left(&c), n <= 6 ? 6 - n : 0);
		assert_int_equal(in.bad, n > 6);
		assert_int_equal(c.bad, n > 6);
		assert_ptr_equal(sl_cur_take(&in, n + 1), NULL);
	}
	free(block);
}

static void bad_stays_bad(void **state)
{
	(void)state;
	const uint8_t b[4] = {1, 2, 3, 4};
	struct sl_cur c = sl_cur_of(b, sizeof(b));
	sl_cur_skip(&c, 5);
	assert_true(c.bad);
	assert_int_equal(sl_cur_left(&c), 0);
	assert_int_equal(sl_cur_u8(&c), 0);
	sl_cur_skip(&c, 0);
	assert_true(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(take_stops_at_the_end),
		cmocka_unit_test(numbers_are_whole_or_zero_and_bad),
		cmocka_unit_test(a_sub_cursor_has_its_bytes_and_no_more),
		cmocka_unit_test(bad_stays_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
