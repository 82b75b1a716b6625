/* Folding for searching, with utf8proc: decomposed, stripped, put together again.
 *
 * A value becomes an array of code points on the stack: compatible forms decomposed and lower case, as
 * utf8proc does it character by character; marks that are accents dropped, the others in canonical
 * order; then spaces and name components tidied, then composed again, so that hangul and voiced kana
 * are whole. Nothing allocates. Most text is ASCII, and needs none of that but lower case.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/text.h"

#include <utf8proc.h>

enum {
	CHARS_MAX = 1024, /* of one value, decomposed */
	ONE_MAX = 32,     /* of one character: U+FDFA has 18 */
	REPLACEMENT = 0xFFFD,
};

struct folded {
	size_t n;
	bool is_ascii; /* so far: composing changes nothing */
	int32_t at[CHARS_MAX];
};

/* Marks without which a name is still found: diacritics, Hebrew points, Arabic vowel signs. Kana's
 * sound marks and the vowels of Indic and Thai scripts are marks too, but make other letters. */
static bool is_accent(int32_t cp)
{
	static const struct {
		int32_t first, last;
	} blocks[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x05BF, 0x05BF},
		{0x05C1, 0x05C2}, {0x05C4, 0x05C5}, {0x05C7, 0x05C7}, {0x0610, 0x061A},
		{0x064B, 0x065F}, {0x0670, 0x0670}, {0x06D6, 0x06DC}, {0x06DF, 0x06E4},
		{0x06E7, 0x06E8}, {0x06EA, 0x06ED}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
		{0x20D0, 0x20F0}, {0xFE20, 0xFE2F}};
	for (size_t i = 0; i < SL_ARRAY_N(blocks) && cp >= blocks[i].first; i++)
		if (cp <= blocks[i].last)
			return true;
	return false;
}

/* Letters that Unicode does not decompose, and what people type for them. */
static const char *base_of(int32_t cp)
{
	switch (cp) {
	case 0x00E6: /* ae */
		return "ae";
	case 0x00F0: /* eth */
	case 0x0111: /* d with stroke */
		return "d";
	case 0x00F8: /* o with stroke */
		return "o";
	case 0x00FE: /* thorn */
		return "th";
	case 0x0127: /* h with stroke */
		return "h";
	case 0x0131: /* dotless i */
		return "i";
	case 0x0142: /* l with stroke */
		return "l";
	case 0x0153: /* oe */
		return "oe";
	case 0x0167: /* t with stroke */
		return "t";
	}
	return NULL;
}

/* Appends one decomposed code point, or what stands for it; a mark goes before those it comes before
 * in canonical order. False when the array is full. */
static bool add(struct folded *f, int32_t cp)
{
	const char *base = base_of(cp);
	const utf8proc_property_t *property = utf8proc_get_property(cp);
	if (is_accent(cp))
		return true;
	if (base == NULL) {
		size_t i = f->n;
		if (i == CHARS_MAX)
			return false;
		while (property->combining_class > 0 && i > 0 &&
			utf8proc_get_property(f->at[i - 1])->combining_class >
				property->combining_class) {
			f->at[i] = f->at[i - 1];
			i--;
		}
		f->at[i] = property->category == UTF8PROC_CATEGORY_CC ? ' ' : cp;
		f->n++;
		return true;
	}
	for (; *base != '\0'; base++) {
		if (f->n == CHARS_MAX)
			return false;
		f->at[f->n++] = *base;
	}
	return true;
}

/* What decomposing, lumping and case folding come to for one ASCII character. */
static int32_t fold_ascii(uint8_t c)
{
	if (c < 0x20 || c == 0x7F)
		return ' ';
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static void decompose(struct folded *f, const char *utf8, size_t n)
{
	static const utf8proc_option_t options = UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE |
						 UTF8PROC_CASEFOLD | UTF8PROC_IGNORE |
						 UTF8PROC_LUMP;
	const uint8_t *s = (const uint8_t *)utf8;
	f->n = 0;
	f->is_ascii = true;
	for (size_t i = 0; i < n;) {
		int32_t cp, many[ONE_MAX];
		if (s[i] < 0x80) {
			if (f->n == CHARS_MAX)
				return;
			f->at[f->n++] = fold_ascii(s[i++]);
			continue;
		}
		f->is_ascii = false;
		int last_boundclass = 0;
		utf8proc_ssize_t took =
			utf8proc_iterate(s + i, (utf8proc_ssize_t)sl_min(n - i, 4), &cp);
		if (took <= 0) {
			took = 1;
			cp = REPLACEMENT;
		}
		utf8proc_ssize_t made =
			utf8proc_decompose_char(cp, many, ONE_MAX, options, &last_boundclass);
		sl_assert(made >= 0 && made <= ONE_MAX);
		for (utf8proc_ssize_t j = 0; j < made; j++)
			if (!add(f, many[j]))
				return;
		i += (size_t)took;
	}
}

/* Leaves the group: what is between its "=" and the next. */
static void keep_group(struct folded *f, enum sl_text_pn_group group)
{
	size_t from = 0, to;
	for (unsigned skip = group; skip > 0 && from < f->n; from++)
		skip -= f->at[from] == '=';
	for (to = from; to < f->n && f->at[to] != '='; to++)
		;
	for (size_t i = from; i < to; i++)
		f->at[i - from] = f->at[i];
	f->n = to - from;
}

/* One space for several, none at the ends; with `caret` none beside a "^" either. */
static void tidy(struct folded *f, bool caret)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->n; i++) {
		int32_t cp = f->at[i];
		bool after_gap =
			kept == 0 || f->at[kept - 1] == ' ' || (caret && f->at[kept - 1] == '^');
		if (cp == ' ' && after_gap)
			continue;
		if (caret && cp == '^' && kept > 0 && f->at[kept - 1] == ' ')
			kept--;
		f->at[kept++] = cp;
	}
	f->n = kept;
}

/* Composes and appends; what a cut or a missing component left at the end goes. */
static void write_out(struct sl_wbuf *out, struct folded *f, bool caret)
{
	size_t start = out->len;
	utf8proc_ssize_t n = (utf8proc_ssize_t)f->n;
	if (!f->is_ascii)
		n = utf8proc_normalize_utf32(f->at, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
	sl_assert(n >= 0 && (size_t)n <= f->n);
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		uint8_t bytes[4];
		utf8proc_ssize_t len = utf8proc_encode_char(f->at[i], bytes);
		sl_assert(len > 0);
		sl_wbuf_put(out, bytes, (size_t)len);
	}
	while (out->len > start &&
		(out->base[out->len - 1] == ' ' || (caret && out->base[out->len - 1] == '^')))
		out->len--;
}

void sl_text_fold(struct sl_wbuf *out, const char *utf8, size_t n)
{
	struct folded f;
	decompose(&f, utf8, n);
	tidy(&f, false);
	write_out(out, &f, false);
}

void sl_text_fold_pn(struct sl_wbuf *out, const char *utf8, size_t n, enum sl_text_pn_group group)
{
	struct folded f;
	decompose(&f, utf8, n);
	keep_group(&f, group);
	tidy(&f, true);
	write_out(out, &f, true);
}
