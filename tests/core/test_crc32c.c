/* The tables say what the polynomial says, for every length and alignment.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/crc32c.h"

/* The check value of the catalogue, and RFC 3720 B.4. */
static void known(void **state)
{
	uint8_t bytes[32];
	(void)state;
	assert_int_equal(sl_crc32c("123456789", 9), 0xE3069283);
	assert_int_equal(sl_crc32c("", 0), 0);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(sl_crc32c(bytes, sizeof(bytes)), 0x8A9136AA);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(sl_crc32c(bytes, sizeof(bytes)), 0x62A8AB43);
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_int_equal(sl_crc32c(bytes, sizeof(bytes)), 0x46DD794E);
}

/* One bit at a time: not the implementation under test. */
static uint32_t slowly(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		crc ^= (uint32_t)(p[bit / 8] >> (bit % 8) & 1);
		crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
	}
	return ~crc;
}

static void any_length_anywhere(void **state)
{
	uint8_t bytes[128];
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 151 + i / 7);
	for (size_t from = 0; from < 8; from++)
		for (size_t n = 0; n <= sizeof(bytes) - from; n++)
			assert_int_equal(sl_crc32c(bytes + from, n), slowly(bytes + from, n));
}

/* Every entry of every table: each half byte at each place. */
static void any_bit(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (unsigned value = 0; value < 16; value++) {
			uint8_t bytes[16] = {0};
			bytes[bit / 8] = (uint8_t)(value << (bit % 8 / 4 * 4));
			assert_int_equal(
				sl_crc32c(bytes, sizeof(bytes)), slowly(bytes, sizeof(bytes)));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(any_length_anywhere),
		cmocka_unit_test(any_bit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
