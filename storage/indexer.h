/* The indexer: one thread, the only writer of the index, the only mover of files (DESIGN 2).
 *
 * Happy path: durable objects queue here; the thread takes a batch, puts it into the index in one
 * commit, and only then has the store move the files from spool/ to their archive names; then the
 * pending entries are free. Index full: the objects stay in the spool and are tried again; new ones
 * are refused by sl_index_reserve(). Any other failure latches the store.
 *
 * On close: what is queued is indexed and moved first.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/env.h"
#include "storage/index.h"
#include "storage/latch.h"
#include "storage/pending.h"
#include "storage/store.h"

#define SL_INDEXER_BATCH_MAX \
	2048 /* records in one commit; what index.batch allows: half of what may be pending, so that
	      * the other half comes in meanwhile */

struct sl_indexer_conf {
	uint32_t batch; /* index.batch: records in one commit, 1 .. SL_INDEXER_BATCH_MAX */
	uint32_t
		max_delay_ms; /* index.max_delay: how long the first record waits for company [ms] */
};

struct sl_indexer_deps {
	const struct sl_env *env;
	struct sl_index *index;
	struct sl_store *store;
	struct sl_pending *pending;
	struct sl_latch *latch;
	/* A study, series or patient row disagrees with a record: attribute bits, no values. Called on
	 * the indexer thread; may be NULL. */
	void (*on_conflict)(void *arg, const struct sl_record *r, uint32_t attributes);
	void (*on_tidied)(void *arg); /* after each sl_indexer_tidy(), likewise */
	void *arg;
};

struct sl_indexer_stats {
	uint32_t queued; /* durable objects not yet in the index */
	uint64_t lag_ms; /* age of the oldest of them [ms] */
	bool is_full;    /* the last commit said MAP_FULL or the disk had no room for it */
};

/* What another does on this thread, between batches, because it must be serial with its moves: the
 * evictor. */
enum sl_errand {
	SL_ERRAND_DONE,  /* call again when woken */
	SL_ERRAND_MORE,  /* call again after the next batch */
	SL_ERRAND_RETRY, /* the disk or the index has no room: call again after a while, and move
			  * nothing before */
	SL_ERRAND_FAILED /* the store was latched */
};

struct sl_indexer;

/* Its thread is not sealed: LMDB allocates on it. Returns owned. */
SL_MUST enum sl_status sl_indexer_start(struct sl_indexer **out, const struct sl_indexer_conf *conf,
	const struct sl_indexer_deps *deps, struct sl_diag *d);

/* The entry's object is durable and was released as won. Any thread; never blocks for long. */
void sl_indexer_push(struct sl_indexer *ix, struct sl_pending_entry *e);

/* Sets the errand, once, before the first wake. */
void sl_indexer_set_errand(struct sl_indexer *ix, enum sl_errand (*errand)(void *arg), void *arg);
/* Has the errand run soon. Any thread; never blocks for long. */
void sl_indexer_wake(struct sl_indexer *ix);

/* Has readers counted and those of dead processes cleared soon (sl_index_clear_stale). Any thread; never
 * blocks for long. */
void sl_indexer_tidy(struct sl_indexer *ix);

/* Waits until everything pushed before the call is committed ("a query sees every object acknowledged
 * before it arrived"). Blocks: disk threads only. SL_E_FULL when the index cannot take it now. */
SL_MUST enum sl_status sl_indexer_catch_up(struct sl_indexer *ix);

/* The next batch is due at once: somebody waits for it to be settled. SL_E_FULL when nothing is settled
 * now (index or disk full, store failed, stopping); then, and whenever that begins, parked owners are
 * to be woken: the indexer does it for those who parked before. Any thread. */
SL_MUST enum sl_status sl_indexer_hurry(struct sl_indexer *ix);

/* Indexes and moves what is queued (unless the store has failed), joins, frees. */
void sl_indexer_stop(struct sl_indexer *ix);

struct sl_indexer_stats sl_indexer_stats(struct sl_indexer *ix);
