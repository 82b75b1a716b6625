/* The watermarks: three gauges, one state.
 *
 * A gauge (disk, quota, inodes) has a total and what is left of it; each mark is an amount that must
 * stay left. What is left is never guessed too high: bytes settled since the last look are still taken
 * off what that look said, and so is everything reserved, though part of it may be on disk already.
 * Only a look that began after an object was settled may forget the object's bytes.
 *
 * Into REFUSING: a look at or past `full`, a reservation that would pass it, an ENOSPC. Out of it: only
 * a look that finds every gauge below `high`, and that began after the last ENOSPC.
 *
 * Marks: a share leaves (100 - share) % of the total, but never more than reserve_max; to keep the
 * three apart on a large disk, `low` is held to reserve_max, `high` to three quarters and `full` to
 * half of it. An absolute mark speaks of the disk; of quota and inodes it leaves what its default share
 * would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/water.h"

#include <stdlib.h>
#include <string.h>

#include "storage/forecast.h"

#define OBJECT_INODES   4             /* its file, and the three folders it may be the first in */
#define BYTES_PER_INODE (16 * SL_KIB) /* of an ordinary mkfs: what reserve_max means in inodes */
#define STEP_MIN        (64 * SL_KIB)
#define STEP_SHARE      1024 /* a step is at most this part of the room: many may ask at once */
/* Who waits at `high` must fit in when the evictor is down at `low`, or waits for nothing: on a very small
 * disk a step is less than STEP_MIN, and a few steps fit between the two. */
#define STEP_FIT      2
#define STEP_LEAST    4096
#define OBJECT_EXTRA  (16 * SL_KIB) /* folders, blocks begun, index: what settle() is not told */
#define QUANTUM_SHARE (1024 * 1024) /* growth that the forecast counts, as a part of the disk */
#define QUANTUM_MIN   (64 * SL_KIB)

enum gauge_id { DISK, QUOTA, INODES, GAUGE_N };
enum mark_id { LOW, HIGH, FULL, MARK_N };

static const char *const gauge_names[GAUGE_N] = {"disk", "quota", "inodes"};

struct gauge {
	bool is_used;          /* there is a quota, the file system counts inodes */
	uint64_t total;        /* of bytes, or inodes */
	uint64_t left;         /* never more than there is */
	uint64_t keep[MARK_N]; /* must stay left at each mark: keep[FULL] <= [HIGH] <= [LOW] */
};

struct sl_water {
	const struct sl_env *env;
	enum sl_status (*look)(void *arg, struct sl_water_fs *fs, struct sl_diag *d);
	void *arg;
	pthread_mutex_t looking; /* one look at a time; taken before lock */
	pthread_mutex_t lock;    /* everything below */
	struct sl_water_conf conf;
	struct sl_water_fs fs;          /* the last look */
	uint64_t reserved;              /* handed out, not settled */
	uint64_t settled;               /* kept by objects settled since the last look began */
	uint64_t kept;                  /* of ours on disk */
	uint64_t inodes, inodes_before; /* reserved since the last look; between the two before */
	enum sl_water_state state;
	const char *why;
	bool is_enospc; /* reported since the last look began */
	uint64_t refusals;
	bool is_relieved;
	struct sl_list waiting; /* struct sl_water_wait.node */
	uint32_t waiting_n;
	bool is_short[GAUGE_N]; /* somebody found no room in it and waits, or will */
	void (*on_short)(void *arg);
	void *short_arg;
	struct sl_forecast disk_rate, kept_rate;
};

/* ---- the gauges; all called locked ---- */

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What a mark leaves of `total`. cap: reserve_max in the gauge's unit. */
static uint64_t leave(
	const struct sl_water_mark *m, enum mark_id id, bool is_disk, uint64_t total, uint64_t cap)
{
	static const double default_share[MARK_N] = {75, 85, 95};
	static const unsigned quarters[MARK_N] = {4, 3, 2};
	if (m->is_free_bytes && is_disk)
		return m->free_bytes;
	double share = m->is_free_bytes ? default_share[id] : m->share;
	uint64_t mille = 100000 - (uint64_t)(share * 1000 + 0.5); /* thousandths of a percent */
	uint64_t by_share = total / 100000 * mille + total % 100000 * mille / 100000;
	return sl_min64(by_share, cap / 4 * quarters[id] + cap % 4 * quarters[id] / 4);
}

static struct gauge gauge_of(const struct sl_water *w, enum gauge_id id)
{
	struct gauge g = {.is_used = true};
	uint64_t cap = w->conf.reserve_max;
	switch (id) {
	case DISK:
		g.total = w->fs.used + w->fs.avail;
		g.left = less(less(w->fs.avail, w->settled), w->reserved);
		break;
	case QUOTA:
		g.is_used = w->conf.quota > 0;
		g.total = w->conf.quota;
		g.left = less(less(w->conf.quota, w->kept), w->reserved);
		break;
	case INODES:
		g.is_used = w->fs.files > 0;
		g.total = w->fs.files;
		g.left = less(less(w->fs.files_avail, w->inodes), w->inodes_before);
		cap /= BYTES_PER_INODE;
		break;
	case GAUGE_N:
		break;
	}
	const struct sl_water_mark *marks[MARK_N] = {&w->conf.low, &w->conf.high, &w->conf.full};
	for (int m = FULL; m >= LOW; m--) {
		g.keep[m] = leave(marks[m], (enum mark_id)m, id == DISK, g.total, cap);
		if (m < FULL)
			g.keep[m] = sl_max64(g.keep[m], g.keep[m + 1]);
	}
	return g;
}

/* What may still be handed out of a gauge before `full`. */
static uint64_t room_of(const struct gauge *g)
{
	return g->is_used ? less(g->left, g->keep[FULL]) : UINT64_MAX;
}

/* Moves the state to what the gauges say; called when a look is in, or the marks changed. */
static void judge(struct sl_water *w)
{
	const char *high = NULL, *full = NULL;
	if (w->is_enospc)
		return; /* REFUSING since it was reported, and the look began before that */
	for (int id = 0; id < GAUGE_N; id++) {
		struct gauge g = gauge_of(w, (enum gauge_id)id);
		if (g.is_used && g.left <= g.keep[FULL] && full == NULL)
			full = gauge_names[id];
		if (g.is_used && g.left <= g.keep[HIGH] && high == NULL)
			high = gauge_names[id];
	}
	if (full != NULL) {
		w->state = SL_WATER_REFUSING;
		w->why = full;
	} else if (high == NULL) {
		w->state = SL_WATER_OK;
		w->why = "";
	} else if (w->state != SL_WATER_REFUSING) {
		w->state = SL_WATER_HIGH;
		w->why = high;
	}
}

/* ---- life ---- */

static void set_conf(struct sl_water *w, const struct sl_water_conf *conf)
{
	w->conf = *conf;
	sl_assert(conf->low.share >= 0 && conf->low.share <= 100);
	sl_assert(conf->high.share >= 0 && conf->high.share <= 100);
	sl_assert(conf->full.share >= 0 && conf->full.share <= 100);
}

enum sl_status sl_water_open(struct sl_water **out, const struct sl_water_conf *conf,
	const struct sl_env *env,
	enum sl_status (*look)(void *arg, struct sl_water_fs *fs, struct sl_diag *d), void *arg,
	uint64_t kept, struct sl_diag *d)
{
	struct sl_water *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "water/open", "no memory");
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->looking, NULL);
	w->env = env;
	w->look = look;
	w->arg = arg;
	w->kept = kept;
	w->why = "";
	sl_list_init(&w->waiting);
	set_conf(w, conf);
	enum sl_status st = look(arg, &w->fs, d);
	if (st != SL_OK) {
		sl_water_close(w);
		return st;
	}
	uint64_t quantum = sl_max64(QUANTUM_MIN, w->fs.total / QUANTUM_SHARE);
	sl_forecast_init(&w->disk_rate, quantum);
	sl_forecast_init(&w->kept_rate, quantum);
	sl_forecast_feed(&w->disk_rate, sl_env_now_ns(env), w->fs.used);
	sl_forecast_feed(&w->kept_rate, sl_env_now_ns(env), w->kept);
	judge(w);
	*out = w;
	return SL_OK;
}

void sl_water_close(struct sl_water *w)
{
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->looking);
	free(w);
}

void sl_water_configure(struct sl_water *w, const struct sl_water_conf *conf)
{
	pthread_mutex_lock(&w->lock);
	set_conf(w, conf);
	judge(w);
	pthread_mutex_unlock(&w->lock);
}

/* ---- looking ---- */

/* Locked: who waits will be told. */
static void take_waiting(struct sl_water *w, struct sl_list *told)
{
	sl_list_init(told);
	sl_list_splice(told, &w->waiting);
	w->waiting_n = 0;
	memset(w->is_short, 0, sizeof(w->is_short));
}

/* Outside the lock: each may wait anew from inside its call. */
static void tell(struct sl_list *told)
{
	struct sl_list *n;
	while ((n = sl_list_pop(told)) != NULL) {
		struct sl_water_wait *wait = sl_container_of(n, struct sl_water_wait, node);
		wait->on_news(wait);
	}
}

enum sl_status sl_water_look(struct sl_water *w, struct sl_diag *d)
{
	struct sl_water_fs fs;
	pthread_mutex_lock(&w->looking);
	pthread_mutex_lock(&w->lock);
	uint64_t settled = w->settled, inodes = w->inodes;
	bool was_enospc = w->is_enospc;
	w->is_enospc = false;
	pthread_mutex_unlock(&w->lock);

	enum sl_status st = w->look(w->arg, &fs, d);

	pthread_mutex_lock(&w->lock);
	if (st == SL_OK) {
		w->fs = fs;
		w->settled -= settled; /* settled before the look began: it has seen them */
		/* A file is made a moment after its reservation: inodes count for one look more. */
		w->inodes -= inodes;
		w->inodes_before = inodes;
		sl_forecast_feed(&w->disk_rate, sl_env_now_ns(w->env), fs.used);
		sl_forecast_feed(&w->kept_rate, sl_env_now_ns(w->env), w->kept);
		judge(w);
	} else if (was_enospc) {
		w->is_enospc = true;
	}
	struct sl_list told;
	take_waiting(w, &told);
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_unlock(&w->looking);
	tell(&told);
	return st;
}

/* ---- while somebody makes room ---- */

void sl_water_set_relief(struct sl_water *w, bool is_relieved)
{
	struct sl_list told;
	sl_list_init(&told);
	pthread_mutex_lock(&w->lock);
	if (w->is_relieved != is_relieved)
		take_waiting(w, &told);
	w->is_relieved = is_relieved;
	pthread_mutex_unlock(&w->lock);
	tell(&told);
}

void sl_water_on_short(struct sl_water *w, void (*on_short)(void *arg), void *arg)
{
	w->on_short = on_short;
	w->short_arg = arg;
}

void sl_water_wait(struct sl_water *w, struct sl_water_wait *wait)
{
	pthread_mutex_lock(&w->lock);
	sl_list_push(&w->waiting, &wait->node);
	w->waiting_n++;
	pthread_mutex_unlock(&w->lock);
}

struct sl_water_excess sl_water_excess(struct sl_water *w)
{
	struct sl_water_need needs[GAUGE_N];
	pthread_mutex_lock(&w->lock);
	for (int id = 0; id < GAUGE_N; id++) {
		struct gauge g = gauge_of(w, (enum gauge_id)id);
		/* What is reserved comes back, unless somebody waits because of it. */
		uint64_t back = w->waiting_n == 0 && id != INODES ? w->reserved : 0;
		needs[id].is_high = g.is_used && (g.left <= g.keep[HIGH] || w->is_short[id]);
		needs[id].excess = g.is_used ? less(g.keep[LOW], g.left + back) : 0;
	}
	pthread_mutex_unlock(&w->lock);
	return (struct sl_water_excess){
		.disk = needs[DISK], .quota = needs[QUOTA], .inodes = needs[INODES]};
}

/* ---- objects ---- */

bool sl_water_may_begin(struct sl_water *w)
{
	pthread_mutex_lock(&w->lock);
	bool may = w->state != SL_WATER_REFUSING || w->is_relieved;
	pthread_mutex_unlock(&w->lock);
	return may;
}

/* From now on nothing new; `why` is static. Locked. */
static void refuse(struct sl_water *w, const char *why)
{
	w->state = SL_WATER_REFUSING;
	w->why = why;
}

/* Locked: relieved, is there room for `bytes` below the mark? */
static bool fits(struct sl_water *w, uint64_t bytes, enum mark_id mark)
{
	bool fits = !w->is_enospc;
	w->is_short[DISK] |= !fits;
	for (int id = 0; id < GAUGE_N && fits; id++) {
		struct gauge g = gauge_of(w, (enum gauge_id)id);
		uint64_t need = id == INODES ? OBJECT_INODES : bytes;
		fits = !g.is_used || need <= less(g.left, g.keep[mark]);
		w->is_short[id] |= !fits;
	}
	return fits;
}

/* Locked: there must be room below `full`, or the object is refused. */
static enum sl_status check_full(struct sl_water *w, uint64_t bytes, struct sl_diag *d)
{
	if (w->is_enospc)
		return sl_fail(d, SL_E_FULL, 0, "water/reserve",
			"the file system is full, though not by our objects");
	for (int id = 0; id < GAUGE_N; id++) {
		struct gauge g = gauge_of(w, (enum gauge_id)id);
		uint64_t need = id == INODES ? OBJECT_INODES : bytes;
		if (need <= room_of(&g))
			continue;
		refuse(w, gauge_names[id]);
		return sl_fail(d, SL_E_FULL, 0, "water/reserve",
			"%s at its full mark: %llu left, %llu asked, %llu must stay free",
			gauge_names[id], (unsigned long long)g.left, (unsigned long long)need,
			(unsigned long long)g.keep[FULL]);
	}
	return SL_OK;
}

static enum sl_status reserve(struct sl_water *w, uint64_t bytes, bool is_first, struct sl_diag *d)
{
	enum sl_status st;
	pthread_mutex_lock(&w->lock);
	if (!w->is_relieved)
		st = check_full(w, bytes, d);
	else if (is_first && w->waiting_n > 0)
		st = SL_AGAIN;
	else
		st = fits(w, bytes, is_first ? HIGH : FULL) ? SL_OK : SL_AGAIN;
	if (st == SL_OK) {
		w->reserved += bytes;
		w->inodes += OBJECT_INODES;
	} else if (st != SL_AGAIN) {
		w->refusals++;
	}
	pthread_mutex_unlock(&w->lock);
	if (st == SL_AGAIN && w->on_short != NULL)
		w->on_short(w->short_arg);
	return st;
}

enum sl_status sl_water_reserve(struct sl_water *w, uint64_t bytes, struct sl_diag *d)
{
	return reserve(w, bytes, false, d);
}

enum sl_status sl_water_reserve_first(struct sl_water *w, uint64_t bytes, struct sl_diag *d)
{
	return reserve(w, bytes, true, d);
}

uint64_t sl_water_step(struct sl_water *w)
{
	uint64_t room = UINT64_MAX, most = UINT64_MAX;
	pthread_mutex_lock(&w->lock);
	for (int id = DISK; id <= QUOTA; id++) {
		struct gauge g = gauge_of(w, (enum gauge_id)id);
		uint64_t between = g.keep[LOW] - g.keep[HIGH];
		room = sl_min64(room, room_of(&g));
		if (g.is_used && between > 0)
			most = sl_min64(most, sl_max64(between / STEP_FIT, STEP_LEAST));
	}
	uint64_t step = sl_max64(STEP_MIN, room / STEP_SHARE);
	step = sl_min64(step, sl_max64(STEP_MIN, w->conf.reserve_step));
	pthread_mutex_unlock(&w->lock);
	return sl_min64(step, most);
}

void sl_water_settle(struct sl_water *w, uint64_t reserved, uint64_t kept)
{
	pthread_mutex_lock(&w->lock);
	sl_assert(reserved <= w->reserved);
	w->reserved -= reserved;
	w->kept += kept;
	if (kept > 0)
		w->settled += kept + OBJECT_EXTRA;
	pthread_mutex_unlock(&w->lock);
}

void sl_water_removed(struct sl_water *w, uint64_t bytes)
{
	pthread_mutex_lock(&w->lock);
	w->kept = less(w->kept, bytes);
	pthread_mutex_unlock(&w->lock);
}

void sl_water_enospc(struct sl_water *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_enospc = true;
	refuse(w, "enospc");
	pthread_mutex_unlock(&w->lock);
}

/* ---- what to tell ---- */

static double used_share(const struct gauge *g)
{
	if (!g->is_used)
		return 0;
	return g->total == 0 ? 100 : 100 * (double)(g->total - g->left) / (double)g->total;
}

/* The earlier of two forecasts; -1 = never. */
static int64_t earlier(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

struct sl_water_now sl_water_now(struct sl_water *w)
{
	pthread_mutex_lock(&w->lock);
	struct gauge disk = gauge_of(w, DISK), quota = gauge_of(w, QUOTA);
	double disk_share = used_share(&disk), quota_share = used_share(&quota);
	struct sl_water_now now = {
		.state = w->state,
		.why = w->why,
		.used_share = disk_share > quota_share ? disk_share : quota_share,
		.used = w->fs.used,
		.avail = w->fs.avail,
		.refuse_below = disk.keep[FULL],
		.accept_above = disk.keep[HIGH],
		.reserved = w->reserved,
		.kept = w->kept,
		.full_in_s = sl_forecast_seconds(&w->disk_rate, room_of(&disk)),
		.refusals = w->refusals,
		.is_relieved = w->is_relieved,
		.waiting = w->waiting_n,
	};
	if (quota.is_used)
		now.full_in_s =
			earlier(now.full_in_s, sl_forecast_seconds(&w->kept_rate, room_of(&quota)));
	pthread_mutex_unlock(&w->lock);
	return now;
}
