/* Headers of data elements and items, and the judgement about how a header is written.
 *
 * Eight bytes say tag and length; an explicit header of a long VR needs twelve (PS3.5 7.1). Devices mix
 * explicit and implicit, invent VRs and leave them out; the decision is made here, from the header and
 * the room around it alone, so that it is the same however the bytes were cut. Used by elem.c only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem.h"

#define SL_ELEM_HEAD_SHORT 8
#define SL_ELEM_HEAD_LONG  12
#define SL_ELEM_UNDEFINED  UINT32_MAX /* a length that says "until the delimiter"; PS3.5 7.1.1 */

#define SL_TAG_ITEM            UINT32_C(0xFFFEE000)
#define SL_TAG_ITEM_END        UINT32_C(0xFFFEE00D)
#define SL_TAG_SEQUENCE_END    UINT32_C(0xFFFEE0DD)
#define SL_TAG_IS_DELIMITER(t) ((t) >> 16 == 0xFFFE)
#define SL_TAG_IS_PRIVATE(t)   (((t) >> 16 & 1) != 0)

/* Bits of what a VR means to the walker. */
enum sl_elem_vr {
	SL_ELEM_VR_KNOWN = 1 << 0,
	SL_ELEM_VR_LONG = 1 << 1,   /* 32-bit length after two reserved bytes; PS3.5 table 7.1-1 */
	SL_ELEM_VR_BULK = 1 << 2,   /* may be of any size */
	SL_ELEM_VR_BINARY = 1 << 3, /* numbers: no text in it to index */
	SL_ELEM_VR_SQ = 1 << 4,
	SL_ELEM_VR_UN = 1 << 5
};

struct sl_elem_head {
	uint32_t tag;     /* group << 16 | element */
	uint32_t len;     /* bytes of the value, or SL_ELEM_UNDEFINED */
	uint8_t size;     /* bytes of the header: 8 or 12 */
	uint8_t encoding; /* enum sl_elem_encoding this header turned out to be in */
	uint8_t vr;       /* enum sl_elem_vr bits; 0 = implicit or unknown */
};

/* Where a header stands. */
struct sl_elem_place {
	enum sl_elem_encoding encoding; /* of its surroundings */
	bool is_top;                    /* not inside an item */
	bool is_first;                  /* of the data set (group 0002 aside) or of the item */
	uint64_t room;                  /* bytes from the header's start to the end around it */
};

/* Reads 8 bytes as an item or delimiter, in the given byte order or, failing that, in the other one;
 * h->encoding has the one it was. False when they are neither. PS3.5 7.5. */
bool sl_elem_head_is_item(struct sl_elem_head *h, const uint8_t *b, enum sl_elem_encoding encoding);

/* Reads n bytes (8, or 12 and more) as an element's header.
 * SL_OK; SL_AGAIN when it is a long one and n is less than 12; SL_E_DATASET when no reading makes sense. */
SL_MUST enum sl_status sl_elem_head_decode(
	struct sl_elem_head *h, const uint8_t *b, size_t n, const struct sl_elem_place *place);
