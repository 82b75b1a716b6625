/* One line of the log, and its counters, for each thing that the storage tells.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/main_news.h"

#include <inttypes.h>

#include "server/seal.h"

static void on_conflict(void *arg, const struct sl_record *r, uint32_t attributes)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, SL_LOG_WARN, "index.conflict");
	sl_log_uid(&l, "study", r->study_instance_uid.s, r->study_instance_uid.len);
	for (int a = 0; a < SL_ATTR_N; a++)
		if ((attributes & 1U << a) != 0)
			sl_log_word(&l, "attribute", sl_attrs[a].keyword);
	sl_log_end(&l);
}

static void on_evicted(void *arg, const struct sl_evict_report *r)
{
	struct sl_main_news *n = arg;
	bool is_study = r->sop_instance_uid.len == 0;
	struct sl_log_line l;
	if (r->is_order) {
		sl_stats_add(&n->stats->deleted_objects, r->removed.instances);
	} else {
		sl_stats_add(&n->stats->evicted_studies, 1);
		sl_stats_add(&n->stats->evicted_objects, r->removed.instances);
		sl_stats_add(&n->stats->evicted_bytes, r->removed.bytes);
	}
	sl_log_begin(&l, n->log, SL_LOG_INFO,
		!r->is_order ? "evict.study"
		: is_study   ? "delete.study"
			     : "delete.instance");
	sl_log_uid(&l, "study", r->study_instance_uid.s, r->study_instance_uid.len);
	if (!is_study)
		sl_log_uid(&l, "instance", r->sop_instance_uid.s, r->sop_instance_uid.len);
	sl_log_uint(&l, "instances", r->removed.instances);
	sl_log_uint(&l, "bytes", r->removed.bytes);
	if (!r->is_order)
		sl_log_fmt(&l, "age", "%" PRIu64 "s", r->age_ms / 1000);
	sl_log_end(&l);
}

static void on_stuck(void *arg, const char *why)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, why != NULL ? SL_LOG_WARN : SL_LOG_INFO,
		why != NULL ? "evict.stuck" : "evict.relieved");
	if (why != NULL) {
		sl_log_word(&l, "why", why);
		sl_log_str(&l, "note", "no study can go; refusing when the disk is full");
	}
	sl_log_end(&l);
}

static void on_set_aside(void *arg, const char *name)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	sl_stats_add(&n->stats->files_set_aside, 1);
	sl_log_begin(&l, n->log, SL_LOG_WARN, "archive.set_aside");
	sl_log_fmt(&l, "file", "quarantine/%s", name);
	sl_log_str(&l, "note", "it had an object's name but no row in the index");
	sl_log_end(&l);
}

static void on_index_alarm(void *arg, enum sl_index_alarm alarm, const struct sl_index_watch *w)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	bool is_raised = w->is_raised[alarm];
	sl_log_begin(&l, n->log, is_raised ? SL_LOG_WARN : SL_LOG_INFO,
		is_raised ? "index.alarm" : "index.relieved");
	switch (alarm) {
	case SL_INDEX_ALARM_MAP:
		sl_log_word(&l, "what", "map");
		sl_log_percent(&l, "index", w->used_share);
		if (is_raised)
			sl_log_str(&l, "note", "raise index.map_size and restart");
		break;
	case SL_INDEX_ALARM_READER:
		sl_log_word(&l, "what", "reader");
		sl_log_fmt(&l, "oldest_reader", "%" PRIu64 "s", w->reader_ms / 1000);
		sl_log_uint(&l, "reader_lag", w->reader_lag);
		if (is_raised)
			sl_log_str(&l, "note",
				"another process reads the index and keeps its free "
				"pages from being used");
		break;
	case SL_INDEX_ALARM_N:
		break;
	}
	sl_log_end(&l);
}

void sl_main_news_rebuild(void *arg, const struct sl_rebuild_report *r)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	if (r->phase == SL_REBUILD_RESUMED) {
		sl_log_begin(&l, n->log, SL_LOG_INFO, "index.rebuild_resumed");
		sl_log_uint(&l, "files", r->kept_files);
		sl_log_uint(&l, "folders", r->kept_fans);
		sl_log_uint(&l, "dropped", r->dropped_fans);
		if (r->why_not[0] != '\0')
			sl_log_str(&l, "why", r->why_not);
		sl_log_end(&l);
		return;
	}
	sl_log_begin(&l, n->log, r->bad > 0 ? SL_LOG_WARN : SL_LOG_INFO, "index.rebuild");
	sl_log_uint(&l, "files", r->files);
	sl_log_uint(&l, "indexed", r->indexed);
	sl_log_uint(&l, "bad", r->bad);
	if (r->first_bad[0] != '\0')
		sl_log_str(&l, "first_bad", r->first_bad);
	sl_log_end(&l);
}

static void on_rebuild_swept(void *arg)
{
	struct sl_main_news *n = arg;
	struct sl_log_line l;
	sl_log_begin(&l, n->log, SL_LOG_INFO, "index.rebuild_swept");
	sl_log_str(
		&l, "note", "a rebuild was killed; the index is there, so what it had kept went");
	sl_log_end(&l);
}

struct sl_storage_news sl_main_news(struct sl_main_news *n)
{
	return (struct sl_storage_news){
		.on_rebuild = sl_main_news_rebuild,
		.on_rebuild_swept = on_rebuild_swept,
		.on_conflict = on_conflict,
		.on_thread = sl_seal_thread,
		.on_evicted = on_evicted,
		.on_stuck = on_stuck,
		.on_set_aside = on_set_aside,
		.on_index_alarm = on_index_alarm,
		.arg = n,
	};
}
