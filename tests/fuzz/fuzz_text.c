/* Text: any bytes in any character set. First byte: kind and room; then Specific Character Set up to the
 * first line feed; then the value. What comes out is UTF-8, within its bounds, and folds once for all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { VALUE_MAX = 1024, ROOM = SL_TEXT_GROWTH * VALUE_MAX };

static void check_utf8(const struct sl_wbuf *text)
{
	uint8_t again[ROOM];
	struct sl_wbuf w = sl_wbuf_of(again, sizeof(again));
	struct sl_text_charset utf8 = sl_text_charset_of("ISO_IR 192", 10);
	sl_text_to_utf8(&w, (const char *)text->base, text->len, SL_TEXT_OTHER, &utf8);
	sl_assert(w.len == text->len && memcmp(again, text->base, w.len) == 0);
}

/* Folds into `cap` bytes; group < 0: not a person name. */
static void fold(const struct sl_wbuf *text, size_t cap, int group)
{
	uint8_t once[ROOM], twice[ROOM];
	struct sl_wbuf a = sl_wbuf_of(once, cap), b = sl_wbuf_of(twice, sizeof(twice));
	if (group < 0)
		sl_text_fold(&a, (const char *)text->base, text->len);
	else
		sl_text_fold_pn(
			&a, (const char *)text->base, text->len, (enum sl_text_pn_group)group);
	check_utf8(&a);
	if (group < 0)
		sl_text_fold(&b, (const char *)once, a.len);
	else
		sl_text_fold_pn(&b, (const char *)once, a.len, SL_TEXT_ALPHABETIC);
	sl_assert(a.len == b.len && memcmp(once, twice, a.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t whole[ROOM], part[ROOM];
	if (n == 0 || n > VALUE_MAX)
		return 0;
	uint8_t choice = bytes[0];
	const uint8_t *charset = bytes + 1, *end = memchr(charset, '\n', n - 1);
	size_t charset_n = end != NULL ? (size_t)(end - charset) : 0;
	const uint8_t *value = end != NULL ? end + 1 : charset;
	size_t value_n = (size_t)(bytes + n - value);
	enum sl_text_kind kind = choice & 1 ? SL_TEXT_PN : SL_TEXT_OTHER;
	struct sl_text_charset cs = sl_text_charset_of((const char *)charset, charset_n);
	struct sl_wbuf all = sl_wbuf_of(whole, SL_TEXT_GROWTH * value_n);
	sl_text_to_utf8(&all, (const char *)value, value_n, kind, &cs);
	sl_assert(!all.bad);
	check_utf8(&all);
	/* Less room gives less of the same. */
	struct sl_wbuf some = sl_wbuf_of(part, all.len * (choice >> 4) / 16);
	sl_text_to_utf8(&some, (const char *)value, value_n, kind, &cs);
	sl_assert(some.len <= all.len && memcmp(part, whole, some.len) == 0);
	for (int group = -1; group <= SL_TEXT_PHONETIC; group++)
		fold(&all, choice & 2 ? SL_TEXT_KEY_MAX : ROOM, group);
	return 0;
}
