/* The storage as a whole: what stands below ingest, opened in the order in which one thing needs the
 * other, and closed in reverse.
 *
 *	root (lock, folders) -> journal/ops -> index (rebuilt, if it was lost) -> recovery -> trash -> water
 *	-> dirsync, berths, disk threads -> indexer -> ingest -> evictor -> trash thread, keeper
 *
 * After open the port may listen: every acknowledged object is in the index and in the archive.
 * Open and close on the main thread; open allocates everything ("bought at start").
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/evict.h"
#include "storage/index_lmdb.h"
#include "storage/index_watch.h"
#include "storage/indexer.h"
#include "storage/ingest.h"
#include "storage/ioq.h"
#include "storage/keeper.h"
#include "storage/latch.h"
#include "storage/ops.h"
#include "storage/pending.h"
#include "storage/rebuild.h"
#include "storage/recover.h"
#include "storage/root.h"
#include "storage/store_fs.h"
#include "storage/water.h"

struct sl_storage_conf {
	const char *root;            /* storage.root; borrowed during open */
	const char *index_path;      /* index.path; "" = beneath the root */
	const char *group;           /* storage.group; "" = none */
	bool is_durable;             /* storage.durability = "fsync" */
	unsigned threads;            /* storage.threads: disk threads */
	unsigned names_ahead;        /* storage.names_ahead; 0 = none */
	uint64_t map_size;           /* index.map_size [bytes] */
	uint64_t keep_ms;            /* index.checkpoint */
	struct sl_charsets charsets; /* for what is read again from files; borrowed during open */
	struct sl_water_conf water;
	struct sl_ingest_conf ingest;
	struct sl_indexer_conf indexer;
	struct sl_evict_conf evict;
};

/* News for the one who opened it; any thread, must only pass them on. */
struct sl_storage_news {
	void (*on_fail)(void *arg, const struct sl_diag *cause); /* the latch: leave with exit 70 */
	void (*on_rebuild)(void *arg, const struct sl_rebuild_report *so_far); /* may be NULL */
	void (*on_rebuild_swept)(void *arg); /* what a killed rebuild had kept; may be NULL */
	void (*on_conflict)(void *arg, const struct sl_record *r, uint32_t attributes);
	void (*on_thread)(void *arg); /* first on each thread of ours: to seal it */
	void (*on_evicted)(void *arg, const struct sl_evict_report *r); /* evict.h; may be NULL */
	void (*on_stuck)(void *arg, const char *why);                   /* likewise */
	/* A file without a row had the archive name of an object: now in quarantine/; may be NULL. */
	void (*on_set_aside)(void *arg, const char *name);
	/* An alarm of the index was raised or is over; may be NULL. */
	void (*on_index_alarm)(
		void *arg, enum sl_index_alarm alarm, const struct sl_index_watch *w);
	void *arg;
};

struct sl_storage {
	struct sl_root root;
	struct sl_latch latch;
	struct sl_index *index;
	struct sl_store *store;
	struct sl_water *water;
	struct sl_ioq *ioq;
	struct sl_dirsync *spool_sync;
	struct sl_berths *berths; /* NULL: no names are made ahead */
	struct sl_keeper *keeper;
	struct sl_pending *pending;
	struct sl_indexer *indexer;
	struct sl_ingest *ingest;
	struct sl_trash *trash;
	struct sl_ops *ops;
	struct sl_evict *evict;
	struct sl_recover_report recovered;
	struct sl_leftovers left;
	struct sl_rebuild_report rebuilt;
	bool has_rebuilt;
	bool is_root_open;
	struct sl_storage_news news;
	const struct sl_env *env;
	pthread_mutex_t watch_lock; /* while it is open */
	struct sl_index_watch watch;
};

/* Memory of the fixed tables [bytes]: part of the sum printed at start. */
size_t sl_storage_memory(const struct sl_storage_conf *conf);

/* In memory of the caller's, which does not move. On failure nothing stays open. */
SL_MUST enum sl_status sl_storage_open(struct sl_storage *s, const struct sl_storage_conf *conf,
	const struct sl_storage_news *news, const struct sl_env *env, struct sl_diag *d);

/* What SIGHUP may change: marks and quota, what is unsound or too large, quarantine. */
void sl_storage_configure(struct sl_storage *s, const struct sl_storage_conf *conf);

/* What was last seen of the index's map and readers; a look each minute. Any thread. */
struct sl_index_watch sl_storage_watch(struct sl_storage *s);

/* All objects are done. Indexes and moves what is queued, unless the store has failed. */
void sl_storage_close(struct sl_storage *s);
