/* Inside the evictor: what its files share.
 *
 *   evict.c        for room: which studies, whether it still helps; life
 *   evict_order.c  by order: deletions and pins
 *   evict_out.c    the way out, which both go
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/evict.h"

#include <pthread.h>

#include "storage/pending.h"

#define SL_EVICT_BATCH SL_TRASH_BATCH /* studies that go together */
_Static_assert(SL_EVICT_BATCH <= SL_PENDING_CLOSED, "each is closed while it goes");

enum sl_evict_what {
	SL_EVICT_STUDY,
	SL_EVICT_INSTANCE,
	SL_EVICT_PIN,
	SL_EVICT_UNPIN,
};

/* Somebody waits for what was ordered; lives on its stack. */
struct sl_evict_order {
	struct sl_list node;
	enum sl_evict_what what;
	struct sl_uid uid;
	bool is_taken, is_done;
	enum sl_status status;
	struct sl_index_removed removed;
};

/* What goes together: several studies, or one instance; the indexer thread's. It is closed from when it
 * is chosen until its tombstones are out; while `stands`, nothing else happens on that thread. */
struct sl_evict_batch {
	size_t n;
	bool stands;                  /* the tombstones are committed */
	struct sl_evict_order *order; /* whose removal it is; NULL: for room */
	struct sl_evict_report report[SL_EVICT_BATCH];
	struct sl_index_tombstone tomb[SL_EVICT_BATCH];
	uint64_t bytes, files; /* of all, not yet told to the trash */
};

struct sl_evict {
	struct sl_evict_deps deps;
	struct sl_index_reader *reader; /* the indexer thread's */

	/* Of the step; the indexer thread's. */
	struct sl_evict_batch batch;
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

/* ---- evict_out.c */

/* Begins a batch anew; opens what was closed for one that did not go. */
void sl_evict_begin(struct sl_evict *ev);

/* Puts a study into the batch and closes it: nothing of it comes until the batch is through. False: it
 * is being received. */
SL_MUST bool sl_evict_add(
	struct sl_evict *ev, const struct sl_uid *study_instance_uid, uint64_t age_ms);

/* Takes the batch out. SL_OK: the removal is committed, *next is what the indexer does now; else nothing
 * happened and the batch is empty (SL_E_NOTFOUND, SL_E_FULL), unless the store was latched (*next is
 * SL_ERRAND_FAILED). */
SL_MUST enum sl_status sl_evict_take_out(struct sl_evict *ev, enum sl_errand *next);

/* The tombstones stand: files to the trash, tombstones out. SL_ERRAND_RETRY: there is no room; called
 * again, and until it is through nothing moves. */
enum sl_errand sl_evict_finish(struct sl_evict *ev);

/* Latches the store and tells who waits. */
enum sl_errand sl_evict_fail(struct sl_evict *ev, const struct sl_diag *d);

/* ---- evict_order.c */
struct sl_evict_order *sl_evict_next_order(struct sl_evict *ev);
enum sl_errand sl_evict_obey(struct sl_evict *ev, struct sl_evict_order *o);
void sl_evict_tell(struct sl_evict *ev, struct sl_evict_order *o, enum sl_status st);
