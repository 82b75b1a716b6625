/* For room: which studies go, and whether it still helps.
 *
 * A batch is as many of the oldest studies as are needed, within bounds: rows of a commit, fsyncs that
 * senders wait behind. SPDX-License-Identifier: Apache-2.0 */
#include "storage/evict_priv.h"

#include <stdlib.h>

#include "storage/ingest.h"

#define PAGE          16           /* studies looked at in one read */
#define BATCH_ROWS    2048         /* rows of a batch's studies, unless the first alone has more */
#define MEASURE_SHARE 50           /* this part of the disk is freed before help is measured... */
#define MEASURE_MIN   (4 * SL_MIB) /* ...but at least this much */

/* What has to go, by measures that passed their mark and are not yet down at `low`. */
struct need {
	bool is_high;
	uint64_t disk, quota, inodes;
};

/* Why it is stuck. */
static const char nothing_there[] = "empty", receiving[] = "receiving", pinned[] = "pinned",
		  too_young[] = "evict_min_age";

static struct sl_evict_conf conf_of(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	struct sl_evict_conf conf = ev->conf;
	pthread_mutex_unlock(&ev->lock);
	return conf;
}

/* ---- for room ----------------------------------------------------------------------------------- */

/* It cannot go on: senders are told that the disk is full. Said once until the marks are kept again. */
static void be_stuck(struct sl_evict *ev, const char *why)
{
	pthread_mutex_lock(&ev->lock);
	bool is_news = ev->stats.stuck == NULL;
	ev->stats.stuck = why;
	pthread_mutex_unlock(&ev->lock);
	sl_water_set_relief(ev->deps.water, false);
	if (is_news && ev->deps.on_stuck != NULL)
		ev->deps.on_stuck(ev->deps.arg, why);
}

/* The marks are kept. */
static void rest(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	bool is_news = ev->stats.stuck != NULL;
	ev->stats.stuck = NULL;
	ev->stats.is_draining = false;
	pthread_mutex_unlock(&ev->lock);
	ev->is_vain = false;
	ev->drains_disk = ev->drains_quota = ev->drains_inodes = false;
	sl_water_set_relief(ev->deps.water, true);
	if (is_news && ev->deps.on_stuck != NULL)
		ev->deps.on_stuck(ev->deps.arg, NULL);
}

static void begin_measuring(struct sl_evict *ev)
{
	struct sl_diag d = {0};
	(void)!sl_water_look(ev->deps.water, &d); /* what it cannot see it does not judge */
	ev->begun = sl_water_now(ev->deps.water);
	ev->freed_then = sl_trash_stats(ev->deps.trash).freed_bytes;
}

static void begin_draining(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	bool is_begun = ev->stats.is_draining;
	ev->stats.is_draining = true;
	pthread_mutex_unlock(&ev->lock);
	if (!is_begun)
		begin_measuring(ev);
}

/* Once enough was taken, and all of it is unlinked: did the file system get it? Where we keep less by
 * half of what was freed, and the disk is no emptier, somebody else has it. False: enough was taken, and
 * nothing more goes for the disk before that can be said. */
static bool measure_help(struct sl_evict *ev, const struct need *need)
{
	struct sl_water_now then = ev->begun;
	struct sl_trash_stats trash = sl_trash_stats(ev->deps.trash);
	uint64_t freed = trash.freed_bytes - ev->freed_then;
	uint64_t enough = sl_max64(MEASURE_MIN, (then.used + then.avail) / MEASURE_SHARE);
	if (freed + trash.bytes < enough)
		return true;
	if (trash.bytes > 0)
		return need->disk + need->inodes == 0;
	begin_measuring(ev);
	const struct sl_water_now *now = &ev->begun;
	ev->is_vain |= now->kept + freed / 2 <= then.kept && now->used >= then.used + now->reserved;
	return true;
}

static uint64_t drain(bool *drains, const struct sl_water_need *n)
{
	*drains = n->is_high || (*drains && n->excess > 0);
	return *drains ? n->excess : 0;
}

static struct need read_need(struct sl_evict *ev)
{
	struct sl_water_excess x = sl_water_excess(ev->deps.water);
	return (struct need){
		.is_high = x.disk.is_high || x.quota.is_high || x.inodes.is_high,
		.disk = drain(&ev->drains_disk, &x.disk),
		.quota = drain(&ev->drains_quota, &x.quota),
		.inodes = drain(&ev->drains_inodes, &x.inodes),
	};
}

/* Takes off the need what evicting cannot help with; why not, or NULL. */
static const char *limit_need(struct sl_evict *ev, struct need *need)
{
	struct sl_water_now now = sl_water_now(ev->deps.water);
	uint64_t floor = (now.used + now.avail) / 100 * conf_of(ev).keep_percent;
	const char *why = ev->is_vain ? "no-help" : now.kept < floor ? "evict_keep" : NULL;
	if (why == NULL || need->disk + need->inodes == 0)
		return NULL;
	need->disk = need->inodes = 0;
	return need->quota > 0 ? NULL : why;
}

/* What must be true of a study before it is taken; whose failing is the cause when none is left. */
static const char *objection(struct sl_evict *ev, const struct sl_index_arrival *a)
{
	int64_t now = sl_env_wall_ms(ev->deps.env);
	if (a->study_instance_uid.len == 0)
		return "no-study";
	if (sl_ops_is_pinned(ev->deps.ops, &a->study_instance_uid))
		return pinned;
	/* A clock that was set back makes studies young, never old. */
	if (now < a->counts.last_ms || (uint64_t)(now - a->counts.last_ms) < conf_of(ev).min_age_ms)
		return too_young;
	return NULL;
}

/* True when nothing more has to leave the archive: what is being unlinked is enough. */
static bool is_enough(const struct need *need, const struct sl_trash_stats *trash)
{
	return sl_max64(need->disk, need->quota) <= trash->bytes && need->inodes <= trash->files;
}

/* What the studies of a batch add up to. */
struct sum {
	uint64_t bytes, rows;
};

/* True when the batch has all that it may or must have. `trash`: what is being unlinked. */
static bool is_filled(const struct sl_evict *ev, const struct need *need,
	const struct sl_trash_stats *trash, const struct sum *sum, size_t max)
{
	const struct sl_trash_stats then = {
		.bytes = trash->bytes + sum->bytes, .files = trash->files + sum->rows};
	return ev->batch.n > 0 &&
	       (ev->batch.n >= max || sum->rows >= BATCH_ROWS || is_enough(need, &then));
}

/* Fills the batch, with at most max studies, the oldest first. They are in the order of their last arrival:
 * behind one that is too young all are. SL_E_NOTFOUND: none may go, and *why the oldest may not. */
static enum sl_status choose(struct sl_evict *ev, const struct need *need,
	const struct sl_trash_stats *trash, size_t max, const char **why, struct sl_diag *d)
{
	struct sl_index_arrival page[PAGE];
	struct sum sum = {0};
	uint64_t after = 0;
	const char *no = NULL;
	sl_evict_begin(ev);
	*why = NULL;
	while (no != too_young) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_arrivals(ev->reader, &after, page, &n, d);
		if (st == SL_END)
			break;
		if (st != SL_OK)
			return st;
		for (size_t i = 0; i < n && no != too_young; i++) {
			const struct sl_index_arrival *a = &page[i];
			no = objection(ev, a);
			uint64_t age = (uint64_t)(sl_env_wall_ms(ev->deps.env) - a->counts.last_ms);
			if (no == NULL && !sl_evict_add(ev, &a->study_instance_uid, age))
				no = receiving;
			if (*why == NULL)
				*why = no;
			sum.bytes += no == NULL ? a->counts.bytes : 0;
			sum.rows += no == NULL ? a->counts.versions : 0;
			if (is_filled(ev, need, trash, &sum, max))
				return SL_OK;
		}
	}
	if (*why == NULL)
		*why = nothing_there;
	return ev->batch.n > 0 ? SL_OK : SL_E_NOTFOUND;
}

/* Takes as many of the oldest studies as are needed. SL_OK; else *why none went. */
static enum sl_status take_oldest(struct sl_evict *ev, const struct need *need,
	const struct sl_trash_stats *trash, enum sl_errand *next, const char **why)
{
	size_t max = SL_EVICT_BATCH;
	struct sl_diag d = {0};
	enum sl_status st;
	*next = SL_ERRAND_DONE;
	for (;;) {
		st = choose(ev, need, trash, max, why, &d);
		if (st != SL_OK && st != SL_E_NOTFOUND)
			*next = sl_evict_fail(ev, &d);
		if (st != SL_OK)
			return st;
		st = sl_evict_take_out(ev, next);
		/* The index is short of pages: one study copies fewer of them. */
		if (st != SL_E_FULL || max == 1)
			break;
		max = 1;
	}
	*why = st == SL_E_FULL ? "index-full" : "empty";
	return st;
}

/* Objects wait for their rows: their studies have none, or count as being received. After the next batch
 * they may go; unless what went before is too young, for then they are. */
static bool more_is_coming(struct sl_evict *ev, const char *why)
{
	return (why == nothing_there || why == receiving || why == pinned) &&
	       sl_indexer_stats(ev->deps.indexer).queued > 0 &&
	       sl_indexer_hurry(ev->deps.indexer) == SL_OK;
}

/* A batch, if a mark is passed and studies can go. */
static enum sl_errand relieve(struct sl_evict *ev)
{
	struct need need = read_need(ev);
	struct sl_trash_stats trash = sl_trash_stats(ev->deps.trash);
	enum sl_errand next = SL_ERRAND_DONE;
	if (!need.is_high && (ev->is_vain || is_enough(&need, &(struct sl_trash_stats){0}))) {
		rest(ev);
		return SL_ERRAND_DONE;
	}
	begin_draining(ev);
	bool is_due = measure_help(ev, &need);
	const char *why = limit_need(ev, &need);
	if (why == NULL && (is_enough(&need, &trash) || !is_due)) {
		sl_water_set_relief(ev->deps.water, true);
		return SL_ERRAND_DONE;
	}
	if (why == NULL && take_oldest(ev, &need, &trash, &next, &why) == SL_OK) {
		sl_water_set_relief(ev->deps.water, true);
		return next;
	}
	if (next != SL_ERRAND_FAILED && more_is_coming(ev, why))
		return SL_ERRAND_MORE;
	/* What is still being unlinked may be enough for those who wait. */
	if (next != SL_ERRAND_FAILED && trash.bytes == 0)
		be_stuck(ev, why);
	return next;
}

static enum sl_errand step(void *arg)
{
	struct sl_evict *ev = arg;
	if (ev->batch.stands) { /* there was no room before */
		enum sl_errand next = sl_evict_finish(ev);
		if (next == SL_ERRAND_MORE && ev->batch.order != NULL) {
			sl_evict_tell(ev, ev->batch.order, SL_OK);
			ev->batch.order = NULL;
		}
		return next;
	}
	struct sl_evict_order *o = sl_evict_next_order(ev);
	if (o != NULL)
		return sl_evict_obey(ev, o);
	return conf_of(ev).is_on ? relieve(ev) : SL_ERRAND_DONE;
}

/* ---- for the others ----------------------------------------------------------------------------- */

void sl_evict_wake(struct sl_evict *ev)
{
	if (conf_of(ev).is_on)
		sl_indexer_wake(ev->deps.indexer);
}

static void on_short(void *arg)
{
	sl_evict_wake(arg);
}

struct sl_evict_stats sl_evict_stats(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	struct sl_evict_stats stats = ev->stats;
	pthread_mutex_unlock(&ev->lock);
	stats.trash = sl_trash_stats(ev->deps.trash);
	return stats;
}

void sl_evict_configure(struct sl_evict *ev, const struct sl_evict_conf *conf)
{
	pthread_mutex_lock(&ev->lock);
	ev->conf.min_age_ms = conf->min_age_ms;
	ev->conf.keep_percent = conf->keep_percent;
	pthread_mutex_unlock(&ev->lock);
	sl_evict_wake(ev);
}

enum sl_status sl_evict_open(struct sl_evict **out, const struct sl_evict_conf *conf,
	const struct sl_evict_deps *deps, struct sl_diag *d)
{
	struct sl_evict *ev = calloc(1, sizeof(*ev));
	if (ev == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "evict", "no memory");
	ev->deps = *deps;
	ev->conf = *conf;
	sl_list_init(&ev->orders);
	pthread_mutex_init(&ev->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the clock of sl_env_now_ns() */
	pthread_cond_init(&ev->over, &attr);
	pthread_condattr_destroy(&attr);
	enum sl_status st = sl_index_open_reader(deps->index, &ev->reader, d);
	if (st != SL_OK) {
		sl_evict_close(ev);
		return st;
	}
	sl_indexer_set_errand(deps->indexer, step, ev);
	sl_water_on_short(deps->water, on_short, ev);
	sl_water_set_relief(deps->water, conf->is_on);
	*out = ev;
	return SL_OK;
}

void sl_evict_close(struct sl_evict *ev)
{
	if (ev == NULL)
		return;
	sl_index_close_reader(ev->reader);
	pthread_cond_destroy(&ev->over);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}
