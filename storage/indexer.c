/* The indexer thread: take, commit, settle, free; then the next batch.
 *
 * Entries wait in `queue`. A batch is taken when it is full, when its first entry has waited
 * max_delay, when somebody wants to catch up, or at stop. Where it does not fit it goes back to the
 * head of the queue, and half of it is tried; one that does not fit is tried again every SL_RETRY_MS.
 *
 * The arrays for a batch are bought at start; LMDB's own allocations on this thread are exempt from
 * the sealed memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/indexer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "storage/thread.h"

#define SL_RETRY_MS 500
_Static_assert(SL_INDEXER_BATCH_MAX <= SL_PENDING_DEFAULT / 2,
	"what is pending cannot all be of one batch: one that never fills waits for its time");

struct sl_indexer {
	struct sl_indexer_conf conf;
	struct sl_indexer_deps deps;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake;      /* for the thread */
	pthread_cond_t committed; /* for those who catch up */
	struct sl_list queue;     /* struct sl_pending_entry.queued */
	uint64_t pushed, done;    /* entries ever queued; of these committed */
	uint32_t catching_up;     /* callers who wait */
	bool is_hurried;          /* the next batch does not wait for company */
	bool is_stopping;
	bool has_errand; /* the errand is to be run */
	bool is_untidy;  /* the index is to be tidied */
	enum sl_errand (*errand)(void *arg);
	void *errand_arg;
	struct sl_indexer_stats stats;

	/* The thread's own: how many of a batch may fit, and one batch. */
	uint32_t most;
	struct sl_pending_entry *entries[SL_INDEXER_BATCH_MAX];
	const struct sl_record *records[SL_INDEXER_BATCH_MAX];
	struct sl_index_result results[SL_INDEXER_BATCH_MAX];
	struct sl_locator places[SL_INDEXER_BATCH_MAX];
};

/* ---- taking a batch ----------------------------------------------------------------------------- */

static void wait_until(struct sl_indexer *ix, uint64_t at_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u)};
	pthread_cond_timedwait(&ix->wake, &ix->lock, &ts);
}

static struct sl_pending_entry *head_of(struct sl_indexer *ix)
{
	return sl_container_of(ix->queue.next, struct sl_pending_entry, queued);
}

/* Under the lock: is a batch due, and if not, when [ns]? */
static bool is_due(struct sl_indexer *ix, uint64_t *due)
{
	*due = UINT64_MAX;
	if (sl_list_is_empty(&ix->queue))
		return false;
	*due = head_of(ix)->pushed_ns + (uint64_t)ix->conf.max_delay_ms * 1000000u;
	return ix->stats.queued >= ix->conf.batch || ix->catching_up > 0 || ix->is_hurried ||
	       ix->is_stopping || sl_env_now_ns(ix->deps.env) >= *due;
}

/* Under the lock: waits until a batch is due or there is an errand. False: stopping and nothing left. */
static bool wait_for_work(struct sl_indexer *ix)
{
	uint64_t due;
	while (!is_due(ix, &due) && !ix->has_errand && !ix->is_untidy) {
		if (due != UINT64_MAX)
			wait_until(ix, due);
		else if (ix->is_stopping)
			return false;
		else
			pthread_cond_wait(&ix->wake, &ix->lock);
	}
	return true;
}

/* Under the lock: moves up to a batch out of the queue. */
static size_t take(struct sl_indexer *ix)
{
	size_t n = 0;
	struct sl_list *it;
	while (n < ix->most && (it = sl_list_pop(&ix->queue)) != NULL) {
		ix->entries[n] = sl_container_of(it, struct sl_pending_entry, queued);
		ix->records[n] = &ix->entries[n]->record;
		n++;
	}
	ix->stats.queued -= (uint32_t)n;
	ix->is_hurried = !sl_list_is_empty(&ix->queue) && ix->is_hurried;
	return n;
}

/* Under the lock: back to the head, in order. */
static void put_back(struct sl_indexer *ix, size_t n)
{
	struct sl_list batch;
	sl_list_init(&batch);
	for (size_t i = 0; i < n; i++)
		sl_list_push(&batch, &ix->entries[i]->queued);
	sl_list_splice(&batch, &ix->queue);
	sl_list_splice(&ix->queue, &batch);
	ix->stats.queued += (uint32_t)n;
}

/* ---- commit and settle -------------------------------------------------------------------------- */

static int by_series(const void *a, const void *b)
{
	const struct sl_locator *x = a, *y = b;
	int c = strcmp(x->study_instance_uid.s, y->study_instance_uid.s);
	if (c == 0)
		c = strcmp(x->series_instance_uid.s, y->series_instance_uid.s);
	if (c == 0)
		c = (x->seq > y->seq) - (x->seq < y->seq);
	return c;
}

/* What the commit said of each record. */
static enum sl_status read_results(struct sl_indexer *ix, size_t n, struct sl_diag *d)
{
	for (size_t i = 0; i < n; i++) {
		if (ix->results[i].status != SL_OK)
			return sl_fail(d, SL_E_CORRUPT, 0, "index/put",
				"the index refuses an object that won its UID: %s",
				sl_status_name(ix->results[i].status));
		if (ix->results[i].conflicts != 0 && ix->deps.on_conflict != NULL)
			ix->deps.on_conflict(
				ix->deps.arg, ix->records[i], ix->results[i].conflicts);
	}
	return SL_OK;
}

/* One commit. SL_E_FULL: nothing went in. */
static enum sl_status commit(struct sl_indexer *ix, size_t n, struct sl_diag *d)
{
	enum sl_status st = sl_index_put_batch(ix->deps.index, ix->records, n, ix->results, d);
	if (st != SL_OK)
		return st;
	sl_index_unreserve(ix->deps.index, n);
	pthread_mutex_lock(&ix->lock);
	ix->done += n;
	ix->stats.is_full = false;
	pthread_cond_broadcast(&ix->committed);
	pthread_mutex_unlock(&ix->lock);
	return read_results(ix, n, d);
}

/* Waits a while; true when the store is to be tried again. */
static bool pause_full(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	ix->stats.is_full = true;
	/* Those who catch up learn that it will not happen now. */
	pthread_cond_broadcast(&ix->committed);
	pthread_mutex_unlock(&ix->lock);
	sl_pending_wake(ix->deps.pending);
	pthread_mutex_lock(&ix->lock);
	bool may_retry = !ix->is_stopping;
	if (may_retry)
		wait_until(ix, sl_env_now_ns(ix->deps.env) + SL_RETRY_MS * 1000000u);
	pthread_mutex_unlock(&ix->lock);
	return may_retry;
}

/* One step of the errand. False: the thread must stop working. */
static bool run_errand(struct sl_indexer *ix)
{
	enum sl_errand e;
	bool was_full = false;
	while ((e = ix->errand(ix->errand_arg)) == SL_ERRAND_RETRY) {
		was_full = true;
		if (!pause_full(ix))
			return false;
	}
	pthread_mutex_lock(&ix->lock);
	ix->has_errand |= e == SL_ERRAND_MORE;
	ix->stats.is_full &= !was_full;
	pthread_mutex_unlock(&ix->lock);
	return e != SL_ERRAND_FAILED;
}

/* The errand, if it is due, while a batch waits for the disk: the evictor's room may be what it waits for.
 * The batch's own studies are not idle and stay. False: the thread must stop working. */
static bool make_room(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	bool has_errand = ix->has_errand && !ix->is_stopping;
	ix->has_errand = false;
	pthread_mutex_unlock(&ix->lock);
	return !has_errand || run_errand(ix);
}

/* Moves the batch into the archive; a full disk is waited out, as long as we are not stopping (what
 * stays in the spool then is moved at the next start). */
static enum sl_status settle(struct sl_indexer *ix, size_t n, struct sl_diag *d)
{
	enum sl_status st;
	for (size_t i = 0; i < n; i++)
		ix->places[i] = sl_locator_of(ix->records[i]);
	qsort(ix->places, n, sizeof(ix->places[0]), by_series);
	while ((st = ix->deps.store->ops->settle(ix->deps.store, ix->places, n, d)) == SL_E_FULL) {
		if (!pause_full(ix) || !make_room(ix))
			return SL_E_FULL;
		*d = (struct sl_diag){0};
	}
	return st;
}

/* One batch. False: the thread must stop working (the store failed, or stopping while full). */
static bool work(struct sl_indexer *ix, size_t n)
{
	struct sl_diag d = {0};
	enum sl_status st = commit(ix, n, &d);
	if (st == SL_E_FULL) {
		pthread_mutex_lock(&ix->lock);
		put_back(ix, n);
		pthread_mutex_unlock(&ix->lock);
		/* Half of it may fit; where not even one does, room has to be made. */
		ix->most = (uint32_t)(n + 1) / 2;
		return n > 1 || pause_full(ix);
	}
	ix->most = (uint32_t)sl_min(2 * (size_t)ix->most, ix->conf.batch);
	if (st == SL_OK)
		st = settle(ix, n, &d);
	if (st == SL_E_FULL)
		return false;
	if (st != SL_OK) {
		sl_latch_fail(ix->deps.latch, &d);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		sl_pending_settled(ix->deps.pending, ix->entries[i]);
	pthread_mutex_lock(&ix->lock);
	ix->stats.is_full = false;
	pthread_mutex_unlock(&ix->lock);
	return true;
}

/* False: the thread must stop working. Without memory nothing is looked at: the next time will do. */
static bool tidy(struct sl_indexer *ix)
{
	struct sl_diag d = {0};
	enum sl_status st = sl_index_clear_stale(ix->deps.index, &d);
	if (st == SL_E_NOMEM)
		return true;
	if (st != SL_OK) {
		sl_latch_fail(ix->deps.latch, &d);
		return false;
	}
	if (ix->deps.on_tidied != NULL)
		ix->deps.on_tidied(ix->deps.arg);
	return true;
}

static void *thread_main(void *arg)
{
	struct sl_indexer *ix = arg;
	uint64_t due;
	for (;;) {
		pthread_mutex_lock(&ix->lock);
		bool has_work = wait_for_work(ix);
		bool has_errand = ix->has_errand && !ix->is_stopping;
		bool is_untidy = ix->is_untidy && !ix->is_stopping;
		size_t n = is_due(ix, &due) ? take(ix) : 0;
		ix->has_errand = ix->is_untidy = false;
		pthread_mutex_unlock(&ix->lock);
		if (!has_work || sl_latch_is_failed(ix->deps.latch))
			break;
		/* The errand first: it makes the room that a batch may wait for. */
		if ((has_errand && !run_errand(ix)) || (n > 0 && !work(ix, n)) ||
			(is_untidy && !tidy(ix)))
			break;
	}
	pthread_mutex_lock(&ix->lock);
	ix->is_stopping = true;
	pthread_cond_broadcast(&ix->committed);
	pthread_mutex_unlock(&ix->lock);
	sl_pending_wake(ix->deps.pending);
	return NULL;
}

/* ---- for the others ----------------------------------------------------------------------------- */

void sl_indexer_push(struct sl_indexer *ix, struct sl_pending_entry *e)
{
	pthread_mutex_lock(&ix->lock);
	e->pushed_ns = sl_env_now_ns(ix->deps.env);
	bool was_empty = sl_list_is_empty(&ix->queue);
	sl_list_push(&ix->queue, &e->queued);
	ix->stats.queued++;
	ix->pushed++;
	if (was_empty || ix->stats.queued >= ix->conf.batch)
		pthread_cond_signal(&ix->wake);
	pthread_mutex_unlock(&ix->lock);
}

void sl_indexer_set_errand(struct sl_indexer *ix, enum sl_errand (*errand)(void *arg), void *arg)
{
	pthread_mutex_lock(&ix->lock);
	ix->errand = errand;
	ix->errand_arg = arg;
	pthread_mutex_unlock(&ix->lock);
}

void sl_indexer_wake(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	sl_assert(ix->errand != NULL);
	ix->has_errand = true;
	pthread_cond_signal(&ix->wake);
	pthread_mutex_unlock(&ix->lock);
}

void sl_indexer_tidy(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	ix->is_untidy = true;
	pthread_cond_signal(&ix->wake);
	pthread_mutex_unlock(&ix->lock);
}

enum sl_status sl_indexer_hurry(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	bool works = !ix->stats.is_full && !ix->is_stopping;
	ix->is_hurried = works;
	if (works)
		pthread_cond_signal(&ix->wake);
	pthread_mutex_unlock(&ix->lock);
	return works ? SL_OK : SL_E_FULL;
}

enum sl_status sl_indexer_catch_up(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	uint64_t want = ix->pushed;
	ix->catching_up++;
	pthread_cond_signal(&ix->wake);
	while (ix->done < want && !ix->stats.is_full && !ix->is_stopping)
		pthread_cond_wait(&ix->committed, &ix->lock);
	ix->catching_up--;
	enum sl_status st = ix->done >= want ? SL_OK : SL_E_FULL;
	pthread_mutex_unlock(&ix->lock);
	return st;
}

struct sl_indexer_stats sl_indexer_stats(struct sl_indexer *ix)
{
	pthread_mutex_lock(&ix->lock);
	struct sl_indexer_stats s = ix->stats;
	s.queued = (uint32_t)(ix->pushed - ix->done); /* with those of the batch in hand */
	if (!sl_list_is_empty(&ix->queue)) {
		uint64_t now = sl_env_now_ns(ix->deps.env), since = head_of(ix)->pushed_ns;
		s.lag_ms = now > since ? (now - since) / 1000000u : 0;
	}
	pthread_mutex_unlock(&ix->lock);
	return s;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void destroy(struct sl_indexer *ix)
{
	pthread_cond_destroy(&ix->wake);
	pthread_cond_destroy(&ix->committed);
	pthread_mutex_destroy(&ix->lock);
	free(ix);
}

enum sl_status sl_indexer_start(struct sl_indexer **out, const struct sl_indexer_conf *conf,
	const struct sl_indexer_deps *deps, struct sl_diag *d)
{
	struct sl_indexer *ix = calloc(1, sizeof(*ix));
	if (ix == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "indexer", "no memory");
	ix->conf = *conf;
	ix->conf.batch = (uint32_t)sl_min(sl_max(conf->batch, 1), SL_INDEXER_BATCH_MAX);
	ix->most = ix->conf.batch;
	ix->deps = *deps;
	sl_list_init(&ix->queue);
	pthread_mutex_init(&ix->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the clock of sl_env_now_ns() */
	pthread_cond_init(&ix->wake, &attr);
	pthread_cond_init(&ix->committed, &attr);
	pthread_condattr_destroy(&attr);
	enum sl_status st = sl_thread_start(&ix->thread, thread_main, ix, "indexer/start", d);
	if (st == SL_OK)
		*out = ix;
	else
		destroy(ix);
	return st;
}

void sl_indexer_stop(struct sl_indexer *ix)
{
	if (ix == NULL)
		return;
	pthread_mutex_lock(&ix->lock);
	ix->is_stopping = true;
	pthread_cond_broadcast(&ix->wake);
	pthread_mutex_unlock(&ix->lock);
	pthread_join(ix->thread, NULL);
	destroy(ix);
}
