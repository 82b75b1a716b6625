/* The shared fsync of spool/: take everybody, then begin, then release them.
 *
 * The order within one round is the promise. The batch is closed and the round numbered in one step
 * under the lock, before fsync() is called: a waiter's name existed when it joined, it joined before
 * the batch was closed, so the fsync began after the name was made. Whoever joins later carries the
 * number of this round in named_after and is in the next.
 *
 * A waiter whose round is over and who has not awaited yet is only marked; it finds that out itself.
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
	pthread_cond_t wake;    /* somebody waits, or it is time to leave; for the thread */
	pthread_cond_t over;    /* a round is; for those who leave */
	struct sl_list waiting; /* under lock */
	uint64_t begun;         /* rounds begun; under lock */
	bool is_asleep;         /* the thread waits for wake; under lock */
	bool is_stopping;       /* under lock */
	int failed;             /* errno of the fsync that failed, 0 = none; under lock */
	int dirfd;              /* borrowed */
	bool do_sync;
	void (*on_thread)(void *arg);
	void *arg;
	pthread_t id;
};

static enum sl_status status_of(const struct sl_dirsync_wait *w)
{
	return w->covered_by > 0 ? SL_OK : SL_E_SYNC;
}

/* Under the lock: the fsync `round`, which failed unless ds->failed is 0, covers w. */
static void mark(struct sl_dirsync *ds, struct sl_dirsync_wait *w, uint64_t round)
{
	w->covered_by = ds->failed == 0 ? round : 0;
	w->errnum = ds->failed;
	w->is_over = true;
}

/* Under the lock: marks a batch, and leaves in it those who are to be told. */
static void mark_all(struct sl_dirsync *ds, struct sl_list *batch, uint64_t round)
{
	sl_list_for_each_safe (node, next, batch) {
		struct sl_dirsync_wait *w = sl_container_of(node, struct sl_dirsync_wait, node);
		if (!w->is_awaited)
			sl_list_remove(node);
		mark(ds, w, round);
	}
	pthread_cond_broadcast(&ds->over);
}

/* A waiter may be gone once its callback was called. */
static void tell_all(struct sl_list *batch)
{
	struct sl_list *node;
	while ((node = sl_list_pop(batch)) != NULL) {
		struct sl_dirsync_wait *w = sl_container_of(node, struct sl_dirsync_wait, node);
		w->on_synced(w, status_of(w));
	}
}

/* One round for everybody who waits. Called and returns locked. */
static void run_round(struct sl_dirsync *ds)
{
	struct sl_list batch;
	sl_list_init(&batch);
	sl_list_splice(&batch, &ds->waiting);
	uint64_t round = ++ds->begun;
	bool is_well = ds->failed == 0;
	pthread_mutex_unlock(&ds->lock);

	int errnum = 0;
	if (is_well && fsync(ds->dirfd) != 0)
		errnum = errno != 0 ? errno : EIO;

	pthread_mutex_lock(&ds->lock);
	if (is_well)
		ds->failed = errnum;
	mark_all(ds, &batch, round);
	pthread_mutex_unlock(&ds->lock);

	tell_all(&batch);
	pthread_mutex_lock(&ds->lock);
}

static void *thread_main(void *arg)
{
	struct sl_dirsync *ds = arg;
	if (ds->on_thread != NULL)
		ds->on_thread(ds->arg);
	pthread_mutex_lock(&ds->lock);
	for (;;) {
		while (!sl_list_is_empty(&ds->waiting))
			run_round(ds);
		if (ds->is_stopping)
			break;
		ds->is_asleep = true;
		pthread_cond_wait(&ds->wake, &ds->lock);
		ds->is_asleep = false;
	}
	pthread_mutex_unlock(&ds->lock);
	return NULL;
}

static void destroy(struct sl_dirsync *ds)
{
	pthread_cond_destroy(&ds->over);
	pthread_cond_destroy(&ds->wake);
	pthread_mutex_destroy(&ds->lock);
	free(ds);
}

enum sl_status sl_dirsync_start(struct sl_dirsync **out, int dirfd, bool do_sync,
	void (*on_thread)(void *arg), void *arg, struct sl_diag *d)
{
	struct sl_dirsync *ds = calloc(1, sizeof(*ds));
	if (ds == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "dirsync/start", "no memory");
	pthread_mutex_init(&ds->lock, NULL);
	pthread_cond_init(&ds->wake, NULL);
	pthread_cond_init(&ds->over, NULL);
	sl_list_init(&ds->waiting);
	ds->dirfd = dirfd;
	ds->do_sync = do_sync;
	ds->on_thread = on_thread;
	ds->arg = arg;
	enum sl_status st = sl_thread_start(&ds->id, thread_main, ds, "dirsync/start", d);
	if (st == SL_OK)
		*out = ds;
	else
		destroy(ds);
	return st;
}

void sl_dirsync_join(struct sl_dirsync *ds, struct sl_dirsync_wait *w)
{
	pthread_mutex_lock(&ds->lock);
	w->named_after = ds->begun;
	w->covered_by = 0;
	w->errnum = 0;
	w->is_over = w->is_awaited = false;
	if (ds->do_sync) {
		sl_list_push(&ds->waiting, &w->node);
		if (ds->is_asleep)
			pthread_cond_signal(&ds->wake);
		ds->is_asleep = false;
	} else {
		mark(ds, w, ++ds->begun);
	}
	pthread_mutex_unlock(&ds->lock);
}

void sl_dirsync_await(struct sl_dirsync *ds, struct sl_dirsync_wait *w)
{
	pthread_mutex_lock(&ds->lock);
	w->is_awaited = true;
	bool is_over = w->is_over;
	pthread_mutex_unlock(&ds->lock);
	if (is_over) /* else w may be gone */
		w->on_synced(w, status_of(w));
}

void sl_dirsync_leave(struct sl_dirsync *ds, struct sl_dirsync_wait *w)
{
	pthread_mutex_lock(&ds->lock);
	/* Every round takes all who wait: none has begun since w joined, or w is in one. */
	if (!w->is_over && ds->begun == w->named_after)
		sl_list_remove(&w->node);
	else
		while (!w->is_over)
			pthread_cond_wait(&ds->over, &ds->lock);
	pthread_mutex_unlock(&ds->lock);
}

void sl_dirsync_stop(struct sl_dirsync *ds)
{
	pthread_mutex_lock(&ds->lock);
	ds->is_stopping = true;
	pthread_cond_signal(&ds->wake);
	pthread_mutex_unlock(&ds->lock);
	pthread_join(ds->id, NULL);
	destroy(ds);
}
