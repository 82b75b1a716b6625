/* The watermarks against a naive model, and against a disk that 64 senders fill at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/water_world.h"

#include <stdlib.h>

/* ---- one step after the other ---- */

#define OBJECTS 64

struct model {
	uint64_t settled, reserved, kept, quota;
	struct sl_water_fs seen;
	enum sl_water_state state;
};

static bool model_below(const struct model *m, uint64_t more, unsigned percent)
{
	uint64_t total = m->seen.used + m->seen.avail;
	uint64_t used = m->seen.used + m->settled + m->reserved + more;
	bool disk = used < total / 100 * percent;
	bool quota = m->kept + m->reserved + more < m->quota / 100 * percent;
	return disk && quota;
}

static void model_look(struct model *m, const struct sl_water_fs *fs)
{
	m->seen = *fs;
	m->settled = 0;
	if (!model_below(m, 0, 95))
		m->state = SL_WATER_REFUSING;
	else if (model_below(m, 0, 85))
		m->state = SL_WATER_OK;
	else if (m->state != SL_WATER_REFUSING)
		m->state = SL_WATER_HIGH;
}

static bool model_reserve(struct model *m, uint64_t bytes)
{
	if (!model_below(m, bytes - 1, 95)) {
		m->state = SL_WATER_REFUSING;
		return false;
	}
	m->reserved += bytes;
	return true;
}

/* An object of the random run: reserved so much, of which so much is on disk. */
struct open_object {
	uint64_t reserved, written;
};

static unsigned next_random(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % below;
}

/* One random step; the disk, the model and water see the same. */
static void random_step(struct world *x, struct model *m, struct open_object *o, unsigned *seed)
{
	struct sl_diag d = {0};
	uint64_t bytes = 1 + next_random(seed, 4000000);
	switch (next_random(seed, 6)) {
	case 0:
	case 1:
		if (o->reserved == 0 && !sl_water_may_begin(x->w))
			break;
		bool may = model_reserve(m, bytes);
		assert_int_equal(sl_water_reserve(x->w, bytes, &d), may ? SL_OK : SL_E_FULL);
		o->reserved += may ? bytes : 0;
		break;
	case 2: /* a part of what was reserved reaches the disk */
		bytes = sl_min64(bytes, o->reserved - o->written);
		o->written += bytes;
		world_use(x, x->fs.used + bytes);
		break;
	case 3: /* kept */
		sl_water_settle(x->w, o->reserved, o->written);
		m->reserved -= o->reserved;
		m->settled += o->written > 0 ? o->written + EXTRA : 0;
		m->kept += o->written;
		*o = (struct open_object){0};
		break;
	case 4: /* given up, or an old object is removed */
		world_use(x, x->fs.used - o->written);
		sl_water_settle(x->w, o->reserved, 0);
		m->reserved -= o->reserved;
		*o = (struct open_object){0};
		if (next_random(seed, 20) == 0) {
			uint64_t gone = m->kept / 3;
			world_use(x, x->fs.used - gone);
			sl_water_removed(x->w, gone);
			m->kept -= gone;
		}
		break;
	case 5:
		look(x);
		model_look(m, &x->fs);
		break;
	default:
		break;
	}
}

static void any_sequence_agrees_with_a_naive_model(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct world x;
		struct open_object objects[OBJECTS] = {0};
		unsigned random = seed, refused = 0, accepted_again = 0;
		world_init(&x, 100000000);
		x.conf.quota = seed % 2 == 0 ? 1000000000000 : 80000000;
		world_open(&x);
		struct model m = {.quota = x.conf.quota, .seen = x.fs};
		for (int i = 0; i < 5000; i++) {
			enum sl_water_state before = m.state;
			random_step(&x, &m, &objects[next_random(&random, OBJECTS)], &random);
			struct sl_water_now now = sl_water_now(x.w);
			assert_int_equal(now.state, m.state);
			assert_int_equal(now.reserved, m.reserved);
			assert_int_equal(now.kept, m.kept);
			assert_true(x.fs.avail >= now.refuse_below); /* the disk itself, now */
			assert_true(m.kept <= m.quota / 100 * 95);
			refused += before != m.state && m.state == SL_WATER_REFUSING;
			accepted_again += before == SL_WATER_REFUSING && m.state == SL_WATER_OK;
		}
		assert_true(refused > 0 && accepted_again > 0); /* the run went to the edges */
		sl_water_close(x.w);
	}
}

/* ---- 64 senders at once ---- */

struct sender {
	struct world *x;
	atomic_bool *is_over, *is_past_full;
	unsigned seed;
	uint64_t stored;
	pthread_t id;
};

/* Bytes reach the disk; does it stay below its full mark? */
static void put_on_disk(struct sender *s, uint64_t bytes)
{
	pthread_mutex_lock(&s->x->lock);
	world_use(s->x, s->x->fs.used + bytes);
	if (s->x->fs.avail < 5000000) /* 5 % of 100 MB */
		atomic_store(s->is_past_full, true);
	pthread_mutex_unlock(&s->x->lock);
}

static void *send_objects(void *arg)
{
	struct sender *s = arg;
	struct sl_diag d;
	for (unsigned i = 0; i < 300 && sl_water_may_begin(s->x->w); i++) {
		uint64_t reserved = 0, written = 0;
		unsigned steps = 1 + next_random(&s->seed, 4);
		for (; steps > 0; steps--) {
			uint64_t bytes = 1 + next_random(&s->seed, 60000);
			d = (struct sl_diag){0};
			if (sl_water_reserve(s->x->w, bytes, &d) != SL_OK)
				break;
			reserved += bytes;
			put_on_disk(s, bytes);
			written += bytes;
		}
		sl_water_settle(s->x->w, reserved, written);
		s->stored += written;
	}
	return NULL;
}

static void *keep_looking(void *arg)
{
	struct sender *s = arg;
	struct sl_diag d = {0};
	while (!atomic_load(s->is_over))
		(void)!sl_water_look(s->x->w, &d);
	return NULL;
}

static void F21_64_senders_at_once_never_run_past_full(void **state)
{
	(void)state;
	static struct sender s[66]; /* the last two look */
	static struct world x;
	atomic_bool is_over = false, is_past_full = false;
	uint64_t stored = 0;
	world_init(&x, 100000000);
	world_open(&x);
	for (unsigned i = 0; i < 66; i++) {
		s[i] = (struct sender){
			.x = &x, .is_over = &is_over, .is_past_full = &is_past_full, .seed = i + 1};
		assert_int_equal(pthread_create(&s[i].id, NULL,
					 i >= 64 ? keep_looking : send_objects, &s[i]),
			0);
	}
	for (int i = 0; i < 64; i++) {
		pthread_join(s[i].id, NULL);
		stored += s[i].stored;
	}
	atomic_store(&is_over, true);
	pthread_join(s[64].id, NULL);
	pthread_join(s[65].id, NULL);
	assert_false(is_past_full);
	assert_true(stored > 60000000); /* and the disk was used */
	look(&x);
	struct sl_water_now now = sl_water_now(x.w);
	assert_int_equal(now.reserved, 0);
	assert_int_equal(now.kept, stored);
	sl_water_close(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_agrees_with_a_naive_model),
		cmocka_unit_test(F21_64_senders_at_once_never_run_past_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
