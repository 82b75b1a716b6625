/* The pool: order among waiters, no overtaking, no lost buffer, no allocation, loud mistakes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/slab.h"
#include "support/allocs.h"
#include "support/dies.h"

#define SMALL 64 /* bytes of a buffer where its size does not matter */

struct fixture {
	struct sl_slab_pool pool;
	struct sl_slab slots[8];
	uint8_t mem[8 * SMALL];
};

static void fixture_init(struct fixture *f, uint32_t n)
{
	sl_slab_pool_init(&f->pool, f->slots, f->mem, SMALL, n);
}

/* ---- order ---- */

struct guest {
	struct sl_slab_waiter waiter;
	int name, *book, *book_n; /* grants are written down in order */
};

static void write_down(struct sl_slab_waiter *w)
{
	struct guest *g = sl_container_of(w, struct guest, waiter);
	assert_non_null(w->granted);
	g->book[(*g->book_n)++] = g->name;
}

static void queue_up(struct fixture *f, struct guest *g, enum sl_slab_crit crit)
{
	g->waiter.on_grant = write_down;
	assert_ptr_equal(sl_slab_get_or_wait(&f->pool, &g->waiter, crit), NULL);
}

static void buffers_are_whole_and_apart(void **state)
{
	(void)state;
	struct fixture f;
	struct sl_slab *s[8];
	fixture_init(&f, 8);
	for (int i = 0; i < 8; i++) {
		s[i] = sl_slab_get(&f.pool);
		assert_non_null(s[i]);
		assert_int_equal(s[i]->cap, SMALL);
		assert_ptr_equal(s[i]->base, f.mem + s[i]->index * SMALL);
		assert_ptr_equal(&f.slots[s[i]->index], s[i]);
		for (int k = 0; k < i; k++)
			assert_ptr_not_equal(s[i], s[k]);
	}
	assert_ptr_equal(sl_slab_get(&f.pool), NULL);
	assert_int_equal(sl_slab_pool_stats(&f.pool).used, 8);
	sl_slab_put(s[3]);
	assert_ptr_equal(sl_slab_get(&f.pool), s[3]); /* the warm one */
	for (int i = 0; i < 8; i++)
		sl_slab_put(s[i]);
	struct sl_slab_stats st = sl_slab_pool_stats(&f.pool);
	assert_int_equal(st.used, 0);
	assert_int_equal(st.peak, 8);
	assert_int_equal(st.gets, 9);
	assert_int_equal(st.waits, 0);
}

static void the_last_of_several_holders_returns_it(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, 1);
	struct sl_slab *s = sl_slab_get(&f.pool);
	assert_false(sl_slab_is_shared(s));
	sl_slab_share(s);
	sl_slab_share(s);
	assert_true(sl_slab_is_shared(s));
	sl_slab_put(s);
	sl_slab_put(s);
	assert_false(sl_slab_is_shared(s));
	assert_ptr_equal(sl_slab_get(&f.pool), NULL);
	sl_slab_put(s);
	assert_ptr_equal(sl_slab_get(&f.pool), s);
	sl_slab_put(s);
}

static void waiters_of_a_class_are_served_in_order_and_not_overtaken(void **state)
{
	(void)state;
	struct fixture f;
	struct guest g[5] = {0};
	int book[5], book_n = 0;
	fixture_init(&f, 1);
	struct sl_slab *s = sl_slab_get(&f.pool);
	for (int i = 0; i < 5; i++) {
		g[i] = (struct guest){.name = i, .book = book, .book_n = &book_n};
		queue_up(&f, &g[i], SL_SLAB_INTAKE);
	}
	assert_int_equal(sl_slab_pool_stats(&f.pool).waiters, 5);
	for (int i = 0; i < 5; i++) {
		sl_slab_put(s);
		assert_int_equal(book_n, i + 1);
		assert_int_equal(book[i], i);
		assert_ptr_equal(g[i].waiter.granted, s);
		assert_ptr_equal(sl_slab_get(&f.pool), NULL); /* a newcomer waits */
	}
	sl_slab_put(s);
	assert_int_equal(sl_slab_pool_stats(&f.pool).used, 0);
	assert_int_equal(sl_slab_pool_stats(&f.pool).waits, 5);
}

static void finishing_goes_first_but_every_fourth_grant_is_intakes(void **state)
{
	(void)state;
	static const int want[] = {10, 11, 12, 0, 13, 14, 15, 1, 16, 17, 18, 2, 19, 3, 4};
	struct fixture f;
	struct guest g[15];
	int book[15], book_n = 0;
	fixture_init(&f, 1);
	struct sl_slab *s = sl_slab_get(&f.pool);
	for (int i = 0; i < 15; i++) { /* intake came first: 0..4, then finish: 10..19 */
		g[i] = (struct guest){.name = i < 5 ? i : i + 5, .book = book, .book_n = &book_n};
		queue_up(&f, &g[i], i < 5 ? SL_SLAB_INTAKE : SL_SLAB_FINISH);
	}
	for (int i = 0; i < 15; i++)
		sl_slab_put(s);
	assert_int_equal(book_n, 15);
	assert_memory_equal(book, want, sizeof(want));
	sl_slab_put(s);
}

static void who_left_the_queue_is_not_served(void **state)
{
	(void)state;
	struct fixture f;
	struct guest g[3];
	int book[3], book_n = 0;
	fixture_init(&f, 1);
	struct sl_slab *s = sl_slab_get(&f.pool);
	for (int i = 0; i < 3; i++) {
		g[i] = (struct guest){.name = i, .book = book, .book_n = &book_n};
		queue_up(&f, &g[i], SL_SLAB_FINISH);
	}
	assert_true(sl_slab_unwait(&f.pool, &g[1].waiter));
	assert_false(sl_slab_unwait(&f.pool, &g[1].waiter));
	sl_slab_put(s);
	assert_false(sl_slab_unwait(&f.pool, &g[0].waiter)); /* too late: it holds one now */
	sl_slab_put(g[0].waiter.granted);
	assert_int_equal(book_n, 2);
	assert_int_equal(book[1], 2);
	queue_up(&f, &g[1], SL_SLAB_FINISH); /* and may come back */
	sl_slab_put(s);
	assert_int_equal(book_n, 3);
	sl_slab_put(s);
	assert_int_equal(sl_slab_pool_stats(&f.pool).waiters, 0);
}

/* ---- mistakes ---- */

static void put_twice(void *arg)
{
	struct fixture *f = arg;
	struct sl_slab *s = sl_slab_get(&f->pool);
	sl_slab_put(s);
	sl_slab_put(s);
}

static void put_foreign(void *arg)
{
	struct fixture *f = arg;
	struct sl_slab copy;
	memcpy(&copy, sl_slab_get(&f->pool), sizeof(copy));
	sl_slab_put(&copy);
}

static void share_free(void *arg)
{
	struct fixture *f = arg;
	sl_slab_share(&f->slots[1]);
}

static void write_after_put(void *arg)
{
	struct fixture *f = arg;
	struct sl_slab *s = sl_slab_get(&f->pool);
	sl_slab_put(s);
	s->base[SMALL - 1] ^= 1;
	(void)sl_slab_get(&f->pool);
}

static void mistakes_are_loud(void **state)
{
	(void)state;
	struct fixture f;
	fixture_init(&f, 2);
	assert_true(dies(put_twice, &f));
	assert_true(dies(put_foreign, &f));
	assert_true(dies(share_free, &f));
	assert_false(dies(write_after_put, &f)); /* not seen by default */
	sl_slab_pool_integrity(&f.pool);
	assert_true(dies(write_after_put, &f));
	struct sl_slab *s = sl_slab_get(&f.pool);
	memset(s->base, 1, SMALL);
	sl_slab_put(s);
	assert_ptr_equal(sl_slab_get(&f.pool), s);
	sl_slab_put(s);
}

/* ---- threads ---- */

struct crowd {
	struct fixture f;
	unsigned rounds;
	atomic_uint grants, taken_back;
};

struct visitor {
	struct sl_slab_waiter waiter;
	struct crowd *crowd;
	sem_t news;
	uint8_t mark;
	pthread_t id;
};

static void tell(struct sl_slab_waiter *w)
{
	struct visitor *v = sl_container_of(w, struct visitor, waiter);
	atomic_fetch_add(&v->crowd->grants, 1);
	sem_post(&v->news);
}

/* Alone with the buffer: what one writes, nobody else changes. */
static void use_alone(struct visitor *v, struct sl_slab *s)
{
	memset(s->base, v->mark, s->cap);
	sl_slab_share(s);
	for (size_t i = 0; i < s->cap; i++)
		sl_assert(s->base[i] == v->mark);
	sl_slab_put(s);
	sl_slab_put(s);
}

static void *come_and_go(void *arg)
{
	struct visitor *v = arg;
	struct sl_slab_pool *p = &v->crowd->f.pool;
	for (unsigned i = 0; i < v->crowd->rounds; i++) {
		struct sl_slab *s = sl_slab_get_or_wait(
			p, &v->waiter, i % 3 == 0 ? SL_SLAB_FINISH : SL_SLAB_INTAKE);
		if (s == NULL && i % 5 == 0 && sl_slab_unwait(p, &v->waiter)) {
			atomic_fetch_add(&v->crowd->taken_back, 1);
			continue;
		}
		if (s == NULL) {
			sem_wait(&v->news);
			s = v->waiter.granted;
		}
		use_alone(v, s);
	}
	return NULL;
}

static void crowd_run(uint32_t buffers, unsigned rounds)
{
	static struct crowd c;
	struct visitor v[8];
	memset(&c, 0, sizeof(c));
	memset(v, 0, sizeof(v));
	fixture_init(&c.f, buffers);
	sl_slab_pool_integrity(&c.f.pool);
	c.rounds = rounds;
	for (uint8_t i = 0; i < 8; i++) {
		v[i].crowd = &c;
		v[i].mark = (uint8_t)(i + 1);
		v[i].waiter.on_grant = tell;
		sem_init(&v[i].news, 0, 0);
		assert_int_equal(pthread_create(&v[i].id, NULL, come_and_go, &v[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(v[i].id, NULL);
		sem_destroy(&v[i].news);
	}
	struct sl_slab_stats st = sl_slab_pool_stats(&c.f.pool);
	assert_int_equal(st.used, 0);
	assert_int_equal(st.waiters, 0);
	assert_true(st.peak <= buffers);
	assert_int_equal(
		st.waits, c.grants + c.taken_back); /* each wait ended in one of two ways */
	assert_int_equal(st.gets, 8 * rounds - c.taken_back);
	for (uint32_t i = 0; i < buffers; i++) /* and every buffer is still there */
		assert_non_null(sl_slab_get(&c.f.pool));
}

static void a_pool_of_one_serves_a_crowd(void **state)
{
	(void)state;
	crowd_run(1, 3000);
}

static void threads_get_wait_leave_and_put(void **state)
{
	(void)state;
	crowd_run(3, 3000);
}

/* ---- pyDICOS' CustomMemoryManager, its own example ---- */

#define SCANS  5
#define SLICES 600
#define SLICE  (512 * SL_KIB)

static struct sl_slab_pool scan_pool;
static struct sl_slab scan_slots[SLICES];
static struct sl_slab *scan[SLICES];

/* A slice arrives: a mark on each page, as a copy from a socket would leave it. */
static void receive_slice(struct sl_slab *s, int n)
{
	for (size_t at = 0; at < SLICE; at += 64 * SL_KIB)
		s->base[at] = (uint8_t)n;
}

static void five_scans_of_600_slices_ask_for_no_memory(void **state)
{
	(void)state;
	uint8_t *mem = mmap(NULL, SLICES * SLICE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(mem != MAP_FAILED);
	sl_slab_pool_init(&scan_pool, scan_slots, mem, SLICE, SLICES);
	allocs_init();
	void *volatile counted = malloc(1); /* the counter works */
	free(counted);
	unsigned long before = allocs_n;
	assert_true(before > 0);
	for (int k = 0; k < SCANS; k++) {
		for (int i = 0; i < SLICES; i++) {
			scan[i] = sl_slab_get(&scan_pool);
			sl_assert(scan[i] != NULL);
			receive_slice(scan[i], i);
		}
		sl_assert(sl_slab_get(&scan_pool) == NULL); /* the 601st: false, no fallback */
		for (int i = 0; i < SLICES; i++) {
			sl_assert(scan[i]->base[SLICE - 64 * SL_KIB] == (uint8_t)i);
			sl_slab_put(scan[i]);
		}
	}
	sl_slab_pool_init(&scan_pool, scan_slots, mem, SLICE, 2);
	for (int i = 0; i < SCANS * SLICES; i++) { /* the same through two buffers */
		struct sl_slab *s = sl_slab_get(&scan_pool);
		receive_slice(s, i);
		sl_slab_put(s);
	}
	assert_int_equal(allocs_n - before, 0);
	assert_int_equal(sl_slab_pool_stats(&scan_pool).gets, SCANS * SLICES);
	assert_int_equal(sl_slab_pool_stats(&scan_pool).peak, 1);
	munmap(mem, SLICES * SLICE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_whole_and_apart),
		cmocka_unit_test(the_last_of_several_holders_returns_it),
		cmocka_unit_test(waiters_of_a_class_are_served_in_order_and_not_overtaken),
		cmocka_unit_test(finishing_goes_first_but_every_fourth_grant_is_intakes),
		cmocka_unit_test(who_left_the_queue_is_not_served),
		cmocka_unit_test(mistakes_are_loud),
		cmocka_unit_test(a_pool_of_one_serves_a_crowd),
		cmocka_unit_test(threads_get_wait_leave_and_put),
		cmocka_unit_test(five_scans_of_600_slices_ask_for_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
