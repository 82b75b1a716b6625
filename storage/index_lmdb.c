/* The index in LMDB: its vtable, its write transactions, its reservations.
 *
 * Happy path of a writer call: begin, rows, commit (LMDB's default sync: fdatasync of the data, then
 * the meta page), publish, and make the file longer when its end is near. LMDB writes copies of pages and switches over by the meta page: a crash at
 * any moment leaves the last commit, with nothing to recover.
 * Failure: the transaction is aborted and the state in memory is that of the last commit. A full map,
 * and a full disk while data pages are written, touch nothing that was committed: SL_E_FULL, the same
 * batch may be tried again. A failed meta page makes LMDB refuse everything from then on (MDB_PANIC):
 * SL_E_IO, the process leaves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <errno.h>
#include <stdlib.h>

enum sl_status sl_index_lmdb_error(int rc, const char *where, struct sl_diag *diag)
{
	enum sl_status st;
	switch (rc) {
	case MDB_SUCCESS:
		return SL_OK;
	case MDB_NOTFOUND:
		return SL_E_NOTFOUND;
	case MDB_MAP_FULL:
		return sl_fail(diag, SL_E_FULL, 0, where,
			"the index map is full: raise index.map_size and restart");
	case ENOSPC:
	case EDQUOT:
		return sl_fail(diag, SL_E_FULL, rc, where, "no disk space for the index");
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_CURSOR_FULL:
	case MDB_INCOMPATIBLE:
		st = SL_E_CORRUPT;
		break;
	case MDB_VERSION_MISMATCH:
		st = SL_E_UNSUPPORTED;
		break;
	case MDB_READERS_FULL:
	case ENOMEM:
		st = SL_E_NOMEM;
		break;
	default:
		st = SL_E_IO;
		break;
	}
	return sl_fail(diag, st, rc > 0 ? rc : 0, where, "index: %s", mdb_strerror(rc));
}

enum sl_status sl_index_lmdb_corrupt(const char *where, struct sl_diag *diag)
{
	return sl_fail(diag, SL_E_CORRUPT, 0, where,
		"the index is damaged: move its folder away and rebuild it from the files");
}

enum sl_status sl_index_lmdb_begin(
	struct sl_index_lmdb *ix, struct sl_index_txn *t, struct sl_diag *diag)
{
	*t = (struct sl_index_txn){.ix = ix, .diag = diag, .state = ix->state};
	return sl_index_lmdb_error(mdb_txn_begin(ix->env, NULL, 0, &t->txn), "lmdb/begin", diag);
}

/* After a meta page that could not be written LMDB does nothing more: no space that returns helps. */
static bool is_closed(struct sl_index_lmdb *ix)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(ix->env, NULL, 0, &txn);
	if (rc == 0)
		mdb_txn_abort(txn);
	return rc == MDB_PANIC;
}

/* LMDB says EIO too when a write came out short, which is how a disk that fills up shows first. No call
 * failed then, and errno tells: an EIO of a write or of the fdatasync is in it. */
static bool was_short(int rc, int errnum)
{
	return rc == EIO && errnum != EIO;
}

enum sl_status sl_index_lmdb_commit(struct sl_index_lmdb *ix, MDB_txn *txn, struct sl_diag *diag)
{
	errno = 0;
	int rc = mdb_txn_commit(txn);
	int errnum = errno;
	if (rc > 0 && is_closed(ix))
		return sl_fail(diag, SL_E_IO, rc, "lmdb/commit",
			"the index could not write its first page: %s", mdb_strerror(rc));
	return sl_index_lmdb_error(was_short(rc, errnum) ? ENOSPC : rc, "lmdb/commit", diag);
}

enum sl_status sl_index_lmdb_end(struct sl_index_txn *t, enum sl_status st)
{
	struct sl_index_lmdb *ix = t->ix;
	if (st == SL_OK)
		st = sl_index_lmdb_put_state(t, &t->state);
	if (st != SL_OK) {
		mdb_txn_abort(t->txn);
		return st;
	}
	st = sl_index_lmdb_commit(ix, t->txn, t->diag);
	if (st != SL_OK)
		return st;
	ix->state = t->state;
	pthread_mutex_lock(&ix->snapshot_lock);
	ix->snapshot.commits++;
	pthread_mutex_unlock(&ix->snapshot_lock);
	st = sl_index_lmdb_publish(ix, false, t->diag);
	if (st == SL_OK)
		sl_index_lmdb_grow(ix, ix->snapshot.map_used); /* the writer alone writes it */
	return st;
}

enum sl_status sl_index_lmdb_finish(struct sl_index *base, struct sl_diag *diag)
{
	return sl_index_lmdb_error(mdb_env_sync(sl_index_lmdb_of(base)->env, 1), "lmdb/sync", diag);
}

static enum sl_status reserve(struct sl_index *base, size_t objects)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	long long n = (long long)objects;
	long long before = atomic_fetch_add_explicit(&ix->reserved, n, memory_order_relaxed);
	if (before + n <= atomic_load_explicit(&ix->room, memory_order_relaxed))
		return SL_OK;
	atomic_fetch_sub_explicit(&ix->reserved, n, memory_order_relaxed);
	return SL_E_FULL;
}

static void owe(struct sl_index *base, size_t objects)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	atomic_fetch_add_explicit(&ix->reserved, (long long)objects, memory_order_relaxed);
}

static void unreserve(struct sl_index *base, size_t objects)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	long long n = (long long)objects;
	long long before = atomic_fetch_sub_explicit(&ix->reserved, n, memory_order_relaxed);
	sl_assert(before >= n);
}

static void snapshot(struct sl_index *base, struct sl_index_snapshot *out)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	pthread_mutex_lock(&ix->snapshot_lock);
	*out = ix->snapshot;
	pthread_mutex_unlock(&ix->snapshot_lock);
	long long room = atomic_load_explicit(&ix->room, memory_order_relaxed);
	long long reserved = atomic_load_explicit(&ix->reserved, memory_order_relaxed);
	out->room = (uint64_t)(room > 0 ? room : 0);
	out->reserved = (uint64_t)(reserved > 0 ? reserved : 0);
}

static void destroy(struct sl_index_lmdb *ix)
{
	sl_index_lmdb_env_close(ix);
	pthread_mutex_destroy(&ix->snapshot_lock);
	free(ix->batch.order);
	free(ix->batch.turns);
	free(ix->batch.slots);
	free(ix);
}

static void close_index(struct sl_index *base)
{
	destroy(sl_index_lmdb_of(base));
}

static const struct sl_index_ops ops = {
	.close = close_index,
	.put_batch = sl_index_lmdb_put_batch,
	.remove_instance = sl_index_lmdb_remove_instance,
	.remove_studies = sl_index_lmdb_remove_studies,
	.drop_tombstones = sl_index_lmdb_drop_tombstones,
	.clear_stale = sl_index_lmdb_clear_stale,
	.check = sl_index_lmdb_check,
	.reserve = reserve,
	.owe = owe,
	.unreserve = unreserve,
	.snapshot = snapshot,
	.open_reader = sl_index_lmdb_open_reader,
	.close_reader = sl_index_lmdb_close_reader,
	.locate_instance = sl_index_lmdb_locate_instance,
	.locate_series = sl_index_lmdb_locate_series,
	.locate_study = sl_index_lmdb_locate_study,
	.list_studies = sl_index_lmdb_list_studies,
	.list_series = sl_index_lmdb_list_series,
	.list_instances = sl_index_lmdb_list_instances,
	.list_versions = sl_index_lmdb_list_versions,
	.list_arrivals = sl_index_lmdb_list_arrivals,
	.list_tombstones = sl_index_lmdb_list_tombstones,
	.find = sl_index_lmdb_find,
};

enum sl_status sl_index_lmdb_open(
	const struct sl_index_lmdb_options *options, struct sl_index **out, struct sl_diag *diag)
{
	*out = NULL;
	if (options->batch_max == 0 || options->batch_max > 1000000 || options->readers > 1000 ||
		options->map_size < SL_MIB)
		return sl_fail(diag, SL_E_CONFIG, 0, "index/open",
			"index.map_size, index.batch or the number of readers is out of range");
	struct sl_index_lmdb *ix = calloc(1, sizeof(*ix));
	if (ix == NULL)
		return sl_fail(diag, SL_E_NOMEM, ENOMEM, "index/open", "out of memory");
	ix->base.ops = &ops;
	ix->lock_fd = ix->grow.fd = -1;
	ix->batch_max = options->batch_max;
	pthread_mutex_init(&ix->snapshot_lock, NULL);
	ix->batch.order = calloc(options->batch_max, sizeof(*ix->batch.order));
	ix->batch.turns = calloc(options->batch_max, sizeof(*ix->batch.turns));
	ix->batch.slots = calloc(options->batch_max, 4 * sizeof(*ix->batch.slots));
	enum sl_status st = SL_E_NOMEM;
	if (ix->batch.order == NULL || ix->batch.turns == NULL || ix->batch.slots == NULL) {
		st = sl_fail(diag, SL_E_NOMEM, ENOMEM, "index/open", "out of memory");
		goto fail;
	}
	st = sl_index_lmdb_env_open(ix, options, diag);
	if (st != SL_OK)
		goto fail;
	if (!options->is_draft)
		sl_index_lmdb_grow_open(ix);
	*out = &ix->base;
	return SL_OK;
fail:
	destroy(ix);
	return st;
}
