/* Writing: two threads, the one a batch ahead of the other.
 *
 * Happy path: one thread merges the runs, in the order of seq, and fills a batch with records while the
 * caller's thread puts the batch before it into the index; then they change batches. None is synced,
 * because until the rename nobody relies on them; then one sync of everything.
 * Failure: that of the merge comes with its batch, which is not put; when putting fails, the merging
 * thread is told to stop, and waited for.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "storage/index_lmdb.h"
#include "storage/rebuild_priv.h"
#include "storage/thread.h"
#include "storage/trash.h"

enum { BATCHES = 2 };

struct batch {
	bool is_full; /* under the lock; true: the caller's thread has it, else the merging one */
	size_t n;
	uint64_t gone;         /* were left out: on their way out of the archive */
	enum sl_status status; /* SL_OK: there are more; SL_END: the last; else no batch */
	struct sl_diag diag;
	struct sl_record *records; /* SL_REBUILD_BATCH */
	const struct sl_record *rows[SL_REBUILD_BATCH];
};

struct feed {
	const struct sl_rebuild_writing *w;
	pthread_mutex_t lock; /* which batches are full, and is_stopped */
	pthread_cond_t turned;
	bool is_stopped;
	struct batch batches[BATCHES];
	struct sl_index_result results[SL_REBUILD_BATCH];
};

/* ---- whose turn it is --------------------------------------------------------------------------- */

/* Until the batch is full, or empty again. False: there is no more to do. */
static bool await(struct feed *f, const struct batch *b, bool is_full)
{
	pthread_mutex_lock(&f->lock);
	while (b->is_full != is_full && !f->is_stopped)
		pthread_cond_wait(&f->turned, &f->lock);
	bool goes_on = !f->is_stopped;
	pthread_mutex_unlock(&f->lock);
	return goes_on;
}

static void turn(struct feed *f, struct batch *b, bool is_full)
{
	pthread_mutex_lock(&f->lock);
	b->is_full = is_full;
	pthread_cond_signal(&f->turned);
	pthread_mutex_unlock(&f->lock);
}

static void stop(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->is_stopped = true;
	pthread_cond_signal(&f->turned);
	pthread_mutex_unlock(&f->lock);
}

/* ---- merging ------------------------------------------------------------------------------------ */

/* A file whose removal was committed in the index that is lost: on its way again. */
static enum sl_status take_out(
	const struct sl_root *root, const struct sl_record *r, struct sl_diag *d)
{
	const struct sl_index_tombstone tomb = {
		.seq = r->seq,
		.kind = SL_INDEX_TOMB_INSTANCE,
		.study_instance_uid = r->study_instance_uid,
		.series_instance_uid = r->series_instance_uid,
		.sop_instance_uid = r->sop_instance_uid,
		.object_seq = r->seq,
		.is_plain_name = (r->flags & SL_RECORD_PLAIN_NAME) != 0,
	};
	return sl_trash_move(root, &tomb, 1, d);
}

static enum sl_status fill(const struct sl_rebuild_writing *w, struct batch *b)
{
	enum sl_status st = SL_OK;
	b->n = b->gone = 0;
	while (b->n < SL_REBUILD_BATCH) {
		struct sl_record *r = &b->records[b->n];
		st = sl_sorter_next(w->sorter, r, &b->diag);
		if (st != SL_OK)
			return st;
		if (w->ops == NULL || !sl_ops_is_gone(w->ops, r)) {
			b->rows[b->n++] = r;
			continue;
		}
		b->gone++;
		st = take_out(w->root, r, &b->diag);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

static void *merge_main(void *arg)
{
	struct feed *f = arg;
	enum sl_status st = SL_OK;
	for (size_t i = 0; st == SL_OK; i = (i + 1) % BATCHES) {
		struct batch *b = &f->batches[i];
		if (!await(f, b, false))
			break;
		st = b->status = fill(f->w, b);
		turn(f, b, true);
	}
	return NULL;
}

/* ---- putting ------------------------------------------------------------------------------------ */

static enum sl_status put(struct feed *f, const struct batch *b, struct sl_diag *d)
{
	const struct sl_rebuild_writing *w = f->w;
	if (b->status != SL_OK && b->status != SL_END) {
		*d = b->diag;
		return b->status;
	}
	enum sl_status st = sl_index_put_batch(w->index, b->rows, b->n, f->results, d);
	for (size_t i = 0; st == SL_OK && i < b->n; i++)
		if (f->results[i].status != SL_OK) /* two files say they are the first of a UID */
			w->on_bad(w->arg, b->rows[i]);
	if (st == SL_OK)
		w->on_batch(w->arg, b->n, b->gone);
	return st;
}

static enum sl_status put_all(struct feed *f, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	bool is_last = false;
	for (size_t i = 0; st == SL_OK && !is_last; i = (i + 1) % BATCHES) {
		struct batch *b = &f->batches[i];
		(void)await(f, b, true); /* nobody else stops it */
		is_last = b->status == SL_END;
		st = put(f, b, d);
		turn(f, b, false);
	}
	return st == SL_OK ? sl_index_lmdb_finish(f->w->index, d) : st;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

enum sl_status sl_rebuild_write(const struct sl_rebuild_writing *w, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	pthread_t merging;
	struct feed *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return sl_fail(d, SL_E_NOMEM, ENOMEM, "rebuild", "no memory");
	f->w = w;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->turned, NULL);
	for (size_t i = 0; st == SL_OK && i < BATCHES; i++) {
		f->batches[i].records = calloc(SL_REBUILD_BATCH, sizeof(struct sl_record));
		if (f->batches[i].records == NULL)
			st = sl_fail(d, SL_E_NOMEM, ENOMEM, "rebuild", "no memory");
	}
	if (st == SL_OK)
		st = sl_thread_start(&merging, merge_main, f, "merge", d);
	if (st == SL_OK) {
		st = put_all(f, d);
		stop(f);
		pthread_join(merging, NULL);
	}
	for (size_t i = 0; i < BATCHES; i++)
		free(f->batches[i].records);
	pthread_cond_destroy(&f->turned);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return st;
}
