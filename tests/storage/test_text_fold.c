/* Folding: names typed with and without accents, width and case have one key; letters that are letters
 * of their own keep theirs. SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "storage/text.h"
#include "support/records.h"

enum { NO_GROUP = -1 };

/* group: one of a person name, or NO_GROUP for other text. */
static size_t fold(char *out, size_t cap, const char *in, size_t n, int group)
{
	struct sl_wbuf w = sl_wbuf_of(out, cap);
	if (group == NO_GROUP)
		sl_text_fold(&w, in, n);
	else
		sl_text_fold_pn(&w, in, n, (enum sl_text_pn_group)group);
	return w.len;
}

static void check(int group, const char *in, const char *expected)
{
	char out[1024], again[1024];
	size_t n = fold(out, sizeof(out) - 1, in, strlen(in), group);
	out[n] = '\0';
	assert_string_equal(out, expected);
	size_t m = fold(again, sizeof(again) - 1, out, n, group);
	again[m] = '\0';
	/* A group that was taken out is the only one. */
	if (group <= SL_TEXT_ALPHABETIC)
		assert_string_equal(again, out);
}

static void case_and_accents_do_not_matter(void **state)
{
	static const char *const rows[][2] = {
		{"MÜLLER", "muller"},
		{"Mu\u0308ller", "muller"}, /* decomposed */
		{"Jérôme Ça", "jerome ca"},
		{"Weiß", "weiss"},
		{"WEIẞ", "weiss"},
		{"Łukasz Wałęsa", "lukasz walesa"},
		{"Søren Ærø Œuvre", "soren aero oeuvre"},
		{"Ǿ", "o"},
		{"Đorđe Þór Eiður Ħal Ŧ", "dorde thor eidur hal t"},
		{"İSTANBUL ISPARTA ırmak", "istanbul isparta irmak"},
		{"Nguyễn Thị Ánh", "nguyen thi anh"},
		{"Διονύσιος", "διονυσιοσ"},
		{"ΔΙΟΝΥΣΙΟΣ", "διονυσιοσ"},
		{"ᾳ", "αι"},
		{"Пётр Андрей", "петр андреи"},
		{"а\u0483", "а"},
		{"שָׁלוֹם", "שלום"},
		{"مُحَمَّد آل", "محمد ال"},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check(NO_GROUP, rows[i][0], rows[i][1]);
}

static void compatible_forms_are_one(void **state)
{
	static const char *const rows[][2] = {
		{"ＡＢＣ１２３", "abc123"},
		{"ﾔﾏﾀﾞ", "ヤマダ"},
		{"ﬁ ①", "fi 1"},
		{"O\u2019Brien", "o'brien"},
		{"Anna\u2010Maria", "anna-maria"},
		{"So\u00ADren", "soren"}, /* soft hyphen */
		{"\uFEFFx", "x"},
		{"\u3000山田\u3000太郎", "山田 太郎"},
		{"ﷺ", "صلى الله عليه وسلم"},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check(NO_GROUP, rows[i][0], rows[i][1]);
}

static void other_letters_stay(void **state)
{
	static const char *const rows[] = {"山田", "やまだ", "ヤマダ", "がぎぐ", "ぱ", "홍길동",
		"김희중", "王小东", "นามสกุล ชื่อ", "हिन्दी", "𠀀", "\uFFFD"};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check(NO_GROUP, rows[i], rows[i]);
	check(NO_GROUP, "か\u3099", "が");
	check(NO_GROUP, "\u1112\u1169\u11BC", "홍");
	/* in the one order and form that is canonical */
	check(NO_GROUP, "ก\u0E48\u0E38", "ก\u0E38\u0E48");
	check(NO_GROUP, "\u0958", "\u0915\u093C");
}

static void spaces_and_controls(void **state)
{
	(void)state;
	check(NO_GROUP, "  a  b\t\r\nc  ", "a b c");
	check(NO_GROUP, " \u00A0 ", "");
	check(NO_GROUP, "", "");
	check(NO_GROUP, "a ^ b =", "a ^ b =");
}

static void names_by_group(void **state)
{
	const char *name = "Yamada^Tarou=山田^太郎=やまだ^たろう";
	(void)state;
	check(SL_TEXT_ALPHABETIC, name, "yamada^tarou");
	check(SL_TEXT_IDEOGRAPHIC, name, "山田^太郎");
	check(SL_TEXT_PHONETIC, name, "やまだ^たろう");
	check(SL_TEXT_IDEOGRAPHIC, "Doe^John", "");
	check(SL_TEXT_PHONETIC, "Doe^John=x", "");
	check(SL_TEXT_ALPHABETIC, "=山田", "");
	check(SL_TEXT_IDEOGRAPHIC, "=山田", "山田");
	check(SL_TEXT_PHONETIC, "a=b=c=d", "c");
	check(SL_TEXT_IDEOGRAPHIC, "Wang^Hong=王＾紅", "王^紅");
}

static void components_are_tidied(void **state)
{
	static const char *const rows[][2] = {
		{"Doe^John^^^", "doe^john"},
		{" Doe  Smith ^ John ^^ ", "doe smith^john"},
		{"Doe^^^Dr.", "doe^^^dr."},
		{"^John", "^john"},
		{"^^^^", ""},
		{" ^ ^ ", ""},
		{"Doe ^=x", "doe"},
		{"", ""},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check(SL_TEXT_ALPHABETIC, rows[i][0], rows[i][1]);
}

static void what_is_not_utf8_is_replaced(void **state)
{
	(void)state;
	check(NO_GROUP, "a\xFF\xC0\xAFz", "a\uFFFD\uFFFD\uFFFDz");
	check(NO_GROUP, "\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD");
	check(NO_GROUP, "\xE5\xB1", "\uFFFD\uFFFD");
	check(NO_GROUP, "\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD");
	/* what lies behind the value is not looked at */
	char out[8];
	assert_int_equal(fold(out, sizeof(out), "é", 1, NO_GROUP), 3);
	assert_memory_equal(out, "\uFFFD", 3);
}

static void a_key_ends_on_a_character_border(void **state)
{
	char in[400], out[SL_TEXT_KEY_MAX];
	(void)state;
	memset(in, 'A', sizeof(in));
	memcpy(in + 95, "山", 3);
	assert_int_equal(fold(out, sizeof(out), in, sizeof(in), NO_GROUP), 95);
	memcpy(in + 93, "山", 3);
	assert_int_equal(fold(out, sizeof(out), in, sizeof(in), NO_GROUP), 96);
	/* what the cut leaves at the end is no part of it */
	memcpy(in + 94, "^ B", 3);
	memset(in + 90, 'A', 4);
	assert_int_equal(fold(out, 96, in, sizeof(in), SL_TEXT_ALPHABETIC), 96);
	assert_int_equal(fold(out, 95, in, sizeof(in), SL_TEXT_ALPHABETIC), 94);
	assert_int_equal(fold(out, 0, in, sizeof(in), NO_GROUP), 0);
}

static void what_was_there_before_stays(void **state)
{
	char out[8] = "x^ ";
	struct sl_wbuf w = sl_wbuf_of(out, sizeof(out));
	(void)state;
	w.len = 3;
	sl_text_fold_pn(&w, "^", 1, SL_TEXT_ALPHABETIC);
	assert_int_equal(w.len, 3);
	sl_text_fold(&w, " Y", 2);
	assert_int_equal(w.len, 4);
	assert_memory_equal(out, "x^ y", 4);
}

/* More than a value of the index can hold: the first thousand characters, however they decompose. */
static void the_longest_values(void **state)
{
	static char in[12000], out[24000];
	(void)state;
	memset(in, 'x', sizeof(in));
	assert_int_equal(fold(out, sizeof(out), in, sizeof(in), NO_GROUP), 1024);
	for (size_t i = 0; i < sizeof(in); i += 3)
		memcpy(in + i, "\xEF\xB7\xBA", 3); /* U+FDFA, eighteen when decomposed */
	assert_true(fold(out, sizeof(out), in, sizeof(in), NO_GROUP) > 1024);
	for (size_t i = 0; i < sizeof(in); i += 2)
		memcpy(in + i, "\xC3\x9F", 2); /* sharp s */
	assert_int_equal(fold(out, sizeof(out), in, sizeof(in), NO_GROUP), 1024);
	for (size_t i = 1; i + 1 < sizeof(in); i += 2)
		memcpy(in + i, "\xC3\xA6", 2); /* ae, from the odd place on */
	in[0] = 'x';
	assert_int_equal(fold(out, sizeof(out), in, sizeof(in), NO_GROUP), 1024);
}

static bool is_utf8(const char *s, size_t n)
{
	char again[2048];
	struct sl_wbuf w = sl_wbuf_of(again, sizeof(again));
	struct sl_text_charset cs = sl_text_charset_of("UTF8", 4);
	sl_text_to_utf8(&w, s, n, SL_TEXT_OTHER, &cs);
	return w.len == n && memcmp(again, s, n) == 0;
}

/* Any characters, cut anywhere: valid, within its room, and folded once for all. */
static void folding_twice_changes_nothing(void **state)
{
	uint64_t seed = 5;
	(void)state;
	for (int i = 0; i < 200000; i++) {
		char text[128], out[SL_TEXT_KEY_MAX], again[SL_TEXT_KEY_MAX];
		size_t n = 0, cap = rec_random(&seed) % (sizeof(out) + 1);
		int group = (int)(rec_random(&seed) % 2) - 1;
		for (size_t chars = rec_random(&seed) % 32; chars > 0; chars--) {
			static const uint32_t limits[] = {
				0x80, 0x250, 0x700, 0x3200, 0x10000, 0x20000};
			uint32_t cp = (uint32_t)(rec_random(&seed) %
						 limits[rec_random(&seed) % SL_ARRAY_N(limits)]);
			if (rec_random(&seed) % 8 == 0)
				cp = (uint32_t) " ^=\n"[rec_random(&seed) % 4];
			char c[4] = {(char)cp};
			size_t len = 1;
			if (cp >= 0x80) {
				len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
				for (size_t j = len; j-- > 1; cp >>= 6)
					c[j] = (char)(0x80 | (cp & 0x3F));
				c[0] = (char)((0xF00u >> len) | cp);
			}
			memcpy(text + n, c, len);
			n += len;
		}
		size_t got = fold(out, cap, text, n, group);
		assert_true(got <= cap);
		assert_true(is_utf8(out, got));
		assert_int_equal(fold(again, sizeof(again), out, got, group), got);
		assert_memory_equal(again, out, got);
	}
}

/* The key of a cut is the beginning of the whole: a prefix finds what begins with it. */
static void any_bytes_fold_within_bounds(void **state)
{
	uint64_t seed = 9;
	(void)state;
	for (int i = 0; i < 100000; i++) {
		char out[512], cut[512];
		size_t n = rec_random(&seed) % 24;
		char *in = malloc(n + (n == 0));
		assert_non_null(in);
		for (size_t j = 0; j < n; j++)
			in[j] = (char)rec_random(&seed);
		size_t got = fold(out, sizeof(out), in, n, NO_GROUP);
		assert_true(is_utf8(out, got));
		size_t less = fold(cut, got / 2, in, n, NO_GROUP);
		assert_true(less <= got / 2);
		assert_memory_equal(cut, out, less);
		free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_and_accents_do_not_matter),
		cmocka_unit_test(compatible_forms_are_one),
		cmocka_unit_test(other_letters_stay),
		cmocka_unit_test(spaces_and_controls),
		cmocka_unit_test(names_by_group),
		cmocka_unit_test(components_are_tidied),
		cmocka_unit_test(what_is_not_utf8_is_replaced),
		cmocka_unit_test(a_key_ends_on_a_character_border),
		cmocka_unit_test(what_was_there_before_stays),
		cmocka_unit_test(the_longest_values),
		cmocka_unit_test(folding_twice_changes_nothing),
		cmocka_unit_test(any_bytes_fold_within_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
