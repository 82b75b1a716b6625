/* Headers of data elements: the plain reading first, the judgement about odd ones after it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/elem_head.h"

enum {
	BIG = SL_ELEM_IMPLICIT_BE,
	EXPLICIT = SL_ELEM_EXPLICIT_LE,
	K = SL_ELEM_VR_KNOWN,
	L = SL_ELEM_VR_KNOWN | SL_ELEM_VR_LONG,
};

/* A length that no header of an element other than Pixel Data is believed to have, where nothing around
 * it says so; and one that a reserved field in disorder is not believed with. */
#define PLAUSIBLE_LEN     (16 * SL_MIB)
#define PLAUSIBLE_LEN_ODD (256 * SL_MIB)

/* PS3.5 table 6.2-1 and 7.1-1, by the two letters. */
#define VR(a, b) [((a) - 'A') * 26 + ((b) - 'A')]
static const uint8_t vrs[26 * 26] = {
	VR('A', 'E') = K,
	VR('A', 'S') = K,
	VR('A', 'T') = K | SL_ELEM_VR_BINARY,
	VR('C', 'S') = K,
	VR('D', 'A') = K,
	VR('D', 'S') = K,
	VR('D', 'T') = K,
	VR('F', 'D') = K | SL_ELEM_VR_BINARY,
	VR('F', 'L') = K | SL_ELEM_VR_BINARY,
	VR('I', 'S') = K,
	VR('L', 'O') = K,
	VR('L', 'T') = K,
	VR('O', 'B') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('O', 'D') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('O', 'F') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('O', 'L') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('O', 'V') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('O', 'W') = L | SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY,
	VR('P', 'N') = K,
	VR('S', 'H') = K,
	VR('S', 'L') = K | SL_ELEM_VR_BINARY,
	VR('S', 'Q') = L | SL_ELEM_VR_SQ | SL_ELEM_VR_BULK,
	VR('S', 'S') = K | SL_ELEM_VR_BINARY,
	VR('S', 'T') = K,
	VR('S', 'V') = L | SL_ELEM_VR_BINARY,
	VR('T', 'M') = K,
	VR('U', 'C') = L,
	VR('U', 'I') = K,
	VR('U', 'L') = K | SL_ELEM_VR_BINARY,
	VR('U', 'N') = L | SL_ELEM_VR_UN | SL_ELEM_VR_BULK,
	VR('U', 'R') = L,
	VR('U', 'S') = K | SL_ELEM_VR_BINARY,
	VR('U', 'T') = L,
	VR('U', 'V') = L | SL_ELEM_VR_BINARY,
};
#undef VR

static inline uint32_t u16_of(const uint8_t *b, unsigned encoding)
{
	return encoding & BIG ? (uint32_t)b[0] << 8 | b[1] : (uint32_t)b[1] << 8 | b[0];
}

static inline uint32_t u32_of(const uint8_t *b, unsigned encoding)
{
	return encoding & BIG ? u16_of(b, encoding) << 16 | u16_of(b + 2, encoding)
			      : u16_of(b + 2, encoding) << 16 | u16_of(b, encoding);
}

static inline uint32_t tag_of(const uint8_t *b, unsigned encoding)
{
	return u16_of(b, encoding) << 16 | u16_of(b + 2, encoding);
}

static bool is_letters(const uint8_t *vr)
{
	return (unsigned)vr[0] - 'A' < 26 && (unsigned)vr[1] - 'A' < 26;
}

static uint8_t vr_of(const uint8_t *vr)
{
	return is_letters(vr) ? vrs[(vr[0] - 'A') * 26 + (vr[1] - 'A')] : 0;
}

/* The plain case, nearly all there is: explicit little endian among its own, with a VR that is known.
 * False when it is not, or is longer than what is here; nothing has happened then. */
static inline bool read_plain(
	struct sl_elem_head *h, const uint8_t *b, size_t n, const struct sl_elem_place *place)
{
	if (place->encoding != SL_ELEM_EXPLICIT_LE || place->is_first)
		return false;
	uint8_t vr = vr_of(b + 4);
	bool is_long = (vr & SL_ELEM_VR_LONG) != 0;
	uint32_t tag = tag_of(b, SL_ELEM_EXPLICIT_LE);
	if (vr == 0 || (is_long && n < SL_ELEM_HEAD_LONG) || SL_TAG_IS_DELIMITER(tag))
		return false;
	h->tag = tag;
	h->len = is_long ? u32_of(b + 8, SL_ELEM_EXPLICIT_LE) : u16_of(b + 6, SL_ELEM_EXPLICIT_LE);
	h->size = is_long ? SL_ELEM_HEAD_LONG : SL_ELEM_HEAD_SHORT;
	h->encoding = SL_ELEM_EXPLICIT_LE;
	h->vr = vr;
	return true;
}

/* A value of that length fits behind a header of that size. */
static bool fits(const struct sl_elem_place *place, size_t head, uint32_t len)
{
	return len == SL_ELEM_UNDEFINED || (place->room >= head && len <= place->room - head);
}

static enum sl_status read_short(struct sl_elem_head *h, const uint8_t *b)
{
	h->len = u16_of(b + 6, h->encoding);
	h->size = SL_ELEM_HEAD_SHORT;
	return SL_OK;
}

/* Reads an implicit header: no VR, 32-bit length. PS3.5 7.1.3. */
static enum sl_status read_implicit(struct sl_elem_head *h, const uint8_t *b)
{
	h->encoding &= (uint8_t)~EXPLICIT;
	h->len = u32_of(b + 4, h->encoding);
	h->size = SL_ELEM_HEAD_SHORT;
	h->vr = 0;
	return SL_OK;
}

/* Reads an explicit header with a VR of two letters. PS3.5 7.1.2: VRs to come are long ones; but an
 * unknown VR whose reserved bytes are not zero is taken to be a short one. Those of a known one are not
 * looked at. Eight bytes must do for the decision: what comes after them may be value already. */
static enum sl_status read_explicit(struct sl_elem_head *h, const uint8_t *b, size_t n)
{
	h->encoding |= EXPLICIT;
	h->vr = vr_of(b + 4);
	bool is_reserved_zero = b[6] == 0 && b[7] == 0;
	if (h->vr != 0 ? !(h->vr & SL_ELEM_VR_LONG) : !is_reserved_zero)
		return read_short(h, b);
	if (n < SL_ELEM_HEAD_LONG)
		return SL_AGAIN;
	h->len = u32_of(b + 8, h->encoding);
	h->size = SL_ELEM_HEAD_LONG;
	return SL_OK;
}

/* Reads a header in explicit surroundings whose VR is not two letters: an invented VR ("??", two zero
 * bytes, lower case: these have 16-bit lengths) or an implicit header, whose length then stands there. */
static enum sl_status read_odd(
	struct sl_elem_head *h, const uint8_t *b, const struct sl_elem_place *place)
{
	uint32_t as_short = u16_of(b + 6, h->encoding);
	uint32_t as_implicit = u32_of(b + 4, h->encoding);
	bool is_pixels = h->tag >> 16 == 0x7FE0;
	bool is_printable = b[4] >= 0x20 && b[4] < 0x7F && b[5] >= 0x20 && b[5] < 0x7F;
	bool is_zero = b[4] == 0 && b[5] == 0;

	h->vr = 0;
	if ((is_printable || (is_zero && !is_pixels)) && fits(place, SL_ELEM_HEAD_SHORT, as_short))
		return read_short(h, b);
	if (!fits(place, SL_ELEM_HEAD_SHORT, as_implicit))
		return SL_E_DATASET;
	if (place->room == UINT64_MAX && as_implicit > PLAUSIBLE_LEN && !is_pixels &&
		as_implicit != SL_ELEM_UNDEFINED)
		return SL_E_DATASET;
	return read_implicit(h, b);
}

/* In implicit surroundings: are these the letters of a VR, or a length that looks like them? At the
 * first element letters are believed, unless they make a fair length in an item. Later on they are only
 * where the implicit reading cannot be. */
static bool is_explicit_after_all(
	const struct sl_elem_head *h, const uint8_t *b, const struct sl_elem_place *place)
{
	uint8_t vr = vr_of(b + 4);
	if (vr == 0)
		return false;
	bool is_reserved_zero = b[6] == 0 && b[7] == 0;
	if ((vr & SL_ELEM_VR_LONG) && !is_reserved_zero)
		return false;
	uint32_t as_short = u16_of(b + 6, h->encoding);
	if (!(vr & SL_ELEM_VR_LONG) && !fits(place, SL_ELEM_HEAD_SHORT, as_short))
		return false;
	uint32_t as_implicit = u32_of(b + 4, h->encoding);
	bool is_impossible = (as_implicit & 1) != 0 ||
			     !fits(place, SL_ELEM_HEAD_SHORT, as_implicit) ||
			     (place->room == UINT64_MAX && as_implicit > PLAUSIBLE_LEN);
	return is_impossible || (place->is_first && (place->is_top || !is_reserved_zero));
}

/* The first element of a data set belongs to a low group; the same number times 256 is one that was
 * written in the other byte order. */
static bool is_swapped(uint32_t group)
{
	return (group & 0xFF) == 0 && group >= 0x0200 && group <= 0x2000;
}

bool sl_elem_head_is_item(struct sl_elem_head *h, const uint8_t *b, enum sl_elem_encoding encoding)
{
	h->encoding = (uint8_t)encoding;
	h->tag = tag_of(b, encoding);
	if (h->tag == 0xFEFF00E0 || h->tag == 0xFEFF0DE0 || h->tag == 0xFEFFDDE0) {
		h->encoding ^= BIG;
		h->tag = tag_of(b, h->encoding);
	}
	h->len = u32_of(b + 4, h->encoding);
	h->size = SL_ELEM_HEAD_SHORT;
	h->vr = 0;
	return h->tag == SL_TAG_ITEM || h->tag == SL_TAG_ITEM_END || h->tag == SL_TAG_SEQUENCE_END;
}

enum sl_status sl_elem_head_decode(
	struct sl_elem_head *h, const uint8_t *b, size_t n, const struct sl_elem_place *place)
{
	sl_assert(n >= SL_ELEM_HEAD_SHORT);
	if (read_plain(h, b, n, place))
		return SL_OK;
	h->encoding = (uint8_t)place->encoding;
	h->tag = tag_of(b, h->encoding);
	if (SL_TAG_IS_DELIMITER(h->tag))
		return read_implicit(h, b);
	if (place->is_top && b[0] == 2 && b[1] == 0 && vr_of(b + 4) != 0) {
		/* group 0002 is explicit little endian wherever it stands; PS3.10 7.1 */
		h->encoding = SL_ELEM_EXPLICIT_LE;
		h->tag = tag_of(b, h->encoding);
	} else if (place->is_top && place->is_first && is_swapped(h->tag >> 16)) {
		h->encoding ^= BIG;
		h->tag = tag_of(b, h->encoding);
	}
	if (h->encoding & EXPLICIT)
		return is_letters(b + 4) ? read_explicit(h, b, n) : read_odd(h, b, place);
	return is_explicit_after_all(h, b, place) ? read_explicit(h, b, n) : read_implicit(h, b);
}
