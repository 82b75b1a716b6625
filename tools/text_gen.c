/* Writes storage/text.c's tables from the C library's converters: run by the build, prints C to stdout.
 *
 * The only program here that sees iconv.h. The daemon then needs no converter of the machine it runs
 * on, converts without a descriptor, a lock or an allocation on any thread, and a new C library does
 * not change the keys of an index that is there.
 *
 * A cell is a code point of the BMP; 0 is a vacant cell; D800 to DFFF, which are no characters, are
 * places in gb_wide[]. A converter that is missing stops the build.
 * SPDX-License-Identifier: Apache-2.0 */
#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE_MAX = 64, SURROGATES = 0xD800 };

static iconv_t open_or_leave(const char *name)
{
	iconv_t cd = iconv_open("UTF-32LE", name);
	if (cd != (iconv_t)-1)
		return cd;
	fprintf(stderr, "text_gen: this C library has no converter for %s\n", name);
	exit(1);
}

/* The code point of one character, or 0 where the set has none or more than one. */
static uint32_t code_point(iconv_t cd, const uint8_t *bytes, size_t n)
{
	char in[4], *from = in;
	uint32_t out[4] = {0};
	char *to = (char *)out;
	size_t left = n, room = sizeof(out);
	memcpy(in, bytes, n);
	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &from, &left, &to, &room) != 0 || left != 0)
		return 0;
	iconv(cd, NULL, NULL, &to, &room);
	return room == sizeof(out) - sizeof(out[0]) ? out[0] : 0;
}

static void print_cell(uint32_t cell, unsigned *column)
{
	printf("%s0x%04X,", *column == 0 ? "\n\t" : " ", cell);
	*column = (*column + 1) % 12;
}

/* One row for each set of single bytes: what A0 to FF mean. */
static void print_high(void)
{
	static const struct {
		const char *set, *name;
	} rows[] = {{"LATIN1", "ISO-8859-1"}, {"LATIN2", "ISO-8859-2"}, {"LATIN3", "ISO-8859-3"},
		{"LATIN4", "ISO-8859-4"}, {"CYRILLIC", "ISO-8859-5"}, {"ARABIC", "ISO-8859-6"},
		{"GREEK", "ISO-8859-7"}, {"HEBREW", "ISO-8859-8"}, {"LATIN5", "ISO-8859-9"},
		{"LATIN9", "ISO-8859-15"}, {"THAI", "TIS-620"}, {"KATAKANA", "SHIFT_JIS"}};
	printf("static const uint16_t high[][96] = {");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		iconv_t cd = open_or_leave(rows[i].name);
		unsigned column = 0;
		printf("\n\t[SET_%s] = {", rows[i].set);
		for (unsigned c = 0xA0; c <= 0xFF; c++) {
			uint8_t byte = (uint8_t)c;
			print_cell(code_point(cd, &byte, 1), &column);
		}
		printf("},");
		iconv_close(cd);
	}
	printf("\n};\n");
}

/* The cell of a pair in a vendor's superset, by the bytes it has there; private use does not count. */
static uint32_t vendor_cell(iconv_t cd, bool is_shift_jis, unsigned a, unsigned b)
{
	unsigned row = a - 0xA1, column = b - 0xA1;
	uint8_t in[2] = {(uint8_t)a, (uint8_t)b};
	if (is_shift_jis) {
		in[0] = (uint8_t)((row < 62 ? 0x81 : 0xC1) + row / 2);
		in[1] = (uint8_t)(row % 2 == 1 ? 0x9F + column : 0x40 + column + (column >= 63));
	}
	uint32_t cp = code_point(cd, in, 2);
	return cp >= 0xE000 && cp < 0xF900 ? 0 : cp;
}

/* One row for each set of byte pairs. What a set leaves vacant is filled from a vendor's superset of
 * it, since senders do: above all the NEC rows, for the likes of U+9AD9 in Japanese names. */
static void print_pairs(void)
{
	static const struct {
		const char *set, *name, *vendor;
		bool is_shift_jis;    /* the vendor's bytes are not those of `name` */
		uint8_t single_shift; /* byte before each pair, or 0 */
	} rows[] = {{"JISX0208", "EUC-JP", "CP932", true, 0},
		{"JISX0212", "EUC-JP", NULL, false, 0x8F}, {"KSX1001", "EUC-KR", "UHC", false, 0},
		{"GB2312", "EUC-CN", "GBK", false, 0}};
	printf("static const uint16_t pairs[][94][94] = {");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		iconv_t cd = open_or_leave(rows[i].name), none = (iconv_t)-1;
		iconv_t vendor = rows[i].vendor != NULL ? open_or_leave(rows[i].vendor) : none;
		size_t shift = rows[i].single_shift != 0;
		printf("\n\t[SET_%s - SET_JISX0208] = {", rows[i].set);
		for (unsigned a = 0xA1; a <= 0xFE; a++) {
			unsigned column = 0;
			printf("{");
			for (unsigned b = 0xA1; b <= 0xFE; b++) {
				uint8_t in[3] = {rows[i].single_shift, (uint8_t)a, (uint8_t)b};
				uint32_t cp = code_point(cd, in + 1 - shift, 2 + shift);
				if (cp == 0 && vendor != none)
					cp = vendor_cell(vendor, rows[i].is_shift_jis, a, b);
				print_cell(cp < 0x10000 ? cp : 0, &column);
			}
			printf("},\n");
		}
		printf("},");
		iconv_close(cd);
		if (vendor != none)
			iconv_close(vendor);
	}
	printf("\n};\n");
}

/* GB 18030, two bytes: 81 to FE, 40 to 7E and 80 to FE. */
static void print_gb_pairs(iconv_t cd)
{
	uint32_t wide[WIDE_MAX] = {0};
	uint32_t wide_n = 0;
	printf("static const uint16_t gb_pairs[126][190] = {");
	for (unsigned a = 0x81; a <= 0xFE; a++) {
		unsigned column = 0;
		printf("{");
		for (unsigned b = 0x40; b <= 0xFE; b++) {
			const uint8_t in[2] = {(uint8_t)a, (uint8_t)b};
			if (b == 0x7F)
				continue;
			uint32_t cp = code_point(cd, in, 2);
			if (cp >= 0x10000 && wide_n < WIDE_MAX) {
				wide[wide_n] = cp;
				cp = SURROGATES + wide_n++;
			}
			print_cell(cp < 0x10000 ? cp : 0, &column);
		}
		printf("},\n");
	}
	printf("\n};\nstatic const uint32_t gb_wide[] = {");
	for (uint32_t i = 0; i < wide_n; i++)
		printf("0x%X, ", wide[i]);
	printf("0};\n");
}

/* GB 18030, four bytes, below 90308130: runs of code points that go up by one, the BMP's to 39420. The
 * edition of 2005 has two bytes for some; their old four are vacant in the converter, but in files. */
static void print_gb_quads(iconv_t cd)
{
	uint32_t next = 1;
	printf("static const struct gb_run gb_runs[] = {");
	for (uint32_t i = 0; i < 50400; i++) {
		const uint8_t in[4] = {(uint8_t)(0x81 + i / 12600), (uint8_t)(0x30 + i / 1260 % 10),
			(uint8_t)(0x81 + i / 10 % 126), (uint8_t)(0x30 + i % 10)};
		uint32_t cp = code_point(cd, in, 4);
		cp = cp == 0 && i < 39420 ? next : cp;
		cp = cp < 0x10000 ? cp : 0;
		if (cp != next)
			printf("{%u, 0x%X},\n", i, cp);
		next = cp == 0 ? 0 : cp + 1;
	}
	printf("{50400, 0}};\n");
}

int main(void)
{
	printf("/* Written by tools/text_gen.c. SPDX-License-Identifier: Apache-2.0 */\n");
	print_high();
	print_pairs();
	iconv_t cd = open_or_leave("GB18030");
	print_gb_pairs(cd);
	print_gb_quads(cd);
	iconv_close(cd);
	return fflush(stdout) == 0 ? 0 : 1;
}
