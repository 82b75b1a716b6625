/* What the storage tells of itself, as lines of the log: evictions, conflicts, how a rebuild goes.
 *
 * Called on the storage's threads; writing a line never blocks for long. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "server/log.h"
#include "server/stats.h"
#include "storage/storage.h"

struct sl_main_news {
	struct sl_log *log;     /* borrowed; open before the storage */
	struct sl_stats *stats; /* borrowed */
};

/* News for the storage, whose arg is n; on_fail is the caller's to set. */
struct sl_storage_news sl_main_news(struct sl_main_news *n);

/* How far a rebuild is. Also before it has ended: operators of large archives want to see it move. */
void sl_main_news_rebuild(void *arg, const struct sl_rebuild_report *r);
