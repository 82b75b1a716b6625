/* The shared fsync of spool/: take everybody, then begin, then release them.
 *
 * The order within one round is the promise. The batch is closed and the round numbered in one step
 * under the lock, before fsync() is called: a waiter's name existed when it joined, it joined before
 * the batch was closed, so the fsync began after the name was made. Whoever joins later carries the
 * number of this round in named_after and is in the next.
 *
 * Who runs a round: `is_syncing` is the baton. Whoever joins while nobody has it takes it and syncs at
 * once, on its own thread: no hand-over, no wake-up. When others came meanwhile, it leaves the baton to
 * our thread, which goes on until nobody waits.
 *
 * A failed fsync ends it: Linux marks the pages clean after a failure, so a second fsync could say
 * "done" about data that is gone. This round and every later one answer SL_E_SYNC.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/dirsync.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/thread.h"

struct sl_dirsync {
	pthread_mutex_t lock;
	pthread_cond_t wake;      /* the baton is left to the thread, or it is time to leave */
	struct sl_list waiting;   /* under lock */
	uint64_t begun;           /* rounds begun; under lock */
	uint64_t syncs, released; /* for the statistics; under lock */
	bool is_syncing;          /* somebody has the baton; under lock */
	bool is_handed_over;      /* ... and it is for the thread to take; under lock */
	bool is_stopping;         /* under lock */
	int failed; /* errno of the fsync that failed, 0 = none; whoever has the baton */
	int dirfd;  /* borrowed */
	bool do_sync;
	void (*on_thread)(void *arg);
	void *arg;
	pthread_t id;
};

/* One fsync for the whole round, unless one failed before. */
static enum sl_status sync_round(struct sl_dirsync *ds)
{
	if (!ds->do_sync)
		return SL_OK;
	if (ds->failed == 0 && fsync(ds->dirfd) != 0)
		ds->failed = errno != 0 ? errno : EIO;
	return ds->failed == 0 ? SL_OK : SL_E_SYNC;
}

/* Answers a batch; returns how many. A waiter may be gone once its callback was called. */
static uint64_t release(
	struct sl_dirsync *ds, struct sl_list *batch, uint64_t round, enum sl_status st)
{
	struct sl_list *n;
	uint64_t count = 0;
	for (; (n = sl_list_pop(batch)) != NULL; count++) {
		struct sl_dirsync_wait *w = sl_container_of(n, struct sl_dirsync_wait, node);
		w->covered_by = st == SL_OK ? round : 0;
		w->errnum = ds->failed;
		w->on_synced(w, st);
	}
	return count;
}

/* One round by whoever has the baton, for everybody who waits. Called and returns locked. */
static void run_round(struct sl_dirsync *ds)
{
	struct sl_list batch;
	sl_list_init(&batch);
	sl_list_splice(&batch, &ds->waiting);
	uint64_t round = ++ds->begun;
	pthread_mutex_unlock(&ds->lock);

	enum sl_status st = sync_round(ds);
	uint64_t count = release(ds, &batch, round, st);

	pthread_mutex_lock(&ds->lock);
	ds->released += count;
	ds->syncs += ds->do_sync && st == SL_OK;
}

static void *thread_main(void *arg)
{
	struct sl_dirsync *ds = arg;
	if (ds->on_thread != NULL)
		ds->on_thread(ds->arg);
	pthread_mutex_lock(&ds->lock);
	for (;;) {
		while (!ds->is_handed_over && !ds->is_stopping)
			pthread_cond_wait(&ds->wake, &ds->lock);
		if (!ds->is_handed_over)
			break;
		ds->is_handed_over = false;
		while (!sl_list_is_empty(&ds->waiting))
			run_round(ds);
		ds->is_syncing = false;
	}
	pthread_mutex_unlock(&ds->lock);
	return NULL;
}

enum sl_status sl_dirsync_start(struct sl_dirsync **out, int dirfd, bool do_sync,
	void (*on_thread)(void *arg), void *arg, struct sl_diag *d)
{
	struct sl_dirsync *ds = calloc(1, sizeof(*ds));
	if (ds == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "dirsync/start", "no memory");
	pthread_mutex_init(&ds->lock, NULL);
	pthread_cond_init(&ds->wake, NULL);
	sl_list_init(&ds->waiting);
	ds->dirfd = dirfd;
	ds->do_sync = do_sync;
	ds->on_thread = on_thread;
	ds->arg = arg;
	enum sl_status st = sl_thread_start(&ds->id, thread_main, ds, "dirsync/start", d);
	if (st == SL_OK) {
		*out = ds;
		return SL_OK;
	}
	pthread_cond_destroy(&ds->wake);
	pthread_mutex_destroy(&ds->lock);
	free(ds);
	return st;
}

void sl_dirsync_join(struct sl_dirsync *ds, struct sl_dirsync_wait *w)
{
	pthread_mutex_lock(&ds->lock);
	w->named_after = ds->begun;
	w->covered_by = 0;
	w->errnum = 0;
	sl_list_push(&ds->waiting, &w->node);
	if (!ds->is_syncing) {
		ds->is_syncing = true;
		run_round(ds); /* w is released, and may be gone */
		ds->is_handed_over = !sl_list_is_empty(&ds->waiting);
		ds->is_syncing = ds->is_handed_over;
		if (ds->is_handed_over)
			pthread_cond_signal(&ds->wake);
	}
	pthread_mutex_unlock(&ds->lock);
}

void sl_dirsync_stop(struct sl_dirsync *ds)
{
	pthread_mutex_lock(&ds->lock);
	ds->is_stopping = true;
	pthread_cond_signal(&ds->wake);
	pthread_mutex_unlock(&ds->lock);
	pthread_join(ds->id, NULL);
	pthread_cond_destroy(&ds->wake);
	pthread_mutex_destroy(&ds->lock);
	free(ds);
}

void sl_dirsync_stats(struct sl_dirsync *ds, uint64_t *syncs, uint64_t *released)
{
	pthread_mutex_lock(&ds->lock);
	*syncs = ds->syncs;
	*released = ds->released;
	pthread_mutex_unlock(&ds->lock);
}
