/* Inflates a deflated data set into the element walker. zlib is seen here only.
 *
 * The first two bytes decide between raw deflate and a wrapper: what begins a zlib or gzip stream cannot
 * begin a sensible raw one (a stored block with a dirty header byte, or the reserved block type).
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/inflate.h"

#include <limits.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#define MEMORY    (48 * SL_KIB)
#define PIECE     (4 * SL_KIB)
#define TRAILER   8 /* bytes: CRC-32 and length; RFC 1952 2.3.1 */
#define ALIGNMENT 16
#define RAW       (-15)     /* zlib's words for: no wrapper, window of 2^15 */
#define WRAPPED   (15 + 32) /* zlib or gzip, found by its header */

enum stage {
	AT_START, /* fewer than two bytes seen */
	RUNNING,
	AFTER_END, /* the stream is complete; padding may follow */
	OFF        /* nothing is looked at any more */
};

struct sl_inflate {
	z_stream z;
	enum stage stage;
	uint64_t left;     /* bytes that may still come out */
	size_t arena_used; /* bytes */
	uint8_t head[2];   /* the stream's first bytes */
	uint8_t head_len;
	uint8_t trailer_len; /* bytes seen after the end of the stream */
	uint8_t piece[PIECE];
	_Alignas(ALIGNMENT) uint8_t arena[];
};
_Static_assert(
	sizeof(struct sl_inflate) + 40 * SL_KIB <= MEMORY, "zlib needs a window and its state");

size_t sl_inflate_memory(void)
{
	return MEMORY;
}

/* zlib's allocator: the next bytes of the arena; given back all at once, by the next init. */
static void *arena_alloc(void *opaque, unsigned items, unsigned size)
{
	struct sl_inflate *inf = opaque;
	uint64_t n;
	if (!sl_mul_ok(items, size, &n) || n > MEMORY)
		return NULL;
	n = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (n > MEMORY - sizeof(*inf) - inf->arena_used)
		return NULL;
	void *at = inf->arena + inf->arena_used;
	inf->arena_used += n;
	return at;
}

static void arena_free(void *opaque, void *at)
{
	(void)opaque;
	(void)at;
}

struct sl_inflate *sl_inflate_init(void *memory, uint64_t max)
{
	struct sl_inflate *inf = memory;
	memset(inf, 0, offsetof(struct sl_inflate, piece));
	inf->z.zalloc = arena_alloc;
	inf->z.zfree = arena_free;
	inf->z.opaque = inf;
	inf->left = max;
	return inf;
}

static void spoil(struct sl_inflate *inf, struct sl_elem *e, enum sl_elem_flaw flaw)
{
	sl_elem_spoil(e, flaw);
	inf->stage = OFF;
}

/* What follows the end of the stream: zeros that make the length even (PS3.5 A.5), or the check sum and
 * length of a wrapper whose header was left out (the deflated files of dicomParser end in gzip's). */
static void run_after_end(struct sl_inflate *inf, struct sl_elem *e, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (inf->trailer_len < TRAILER) {
			inf->trailer_len++;
		} else if (bytes[i] != 0) {
			spoil(inf, e, SL_ELEM_FLAW_TRAILING);
			return;
		}
	}
}

/* One piece of output. False when the stream is over, broken or no longer of interest. */
static bool run_piece(struct sl_inflate *inf, struct sl_elem *e, enum sl_status *st)
{
	inf->z.next_out = inf->piece;
	inf->z.avail_out = (unsigned)sl_min64(inf->left, PIECE);
	int rc = inflate(&inf->z, Z_SYNC_FLUSH);
	size_t got = (size_t)(inf->z.next_out - inf->piece);
	inf->left -= got;
	*st = sl_elem_feed(e, inf->piece, got);
	if (inf->left == 0)
		sl_elem_stop(e);
	/* in this order, so that the outcome does not depend on how much came at once */
	if (*st != SL_OK || sl_elem_is_done(e))
		inf->stage = OFF;
	else if (rc == Z_STREAM_END)
		inf->stage = AFTER_END;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		spoil(inf, e, SL_ELEM_FLAW_BAD_DEFLATE);
	return inf->stage == RUNNING;
}

static enum sl_status run(struct sl_inflate *inf, struct sl_elem *e, const uint8_t *bytes, size_t n)
{
	enum sl_status st = SL_OK;
	while (n > 0 && inf->stage == RUNNING) {
		unsigned in = (unsigned)sl_min(n, INT_MAX);
		inf->z.next_in = bytes;
		inf->z.avail_in = in;
		while (run_piece(inf, e, &st) && (inf->z.avail_in > 0 || inf->z.avail_out == 0))
			;
		size_t taken = in - inf->z.avail_in;
		bytes += taken;
		n -= taken;
	}
	if (inf->stage == AFTER_END)
		run_after_end(inf, e, bytes, n);
	return st;
}

/* PS3.5 A.5 says raw (RFC 1951); RFC 1950 2.2 and RFC 1952 2.3 say how the wrappers begin. */
static bool is_wrapped(const uint8_t head[2])
{
	bool is_zlib = (head[0] & 0x0F) == 8 && head[0] >> 4 <= 7 &&
		       ((unsigned)head[0] << 8 | head[1]) % 31 == 0;
	bool is_gzip = head[0] == 0x1F && head[1] == 0x8B;
	return is_zlib || is_gzip;
}

enum sl_status sl_inflate_feed(
	struct sl_inflate *inf, struct sl_elem *e, const uint8_t *bytes, size_t n)
{
	if (inf->stage == AT_START) {
		while (n > 0 && inf->head_len < sizeof(inf->head)) {
			inf->head[inf->head_len++] = *bytes++;
			n--;
		}
		if (inf->head_len < sizeof(inf->head))
			return SL_OK;
		int rc = inflateInit2(&inf->z, is_wrapped(inf->head) ? WRAPPED : RAW);
		sl_assert(rc == Z_OK);
		e->ends_at_pixels = true;
		e->limits.value_len =
			UINT64_MAX; /* inf->left bounds it; a bomb is kept as it came */
		inf->stage = RUNNING;
		enum sl_status st = run(inf, e, inf->head, sizeof(inf->head));
		if (st != SL_OK)
			return st;
	}
	return n > 0 ? run(inf, e, bytes, n) : SL_OK;
}

enum sl_status sl_inflate_end(struct sl_inflate *inf, struct sl_elem *e)
{
	if (inf->stage == RUNNING || inf->head_len == 1)
		sl_elem_spoil(e, SL_ELEM_FLAW_TRUNCATED_DEFLATE);
	inf->stage = OFF;
	return sl_elem_end(e);
}
