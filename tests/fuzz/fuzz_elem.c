/* Data sets: any bytes, in any encoding, deflated or not; walked whole and in pieces with one outcome.
 *
 * Input: a byte of choices (bits 0-1 encoding, bit 2 deflated, bit 3 tight limits), a byte that begins the
 * sizes of the pieces, then the data set. Of the pieces some are passed over where the walker allows it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "storage/charset.h"
#include "storage/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct outcome {
	enum sl_status st;
	struct sl_elem e;
	struct sl_record r;
};

static void walk(struct outcome *o, unsigned choices, uint32_t random, const uint8_t *b, size_t n)
{
	static _Alignas(64) uint8_t memory[64 * 1024];
	const struct sl_elem_limits tight = {3, 20, 100};
	bool is_deflated = (choices & 4) != 0;
	memset(o, 0xA5, sizeof(*o));
	sl_record_init(&o->r);
	sl_elem_init(&o->e, choices & 8 ? &tight : &SL_ELEM_LIMITS_DEFAULT,
		(enum sl_elem_encoding)(choices & 3), &o->r);
	struct sl_inflate *inf = sl_inflate_init(memory, choices & 8 ? 2000 : 1 << 20);
	for (size_t at = 0; at < n;) {
		random = random * 1664525 + 1013904223;
		size_t piece = random == 0 ? n : sl_min(n - at, 1 + (random >> 24) % 32);
		if (choices & 16) /* whole */
			piece = n;
		else if (!is_deflated && (random >> 16 & 3) == 0)
			at += sl_elem_pass(&o->e, piece);
		if (at == n)
			break;
		piece = sl_min(piece, n - at);
		enum sl_status st = is_deflated ? sl_inflate_feed(inf, &o->e, b + at, piece)
						: sl_elem_feed(&o->e, b + at, piece);
		sl_assert(st == SL_OK || st == SL_E_LIMIT);
		at += piece;
	}
	o->st = is_deflated ? sl_inflate_end(inf, &o->e) : sl_elem_end(&o->e);
	sl_assert(is_deflated || o->e.pos == n);
	sl_assert((o->st == SL_OK) == (o->e.flaw == SL_ELEM_FLAW_NONE));
}

/* What a sender means who says nothing is assumed once. */
static void assume(struct sl_record *r)
{
	static struct sl_record once;
	sl_charset_assume(r, "ISO_IR 144");
	once = *r;
	sl_charset_assume(r, "ISO_IR 101");
	sl_assert(memcmp(&once, r, sizeof(once)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct outcome whole, pieces;
	if (n < 2)
		return 0;
	walk(&whole, bytes[0] | 16u, 0, bytes + 2, n - 2);
	walk(&pieces, bytes[0] & ~16u, bytes[1], bytes + 2, n - 2);
	sl_assert(whole.st == pieces.st);
	sl_assert(whole.e.flaw == pieces.e.flaw);
	sl_assert(whole.e.flaw_at == pieces.e.flaw_at);
	sl_assert(whole.e.elements == pieces.e.elements);
	sl_assert(memcmp(whole.e.uid, pieces.e.uid, sizeof(whole.e.uid)) == 0);
	sl_assert(memcmp(whole.e.uid_found, pieces.e.uid_found, sizeof(whole.e.uid_found)) == 0);
	sl_assert(whole.e.has_pixels == pieces.e.has_pixels);
	sl_assert(whole.e.pixels_at == pieces.e.pixels_at);
	sl_assert(whole.r.text_len == pieces.r.text_len);
	sl_assert(memcmp(whole.r.text, pieces.r.text, whole.r.text_len) == 0);
	sl_assert(strcmp(sl_elem_flaw_name(whole.e.flaw), "?") != 0);
	assume(&whole.r);
	return 0;
}
