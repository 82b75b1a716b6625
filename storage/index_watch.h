/* Watching the index: how full its map is, and who pins its pages.
 *
 * A reader that keeps its transaction open keeps every page that was freed since from being used again: the
 * file grows with each commit until the map is full. Our own readers are short; another process' (a tool
 * that looks in) may not be, or may have died with its slot taken: those are cleared (index.h,
 * sl_index_clear_stale), the living are told of. LMDB says which commit a reader is at and not since when;
 * how long is seen from one look to the next.
 *
 * Pure; the owner calls it from one thread at a time. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"

#define SL_INDEX_WATCH_MAP_ON  80 /* percent of the map in use: warn... */
#define SL_INDEX_WATCH_MAP_OFF 75 /* ...until it is below this */
#define SL_INDEX_WATCH_READER_MS \
	60000 /* a reader at one commit for longer, while others were made */

enum sl_index_alarm { SL_INDEX_ALARM_MAP, SL_INDEX_ALARM_READER, SL_INDEX_ALARM_N };

struct sl_index_watch {
	double used_share; /* percent of the map's pages that hold rows */
	uint64_t
		reader_lag; /* commits made since the one the oldest reader is at; 0 = none is behind */
	uint64_t reader_ms; /* how long it has been seen there */
	bool is_raised[SL_INDEX_ALARM_N];
	uint64_t reader_commit; /* of the last look; 0 = no reader */
	uint64_t since_ns;      /* when it was first seen there */
};

/* A look, made after the readers were counted. Returns the bits of the alarms that changed. Zeroed before
 * the first. */
unsigned sl_index_watch_look(
	struct sl_index_watch *w, const struct sl_index_snapshot *s, uint64_t now_ns);
