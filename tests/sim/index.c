/* The index of the simulated node: the twin in memory, which outlives the process.
 *
 * A commit is one step: after a crash all of it is there or nothing, as LMDB promises; a draft
 * (rebuild.h) is nothing until it is finished. The plan may give it little room, or lose it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/sim.h"
#include "sim/wraps.h"
#include "storage/index_lmdb.h"
#include "support/index_mem_priv.h"

#define READERS 32

static const char data_file[] = "data.mdb";

/* An index, and the file that stands for it on the simulated disk: where a rename puts that, the index
 * is. */
struct held {
	struct index_mem *twin;
	unsigned ino;
	bool is_whole; /* a draft: finished */
};

static struct {
	struct held kept, draft;
	struct sl_index_ops real, ops; /* the twin's; the same with ours before some */
	struct sl_index_reader *readers[READERS];
	size_t capacity;
} store;

/* A commit takes its time, before and after it counts. */
static void take_time(void)
{
	sim_yield();
	if (!sim_is_quiet() && sim_one_in(sim_plan.slow_den))
		sim_sleep(1 + sim_below(10 * 1000 * 1000));
}

static enum sl_status put_batch(struct sl_index *ix, const struct sl_record *const *records,
	size_t n, struct sl_index_result *results, struct sl_diag *d)
{
	take_time();
	sim_own_begin();
	enum sl_status st = store.real.put_batch(ix, records, n, results, d);
	sim_own_end();
	sim_note("commit", n, (uint64_t)st);
	take_time();
	return st;
}

static bool is_short_of_pages(void)
{
	bool is_short = sim_node_may_fail() && sim_one_in(sim_plan.index_short_den);
	if (is_short)
		sim_saw(SIM_SAW_REMOVAL_FULL);
	return is_short;
}

static enum sl_status remove_instance(struct sl_index *ix, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *d)
{
	take_time();
	if (is_short_of_pages())
		return sl_fail(d, SL_E_FULL, 0, "index", "no pages for a removal");
	sim_quiet(true);
	sim_own_begin();
	sim_oracle_rows_before();
	enum sl_status st = store.real.remove_instance(ix, uid, tombstone_seq, removed, d);
	sim_oracle_rows_after();
	sim_own_end();
	sim_quiet(false);
	sim_note("instance removed", tombstone_seq, (uint64_t)st);
	take_time();
	return st;
}

static enum sl_status remove_studies(
	struct sl_index *ix, struct sl_index_removal *removals, size_t n, struct sl_diag *d)
{
	take_time();
	if (is_short_of_pages())
		return sl_fail(d, SL_E_FULL, 0, "index", "no pages for a removal");
	sim_quiet(true); /* what the ledger sees of the rows is what goes */
	sim_own_begin();
	sim_oracle_rows_before();
	enum sl_status st = store.real.remove_studies(ix, removals, n, d);
	for (size_t i = 0; i < n; i++)
		if (removals[i].status == SL_OK)
			sim_studies_check_removal(&removals[i].study_instance_uid);
	sim_oracle_rows_after();
	sim_own_end();
	sim_quiet(false);
	sim_note("studies removed", n, (uint64_t)st);
	take_time();
	return st;
}

static enum sl_status drop_tombstones(
	struct sl_index *ix, const uint64_t *seqs, size_t n, struct sl_diag *d)
{
	take_time();
	enum sl_status st = store.real.drop_tombstones(ix, seqs, n, d);
	take_time();
	return st;
}

static enum sl_status reserve(struct sl_index *ix, size_t objects)
{
	enum sl_status st = store.real.reserve(ix, objects);
	if (st != SL_OK)
		sim_saw(SIM_SAW_REFUSED_INDEX);
	return st;
}

static enum sl_status open_reader(
	struct sl_index *ix, struct sl_index_reader **out, struct sl_diag *d)
{
	unsigned i = 0;
	while (i < READERS && store.readers[i] != NULL)
		i++;
	if (i == READERS)
		sim_fail("readers of the index leak");
	sim_own_begin();
	enum sl_status st = store.real.open_reader(ix, out, d);
	sim_own_end();
	store.readers[i] = *out;
	return st;
}

static void close_reader(struct sl_index_reader *rd)
{
	for (unsigned i = 0; i < READERS; i++)
		if (store.readers[i] == rd)
			store.readers[i] = NULL;
	sim_own_begin();
	store.real.close_reader(rd);
	sim_own_end();
}

/* The process lets go of it; it stays. */
static void close_index(struct sl_index *ix)
{
	(void)ix;
}

/* ---- the twins, and the files that stand for them ---- */

static struct index_mem *new_twin(void)
{
	struct index_mem *m =
		sl_container_of(sl_index_mem_new(store.capacity), struct index_mem, base);
	store.real = m->ops;
	store.ops = m->ops;
	store.ops.close = close_index;
	store.ops.put_batch = put_batch;
	store.ops.remove_instance = remove_instance;
	store.ops.remove_studies = remove_studies;
	store.ops.reserve = reserve;
	store.ops.drop_tombstones = drop_tombstones;
	store.ops.open_reader = open_reader;
	store.ops.close_reader = close_reader;
	m->base.ops = &store.ops;
	return m;
}

static void close_readers(void)
{
	for (unsigned i = 0; i < READERS; i++)
		if (store.readers[i] != NULL)
			close_reader(store.readers[i]);
}

static void drop(struct held *h)
{
	if (h->twin != NULL)
		store.real.close(&h->twin->base);
	*h = (struct held){0};
}

/* The folder of that path, made if it is not there. */
static unsigned folder_of(const char *path)
{
	unsigned at = DISK_ROOT;
	for (path += strspn(path, "/"); *path != '\0'; path += strspn(path, "/")) {
		char name[DISK_NAME] = "";
		size_t n = strcspn(path, "/");
		sl_assert(n < sizeof(name));
		memcpy(name, path, n);
		unsigned next = disk_find(at, name);
		if (next == 0 && (next = disk_make(true)) != 0)
			disk_add(at, name, next);
		if (next == 0)
			return 0;
		at = next;
		path += n;
	}
	return at;
}

/* A file that stands for a new twin. False: no room. */
static bool make(struct held *h, unsigned folder)
{
	drop(h);
	unsigned ino = disk_make(false);
	if (ino == 0)
		return false;
	*h = (struct held){.twin = new_twin(), .ino = ino};
	disk_add(folder, data_file, ino);
	return true;
}

/* What was not synced as a whole is not to be relied on after a crash. */
static enum sl_status open_draft(unsigned folder, uint64_t next_seq)
{
	if (disk_find(folder, data_file) != 0)
		sim_fail("a new index is begun on the remains of another");
	if (!make(&store.draft, folder))
		return SL_E_FULL;
	store.draft.twin->next_seq = sl_max64(store.draft.twin->next_seq, next_seq);
	return SL_OK;
}

static enum sl_status open_kept(unsigned folder, bool create)
{
	unsigned ino = disk_find(folder, data_file);
	if (ino == 0) {
		drop(&store.kept);
		if (!create)
			return SL_E_NOTFOUND;
		if (!make(&store.kept, folder))
			return SL_E_FULL;
		disk_sync_names(folder, disk.journal_n);
		return SL_OK;
	}
	if (ino == store.draft.ino) {
		if (!store.draft.is_whole)
			sim_fail("a new index has its place before it is whole");
		drop(&store.kept);
		store.kept = store.draft;
		store.draft = (struct held){0};
	}
	if (ino != store.kept.ino)
		sim_fail("the index in its place is none that was made");
	return SL_OK;
}

enum sl_status __wrap_sl_index_lmdb_open(
	const struct sl_index_lmdb_options *options, struct sl_index **out, struct sl_diag *d)
{
	sim_yield();
	sim_own_begin();
	unsigned folder = folder_of(options->path);
	enum sl_status st = folder == 0         ? SL_E_FULL
			    : options->is_draft ? open_draft(folder, options->next_seq)
						: open_kept(folder, options->create);
	sim_own_end();
	if (st == SL_E_FULL)
		(void)sl_fail(d, st, ENOSPC, "index", "no room for an index");
	*out = st != SL_OK ? NULL : options->is_draft ? &store.draft.twin->base : sim_index();
	return st;
}

enum sl_status __wrap_sl_index_lmdb_finish(struct sl_index *ix, struct sl_diag *d)
{
	(void)d;
	sl_assert(ix == &store.draft.twin->base);
	take_time();
	store.draft.is_whole = true;
	return SL_OK;
}

/* ---- for the others ---- */

void sim_index_reset(void)
{
	store.capacity = sim_plan.index_capacity;
	close_readers();
	drop(&store.kept);
	drop(&store.draft);
}

static void let_go(struct held *h)
{
	if (h->twin == NULL)
		return;
	h->twin->lock = (pthread_mutex_t){0};
	h->twin->reserved = 0;
}

void sim_index_crash(void)
{
	close_readers();
	let_go(&store.kept);
	let_go(&store.draft);
}

void sim_index_lose(void)
{
	unsigned folder = folder_of("/root/index");
	if (folder == 0 || disk_find(folder, data_file) == 0)
		return;
	sim_note("the index is lost", 0, 0);
	sim_oracle_index_lost();
	disk_remove(folder, data_file);
	disk_sync_names(folder, disk.journal_n);
}

void sim_index_grow(void)
{
	store.capacity = 10000;
	if (store.kept.twin != NULL)
		store.kept.twin->capacity = store.capacity;
	if (store.draft.twin != NULL)
		store.draft.twin->capacity = store.capacity;
}

struct sl_index *sim_index(void)
{
	return &store.kept.twin->base;
}

void sim_index_check_idle(void)
{
	if (store.kept.twin->reserved != 0)
		sim_fail("%zu promises of room in the index are not given back",
			store.kept.twin->reserved);
}

enum sl_status __wrap_sl_rebuild(
	const struct sl_rebuild_conf *conf, struct sl_rebuild_report *out, struct sl_diag *d)
{
	sim_node_rebuilds(true);
	enum sl_status st = __real_sl_rebuild(conf, out, d);
	sim_node_rebuilds(false);
	sim_note("rebuilt", out->indexed, (uint64_t)st);
	sim_saw(SIM_SAW_REBUILT);
	if (out->kept_files > 0)
		sim_saw(SIM_SAW_RESUMED);
	return st;
}
