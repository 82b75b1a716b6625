/* A part lists what came in, in order, byte for byte, and lets go of what it held.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "core/part.h"
#include "support/dies.h"

#define BUFFER (64 * SL_KIB)

struct fixture {
	struct sl_slab_pool pool;
	struct sl_slab slots[3];
	uint8_t mem[3 * BUFFER];
	struct iovec iov[SL_PART_IOV], small_iov[SL_PART_SMALL];
	struct sl_part part, small;
	struct sl_slab *s; /* a buffer of the test's, held by part */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -1;
	sl_slab_pool_init(&f->pool, f->slots, f->mem, BUFFER, 3);
	for (size_t i = 0; i < sizeof(f->mem); i++)
		f->mem[i] = (uint8_t)(i * 7 + i / 251);
	sl_part_init(&f->part, f->iov, SL_PART_IOV);
	sl_part_init(&f->small, f->small_iov, SL_PART_SMALL);
	f->s = sl_slab_get(&f->pool);
	assert_int_equal(sl_part_hold(&f->part, f->s), SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* The part's bytes in one piece; returns how many. */
static size_t gather(const struct sl_part *p, uint8_t *out)
{
	size_t n = 0;
	for (uint16_t i = 0; i < p->iov_n; i++) {
		memcpy(out + n, p->iov[i].iov_base, p->iov[i].iov_len);
		n += p->iov[i].iov_len;
	}
	return n;
}

static void neighbours_merge(void **state)
{
	struct fixture *f = *state;
	uint8_t *b = f->s->base;
	assert_int_equal(sl_part_add(&f->part, b + 12, 100), SL_OK);
	assert_int_equal(sl_part_add(&f->part, b + 112, 50), SL_OK);
	assert_int_equal(sl_part_add(&f->part, b + 168, 10), SL_OK);
	assert_int_equal(sl_part_add(&f->part, b + 200, 0), SL_OK); /* an empty PDV */
	assert_int_equal(f->part.iov_n, 2);
	assert_int_equal(f->part.bytes, 160);
	assert_ptr_equal(f->part.iov[0].iov_base, b + 12);
	assert_int_equal(f->part.iov[0].iov_len, 150);
}

static void large_fragments_never_move(void **state)
{
	struct fixture *f = *state;
	uint8_t *b = f->s->base, before[BUFFER];
	memcpy(before, b, BUFFER);
	size_t at = 0;
	for (int i = 0; i < 60; i++, at += SL_PART_MOVE + 12)
		assert_int_equal(sl_part_add(&f->part, b + at, SL_PART_MOVE), SL_OK);
	assert_int_equal(f->part.iov_n, 60);
	assert_memory_equal(b, before, BUFFER);
}

/* A sender of tiny PDVs: the table never fills, and the bytes stay those that were sent. */
static void crumbs_move_down_once_the_table_is_half_full(void **state)
{
	struct fixture *f = *state;
	static uint8_t want[BUFFER], got[BUFFER];
	uint8_t *b = f->s->base;
	size_t at = 0, n = 0;
	unsigned random = 1;
	for (;;) {
		random = random * 1103515245 + 12345;
		size_t len = 1 + (random >> 16) % 40;
		if (at + 12 + len > BUFFER)
			break;
		memcpy(want + n, b + at + 12, len);
		assert_int_equal(sl_part_add(&f->part, b + at + 12, len), SL_OK);
		n += len;
		at += 12 + len;
		if (f->part.iov_n <= SL_PART_IOV / 2) /* below half: nothing moves */
			assert_memory_equal(b + at - len, want + n - len, len);
	}
	assert_true(f->part.iov_n <= SL_PART_IOV / 2 + 1);
	assert_int_equal(f->part.bytes, n);
	assert_int_equal(gather(&f->part, got), n);
	assert_memory_equal(got, want, n);
}

static void a_full_table_says_so_and_stays_as_it_is(void **state)
{
	struct fixture *f = *state;
	uint8_t *b = f->s->base;
	assert_int_equal(sl_part_hold(&f->small, f->s), SL_OK);
	for (int i = 0; i < SL_PART_SMALL; i++)
		assert_int_equal(sl_part_add(&f->small, b + i * 1024, SL_PART_MOVE), SL_OK);
	uint64_t bytes = f->small.bytes;
	assert_int_equal(sl_part_add(&f->small, b + 30000, SL_PART_MOVE), SL_E_NOMEM);
	assert_int_equal(f->small.bytes, bytes);
	assert_int_equal(f->small.iov_n, SL_PART_SMALL);
	uint8_t *tail = b + (SL_PART_SMALL - 1) * 1024 + SL_PART_MOVE;
	assert_int_equal(sl_part_add(&f->small, tail, SL_PART_MOVE), SL_OK); /* merges still */
}

static void two_buffers_one_list_and_no_move_across(void **state)
{
	struct fixture *f = *state;
	struct sl_slab *second = sl_slab_get(&f->pool), *third = sl_slab_get(&f->pool);
	uint8_t want[8];
	for (int i = 0; i < SL_PART_IOV / 2 + 1; i++)
		assert_int_equal(sl_part_add(&f->part, f->s->base + i * 20, 8), SL_OK);
	assert_int_equal(sl_part_hold(&f->part, second), SL_OK);
	assert_int_equal(sl_part_hold(&f->part, third), SL_E_NOMEM);
	uint16_t before = f->part.iov_n;
	memcpy(want, second->base + 100, 8);
	assert_int_equal(sl_part_add(&f->part, second->base + 100, 8), SL_OK);
	assert_int_equal(f->part.iov_n, before + 1); /* not into the first buffer */
	assert_ptr_equal(f->part.iov[before].iov_base, second->base + 100);
	assert_memory_equal(second->base + 100, want, 8);
	sl_slab_put(third);
	sl_slab_put(second);
	sl_slab_put(f->s);
	assert_int_equal(sl_slab_pool_stats(&f->pool).used, 2); /* the part's references */
	sl_part_release(&f->part);
	assert_int_equal(sl_slab_pool_stats(&f->pool).used, 0);
	assert_int_equal(f->part.iov_n + f->part.bufs_n, 0);
	assert_int_equal(f->part.bytes, 0);
	sl_part_release(&f->part); /* empty: nothing happens */
}

/* An owner that reads into free room lower down in its buffer again: listed, never written over. */
static void a_crumb_never_moves_up(void **state)
{
	struct fixture *f = *state;
	uint8_t *b = f->s->base, low[8];
	for (int i = 0; i < SL_PART_IOV / 2 + 1; i++)
		assert_int_equal(sl_part_add(&f->part, b + 4096 + i * 20, 8), SL_OK);
	uint16_t before = f->part.iov_n;
	memcpy(low, b, 8);
	assert_int_equal(sl_part_add(&f->part, b, 8), SL_OK);
	assert_int_equal(f->part.iov_n, before + 1);
	assert_memory_equal(f->part.iov[before].iov_base, low, 8);
	assert_ptr_equal(f->part.iov[before].iov_base, b);
}

static void an_areas_part_moves_into_a_buffers(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(sl_part_hold(&f->small, f->s), SL_OK);
	assert_int_equal(sl_part_add(&f->small, f->s->base + 10, 30), SL_OK);
	assert_int_equal(sl_part_add(&f->small, f->s->base + 100, 5), SL_OK);
	struct iovec places[8];
	sl_part_rehome(&f->small, places, SL_ARRAY_N(places));
	memset(f->small_iov, 0, sizeof(f->small_iov)); /* may be another's now */
	assert_int_equal(f->small.iov_n, 2);
	assert_int_equal(f->small.bytes, 35);
	assert_ptr_equal(f->small.iov[1].iov_base, f->s->base + 100);
	assert_int_equal(f->small.iov[1].iov_len, 5);
	/* And it fills that table, no more. */
	for (int i = 2; i < (int)SL_ARRAY_N(places); i++)
		assert_int_equal(
			sl_part_add(&f->small, f->s->base + i * 1024, SL_PART_MOVE), SL_OK);
	assert_int_equal(f->small.iov_n, SL_ARRAY_N(places));
	assert_int_equal(sl_part_add(&f->small, f->s->base + 60000, SL_PART_MOVE), SL_E_NOMEM);
	sl_slab_put(f->s);
	sl_part_release(&f->part);
	assert_int_equal(sl_slab_pool_stats(&f->pool).used, 1);
	sl_part_release(&f->small);
	assert_int_equal(sl_slab_pool_stats(&f->pool).used, 0);
}

static void add_from_elsewhere(void *arg)
{
	struct fixture *f = arg;
	(void)!sl_part_add(&f->part, f->s->base + BUFFER - 4, 8); /* runs over the end */
}

static void bytes_of_another_buffer_are_a_mistake(void **state)
{
	assert_true(dies(add_from_elsewhere, *state));
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(neighbours_merge),
		CASE(large_fragments_never_move),
		CASE(crumbs_move_down_once_the_table_is_half_full),
		CASE(a_full_table_says_so_and_stays_as_it_is),
		CASE(two_buffers_one_list_and_no_move_across),
		CASE(a_crumb_never_moves_up),
		CASE(an_areas_part_moves_into_a_buffers),
		CASE(bytes_of_another_buffer_are_a_mistake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
