/* What the heartbeat says, field by field: connections, intake, pool, index, disk.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *state_word(const struct sl_heartbeat *h, const struct sl_water_now *water)
{
	if (sl_latch_is_failed(&h->storage->latch))
		return "failed";
	if (h->is_evicting && water->is_relieved && water->state != SL_WATER_OK)
		return "evicting";
	switch (water->state) {
	case SL_WATER_OK:
		return "ok";
	case SL_WATER_HIGH:
		return "high";
	case SL_WATER_REFUSING:
		return "refusing";
	}
	return "";
}

/* full_in=6h20m, or "-" while the disk is not filling. */
static void put_full_in(struct sl_log_line *l, int64_t s)
{
	if (s < 0)
		sl_log_word(l, "full_in", "-");
	else if (s < 3600)
		sl_log_fmt(l, "full_in", "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 48 * 3600)
		sl_log_fmt(l, "full_in", "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		sl_log_fmt(l, "full_in", "%" PRId64 "d", s / 86400);
}

/* A field of /proc/self/status in KiB, 0 where there is none. */
static uint64_t resident_kib(const char *field)
{
	char line[128];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/self/status", "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		size_t n = 0;
		while (field[n] != '\0' && field[n] == line[n])
			n++;
		if (field[n] == '\0' && line[n] == ':')
			kib = strtoull(line + n + 1, NULL, 10);
	}
	fclose(f);
	return kib;
}

static void put_pool(struct sl_log_line *l, struct sl_heartbeat *h)
{
	struct sl_slab_stats pool = sl_server_pool(h->server);
	char advice[160];
	sl_log_of(l, "pool", pool.used, pool.n);
	sl_log_uint(l, "peak", pool.peak);
	sl_log_uint(l, "waiters", pool.waiters);
	if (sl_stats_advice(h->stats, h->server->conf.buffer_size, advice, sizeof(advice)))
		sl_log_str(l, "advice", advice);
}

static void put_evict(
	struct sl_log_line *l, struct sl_heartbeat *h, const struct sl_water_now *water)
{
	struct sl_evict_stats evict = sl_evict_stats(h->storage->evict);
	sl_log_uint(l, "evicted", evict.studies);
	sl_log_fmt(l, "trash", "%" PRIu64 "MiB", evict.trash.bytes / SL_MIB);
	if (water->waiting > 0)
		sl_log_uint(l, "waiting_room", water->waiting);
	if (evict.trash.failures > 0)
		sl_log_uint(l, "trash_failures", evict.trash.failures);
	if (evict.stuck != NULL)
		sl_log_word(l, "evict_stuck", evict.stuck);
}

static void put_disk(struct sl_log_line *l, struct sl_heartbeat *h)
{
	struct sl_water_now water = sl_water_now(h->storage->water);
	sl_log_percent(l, "disk", water.used_share);
	sl_log_word(l, "state", state_word(h, &water));
	if (water.state == SL_WATER_REFUSING)
		sl_log_word(l, "refusing", water.why);
	put_full_in(l, water.full_in_s);
	if (h->is_evicting)
		put_evict(l, h, &water);
	if (!h->is_durable)
		sl_log_word(l, "durability", "none");
}

/* The index: how full its map is, pages with rows and free ones, who reads. */
static void put_index(
	struct sl_log_line *l, struct sl_heartbeat *h, const struct sl_index_snapshot *index)
{
	struct sl_index_watch watch = sl_storage_watch(h->storage);
	sl_log_percent(l, "index", watch.used_share);
	sl_log_of(l, "index_pages", index->pages_used, index->pages_used + index->pages_free);
	sl_log_uint(l, "readers", index->readers_used);
	if (index->readers_stale > 0)
		sl_log_uint(l, "readers_stale", index->readers_stale);
	if (watch.reader_lag > 0) {
		sl_log_fmt(l, "oldest_reader", "%" PRIu64 "s", watch.reader_ms / 1000);
		sl_log_uint(l, "reader_lag", watch.reader_lag);
	}
}

/* Objects that found no name made ahead. */
static void put_names(struct sl_log_line *l, struct sl_heartbeat *h)
{
	uint64_t taken = 0, missed = 0;
	if (h->storage->berths != NULL)
		sl_berths_stats(h->storage->berths, &taken, &missed);
	if (missed > 0)
		sl_log_uint(l, "names_late", missed);
}

void sl_heartbeat_beat(struct sl_heartbeat *h, uint64_t now_ns)
{
	struct sl_log_line l;
	uint64_t bytes = sl_stats_get(&h->stats->bytes_in);
	uint64_t objects = sl_stats_get(&h->stats->objects_stored);
	uint64_t ns = now_ns - h->at_ns;
	struct sl_indexer_stats indexer = sl_indexer_stats(h->storage->indexer);
	struct sl_index_snapshot index;
	sl_index_snapshot(h->storage->index, &index);
	sl_log_begin(&l, h->log, SL_LOG_INFO, "status");
	sl_log_uint(&l, "assocs", sl_server_associations(h->server));
	if (bytes == h->bytes_in || ns == 0)
		sl_log_word(&l, "in", "0B/s");
	else
		sl_log_rate(&l, "in", bytes - h->bytes_in, ns);
	sl_log_uint(&l, "objs", objects);
	sl_log_fmt(&l, "objs_per_s", "%.1f",
		ns == 0 ? 0.0 : (double)(objects - h->objects) * 1e9 / (double)ns);
	put_pool(&l, h);
	sl_log_uint(&l, "queue", sl_ioq_stats(h->storage->ioq).queued);
	sl_log_fmt(&l, "index_lag", "%" PRIu64 "ms", indexer.lag_ms);
	sl_log_uint(&l, "unindexed", indexer.queued);
	put_names(&l, h);
	put_disk(&l, h);
	put_index(&l, h, &index);
	sl_log_uint(&l, "studies", index.usage.studies);
	sl_log_uint(&l, "instances", index.usage.instances);
	sl_log_uint(&l, "versions", index.usage.versions);
	sl_log_fmt(&l, "rss_anon", "%" PRIu64 "MiB",
		(resident_kib("RssAnon") + resident_kib("RssShmem")) / 1024);
	sl_log_fmt(&l, "rss_file", "%" PRIu64 "MiB", resident_kib("RssFile") / 1024);
	if (sl_log_dropped(h->log) > 0)
		sl_log_uint(&l, "log_dropped", sl_log_dropped(h->log));
	sl_log_end(&l);
	h->at_ns = now_ns;
	h->bytes_in = bytes;
	h->objects = objects;
}

void sl_heartbeat_disk(const struct sl_water_now *water, char *buf, size_t cap)
{
	const double gib = (double)SL_GIB;
	snprintf(buf, cap, "disk %.1f %% used, %.1f GiB free, refusing below %.1f GiB",
		water->used_share, (double)water->avail / gib, (double)water->refuse_below / gib);
}
