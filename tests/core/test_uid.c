/* UIDs as devices, attackers and PS3.5 write them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "core/uid.h"

/* A literal with its length, so that NULs inside count. */
#define RAW(s) (s), sizeof(s) - 1

#define X16 "1234567890123456"

struct row {
	const char *bytes;
	size_t n;
	enum sl_status st;
	const char *value; /* of the UID on SL_OK */
	bool strict;
};

/* Shapes found in the corpus: real devices and malformed/derived/uid_*.dcm. */
static const struct row met[] = {
	{RAW("1.2.840.10008.1.2"), SL_OK, "1.2.840.10008.1.2", true},
	{RAW("1.2.840.10008.1.2\0"), SL_OK, "1.2.840.10008.1.2", true},
	{RAW("1.2.840.99999.1.5 "), SL_OK, "1.2.840.99999.1.5", true},
	{RAW("  1.2.3 \0 \0\0"), SL_OK, "1.2.3", true},
	{RAW("1.2.840.10008.1.2.1."), SL_OK, "1.2.840.10008.1.2.1.", false},
	{RAW("1.2.003.0004"), SL_OK, "1.2.003.0004", false},
	{RAW("1.2.abc.4"), SL_OK, "1.2.abc.4", false},
	{RAW("not.a.uid.at.all..."), SL_OK, "not.a.uid.at.all...", false},
	{RAW("1..2"), SL_OK, "1..2", false},
	{RAW("-1-2-"), SL_OK, "-1-2-", false},
	{RAW("0"), SL_OK, "0", true},
	{RAW("1.0.2"), SL_OK, "1.0.2", true},
	{RAW("1.2.840.99999.1\\1.2.840.99999.2\0"), SL_E_DATASET, "", false},
	{RAW("1.2 3"), SL_E_DATASET, "", false},
	{RAW("1.2_3"), SL_E_DATASET, "", false},
	{RAW("1.2\xC3\xB6"), SL_E_DATASET, "", false},
	{RAW(""), SL_E_NOTFOUND, "", false},
	{RAW("\0"), SL_E_NOTFOUND, "", false},
	{RAW(" \0 \0"), SL_E_NOTFOUND, "", false},
	{RAW(X16 X16 X16 X16), SL_OK, X16 X16 X16 X16, true},
	{RAW(X16 X16 X16 X16 "\0 \0"), SL_OK, X16 X16 X16 X16, true},
	{RAW(X16 X16 X16 X16 "1"), SL_E_DATASET, "", false},
	{RAW("1.2.3333333333333333333333333333333333333333333333333333333333333\0"), SL_E_DATASET,
		"", false},
};

/* HOSTILE rows 1, 3 and 5: what was used as a path elsewhere. */
static const struct row hostile[] = {
	{RAW("../x"), SL_E_DATASET, "", false},
	{RAW("..\\x"), SL_E_DATASET, "", false},
	{RAW("../../../../tmp/x\0"), SL_E_DATASET, "", false},
	{RAW("/etc/x"), SL_E_DATASET, "", false},
	{RAW("1.2/../../x"), SL_E_DATASET, "", false},
	{RAW("1.2\0/../x"), SL_E_DATASET, "", false},
	{RAW("\0001.2"), SL_E_DATASET, "", false},
	{RAW("."), SL_E_DATASET, "", false},
	{RAW(".."), SL_E_DATASET, "", false},
	{RAW("..."), SL_E_DATASET, "", false},
	{RAW(" .. "), SL_E_DATASET, "", false},
	{RAW("................................................................"), SL_E_DATASET, "",
		false},
	{RAW("1.2;rm -rf"), SL_E_DATASET, "", false},
	{RAW("$(id)"), SL_E_DATASET, "", false},
	{RAW("1.2\n3"), SL_E_DATASET, "", false},
	{RAW("1.2%2F3"), SL_E_DATASET, "", false},
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sl_uid u, clean;
		memset(&u, 0xEE, sizeof(u));
		memset(&clean, 0, sizeof(clean));
		assert_int_equal(sl_uid_parse(&u, rows[i].bytes, rows[i].n), rows[i].st);
		assert_string_equal(u.s, rows[i].value);
		assert_int_equal(u.len, strlen(rows[i].value));
		assert_int_equal(sl_uid_is_strict(&u), rows[i].strict);
		/* Values compare as memory: nothing of the old bytes stays behind. */
		memcpy(clean.s, rows[i].value, strlen(rows[i].value));
		clean.len = (uint8_t)strlen(rows[i].value);
		assert_memory_equal(&u, &clean, sizeof(u));
	}
}

static void UID_as_devices_write_them(void **state)
{
	(void)state;
	check(met, SL_ARRAY_N(met));
}

static void H1_H3_H5_no_uid_can_leave_a_folder(void **state)
{
	(void)state;
	check(hostile, SL_ARRAY_N(hostile));
}

static void UID_each_byte_value_is_allowed_or_not(void **state)
{
	(void)state;
	static const char allowed[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-";
	for (int b = 1; b < 256; b++) {
		char s[3] = {'1', (char)b, '1'};
		struct sl_uid u;
		assert_int_equal(sl_uid_parse(&u, s, sizeof(s)),
			strchr(allowed, b) != NULL ? SL_OK : SL_E_DATASET);
	}
}

static void UID_equal_is_equal_in_length_and_bytes(void **state)
{
	(void)state;
	struct sl_uid a = sl_uid_of("1.2.3"), b = sl_uid_of("1.2.3"), c = sl_uid_of("1.2.30");
	struct sl_uid none = {0};
	assert_true(sl_uid_equal(&a, &b));
	assert_false(sl_uid_equal(&a, &c));
	assert_false(sl_uid_equal(&a, &none));
	assert_true(sl_uid_equal(&none, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(UID_as_devices_write_them),
		cmocka_unit_test(H1_H3_H5_no_uid_can_leave_a_folder),
		cmocka_unit_test(UID_each_byte_value_is_allowed_or_not),
		cmocka_unit_test(UID_equal_is_equal_in_length_and_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
