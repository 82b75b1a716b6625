/* Names: exactly the layout of the contract, and nothing a peer says leads out of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <string.h>

#include "storage/path.h"
#include "support/dies.h"

static const struct sl_uid none;

static void names_are_those_of_the_contract(void **state)
{
	(void)state;
	struct sl_path p;
	struct sl_uid study = sl_uid_of("1.2.3"), series = sl_uid_of("1.2.3.4");
	struct sl_uid sop = sl_uid_of("1.2.3.4.5");
	sl_path_spool(&p, 0x1a2b);
	assert_string_equal(p.s, "0000000000001a2b.dcm");
	sl_path_spool(&p, UINT64_MAX);
	assert_string_equal(p.s, "ffffffffffffffff.dcm");
	sl_path_trash(&p, 16);
	assert_string_equal(p.s, "0000000000000010");
	sl_path_temp(&p, 7);
	assert_string_equal(p.s, ".tmp-0000000000000007");
	sl_path_leaf(&p, &sop, 0);
	assert_string_equal(p.s, "1.2.3.4.5.dcm");
	sl_path_leaf(&p, &sop, 0x2c);
	assert_string_equal(p.s, "1.2.3.4.5~000000000000002c.dcm");
	/* The hash is part of the layout on disk: these three never change. */
	sl_path_fan(&p, &study);
	assert_string_equal(p.s, "d5");
	sl_path_study(&p, &study);
	assert_string_equal(p.s, "d5/1.2.3");
	sl_path_instance(&p, &study, &series, &sop, 0);
	assert_string_equal(p.s, "d5/1.2.3/1.2.3.4/1.2.3.4.5.dcm");
	sl_path_instance(&p, &none, &none, &sop, 0);
	assert_string_equal(p.s, "17/_/_/1.2.3.4.5.dcm");
	sl_path_series(&p, &study, &none);
	assert_string_equal(p.s, "d5/1.2.3/_");
}

static void the_longest_name_fits(void **state)
{
	(void)state;
	struct sl_path p;
	char digits[SL_UID_MAX + 1];
	memset(digits, '1', SL_UID_MAX);
	digits[SL_UID_MAX] = '\0';
	struct sl_uid u = sl_uid_of(digits);
	sl_path_instance(&p, &u, &u, &u, UINT64_MAX);
	assert_int_equal(strlen(p.s), SL_PATH_MAX - 1);
}

static void a_seq_comes_back_out_of_its_name(void **state)
{
	(void)state;
	const uint64_t seqs[] = {0, 1, 9, 10, 255, 0x0123456789abcdef, UINT64_MAX};
	struct sl_path p;
	uint64_t seq;
	for (size_t i = 0; i < SL_ARRAY_N(seqs); i++) {
		sl_path_spool(&p, seqs[i]);
		assert_true(sl_path_spool_seq(p.s, &seq));
		assert_int_equal(seq, seqs[i]);
		assert_false(sl_path_is_temp(p.s));
		sl_path_trash(&p, seqs[i]);
		assert_true(sl_path_trash_seq(p.s, &seq));
		assert_int_equal(seq, seqs[i]);
		assert_false(sl_path_spool_seq(p.s, &seq));
		sl_path_temp(&p, seqs[i]);
		assert_true(sl_path_is_temp(p.s));
		assert_false(sl_path_spool_seq(p.s, &seq));
	}
}

static void other_names_are_not_taken_for_ours(void **state)
{
	(void)state;
	static const char *const others[] = {"", ".", "..", ".probe", "0000000000001a2b",
		"0000000000001A2B.dcm", "0000000000001a2b.DCM", "0000000000001a2b.dcm~",
		"000000000001a2b.dcm", "00000000000001a2b.dcm", "0x00000000001a2b.dcm",
		"-000000000001a2b.dcm", " 000000000001a2b.dcm", "000000000000g000.dcm"};
	uint64_t seq;
	for (size_t i = 0; i < SL_ARRAY_N(others); i++)
		assert_false(sl_path_spool_seq(others[i], &seq));
	assert_false(sl_path_trash_seq("0000000000000010.dcm", &seq));
	assert_false(sl_path_trash_seq("000000000000001", &seq));
	assert_false(sl_path_is_temp("x.tmp-0000000000000000"));
}

static void make_a_name(void *arg)
{
	struct sl_path p;
	sl_path_study(&p, arg);
}

static bool stops(struct sl_uid *u)
{
	return dies(make_a_name, u);
}

/* HOSTILE 1, 3, 4: what sl_uid_parse() refuses cannot become a name by another way either. */
static void a_value_that_is_no_uid_never_becomes_a_name(void **state)
{
	(void)state;
	static const char *const evil[] = {".", "..", "...", "../x", "..\\x", "/etc/x", "1/2",
		"1~2", "_", "1 2", "1\n", "%2e", "1\xc3\xa4"};
	struct sl_uid u = {0};
	for (size_t i = 0; i < SL_ARRAY_N(evil); i++) {
		memset(&u, 0, sizeof(u));
		assert_int_not_equal(sl_uid_parse(&u, evil[i], strlen(evil[i])), SL_OK);
		u.len = (uint8_t)strlen(evil[i]);
		memcpy(u.s, evil[i], u.len);
		assert_true(stops(&u));
	}
	u = (struct sl_uid){.len = 3, .s = "1\0002"};
	assert_true(stops(&u));
	u = sl_uid_of("1.2");
	u.len = SL_UID_MAX + 1;
	assert_true(stops(&u));
	u = sl_uid_of("1.2");
	assert_false(stops(&u));
}

/* 20,000 studies of one root and one device spread over the 256 folders without a heavy one. */
static void studies_spread_over_the_folders(void **state)
{
	(void)state;
	unsigned seen[256] = {0}, least = UINT32_MAX, most = 0;
	char text[SL_UID_MAX + 1];
	for (int i = 0; i < 20000; i++) {
		snprintf(
			text, sizeof(text), "1.2.840.113619.2.55.3.279.%d.1700000000.%d", i % 7, i);
		struct sl_uid u = sl_uid_of(text);
		seen[sl_path_hash(&u)]++;
	}
	for (int i = 0; i < 256; i++) {
		least = seen[i] < least ? seen[i] : least;
		most = seen[i] > most ? seen[i] : most;
	}
	assert_true(least > 78 / 2 && most < 78 * 2); /* mean 78 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_contract),
		cmocka_unit_test(the_longest_name_fits),
		cmocka_unit_test(a_seq_comes_back_out_of_its_name),
		cmocka_unit_test(other_names_are_not_taken_for_ours),
		cmocka_unit_test(a_value_that_is_no_uid_never_becomes_a_name),
		cmocka_unit_test(studies_spread_over_the_folders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
