/* Where received bytes live: a connection's region, and the part that gathers its object's payload.
 *
 * The *region* is the buffer being read into: [start, end) waits for the parser, [end, cap) is free.
 * At rest it is an *area* (small, always there). While a data set comes in, the parser hands payload
 * to sl_intake_add(): it goes into the object's *part* as fragments, where it lies. In an asynchronous
 * association one read may bring the end of an object and the next one's beginning: then parts of
 * several objects lie in one region, each with a piece of the region's table of fragments.
 *
 * When the region is full, sl_intake_turn() makes room, in this order of preference:
 *   - nothing in it belongs to an open object: begin again at its front, or in another area;
 *   - an area that filled quickly, or with more waiting in the kernel: a pool buffer, into whose part
 *     the area's fragments move, so that an object that fits is one part. None free: queue and wait
 *     (reading pauses, TCP pushes back);
 *   - a pool buffer in which the object does not lie alone: a second one, if there is one now;
 *   - a slow sender's area, or a pool buffer: its part goes to the disk as it is, and reading goes on
 *     in another area. Too many parts in flight: wait for the disk.
 * Invariant: whoever holds a pool buffer can give it up without getting another one.
 *
 * A part is in flight until ingest put its references; the table's pieces are taken in turn and are free
 * again when no part refers to the region any more. A connection has SL_INTAKE_AREAS areas while it is
 * open; one that a part in flight refers to is not entered.
 *
 * Threads: all functions on the loop's thread; grants arrive by mailbox.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/part.h"
#include "server/mailbox.h"
#include "server/op.h"

#define SL_INTAKE_AREAS    (1 + SL_INGEST_WINDOW) /* a slow sender's parts in flight, and the region */
#define SL_INTAKE_FAST_MS  200                    /* an area filled in less is a fast sender's */
#define SL_INTAKE_QUIET_MS 100                    /* without a byte while others wait: spilled */
#define SL_INTAKE_HOLD_MS  1000 /* a part-filled buffer is held no longer while others wait */

/* The buffers of all connections and the tables of fragments beside them: SL_PART_SMALL places for each
 * area, SL_PART_IOV for each buffer, by sl_slab.index. Shared by the loops. */
struct sl_intake_pools {
	struct sl_slab_pool areas, buffers;
	struct iovec *area_tables, *buffer_tables;
};

enum sl_intake_wait {
	SL_INTAKE_READY,
	SL_INTAKE_POOL, /* for a buffer */
	SL_INTAKE_DISK, /* for a part to be written */
};

enum sl_intake_ticket {
	SL_INTAKE_NO_TICKET,
	SL_INTAKE_QUEUED, /* the waiter is queued, and its buffer is wanted */
	SL_INTAKE_LATE,   /* granted, but not wanted any more: put back on arrival */
};

struct sl_intake {
	struct sl_intake_pools *pools;
	struct sl_mailbox *mailbox;
	void (*on_granted)(struct sl_intake *in); /* a wait for the pool is over */
	int fd;                                 /* to ask how much waits in the kernel; borrowed */
	struct sl_slab *areas[SL_INTAKE_AREAS]; /* one reference each while open */
	struct sl_slab
		*region; /* one of the areas, or a buffer with a reference; NULL while closed */
	size_t start, end;
	uint16_t places_n;      /* of the region's table: taken by parts that were handed over */
	struct sl_op *op;       /* whose payload comes in; NULL: none, or it is dropped */
	struct sl_part *part;   /* op's, while it gathers; the last fragments lie in the region */
	bool has_appended;      /* a part of this object went ahead */
	atomic_bool is_awaited; /* see sl_intake_await() */
	enum sl_intake_wait wait;
	enum sl_intake_ticket ticket;
	struct sl_slab_waiter waiter;
	struct sl_mail granted;
	uint64_t now_ms;   /* when the last bytes came in */
	uint64_t since_ms; /* first payload byte in the region */
};

void sl_intake_init(struct sl_intake *in, struct sl_intake_pools *pools, struct sl_mailbox *mailbox,
	void (*on_granted)(struct sl_intake *in));

/* With areas for the connection fd. */
void sl_intake_open(struct sl_intake *in, int fd);

/* Gives everything back, at any time. A grant may still be under way: sl_intake_is_quiet(). */
void sl_intake_close(struct sl_intake *in);
bool sl_intake_is_quiet(const struct sl_intake *in);

/* The free bytes of the region; *n is 0 when there are none, or while waiting for a buffer. */
uint8_t *sl_intake_room(const struct sl_intake *in, size_t *n);

/* n bytes were read into the room at now_ms. */
void sl_intake_filled(struct sl_intake *in, size_t n, uint64_t now_ms);

/* What waits for the parser, and how far it came. */
struct sl_cur sl_intake_bytes(const struct sl_intake *in);
void sl_intake_parsed(struct sl_intake *in, const struct sl_cur *rest);

/* The payload that follows belongs to op's object. */
void sl_intake_begin(struct sl_intake *in, struct sl_op *op);

/* Takes n bytes of payload that lie in the region. SL_AGAIN: cannot yet, wait for the disk and ask
 * again with the same bytes; no other call may come in between but turn, close and drop. */
SL_MUST enum sl_status sl_intake_add(struct sl_intake *in, const uint8_t *at, size_t n);

/* The object's last byte was added: finishes op with what is gathered. SL_AGAIN as above. */
SL_MUST enum sl_status sl_intake_finish(struct sl_intake *in, uint64_t extra_bytes);

/* The object fails, or its association is gone: forgets what is gathered, and what was asked for.
 * Returns the payload bytes given up. */
uint64_t sl_intake_drop(struct sl_intake *in);

/* After the parser took all it could: makes room where there is none. in->wait says what for, when
 * there is still none. */
void sl_intake_turn(struct sl_intake *in);

/* in->wait is for the disk: from now on a released part is news, whichever operation's. What is waited
 * for may have come just before: look once more after this. */
void sl_intake_await(struct sl_intake *in);

/* On a tick, while others wait for buffers: gives up the buffer of a sender that went quiet or holds it
 * for long. True when it did. */
bool sl_intake_spill(struct sl_intake *in, uint64_t now_ms);
