/* The element walker: reads a data set as it passes, in any pieces, and says what it found.
 *
 * Happy path: sl_elem_init(), sl_elem_feed() with every slice of the data set in order, sl_elem_end().
 * On the way the indexed attributes (core/attrs.def) go into a struct sl_record and the four
 * identifying UIDs into the walker itself; every other value is skipped by count, so that bulk data
 * costs the same whatever its size. Nothing is allocated, nothing recurses, nothing is read twice.
 *
 * What devices really send is walked through and stays sound: lengths defined or not, odd lengths,
 * unknown or missing VRs, explicit data in an implicit context and the other way round (decided at the
 * first element of a data set or item), implicit content in UN (PS3.5 6.2.2), sequences in private
 * elements, group 0002 in the data set, any tag order, duplicates (the first stays), delimiters that
 * nobody needs, padding by (FFFC,FFFC) or zeros.
 *
 * What is broken is a flaw: the first one is kept with its place, the object is unsound, and the walk
 * goes on as long as an enclosing length or the tags themselves show where. Where nothing does, the rest
 * is only counted. Past a limit the walk ends: sl_elem_feed() says SL_E_LIMIT from then on.
 *
 * Owner: the object that embeds it, one thread at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/record.h"
#include "core/status.h"

#define SL_ELEM_DEPTH_MAX 64  /* the largest limits.depth; sizes the walker's stack */
#define SL_ELEM_VALUE     256 /* bytes of a value looked at: at least every cap of attrs.def */

/* All configurable; past one of them an object is refused, never stored. */
struct sl_elem_limits {
	uint32_t depth;    /* sequences inside each other, 1 .. SL_ELEM_DEPTH_MAX */
	uint32_t elements; /* elements and items of one data set */
	uint64_t
		value_len; /* bytes of one value that is not bulk (not OB, OD, OF, OL, OV, OW, UN) */
};
#define SL_ELEM_LIMITS_DEFAULT ((struct sl_elem_limits){32, 1000000, 16 * SL_MIB})

/* How headers are written: two bits. Implicit big endian is no transfer syntax, only a sighting. */
enum sl_elem_encoding {
	SL_ELEM_IMPLICIT_LE = 0,
	SL_ELEM_EXPLICIT_LE = 1, /* also every encapsulated and (inflated) every deflated one */
	SL_ELEM_IMPLICIT_BE = 2,
	SL_ELEM_EXPLICIT_BE = 3
};

enum sl_elem_flaw {
#define SL_ELEM_FLAW(name, words) SL_ELEM_FLAW_##name,
#include "core/elem_flaws.def"
#undef SL_ELEM_FLAW
	SL_ELEM_FLAW_N
};

/* The UIDs that identify an object. */
enum sl_elem_uid {
	SL_ELEM_UID_CLASS,    /* (0008,0016) */
	SL_ELEM_UID_INSTANCE, /* (0008,0018) */
	SL_ELEM_UID_STUDY,    /* (0020,000D) */
	SL_ELEM_UID_SERIES,   /* (0020,000E) */
	SL_ELEM_UID_N
};

enum sl_elem_found {
	SL_ELEM_ABSENT, /* not there, or empty */
	SL_ELEM_OK,
	SL_ELEM_INVALID /* there, but no UID (sl_uid_parse) */
};

/* An open sequence (or run of fragments). Its ends already respect every enclosing length. */
struct sl_elem_frame {
	uint64_t end;      /* offset one past it; UINT64_MAX = where its delimiter is */
	uint64_t item_end; /* the same of its open item */
	uint32_t tag;      /* of the sequence element */
	uint8_t encoding;  /* enum sl_elem_encoding its items start with */
	uint8_t item_encoding;
	uint8_t bits; /* elem.c's */
};

struct sl_elem {
	struct sl_elem_limits limits;
	struct sl_record *record; /* borrowed until sl_elem_end(); filled in place */

	bool ends_at_pixels; /* may be set after init: stop when Pixel Data is reached */

	/* What was found; valid at any time, complete after sl_elem_end(). */
	struct sl_uid uid[SL_ELEM_UID_N];
	uint8_t uid_found[SL_ELEM_UID_N]; /* enum sl_elem_found */
	enum sl_elem_flaw flaw;           /* the first one, or the limit; NONE = sound */
	uint64_t flaw_at;                 /* offset in the data set where it showed [bytes] */
	bool has_pixels;                  /* (7FE0,0008), (7FE0,0009) or (7FE0,0010) was reached */
	uint64_t pixels_at;               /* offset of its value [bytes] */
	uint64_t pixels_len;              /* as declared; UINT64_MAX = fragments */
	uint64_t elements;                /* headers of elements and items, so far */
	uint64_t pos;                     /* data set bytes consumed so far */

	/* ---- elem.c's own: where the walk stands ---- */
	uint8_t state;
	uint8_t encoding; /* of the top level */
	bool is_begun;    /* a top-level element outside group 0002 was read */
	uint8_t head_len; /* bytes in head[] */
	uint8_t head[12]; /* a header that arrived in pieces */
	uint8_t target;   /* where the value goes */
	uint16_t value_len;
	uint64_t left;                                      /* bytes of the value to come */
	uint32_t depth;                                     /* frames in use */
	struct sl_elem_frame frames[SL_ELEM_DEPTH_MAX + 1]; /* one more for a guess */
	uint8_t value[SL_ELEM_VALUE];
};
_Static_assert(sizeof(struct sl_elem) <= 3072, "one per object in work, part of the printed sum");

/* Begins a data set. `record` is not initialised here: a value it already holds stays. Limits outside
 * their range are brought into it. */
void sl_elem_init(struct sl_elem *e, const struct sl_elem_limits *limits,
	enum sl_elem_encoding encoding, struct sl_record *record);

/* Walks over the next n bytes; takes any split, consumes all.
 * SL_OK, also when unsound; SL_E_LIMIT when the object is past a limit, now or earlier: e->flaw says
 * which (TOO_DEEP is C010; TOO_MANY and TOO_LARGE are C011). */
SL_MUST enum sl_status sl_elem_feed(struct sl_elem *e, const uint8_t *bytes, size_t n);

/* Passes over up to n of the next bytes without seeing them: the same as feeding them, where their values
 * would only have been counted (bulk data, what follows the end of interest). Returns how many; 0: the
 * next byte must be fed. */
SL_MUST uint64_t sl_elem_pass(struct sl_elem *e, uint64_t n);

/* True once nothing that follows can change the outcome: the bytes are only counted. */
bool sl_elem_is_done(const struct sl_elem *e);

/* The rest of the data set will not be looked at (dicom.inflate_max reached, or nothing left to index):
 * from here on bytes are only counted and their end proves nothing. */
void sl_elem_stop(struct sl_elem *e);

/* Notes a flaw that somebody else saw (inflate), at the present offset; the first one stays. The rest is
 * only counted. */
void sl_elem_spoil(struct sl_elem *e, enum sl_elem_flaw flaw);

/* The data set has ended. SL_OK: sound. SL_E_DATASET: unsound, e->flaw says why. SL_E_LIMIT. */
SL_MUST enum sl_status sl_elem_end(struct sl_elem *e);

/* True with a class and an instance UID: without them an object is not kept (DESIGN 7). */
bool sl_elem_has_identity(const struct sl_elem *e);

/* "ends inside Pixel Data", for log and Error Comment. */
const char *sl_elem_flaw_words(enum sl_elem_flaw flaw);
/* "TRUNCATED_PIXELS", for tests. */
const char *sl_elem_flaw_name(enum sl_elem_flaw flaw);
