/* A scripted disk and a made-up clock for the watermarks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "storage/water.h"

#define EXTRA (16 * SL_KIB) /* what settle() adds for folders and the like until the next look */

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

static inline uint64_t world_now_ns(void *arg)
{
	return ((struct world *)arg)->now_ns;
}

static inline enum sl_status world_look(void *arg, struct sl_water_fs *fs, struct sl_diag *d)
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

static inline void share(struct sl_water_mark *m, double percent)
{
	*m = (struct sl_water_mark){.share = percent};
}

/* A disk of `total` bytes, empty, with the default marks and no quota; not opened yet. */
static inline void world_init(struct world *x, uint64_t total)
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

static inline void world_open(struct world *x)
{
	struct sl_diag d = {0};
	assert_int_equal(sl_water_open(&x->w, &x->conf, &x->env, world_look, x, 0, &d), SL_OK);
}

static inline void world_use(struct world *x, uint64_t used)
{
	x->fs.avail = x->fs.used + x->fs.avail - used;
	x->fs.used = used;
}

static inline void look(struct world *x)
{
	struct sl_diag d = {0};
	x->now_ns += SL_WATER_PERIOD_MS * (uint64_t)1000000;
	assert_int_equal(sl_water_look(x->w, &d), SL_OK);
}

static inline void assert_state(struct world *x, enum sl_water_state state, const char *why)
{
	struct sl_water_now now = sl_water_now(x->w);
	assert_int_equal(now.state, state);
	assert_string_equal(now.why, why);
	assert_int_equal(sl_water_may_begin(x->w), state != SL_WATER_REFUSING);
}
