/* Shared fsync of one folder: many names, few fsyncs, none of them too early.
 *
 * An fsync is begun for everybody who waits at that moment; whoever comes while it runs waits for the
 * next. So a waiter is released only by an fsync that began after its name was made (DESIGN 2). The
 * proof is kept as two numbers that the ack gate compares. Who comes when none runs does it itself, on
 * its own thread; under load a thread of ours goes on with it.
 *
 * A failed fsync is never retried: every waiter gets SL_E_SYNC, and so does everyone after.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/list.h"
#include "core/status.h"

struct sl_dirsync;

/* Embedded by the caller; alive until on_synced. */
struct sl_dirsync_wait {
	struct sl_list node;
	/* Called once, on the thread that synced: ours, or that of whoever joined, inside its call.
	 * st: SL_OK, or SL_E_SYNC. */
	void (*on_synced)(struct sl_dirsync_wait *w, enum sl_status st);
	uint64_t named_after; /* fsyncs begun when the name already existed; set by join */
	uint64_t covered_by;  /* number of the fsync that released it: > named_after; 0 = none */
	int errnum;           /* of the fsync that failed, with SL_E_SYNC; else 0 */
};

/* Watches dirfd (borrowed, stays open until stop). do_sync = false: releases without syncing
 * (storage.durability = "none"). on_thread as in ioq.h. Returns owned. */
SL_MUST enum sl_status sl_dirsync_start(struct sl_dirsync **out, int dirfd, bool do_sync,
	void (*on_thread)(void *arg), void *arg, struct sl_diag *d);

/* The caller's name exists in the folder now; on_synced follows, perhaps inside the call. May block for
 * one fsync: threads that may wait for the disk. */
void sl_dirsync_join(struct sl_dirsync *ds, struct sl_dirsync_wait *w);

/* Serves who waits (nobody joins any more, all calls of join have returned), then joins the thread and frees. */
void sl_dirsync_stop(struct sl_dirsync *ds);

/* fsyncs done and waiters released since start. */
void sl_dirsync_stats(struct sl_dirsync *ds, uint64_t *syncs, uint64_t *released);
