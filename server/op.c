/* An object in work, seen from the loop; see op.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/op.h"

static const struct sl_sm_row stage_rows[SL_OP_STAGE_N] = {
	[SL_OP_FREE] = {"FREE", SL_SM_TO(SL_OP_OPEN)},
	[SL_OP_OPEN] = {"OPEN", SL_SM_TO(SL_OP_DECIDING)},
	[SL_OP_DECIDING] = {"DECIDING", SL_SM_TO(SL_OP_FREE)},
};
static const struct sl_sm_conf stage_conf = {"op", stage_rows, SL_OP_STAGE_N};

/* On a storage thread. The part was emptied before: nothing of it is touched here, since its buffer
 * may already be somebody else's. */
static void on_part(struct sl_object *object, struct sl_part *part)
{
	struct sl_op *op = sl_container_of(object, struct sl_op, object);
	(void)part;
	/* Relaxed: the count decides only whether to hand over one more; the buffer's own reference
	 * count orders the memory. */
	atomic_fetch_sub_explicit(&op->in_flight, 1, memory_order_relaxed);
	sl_mailbox_post(op->mailbox, &op->part_news);
}

/* On a storage thread; ingest does not touch the object after this. */
static void on_done(struct sl_object *object)
{
	struct sl_op *op = sl_container_of(object, struct sl_op, object);
	sl_mailbox_post(op->mailbox, &op->done_news);
}

static void deliver_part(struct sl_mail *mail)
{
	struct sl_op *op = sl_container_of(mail, struct sl_op, part_news);
	op->on_part(op);
}

/* The last news of an object: whatever was posted for its parts came before. */
static void deliver_done(struct sl_mail *mail)
{
	struct sl_op *op = sl_container_of(mail, struct sl_op, done_news);
	sl_sm_move(&op->stage, SL_OP_FREE);
	op->on_done(op);
}

void sl_op_init(struct sl_op *op, struct sl_mailbox *mailbox)
{
	sl_sm_init(&op->stage, &stage_conf);
	sl_mail_init(&op->part_news, deliver_part);
	sl_mail_init(&op->done_news, deliver_done);
	op->mailbox = mailbox;
	atomic_init(&op->in_flight, 0);
}

enum sl_status sl_op_begin(
	struct sl_op *op, struct sl_ingest *ingest, const struct sl_ingest_params *params)
{
	sl_sm_move(&op->stage, SL_OP_OPEN);
	atomic_store_explicit(&op->in_flight, 0, memory_order_relaxed);
	op->object.on_part = on_part;
	op->object.on_done = on_done;
	op->object.owner = op;
	return sl_ingest_begin(ingest, &op->object, params);
}

bool sl_op_has_room(const struct sl_op *op)
{
	return atomic_load_explicit(&op->in_flight, memory_order_relaxed) < SL_INGEST_WINDOW;
}

void sl_op_append(struct sl_op *op, struct sl_part *part)
{
	sl_assert(sl_op_has_room(op));
	atomic_fetch_add_explicit(&op->in_flight, 1, memory_order_relaxed);
	sl_ingest_append(&op->object, part);
}

void sl_op_finish(struct sl_op *op, struct sl_part *last, uint64_t extra_bytes)
{
	sl_assert(last == NULL || sl_op_has_room(op));
	if (last != NULL)
		atomic_fetch_add_explicit(&op->in_flight, 1, memory_order_relaxed);
	sl_sm_move(&op->stage, SL_OP_DECIDING);
	sl_ingest_finish(&op->object, last, extra_bytes);
}

void sl_op_abort(struct sl_op *op)
{
	if (sl_sm_state(&op->stage) != SL_OP_OPEN)
		return;
	sl_sm_move(&op->stage, SL_OP_DECIDING);
	sl_ingest_abort(&op->object);
}
