/* text_dump: converts and folds what stands on standard input, one value a line:
 *
 *   in   Specific Character Set, "pn" or "other", the value's bytes
 *   out  its UTF-8; folded; folded as a person name: alphabetic, ideographic, phonetic group
 *
 * tab-separated, all but the kind in hex. Keys are cut at SL_TEXT_KEY_MAX bytes, as in the index.
 *
 * A test tool: tests/storage/test_text_sets.py compares it with other converters.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/text.h"

enum { VALUE_MAX = 1 << 20 };

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

/* The bytes of a field of hex digits, in place. */
static size_t take_hex(char **line)
{
	char *field = strsep(line, "\t");
	size_t n = 0;
	for (; field != NULL && digit(field[2 * n]) >= 0; n++)
		field[n] = (char)(digit(field[2 * n]) << 4 | digit(field[2 * n + 1]));
	return n;
}

static void print_hex(const struct sl_wbuf *w, char end)
{
	for (size_t i = 0; i < w->len; i++)
		printf("%02x", w->base[i]);
	putchar(end);
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;
	uint8_t *text = malloc(SL_TEXT_GROWTH * VALUE_MAX);
	while (text != NULL && getline(&line, &room, stdin) > 0) {
		char key[SL_TEXT_KEY_MAX], *rest = line;
		const char *charset = rest;
		size_t charset_n = take_hex(&rest);
		const char *kind = strsep(&rest, "\t");
		const char *bytes = rest;
		size_t n = take_hex(&rest);
		if (kind == NULL || n > VALUE_MAX)
			return 2;
		struct sl_text_charset cs = sl_text_charset_of(charset, charset_n);
		struct sl_wbuf utf8 = sl_wbuf_of(text, SL_TEXT_GROWTH * VALUE_MAX);
		sl_text_to_utf8(
			&utf8, bytes, n, strcmp(kind, "pn") == 0 ? SL_TEXT_PN : SL_TEXT_OTHER, &cs);
		print_hex(&utf8, '\t');
		struct sl_wbuf w = sl_wbuf_of(key, sizeof(key));
		sl_text_fold(&w, (const char *)text, utf8.len);
		print_hex(&w, '\t');
		for (enum sl_text_pn_group g = SL_TEXT_ALPHABETIC; g <= SL_TEXT_PHONETIC; g++) {
			w = sl_wbuf_of(key, sizeof(key));
			sl_text_fold_pn(&w, (const char *)text, utf8.len, g);
			print_hex(&w, g < SL_TEXT_PHONETIC ? '\t' : '\n');
		}
	}
	free(line);
	free(text);
	return 0;
}
