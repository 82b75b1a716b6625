/* Text to UTF-8: every character set of PS3.3 C.12.1.1.2 by names typed in UTF-8, how the sets are
 * misspelt, what goes wrong with ISO 2022; never a failure, never a byte that is not UTF-8, never more
 * than asked for. test_text_sets.py compares whole tables with converters that are not the C library's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "storage/text.h"
#include "support/records.h"

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static void check_kind(
	const char *charset, enum sl_text_kind kind, const char *in, const char *expected)
{
	char out[512];
	struct sl_wbuf w = sl_wbuf_of(out, sizeof(out) - 1);
	struct sl_text_charset cs = sl_text_charset_of(charset, strlen(charset));
	sl_text_to_utf8(&w, in, strlen(in), kind, &cs);
	out[w.len] = '\0';
	assert_string_equal(out, expected);
}

static void check(const char *charset, const char *in, const char *expected)
{
	check_kind(charset, SL_TEXT_PN, in, expected);
}

/* PS3.3 table C.12-2: the same name by the defined term alone, with code extensions as value 1, and
 * designated by its escape (table C.12-3) where value 1 is empty. */
static void C_12_2_single_byte_sets(void **state)
{
	static const struct {
		const char *number, *escape, *in, *expected;
	} rows[] = {
		{"100", "-A", "Buc^J\xE9r\xF4me", "Buc^Jérôme"},
		{"101", "-B", "Wa\xB3\xEAsa^Ji\xF8\xED", "Wałęsa^Jiří"},
		{"109", "-C", "\xD8or\xF1^\xA6u\xFDo", "Ĝorñ^Ĥuŭo"},
		{"110", "-D", "B\xEArzi\xF2\xB9^J\xE0nis", "Bęrziōš^Jānis"},
		{"144", "-L",
			"\xBB\xEE\xDA"
			"ce\xDC\xD1yp\xD3",
			"Люкceмбypг"},
		{"127", "-G", "\xE2\xC8\xC7\xE6\xEA^\xE4\xE6\xD2\xC7\xD1", "قباني^لنزار"},
		{"126", "-F", "\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2", "Διονυσιος"},
		{"138", "-H", "\xF9\xF8\xE5\xEF^\xE3\xE1\xE5\xF8\xE4", "שרון^דבורה"},
		{"148", "-M",
			"\xC7"
			"avu\xFEo\xF0lu^\xDDpek",
			"Çavuşoğlu^İpek"},
		{"166", "-T", "\xB9\xD2\xC1\xCA\xA1\xD8\xC5^\xAA\xD7\xE8\xCD", "นามสกุล^ชื่อ"},
		{"203", "-b",
			"\xBC"
			"de\xA4^\xA6\xB4\xBE",
			"Œde€^ŠŽŸ"},
		{"13", ")I", "\xD4\xCF\xC0\xDE^\xC0\xDB\xB3", "ﾔﾏﾀﾞ^ﾀﾛｳ"},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		char term[64], in[128];
		snprintf(term, sizeof(term), "ISO_IR %s", rows[i].number);
		check(term, rows[i].in, rows[i].expected);
		snprintf(term, sizeof(term), "ISO 2022 IR %s\\ISO 2022 IR 87", rows[i].number);
		check(term, rows[i].in, rows[i].expected);
		/* The second component again: PS3.5 6.1.2.5.3. */
		const char *caret = strchr(rows[i].in, '^');
		int first = caret != NULL ? (int)(caret - rows[i].in) : (int)strlen(rows[i].in);
		snprintf(in, sizeof(in), "\x1B%s%.*s", rows[i].escape, first, rows[i].in);
		if (caret != NULL)
			snprintf(in + strlen(in), sizeof(in) - strlen(in), "^\x1B%s%s",
				rows[i].escape, caret + 1);
		snprintf(term, sizeof(term), "\\ISO 2022 IR %s", rows[i].number);
		check(term, in, rows[i].expected);
		check("", in, rows[i].expected); /* declared or not */
	}
}

/* PS3.5 annexes H (Japanese), I (Korean), J and K (Chinese): the standard's examples. */
static void annex_H_to_K_examples(void **state)
{
	(void)state;
	check("\\ISO 2022 IR 87",
		"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B="
		"\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B",
		"Yamada^Tarou=山田^太郎=やまだ^たろう");
	check("ISO 2022 IR 13\\ISO 2022 IR 87",
		"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1B$B;3ED\x1B(J^\x1B$BB@O:\x1B(J="
		"\x1B$B$d$^$@\x1B(J^\x1B$B$?$m$&\x1B(J",
		"ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう");
	check("\\ISO 2022 IR 149",
		"Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7="
		"\x1B$)C\xC8\xAB^\x1B$)C\xB1\xE6\xB5\xBF",
		"Hong^Gildong=洪^吉洞=홍^길동");
	check("ISO_IR 192", "Wang^XiaoDong=\xE7\x8E\x8B^\xE5\xB0\x8F\xE6\x9D\xB1",
		"Wang^XiaoDong=王^小東");
	check("GB18030", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB", "Wang^XiaoDong=王^小东");
	check("GBK", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\x96\x7C", "Wang^XiaoDong=王^小東");
	check("\\ISO 2022 IR 58", "Zhang^XiaoDong=\x1B$)A\xD5\xC5^\x1B$)A\xD0\xA1\xB6\xAB=",
		"Zhang^XiaoDong=张^小东=");
}

static void jisx0212_and_the_rest_of_Japanese(void **state)
{
	const char *all = "ISO 2022 IR 6\\ISO 2022 IR 87\\ISO 2022 IR 159";
	(void)state;
	check(all, "\x1B$(D\x22\x6F\x30\x21\x1B(B^\x1B$(B;3\x1B(B", "™丂^山");
	check("ISO_IR 13", "a\\b~\xB1", "a\\b‾ｱ");            /* no Yen: it parts values */
	check("ISO 2022 IR 13\\ISO 2022 IR 100", "a~", "a‾"); /* value 1 says what G0 begins with */
	check("ISO 2022 IR 100\\ISO 2022 IR 13", "a~", "a~");
	/* not in JIS X 0208, but in many names: NEC's row of IBM extensions */
	check("\\ISO 2022 IR 87", "\x1B$B|b6-\x1B(B", "髙境");
}

/* Converters of mail write sets in the other half or by older escapes; they mean the same. */
static void other_designations_are_understood(void **state)
{
	static const char *const rows[][2] = {
		{"\x1B(I12\x1B(Ja~", "ｱｲa‾"},
		{"\x1B$@;3\x1B(B3", "山3"},
		{"\x1B$(B;3\x1B(B3", "山3"},
		{"\x1B$)B\xBB\xB3"
		 "3",
			"山3"},
		{"\x1B$)D\xB0\xA1"
		 "3",
			"丂3"},
		{"\x1B$(CH+\x1B(B3", "홍3"},
		{"\x1B$A6+\x1B(B3", "东3"},
		{"\x1B$(A6+\x1B(B3", "东3"},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check("ISO 2022 IR 6", rows[i][0], rows[i][1]);
}

/* 3D, 5C and 5E are bytes of many characters; they part nothing there. */
static void bytes_of_pairs_are_no_delimiters(void **state)
{
	(void)state;
	check("GBK", "\x95\x5C\x96\x5E^\xB1\xED", "昞朸^表");
	check("\\ISO 2022 IR 87", "\x1B$B%=%^\x1B(B^\x1B$B%a\x1B(B", "ソマ^メ");
	check("\\ISO 2022 IR 87", "\x1B$B=)ED^}\\!\x1B(B^", "秋田漲棔^"); /* first ones neither */
}

static void GB18030_four_bytes(void **state)
{
	(void)state;
	check("GB18030", "\x81\x30\x81\x30", "\xC2\x80");
	check("GB18030", "\x81\x30\x84\x36", "¥");
	check("GB18030", "\x84\x31\xA4\x37", BAD); /* U+FFFD itself */
	check("GB18030", "\x84\x31\xA4\x39", "\xEF\xBF\xBF");
	check("GB18030", "\x84\x31\xA5\x30", BAD); /* the first behind the BMP's */
	check("GB18030", "\x8F\x39\xFE\x39", BAD);
	check("GB18030", "\x90\x30\x81\x30", "\xF0\x90\x80\x80");
	check("GB18030", "\xE3\x32\x9A\x35", "\xF4\x8F\xBF\xBF");
	check("GB18030", "\xE3\x32\x9A\x36", BAD);
	check("GB18030", "\xFE\x51", "\xF0\xA0\x82\x87");
	check("GB18030", "\x95\x32\x82\x36x", "𠀀x");
}

static void misspelt_terms_are_understood(void **state)
{
	static const struct {
		const char *charset, *in, *expected;
	} rows[] = {
		{"ISO IR 192", "\xC3\xBC", "ü"},
		{"ISO-IR 192", "\xC3\xBC", "ü"},
		{"ISO_IR_192", "\xC3\xBC", "ü"},
		{" ISO_IR 192 ", "\xC3\xBC", "ü"},
		{"ISO_IR 192\\ISO 2022 IR 87", "\xC3\xBC", "ü"},
		{"\\ISO_IR 192", "\xC3\xBC", "ü"},
		{"ISO 2022 IR 6\\ISO_IR 192", "\xC3\xBC", "ü"},
		{"ISO 2022 IR 192", "\xC3\xBC", "ü"},
		{"UTF8", "\xC3\xBC", "ü"},
		{"utf-8", "\xC3\xBC", "ü"},
		{"ISO-IR 100", "\xFC", "ü"},
		{"ISO IR 100", "\xFC", "ü"},
		{"ISO_IR100", "\xFC", "ü"},
		{"ISOIR100", "\xFC", "ü"},
		{"iso_ir 100", "\xFC", "ü"},
		{"Iso_Ir 100", "\xFC", "ü"},
		{"ISO 2022 IR 100 ", "\xFC", "ü"},
		{"ISO_2022_IR_100", "\xFC", "ü"},
		{"ISO2022 IR 100", "\xFC", "ü"},
		{"ISO 2022-IR 100", "\xFC", "ü"},
		{"ISO 2022 100", "\xFC", "ü"},
		{"IR 100", "\xFC", "ü"},
		{"latin1", "\xFC", "ü"},
		{"ISO 8859-1", "\xFC", "ü"},
		{"iso8859-15", "\xA4", "€"},
		{"ISO_IR 101\\ISO_IR 100", "\xB3", "ł"},
		{"ISO_IR 999\\ISO_IR 100", "\xFC", "ü"},
		{"ISO 2022 GBK", "\x96\x7C", "東"},
		{"ISO 2022 GB18030", "\xB6\xAB", "东"},
		{"ISO 2022 58", "\xB6\xAB", "东"},
		{"gb2312", "\xB6\xAB", "东"},
		{"ISO_IR 149", "\xC8\xAB", "홍"},
		{"ISO_IR 58", "\xB6\xAB", "东"},
		{"ISO_IR 87", "\x1B$B;3\x1B(B", "山"},
		{"\\\\ISO 2022 IR 87\\", "\x1B$B;3\x1B(B", "山"},
		{"TIS-620", "\xA1", "ก"},
		/* what stands alone cannot extend, what is said first stays */
		{"ISO 2022 IR 100\\ISO_IR 192", "\xFC", "ü"},
		{"ISO 2022 IR 149\\GB18030", "\xC8\xAB", "홍"},
		{"ISO 2022 IR 87\\GB18030", "\xB6\xAB", BAD BAD},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		check(rows[i].charset, rows[i].in, rows[i].expected);
}

/* The caller is told when nothing says what bytes outside ASCII mean, and may put in its own. */
static void silent_charsets_are_the_callers_to_decide(void **state)
{
	static const char *const silent[] = {"", " ", "\\", "ISO_IR 6", "ISO 2022 IR 6",
		"iso-ir 6\\", "ASCII", "ISO_IR 999", "junk\\more junk", "ISO_IR", "ISO_IR 1000",
		"ISO_IR 10", "??",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char *const telling[] = {"ISO_IR 100", "\\ISO 2022 IR 87", "ISO 2022 IR 159",
		"ISO_IR 13", "UTF8", "GBK", "ISO_IR 999\\ISO 2022 IR 58"};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(silent); i++) {
		struct sl_text_charset cs = sl_text_charset_of(silent[i], strlen(silent[i]));
		assert_int_equal(cs.coding, SL_TEXT_SILENT);
		check(silent[i], "M\xFCller", "M" BAD "ller");
	}
	for (size_t i = 0; i < SL_ARRAY_N(telling); i++)
		assert_int_not_equal(
			sl_text_charset_of(telling[i], strlen(telling[i])).coding, SL_TEXT_SILENT);
	assert_int_equal(sl_text_charset_of("ISO_IR 100\0", 11).coding, SL_TEXT_2022);
}

static void designations_end_at_delimiters(void **state)
{
	const char *set = "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 87";
	(void)state;
	/* E4 is delta by escape and ä again behind the delimiter */
	check_kind(set, SL_TEXT_PN, "\x1B-F\xE4^\xE4=\xE4", "δ^ä=ä");
	check_kind(set, SL_TEXT_OTHER, "\x1B-F\xE4^\xE4=\xE4\\\xE4", "δ^δ=δ\\ä");
	check_kind(set, SL_TEXT_OTHER, "\x1B-F\xE4\r\n\xE4", "δ\r\nä");
	check_kind(set, SL_TEXT_OTHER, "\x1B-F\xE4\f\xE4", "δ\fä");
	check_kind(set, SL_TEXT_OTHER, "\x1B-F\xE4\t\xE4", "δ\tä");
	check_kind(set, SL_TEXT_OTHER, "\x1B-F\xE4 \xE4", "δ δ");
	/* a G0 of pairs ends there too, by control or where no pair can be */
	check_kind(set, SL_TEXT_OTHER, "\x1B$B;3\n;3", "山\n;3");
	check_kind(set, SL_TEXT_PN, "\x1B$B;3^\x1B$B;3", "山^山");
	check_kind(set, SL_TEXT_PN, "\x1B$B;3=", "山=");
	check_kind(set, SL_TEXT_OTHER, "\x1B$B;3 ;3\x1B(B3", "山 山3");
	/* what was said once for a whole Korean name, though it ends at each "^" */
	check("\\ISO 2022 IR 149", "\x1B$)C\xC8\xAB^\xB1\xE6", "홍^길");
}

static void other_bytes_become_replacement_characters(void **state)
{
	(void)state;
	check("", "M\xFCller", "M" BAD "ller");
	check("ISO_IR 6", "\x80", BAD);
	check("ISO_IR 100", "a\x81z", "a" BAD "z"); /* C1 controls are no text */
	check("ISO_IR 127", "\xA1", BAD);           /* vacant */
	check("ISO_IR 13", "\x81\xE0\xFF", BAD BAD BAD);
	check("ISO 2022 IR 87", "\xA4\xA2", BAD BAD);
	/* escapes: unknown, cut, at the end */
	check("ISO 2022 IR 87", "\x1B$Z;3", BAD "$Z;3");
	check("ISO 2022 IR 87", "a\x1B", "a" BAD);
	check("ISO 2022 IR 87", "a\x1B$", "a" BAD "$");
	check("ISO 2022 IR 149", "a\x1B$)", "a" BAD "$)");
	check("ISO_IR 192", "a\x1B(B", "a" BAD "(B"); /* no code extensions there */
	check("GB18030", "a\x1B(B", "a" BAD "(B");
	/* pairs: cut, half in the other half, vacant */
	check("ISO 2022 IR 87", "\x1B$B;", BAD);
	check("ISO 2022 IR 87", "\x1B$B;\xB3", BAD BAD);
	check("ISO 2022 IR 87", "\x1B$B\x29\x21;3", BAD "山");
	check("ISO 2022 IR 149", "\xC8", BAD);
	check("ISO 2022 IR 149",
		"\xC8"
		"a",
		BAD "a");
	check("ISO 2022 IR 149", "\xC8\xA0", BAD BAD);
	check("ISO 2022 IR 149", "\xA0\xB0\xA1", BAD "가");
	check("ISO 2022 IR 87", "\x1B$B;\x7F", BAD "\x7F");
	check("GBK", "\x80\xFF\x81", BAD BAD BAD);
	check("GB18030", "\x81\x30\x81", BAD "0" BAD);
	check("GB18030", "\x81\x30\x81\x7F", BAD "0" BAD "\x7F");
	check("GB18030", "\x81\x7F", BAD "\x7F");
	check("GB18030", "\x81\x30\xFF\x30", BAD "0" BAD "0");
	/* PS3.5 6.1.2.3 says UTF-8; overlong, surrogate, too large and cut are not (RFC 3629). */
	check("ISO_IR 192", "\xC0\xAF", BAD BAD);
	check("ISO_IR 192", "\xE0\x9F\xBF", BAD BAD BAD);
	check("ISO_IR 192", "\xF0\x8F\xBF\xBF", BAD BAD BAD BAD);
	check("ISO_IR 192", "\xED\xA0\x80", BAD BAD BAD);
	check("ISO_IR 192", "\xF4\x90\x80\x80", BAD BAD BAD BAD);
	check("ISO_IR 192", "a\xE5\xB1", "a" BAD BAD);
	check("ISO_IR 192", "M\xC3\xBCller^\xE5\xB1\xB1\xF0\x9F\x98\x80", "Müller^山😀");
}

static void nul_is_no_character(void **state)
{
	static const char *const sets[] = {"", "ISO_IR 192", "GB18030", "ISO 2022 IR 87"};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(sets); i++) {
		char out[8];
		struct sl_wbuf w = sl_wbuf_of(out, sizeof(out));
		struct sl_text_charset cs = sl_text_charset_of(sets[i], strlen(sets[i]));
		sl_text_to_utf8(&w, "a\0b", 3, SL_TEXT_OTHER, &cs);
		assert_int_equal(w.len, 5);
		assert_memory_equal(out, "a" BAD "b", 5);
	}
}

static size_t convert(char *out, size_t cap, const char *in, size_t n, const char *set)
{
	struct sl_wbuf w = sl_wbuf_of(out, cap);
	struct sl_text_charset cs = sl_text_charset_of(set, strlen(set));
	sl_text_to_utf8(&w, in, n, SL_TEXT_PN, &cs);
	return w.len;
}

static void the_end_falls_between_characters(void **state)
{
	(void)state;
	char out[8];
	assert_int_equal(convert(out, 2, "a\xFC", 2, "ISO_IR 100"), 1);
	assert_int_equal(convert(out, 3, "a\xFC", 2, "ISO_IR 100"), 3);
	assert_int_equal(convert(out, 0, "a", 1, ""), 0);
	assert_int_equal(convert(out, 5, "\x1B$B;3ED", 7, ""), 3);
	assert_int_equal(convert(out, 3, "\xF0\x9F\x98\x80", 4, "UTF8"), 0);
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

/* Any bytes, more of those that mean something, in memory of their exact size. */
static void any_bytes_give_utf8(void **state)
{
	static const char *const sets[] = {"", "ISO_IR 100", "ISO_IR 192", "junk\\more", "GB18030",
		"ISO_IR 13", "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 149",
		"ISO 2022 IR 101\\ISO 2022 IR 58\\ISO 2022 IR 159"};
	static const char often[] = "\x1B\x1B\x1B$$$()-BBDCAIJLT^=\\\n;3\xB0\xA1\x81\x30";
	uint64_t seed = 3;
	(void)state;
	for (int i = 0; i < 300000; i++) {
		char out[SL_TEXT_GROWTH * 24], again[sizeof(out)], cut[sizeof(out)];
		size_t n = rec_random(&seed) % 24;
		char *in = malloc(n + (n == 0));
		assert_non_null(in);
		for (size_t j = 0; j < n; j++) {
			uint64_t r = rec_random(&seed);
			in[j] = (char)(r & 256 ? (char)r : often[r % (sizeof(often) - 1)]);
		}
		const char *set = sets[(size_t)i % SL_ARRAY_N(sets)];
		size_t got = convert(out, sizeof(out), in, n, set);
		assert_true(got <= SL_TEXT_GROWTH * n);
		assert_null(memchr(out, 0x1B, got));
		assert_null(memchr(out, 0, got));
		/* UTF-8 is what the UTF-8 reading leaves as it is. */
		assert_int_equal(convert(again, sizeof(again), out, got, "ISO_IR 192"), got);
		assert_memory_equal(again, out, got);
		/* Less room gives less of the same. */
		size_t cap = rec_random(&seed) % (got + 1);
		size_t less = convert(cut, cap, in, n, set);
		assert_true(less <= cap && less + 4 > cap);
		assert_memory_equal(cut, out, less);
		free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(C_12_2_single_byte_sets),
		cmocka_unit_test(annex_H_to_K_examples),
		cmocka_unit_test(jisx0212_and_the_rest_of_Japanese),
		cmocka_unit_test(other_designations_are_understood),
		cmocka_unit_test(bytes_of_pairs_are_no_delimiters),
		cmocka_unit_test(GB18030_four_bytes),
		cmocka_unit_test(misspelt_terms_are_understood),
		cmocka_unit_test(silent_charsets_are_the_callers_to_decide),
		cmocka_unit_test(designations_end_at_delimiters),
		cmocka_unit_test(other_bytes_become_replacement_characters),
		cmocka_unit_test(nul_is_no_character),
		cmocka_unit_test(the_end_falls_between_characters),
		cmocka_unit_test(plain_text_reads_the_same_in_every_set),
		cmocka_unit_test(any_bytes_give_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
