/* The watermarks on a scripted disk and a made-up clock.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "storage/water.h"

#define EXTRA (16 * SL_KIB) /* what settle() adds for folders and the like until the next look */

/* ---- the disk and the clock ---- */

struct world {
	struct sl_env env;
	struct sl_water_conf conf;
	struct sl_water *w;
	pthread_mutex_t lock;  /* over fs, where threads play */
	struct sl_water_fs fs; /* what a look finds */
	uint64_t now_ns;
	bool is_broken;
	atomic_int looking; /* looks under way: never two, or each would forget the same bytes */
	void (*during_look)(struct world *x); /* after the disk was read, before water knows */
};

static uint64_t world_now_ns(void *arg)
{
	return ((struct world *)arg)->now_ns;
}

static enum sl_status world_look(void *arg, struct sl_water_fs *fs, struct sl_diag *d)
{
	struct world *x = arg;
	if (x->is_broken)
		return sl_fail(d, SL_E_IO, 5, "test/look", "the disk does not answer");
	sl_assert(atomic_fetch_add(&x->looking, 1) == 0);
	pthread_mutex_lock(&x->lock);
	*fs = x->fs;
	pthread_mutex_unlock(&x->lock);
	sched_yield(); /* as a system call might */
	if (x->during_look != NULL)
		x->during_look(x);
	atomic_fetch_sub(&x->looking, 1);
	return SL_OK;
}

static void share(struct sl_water_mark *m, double percent)
{
	*m = (struct sl_water_mark){.share = percent};
}

/* A disk of `total` bytes, empty, with the default marks and no quota; not opened yet. */
static void world_init(struct world *x, uint64_t total)
{
	memset(x, 0, sizeof(*x));
	x->env = (struct sl_env){.now_ns = world_now_ns, .arg = x};
	pthread_mutex_init(&x->lock, NULL);
	share(&x->conf.low, 75);
	share(&x->conf.high, 85);
	share(&x->conf.full, 95);
	x->conf.reserve_step = 16 * SL_MIB;
	x->conf.reserve_max = 20 * SL_GIB;
	x->fs = (struct sl_water_fs){.total = total, .avail = total};
}

static void world_open(struct world *x)
{
	struct sl_diag d = {0};
	assert_int_equal(sl_water_open(&x->w, &x->conf, &x->env, world_look, x, 0, &d), SL_OK);
}

static void world_use(struct world *x, uint64_t used)
{
	x->fs.avail = x->fs.used + x->fs.avail - used;
	x->fs.used = used;
}

static void look(struct world *x)
{
	struct sl_diag d = {0};
	x->now_ns += SL_WATER_PERIOD_MS * (uint64_t)1000000;
	assert_int_equal(sl_water_look(x->w, &d), SL_OK);
}

static void assert_state(struct world *x, enum sl_water_state state, const char *why)
{
	struct sl_water_now now = sl_water_now(x->w);
	assert_int_equal(now.state, state);
	assert_string_equal(now.why, why);
	assert_int_equal(sl_water_may_begin(x->w), state != SL_WATER_REFUSING);
}

/* ---- marks ---- */

static void F21_the_hysteresis_is_exact_at_the_marks(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000000);
	world_open(&x);
	static const struct {
		uint64_t used;
		enum sl_water_state state;
		const char *why;
	} way[] = {
		{0, SL_WATER_OK, ""},
		{849999, SL_WATER_OK, ""},
		{850000, SL_WATER_HIGH, "disk"},
		{849999, SL_WATER_OK, ""},
		{949999, SL_WATER_HIGH, "disk"},
		{950000, SL_WATER_REFUSING, "disk"},
		{949999, SL_WATER_REFUSING, "disk"},
		{850000, SL_WATER_REFUSING, "disk"},
		{849999, SL_WATER_OK, ""},
		{1000000, SL_WATER_REFUSING, "disk"},
		{0, SL_WATER_OK, ""},
	};
	for (size_t i = 0; i < SL_ARRAY_N(way); i++) {
		world_use(&x, way[i].used);
		look(&x);
		assert_state(&x, way[i].state, way[i].why);
	}
	sl_water_close(x.w);
}

static void the_first_look_is_taken_by_open(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_use(&x, 960000);
	world_open(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	sl_water_close(x.w);
	x.is_broken = true;
	assert_int_equal(sl_water_open(&x.w, &x.conf, &x.env, world_look, &x, 0, &d), SL_E_IO);
}

static void a_share_leaves_at_most_reserve_max(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 100 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_now(x.w).refuse_below, 5 * SL_GIB); /* the shares, as they are */
	assert_int_equal(sl_water_now(x.w).accept_above, 15 * SL_GIB);
	sl_water_close(x.w);
	world_init(&x, 100 * 1024 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_now(x.w).refuse_below, 10 * SL_GIB);
	assert_int_equal(sl_water_now(x.w).accept_above, 15 * SL_GIB);
	sl_water_close(x.w);
}

static void an_absolute_mark_stays_free_whatever_the_disk(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 100 * 1024 * SL_GIB);
	x.conf.full = (struct sl_water_mark){.is_free_bytes = true, .free_bytes = 50 * SL_GIB};
	world_open(&x);
	struct sl_water_now now = sl_water_now(x.w);
	assert_int_equal(now.refuse_below, 50 * SL_GIB);
	assert_true(now.accept_above >= now.refuse_below); /* high cannot be behind full */
	sl_water_close(x.w);
}

static void new_marks_hold_at_once(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000000);
	world_use(&x, 900000);
	world_open(&x);
	assert_state(&x, SL_WATER_HIGH, "disk");
	share(&x.conf.full, 90);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	share(&x.conf.high, 92);
	share(&x.conf.full, 97);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

/* ---- reservations ---- */

static void reservations_end_exactly_at_full(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 900000, &d), SL_OK);
	assert_int_equal(sl_water_reserve(x.w, 50000, &d), SL_OK); /* the last byte before full */
	assert_true(sl_water_may_begin(x.w));
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	assert_int_equal(d.errnum, 0);
	assert_non_null(strstr(d.text, "disk"));
	assert_state(&x, SL_WATER_REFUSING, "disk"); /* nothing small slips in any more */
	assert_int_equal(sl_water_now(x.w).refusals, 1);
	sl_water_settle(x.w, 900000, 0);
	sl_water_settle(x.w, 50000, 0);
	assert_state(&x, SL_WATER_REFUSING, "disk");            /* until a look */
	assert_int_equal(sl_water_reserve(x.w, 10, &d), SL_OK); /* who began may go on */
	sl_water_settle(x.w, 10, 0);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	assert_int_equal(sl_water_reserve(x.w, UINT64_MAX, &d), SL_E_FULL);
	assert_int_equal(sl_water_now(x.w).reserved, 0);
	sl_water_close(x.w);
}

static void what_was_settled_counts_until_a_look_has_seen_it(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	sl_water_settle(x.w, 500000, 400000);
	assert_int_equal(sl_water_now(x.w).kept, 400000);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA, &d), SL_OK);
	sl_water_settle(x.w, 550000 - EXTRA, 0);
	world_use(&x, 400000);
	look(&x);
	assert_int_equal(sl_water_reserve(x.w, 550001, &d), SL_E_FULL); /* 400000, but not twice */
	assert_int_equal(sl_water_reserve(x.w, 550000, &d), SL_OK);
	sl_water_close(x.w);
}

static void settle_late(struct world *x)
{
	sl_water_settle(x->w, 500000, 400000);
}

static void what_is_settled_during_a_look_still_counts_after_it(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	x.during_look = settle_late; /* the look read the disk before the bytes were there */
	look(&x);
	x.during_look = NULL;
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA, &d), SL_OK);
	sl_water_close(x.w);
}

static void a_look_that_fails_changes_nothing(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 500000, &d), SL_OK);
	sl_water_settle(x.w, 500000, 400000);
	x.is_broken = true;
	assert_int_equal(sl_water_look(x.w, &d), SL_E_IO);
	assert_int_equal(d.status, SL_E_IO);
	d = (struct sl_diag){0};
	assert_int_equal(sl_water_reserve(x.w, 550000 - EXTRA + 1, &d), SL_E_FULL);
	sl_water_enospc(x.w);
	assert_int_equal(sl_water_look(x.w, &d), SL_E_IO);
	sl_water_configure(x.w, &x.conf);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	x.is_broken = false;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

static void the_step_fits_the_room(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1024 * SL_GIB);
	world_open(&x);
	assert_int_equal(sl_water_step(x.w), 16 * SL_MIB);
	sl_water_close(x.w);
	world_init(&x, 256 * SL_MIB);
	world_open(&x);
	uint64_t step = sl_water_step(x.w);
	assert_true(step >= 64 * SL_KIB && step < SL_MIB); /* 64 senders do not use it up */
	assert_int_equal(sl_water_reserve(x.w, 240 * SL_MIB, &d), SL_OK);
	assert_int_equal(sl_water_step(x.w), 64 * SL_KIB);
	sl_water_close(x.w);
	world_init(&x, 1024 * SL_GIB);
	x.conf.quota = SL_GIB;
	world_open(&x);
	assert_true(sl_water_step(x.w) < SL_MIB + SL_KIB);
	sl_water_close(x.w);
}

/* ---- quota, inodes, somebody else ---- */

static void the_quota_counts_what_we_keep(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 100000000);
	x.conf.quota = 1000000;
	world_open(&x);
	assert_int_equal(sl_water_reserve(x.w, 950000, &d), SL_OK);
	sl_water_settle(x.w, 950000, 949999);
	world_use(&x, 949999);
	look(&x);
	assert_state(&x, SL_WATER_HIGH, "quota");
	assert_true(sl_water_now(x.w).used_share > 94 && sl_water_now(x.w).used_share < 96);
	assert_int_equal(sl_water_reserve(x.w, 2, &d), SL_E_FULL);
	assert_non_null(strstr(d.text, "quota"));
	assert_state(&x, SL_WATER_REFUSING, "quota");
	sl_water_removed(x.w, 99999); /* 850,000 kept: at high, not below it */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "quota");
	sl_water_removed(x.w, 1);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_removed(x.w, UINT64_MAX); /* miscounted once: never below nothing */
	assert_int_equal(sl_water_now(x.w).kept, 0);
	sl_water_close(x.w);
}

static void inodes_count_like_bytes(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, SL_GIB);
	x.fs.files = 1000;
	x.fs.files_avail = 54; /* full leaves 50 */
	world_open(&x);
	assert_state(&x, SL_WATER_HIGH, "inodes");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_OK);
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	assert_non_null(strstr(d.text, "inodes"));
	sl_water_settle(x.w, 1, 0);
	x.fs.files_avail = 151;
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "inodes"); /* the first one's files may come yet */
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	x.fs.files_avail = 50;
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "inodes");
	x.fs.files = 0; /* a file system that does not count them */
	x.fs.files_avail = 0;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

static void report_enospc(struct world *x)
{
	sl_water_enospc(x->w);
}

static void enospc_refuses_until_a_look_finds_room(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	world_init(&x, 1000000);
	world_open(&x);
	sl_water_enospc(x.w);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	assert_int_equal(sl_water_reserve(x.w, 1, &d), SL_E_FULL);
	sl_water_configure(x.w, &x.conf); /* no way around */
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	world_use(&x, 1000000);
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	world_use(&x, 900000); /* some room, not below high */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "disk");
	world_use(&x, 100000);
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	x.during_look = report_enospc; /* after that look read the disk */
	look(&x);
	assert_state(&x, SL_WATER_REFUSING, "enospc");
	x.during_look = NULL;
	look(&x);
	assert_state(&x, SL_WATER_OK, "");
	sl_water_close(x.w);
}

/* ---- against a naive model, and against the disk itself ---- */

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

/* ---- the forecast ---- */

/* Fills at `rate` objects of 512 KiB per look until a reservation is refused, asking for the forecast
 * at each look; returns the seconds it took since each was asked. */
static void fill_to_the_mark(uint64_t total, uint64_t quota, unsigned objects_per_look)
{
	enum { LOOKS = 4000 };
	static int64_t said[LOOKS];
	struct world x;
	struct sl_diag d = {0};
	int looks = 0;
	world_init(&x, total);
	x.conf.quota = quota;
	world_open(&x);
	for (int i = 0; i < 100; i++)
		look(&x); /* idle first */
	assert_int_equal(sl_water_now(x.w).full_in_s, -1);
	for (bool is_full = false; !is_full; looks++) {
		assert_true(looks < LOOKS);
		for (unsigned i = 0; i < objects_per_look && !is_full; i++) {
			is_full = sl_water_reserve(x.w, 512 * SL_KIB, &d) != SL_OK;
			if (is_full)
				break;
			world_use(&x, x.fs.used + 512 * SL_KIB);
			sl_water_settle(x.w, 512 * SL_KIB, 512 * SL_KIB);
		}
		look(&x);
		said[looks] = sl_water_now(x.w).full_in_s;
	}
	for (int i = 8; i < looks; i++) { /* two seconds in, to the end */
		double left_s = (looks - 1 - i) * SL_WATER_PERIOD_MS / 1000.0;
		if ((double)said[i] < left_s * 0.85 - 1 || (double)said[i] > left_s * 1.15 + 1)
			fail_msg("at look %d of %d: said %d s, took %.1f s", i, looks, (int)said[i],
				left_s);
	}
	sl_water_close(x.w);
}

static void the_forecast_is_within_15_percent_under_a_steady_fill(void **state)
{
	(void)state;
	fill_to_the_mark(256 * SL_MIB, 0, 4);            /* a loop mount, 8 MiB/s: half a minute */
	fill_to_the_mark(4 * SL_GIB, 0, 4);              /* eight minutes */
	fill_to_the_mark(SL_GIB * 1024, 2 * SL_GIB, 10); /* the quota is nearer than the disk */
}

/* ---- while somebody makes room ---- */

struct waiter {
	struct sl_water_wait wait;
	int told;
};

static void count_news(struct sl_water_wait *wait)
{
	sl_container_of(wait, struct waiter, wait)->told++;
}

static void count_short(void *arg)
{
	++*(int *)arg;
}

static void relieved_new_objects_wait_at_high_and_begun_ones_at_full(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	struct waiter waiter = {.wait.on_news = count_news};
	int shorts = 0;
	world_init(&x, 1000 * SL_MIB);
	world_open(&x);
	world_use(&x, 840 * SL_MIB);
	look(&x);
	sl_water_on_short(x.w, count_short, &shorts);
	sl_water_set_relief(x.w, true);
	assert_int_equal(sl_water_reserve_first(x.w, 9 * SL_MIB, &d), SL_OK); /* up to 84.9 % */
	assert_false(sl_water_excess(x.w).disk.is_high);
	assert_int_equal(sl_water_reserve_first(x.w, 9 * SL_MIB, &d), SL_AGAIN);
	assert_true(sl_water_excess(x.w).disk.is_high);
	assert_int_equal(shorts, 1);
	assert_int_equal(sl_water_reserve(x.w, 90 * SL_MIB, &d), SL_OK); /* of one that is begun */
	assert_int_equal(sl_water_reserve(x.w, 90 * SL_MIB, &d), SL_AGAIN);
	assert_int_equal(d.status, SL_OK); /* waiting is no failure */
	assert_int_equal(sl_water_now(x.w).refusals, 0);
	assert_true(sl_water_may_begin(x.w));
	/* Without anybody waiting, what is reserved will come back: only what is used is too much. */
	assert_int_equal(sl_water_excess(x.w).disk.excess, 90 * SL_MIB);
	sl_water_wait(x.w, &waiter.wait);
	assert_int_equal(sl_water_excess(x.w).disk.excess, (90 + 99) * SL_MIB);
	assert_int_equal(waiter.told, 0);
	look(&x);
	assert_int_equal(waiter.told, 1);
	look(&x);
	assert_int_equal(waiter.told, 1); /* once */
	sl_water_close(x.w);
}

static void when_relief_ends_who_waits_is_told_and_refused(void **state)
{
	(void)state;
	struct world x;
	struct sl_diag d = {0};
	struct waiter waiter = {.wait.on_news = count_news};
	world_init(&x, 1000 * SL_MIB);
	world_open(&x);
	sl_water_set_relief(x.w, true);
	world_use(&x, 960 * SL_MIB);
	look(&x);
	assert_int_equal(sl_water_now(x.w).state, SL_WATER_REFUSING);
	assert_true(sl_water_may_begin(x.w)); /* to wait */
	assert_int_equal(sl_water_reserve_first(x.w, SL_MIB, &d), SL_AGAIN);
	sl_water_wait(x.w, &waiter.wait);
	/* Behind one who waits, another new one waits too, however small. */
	world_use(&x, 100 * SL_MIB);
	assert_int_equal(sl_water_reserve_first(x.w, 1, &d), SL_AGAIN);
	sl_water_set_relief(x.w, true);
	assert_int_equal(waiter.told, 0); /* no change */
	sl_water_set_relief(x.w, false);
	assert_int_equal(waiter.told, 1);
	assert_false(sl_water_may_begin(x.w));
	assert_int_equal(sl_water_reserve_first(x.w, SL_MIB, &d), SL_E_FULL);
	assert_int_equal(sl_water_now(x.w).refusals, 1);
	sl_water_close(x.w);
}

/* A quota that is passed is no reason to empty the disk down to its own low mark. */
static void each_measure_says_its_own_need(void **state)
{
	(void)state;
	struct world x;
	world_init(&x, 1000 * SL_MIB);
	x.conf.quota = 100 * SL_MIB;
	world_open(&x);
	world_use(&x, 800 * SL_MIB);
	sl_water_settle(x.w, 0, 90 * SL_MIB);
	look(&x);
	struct sl_water_excess need = sl_water_excess(x.w);
	assert_true(need.quota.is_high && need.quota.excess == 15 * SL_MIB);
	assert_true(!need.disk.is_high && need.disk.excess == 50 * SL_MIB);
	assert_true(!need.inodes.is_high && need.inodes.excess == 0);
	sl_water_removed(x.w, 15 * SL_MIB);
	need = sl_water_excess(x.w);
	assert_true(!need.quota.is_high && need.quota.excess == 0);
	sl_water_close(x.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F21_the_hysteresis_is_exact_at_the_marks),
		cmocka_unit_test(the_first_look_is_taken_by_open),
		cmocka_unit_test(a_share_leaves_at_most_reserve_max),
		cmocka_unit_test(an_absolute_mark_stays_free_whatever_the_disk),
		cmocka_unit_test(new_marks_hold_at_once),
		cmocka_unit_test(reservations_end_exactly_at_full),
		cmocka_unit_test(what_was_settled_counts_until_a_look_has_seen_it),
		cmocka_unit_test(what_is_settled_during_a_look_still_counts_after_it),
		cmocka_unit_test(a_look_that_fails_changes_nothing),
		cmocka_unit_test(the_step_fits_the_room),
		cmocka_unit_test(the_quota_counts_what_we_keep),
		cmocka_unit_test(inodes_count_like_bytes),
		cmocka_unit_test(enospc_refuses_until_a_look_finds_room),
		cmocka_unit_test(any_sequence_agrees_with_a_naive_model),
		cmocka_unit_test(F21_64_senders_at_once_never_run_past_full),
		cmocka_unit_test(the_forecast_is_within_15_percent_under_a_steady_fill),
		cmocka_unit_test(relieved_new_objects_wait_at_high_and_begun_ones_at_full),
		cmocka_unit_test(when_relief_ends_who_waits_is_told_and_refused),
		cmocka_unit_test(each_measure_says_its_own_need),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
