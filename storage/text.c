/* Conversion of data set text to UTF-8.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/text.h"

#include <string.h>

enum kind { KIND_ASCII, KIND_LATIN1, KIND_UTF8 };

/* An unknown or multi-valued set is read as ASCII: what is outside shows as U+FFFD. */
static enum kind kind_of(const char *charset, size_t n)
{
	static const struct {
		const char *term;
		enum kind kind;
	} terms[] = {
		{"ISO_IR 100", KIND_LATIN1},
		{"ISO 2022 IR 100", KIND_LATIN1},
		{"ISO_IR 192", KIND_UTF8},
	};
	for (size_t i = 0; i < SL_ARRAY_N(terms); i++)
		if (strlen(terms[i].term) == n && memcmp(terms[i].term, charset, n) == 0)
			return terms[i].kind;
	return KIND_ASCII;
}

/* Length of the well-formed UTF-8 sequence at s, or 0: no overlong form, no surrogate, nothing above
 * U+10FFFF (RFC 3629). */
static size_t utf8_len(const uint8_t *s, size_t n)
{
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
	if (n < len || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return len;
}

size_t sl_text_to_utf8(
	char *out, size_t cap, const char *bytes, size_t n, const char *charset, size_t charset_n)
{
	const uint8_t *in = (const uint8_t *)bytes;
	enum kind kind = kind_of(charset, charset_n);
	size_t used = 0;
	for (size_t i = 0; i < n;) {
		size_t take = 1, give = 3;
		uint8_t one[4] = {0xEF, 0xBF, 0xBD, 0}; /* U+FFFD */
		if (in[i] != 0 && in[i] < 0x80) {
			one[0] = in[i];
			give = 1;
		} else if (kind == KIND_LATIN1 && in[i] >= 0xA0) {
			one[0] = (uint8_t)(0xC0 | in[i] >> 6);
			one[1] = (uint8_t)(0x80 | (in[i] & 0x3F));
			give = 2;
		} else if (kind == KIND_UTF8 && in[i] != 0 && utf8_len(in + i, n - i) > 0) {
			take = give = utf8_len(in + i, n - i);
			memcpy(one, in + i, give);
		}
		if (give > cap - used)
			break;
		memcpy(out + used, one, give);
		used += give;
		i += take;
	}
	return used;
}

bool sl_text_is_plain(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] < 0x20 || bytes[i] >= 0x7E || bytes[i] == '\\')
			return false;
	return true;
}
