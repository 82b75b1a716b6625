/* Where received bytes live; see intake.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/intake.h"

#include <sys/ioctl.h>

static bool is_area(const struct sl_intake *in)
{
	return in->region->pool == &in->pools->areas;
}

static struct iovec *table_of(const struct sl_intake *in)
{
	size_t i = in->region->index;
	return is_area(in) ? &in->pools->area_tables[i * SL_PART_SMALL]
			   : &in->pools->buffer_tables[i * SL_PART_IOV];
}

static uint16_t places_of(const struct sl_intake *in)
{
	return is_area(in) ? SL_PART_SMALL : SL_PART_IOV;
}

/* Leaves the region for s: one of the areas, or a buffer whose reference is taken over. */
static void enter(struct sl_intake *in, struct sl_slab *s)
{
	if (in->region != NULL && !is_area(in))
		sl_slab_put(in->region);
	in->region = s;
	in->start = in->end = 0;
	in->places_n = 0;
}

/* An area that no part refers to; NULL: all are in flight. */
static struct sl_slab *free_area(const struct sl_intake *in)
{
	for (size_t i = 0; i < SL_INTAKE_AREAS; i++)
		if (!sl_slab_is_shared(in->areas[i]))
			return in->areas[i];
	return NULL;
}

/* All of the region was parsed and none of it belongs to an open object: back to rest. */
static void rest(struct sl_intake *in)
{
	if (is_area(in) && sl_slab_is_shared(in->region) && in->end < in->region->cap)
		return; /* behind a part in flight there is still room */
	struct sl_slab *area = free_area(in);
	if (area != NULL)
		enter(in, area);
	else
		in->wait = SL_INTAKE_DISK;
}

/* ---- grants ---------------------------------------------------------------------------------- */

/* Any thread. */
static void on_grant(struct sl_slab_waiter *waiter)
{
	struct sl_intake *in = sl_container_of(waiter, struct sl_intake, waiter);
	sl_mailbox_post(in->mailbox, &in->granted);
}

/* The part goes on in the buffer: the object stays one part. Takes the reference. */
static void adopt(struct sl_intake *in, struct sl_slab *buffer)
{
	enum sl_status st = sl_part_hold(in->part, buffer);
	sl_assert(st == SL_OK); /* until then it lies in one */
	enter(in, buffer);
	sl_part_rehome(in->part, table_of(in), places_of(in));
	in->since_ms = in->now_ms;
	in->wait = SL_INTAKE_READY;
}

static void deliver_grant(struct sl_mail *mail)
{
	struct sl_intake *in = sl_container_of(mail, struct sl_intake, granted);
	struct sl_slab *buffer = in->waiter.granted;
	bool is_wanted = in->ticket == SL_INTAKE_QUEUED;
	in->ticket = SL_INTAKE_NO_TICKET;
	in->waiter.granted = NULL;
	if (is_wanted)
		adopt(in, buffer);
	else
		sl_slab_put(buffer);
	in->on_granted(in);
}

static void ask_for_buffer(struct sl_intake *in)
{
	if (in->ticket == SL_INTAKE_LATE) { /* the one under way will do */
		in->ticket = SL_INTAKE_QUEUED;
		in->wait = SL_INTAKE_POOL;
		return;
	}
	struct sl_slab *buffer = sl_slab_get_or_wait(&in->pools->buffers, &in->waiter,
		in->has_appended ? SL_SLAB_FINISH : SL_SLAB_INTAKE);
	if (buffer != NULL) {
		adopt(in, buffer);
		return;
	}
	in->ticket = SL_INTAKE_QUEUED;
	in->wait = SL_INTAKE_POOL;
}

static void forget_ticket(struct sl_intake *in)
{
	if (in->ticket == SL_INTAKE_QUEUED)
		in->ticket = sl_slab_unwait(&in->pools->buffers, &in->waiter) ? SL_INTAKE_NO_TICKET
									      : SL_INTAKE_LATE;
}

/* ---- life ------------------------------------------------------------------------------------ */

void sl_intake_init(struct sl_intake *in, struct sl_intake_pools *pools, struct sl_mailbox *mailbox,
	void (*on_granted)(struct sl_intake *in))
{
	in->pools = pools;
	in->mailbox = mailbox;
	in->on_granted = on_granted;
	in->fd = -1;
	in->region = NULL;
	in->ticket = SL_INTAKE_NO_TICKET;
	atomic_init(&in->is_awaited, false);
	in->waiter = (struct sl_slab_waiter){0};
	in->waiter.on_grant = on_grant;
	sl_list_init(&in->waiter.node);
	sl_mail_init(&in->granted, deliver_grant);
}

void sl_intake_open(struct sl_intake *in, int fd)
{
	in->fd = fd;
	in->op = NULL;
	in->part = NULL;
	in->wait = SL_INTAKE_READY;
	/* There are enough: those of a slot come back before it is free (server.c, lay_out()). */
	for (size_t i = 0; i < SL_INTAKE_AREAS; i++) {
		in->areas[i] = sl_slab_get(&in->pools->areas);
		sl_assert(in->areas[i] != NULL);
	}
	enter(in, in->areas[0]);
}

void sl_intake_close(struct sl_intake *in)
{
	if (in->region == NULL)
		return;
	(void)sl_intake_drop(in);
	enter(in, in->areas[0]); /* a buffer goes back */
	in->region = NULL;
	for (size_t i = 0; i < SL_INTAKE_AREAS; i++)
		sl_slab_put(in->areas[i]);
	in->fd = -1;
}

bool sl_intake_is_quiet(const struct sl_intake *in)
{
	return in->region == NULL && in->ticket == SL_INTAKE_NO_TICKET;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

uint8_t *sl_intake_room(const struct sl_intake *in, size_t *n)
{
	*n = in->region->cap - in->end;
	return in->region->base + in->end;
}

void sl_intake_filled(struct sl_intake *in, size_t n, uint64_t now_ms)
{
	sl_assert(n <= in->region->cap - in->end);
	in->end += n;
	in->now_ms = now_ms;
}

struct sl_cur sl_intake_bytes(const struct sl_intake *in)
{
	return sl_cur_of(in->region->base + in->start, in->end - in->start);
}

void sl_intake_parsed(struct sl_intake *in, const struct sl_cur *left)
{
	in->start = in->end - sl_cur_left(left);
}

/* ---- payload --------------------------------------------------------------------------------- */

void sl_intake_begin(struct sl_intake *in, struct sl_op *op)
{
	sl_assert(in->part == NULL);
	in->op = op;
	in->has_appended = false;
}

/* A part for the fragments that come, with what is left of the region's table; false when nothing is,
 * before parts in flight are released. */
static bool gather(struct sl_intake *in)
{
	if (!sl_slab_is_shared(in->region))
		in->places_n = 0;
	uint16_t left = (uint16_t)(places_of(in) - in->places_n);
	if (left == 0) {
		in->wait = SL_INTAKE_DISK;
		return false;
	}
	in->part = sl_op_part(in->op);
	sl_part_init(in->part, table_of(in) + in->places_n, left);
	enum sl_status held = sl_part_hold(in->part, in->region);
	sl_assert(held == SL_OK);
	in->since_ms = in->now_ms;
	return true;
}

/* Ends the gathering: the part's places stay taken. */
static void close_part(struct sl_intake *in)
{
	in->places_n = (uint16_t)(in->places_n + in->part->iov_n);
	in->part = NULL;
}

/* Hands the gathered part to the disk; false when too many are in flight. */
static bool append(struct sl_intake *in)
{
	if (!sl_op_has_room(in->op)) {
		in->wait = SL_INTAKE_DISK;
		return false;
	}
	close_part(in);
	sl_op_append(in->op);
	in->has_appended = true;
	return true;
}

enum sl_status sl_intake_add(struct sl_intake *in, const uint8_t *at, size_t n)
{
	if (in->op == NULL || n == 0)
		return SL_OK;
	if (in->part == NULL && !gather(in))
		return SL_AGAIN;
	enum sl_status st = sl_part_add(in->part, in->region->base + (at - in->region->base), n);
	if (st == SL_OK) {
		in->wait = SL_INTAKE_READY;
		return SL_OK;
	}
	/* The table is full before the buffer is: written as it is, and this region's next part begins
	 * when those before it are done. */
	(void)append(in);
	in->wait = SL_INTAKE_DISK;
	return SL_AGAIN;
}

enum sl_status sl_intake_finish(struct sl_intake *in, uint64_t extra_bytes)
{
	sl_assert(in->op != NULL);
	if (in->part != NULL && !sl_op_has_room(in->op)) {
		in->wait = SL_INTAKE_DISK;
		return SL_AGAIN;
	}
	struct sl_op *op = in->op;
	bool has_last = in->part != NULL;
	if (has_last)
		close_part(in);
	in->op = NULL;
	in->wait = SL_INTAKE_READY;
	sl_op_finish(op, has_last, extra_bytes);
	return SL_OK;
}

uint64_t sl_intake_drop(struct sl_intake *in)
{
	uint64_t dropped = 0;
	if (in->part != NULL) {
		dropped = in->part->bytes;
		sl_part_release(in->part);
	}
	in->part = NULL;
	in->op = NULL;
	in->wait = SL_INTAKE_READY;
	forget_ticket(in);
	return dropped;
}

/* ---- room ------------------------------------------------------------------------------------ */

static bool is_fast(const struct sl_intake *in)
{
	if (in->now_ms - in->since_ms < SL_INTAKE_FAST_MS)
		return true;
	int waiting = 0;
	return ioctl(in->fd, FIONREAD, &waiting) == 0 && (size_t)waiting >= in->region->cap;
}

/* An object that began behind another one in its buffer would be cut in two only for that. Nobody waits
 * for this: a holder of a buffer does not queue for another. */
static bool go_on_in_second(struct sl_intake *in)
{
	if (in->places_n == 0 || in->has_appended || in->part->bufs_n == SL_PART_BUFS)
		return false;
	struct sl_slab *second = sl_slab_get(&in->pools->buffers);
	if (second != NULL)
		adopt(in, second);
	return second != NULL;
}

void sl_intake_turn(struct sl_intake *in)
{
	if (in->start < in->end || in->ticket == SL_INTAKE_QUEUED)
		return; /* the parser is held up, or a buffer is on its way */
	in->wait = SL_INTAKE_READY;
	if (in->part == NULL) {
		rest(in);
		return;
	}
	if (in->end < in->region->cap)
		return;
	if (is_area(in) && is_fast(in)) {
		ask_for_buffer(in);
		return;
	}
	if (!is_area(in) && go_on_in_second(in))
		return;
	if (append(in))
		rest(in);
}

void sl_intake_await(struct sl_intake *in)
{
	(void)atomic_exchange_explicit(&in->is_awaited, true, memory_order_acq_rel);
}

bool sl_intake_spill(struct sl_intake *in, uint64_t now_ms)
{
	if (in->part == NULL || is_area(in) || in->start < in->end || !sl_op_has_room(in->op))
		return false;
	if (now_ms - in->now_ms < SL_INTAKE_QUIET_MS && now_ms - in->since_ms < SL_INTAKE_HOLD_MS)
		return false;
	if (!append(in))
		return false;
	rest(in);
	return true;
}
