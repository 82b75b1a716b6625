/* Opening and closing the storage, one step a line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/storage.h"

#include <assert.h>
#include <string.h>

#include "storage/berth_map.h"

static_assert(
	SL_STORE_FS_LYING >= SL_PENDING_DEFAULT, "what is in spool/ has a place in that table");

#define WATCH_PERIOD_MS 60000 /* the index's readers and pages are counted */

size_t sl_storage_memory(const struct sl_storage_conf *conf)
{
	return sl_pending_memory(SL_PENDING_DEFAULT) + sl_berths_memory(conf->names_ahead) +
	       sl_berth_map_memory(SL_STORE_FS_LYING) +
	       conf->threads * (SL_IOQ_SCRATCH + sizeof(struct sl_record) + 64 * SL_KIB);
}

/* The index is lost, or never was. */
static enum sl_status make_index(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d)
{
	const struct sl_rebuild_conf rebuild = {
		.root = &s->root,
		.env = env,
		.limits = conf->ingest.elem,
		.charsets = &conf->charsets,
		.inflate_max = conf->ingest.inflate_max,
		.map_size = conf->map_size,
		.threads = conf->threads,
		.ops = s->ops,
		.keep_ms = conf->keep_ms,
		.on_progress = news->on_rebuild,
		.arg = news->arg,
	};
	enum sl_status st = sl_rebuild(&rebuild, &s->rebuilt, d);
	s->has_rebuilt = st == SL_OK;
	return st;
}

static enum sl_status open_index(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d)
{
	struct sl_index_lmdb_options options = {
		.path = s->root.index_path,
		.map_size = conf->map_size,
		.readers =
			conf->threads + 2, /* the disk threads, the evictor, the control socket */
		.batch_max = SL_INDEXER_BATCH_MAX,
		.create = false,
	};
	struct sl_diag none = {0};
	sl_index_lmdb_forget_copy(s->root.index_fd);
	bool is_due = sl_rebuild_is_due(&s->root), had_some = false;
	enum sl_status st = is_due ? SL_E_NOTFOUND : sl_index_lmdb_open(&options, &s->index, &none);
	if (st == SL_OK) { /* what a killed rebuild left would be about an archive that was */
		st = sl_rebuild_sweep(&s->root, &had_some, d);
		if (st == SL_OK && had_some && news->on_rebuild_swept != NULL)
			news->on_rebuild_swept(news->arg);
		return st;
	}
	if (st != SL_E_NOTFOUND)
		return sl_fail(d, st, none.errnum, none.where, "%s", none.text);
	st = SL_OK;
	if (is_due || sl_rebuild_has_files(&s->root))
		st = make_index(s, conf, news, env, d);
	options.create = true;
	return st == SL_OK ? sl_index_lmdb_open(&options, &s->index, d) : st;
}

/* What an earlier run left in the spool. */
static enum sl_status recover(
	struct sl_storage *s, const struct sl_storage_conf *conf, struct sl_diag *d)
{
	const struct sl_recover_deps deps = {
		.root = &s->root,
		.store = s->store,
		.index = s->index,
		.limits = conf->ingest.elem,
		.charsets = &conf->charsets,
		.inflate_max = conf->ingest.inflate_max,
		.left = &s->left,
	};
	enum sl_status st = sl_recover(&deps, &s->recovered, d);
	/* What was on its way out has left: the journal need not say so any more. */
	if (st == SL_OK && sl_ops_has_gone(s->ops))
		st = sl_ops_tidy(s->ops, true, d);
	return st;
}

static enum sl_status open_water(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_env *env, struct sl_diag *d)
{
	struct sl_index_snapshot snap;
	sl_index_snapshot(s->index, &snap);
	uint64_t kept = snap.usage.bytes + s->left.bytes + sl_trash_stats(s->trash).bytes;
	return sl_water_open(&s->water, &conf->water, env, sl_root_statfs_look, &s->root, kept, d);
}

/* The keeper's duties; a failure shows in the next heartbeat, as the state it leaves. */
static void look_at_disk(void *arg)
{
	struct sl_storage *s = arg;
	struct sl_diag d = {0};
	(void)!sl_water_look(s->water, &d);
	sl_evict_wake(s->evict);
}

/* The indexer has counted readers and pages. */
static void on_tidied(void *arg)
{
	struct sl_storage *s = arg;
	struct sl_index_snapshot snap;
	sl_index_snapshot(s->index, &snap);
	pthread_mutex_lock(&s->watch_lock);
	unsigned changed = sl_index_watch_look(&s->watch, &snap, sl_env_now_ns(s->env));
	struct sl_index_watch now = s->watch;
	pthread_mutex_unlock(&s->watch_lock);
	for (unsigned a = 0; a < SL_INDEX_ALARM_N; a++)
		if ((changed & 1u << a) != 0 && s->news.on_index_alarm != NULL)
			s->news.on_index_alarm(s->news.arg, (enum sl_index_alarm)a, &now);
}

static void on_conflict(void *arg, const struct sl_record *r, uint32_t attributes)
{
	struct sl_storage *s = arg;
	if (s->news.on_conflict != NULL)
		s->news.on_conflict(s->news.arg, r, attributes);
}

static void watch_index(void *arg)
{
	struct sl_storage *s = arg;
	sl_indexer_tidy(s->indexer);
}

struct sl_index_watch sl_storage_watch(struct sl_storage *s)
{
	pthread_mutex_lock(&s->watch_lock);
	struct sl_index_watch w = s->watch;
	pthread_mutex_unlock(&s->watch_lock);
	return w;
}

static void on_freed(void *arg)
{
	struct sl_storage *s = arg;
	sl_evict_wake(s->evict);
}

static enum sl_status start_threads(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d)
{
	enum sl_status st = sl_dirsync_start(
		&s->spool_sync, s->root.spool_fd, conf->is_durable, news->on_thread, news->arg, d);
	if (st != SL_OK)
		return st;
	const struct sl_berths_deps berths = {.root = &s->root,
		.spool_sync = s->spool_sync,
		.latch = &s->latch,
		.first = s->recovered.next_berth,
		.on_thread = news->on_thread,
		.arg = news->arg};
	if (conf->names_ahead > 0)
		st = sl_berths_start(&s->berths, conf->names_ahead, &berths, d);
	if (st != SL_OK)
		return st;
	sl_store_fs_set_names(s->store, s->spool_sync, s->berths);
	st = sl_ioq_start(&s->ioq, conf->threads, news->on_thread, news->arg, d);
	if (st != SL_OK)
		return st;
	const struct sl_indexer_deps deps = {
		.env = env,
		.index = s->index,
		.store = s->store,
		.pending = s->pending,
		.latch = &s->latch,
		.on_conflict = on_conflict,
		.on_tidied = on_tidied,
		.arg = s,
	};
	/* Not sealed: LMDB allocates on this thread (a named exemption). */
	return sl_indexer_start(&s->indexer, &conf->indexer, &deps, d);
}

static enum sl_status open_ingest(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_env *env, struct sl_diag *d)
{
	const struct sl_ingest_deps deps = {
		.env = env,
		.ioq = s->ioq,
		.store = s->store,
		.index = s->index,
		.indexer = s->indexer,
		.pending = s->pending,
		.water = s->water,
		.latch = &s->latch,
		.threads = conf->threads,
		.next_seq = sl_max64(s->recovered.next_seq, sl_trash_next_seq(s->trash)),
	};
	return sl_ingest_open(&s->ingest, &conf->ingest, &deps, d);
}

/* The evictor and those who wake it. */
static enum sl_status start_evicting(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d)
{
	const struct sl_evict_deps deps = {
		.env = env,
		.root = &s->root,
		.index = s->index,
		.indexer = s->indexer,
		.ingest = s->ingest,
		.pending = s->pending,
		.water = s->water,
		.trash = s->trash,
		.ops = s->ops,
		.latch = &s->latch,
		.on_evicted = news->on_evicted,
		.on_stuck = news->on_stuck,
		.arg = news->arg,
	};
	const struct sl_keeper_duty duties[] = {
		{look_at_disk, s, SL_WATER_PERIOD_MS},
		{watch_index, s, WATCH_PERIOD_MS},
	};
	enum sl_status st = sl_evict_open(&s->evict, &conf->evict, &deps, d);
	if (st == SL_OK)
		st = sl_trash_start(s->trash, s->water, on_freed, s, news->on_thread, news->arg, d);
	if (st == SL_OK)
		st = sl_keeper_start(
			&s->keeper, duties, SL_ARRAY_N(duties), news->on_thread, news->arg, d);
	return st;
}

enum sl_status sl_storage_open(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d)
{
	const struct sl_root_opts opts = {
		.index_path = conf->index_path,
		.group = conf->group,
		.is_durable = conf->is_durable,
		.env = env,
	};
	*s = (struct sl_storage){.news = *news, .env = env};
	pthread_mutex_init(&s->watch_lock, NULL);
	sl_latch_init(&s->latch, news->on_fail, news->arg);
	enum sl_status st = sl_root_open(conf->root, &opts, &s->root, d);
	s->is_root_open = st == SL_OK;
	if (st == SL_OK)
		st = sl_ops_open(&s->ops, &s->root, d);
	if (st == SL_OK)
		st = open_index(s, conf, news, env, d);
	if (st == SL_OK)
		st = sl_store_fs_open(&s->store, &s->root, d);
	if (st == SL_OK)
		sl_store_fs_on_set_aside(s->store, news->on_set_aside, news->arg);
	if (st == SL_OK)
		st = recover(s, conf, d);
	if (st == SL_OK)
		st = sl_trash_open(&s->trash, &s->root, d);
	if (st == SL_OK)
		st = open_water(s, conf, env, d);
	if (st == SL_OK)
		st = sl_pending_open(&s->pending, SL_PENDING_DEFAULT, env, d);
	if (st == SL_OK)
		st = start_threads(s, conf, news, env, d);
	if (st == SL_OK)
		st = open_ingest(s, conf, env, d);
	if (st == SL_OK)
		sl_leftovers_hand_over(&s->left, s->pending, s->index, s->indexer);
	if (st == SL_OK)
		st = start_evicting(s, conf, news, env, d);
	if (st != SL_OK)
		sl_storage_close(s);
	return st;
}

void sl_storage_configure(struct sl_storage *s, const struct sl_storage_conf *conf)
{
	sl_water_configure(s->water, &conf->water);
	sl_ingest_configure(s->ingest, &conf->ingest);
	sl_evict_configure(s->evict, &conf->evict);
	sl_indexer_tidy(s->indexer); /* whoever reloads may have looked in */
}

void sl_storage_close(struct sl_storage *s)
{
	if (s->ioq != NULL)
		sl_ioq_stop(s->ioq);
	if (s->berths != NULL)
		sl_berths_stop(s->berths);
	if (s->spool_sync != NULL)
		sl_dirsync_stop(s->spool_sync);
	/* Those who wake the indexer go before it. */
	if (s->keeper != NULL)
		sl_keeper_stop(s->keeper);
	if (s->trash != NULL)
		sl_trash_stop(s->trash);
	sl_indexer_stop(s->indexer);
	sl_leftovers_free(&s->left);
	sl_evict_close(s->evict);
	sl_ingest_close(s->ingest);
	sl_pending_close(s->pending);
	sl_trash_close(s->trash);
	if (s->water != NULL)
		sl_water_close(s->water);
	sl_store_fs_close(s->store);
	sl_index_close(s->index);
	sl_ops_close(s->ops);
	if (s->is_root_open)
		sl_root_close(&s->root);
	pthread_mutex_destroy(&s->watch_lock);
	*s = (struct sl_storage){0};
}
