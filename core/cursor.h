/* The only way to read bytes that somebody else wrote.
 *
 * A read past the end returns 0 and sets `bad`; check once, at the end of a structure. A sub-item
 * gets a cursor of its own (sl_cur_sub), so that a lying inner length cannot reach outer bytes.
 * Borrows: never frees, never outlives the bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "core/base.h"

struct sl_cur {
	const uint8_t *p;   /* next unread byte */
	const uint8_t *end; /* one past the last byte */
	bool bad;	    /* a read went past the end; sticky */
};

static inline struct sl_cur sl_cur_of(const void *p, size_t n)
{
	const uint8_t *b = p;
	return (struct sl_cur){b, n == 0 ? b : b + n, false};
}

static inline size_t sl_cur_left(const struct sl_cur *c)
{
	return (size_t)(c->end - c->p);
}

/* The next n bytes, or NULL (and bad) when fewer are left. */
static inline const uint8_t *sl_cur_take(struct sl_cur *c, size_t n)
{
	if (n > sl_cur_left(c)) {
		c->bad = true;
		c->p = c->end;
		return NULL;
	}
	const uint8_t *at = c->p;
	if (n > 0)
		c->p += n;
	return at;
}

static inline void sl_cur_skip(struct sl_cur *c, size_t n)
{
	(void)sl_cur_take(c, n);
}

/* A cursor over the next n bytes; empty and both bad when fewer are left. */
static inline struct sl_cur sl_cur_sub(struct sl_cur *c, size_t n)
{
	const uint8_t *at = sl_cur_take(c, n);
	if (at == NULL && n > 0)
		return (struct sl_cur){c->end, c->end, true};
	return sl_cur_of(at, n);
}

static inline uint8_t sl_cur_u8(struct sl_cur *c)
{
	const uint8_t *b = sl_cur_take(c, 1);
	return b ? b[0] : 0;
}

static inline uint16_t sl_cur_be16(struct sl_cur *c)
{
	const uint8_t *b = sl_cur_take(c, 2);
	return b ? (uint16_t)((uint32_t)b[0] << 8 | b[1]) : 0;
}

static inline uint16_t sl_cur_le16(struct sl_cur *c)
{
	const uint8_t *b = sl_cur_take(c, 2);
	return b ? (uint16_t)((uint32_t)b[1] << 8 | b[0]) : 0;
}

static inline uint32_t sl_cur_be32(struct sl_cur *c)
{
	const uint8_t *b = sl_cur_take(c, 4);
	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

static inline uint32_t sl_cur_le32(struct sl_cur *c)
{
	const uint8_t *b = sl_cur_take(c, 4);
	return b ? (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0] : 0;
}

static inline uint64_t sl_cur_le64(struct sl_cur *c)
{
	uint64_t lo = sl_cur_le32(c);
	uint64_t hi = sl_cur_le32(c);
	return c->bad ? 0 : hi << 32 | lo;
}
