/* An object in work, seen from the loop; see op.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/op.h"

static const struct sl_sm_row stage_rows[SL_OP_STAGE_N] = {
	[SL_OP_FREE] = {"FREE", SL_SM_TO(SL_OP_OPEN)},
	[SL_OP_OPEN] = {"OPEN", SL_SM_TO(SL_OP_DECIDING)},
	[SL_OP_DECIDING] = {"DECIDING", SL_SM_TO(SL_OP_FREE)},
};
static const struct sl_sm_conf stage_conf = {"op", stage_rows, SL_OP_STAGE_N};

/* On a storage thread; the part was emptied before. */
static void on_part(struct sl_object *object, struct sl_part *part)
{
	struct sl_op *op = sl_container_of(object, struct sl_op, object);
	(void)part;
	/* Release: who sees the count finds the part empty. */
	atomic_fetch_sub_explicit(&op->in_flight, 1, memory_order_release);
	/* Both sides exchange: either this one comes second and sees that it is awaited, or the loop's
	 * does, and looks again after it (sl_intake_await()). An object that failed is always news: its
	 * reader may wait for a buffer that it need not have. */
	if (atomic_exchange_explicit(op->is_awaited, false, memory_order_acq_rel) ||
		sl_ingest_is_failed(object))
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

void sl_op_init(struct sl_op *op, struct sl_mailbox *mailbox, atomic_bool *is_awaited)
{
	sl_sm_init(&op->stage, &stage_conf);
	sl_mail_init(&op->part_news, deliver_part);
	sl_mail_init(&op->done_news, deliver_done);
	op->mailbox = mailbox;
	op->is_awaited = is_awaited;
	atomic_init(&op->in_flight, 0);
}

enum sl_status sl_op_begin(
	struct sl_op *op, struct sl_ingest *ingest, const struct sl_ingest_params *params)
{
	sl_sm_move(&op->stage, SL_OP_OPEN);
	atomic_store_explicit(&op->in_flight, 0, memory_order_relaxed);
	op->appended_n = 0;
	op->object.on_part = on_part;
	op->object.on_done = on_done;
	op->object.owner = op;
	return sl_ingest_begin(ingest, &op->object, params);
}

bool sl_op_has_room(const struct sl_op *op)
{
	return atomic_load_explicit(&op->in_flight, memory_order_acquire) < SL_INGEST_WINDOW;
}

struct sl_part *sl_op_part(struct sl_op *op)
{
	return &op->parts[op->appended_n % SL_OP_PARTS];
}

/* The part gathered in, counted as in flight. */
static struct sl_part *hand_over(struct sl_op *op)
{
	struct sl_part *part = sl_op_part(op);
	sl_assert(sl_op_has_room(op));
	atomic_fetch_add_explicit(&op->in_flight, 1, memory_order_relaxed);
	op->appended_n++;
	return part;
}

void sl_op_append(struct sl_op *op)
{
	sl_ingest_append(&op->object, hand_over(op));
}

void sl_op_finish(struct sl_op *op, bool has_last, uint64_t extra_bytes)
{
	struct sl_part *last = has_last ? hand_over(op) : NULL;
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
