/* Where the walk stands: the open sequences and items, their ends, and what is done when they lie.
 *
 * A stack of frames inside struct sl_elem; a frame is a sequence, with at most one open item. Every end
 * is cut to the end around it, so that a lying inner length cannot reach outer bytes. A frame of
 * undefined length ends at its delimiter, or at the end around it.
 *
 * A *soft* frame is a value that only looks like a sequence (implicit private elements, UN): what is odd
 * in it is no flaw, it ends the looking. A *guess* is a frame whose first item was not seen yet.
 * Used by elem.c only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem_head.h"

enum sl_elem_state {
	SL_ELEM_AT_HEADER, /* the next byte begins (or continues, head_len) a header */
	SL_ELEM_IN_VALUE,  /* `left` bytes of a value that is kept */
	SL_ELEM_IN_SKIP,   /* `left` bytes nobody looks at */
	SL_ELEM_IN_ZEROS,  /* zeros after the last element */
	SL_ELEM_IN_REST,   /* only counted: no way back, or stopped */
	SL_ELEM_AT_LIMIT   /* only counted: refused */
};

enum sl_elem_frame_bit {
	SL_ELEM_FRAME_OPEN = 1 << 0, /* undefined length */
	SL_ELEM_FRAME_ITEM = 1 << 1, /* an item is open */
	SL_ELEM_FRAME_ITEM_OPEN =
		1 << 2, /* that item's length is (or the last one's was) undefined */
	SL_ELEM_FRAME_ITEM_NEW = 1 << 3, /* that item's first element is still to come */
	SL_ELEM_FRAME_SEEN = 1 << 4,     /* there was an item */
	SL_ELEM_FRAME_PIECES = 1 << 5,   /* fragments: items hold bytes, not elements; PS3.5 A.4 */
	SL_ELEM_FRAME_GUESS = 1 << 6,
	SL_ELEM_FRAME_SOFT = 1 << 7
};

/* The innermost open sequence; NULL at top level. */
static inline struct sl_elem_frame *sl_elem_tree_top(struct sl_elem *e)
{
	return e->depth == 0 ? NULL : &e->frames[e->depth - 1];
}

/* True where an item or delimiter must come next, not an element. */
static inline bool sl_elem_tree_wants_item(const struct sl_elem *e)
{
	return e->depth > 0 && !(e->frames[e->depth - 1].bits & SL_ELEM_FRAME_ITEM);
}

/* The offset of the end around e->pos; UINT64_MAX where no length says. */
static inline uint64_t sl_elem_tree_end(const struct sl_elem *e)
{
	if (e->depth == 0)
		return UINT64_MAX;
	const struct sl_elem_frame *f = &e->frames[e->depth - 1];
	return f->bits & SL_ELEM_FRAME_ITEM ? f->item_end : f->end;
}

/* Bytes from e->pos to there; UINT64_MAX likewise. */
static inline uint64_t sl_elem_tree_room(const struct sl_elem *e)
{
	uint64_t end = sl_elem_tree_end(e);
	return end == UINT64_MAX ? UINT64_MAX : end - e->pos;
}

/* Notes a flaw at e->pos; not in soft frames, and only the first. */
void sl_elem_tree_note(struct sl_elem *e, enum sl_elem_flaw flaw);

/* The object is past a limit. */
void sl_elem_tree_limit(struct sl_elem *e, enum sl_elem_flaw flaw);

/* Skips to offset `end`; nothing when that is here. */
void sl_elem_tree_skip(struct sl_elem *e, uint64_t end);

/* What comes next cannot be read: notes the flaw and skips to the end around it, or, where no length
 * says, gives the rest up. */
void sl_elem_tree_broken(struct sl_elem *e, enum sl_elem_flaw flaw);

/* Closes every item and sequence that ends at e->pos. */
void sl_elem_tree_settle(struct sl_elem *e);

/* Opens the sequence of element `h`, whose value begins at e->pos; encoding is that of its items. */
void sl_elem_tree_push(
	struct sl_elem *e, const struct sl_elem_head *h, uint8_t bits, uint8_t encoding);

/* An item or delimiter where one must be; e->pos is behind it. */
void sl_elem_tree_item(struct sl_elem *e, const struct sl_elem_head *h);

/* An item or delimiter among elements; e->pos is behind it. */
void sl_elem_tree_delimiter(struct sl_elem *e, const struct sl_elem_head *h);

/* Something else where an item must be: 8 bytes `b` at e->pos. True when they are to be read again, in
 * what is now around them; false when the walk goes on elsewhere (e->pos is behind them). */
SL_MUST bool sl_elem_tree_not_item(struct sl_elem *e, const uint8_t *b);
