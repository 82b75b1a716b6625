/* Escaping of what peers sent, for lines that people and terminals read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/esc.h"

#include <string.h>

static const char more[] = "..";

size_t sl_esc_put(char *out, size_t cap, const void *bytes, size_t n, size_t limit)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *in = bytes;
	const size_t mark = sizeof(more); /* ".." and the NUL always fit */
	size_t len = 0, i = 0;
	sl_assert(cap >= mark);
	for (; i < n && i < limit; i++) {
		uint8_t c = in[i];
		bool is_plain = c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
		if (len + (is_plain ? 1 : 4) + mark > cap)
			break;
		if (is_plain) {
			out[len++] = (char)c;
			continue;
		}
		const char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
		memcpy(out + len, escape, sizeof(escape));
		len += sizeof(escape);
	}
	memcpy(out + len, more, mark);
	if (i < n)
		return len + mark - 1;
	out[len] = '\0';
	return len;
}
