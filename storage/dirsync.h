/* Shared fsync of one folder: many names, few fsyncs, none of them too early.
 *
 * A thread of ours syncs for everybody who waits at that moment; whoever comes while it runs waits for
 * the next. So a waiter is released only by an fsync that began after its name was made (DESIGN 2). The
 * proof is kept as two numbers that the ack gate compares.
 *
 * Joining never blocks: who joins goes on with what else it has to make durable, the bytes of its file
 * above all, and both are under way at the same time; then it awaits, or leaves.
 *
 * A failed fsync is never retried: every waiter gets SL_E_SYNC, and so does everyone after.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/list.h"
#include "core/status.h"

struct sl_dirsync;

/* Embedded by the caller; alive until on_synced, or until leave has returned. */
struct sl_dirsync_wait {
	struct sl_list node;
	/* Set before await. Called once: on our thread, or inside await. st: SL_OK, or SL_E_SYNC. */
	void (*on_synced)(struct sl_dirsync_wait *w, enum sl_status st);
	uint64_t named_after; /* fsyncs begun when the name already existed; set by join */
	uint64_t covered_by;  /* number of the fsync that released it: > named_after; 0 = none */
	int errnum;           /* of the fsync that failed, with SL_E_SYNC; else 0 */
	bool is_over;         /* it was released; dirsync's own */
	bool is_awaited;      /* on_synced is to be called; dirsync's own */
};

/* Watches dirfd (borrowed, stays open until stop). do_sync = false: releases without syncing
 * (storage.durability = "none"). on_thread as in ioq.h. Returns owned. */
SL_MUST enum sl_status sl_dirsync_start(struct sl_dirsync **out, int dirfd, bool do_sync,
	void (*on_thread)(void *arg), void *arg, struct sl_diag *d);

/* The caller's name exists in the folder now; await or leave follows. Does not block. Any thread. */
void sl_dirsync_join(struct sl_dirsync *ds, struct sl_dirsync_wait *w);

/* on_synced follows, perhaps inside the call. Does not block. Once after a join. */
void sl_dirsync_await(struct sl_dirsync *ds, struct sl_dirsync_wait *w);

/* Instead of await: on_synced is not called, and w is the caller's again. May block for one fsync. */
void sl_dirsync_leave(struct sl_dirsync *ds, struct sl_dirsync_wait *w);

/* Serves who waits (nobody joins any more), then joins the thread and frees. */
void sl_dirsync_stop(struct sl_dirsync *ds);
