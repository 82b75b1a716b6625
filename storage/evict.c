/* One study a step: which one, whether it still helps, and the way out.
 *
 * What is known of a removal that is under way is in `doomed`; it is there from the commit of the
 * tombstone until the tombstone is dropped, and while it is there nothing else happens on this thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/evict.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ingest.h"
#include "storage/latch.h"
#include "storage/pending.h"

#define PAGE            16 /* studies looked at in one read */
#define PAGES           16 /* pages looked at in one step, before it says there are none */
#define MEASURE_SHARE   50 /* this part of the disk is freed before help is measured... */
#define MEASURE_MIN     (4 * SL_MIB) /* ...but at least this much */
#define ORDER_PERIOD_MS 200          /* an order looks this often whether the store has failed */

/* Somebody waits for a deletion; lives on its stack. */
struct order {
	struct sl_list node;
	struct sl_uid uid;
	bool is_study, is_taken, is_done;
	enum sl_status status;
	struct sl_index_removed removed;
};

/* What has to go, by measures that passed their mark and are not yet down at `low`. */
struct need {
	bool is_high;
	uint64_t disk, quota, inodes;
};

struct sl_evict {
	struct sl_evict_deps deps;
	struct sl_index_reader *reader; /* the indexer thread's */

	/* Of the step; the indexer thread's. */
	struct sl_index_tombstone doomed; /* seq 0: none */
	struct sl_evict_report report;
	struct order *order;                           /* whose removal it is; NULL: for room */
	bool drains_disk, drains_quota, drains_inodes; /* past its mark, not yet down at `low` */
	bool is_vain;              /* what is freed does not lower the disk's share */
	struct sl_water_now begun; /* when draining began, or help was last measured */
	uint64_t freed_then;       /* bytes the trash had freed then */

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t over;  /* an order is done */
	struct sl_evict_conf conf;
	struct sl_list orders;
	struct sl_evict_stats stats;
};

static struct sl_evict_conf conf_of(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	struct sl_evict_conf conf = ev->conf;
	pthread_mutex_unlock(&ev->lock);
	return conf;
}

/* ---- the way out -------------------------------------------------------------------------------- */

static void tell_order(struct sl_evict *ev, struct order *o, enum sl_status st)
{
	pthread_mutex_lock(&ev->lock);
	o->status = st;
	o->removed = ev->report.removed;
	o->is_done = true;
	pthread_cond_broadcast(&ev->over);
	pthread_mutex_unlock(&ev->lock);
}

static enum sl_errand fail(struct sl_evict *ev, const struct sl_diag *d)
{
	sl_latch_fail(ev->deps.latch, d);
	sl_pending_open_study(ev->deps.pending);
	if (ev->order != NULL)
		tell_order(ev, ev->order, SL_E_IO);
	return SL_ERRAND_FAILED;
}

static void count(struct sl_evict *ev)
{
	const struct sl_evict_report *r = &ev->report;
	pthread_mutex_lock(&ev->lock);
	if (r->is_order) {
		ev->stats.deleted += r->removed.instances;
	} else {
		ev->stats.studies++;
		ev->stats.instances += r->removed.instances;
		ev->stats.bytes += r->removed.bytes;
	}
	pthread_mutex_unlock(&ev->lock);
}

/* The tombstone stands: files to the trash, tombstone out. Where there is no room it is called again;
 * until it is through, nothing of the study moves (nothing moves at all). */
static enum sl_errand finish(struct sl_evict *ev)
{
	struct sl_diag d = {0};
	enum sl_status st = sl_trash_move(ev->deps.root, &ev->doomed, &d);
	if (st == SL_OK)
		st = sl_index_drop_tombstone(ev->deps.index, ev->doomed.seq, &d);
	/* Also where it is tried again: what is in the trash makes the room that is missing. */
	sl_trash_add(ev->deps.trash, ev->report.removed.bytes, ev->report.removed.versions);
	if (st == SL_E_FULL) {
		ev->report.removed.bytes = ev->report.removed.versions = 0;
		return SL_ERRAND_RETRY;
	}
	if (st != SL_OK)
		return fail(ev, &d);
	ev->doomed.seq = 0;
	sl_pending_open_study(ev->deps.pending);
	return SL_ERRAND_MORE;
}

/* Told before its files are moved: a removal that is committed will happen. */
static void announce(struct sl_evict *ev)
{
	count(ev);
	if (ev->deps.on_evicted != NULL)
		ev->deps.on_evicted(ev->deps.arg, &ev->report);
}

/* The study is closed: takes its rows out, or those of one instance. SL_OK: the tombstone stands. */
static enum sl_status condemn(struct sl_evict *ev, struct sl_diag *d)
{
	struct sl_evict_report *r = &ev->report;
	struct sl_index_tombstone *tomb = &ev->doomed;
	enum sl_status st = sl_trash_sync_spool(ev->deps.trash, d);
	uint64_t seq = sl_ingest_next_seq(ev->deps.ingest);
	if (st != SL_OK)
		return st;
	if (r->sop_instance_uid.len == 0) {
		*tomb = (struct sl_index_tombstone){
			.kind = SL_INDEX_TOMB_STUDY, .study_instance_uid = r->study_instance_uid};
		st = sl_index_remove_study(
			ev->deps.index, &r->study_instance_uid, seq, &r->removed, d);
	} else {
		st = sl_index_remove_instance(
			ev->deps.index, &r->sop_instance_uid, seq, &r->removed, d);
	}
	tomb->seq = st == SL_OK ? seq : 0;
	return st;
}

/* Takes what the report names out. SL_OK: *next is what the indexer does now; else nothing happened,
 * unless the store was latched (*next is SL_ERRAND_FAILED). */
static enum sl_status take_out(struct sl_evict *ev, enum sl_errand *next)
{
	struct sl_diag d = {0};
	*next = SL_ERRAND_MORE;
	if (!sl_pending_close_study(ev->deps.pending, &ev->report.study_instance_uid))
		return SL_E_BUSY;
	enum sl_status st = condemn(ev, &d);
	if (st == SL_E_NOTFOUND || st == SL_E_FULL) {
		sl_pending_open_study(ev->deps.pending);
		return st;
	}
	if (st != SL_OK) {
		*next = fail(ev, &d);
		return st;
	}
	announce(ev);
	*next = finish(ev);
	return SL_OK;
}

/* ---- by order ----------------------------------------------------------------------------------- */

static struct order *next_order(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	struct sl_list *n = sl_list_pop(&ev->orders);
	struct order *o = n != NULL ? sl_container_of(n, struct order, node) : NULL;
	if (o != NULL)
		o->is_taken = true;
	pthread_mutex_unlock(&ev->lock);
	return o;
}

/* Fills the report, and for an instance the tombstone too: where its file is. */
static enum sl_status look_up(struct sl_evict *ev, const struct order *o)
{
	struct sl_index_instance row;
	ev->report = (struct sl_evict_report){.is_order = true};
	if (o->is_study) {
		ev->report.study_instance_uid = o->uid;
		return SL_OK;
	}
	enum sl_status st = sl_index_locate_instance(ev->reader, &o->uid, &row, NULL);
	if (st != SL_OK)
		return st;
	ev->report.study_instance_uid = row.study_instance_uid;
	ev->report.sop_instance_uid = row.sop_instance_uid;
	ev->doomed = (struct sl_index_tombstone){
		.kind = SL_INDEX_TOMB_INSTANCE,
		.volume = row.volume,
		.study_instance_uid = row.study_instance_uid,
		.series_instance_uid = row.series_instance_uid,
		.sop_instance_uid = row.sop_instance_uid,
		.object_seq = row.seq,
		.is_plain_name = (row.flags & SL_RECORD_PLAIN_NAME) != 0,
	};
	return SL_OK;
}

static enum sl_errand obey(struct sl_evict *ev, struct order *o)
{
	enum sl_errand next = SL_ERRAND_MORE;
	ev->order = o;
	enum sl_status st = look_up(ev, o);
	if (st == SL_OK)
		st = take_out(ev, &next);
	if (next == SL_ERRAND_RETRY)
		return next; /* told when it is through */
	if (next != SL_ERRAND_FAILED)
		tell_order(ev, o, st);
	ev->order = NULL;
	return next;
}

static enum sl_status give_order(struct sl_evict *ev, bool is_study, const struct sl_uid *uid,
	struct sl_index_removed *removed)
{
	struct order o = {.uid = *uid, .is_study = is_study};
	sl_list_init(&o.node);
	pthread_mutex_lock(&ev->lock);
	sl_list_push(&ev->orders, &o.node);
	pthread_mutex_unlock(&ev->lock);
	sl_indexer_wake(ev->deps.indexer);
	pthread_mutex_lock(&ev->lock);
	/* Once it is taken, the indexer thread has it and says how it ended. */
	while (!o.is_done && (o.is_taken || !sl_latch_is_failed(ev->deps.latch))) {
		uint64_t at = sl_env_now_ns(ev->deps.env) + ORDER_PERIOD_MS * 1000000u;
		const struct timespec ts = {
			.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
		pthread_cond_timedwait(&ev->over, &ev->lock, &ts);
	}
	sl_list_remove(&o.node);
	*removed = o.removed;
	enum sl_status st = o.is_done ? o.status : SL_E_IO;
	pthread_mutex_unlock(&ev->lock);
	return st;
}

enum sl_status sl_evict_study(
	struct sl_evict *ev, const struct sl_uid *uid, struct sl_index_removed *removed)
{
	return give_order(ev, true, uid, removed);
}

enum sl_status sl_evict_instance(
	struct sl_evict *ev, const struct sl_uid *uid, struct sl_index_removed *removed)
{
	struct sl_index_removed one;
	enum sl_status st;
	*removed = (struct sl_index_removed){0};
	/* The current version each time, until none has taken its place. A crash in between leaves
	 * versions of an object whose deletion was not confirmed. */
	while ((st = give_order(ev, false, uid, &one)) == SL_OK) {
		removed->instances += one.instances;
		removed->versions += one.versions;
		removed->bytes += one.bytes;
		removed->series_gone = one.series_gone;
		removed->study_gone = one.study_gone;
	}
	return st == SL_E_NOTFOUND && removed->versions > 0 ? SL_OK : st;
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

/* Once enough was freed and nothing is half unlinked: did the file system get it? Where we keep less
 * by half of what was freed, and the disk is no emptier, somebody else has it. */
static void measure_help(struct sl_evict *ev)
{
	struct sl_water_now then = ev->begun;
	struct sl_trash_stats trash = sl_trash_stats(ev->deps.trash);
	uint64_t freed = trash.freed_bytes - ev->freed_then;
	uint64_t enough = sl_max64(MEASURE_MIN, (then.used + then.avail) / MEASURE_SHARE);
	if (trash.bytes > 0 || freed < enough)
		return;
	begin_measuring(ev);
	const struct sl_water_now *now = &ev->begun;
	ev->is_vain |= now->kept + freed / 2 <= then.kept && now->used >= then.used + now->reserved;
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
	/* A clock that was set back makes studies young, never old. */
	if (now < a->counts.last_ms || (uint64_t)(now - a->counts.last_ms) < conf_of(ev).min_age_ms)
		return "evict_min_age";
	return NULL;
}

static enum sl_status try_study(
	struct sl_evict *ev, const struct sl_index_arrival *a, enum sl_errand *next)
{
	ev->order = NULL;
	ev->report = (struct sl_evict_report){
		.study_instance_uid = a->study_instance_uid,
		.age_ms = (uint64_t)(sl_env_wall_ms(ev->deps.env) - a->counts.last_ms),
	};
	return take_out(ev, next);
}

/* Takes the oldest study that may go. SL_OK; else *why there is none. */
static enum sl_status take_oldest(struct sl_evict *ev, enum sl_errand *next, const char **why)
{
	struct sl_index_arrival page[PAGE];
	uint64_t after = 0;
	*why = "empty";
	*next = SL_ERRAND_DONE;
	for (int pages = 0; pages < PAGES; pages++) {
		size_t n = PAGE;
		struct sl_diag d = {0};
		enum sl_status st = sl_index_list_arrivals(ev->reader, &after, page, &n, &d);
		if (st == SL_END)
			return SL_E_NOTFOUND;
		if (st != SL_OK) {
			*next = fail(ev, &d);
			return st;
		}
		for (size_t i = 0; i < n; i++) {
			const char *no = objection(ev, &page[i]);
			st = no != NULL ? SL_E_NOTFOUND : try_study(ev, &page[i], next);
			if (st == SL_OK || *next == SL_ERRAND_FAILED)
				return st;
			if (i == 0 && pages == 0) /* what holds the oldest */
				*why = no != NULL        ? no
				       : st == SL_E_FULL ? "index-full"
							 : "receiving";
		}
	}
	return SL_E_NOTFOUND;
}

/* True when nothing more has to leave the archive: what is being unlinked is enough. */
static bool is_enough(const struct need *need, const struct sl_trash_stats *trash)
{
	return sl_max64(need->disk, need->quota) <= trash->bytes && need->inodes <= trash->files;
}

/* One study, if a mark is passed and one can go. */
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
	measure_help(ev);
	const char *why = limit_need(ev, &need);
	if (why == NULL && is_enough(&need, &trash)) {
		sl_water_set_relief(ev->deps.water, true);
		return SL_ERRAND_DONE;
	}
	if (why == NULL && take_oldest(ev, &next, &why) == SL_OK) {
		sl_water_set_relief(ev->deps.water, true);
		return next;
	}
	/* What is still being unlinked may be enough for those who wait. */
	if (next != SL_ERRAND_FAILED && trash.bytes == 0)
		be_stuck(ev, why);
	return next;
}

static enum sl_errand step(void *arg)
{
	struct sl_evict *ev = arg;
	if (ev->doomed.seq != 0) { /* there was no room before */
		enum sl_errand next = finish(ev);
		if (next == SL_ERRAND_MORE && ev->order != NULL) {
			tell_order(ev, ev->order, SL_OK);
			ev->order = NULL;
		}
		return next;
	}
	struct order *o = next_order(ev);
	if (o != NULL)
		return obey(ev, o);
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
