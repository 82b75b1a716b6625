/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/charset.h"

#include <string.h>

#include "storage/text.h"

const char *sl_charsets_of(const struct sl_charsets *c, const struct sl_ae *calling)
{
	for (size_t i = 0; i < c->n; i++)
		if (sl_ae_equal(&c->rules[i].calling, calling))
			return c->rules[i].term;
	return c->other;
}

static bool is_silent(const char *value, size_t n)
{
	return sl_text_charset_of(value, n).coding == SL_TEXT_SILENT;
}

bool sl_charset_is_term(const char *term)
{
	return !is_silent(term, strlen(term));
}

static bool is_ascii(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)bytes[i] >= 0x80)
			return false;
	return true;
}

void sl_charset_assume(struct sl_record *r, const char *term)
{
	size_t n;
	const char *own = sl_record_get(r, SL_ATTR_SPECIFIC_CHARACTER_SET, &n);
	if (term[0] == '\0' || !is_silent(own, n) || is_ascii(r->text, r->text_len))
		return;
	/* The first value stays, so what says nothing has to go first. */
	r->len[SL_ATTR_SPECIFIC_CHARACTER_SET] = 0;
	sl_record_set(r, SL_ATTR_SPECIFIC_CHARACTER_SET, term, strlen(term));
}
