/* Annotated wire vectors, and the check that every decoder test runs: the same story whatever the
 * split of the stream.
 *
 *	struct wire w = wire_of("07 00 00000004"	// A-ABORT
 *				"00 00 02 06");		// provider, invalid parameter
 *	assert_story(&w, 0, "BEGIN ABORT 4\n" "END ABORT 2/6\n");
 *
 * In the text, hex digits are bytes, 'quoted' characters are themselves, spaces mean nothing, and
 * {...} is a two-byte length and what it measures: "10 00 {'1.2.840'}" is "10 00 0007 '1.2.840'".
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/pdu_trace.h"
#include "support/t.h"

struct wire {
	uint8_t *p; /* wire_free() */
	size_t n;
};

static inline void wire_free(struct wire *w)
{
	free(w->p);
	*w = (struct wire){NULL, 0};
}

/* Room for n more bytes at the end. */
static inline uint8_t *wire_grow(struct wire *w, size_t n)
{
	w->p = realloc(w->p, w->n + n + 1);
	assert_non_null(w->p);
	w->n += n;
	return w->p + w->n - n;
}

static inline void wire_add(struct wire *w, const void *bytes, size_t n)
{
	uint8_t *to = wire_grow(w, n);
	if (n > 0)
		memcpy(to, bytes, n);
}

static inline void wire_fill(struct wire *w, uint8_t byte, size_t n)
{
	memset(wire_grow(w, n), byte, n);
}

/* One digit or character, or the two that make a byte; returns the last character used. */
static inline const char *wire_token(struct wire *w, const char *s)
{
	static const char digits[] = "0123456789abcdef";
	if (*s == ' ')
		return s;
	if (*s == '\'') {
		const char *end = strchr(s + 1, '\'');
		assert_non_null(end);
		wire_add(w, s + 1, (size_t)(end - s - 1));
		return end;
	}
	const char *hi = strchr(digits, s[0]), *lo = s[1] ? strchr(digits, s[1]) : NULL;
	if (hi == NULL || lo == NULL)
		fail_msg("not hex: %s", s);
	wire_add(w, &(uint8_t){(uint8_t)((hi - digits) << 4 | (lo - digits))}, 1);
	return s + 1;
}

/* Appends annotated text. */
static inline void wire_text(struct wire *w, const char *text)
{
	size_t open[8], depth = 0;
	for (const char *s = text; *s != '\0'; s++) {
		if (*s == '{') {
			assert_true(depth < SL_ARRAY_N(open));
			open[depth++] = w->n;
			wire_add(w, "\0", 2);
		} else if (*s == '}') {
			assert_true(depth > 0);
			size_t at = open[--depth], n = w->n - at - 2;
			assert_true(n <= UINT16_MAX);
			w->p[at] = (uint8_t)(n >> 8);
			w->p[at + 1] = (uint8_t)n;
		} else {
			s = wire_token(w, s);
		}
	}
	assert_int_equal(depth, 0);
}

static inline struct wire wire_of(const char *text)
{
	struct wire w = {NULL, 0};
	wire_text(&w, text);
	return w;
}

static inline void wire_be16(struct wire *w, size_t v)
{
	assert_true(v <= UINT16_MAX);
	wire_add(w, (const uint8_t[2]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static inline void wire_be32(struct wire *w, uint32_t v)
{
	wire_be16(w, v >> 16);
	wire_be16(w, v & 0xffff);
}

/* A fixed sequence of numbers (xorshift): the same in every run. */
static inline uint32_t wire_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 16);
}

static inline void assert_same_story(const struct wire *w, uint32_t max_len, const size_t *cuts,
	size_t cuts_n, const char *expected)
{
	char *got = trace_run(w->p, w->n, max_len, cuts, cuts_n);
	if (strcmp(got, expected) != 0)
		print_error("cut in %zu at %zu, %zu ...\n", cuts_n + 1, cuts_n > 0 ? cuts[0] : 0,
			cuts_n > 1 ? cuts[1] : 0);
	assert_string_equal(got, expected);
	free(got);
}

/* The stream tells `expected` whole, byte by byte, cut in two at every place, and cut in three at
 * random ones. */
static inline void assert_story(const struct wire *w, uint32_t max_len, const char *expected)
{
	uint64_t seed = 88172645463325252u;
	size_t n = w->n;
	size_t *each = calloc(n + 1, sizeof(*each));
	assert_non_null(each);
	assert_same_story(w, max_len, NULL, 0, expected);
	for (size_t i = 0; i <= n; i++)
		each[i] = i;
	assert_same_story(w, max_len, each, n + 1, expected);
	for (size_t cut = 0; cut <= n; cut++)
		assert_same_story(w, max_len, &cut, 1, expected);
	for (size_t i = 0; i < sl_min(n, 1024) / 4 + 4; i++) {
		size_t a = wire_random(&seed) % (n + 1), b = wire_random(&seed) % (n + 1);
		assert_same_story(
			w, max_len, (const size_t[2]){sl_min(a, b), sl_max(a, b)}, 2, expected);
	}
	free(each);
}

/* Likewise, of annotated text. */
static inline void assert_text_story(const char *text, uint32_t max_len, const char *expected)
{
	struct wire w = wire_of(text);
	assert_story(&w, max_len, expected);
	wire_free(&w);
}
