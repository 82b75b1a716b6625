/* Marks come back as they were put; cut anywhere or with any bit turned, they are none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <string.h>

#include "storage/rekeep_mark.h"

static uint8_t bytes[SL_REKEEP_MARK_MAX + 1];
static struct sl_rekeep_mark in, out;

/* A mark of so many folders and runs; returns its length. */
static size_t put(uint16_t fans_n, uint32_t runs_n)
{
	struct sl_wbuf w = sl_wbuf_of(bytes, SL_REKEEP_MARK_MAX);
	memset(&in, 0, sizeof(in));
	in.lane = 5;
	in.fans_n = fans_n;
	in.runs_n = runs_n;
	for (size_t i = 0; i < fans_n; i++)
		in.fans[i] = (struct sl_rekeep_fan_sum){(uint8_t)i, 0x0123456789abcdef * (i + 1)};
	for (size_t i = 0; i < runs_n; i++)
		in.runs[i] = (struct sl_sorter_run){
			.off = i * 1000, .end = i * 1000 + 999, .n = i, .digest = {(uint8_t)i, 7}};
	sl_rekeep_mark_put(&w, &in);
	return w.len;
}

static bool get(const uint8_t *from, size_t n, size_t *left)
{
	struct sl_cur c = sl_cur_of(from, n);
	memset(&out, 0, sizeof(out));
	bool is_good = sl_rekeep_mark_get(&c, &out);
	*left = sl_cur_left(&c);
	return is_good;
}

static void comes_back(void **state)
{
	static const struct {
		uint16_t fans_n;
		uint32_t runs_n;
	} sizes[] = {{1, 0}, {1, 1}, {7, 3}, {SL_REKEEP_FANS, SL_REKEEP_RUNS_MAX}};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(sizes); i++) {
		size_t left, n = put(sizes[i].fans_n, sizes[i].runs_n);
		assert_true(get(bytes, n + 1, &left));
		assert_int_equal(left, 1); /* the next one */
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static void cut_anywhere_it_is_none(void **state)
{
	size_t left, n = put(3, 2);
	(void)state;
	for (size_t cut = 0; cut < n; cut++) {
		assert_false(get(bytes, cut, &left));
		assert_int_equal(left, cut);
	}
}

static void with_any_bit_turned_it_is_none(void **state)
{
	size_t left, n = put(3, 2);
	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(get(bytes, n, &left));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(get(bytes, n, &left));
}

static void folders_have_numbers(void **state)
{
	static const char *const none[] = {"", "0", "0g", "G0", "000", "A0", "..", "_"};
	char name[4];
	(void)state;
	for (int i = 0; i < SL_REKEEP_FANS; i++) {
		snprintf(name, sizeof(name), "%02x", (unsigned)i & 0xff);
		assert_int_equal(sl_rekeep_fan_no(name), i);
	}
	for (size_t i = 0; i < SL_ARRAY_N(none); i++)
		assert_int_equal(sl_rekeep_fan_no(none[i]), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(cut_anywhere_it_is_none),
		cmocka_unit_test(with_any_bit_turned_it_is_none),
		cmocka_unit_test(folders_have_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
