/* The record of an instance: a small arena of attribute values and their places.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record.h"

#include <string.h>

const struct sl_attr_row sl_attrs[SL_ATTR_N] = {
#define SL_ATTR(name, tag, level, cap, keyword) {tag, SL_LEVEL_##level, cap, keyword},
#include "core/attrs.def"
#undef SL_ATTR
};

enum {
	CAPS_SUM = 0
#define SL_ATTR(name, tag, level, cap, keyword) +cap
#include "core/attrs.def"
#undef SL_ATTR
};
_Static_assert(CAPS_SUM <= SL_RECORD_TEXT_MAX, "every value at its cap must fit the record");

void sl_record_init(struct sl_record *r)
{
	/* Not text[]: its bytes mean nothing beyond text_len. */
	memset(r, 0, offsetof(struct sl_record, text));
}

void sl_record_set(struct sl_record *r, enum sl_attr a, const void *bytes, size_t n)
{
	const char *s = bytes;
	sl_assert(a < SL_ATTR_N);
	if (r->len[a] != 0)
		return;
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\0'))
		n--;
	while (n > 0 && s[0] == ' ') {
		s++;
		n--;
	}
	n = sl_min(n, sl_attrs[a].cap);
	if (n == 0 || n > sizeof(r->text) - r->text_len)
		return;
	memcpy(r->text + r->text_len, s, n);
	r->at[a] = r->text_len;
	r->len[a] = (uint16_t)n;
	r->text_len = (uint16_t)(r->text_len + n);
}

const char *sl_record_get(const struct sl_record *r, enum sl_attr a, size_t *n)
{
	sl_assert(a < SL_ATTR_N);
	*n = r->len[a];
	return r->text + r->at[a];
}

enum sl_attr sl_attr_find(uint32_t tag)
{
	size_t lo = 0, hi = SL_ATTR_N;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (sl_attrs[mid].tag < tag)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < SL_ATTR_N && sl_attrs[lo].tag == tag ? (enum sl_attr)lo : SL_ATTR_N;
}
