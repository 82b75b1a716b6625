/* The only way to write bytes that somebody else will read: into a bounded buffer of the caller's.
 *
 * A write past the end writes nothing and sets `bad`; check once, when the structure is complete.
 * Lengths that are known only afterwards are patched (sl_wbuf_patch_*).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "core/base.h"

struct sl_wbuf {
	uint8_t *base; /* borrowed */
	size_t cap;    /* bytes */
	size_t len;    /* bytes written */
	bool bad;      /* something did not fit; sticky */
};

static inline struct sl_wbuf sl_wbuf_of(void *base, size_t cap)
{
	return (struct sl_wbuf){base, cap, 0, false};
}

static inline void sl_wbuf_put(struct sl_wbuf *w, const void *bytes, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	if (n > 0)
		memcpy(w->base + w->len, bytes, n);
	w->len += n;
}

static inline void sl_wbuf_fill(struct sl_wbuf *w, uint8_t byte, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	memset(w->base + w->len, byte, n);
	w->len += n;
}

static inline void sl_wbuf_u8(struct sl_wbuf *w, uint8_t v)
{
	sl_wbuf_put(w, &v, 1);
}

static inline void sl_wbuf_be16(struct sl_wbuf *w, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
	sl_wbuf_put(w, b, 2);
}

static inline void sl_wbuf_le16(struct sl_wbuf *w, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
	sl_wbuf_put(w, b, 2);
}

static inline void sl_wbuf_be32(struct sl_wbuf *w, uint32_t v)
{
	const uint8_t b[4] = {
		(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	sl_wbuf_put(w, b, 4);
}

static inline void sl_wbuf_le32(struct sl_wbuf *w, uint32_t v)
{
	const uint8_t b[4] = {
		(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
	sl_wbuf_put(w, b, 4);
}

static inline void sl_wbuf_le64(struct sl_wbuf *w, uint64_t v)
{
	sl_wbuf_le32(w, (uint32_t)v);
	sl_wbuf_le32(w, (uint32_t)(v >> 32));
}

/* Overwrites bytes already written at `at`. */
static inline void sl_wbuf_patch_be16(struct sl_wbuf *w, size_t at, uint16_t v)
{
	sl_assert(w->bad || at + 2 <= w->len);
	if (w->bad)
		return;
	w->base[at] = (uint8_t)(v >> 8);
	w->base[at + 1] = (uint8_t)v;
}

static inline void sl_wbuf_patch_be32(struct sl_wbuf *w, size_t at, uint32_t v)
{
	sl_wbuf_patch_be16(w, at, (uint16_t)(v >> 16));
	sl_wbuf_patch_be16(w, at + 2, (uint16_t)v);
}

static inline void sl_wbuf_patch_le32(struct sl_wbuf *w, size_t at, uint32_t v)
{
	sl_assert(w->bad || at + 4 <= w->len);
	if (w->bad)
		return;
	for (size_t i = 0; i < 4; i++)
		w->base[at + i] = (uint8_t)(v >> (8 * i));
}
