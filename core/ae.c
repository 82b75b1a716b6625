/* AE titles: trimmed, checked, padded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/ae.h"

#include <string.h>

static bool is_padding(char c)
{
	return c == ' ' || c == '\0';
}

enum sl_status sl_ae_parse(struct sl_ae *out, const void *bytes, size_t n)
{
	const char *s = bytes;
	memset(out, 0, sizeof(*out));
	while (n > 0 && is_padding(s[n - 1]))
		n--;
	while (n > 0 && is_padding(s[0])) {
		s++;
		n--;
	}
	if (n == 0)
		return SL_E_NOTFOUND;
	if (n > SL_AE_MAX)
		return SL_E_UNSUPPORTED;
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7E || s[i] == '\\')
			return SL_E_UNSUPPORTED;
	memcpy(out->s, s, n);
	out->len = (uint8_t)n;
	return SL_OK;
}

bool sl_ae_equal(const struct sl_ae *a, const struct sl_ae *b)
{
	return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

void sl_ae_encode(const struct sl_ae *ae, uint8_t field[SL_AE_MAX])
{
	memset(field, ' ', SL_AE_MAX);
	memcpy(field, ae->s, ae->len);
}

struct sl_ae sl_ae_of(const char *literal)
{
	struct sl_ae ae;
	enum sl_status st = sl_ae_parse(&ae, literal, strlen(literal));
	sl_assert(st == SL_OK);
	return ae;
}
