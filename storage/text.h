/* Text of a data set as UTF-8, and folded for searching.
 *
 * The file keeps the bytes as they came; the index keeps them too, with their Specific Character Set,
 * and gives them out through here. Every character set of PS3.3 C.12.1.1.2 is read, with the code
 * extensions of ISO 2022, and the ways in which senders misspell them. Bytes that are no character
 * become U+FFFD: never a failure, never a byte that is not UTF-8.
 *
 * All of it is pure: tables made at build time (tools/text_gen.c), no converter to open, no memory.
 * Any thread. PS3.3 C.12.1.1.2, PS3.5 6.1 and 6.2.1. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/record.h"
#include "core/wbuf.h"

#define SL_TEXT_GROWTH  3  /* bytes of UTF-8 for each byte as sent, at most */
#define SL_TEXT_KEY_MAX 96 /* bytes of a folded key (DESIGN 5) */

enum sl_text_coding {
	/* ASCII: absent, unknown or ISO_IR 6 alone. Read as SL_TEXT_2022, but nothing says what a byte
	 * outside ASCII means; the caller may know better (sl_text_charset_of() of what is configured
	 * for the sender). */
	SL_TEXT_SILENT,
	SL_TEXT_2022, /* ISO 2022, also without code extensions */
	SL_TEXT_UTF8,
	SL_TEXT_GB, /* GB 18030 and, within it, GBK */
};

/* What a value of (0008,0005) says. A plain value. */
struct sl_text_charset {
	enum sl_text_coding coding;
	uint8_t g0, g1; /* of ISO 2022: what 21 to 7E and A0 to FF mean before any escape */
};

/* Person names have delimiters of their own, at which designations end (PS3.5 6.1.2.5.3). */
enum sl_text_kind { SL_TEXT_OTHER, SL_TEXT_PN };

static inline enum sl_text_kind sl_text_kind_of(enum sl_attr a)
{
	return a == SL_ATTR_PATIENT_NAME || a == SL_ATTR_REFERRING_PHYSICIAN ? SL_TEXT_PN
									     : SL_TEXT_OTHER;
}

/* Reads n bytes of Specific Character Set, n 0 where it is absent. Any bytes: blanks, case and
 * punctuation of a term do not matter ("ISO IR 192", "iso-ir_100", "UTF8"), unknown terms are passed
 * over. The escapes of all sets are understood whether declared or not, since they mean nothing else;
 * so what counts is the first value and, for bytes above A0, the first one that says something of
 * those. UTF-8, GB18030 and GBK stand alone: first, or after values that say nothing. */
struct sl_text_charset sl_text_charset_of(const char *value, size_t n);

/* Appends n bytes of a value (which may be several, by backslash) as UTF-8.
 *
 * out   at most SL_TEXT_GROWTH * n bytes more; `bad` when it was cut before a character for which it
 *       had no room
 *
 * Neither NUL nor ESC comes out. 5C is a backslash in every set, also where ISO_IR 13 shows a Yen: it
 * parts values. One U+FFFD stands for a character that its set does not have, or for the first byte of
 * what cannot be one. */
void sl_text_to_utf8(struct sl_wbuf *out, const char *bytes, size_t n, enum sl_text_kind kind,
	const struct sl_text_charset *charset);

/* True when the value reads the same in every character set DICOM knows: printable ASCII without the
 * two places that are something else in ISO_IR 13, and without the escapes of ISO 2022. */
bool sl_text_is_plain(const char *bytes, size_t n);

/* ---- text_fold.c ------------------------------------------------------------------------------- */

/* Appends what UTF-8 text is searched by: lower case; no accents, points or vowel signs (Latin, Greek,
 * Cyrillic, Hebrew, Arabic); compatible forms as one, so half and full width, ligatures, typographic
 * quotes and dashes; sharp s as "ss", letters with a stroke and ligatures as their base. Kana, hangul,
 * han and the vowels of Indic and Thai scripts stay. Controls are spaces; runs of spaces are one, none
 * at the ends.
 *
 * utf8  any bytes: what is not UTF-8 is U+FFFD. Of more than about 1000 characters the first
 * out   cut on a character border (`bad`): SL_TEXT_KEY_MAX bytes make a key
 *
 * Folding what was folded, cut or not, changes nothing. */
void sl_text_fold(struct sl_wbuf *out, const char *utf8, size_t n);

/* The groups of a person name, by "=" (PS3.5 6.2.1.1). */
enum sl_text_pn_group { SL_TEXT_ALPHABETIC, SL_TEXT_IDEOGRAPHIC, SL_TEXT_PHONETIC };

/* The same for one group of a person name: no spaces around a component, no "^" at the end. Appends
 * nothing where the name has no such group. */
void sl_text_fold_pn(struct sl_wbuf *out, const char *utf8, size_t n, enum sl_text_pn_group group);
