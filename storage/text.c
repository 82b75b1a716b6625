/* Conversion of data set text to UTF-8: three codings, of which ISO 2022 is the work.
 *
 * ISO 2022 as DICOM uses it (PS3.5 6.1.2.4): G0 means the bytes 21 to 7E, G1 those from A0 on; an escape
 * puts a set into one of them, the end of a line or of a name's component puts back what (0008,0005)
 * begins with. A set has single bytes, or pairs in a square of 94 by 94.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/text.h"

#include <string.h>

#include "core/cursor.h"

enum set {
	SET_NONE,
	SET_ASCII,
	SET_ROMAJI, /* ISO-IR 14: ASCII but for Yen, which stays a backslash here, and overline */
	SET_LATIN1,
	SET_LATIN2,
	SET_LATIN3,
	SET_LATIN4,
	SET_CYRILLIC,
	SET_ARABIC,
	SET_GREEK,
	SET_HEBREW,
	SET_LATIN5,
	SET_LATIN9,
	SET_THAI,
	SET_KATAKANA, /* the last of single bytes */
	SET_JISX0208, /* the first of pairs */
	SET_JISX0212,
	SET_KSX1001,
	SET_GB2312,
};

enum { ESC = 0x1B, REPLACEMENT = 0xFFFD, WIDE_FIRST = 0xD800, WIDE_LAST = 0xDFFF };

struct gb_run {
	uint16_t first; /* place in the order of four-byte codes */
	uint16_t to;    /* its code point, from which the run goes up; 0 = vacant */
};

#include "text_tables.inc"

/* ---- Specific Character Set -------------------------------------------------------------------- */

/* What is left of a term when blanks, punctuation and the prefix are off. */
struct term {
	const char *name;
	enum sl_text_coding coding;
	uint8_t g0, g1;
};

static const struct term terms[] = {
	/* PS3.3 tables C.12-2 to C.12-5, by ISO-IR number */
	{"6", SL_TEXT_SILENT, SET_ASCII, SET_NONE},
	{"13", SL_TEXT_2022, SET_ROMAJI, SET_KATAKANA},
	{"58", SL_TEXT_2022, SET_ASCII, SET_GB2312},
	{"87", SL_TEXT_2022, SET_ASCII, SET_NONE},
	{"100", SL_TEXT_2022, SET_ASCII, SET_LATIN1},
	{"101", SL_TEXT_2022, SET_ASCII, SET_LATIN2},
	{"109", SL_TEXT_2022, SET_ASCII, SET_LATIN3},
	{"110", SL_TEXT_2022, SET_ASCII, SET_LATIN4},
	{"126", SL_TEXT_2022, SET_ASCII, SET_GREEK},
	{"127", SL_TEXT_2022, SET_ASCII, SET_ARABIC},
	{"138", SL_TEXT_2022, SET_ASCII, SET_HEBREW},
	{"144", SL_TEXT_2022, SET_ASCII, SET_CYRILLIC},
	{"148", SL_TEXT_2022, SET_ASCII, SET_LATIN5},
	{"149", SL_TEXT_2022, SET_ASCII, SET_KSX1001},
	{"159", SL_TEXT_2022, SET_ASCII, SET_NONE},
	{"166", SL_TEXT_2022, SET_ASCII, SET_THAI},
	{"192", SL_TEXT_UTF8, SET_ASCII, SET_NONE},
	{"203", SL_TEXT_2022, SET_ASCII, SET_LATIN9},
	{"GB18030", SL_TEXT_GB, SET_ASCII, SET_NONE},
	{"GBK", SL_TEXT_GB, SET_ASCII, SET_NONE},
	/* names that are not DICOM's, as some senders put them */
	{"14", SL_TEXT_2022, SET_ROMAJI, SET_KATAKANA},
	{"10646", SL_TEXT_UTF8, SET_ASCII, SET_NONE},
	{"88591", SL_TEXT_2022, SET_ASCII, SET_LATIN1},
	{"88592", SL_TEXT_2022, SET_ASCII, SET_LATIN2},
	{"88593", SL_TEXT_2022, SET_ASCII, SET_LATIN3},
	{"88594", SL_TEXT_2022, SET_ASCII, SET_LATIN4},
	{"88595", SL_TEXT_2022, SET_ASCII, SET_CYRILLIC},
	{"88596", SL_TEXT_2022, SET_ASCII, SET_ARABIC},
	{"88597", SL_TEXT_2022, SET_ASCII, SET_GREEK},
	{"88598", SL_TEXT_2022, SET_ASCII, SET_HEBREW},
	{"88599", SL_TEXT_2022, SET_ASCII, SET_LATIN5},
	{"885911", SL_TEXT_2022, SET_ASCII, SET_THAI},
	{"885915", SL_TEXT_2022, SET_ASCII, SET_LATIN9},
	{"ASCII", SL_TEXT_SILENT, SET_ASCII, SET_NONE},
	{"EUCKR", SL_TEXT_2022, SET_ASCII, SET_KSX1001},
	{"GB2312", SL_TEXT_2022, SET_ASCII, SET_GB2312},
	{"KSX1001", SL_TEXT_2022, SET_ASCII, SET_KSX1001},
	{"LATIN1", SL_TEXT_2022, SET_ASCII, SET_LATIN1},
	{"LATIN2", SL_TEXT_2022, SET_ASCII, SET_LATIN2},
	{"TIS620", SL_TEXT_2022, SET_ASCII, SET_THAI},
	{"USASCII", SL_TEXT_SILENT, SET_ASCII, SET_NONE},
	{"UTF8", SL_TEXT_UTF8, SET_ASCII, SET_NONE},
};

/* Takes the value before the next backslash: its letters, in upper case, and digits. A term that does
 * not fit is none. */
static void take_name(struct sl_cur *in, char name[32])
{
	size_t n = 0;
	while (sl_cur_left(in) > 0) {
		uint8_t c = sl_cur_u8(in);
		if (c == '\\')
			break;
		if (c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		bool is_word = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (is_word && n < 31)
			name[n++] = (char)c;
	}
	name[n] = '\0';
}

/* The row of a name, or NULL. */
static const struct term *term_of(const char *name)
{
	static const char *const prefixes[] = {"ISO2022IR", "ISO2022", "ISOIR", "ISO", "IR"};
	for (size_t i = 0; i < SL_ARRAY_N(prefixes); i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(name, prefixes[i], n) == 0) {
			name += n;
			break;
		}
	}
	for (size_t i = 0; i < SL_ARRAY_N(terms); i++)
		if (strcmp(terms[i].name, name) == 0)
			return &terms[i];
	return NULL;
}

struct sl_text_charset sl_text_charset_of(const char *value, size_t n)
{
	struct sl_text_charset cs = {SL_TEXT_SILENT, SET_ASCII, SET_NONE};
	struct sl_cur in = sl_cur_of(value, n);
	for (bool is_first = true; sl_cur_left(&in) > 0; is_first = false) {
		char name[32];
		take_name(&in, name);
		const struct term *t = term_of(name);
		if (t == NULL || t->coding == SL_TEXT_SILENT)
			continue;
		bool stands_alone = t->coding != SL_TEXT_2022;
		if (stands_alone && cs.coding == SL_TEXT_SILENT)
			return (struct sl_text_charset){t->coding, t->g0, t->g1};
		if (stands_alone)
			continue;
		cs.coding = SL_TEXT_2022;
		cs.g0 = is_first ? t->g0 : cs.g0;
		cs.g1 = cs.g1 == SET_NONE ? t->g1 : cs.g1;
	}
	return cs;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* Appends a character; 0, which the tables have for none, as U+FFFD. */
static void put(struct sl_wbuf *out, uint32_t cp)
{
	uint8_t b[4];
	size_t n = 1;
	cp = cp == 0 ? REPLACEMENT : cp;
	if (cp < 0x80) {
		b[0] = (uint8_t)cp;
	} else if (cp < 0x800) {
		n = 2;
		b[0] = (uint8_t)(0xC0 | cp >> 6);
	} else if (cp < 0x10000) {
		n = 3;
		b[0] = (uint8_t)(0xE0 | cp >> 12);
	} else {
		n = 4;
		b[0] = (uint8_t)(0xF0 | cp >> 18);
	}
	for (size_t i = n - 1; i > 0; i--, cp >>= 6)
		b[i] = (uint8_t)(0x80 | (cp & 0x3F));
	sl_wbuf_put(out, b, n);
}

/* ---- UTF-8 ------------------------------------------------------------------------------------- */

/* Length of the well-formed sequence at the cursor, or 0: no overlong form, no surrogate, nothing above
 * U+10FFFF (RFC 3629). */
static size_t utf8_len(const struct sl_cur *in)
{
	const uint8_t *s = in->p;
	uint8_t lo = 0x80, hi = 0xBF;
	size_t len;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		len = 2;
	} else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
		len = 3;
		lo = s[0] == 0xE0 ? 0xA0 : lo;
		hi = s[0] == 0xED ? 0x9F : hi;
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		len = 4;
		lo = s[0] == 0xF0 ? 0x90 : lo;
		hi = s[0] == 0xF4 ? 0x8F : hi;
	} else {
		return 0;
	}
	if (sl_cur_left(in) < len || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return len;
}

static void read_utf8(struct sl_wbuf *out, struct sl_cur *in)
{
	size_t n = utf8_len(in);
	if (n > 0 && *in->p != 0 && *in->p != ESC) {
		sl_wbuf_put(out, in->p, n);
		sl_cur_skip(in, n);
	} else {
		put(out, REPLACEMENT);
		sl_cur_skip(in, 1);
	}
}

/* ---- GB 18030 and GBK -------------------------------------------------------------------------- */

/* Characters of four bytes are numbered through: below 39420 they are the rest of the BMP in order,
 * from 189000 on the planes above it. */
static uint32_t gb_quad(const uint8_t *s)
{
	uint32_t place = (((s[0] - 0x81u) * 10 + (s[1] - 0x30u)) * 126 + (s[2] - 0x81u)) * 10 +
			 (s[3] - 0x30u);
	if (place >= 189000)
		return place - 189000 < 0x100000 ? place - 189000 + 0x10000 : 0;
	size_t lo = 0, hi = SL_ARRAY_N(gb_runs);
	while (hi - lo > 1) { /* gb_runs[lo].first <= place */
		size_t mid = lo + (hi - lo) / 2;
		if (gb_runs[mid].first <= place)
			lo = mid;
		else
			hi = mid;
	}
	return gb_runs[lo].to == 0 ? 0 : gb_runs[lo].to + (place - gb_runs[lo].first);
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* The character at the cursor and its length in bytes; 0 for none. */
static uint32_t gb_char(const struct sl_cur *in, size_t *n)
{
	const uint8_t *s = in->p;
	size_t left = sl_cur_left(in);
	*n = 1;
	if (s[0] < 0x80)
		return s[0] == ESC ? 0 : s[0];
	if (s[0] == 0x80 || s[0] == 0xFF || left < 2)
		return 0;
	if (s[1] >= 0x40 && s[1] != 0x7F && s[1] != 0xFF) {
		uint32_t cp = gb_pairs[s[0] - 0x81][s[1] - 0x40 - (s[1] > 0x7F)];
		*n = 2;
		return cp >= WIDE_FIRST && cp <= WIDE_LAST ? gb_wide[cp - WIDE_FIRST] : cp;
	}
	bool is_quad =
		left >= 4 && is_digit(s[1]) && s[2] >= 0x81 && s[2] <= 0xFE && is_digit(s[3]);
	*n = is_quad ? 4 : 1;
	return is_quad ? gb_quad(s) : 0;
}

static void read_gb(struct sl_wbuf *out, struct sl_cur *in)
{
	size_t n;
	put(out, gb_char(in, &n));
	sl_cur_skip(in, n);
}

/* ---- ISO 2022 ---------------------------------------------------------------------------------- */

struct shift {
	uint8_t g0, g1;
};

/* What comes after ESC. */
static const struct escape {
	char bytes[4];
	uint8_t is_g1, set;
} escapes[] = {
	/* PS3.3 tables C.12-3 and C.12-4 */
	{"(B", 0, SET_ASCII},
	{"-A", 1, SET_LATIN1},
	{"-B", 1, SET_LATIN2},
	{"-C", 1, SET_LATIN3},
	{"-D", 1, SET_LATIN4},
	{"-L", 1, SET_CYRILLIC},
	{"-G", 1, SET_ARABIC},
	{"-F", 1, SET_GREEK},
	{"-H", 1, SET_HEBREW},
	{"-M", 1, SET_LATIN5},
	{"-b", 1, SET_LATIN9},
	{"-T", 1, SET_THAI},
	{")I", 1, SET_KATAKANA},
	{"(J", 0, SET_ROMAJI},
	{"$B", 0, SET_JISX0208},
	{"$(D", 0, SET_JISX0212},
	{"$)C", 1, SET_KSX1001},
	{"$)A", 1, SET_GB2312},
	/* not DICOM's, from converters of ISO-2022-JP, -KR and -CN; a set means the same in both halves */
	{"(I", 0, SET_KATAKANA},
	{"$@", 0, SET_JISX0208},
	{"$(B", 0, SET_JISX0208},
	{"$)B", 1, SET_JISX0208},
	{"$)D", 1, SET_JISX0212},
	{"$(C", 0, SET_KSX1001},
	{"$A", 0, SET_GB2312},
	{"$(A", 0, SET_GB2312},
};

/* Takes the escape at the cursor; false when it is none that is known. */
static bool take_escape(struct shift *now, struct sl_cur *in)
{
	for (size_t i = 0; i < SL_ARRAY_N(escapes); i++) {
		size_t n = strlen(escapes[i].bytes);
		if (sl_cur_left(in) <= n || memcmp(in->p + 1, escapes[i].bytes, n) != 0)
			continue;
		*(escapes[i].is_g1 ? &now->g1 : &now->g0) = escapes[i].set;
		sl_cur_skip(in, 1 + n);
		return true;
	}
	return false;
}

/* The character at the cursor, which is no control, and its length in bytes; 0 for none. */
static uint32_t set_char(enum set set, const struct sl_cur *in, size_t *n)
{
	uint8_t c = *in->p;
	*n = 1;
	if (set == SET_ASCII || set == SET_ROMAJI)
		return c >= 0x80 ? 0 : c == '~' && set == SET_ROMAJI ? 0x203E : c;
	if (set < SET_JISX0208)
		return set == SET_NONE ? 0 : high[set][(c | 0x80) - 0xA0];
	if (sl_cur_left(in) < 2)
		return 0;
	uint8_t half = c & 0x80, a = c & 0x7F, b = in->p[1] & 0x7F;
	if ((in->p[1] & 0x80) != half || a < 0x21 || a > 0x7E || b < 0x21 || b > 0x7E)
		return 0;
	*n = 2;
	return pairs[set - SET_JISX0208][a - 0x21][b - 0x21];
}

static bool is_delimiter(uint8_t c, enum sl_text_kind kind)
{
	if (c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == '\\')
		return true;
	return kind == SL_TEXT_PN && (c == '^' || c == '=');
}

static void read_2022(struct sl_wbuf *out, struct sl_cur *in, struct shift *now,
	enum sl_text_kind kind, const struct sl_text_charset *charset)
{
	uint8_t c = *in->p;
	size_t n = 1;
	uint32_t cp = 0;
	if (c == ESC && take_escape(now, in))
		return;
	if (c <= ' ' || c == 0x7F)
		cp = c == ESC ? 0 : c;
	else if (c < 0x80)
		cp = set_char(now->g0, in, &n);
	else if (c >= 0xA0)
		cp = set_char(now->g1, in, &n);
	/* A sender that did not go back to single bytes before a delimiter meant the delimiter. */
	if (cp == 0 && is_delimiter(c, kind)) {
		cp = c;
		n = 1;
	}
	put(out, cp);
	sl_cur_skip(in, n);
	if (cp == c && is_delimiter(c, kind))
		*now = (struct shift){charset->g0, charset->g1};
}

/* ------------------------------------------------------------------------------------------------ */

void sl_text_to_utf8(struct sl_wbuf *out, const char *bytes, size_t n, enum sl_text_kind kind,
	const struct sl_text_charset *charset)
{
	struct sl_cur in = sl_cur_of(bytes, n);
	struct shift now = {charset->g0, charset->g1};
	if (sl_text_is_plain(bytes, n) && n <= out->cap - out->len) {
		sl_wbuf_put(out, bytes, n);
		return;
	}
	while (sl_cur_left(&in) > 0 && !out->bad) {
		switch (charset->coding) {
		case SL_TEXT_SILENT:
		case SL_TEXT_2022:
			read_2022(out, &in, &now, kind, charset);
			break;
		case SL_TEXT_UTF8:
			read_utf8(out, &in);
			break;
		case SL_TEXT_GB:
			read_gb(out, &in);
			break;
		}
	}
}

bool sl_text_is_plain(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] < 0x20 || bytes[i] >= 0x7E || bytes[i] == '\\')
			return false;
	return true;
}
