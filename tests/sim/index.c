/* The index of the simulated node: the twin in memory, which outlives the process.
 *
 * A commit is one step: after a crash all of it is there or nothing, as LMDB promises. The plan may
 * give it little room.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"
#include "sim/wraps.h"
#include "storage/index_lmdb.h"
#include "support/index_mem_priv.h"

#define READERS 32

static struct {
	struct index_mem *twin;
	struct sl_index_ops ops; /* the twin's, with ours before some */
	struct sl_index_reader *readers[READERS];
	size_t capacity;
	bool is_missing; /* not made yet */
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
	enum sl_status st = store.twin->ops.put_batch(ix, records, n, results, d);
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
	enum sl_status st = store.twin->ops.remove_instance(ix, uid, tombstone_seq, removed, d);
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
	enum sl_status st = store.twin->ops.remove_studies(ix, removals, n, d);
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
	enum sl_status st = store.twin->ops.drop_tombstones(ix, seqs, n, d);
	take_time();
	return st;
}

static enum sl_status reserve(struct sl_index *ix, size_t objects)
{
	enum sl_status st = store.twin->ops.reserve(ix, objects);
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
	enum sl_status st = store.twin->ops.open_reader(ix, out, d);
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
	store.twin->ops.close_reader(rd);
	sim_own_end();
}

/* The process lets go of it; it stays. */
static void close_index(struct sl_index *ix)
{
	(void)ix;
}

static void drop_twin(void)
{
	for (unsigned i = 0; i < READERS; i++)
		if (store.readers[i] != NULL)
			close_reader(store.readers[i]);
	if (store.twin != NULL)
		store.twin->ops.close(&store.twin->base);
	store.twin = NULL;
}

static void make_twin(void)
{
	drop_twin();
	store.twin = sl_container_of(sl_index_mem_new(store.capacity), struct index_mem, base);
	store.ops = store.twin->ops;
	store.ops.close = close_index;
	store.ops.put_batch = put_batch;
	store.ops.remove_instance = remove_instance;
	store.ops.remove_studies = remove_studies;
	store.ops.reserve = reserve;
	store.ops.drop_tombstones = drop_tombstones;
	store.ops.open_reader = open_reader;
	store.ops.close_reader = close_reader;
	store.twin->base.ops = &store.ops;
}

void sim_index_reset(void)
{
	store.capacity = sim_plan.index_capacity;
	make_twin();
	store.is_missing = true;
}

void sim_index_crash(void)
{
	for (unsigned i = 0; i < READERS; i++)
		if (store.readers[i] != NULL)
			close_reader(store.readers[i]);
	store.twin->lock = (pthread_mutex_t){0};
	store.twin->reserved = 0;
}

void sim_index_grow(void)
{
	store.twin->capacity = store.capacity = 10000;
}

struct sl_index *sim_index(void)
{
	return &store.twin->base;
}

void sim_index_check_idle(void)
{
	if (store.twin->reserved != 0)
		sim_fail("%zu promises of room in the index are not given back",
			store.twin->reserved);
}

enum sl_status __wrap_sl_index_lmdb_open(
	const struct sl_index_lmdb_options *options, struct sl_index **out, struct sl_diag *d)
{
	(void)d;
	sim_yield();
	if (store.is_missing && !options->create)
		return SL_E_NOTFOUND;
	store.is_missing = false;
	*out = sim_index();
	return SL_OK;
}
