/* Inflates a deflated data set on its way to the element walker, just far enough to index it.
 *
 * The object is stored as it came; this only lets the walker look inside (PS3.5 A.5, raw deflate; the
 * zlib and gzip wrappers that some devices add are taken too). It stops looking when Pixel Data is
 * reached or `max` bytes came out (dicom.inflate_max): such an object is indexed by what is known by then.
 * The limit on one value does not apply. A broken stream makes the object unsound
 * (SL_ELEM_FLAW_BAD_DEFLATE, SL_ELEM_FLAW_TRUNCATED_DEFLATE).
 *
 * Memory: everything lives in sl_inflate_memory() bytes that the caller hands in (48 KiB: zlib's state,
 * its 32 KiB window, a small piece of output); zlib's allocator is a pointer into them, so nothing is
 * allocated at run time. Each disk thread has one; a stream is begun and ended within one job, or handed on
 * with its memory.
 *
 * Owner: whoever holds the memory, one thread at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem.h"

struct sl_inflate;

/* Bytes one inflater needs; a constant, aligned to 64. */
size_t sl_inflate_memory(void);

/* Begins a stream in `memory` (sl_inflate_memory() bytes, 64-byte aligned, borrowed until the last call).
 * max is the most bytes that are inflated. May be called again for the next object. */
struct sl_inflate *sl_inflate_init(void *memory, uint64_t max);

/* Inflates the next n bytes of the stream into `e`, in pieces of at most 4 KiB; any split.
 * SL_OK, also when the stream is broken (e->flaw) or no longer looked at; SL_E_LIMIT from the walker. */
SL_MUST enum sl_status sl_inflate_feed(
	struct sl_inflate *inf, struct sl_elem *e, const uint8_t *bytes, size_t n);

/* The stream has ended: notes a missing end, then sl_elem_end(e). */
SL_MUST enum sl_status sl_inflate_end(struct sl_inflate *inf, struct sl_elem *e);
