/* Order-preserving forms of numbers and UIDs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/lmdb_key.h"

/* First bytes of numbers: 0-240 the number itself, 241-248 two bytes, 249 three bytes, 250-255 the
 * count of big-endian bytes that follow, less 247. */
enum { ONE_MAX = 240, TWO_MAX = 2287, THREE_MAX = 67823 };

/* Half bytes of UIDs, in the order of ASCII. 0 never begins a character: it is padding and end mark.
 * A letter is the escape and two half bytes of its rank, capitals first. */
enum { NIB_END = 0, NIB_HYPHEN = 1, NIB_DOT = 2, NIB_DIGIT = 3, NIB_LETTER = 13, LETTERS = 52 };

void sl_lmdb_key_put_uint(struct sl_wbuf *w, uint64_t v)
{
	if (v <= ONE_MAX) {
		sl_wbuf_u8(w, (uint8_t)v);
	} else if (v <= TWO_MAX) {
		sl_wbuf_be16(w, (uint16_t)(v - 240 + (241 << 8)));
	} else if (v <= THREE_MAX) {
		sl_wbuf_u8(w, 249);
		sl_wbuf_be16(w, (uint16_t)(v - 2288));
	} else {
		unsigned n = 8 - (unsigned)__builtin_clzll(v) / 8;
		sl_wbuf_u8(w, (uint8_t)(247 + n));
		for (unsigned i = n; i > 0; i--)
			sl_wbuf_u8(w, (uint8_t)(v >> (8 * (i - 1))));
	}
}

uint64_t sl_lmdb_key_uint(struct sl_cur *c)
{
	uint8_t a = sl_cur_u8(c);
	if (a <= ONE_MAX)
		return a;
	if (a <= 248)
		return 240 + 256 * (uint64_t)(a - 241) + sl_cur_u8(c);
	if (a == 249)
		return 2288 + (uint64_t)sl_cur_be16(c);
	unsigned n = a - 247u;
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v = v << 8 | sl_cur_u8(c);
	if (v <= THREE_MAX || v >> (8 * (n - 1)) == 0)
		c->bad = true;
	return c->bad ? 0 : v;
}

void sl_lmdb_key_put_int(struct sl_wbuf *w, int64_t v)
{
	sl_lmdb_key_put_uint(w, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

int64_t sl_lmdb_key_int(struct sl_cur *c)
{
	uint64_t z = sl_lmdb_key_uint(c);
	return (int64_t)(z >> 1 ^ (z & 1 ? UINT64_MAX : 0));
}

/* Half bytes on their way into whole ones. */
struct nibbles {
	struct sl_wbuf *w;
	uint8_t first;
	bool half; /* `first` waits for its other half */
};

static void put_nibble(struct nibbles *nb, unsigned v)
{
	if (nb->half)
		sl_wbuf_u8(nb->w, (uint8_t)((unsigned)nb->first << 4 | v));
	else
		nb->first = (uint8_t)v;
	nb->half = !nb->half;
}

/* Of a digit, dot or hyphen its half byte; 0 of another character. */
static unsigned half_of(char ch)
{
	static const uint8_t halves[256] = {
		['-'] = NIB_HYPHEN,
		['.'] = NIB_DOT,
		['0'] = NIB_DIGIT,
		['1'] = NIB_DIGIT + 1,
		['2'] = NIB_DIGIT + 2,
		['3'] = NIB_DIGIT + 3,
		['4'] = NIB_DIGIT + 4,
		['5'] = NIB_DIGIT + 5,
		['6'] = NIB_DIGIT + 6,
		['7'] = NIB_DIGIT + 7,
		['8'] = NIB_DIGIT + 8,
		['9'] = NIB_DIGIT + 9,
	};
	return halves[(uint8_t)ch];
}

/* Two to a byte, up to the first letter or to the last but one that has no other half: how many. */
static size_t put_pairs(struct sl_wbuf *w, const char *chars, size_t n)
{
	size_t i = 0;
	if (w->bad || n / 2 > w->cap - w->len)
		return 0;
	for (uint8_t *to = w->base + w->len; i + 2 <= n; i += 2) {
		unsigned first = half_of(chars[i]), second = half_of(chars[i + 1]);
		if (first == 0 || second == 0)
			break;
		*to++ = (uint8_t)(first << 4 | second);
	}
	w->len += i / 2;
	return i;
}

static void put_chars(struct nibbles *nb, const char *chars, size_t n)
{
	for (size_t i = put_pairs(nb->w, chars, n); i < n; i++) {
		char ch = chars[i];
		unsigned half = half_of(ch);
		if (half != 0) {
			put_nibble(nb, half);
		} else {
			bool is_capital = ch >= 'A' && ch <= 'Z';
			sl_assert(is_capital || (ch >= 'a' && ch <= 'z'));
			unsigned rank =
				is_capital ? (unsigned)(ch - 'A') : 26 + (unsigned)(ch - 'a');
			put_nibble(nb, NIB_LETTER);
			put_nibble(nb, rank >> 4);
			put_nibble(nb, rank & 15);
		}
	}
}

void sl_lmdb_key_put_uid(struct sl_wbuf *w, const char *chars, size_t n)
{
	struct nibbles nb = {w, 0, false};
	put_chars(&nb, chars, n);
	if (nb.half)
		put_nibble(&nb, NIB_END);
}

void sl_lmdb_key_put_uid_end(struct sl_wbuf *w, const char *chars, size_t n)
{
	struct nibbles nb = {w, 0, false};
	put_chars(&nb, chars, n);
	put_nibble(&nb, NIB_END);
	if (nb.half)
		put_nibble(&nb, NIB_END);
}

/* What half_of() is made from; 0: more half bytes follow, or none is of that form. */
static const char chars_of[16] = "\0-.0123456789";

/* Whole bytes of two characters, up to the first that is none; appended to *u. */
static void take_pairs(struct sl_cur *c, struct sl_uid *u)
{
	while (sl_cur_left(c) > 0 && u->len + 2 <= SL_UID_MAX) {
		char first = chars_of[*c->p >> 4], second = chars_of[*c->p & 15];
		if (first == 0 || second == 0)
			return;
		u->s[u->len++] = first;
		u->s[u->len++] = second;
		c->p++;
	}
}

/* The half byte after those already taken; NIB_END past the end. */
static unsigned take_nibble(struct sl_cur *c, uint8_t *byte, bool *half)
{
	if (*half) {
		*half = false;
		return *byte & 15u;
	}
	if (sl_cur_left(c) == 0)
		return NIB_END;
	*byte = sl_cur_u8(c);
	*half = true;
	return *byte >> 4;
}

/* The character that begins with half byte v; 0 where there is none of that form. */
static char take_char(struct sl_cur *c, unsigned v, uint8_t *byte, bool *half)
{
	if (v != NIB_LETTER)
		return chars_of[v];
	unsigned hi = take_nibble(c, byte, half);
	unsigned rank = hi << 4 | take_nibble(c, byte, half);
	if (rank >= LETTERS)
		return 0;
	return (char)(rank < 26 ? 'A' + rank : 'a' + (rank - 26));
}

void sl_lmdb_key_uid(struct sl_cur *c, struct sl_uid *u)
{
	uint8_t byte = 0;
	bool half = false;
	take_pairs(c, u);
	for (;;) {
		unsigned v = take_nibble(c, &byte, &half);
		if (v == NIB_END)
			break;
		char ch = take_char(c, v, &byte, &half);
		if (ch == 0 || u->len >= SL_UID_MAX) {
			c->bad = true;
			return;
		}
		u->s[u->len++] = ch;
	}
	/* What is left of the byte of the end mark is its padding. */
	if (half && (byte & 15) != NIB_END)
		c->bad = true;
}
