/* A part: the piece of a data set that one disk job writes.
 *
 * A gather list of fragments that lie, in order, in at most SL_PART_BUFS buffers (a connection's
 * receive area, then a pool buffer), with one reference on each of them. The PDU and PDV headers
 * between the fragments are simply not in the list: payload is never copied. The list's places are lent
 * from the table beside the buffer it ends in, of which several parts may have a piece each.
 *
 * Filled on the loop thread, handed to a disk thread by a queue, released there; one owner at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "core/list.h"
#include "core/slab.h"
#include "core/status.h"

#define SL_PART_BUFS  2   /* an area or a pool buffer, and the pool buffer after it */
#define SL_PART_IOV   256 /* fragments in a pool buffer (DESIGN 2) */
#define SL_PART_SMALL 24  /* fragments in an area */
#define SL_PART_MOVE  512 /* a fragment shorter than this may be moved [bytes] */

struct sl_part {
	struct sl_list node; /* in the object's queue, or none */
	struct iovec *iov;   /* iov_cap places, handed in at init */
	uint16_t iov_n, iov_cap;
	uint8_t bufs_n;
	uint64_t bytes;                     /* sum of the fragments */
	struct sl_slab *bufs[SL_PART_BUFS]; /* one reference each, owned by the part */
};

void sl_part_init(struct sl_part *p, struct iovec *iov, uint16_t iov_cap);

/* Shares `s`: the part takes a reference of its own. SL_E_NOMEM when it has SL_PART_BUFS already. */
SL_MUST enum sl_status sl_part_hold(struct sl_part *p, struct sl_slab *s);

/* Appends n bytes at `at`, which lie in the buffer held last. Contiguous fragments merge; in a table
 * more than half full a fragment under SL_PART_MOVE bytes moves down to its predecessor in the same
 * buffer. SL_E_NOMEM when the table is full: write the part as it is. */
SL_MUST enum sl_status sl_part_add(struct sl_part *p, uint8_t *at, size_t n);

/* Goes on with other places, iov_cap of them, at least as many as there are fragments. */
void sl_part_rehome(struct sl_part *p, struct iovec *iov, uint16_t iov_cap);

/* Puts the buffers and empties the part. Any thread that owns it. */
void sl_part_release(struct sl_part *p);
