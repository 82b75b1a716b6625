/* The intake alone, with ingest's twin as the disk: whatever the buffers, the pace and the cuts, each
 * object gets its own bytes in their order, and every buffer comes back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <sys/socket.h>
#include <unistd.h>

#include "server/intake.h"
#include "support/ingest_mem.h"

enum { AREA = 256, BUFFER = 2048, BUFFERS = 3, OPS = 3, HEADER = 6 };

struct rig {
	uv_loop_t loop;
	struct sl_mailbox mailbox;
	struct sl_intake_pools pools;
	struct sl_slab slots[SL_INTAKE_AREAS + BUFFERS];
	uint8_t mem[SL_INTAKE_AREAS * AREA + BUFFERS * BUFFER];
	struct iovec small[SL_INTAKE_AREAS * SL_PART_SMALL], large[BUFFERS * SL_PART_IOV];
	struct sl_intake in;
	struct ingest_mem *disk;
	struct sl_op ops[OPS];
	int fds[2];
	unsigned grants;
	uint64_t now_ms;
	uint32_t random;
	struct sl_slab *taken[BUFFERS]; /* by somebody else; NULL: not */
};

static void on_granted(struct sl_intake *in)
{
	struct rig *r = sl_container_of(in, struct rig, in);
	r->grants++;
}

static void on_op(struct sl_op *op)
{
	(void)op;
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	assert_non_null(r);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(sl_mailbox_open(&r->mailbox, &r->loop), SL_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, r->fds), 0);
	r->disk = ingest_mem_open();
	sl_slab_pool_init(&r->pools.areas, r->slots, r->mem, AREA, SL_INTAKE_AREAS);
	sl_slab_pool_init(&r->pools.buffers, r->slots + SL_INTAKE_AREAS,
		r->mem + SL_INTAKE_AREAS * AREA, BUFFER, BUFFERS);
	r->pools.area_tables = r->small;
	r->pools.buffer_tables = r->large;
	sl_intake_init(&r->in, &r->pools, &r->mailbox, on_granted);
	for (int i = 0; i < OPS; i++) {
		sl_op_init(&r->ops[i], &r->mailbox, &r->in.is_awaited);
		r->ops[i].on_part = r->ops[i].on_done = on_op;
	}
	sl_intake_open(&r->in, r->fds[0]);
	r->random = 1;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < OPS; i++)
		while (sl_sm_state(&r->ops[i].stage) != SL_OP_FREE)
			(void)uv_run(&r->loop, UV_RUN_ONCE);
	sl_intake_close(&r->in);
	sl_mailbox_close(&r->mailbox, NULL); /* delivers what is under way */
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_true(sl_intake_is_quiet(&r->in));
	ingest_mem_close(r->disk);
	assert_int_equal(sl_slab_pool_stats(&r->pools.areas).used, 0);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 0);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).waiters, 0);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	close(r->fds[0]);
	close(r->fds[1]);
	free(r);
	return 0;
}

/* 0 .. n-1 */
static uint32_t draw(struct rig *r, uint32_t n)
{
	r->random = r->random * 1664525u + 1013904223u;
	return (r->random >> 8) % n;
}

static uint8_t byte_of(unsigned object, size_t at)
{
	return (uint8_t)(object * 37 + at * 101 + at / 256);
}

/* ---- what a connection does -------------------------------------------------------------------- */

static void take_buffers(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < BUFFERS && n > 0; i++) {
		if (r->taken[i] == NULL && (r->taken[i] = sl_slab_get(&r->pools.buffers)) != NULL)
			n--;
	}
}

static void leave_buffers(struct rig *r)
{
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (r->taken[i] != NULL)
			sl_slab_put(r->taken[i]);
		r->taken[i] = NULL;
	}
}

/* Nothing goes on: until there is news. */
static void wait_for_news(struct rig *r)
{
	leave_buffers(r);
	ingest_mem_hold(r->disk, false);
	(void)uv_run(&r->loop, UV_RUN_ONCE);
}

/* As sl_conn_pump(): what is waited for may have come just before. */
static void must_wait(struct rig *r)
{
	bool was_awaited = atomic_load(&r->in.is_awaited);
	if (r->in.wait == SL_INTAKE_DISK && !was_awaited) {
		sl_intake_await(&r->in);
		return;
	}
	wait_for_news(r);
}

static struct sl_op *begin(struct rig *r)
{
	const struct sl_ingest_params params = {.sop_instance_uid = sl_uid_of("1.2.3")};
	for (;;) {
		for (int i = 0; i < OPS; i++) {
			struct sl_op *op = &r->ops[i];
			if (sl_sm_state(&op->stage) != SL_OP_FREE)
				continue;
			assert_int_equal(sl_op_begin(op, ingest_mem_of(r->disk), &params), SL_OK);
			sl_intake_begin(&r->in, op);
			return op;
		}
		wait_for_news(r);
	}
}

/* Room for a header and a byte. */
static uint8_t *room(struct rig *r, size_t *n)
{
	for (;;) {
		uint8_t *at = sl_intake_room(&r->in, n);
		if (*n > 0)
			return at;
		struct sl_cur nothing = sl_intake_bytes(&r->in);
		assert_int_equal(sl_cur_left(&nothing), 0);
		sl_intake_turn(&r->in);
		(void)sl_intake_room(&r->in, n);
		if (*n == 0)
			must_wait(r);
	}
}

/* One read: a header that is nobody's, as far as there is room for it, then payload from *at on. What
 * ends an object is finished before the intake's turn. */
static void read_some(struct rig *r, unsigned object, size_t *at, size_t end, size_t most)
{
	size_t n, head = draw(r, HEADER);
	uint8_t *to = room(r, &n);
	n = sl_min(n, head + sl_min(most, end - *at));
	head = sl_min(head, n);
	memset(to, 0xEE, head);
	for (size_t i = head; i < n; i++)
		to[i] = byte_of(object, *at + i - head);
	r->now_ms += draw(r, 8) == 0 ? 300 : 1;
	sl_intake_filled(&r->in, n, r->now_ms);
	struct sl_cur c = sl_intake_bytes(&r->in);
	assert_int_equal(sl_cur_left(&c), n);
	sl_cur_skip(&c, n);
	sl_intake_parsed(&r->in, &c);
	while (sl_intake_add(&r->in, to + head, n - head) == SL_AGAIN)
		must_wait(r);
	*at += n - head;
	if (*at < end)
		sl_intake_turn(&r->in);
}

static void finish(struct rig *r)
{
	while (sl_intake_finish(&r->in, 0) == SL_AGAIN)
		must_wait(r);
	sl_intake_turn(&r->in);
}

static void deliver(struct rig *r, unsigned object, size_t len, size_t most)
{
	(void)begin(r);
	for (size_t at = 0; at < len;)
		read_some(r, object, &at, len, 1 + draw(r, (uint32_t)most));
	finish(r);
}

static void assert_arrived(struct rig *r, unsigned object, size_t len)
{
	const struct ingest_mem_object *o = ingest_mem_at(r->disk, object);
	assert_int_equal(o->bytes_n, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(o->bytes[i], byte_of(object, i));
}

/* ---- whatever comes ---------------------------------------------------------------------------- */

static void objects_of_any_length_arrive_as_they_are(void **state)
{
	struct rig *r = *state;
	enum { OBJECTS = 600 };
	static const uint32_t lengths[] = {3, 60, AREA, 2 * AREA, BUFFER, 4 * BUFFER};
	size_t len[OBJECTS];
	for (unsigned i = 0; i < OBJECTS; i++) {
		len[i] = 1 + draw(r, lengths[draw(r, SL_ARRAY_N(lengths))]);
		ingest_mem_hold(r->disk, draw(r, 2) == 0);
		leave_buffers(r);
		take_buffers(r, draw(r, BUFFERS + 1));
		deliver(r, i, len[i], (size_t)1 << draw(r, 12));
	}
	ingest_mem_hold(r->disk, false);
	ingest_mem_wait_done(r->disk, OBJECTS);
	leave_buffers(r);
	for (unsigned i = 0; i < OBJECTS; i++)
		assert_arrived(r, i, len[i]);
}

/* The first is not written yet when the second one's fragments come. */
static void objects_in_one_region_keep_their_fragments(void **state)
{
	struct rig *r = *state;
	ingest_mem_hold(r->disk, true);
	deliver(r, 0, 40, 10);
	deliver(r, 1, 40, 10);
	deliver(r, 2, 40, 10);
	assert_ptr_equal(r->in.region, r->in.areas[0]);
	ingest_mem_hold(r->disk, false);
	ingest_mem_wait_done(r->disk, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_arrived(r, i, 40);
}

static void an_object_that_fits_goes_as_one_part(void **state)
{
	struct rig *r = *state;
	(void)begin(r);
	for (size_t at = 0; at < BUFFER / 2;) {
		r->now_ms--; /* fast: the clock stands */
		read_some(r, 0, &at, BUFFER / 2, AREA);
		r->in.since_ms = r->now_ms;
	}
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 1);
	finish(r);
	ingest_mem_wait_done(r->disk, 1);
	assert_int_equal(ingest_mem_at(r->disk, 0)->parts_n, 1);
	assert_arrived(r, 0, BUFFER / 2);
}

/* ---- the pace ---------------------------------------------------------------------------------- */

/* n bytes of payload fill the room at now_ms. */
static void fill(struct rig *r, size_t n, uint64_t now_ms)
{
	size_t room_n;
	uint8_t *to = sl_intake_room(&r->in, &room_n);
	assert_true(n <= room_n);
	memset(to, 0, n);
	sl_intake_filled(&r->in, n, now_ms);
	struct sl_cur c = sl_intake_bytes(&r->in);
	sl_cur_skip(&c, n);
	sl_intake_parsed(&r->in, &c);
	assert_int_equal(sl_intake_add(&r->in, to, n), SL_OK);
	sl_intake_turn(&r->in);
}

static bool is_in_an_area(const struct rig *r)
{
	return r->in.region->pool == &r->pools.areas;
}

/* Fast is an area that fills in less than SL_INTAKE_FAST_MS. */
static void the_pace_is_exact_to_the_ms(void **state)
{
	struct rig *r = *state;
	for (unsigned i = 0; i < 2; i++) {
		(void)begin(r);
		fill(r, 1, 1000);
		fill(r, AREA - 1, 1000 + SL_INTAKE_FAST_MS - (i == 0));
		assert_int_equal(is_in_an_area(r), i == 1);
		assert_int_equal(r->in.has_appended, i == 1);
		finish(r);
		ingest_mem_wait_done(r->disk, i + 1);
		assert_int_equal(ingest_mem_at(r->disk, i)->bytes_n, AREA);
		r->in.now_ms = 0;
		sl_intake_turn(&r->in);
	}
}

/* Both areas of a slow sender's are in flight, and a third part ends the object: it waits. */
static void the_last_part_waits_for_the_window(void **state)
{
	struct rig *r = *state;
	uint64_t now = 1000;
	ingest_mem_hold(r->disk, true);
	(void)begin(r);
	for (int i = 0; i < SL_INGEST_WINDOW; i++) {
		fill(r, 1, now);
		fill(r, AREA - 1, now += SL_INTAKE_FAST_MS);
		assert_int_equal(r->in.wait, SL_INTAKE_READY);
	}
	fill(r, 10, now);
	assert_int_equal(sl_intake_finish(&r->in, 0), SL_AGAIN);
	assert_int_equal(r->in.wait, SL_INTAKE_DISK);
	finish(r); /* which waits for the disk */
	ingest_mem_wait_done(r->disk, 1);
	assert_int_equal(ingest_mem_at(r->disk, 0)->bytes_n, SL_INGEST_WINDOW * AREA + 10);
	assert_int_equal(ingest_mem_at(r->disk, 0)->parts_n, SL_INGEST_WINDOW + 1);
}

/* A buffer goes to the disk half full when nothing came for SL_INTAKE_QUIET_MS, or when it has been filling
 * for SL_INTAKE_HOLD_MS. */
static void a_buffer_is_spilled_exactly_when_it_is_held_too_long(void **state)
{
	struct rig *r = *state;
	static const uint64_t held[] = {SL_INTAKE_QUIET_MS, SL_INTAKE_HOLD_MS};
	for (unsigned i = 0; i < SL_ARRAY_N(held); i++) {
		(void)begin(r);
		fill(r, 10, 1000);
		assert_false(sl_intake_spill(&r->in, 1000000)); /* an area is nobody's loss */
		fill(r, AREA - 10, 1000);
		assert_false(is_in_an_area(r));
		if (i == 1)
			fill(r, 10, 1000 + SL_INTAKE_HOLD_MS - 1);
		assert_false(sl_intake_spill(&r->in, 1000 + held[i] - 1));
		assert_true(sl_intake_spill(&r->in, 1000 + held[i]));
		assert_true(is_in_an_area(r));
		finish(r);
		ingest_mem_wait_done(r->disk, i + 1);
		assert_int_equal(ingest_mem_at(r->disk, i)->parts_n, 1);
	}
}

/* ---- grants ------------------------------------------------------------------------------------ */

/* A fast sender's area is full and there is no buffer: it queues. */
static void queue_for_a_buffer(struct rig *r)
{
	size_t n;
	take_buffers(r, BUFFERS);
	(void)begin(r);
	uint8_t *to = sl_intake_room(&r->in, &n);
	assert_int_equal(n, AREA);
	memset(to, 0, n);
	sl_intake_filled(&r->in, n, r->now_ms);
	struct sl_cur c = sl_intake_bytes(&r->in);
	sl_cur_skip(&c, n);
	sl_intake_parsed(&r->in, &c);
	assert_int_equal(sl_intake_add(&r->in, to, n), SL_OK);
	sl_intake_turn(&r->in);
	assert_int_equal(r->in.wait, SL_INTAKE_POOL);
	(void)sl_intake_room(&r->in, &n);
	assert_int_equal(n, 0);
}

static void give_up(struct rig *r, struct sl_op *op)
{
	assert_int_equal(sl_intake_drop(&r->in), AREA);
	assert_int_equal(sl_intake_drop(&r->in), 0); /* nothing is left of it */
	sl_op_abort(op);
}

static void a_grant_that_comes_too_late_goes_back(void **state)
{
	struct rig *r = *state;
	queue_for_a_buffer(r);
	leave_buffers(r); /* the first is granted, and its news is under way */
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 1);
	give_up(r, r->in.op);
	sl_intake_turn(&r->in);
	assert_int_equal(r->in.wait, SL_INTAKE_READY);
	while (r->grants == 0)
		(void)uv_run(&r->loop, UV_RUN_ONCE);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 0);
	assert_int_equal(r->in.ticket, SL_INTAKE_NO_TICKET);
}

/* Not two at a time: the one under way will do. */
static void a_late_grant_serves_the_next_object(void **state)
{
	struct rig *r = *state;
	queue_for_a_buffer(r);
	leave_buffers(r);
	give_up(r, r->in.op);
	sl_intake_turn(&r->in);
	queue_for_a_buffer(r);
	while (r->grants == 0)
		(void)uv_run(&r->loop, UV_RUN_ONCE);
	assert_int_equal(r->in.wait, SL_INTAKE_READY);
	assert_ptr_equal(r->in.region->pool, &r->pools.buffers);
	leave_buffers(r);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 1);
	finish(r);
	ingest_mem_wait_done(r->disk, 2);
	assert_int_equal(ingest_mem_at(r->disk, 1)->bytes_n, AREA);
}

static void who_gives_up_in_the_queue_leaves_it(void **state)
{
	struct rig *r = *state;
	queue_for_a_buffer(r);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).waiters, 1);
	give_up(r, r->in.op);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).waiters, 0);
	leave_buffers(r);
	assert_int_equal(sl_slab_pool_stats(&r->pools.buffers).used, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(objects_of_any_length_arrive_as_they_are),
		T(objects_in_one_region_keep_their_fragments),
		T(an_object_that_fits_goes_as_one_part),
		T(the_pace_is_exact_to_the_ms),
		T(the_last_part_waits_for_the_window),
		T(a_buffer_is_spilled_exactly_when_it_is_held_too_long),
		T(a_grant_that_comes_too_late_goes_back),
		T(a_late_grant_serves_the_next_object),
		T(who_gives_up_in_the_queue_leaves_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
