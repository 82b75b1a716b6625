/* An object in work, seen from the loop: what ingest tells from its threads, brought home.
 *
 * Happy path: begin, append parts as buffers fill (at most SL_INGEST_WINDOW in flight), finish; ingest
 * calls back on a storage thread, the mailbox carries it to the loop, on_part says that one or more
 * parts were released, on_done, once and last, that the object is done. Then the op is free again.
 *
 * A waiting reader needs no count of its own: sl_op_has_room() is asked again after on_part.
 *
 * Threads: all functions on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/sm.h"
#include "server/mailbox.h"
#include "storage/ingest.h"

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
	atomic_uint
		in_flight; /* parts at ingest: added to on the loop, taken from on disk threads */
};

/* The caller sets on_part, on_done and owner. */
void sl_op_init(struct sl_op *op, struct sl_mailbox *mailbox);

/* The op must be free. As sl_ingest_begin(). */
SL_MUST enum sl_status sl_op_begin(
	struct sl_op *op, struct sl_ingest *ingest, const struct sl_ingest_params *params);

/* True when another part may be appended, or the last one handed over, now. */
bool sl_op_has_room(const struct sl_op *op);

/* Takes the part; room is there. */
void sl_op_append(struct sl_op *op, struct sl_part *part);

/* As sl_ingest_finish(); room is there when `last` is not NULL. */
void sl_op_finish(struct sl_op *op, struct sl_part *last, uint64_t extra_bytes);

/* The association is gone: an open object is given up. Nothing to do in the other stages. */
void sl_op_abort(struct sl_op *op);
