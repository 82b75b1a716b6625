/* A part: the piece of a data set that one disk job writes.
 *
 * A gather list of fragments that lie, in order, in at most SL_PART_BUFS buffers (a connection's
 * receive area, then a pool buffer), with one reference on each of them. The PDU and PDV headers
 * between the fragments are simply not in the list: payload is never copied. Each buffer has one part
 * of its own beside it (a parallel array by sl_slab.index).
 *
 * Filled on the loop thread, handed to a disk thread by a queue, released there; one owner at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "core/list.h"
#include "core/slab.h"
#include "core/status.h"

#define SL_PART_BUFS  2	  /* an area and a pool buffer */
#define SL_PART_IOV   256 /* fragments of a pool buffer's part (DESIGN 2) */
#define SL_PART_SMALL 24  /* fragments of an area's part */
#define SL_PART_MOVE  512 /* a fragment shorter than this may be moved [bytes] */

struct sl_part {
	struct sl_list node; /* in the object's queue, or none */
	struct iovec *iov;   /* iov_cap places, handed in at init */
	uint16_t iov_n, iov_cap;
	uint8_t bufs_n;
	bool is_in_flight; /* handed to ingest, not yet released; loop thread only */
	uint64_t bytes;	   /* sum of the fragments */
	struct sl_slab *bufs[SL_PART_BUFS]; /* one reference each, owned by the part */
};

void sl_part_init(struct sl_part *p, struct iovec *iov, uint16_t iov_cap);

/* Shares `s`: the part takes a reference of its own. SL_E_NOMEM when it has SL_PART_BUFS already. */
SL_MUST enum sl_status sl_part_hold(struct sl_part *p, struct sl_slab *s);

/* Appends n bytes at `at`, which lie in the buffer held last. Contiguous fragments merge; in a table
 * more than half full a fragment under SL_PART_MOVE bytes moves down to its predecessor in the same
 * buffer. SL_E_NOMEM when the table is full: write the part as it is. */
SL_MUST enum sl_status sl_part_add(struct sl_part *p, uint8_t *at, size_t n);

/* Moves everything from `from` to the empty part `to` (buffers' references included). */
void sl_part_move(struct sl_part *to, struct sl_part *from);

/* Puts the buffers and empties the part. Any thread that owns it. */
void sl_part_release(struct sl_part *p);
