/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_watch.h"

static double used_share(const struct sl_index_snapshot *s)
{
	uint64_t map_pages = s->page_size > 0 ? s->map_size / s->page_size : 0;
	return map_pages > 0 ? 100.0 * (double)s->pages_used / (double)map_pages : 0;
}

static void follow_reader(
	struct sl_index_watch *w, const struct sl_index_snapshot *s, uint64_t now_ns)
{
	if (s->reader_commit != w->reader_commit)
		w->since_ns = now_ns;
	w->reader_commit = s->reader_commit;
	bool is_behind = s->reader_commit > 0 && s->reader_commit < s->last_commit;
	w->reader_lag = is_behind ? s->last_commit - s->reader_commit : 0;
	w->reader_ms = is_behind ? (now_ns - w->since_ns) / 1000000u : 0;
}

unsigned sl_index_watch_look(
	struct sl_index_watch *w, const struct sl_index_snapshot *s, uint64_t now_ns)
{
	bool was[SL_INDEX_ALARM_N];
	unsigned changed = 0;
	for (int a = 0; a < SL_INDEX_ALARM_N; a++)
		was[a] = w->is_raised[a];
	w->used_share = used_share(s);
	follow_reader(w, s, now_ns);
	w->is_raised[SL_INDEX_ALARM_MAP] =
		w->used_share >=
		(was[SL_INDEX_ALARM_MAP] ? SL_INDEX_WATCH_MAP_OFF : SL_INDEX_WATCH_MAP_ON);
	w->is_raised[SL_INDEX_ALARM_READER] = w->reader_ms > SL_INDEX_WATCH_READER_MS;
	for (int a = 0; a < SL_INDEX_ALARM_N; a++)
		changed |= (unsigned)(was[a] != w->is_raised[a]) << a;
	return changed;
}
