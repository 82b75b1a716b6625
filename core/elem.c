/* The element walker: from bytes to elements, and what becomes of each.
 *
 * sl_elem_feed() is a loop over states. At a header it closes what ends there (elem_tree), reads 8 or 12
 * bytes (elem_head), and decides: go into it, keep its value, or skip it. A header that lies in one piece
 * in the input is read there; one that was cut is gathered in head[] first. Both ways see the same bytes
 * and decide the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/cursor.h"
#include "core/elem_tree.h"

#define TAG_RADIOPHARMACEUTICAL_SEQUENCE UINT32_C(0x00540016)

/* Where a value goes: an enum sl_attr, then an enum sl_elem_uid, then nowhere. */
enum { TARGET_UID = SL_ATTR_N, TARGET_NONE = SL_ATTR_N + SL_ELEM_UID_N };
_Static_assert(TARGET_NONE <= UINT8_MAX, "a target is one byte");

#define SL_ATTR(name, tag, level, cap, keyword) \
	_Static_assert((cap) <= SL_ELEM_VALUE, #name ": more is kept than is looked at");
#include "core/attrs.def"
#undef SL_ATTR

static const struct {
	const char *name, *words;
} flaws[SL_ELEM_FLAW_N] = {
#define SL_ELEM_FLAW(name, words) {#name, words},
#include "core/elem_flaws.def"
#undef SL_ELEM_FLAW
};

const char *sl_elem_flaw_words(enum sl_elem_flaw flaw)
{
	return (unsigned)flaw < SL_ELEM_FLAW_N ? flaws[flaw].words : "?";
}

const char *sl_elem_flaw_name(enum sl_elem_flaw flaw)
{
	return (unsigned)flaw < SL_ELEM_FLAW_N ? flaws[flaw].name : "?";
}

void sl_elem_init(struct sl_elem *e, const struct sl_elem_limits *limits,
	enum sl_elem_encoding encoding, struct sl_record *record)
{
	/* Not frames[] and value[]: their bytes mean nothing beyond depth and value_len. */
	memset(e, 0, offsetof(struct sl_elem, frames));
	e->limits = *limits;
	e->limits.depth = (uint32_t)sl_min(sl_max(limits->depth, 1), SL_ELEM_DEPTH_MAX);
	e->record = record;
	e->encoding = (uint8_t)encoding;
	e->state = SL_ELEM_AT_HEADER;
}

bool sl_elem_has_identity(const struct sl_elem *e)
{
	return e->uid_found[SL_ELEM_UID_CLASS] == SL_ELEM_OK &&
	       e->uid_found[SL_ELEM_UID_INSTANCE] == SL_ELEM_OK;
}

static bool is_zero(const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i] != 0)
			return false;
	return true;
}

/* ---- values ------------------------------------------------------------------------------------ */

/* Where a top-level value goes. */
static uint8_t target_of_tag(uint32_t tag)
{
	switch (tag) {
	case 0x00080016:
		return TARGET_UID + SL_ELEM_UID_CLASS;
	case 0x00080018:
		return TARGET_UID + SL_ELEM_UID_INSTANCE;
	case 0x0020000D:
		return TARGET_UID + SL_ELEM_UID_STUDY;
	case 0x0020000E:
		return TARGET_UID + SL_ELEM_UID_SERIES;
#define SL_ATTR(name, tag, level, cap, keyword) \
	case tag:                               \
		return SL_ATTR_##name;
#include "core/attrs.def"
#undef SL_ATTR
	}
	return TARGET_NONE;
}

/* Where the value of `h` goes. Only what stands at top level describes the object; the exception is the
 * drug, which PET images name inside a sequence (PS3.3 C.8.9.2). */
static uint8_t target_of(const struct sl_elem *e, const struct sl_elem_head *h)
{
	if (h->vr & (SL_ELEM_VR_BINARY | SL_ELEM_VR_SQ))
		return TARGET_NONE;
	if (e->depth == 0)
		return target_of_tag(h->tag);
	bool is_drug = e->depth == 1 && e->frames[0].tag == TAG_RADIOPHARMACEUTICAL_SEQUENCE &&
		       h->tag == sl_attrs[SL_ATTR_RADIOPHARMACEUTICAL].tag;
	return is_drug ? SL_ATTR_RADIOPHARMACEUTICAL : TARGET_NONE;
}

/* The part of a value that is looked at: without leading spaces, at most what value[] holds. */
static struct sl_cur looked_at(const uint8_t *b, size_t n)
{
	while (n > 0 && *b == ' ') {
		b++;
		n--;
	}
	return sl_cur_of(b, sl_min(n, SL_ELEM_VALUE));
}

/* Hands a complete value over. The first one of a UID or attribute that is not empty stays. */
static void deliver(struct sl_elem *e, uint8_t target, const uint8_t *b, size_t n)
{
	static const uint8_t item_le[4] = {0xFE, 0xFF, 0x00, 0xE0};
	if (target < TARGET_UID) {
		if (n < sizeof(item_le) || memcmp(b, item_le, sizeof(item_le)) != 0)
			sl_record_set(e->record, target, b, n);
		return;
	}
	unsigned i = (unsigned)target - TARGET_UID;
	if (e->uid_found[i] != SL_ELEM_ABSENT)
		return;
	enum sl_status st = sl_uid_parse(&e->uid[i], b, n);
	if (st == SL_OK)
		e->uid_found[i] = SL_ELEM_OK;
	else if (st != SL_E_NOTFOUND)
		e->uid_found[i] = SL_ELEM_INVALID;
}

static void take_value(struct sl_elem *e, struct sl_cur *in)
{
	size_t n = (size_t)sl_min64(e->left, sl_cur_left(in));
	const uint8_t *b = sl_cur_take(in, n);
	struct sl_cur v =
		e->value_len == 0 ? looked_at(b, n) : sl_cur_of(b, sl_min(n, SL_ELEM_VALUE));
	size_t keep = sl_min(sl_cur_left(&v), (size_t)SL_ELEM_VALUE - e->value_len);
	memcpy(e->value + e->value_len, v.p, keep);
	e->value_len = (uint16_t)(e->value_len + keep);
	e->pos += n;
	e->left -= n;
	if (e->left > 0)
		return;
	deliver(e, e->target, e->value, e->value_len);
	e->state = SL_ELEM_AT_HEADER;
}

/* ---- elements ---------------------------------------------------------------------------------- */

/* Is the value a sequence? Implicit VR does not say: there it is one if it begins with an item, which is
 * for elem_tree to see (a guess). Sets how to open it. */
static bool is_sequence(
	const struct sl_elem *e, const struct sl_elem_head *h, uint8_t *bits, uint8_t *encoding)
{
	bool is_implicit = !(h->encoding & SL_ELEM_EXPLICIT_LE);
	bool is_pixels = h->tag >> 16 == 0x7FE0;
	*bits = 0;
	*encoding = h->encoding;
	if (h->vr & SL_ELEM_VR_UN)
		*encoding = SL_ELEM_IMPLICIT_LE; /* PS3.5 6.2.2, note 2: whatever is around it */
	if (h->len == SL_ELEM_UNDEFINED) {
		if (is_pixels || (h->vr & (SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY)) ==
					 (SL_ELEM_VR_BULK | SL_ELEM_VR_BINARY))
			*bits = SL_ELEM_FRAME_PIECES;
		return true;
	}
	if (h->vr & SL_ELEM_VR_SQ)
		return h->len > 0;
	if (h->len < SL_ELEM_HEAD_SHORT || is_pixels)
		return false;
	if (is_implicit && target_of(e, h) == TARGET_NONE) {
		*bits = SL_ELEM_FRAME_GUESS;
		if (SL_TAG_IS_PRIVATE(h->tag) || h->encoding != e->encoding)
			*bits |= SL_ELEM_FRAME_SOFT;
		return true;
	}
	if ((h->vr & SL_ELEM_VR_UN) && h->tag == TAG_RADIOPHARMACEUTICAL_SEQUENCE) {
		*bits = SL_ELEM_FRAME_GUESS | SL_ELEM_FRAME_SOFT;
		return true;
	}
	return false;
}

/* An element that reaches past the end around it. In a sequence of undefined length it is the item's
 * length that is wrong more often; else the outer length is believed. False when the walk goes on
 * elsewhere. */
static bool fit_in(struct sl_elem *e, struct sl_elem_head *h)
{
	uint64_t room = sl_elem_tree_room(e);
	if (h->len == SL_ELEM_UNDEFINED || h->len <= room)
		return true;
	struct sl_elem_frame *f = sl_elem_tree_top(e);
	const unsigned wrong = SL_ELEM_FRAME_OPEN | SL_ELEM_FRAME_ITEM_OPEN | SL_ELEM_FRAME_SOFT;
	if ((f->bits & wrong) == SL_ELEM_FRAME_OPEN && h->len <= f->end - e->pos) {
		sl_elem_tree_note(e, SL_ELEM_FLAW_ELEMENT_OVERRUN);
		f->bits |= SL_ELEM_FRAME_ITEM_OPEN;
		f->item_end = f->end;
		return true;
	}
	if ((h->vr & SL_ELEM_VR_SQ) && !(f->bits & SL_ELEM_FRAME_SOFT)) {
		sl_elem_tree_note(e, SL_ELEM_FLAW_ELEMENT_OVERRUN);
		return true; /* its frame will be cut */
	}
	sl_elem_tree_broken(e, SL_ELEM_FLAW_ELEMENT_OVERRUN);
	return false;
}

/* Decides what becomes of a value; e->pos is at its first byte. */
static void on_element(struct sl_elem *e, struct sl_elem_head *h)
{
	uint8_t bits, encoding;
	if (!fit_in(e, h))
		return;
	if (e->depth == 0 && e->has_pixels && h->vr == 0 && h->tag < 0x7FE00010 &&
		(e->encoding & SL_ELEM_EXPLICIT_LE)) {
		sl_elem_tree_broken(e, SL_ELEM_FLAW_TRAILING); /* neither a VR nor its turn */
		return;
	}
	if (e->depth == 0 && !e->has_pixels &&
		(h->tag == 0x7FE00008 || h->tag == 0x7FE00009 || h->tag == 0x7FE00010)) {
		e->has_pixels = true;
		e->pixels_at = e->pos;
		e->pixels_len = h->len == SL_ELEM_UNDEFINED ? UINT64_MAX : h->len;
		if (e->ends_at_pixels) {
			e->state = SL_ELEM_IN_REST;
			return;
		}
	}
	if (is_sequence(e, h, &bits, &encoding)) {
		sl_elem_tree_push(e, h, bits, encoding);
		return;
	}
	e->target = target_of(e, h);
	bool is_bulk = h->vr == 0 ? e->target == TARGET_NONE : (h->vr & SL_ELEM_VR_BULK) != 0;
	if (!is_bulk && h->len > e->limits.value_len) {
		sl_elem_tree_limit(e, SL_ELEM_FLAW_TOO_LARGE);
		return;
	}
	if (h->len == 0)
		return;
	e->left = h->len;
	e->value_len = 0;
	e->state = e->target == TARGET_NONE ? SL_ELEM_IN_SKIP : SL_ELEM_IN_VALUE;
}

/* The first element of a data set or item shows how the rest of it is written. */
static void learn(struct sl_elem *e, const struct sl_elem_head *h)
{
	struct sl_elem_frame *f = sl_elem_tree_top(e);
	if (f != NULL) {
		if (f->bits & SL_ELEM_FRAME_ITEM_NEW)
			f->item_encoding = h->encoding;
		f->bits = (uint8_t)(f->bits & ~SL_ELEM_FRAME_ITEM_NEW);
	} else if (!e->is_begun && h->tag >> 16 != 0x0002) {
		if ((h->encoding ^ e->encoding) & SL_ELEM_IMPLICIT_BE)
			sl_elem_tree_note(e, SL_ELEM_FLAW_BYTE_ORDER);
		e->encoding = h->encoding;
		e->is_begun = true;
	}
}

/* ---- headers ----------------------------------------------------------------------------------- */

/* Reads the header at e->pos from n bytes of it, which lie inside what is around it. Returns the bytes
 * it took, or 0 when it needs 12. */
static size_t on_header(struct sl_elem *e, const uint8_t *b, size_t n)
{
	struct sl_elem_head h;
	while (sl_elem_tree_wants_item(e)) {
		if (sl_elem_head_is_item(&h, b, sl_elem_tree_top(e)->encoding)) {
			e->pos += SL_ELEM_HEAD_SHORT;
			sl_elem_tree_item(e, &h);
			return SL_ELEM_HEAD_SHORT;
		}
		if (!sl_elem_tree_not_item(e, b))
			return SL_ELEM_HEAD_SHORT;
	}
	const struct sl_elem_frame *f = sl_elem_tree_top(e);
	const struct sl_elem_place place = {
		.encoding = f == NULL ? e->encoding : f->item_encoding,
		.is_top = f == NULL,
		.is_first = f == NULL ? !e->is_begun : (f->bits & SL_ELEM_FRAME_ITEM_NEW) != 0,
		.room = sl_elem_tree_room(e),
	};
	static const uint8_t zeros[SL_ELEM_HEAD_SHORT];
	if (f == NULL && e->is_begun && memcmp(b, zeros, sizeof(zeros)) == 0) {
		e->pos += SL_ELEM_HEAD_SHORT;
		e->state = SL_ELEM_IN_ZEROS;
		return SL_ELEM_HEAD_SHORT;
	}
	enum sl_status st = sl_elem_head_decode(&h, b, n, &place);
	if (st == SL_AGAIN && place.room >= SL_ELEM_HEAD_LONG)
		return 0;
	if (st != SL_OK || place.room < h.size) {
		sl_elem_tree_note(e, SL_ELEM_FLAW_NOT_AN_ELEMENT);
		e->pos += SL_ELEM_HEAD_SHORT;
		sl_elem_tree_broken(e, SL_ELEM_FLAW_NOT_AN_ELEMENT);
		return SL_ELEM_HEAD_SHORT;
	}
	learn(e, &h);
	e->pos += h.size;
	if (SL_TAG_IS_DELIMITER(h.tag))
		sl_elem_tree_delimiter(e, &h);
	else if (++e->elements > e->limits.elements)
		sl_elem_tree_limit(e, SL_ELEM_FLAW_TOO_MANY);
	else
		on_element(e, &h);
	return h.size;
}

static void take_header(struct sl_elem *e, struct sl_cur *in)
{
	size_t left = sl_cur_left(in);
	if (e->head_len == 0) {
		sl_elem_tree_settle(e);
		if (sl_elem_tree_room(e) < SL_ELEM_HEAD_SHORT) {
			sl_elem_tree_broken(e, SL_ELEM_FLAW_NOT_AN_ELEMENT);
			return;
		}
		if (left >= SL_ELEM_HEAD_LONG) {
			sl_cur_skip(in, on_header(e, in->p, SL_ELEM_HEAD_LONG));
			return;
		}
	}
	size_t want = e->head_len < SL_ELEM_HEAD_SHORT ? SL_ELEM_HEAD_SHORT : SL_ELEM_HEAD_LONG;
	size_t n = sl_min(want - e->head_len, left);
	memcpy(e->head + e->head_len, sl_cur_take(in, n), n);
	e->head_len = (uint8_t)(e->head_len + n);
	if (e->head_len < want)
		return;
	size_t took = on_header(e, e->head, want);
	sl_assert(took == 0 || took == want);
	if (took != 0)
		e->head_len = 0;
}

static void take_zeros(struct sl_elem *e, struct sl_cur *in)
{
	while (sl_cur_left(in) > 0) {
		if (sl_cur_u8(in) != 0) {
			sl_elem_tree_note(e, SL_ELEM_FLAW_TRAILING);
			e->pos++;
			e->state = SL_ELEM_IN_REST;
			return;
		}
		e->pos++;
	}
}

static void take_skip(struct sl_elem *e, struct sl_cur *in)
{
	size_t n = (size_t)sl_min64(e->left, sl_cur_left(in));
	sl_cur_skip(in, n);
	e->pos += n;
	e->left -= n;
	if (e->left == 0)
		e->state = SL_ELEM_AT_HEADER;
}

static void take_rest(struct sl_elem *e, struct sl_cur *in)
{
	size_t n = sl_cur_left(in);
	sl_cur_skip(in, n);
	e->pos += n;
}

enum sl_status sl_elem_feed(struct sl_elem *e, const uint8_t *bytes, size_t n)
{
	struct sl_cur in = sl_cur_of(bytes, n);
	while (sl_cur_left(&in) > 0) {
		switch ((enum sl_elem_state)e->state) {
		case SL_ELEM_AT_HEADER:
			take_header(e, &in);
			break;
		case SL_ELEM_IN_VALUE:
			take_value(e, &in);
			break;
		case SL_ELEM_IN_SKIP:
			take_skip(e, &in);
			break;
		case SL_ELEM_IN_ZEROS:
			take_zeros(e, &in);
			break;
		case SL_ELEM_IN_REST:
		case SL_ELEM_AT_LIMIT:
			take_rest(e, &in);
			break;
		}
	}
	return e->state == SL_ELEM_AT_LIMIT ? SL_E_LIMIT : SL_OK;
}

uint64_t sl_elem_pass(struct sl_elem *e, uint64_t n)
{
	if (sl_elem_is_done(e)) {
		e->pos += n;
		return n;
	}
	if (e->state != SL_ELEM_IN_SKIP)
		return 0;
	n = sl_min64(n, e->left);
	e->pos += n;
	e->left -= n;
	if (e->left == 0)
		e->state = SL_ELEM_AT_HEADER;
	return n;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void drop_head(struct sl_elem *e)
{
	e->pos += e->head_len;
	e->head_len = 0;
}

bool sl_elem_is_done(const struct sl_elem *e)
{
	return e->state == SL_ELEM_IN_REST || e->state == SL_ELEM_AT_LIMIT;
}

void sl_elem_stop(struct sl_elem *e)
{
	drop_head(e);
	if (e->state != SL_ELEM_AT_LIMIT)
		e->state = SL_ELEM_IN_REST;
}

void sl_elem_spoil(struct sl_elem *e, enum sl_elem_flaw flaw)
{
	drop_head(e);
	if (e->state == SL_ELEM_AT_LIMIT)
		return;
	if (e->flaw == SL_ELEM_FLAW_NONE) {
		e->flaw = flaw;
		e->flaw_at = e->pos;
	}
	e->state = SL_ELEM_IN_REST;
}

/* What is missing when the data set ends here. */
static enum sl_elem_flaw missing(struct sl_elem *e)
{
	const struct sl_elem_frame *f = sl_elem_tree_top(e);
	bool is_cut = e->state == SL_ELEM_IN_VALUE || e->state == SL_ELEM_IN_SKIP;
	bool in_pieces = f != NULL && e->depth == 1 && (f->bits & SL_ELEM_FRAME_PIECES);
	if (is_cut && e->has_pixels &&
		(in_pieces || e->pixels_at + e->pixels_len == e->pos + e->left))
		return SL_ELEM_FLAW_TRUNCATED_PIXELS;
	if (is_cut)
		return SL_ELEM_FLAW_TRUNCATED_VALUE;
	if (e->head_len > 0 && (e->depth > 0 || !is_zero(e->head, e->head_len)))
		return SL_ELEM_FLAW_TRUNCATED_HEADER;
	if (e->depth > 0)
		return SL_ELEM_FLAW_TRUNCATED_SEQUENCE;
	return e->is_begun ? SL_ELEM_FLAW_NONE : SL_ELEM_FLAW_EMPTY;
}

enum sl_status sl_elem_end(struct sl_elem *e)
{
	if (e->state == SL_ELEM_AT_LIMIT)
		return SL_E_LIMIT;
	if (e->state == SL_ELEM_AT_HEADER && e->head_len == 0)
		sl_elem_tree_settle(e);
	if (e->state != SL_ELEM_IN_REST && e->flaw == SL_ELEM_FLAW_NONE) {
		e->flaw = missing(e);
		e->flaw_at = e->pos;
	}
	drop_head(e);
	return e->flaw == SL_ELEM_FLAW_NONE ? SL_OK : SL_E_DATASET;
}
