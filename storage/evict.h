/* The evictor: keeps the disk between its low and high marks by letting the oldest studies go, and
 * deletes by order; both go the same way (DESIGN 2 and 4).
 *
 * Happy path: a mark is passed, the indexer thread is woken, and between two of its batches it takes
 * the studies whose last instance came longest ago:
 *
 *	rows out, tombstones in (one commit) -> noted in journal/ops -> archive/<study> renamed to
 *	trash/<seq>, folders fsynced -> tombstones out -> the trash thread unlinks -> water looks anew
 *
 * a few studies a step, until what is left and what is still being unlinked reaches `low`. It never
 * takes a study that is being received, or pinned, or younger than evict_min_age (by arrival time; the
 * order itself is by seq and no clock), or objects that belong to no study: DESIGN 4 frees whole
 * studies, and what has none (palettes, protocols, templates) is small, is what a site works with, and
 * is one heap however old. It goes by order, instance by instance. Meanwhile senders wait for room
 * (water.h).
 *
 * Where it finds nothing to take, or where it does not help (what we keep is less than evict_keep of
 * the disk, or room that was freed went to somebody else), senders are told that the disk is full, as
 * with policy = "refuse", and on_stuck says why; it tries again when that changes.
 *
 * Failure: no room for a commit: nothing has happened, or it is tried again before anything else moves.
 * Anything else latches the store; recovery finishes what a tombstone says.
 *
 * Threads: the steps run on the indexer thread; wake, stats and configure on any; orders block.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/env.h"
#include "storage/index.h"
#include "storage/indexer.h"
#include "storage/ops.h"
#include "storage/trash.h"

struct sl_ingest;
struct sl_evict;

struct sl_evict_conf {
	bool is_on;            /* storage.policy = "evict"; orders are taken either way */
	uint64_t min_age_ms;   /* storage.evict_min_age [ms] */
	uint32_t keep_percent; /* storage.evict_keep [% of the disk], 0 .. 100 */
};

/* A study, or one instance of it, is gone. */
struct sl_evict_report {
	struct sl_uid study_instance_uid;
	struct sl_uid sop_instance_uid; /* len 0: the whole study */
	struct sl_index_removed removed;
	uint64_t age_ms; /* since its last arrival; 0 for an instance */
	bool is_order;   /* deleted by order, not for room */
};

struct sl_evict_deps {
	const struct sl_env *env;
	const struct sl_root *root;
	struct sl_index *index;
	struct sl_indexer *indexer;
	struct sl_ingest *ingest;
	struct sl_pending *pending;
	struct sl_water *water;
	struct sl_trash *trash;
	struct sl_ops *ops;
	struct sl_latch *latch;
	/* On the indexer thread; must only pass the news on. May be NULL. */
	void (*on_evicted)(void *arg, const struct sl_evict_report *r);
	void (*on_stuck)(void *arg, const char *why); /* why is static; NULL: it can go on */
	void *arg;
};

struct sl_evict_stats {
	uint64_t studies, instances, bytes; /* gone for room, since start */
	uint64_t deleted;                   /* instances gone by order */
	bool is_draining;                   /* on the way down to `low` */
	const char *stuck;                  /* static; NULL = it can make room */
	struct sl_trash_stats trash;
};

/* Becomes the indexer's errand. Before the first object. Returns owned. */
SL_MUST enum sl_status sl_evict_open(struct sl_evict **out, const struct sl_evict_conf *conf,
	const struct sl_evict_deps *deps, struct sl_diag *d);
/* The indexer has stopped. NULL is allowed. */
void sl_evict_close(struct sl_evict *ev);
void sl_evict_configure(struct sl_evict *ev, const struct sl_evict_conf *conf);

/* There may be something to do: after each look at the disk. Cheap. */
void sl_evict_wake(struct sl_evict *ev);

struct sl_evict_stats sl_evict_stats(struct sl_evict *ev);

/* Deletes a study, or one instance with all its versions, by order; waits for it: its rows are gone and its files out of the
 * archive, durably. Not on a loop thread and not on the indexer's. SL_E_NOTFOUND; SL_E_BUSY: the study
 * is being received, or pinned; SL_E_FULL: the index has no room to say so; SL_E_IO: the store has failed. */
SL_MUST enum sl_status sl_evict_study(struct sl_evict *ev, const struct sl_uid *study_instance_uid,
	struct sl_index_removed *removed);
SL_MUST enum sl_status sl_evict_instance(struct sl_evict *ev, const struct sl_uid *sop_instance_uid,
	struct sl_index_removed *removed);

/* Pins a study or takes the pin away; waits until that is durable. Where orders may come from, and what
 * else may happen, as above. SL_OK also when it was so before. */
SL_MUST enum sl_status sl_evict_pin(
	struct sl_evict *ev, const struct sl_uid *study_instance_uid, bool is_pinned);
