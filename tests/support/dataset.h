/* A data set as a test writes it: element by element, right or wrong, in any encoding; and the walk over
 * it whole, byte by byte, cut at every position and passing over what need not be seen, which must all
 * give the same.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/elem.h"
#include "support/t.h"

#define UNDEFINED UINT32_MAX
#define CLASS     "1.2.840.10008.5.1.4.1.1.2"
#define CUTS      3000 /* cuts tried in a long data set; a short one is cut everywhere */

struct dataset {
	enum sl_elem_encoding encoding; /* of what is written next */
	size_t n;
	uint8_t b[1 << 21];
};

struct walk {
	enum sl_status st;
	struct sl_elem e;
	struct sl_record r;
};

static inline void ds_raw(struct dataset *d, const void *bytes, size_t n)
{
	assert_true(n <= sizeof(d->b) - d->n);
	memcpy(d->b + d->n, bytes, n);
	d->n += n;
}

static inline void ds_fill(struct dataset *d, int byte, size_t n)
{
	assert_true(n <= sizeof(d->b) - d->n);
	memset(d->b + d->n, byte, n);
	d->n += n;
}

static inline void ds_u16(struct dataset *d, uint32_t v)
{
	bool is_big = (d->encoding & SL_ELEM_IMPLICIT_BE) != 0;
	const uint8_t b[2] = {(uint8_t)(is_big ? v >> 8 : v), (uint8_t)(is_big ? v : v >> 8)};
	ds_raw(d, b, 2);
}

static inline void ds_u32(struct dataset *d, uint32_t v)
{
	bool is_big = (d->encoding & SL_ELEM_IMPLICIT_BE) != 0;
	ds_u16(d, is_big ? v >> 16 : v & 0xFFFF);
	ds_u16(d, is_big ? v & 0xFFFF : v >> 16);
}

/* A header of the current encoding; vr of two letters. */
static inline void ds_head(struct dataset *d, uint32_t tag, const char *vr, uint32_t len)
{
	static const char is_long[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ZZ";
	ds_u16(d, tag >> 16);
	ds_u16(d, tag & 0xFFFF);
	if (!(d->encoding & SL_ELEM_EXPLICIT_LE)) {
		ds_u32(d, len);
		return;
	}
	ds_raw(d, vr, 2);
	if (strstr(is_long, vr) == NULL) {
		ds_u16(d, len);
		return;
	}
	ds_u16(d, 0);
	ds_u32(d, len);
}

static inline void ds_el(struct dataset *d, uint32_t tag, const char *vr, const char *value)
{
	ds_head(d, tag, vr, (uint32_t)strlen(value));
	ds_raw(d, value, strlen(value));
}

static inline void ds_delim(struct dataset *d, uint32_t tag, uint32_t len)
{
	ds_u16(d, tag >> 16);
	ds_u16(d, tag & 0xFFFF);
	ds_u32(d, len);
}

static inline void ds_item(struct dataset *d, uint32_t len)
{
	ds_delim(d, 0xFFFEE000, len);
}

static inline void ds_item_end(struct dataset *d)
{
	ds_delim(d, 0xFFFEE00D, 0);
}

static inline void ds_seq_end(struct dataset *d)
{
	ds_delim(d, 0xFFFEE0DD, 0);
}

/* An empty data set in that encoding, with what identifies an object up to the class. */
static inline struct dataset *ds_begin(enum sl_elem_encoding encoding)
{
	static struct dataset d;
	d.encoding = encoding;
	d.n = 0;
	ds_el(&d, 0x00080016, "UI", CLASS);
	ds_el(&d, 0x00080018, "UI", "1.2.3.4");
	return &d;
}

/* What follows whatever was tested: to see that the walk is back in step. */
static inline void ds_tail(struct dataset *d)
{
	ds_el(d, 0x0020000D, "UI", "1.2.3");
	ds_el(d, 0x0020000E, "UI", "1.2.3.9");
	ds_el(d, 0x00200013, "IS", "17");
}

static inline void walk_begin(
	struct walk *w, enum sl_elem_encoding encoding, const struct sl_elem_limits *limits)
{
	memset(w, 0, sizeof(*w));
	sl_record_init(&w->r);
	sl_elem_init(&w->e, limits, encoding, &w->r);
}

/* From the end of a buffer, so that the sanitizer sees a read past the slice. */
static inline void walk_feed(struct walk *w, const uint8_t *b, size_t n)
{
	static uint8_t *buffer;
	static size_t cap;
	if (n > cap) {
		free(buffer);
		buffer = malloc(n);
		cap = n;
	}
	if (n > 0)
		memcpy(buffer + cap - n, b, n);
	enum sl_status st = sl_elem_feed(&w->e, n > 0 ? buffer + cap - n : NULL, n);
	assert_true(st == SL_OK || st == SL_E_LIMIT);
}

static inline void walk_same(const struct walk *a, const struct walk *b)
{
	assert_int_equal(a->st, b->st);
	assert_string_equal(sl_elem_flaw_name(a->e.flaw), sl_elem_flaw_name(b->e.flaw));
	assert_int_equal(a->e.flaw_at, b->e.flaw_at);
	assert_int_equal(a->e.pos, b->e.pos);
	assert_int_equal(a->e.elements, b->e.elements);
	assert_int_equal(a->e.has_pixels, b->e.has_pixels);
	assert_int_equal(a->e.pixels_at, b->e.pixels_at);
	assert_int_equal(a->e.pixels_len, b->e.pixels_len);
	assert_memory_equal(a->e.uid, b->e.uid, sizeof(a->e.uid));
	assert_memory_equal(a->e.uid_found, b->e.uid_found, sizeof(a->e.uid_found));
	assert_int_equal(a->r.text_len, b->r.text_len);
	assert_memory_equal(a->r.len, b->r.len, sizeof(a->r.len));
	assert_memory_equal(a->r.text, b->r.text, a->r.text_len);
}

/* As whoever reads a file again: in pieces, passing over what need not be seen. */
static inline void walk_passing(struct walk *w, const uint8_t *b, size_t n, size_t piece)
{
	for (size_t at = 0; at < n;) {
		size_t step = (size_t)sl_elem_pass(&w->e, n - at);
		if (step == 0) {
			step = sl_min(piece, n - at);
			walk_feed(w, b + at, step);
		}
		at += step;
	}
	w->st = sl_elem_end(&w->e);
}

/* Walks n bytes whole, byte by byte and cut in two at every position; returns the first. */
static inline struct walk *walk_bytes(const uint8_t *b, size_t n, enum sl_elem_encoding encoding,
	const struct sl_elem_limits *limits)
{
	static struct walk whole, w;
	walk_begin(&whole, encoding, limits);
	walk_feed(&whole, b, n);
	whole.st = sl_elem_end(&whole.e);
	assert_int_equal(whole.e.pos, n);

	walk_begin(&w, encoding, limits);
	for (size_t i = 0; i < n; i++)
		walk_feed(&w, b + i, 1);
	w.st = sl_elem_end(&w.e);
	walk_same(&whole, &w);

	for (size_t piece = 1; piece <= 64; piece *= 4) {
		walk_begin(&w, encoding, limits);
		walk_passing(&w, b, n, piece);
		walk_same(&whole, &w);
	}

	size_t step = n / CUTS + 1;
	for (size_t cut = 0; cut <= n; cut += step) {
		walk_begin(&w, encoding, limits);
		walk_feed(&w, b, cut);
		walk_feed(&w, b + cut, n - cut);
		w.st = sl_elem_end(&w.e);
		walk_same(&whole, &w);
	}
	return &whole;
}

static inline struct walk *ds_walk(const struct dataset *d, enum sl_elem_encoding encoding)
{
	return walk_bytes(d->b, d->n, encoding, &SL_ELEM_LIMITS_DEFAULT);
}

static inline void assert_flaw(const struct walk *w, enum sl_elem_flaw flaw)
{
	assert_string_equal(sl_elem_flaw_name(w->e.flaw), sl_elem_flaw_name(flaw));
	assert_int_equal(w->st, flaw == SL_ELEM_FLAW_NONE ? SL_OK : SL_E_DATASET);
}

static inline void assert_limit(const struct walk *w, enum sl_elem_flaw flaw)
{
	assert_string_equal(sl_elem_flaw_name(w->e.flaw), sl_elem_flaw_name(flaw));
	assert_int_equal(w->st, SL_E_LIMIT);
}

static inline void assert_attr(const struct walk *w, enum sl_attr a, const char *value)
{
	size_t n;
	const char *v = sl_record_get(&w->r, a, &n);
	assert_int_equal(n, strlen(value));
	assert_memory_equal(v, value, n);
}

/* Everything ds_begin() and ds_tail() wrote was found. */
static inline void assert_in_step(const struct walk *w)
{
	assert_true(sl_elem_has_identity(&w->e));
	assert_string_equal(w->e.uid[SL_ELEM_UID_CLASS].s, CLASS);
	assert_string_equal(w->e.uid[SL_ELEM_UID_INSTANCE].s, "1.2.3.4");
	assert_string_equal(w->e.uid[SL_ELEM_UID_STUDY].s, "1.2.3");
	assert_string_equal(w->e.uid[SL_ELEM_UID_SERIES].s, "1.2.3.9");
	assert_attr(w, SL_ATTR_INSTANCE_NUMBER, "17");
}
