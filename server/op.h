/* An object in work, seen from the loop: what ingest tells from its threads, brought home.
 *
 * Happy path: begin, append parts as buffers fill (at most SL_INGEST_WINDOW in flight), finish; ingest
 * calls back on a storage thread, the mailbox carries it to the loop, on_part says that one or more
 * parts were released, on_done, once and last, that the object is done. Then the op is free again.
 *
 * A released part is news only for a reader that waits for it: it says so in `is_awaited`, looks once
 * more, and is told. Nobody else is woken up for it.
 *
 * The parts are the op's own, used in turn: they are released in the order in which they were handed
 * over, so the one after those in flight is always free.
 *
 * Threads: all functions on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/sm.h"
#include "server/mailbox.h"
#include "storage/ingest.h"

#define SL_OP_PARTS (SL_INGEST_WINDOW + 1) /* those in flight, and the one being gathered */

enum sl_op_stage {
	SL_OP_FREE,
	SL_OP_OPEN,     /* its data set is coming in */
	SL_OP_DECIDING, /* finished or aborted: ingest has the last word */
	SL_OP_STAGE_N
};

struct sl_op {
	struct sl_object object; /* ingest's while not FREE */
	struct sl_sm stage;      /* enum sl_op_stage */
	struct sl_mail part_news, done_news;
	struct sl_mailbox *mailbox;        /* of the owner's loop */
	void (*on_part)(struct sl_op *op); /* loop thread: there is room, or the object failed */
	void (*on_done)(struct sl_op *op); /* loop thread: object.result is valid, the op is free */
	void *owner;
	atomic_bool
		*is_awaited; /* the reader waits for a part; set on the loop, taken by who posts */
	atomic_uint
		in_flight;   /* parts at ingest: added to on the loop, taken from on disk threads */
	unsigned appended_n; /* parts ever handed over */
	struct sl_part parts[SL_OP_PARTS];
};

/* The caller sets on_part, on_done and owner. is_awaited is borrowed, for the op's life. */
void sl_op_init(struct sl_op *op, struct sl_mailbox *mailbox, atomic_bool *is_awaited);

/* The op must be free. As sl_ingest_begin(). */
SL_MUST enum sl_status sl_op_begin(
	struct sl_op *op, struct sl_ingest *ingest, const struct sl_ingest_params *params);

/* True when another part may be appended, or the last one handed over, now. */
bool sl_op_has_room(const struct sl_op *op);

/* The part to gather in: not in flight. The same one until it is handed over. */
struct sl_part *sl_op_part(struct sl_op *op);

/* Hands over sl_op_part(); room is there. */
void sl_op_append(struct sl_op *op);

/* As sl_ingest_finish(), with has_last: sl_op_part() is the rest, and room is there. */
void sl_op_finish(struct sl_op *op, bool has_last, uint64_t extra_bytes);

/* The association is gone: an open object is given up. Nothing to do in the other stages. */
void sl_op_abort(struct sl_op *op);
