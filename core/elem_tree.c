/* The open sequences and items of the element walker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/elem_tree.h"

enum {
	OPEN = SL_ELEM_FRAME_OPEN,
	ITEM = SL_ELEM_FRAME_ITEM,
	ITEM_OPEN = SL_ELEM_FRAME_ITEM_OPEN,
	ITEM_NEW = SL_ELEM_FRAME_ITEM_NEW,
	SEEN = SL_ELEM_FRAME_SEEN,
	PIECES = SL_ELEM_FRAME_PIECES,
	GUESS = SL_ELEM_FRAME_GUESS,
	SOFT = SL_ELEM_FRAME_SOFT,
	ITEM_ENDS = ITEM | ITEM_NEW
};

static void set(struct sl_elem_frame *f, unsigned bits)
{
	f->bits = (uint8_t)(f->bits | bits);
}

static void clear(struct sl_elem_frame *f, unsigned bits)
{
	f->bits = (uint8_t)(f->bits & ~bits);
}

static bool is_soft(const struct sl_elem *e)
{
	return e->depth > 0 && (e->frames[e->depth - 1].bits & SOFT);
}

void sl_elem_tree_note(struct sl_elem *e, enum sl_elem_flaw flaw)
{
	if (is_soft(e) || e->flaw != SL_ELEM_FLAW_NONE)
		return;
	e->flaw = flaw;
	e->flaw_at = e->pos;
}

void sl_elem_tree_limit(struct sl_elem *e, enum sl_elem_flaw flaw)
{
	e->flaw = flaw;
	e->flaw_at = e->pos;
	e->state = SL_ELEM_AT_LIMIT;
}

void sl_elem_tree_skip(struct sl_elem *e, uint64_t end)
{
	if (end <= e->pos)
		return;
	e->left = end - e->pos;
	e->state = SL_ELEM_IN_SKIP;
}

/* Closes the outermost soft frame with all in it and skips its value. */
static void leave_soft(struct sl_elem *e)
{
	while (e->depth > 1 && (e->frames[e->depth - 2].bits & SOFT))
		e->depth--;
	uint64_t end = e->frames[e->depth - 1].end;
	e->depth--;
	sl_elem_tree_skip(e, end);
}

void sl_elem_tree_broken(struct sl_elem *e, enum sl_elem_flaw flaw)
{
	if (is_soft(e)) {
		leave_soft(e);
		return;
	}
	sl_elem_tree_note(e, flaw);
	uint64_t end = sl_elem_tree_end(e);
	if (end == UINT64_MAX)
		e->state = SL_ELEM_IN_REST;
	else
		sl_elem_tree_skip(e, end);
}

void sl_elem_tree_settle(struct sl_elem *e)
{
	while (e->depth > 0) {
		struct sl_elem_frame *f = &e->frames[e->depth - 1];
		if (f->bits & ITEM) {
			if (e->pos < f->item_end)
				return;
			if (f->bits & ITEM_OPEN)
				sl_elem_tree_note(e, SL_ELEM_FLAW_NO_DELIMITER);
			clear(f, ITEM_ENDS);
		}
		if (e->pos < f->end)
			return;
		if (f->bits & OPEN)
			sl_elem_tree_note(e, SL_ELEM_FLAW_NO_DELIMITER);
		e->depth--;
	}
}

void sl_elem_tree_push(
	struct sl_elem *e, const struct sl_elem_head *h, uint8_t bits, uint8_t encoding)
{
	if (e->depth >= e->limits.depth && !(bits & GUESS)) {
		sl_elem_tree_limit(e, SL_ELEM_FLAW_TOO_DEEP);
		return;
	}
	uint64_t around = sl_elem_tree_end(e);
	if (is_soft(e))
		bits |= SOFT;
	if (h->len == SL_ELEM_UNDEFINED)
		bits |= OPEN;
	sl_assert(e->depth < SL_ARRAY_N(e->frames));
	e->frames[e->depth++] = (struct sl_elem_frame){
		.end = bits & OPEN ? around : sl_min64(e->pos + h->len, around),
		.tag = h->tag,
		.encoding = encoding,
		.bits = bits,
	};
}

/* Opens an item whose content begins at e->pos. */
static void open_item(struct sl_elem *e, struct sl_elem_frame *f, uint32_t len)
{
	bool is_open = len == SL_ELEM_UNDEFINED;
	if (!is_open && len > f->end - e->pos) {
		if (f->bits & SOFT) {
			leave_soft(e);
			return;
		}
		sl_elem_tree_note(e, SL_ELEM_FLAW_ITEM_OVERRUN);
	}
	clear(f, ITEM_OPEN);
	set(f, SEEN | ITEM | ITEM_NEW | (is_open ? ITEM_OPEN : 0));
	f->item_end = is_open ? f->end : sl_min64(e->pos + len, f->end);
	f->item_encoding = f->encoding;
	if (++e->elements > e->limits.elements)
		sl_elem_tree_limit(e, SL_ELEM_FLAW_TOO_MANY);
}

/* A fragment is passed over by its length. */
static void open_piece(struct sl_elem *e, const struct sl_elem_frame *f, uint32_t len)
{
	if (len == SL_ELEM_UNDEFINED) {
		sl_elem_tree_broken(e, SL_ELEM_FLAW_BAD_FRAGMENT);
		return;
	}
	if (len > f->end - e->pos)
		sl_elem_tree_note(e, SL_ELEM_FLAW_ITEM_OVERRUN);
	sl_elem_tree_skip(e, sl_min64(e->pos + len, f->end));
}

/* An item delimiter where an item must be. After an item of defined length nobody needs it. After one
 * that had its own, it ends the item around this sequence, whose own delimiter is missing. */
static void on_item_end(struct sl_elem *e, const struct sl_elem_frame *f)
{
	const unsigned both = OPEN | ITEM_OPEN;
	if (e->depth < 2 || (f->bits & both) != both || !(f[-1].bits & ITEM_OPEN))
		return;
	sl_elem_tree_note(e, SL_ELEM_FLAW_NO_DELIMITER);
	e->depth--;
	clear(sl_elem_tree_top(e), ITEM_ENDS);
}

void sl_elem_tree_item(struct sl_elem *e, const struct sl_elem_head *h)
{
	struct sl_elem_frame *f = sl_elem_tree_top(e);
	if ((f->bits & GUESS) && (h->tag != SL_TAG_ITEM || e->depth > e->limits.depth)) {
		if (h->tag == SL_TAG_ITEM) {
			sl_elem_tree_limit(e, SL_ELEM_FLAW_TOO_DEEP);
			return;
		}
		uint64_t end = f->end; /* a value that only began like a sequence */
		e->depth--;
		sl_elem_tree_skip(e, end);
		return;
	}
	clear(f, GUESS);
	if ((h->encoding ^ f->encoding) & SL_ELEM_IMPLICIT_BE)
		f->encoding ^= SL_ELEM_IMPLICIT_BE;
	if (h->tag == SL_TAG_SEQUENCE_END) {
		if (f->bits & OPEN)
			e->depth--;
		return;
	}
	if (h->tag == SL_TAG_ITEM_END) {
		on_item_end(e, f);
		return;
	}
	/* OB or OW of undefined length outside of group 7FE0 may hold items that are no fragments */
	if ((f->bits & PIECES) && h->len == SL_ELEM_UNDEFINED && f->tag >> 16 != 0x7FE0)
		clear(f, PIECES);
	if (f->bits & PIECES)
		open_piece(e, f, h->len);
	else
		open_item(e, f, h->len);
}

void sl_elem_tree_delimiter(struct sl_elem *e, const struct sl_elem_head *h)
{
	struct sl_elem_frame *f = sl_elem_tree_top(e);
	if (f == NULL) {
		if (h->tag != SL_TAG_ITEM_END && h->tag != SL_TAG_SEQUENCE_END)
			sl_elem_tree_broken(e, SL_ELEM_FLAW_STRAY_ITEM);
		return; /* a delimiter nobody needs */
	}
	if (h->tag == SL_TAG_ITEM_END) {
		if (f->bits & ITEM_OPEN)
			clear(f, ITEM_ENDS);
		return;
	}
	if ((f->bits & SOFT) || (h->tag != SL_TAG_ITEM && h->tag != SL_TAG_SEQUENCE_END)) {
		sl_elem_tree_broken(e, SL_ELEM_FLAW_NOT_AN_ELEMENT);
		return;
	}
	/* the next item, or the end of the sequence, inside an item: that one ends here */
	sl_elem_tree_note(
		e, f->bits & ITEM_OPEN ? SL_ELEM_FLAW_NO_DELIMITER : SL_ELEM_FLAW_ITEM_OVERRUN);
	clear(f, ITEM_ENDS);
	sl_elem_tree_item(e, h);
}

bool sl_elem_tree_not_item(struct sl_elem *e, const uint8_t *b)
{
	struct sl_elem_frame *f = sl_elem_tree_top(e);
	struct sl_elem_head h;
	(void)sl_elem_head_is_item(&h, b, f->encoding);

	if (f->bits & (GUESS | SOFT) || f->end != UINT64_MAX) {
		uint64_t end = f->end;
		if (!(f->bits & (GUESS | SOFT)))
			sl_elem_tree_note(e, SL_ELEM_FLAW_NOT_AN_ITEM);
		e->pos += SL_ELEM_HEAD_SHORT;
		if ((f->bits & SOFT) && !(f->bits & GUESS)) {
			leave_soft(e);
			return false;
		}
		e->depth--;
		sl_elem_tree_skip(e, end);
		return false;
	}
	if (!(f->bits & PIECES) && (!(f->bits & SEEN) || h.tag <= f->tag)) {
		/* an item that lost its header, or is longer than it says */
		sl_elem_tree_note(e, SL_ELEM_FLAW_NOT_AN_ITEM);
		set(f, SEEN | ITEM | ITEM_OPEN | ITEM_NEW);
		f->item_end = f->end;
		f->item_encoding = f->encoding;
		return true;
	}
	if (h.tag > f->tag) {
		sl_elem_tree_note(e, SL_ELEM_FLAW_NO_DELIMITER);
		e->depth--;
		return true;
	}
	sl_elem_tree_note(e, SL_ELEM_FLAW_NOT_AN_ITEM);
	e->pos += SL_ELEM_HEAD_SHORT;
	e->state = SL_ELEM_IN_REST;
	return false;
}
