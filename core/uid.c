/* UIDs: trimmed as devices pad them, checked as a name in the file system must be.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/uid.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What a UID may hold (DESIGN, contract of names): no slash, no backslash, no control character, so
 * that a checked UID can be a file's name. */
static bool is_allowed(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
	       c == '-';
}

enum sl_status sl_uid_parse(struct sl_uid *out, const void *bytes, size_t n)
{
	const char *s = bytes;
	memset(out, 0, sizeof(*out));
	while (n > 0 && (s[n - 1] == '\0' || s[n - 1] == ' '))
		n--;
	while (n > 0 && s[0] == ' ') {
		s++;
		n--;
	}
	if (n == 0)
		return SL_E_NOTFOUND;
	if (n > SL_UID_MAX || s[0] == '.')
		return SL_E_DATASET;
	for (size_t i = 0; i < n; i++)
		if (!is_allowed(s[i]))
			return SL_E_DATASET;
	memcpy(out->s, s, n);
	out->len = (uint8_t)n;
	return SL_OK;
}

bool sl_uid_is_strict(const struct sl_uid *u)
{
	bool at_start = true; /* of a component */
	for (size_t i = 0; i < u->len; i++) {
		bool at_end = i + 1 == u->len || u->s[i + 1] == '.';
		if (u->s[i] == '.' && (at_start || at_end))
			return false;
		if (u->s[i] != '.' && !is_digit(u->s[i]))
			return false;
		if (at_start && u->s[i] == '0' && !at_end)
			return false;
		at_start = u->s[i] == '.';
	}
	return u->len > 0;
}

bool sl_uid_equal(const struct sl_uid *a, const struct sl_uid *b)
{
	return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

struct sl_uid sl_uid_of(const char *literal)
{
	struct sl_uid u;
	enum sl_status st = sl_uid_parse(&u, literal, strlen(literal));
	sl_assert(st == SL_OK);
	return u;
}
