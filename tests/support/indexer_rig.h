/* The indexer between an index and a store that are told what to answer, for its tests.
 *
 * Its clock stands: what waits for its time waits for ever, what waits for a retry does not wait.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "storage/indexer.h"

enum { OBJECTS = 16, CALLS = 64, NEVER_MS = 1000000000 };

/* One object under way: claimed, won, pushed. */
struct one {
	struct sl_uid uid;
	struct sl_turn turn;
	struct sl_pending_entry *entry;
};

struct rig {
	struct sl_env env;
	atomic_uint_fast64_t now_ns;
	struct sl_index index;
	struct sl_index_ops index_ops;
	struct sl_store store;
	struct sl_store_ops store_ops;
	struct sl_pending *pending;
	struct sl_latch latch;
	struct sl_indexer_conf conf;
	struct sl_indexer_deps deps;
	struct sl_indexer *ix;
	struct one one[OBJECTS];
	/* What the fakes answer; set before the thread may ask. */
	atomic_uint room;        /* records that the index takes at a time; more: SL_E_FULL */
	atomic_int put, tidy;    /* enum sl_status: of a put that has room; of clear_stale */
	atomic_int settle_fulls; /* times the disk is full before it settles */
	enum sl_status settle, result;
	uint32_t conflicts[OBJECTS]; /* of the record with this seq */
	/* What they saw; the thread's until it is joined, or has said so. */
	unsigned puts_n, put_n[CALLS + 1], settles_n;
	uint64_t put_seq[CALLS + 1][OBJECTS], settled_seq[OBJECTS];
	unsigned settled_n;
	atomic_uint unreserved, conflicts_n, tidied, errands_n;
	uint64_t conflict_seq;
	uint32_t conflict_bits;
	enum sl_errand errand[8];
	bool was_full[8]; /* as the errand saw it */
	sem_t did_errand;
};

static inline struct rig *rig_of_index(struct sl_index *ix)
{
	return sl_container_of(ix, struct rig, index);
}

/* ---- what it stands on --------------------------------------------------------------------------- */

static inline uint64_t now_ns(void *arg)
{
	struct rig *r = arg;
	return atomic_load(&r->now_ns);
}

static inline void no_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 1, n);
}

static inline enum sl_status put_batch(struct sl_index *ix, const struct sl_record *const *records,
	size_t n, struct sl_index_result *results, struct sl_diag *d)
{
	struct rig *r = rig_of_index(ix);
	unsigned call = (unsigned)sl_min(
		r->puts_n++, CALLS); /* who retries for ever is not written down for ever */
	sl_assert(n >= 1 && n <= OBJECTS);
	r->put_n[call] = (unsigned)n;
	for (size_t i = 0; i < n; i++) {
		r->put_seq[call][i] = records[i]->seq;
		results[i] = (struct sl_index_result){
			.status = r->result, .conflicts = r->conflicts[records[i]->seq]};
	}
	if (n > atomic_load(&r->room))
		return sl_fail(d, SL_E_FULL, 0, "test/put", "the map is full");
	enum sl_status st = (enum sl_status)atomic_load(&r->put);
	return st == SL_OK ? st : sl_fail(d, st, 5, "test/put", "the index fails");
}

static inline void unreserve(struct sl_index *ix, size_t n)
{
	atomic_fetch_add(&rig_of_index(ix)->unreserved, (unsigned)n);
}

static inline enum sl_status clear_stale(struct sl_index *ix, struct sl_diag *d)
{
	enum sl_status st = (enum sl_status)atomic_load(&rig_of_index(ix)->tidy);
	return st == SL_OK ? st : sl_fail(d, st, 5, "test/tidy", "the index fails");
}

static inline enum sl_status settle(
	struct sl_store *store, const struct sl_locator *at, size_t n, struct sl_diag *d)
{
	struct rig *r = sl_container_of(store, struct rig, store);
	r->settles_n++;
	if (atomic_fetch_sub(&r->settle_fulls, 1) > 0)
		return sl_fail(d, SL_E_FULL, 28, "test/settle", "the disk is full");
	if (r->settle != SL_OK)
		return sl_fail(d, r->settle, 5, "test/settle", "the disk fails");
	for (size_t i = 0; i < n; i++)
		r->settled_seq[r->settled_n++] = at[i].seq;
	return SL_OK;
}

static inline void on_conflict(void *arg, const struct sl_record *record, uint32_t attributes)
{
	struct rig *r = arg;
	r->conflict_seq = record->seq;
	r->conflict_bits = attributes;
	atomic_fetch_add(&r->conflicts_n, 1);
}

static inline void on_tidied(void *arg)
{
	struct rig *r = arg;
	atomic_fetch_add(&r->tidied, 1);
}

static inline enum sl_errand run_errand(void *arg)
{
	struct rig *r = arg;
	unsigned n = atomic_fetch_add(&r->errands_n, 1);
	sl_assert(n < SL_ARRAY_N(r->errand));
	r->was_full[n] = sl_indexer_stats(r->ix).is_full;
	enum sl_errand e = r->errand[n];
	sem_post(&r->did_errand);
	return e;
}

static inline void on_turn(struct sl_turn *t)
{
	(void)t;
}

/* ---- the rig ------------------------------------------------------------------------------------- */

static inline int setup(void **state)
{
	static struct rig r;
	struct sl_diag d = {0};
	memset(&r, 0, sizeof(r));
	r.env = (struct sl_env){.now_ns = now_ns, .random = no_random, .arg = &r};
	r.now_ns = 1000000;
	r.index_ops = (struct sl_index_ops){
		.put_batch = put_batch, .unreserve = unreserve, .clear_stale = clear_stale};
	r.index.ops = &r.index_ops;
	r.store_ops.settle = settle;
	r.store.ops = &r.store_ops;
	r.room = OBJECTS;
	sem_init(&r.did_errand, 0, 0);
	sl_latch_init(&r.latch, NULL, NULL);
	assert_int_equal(sl_pending_open(&r.pending, OBJECTS, &r.env, &d), SL_OK);
	r.conf = (struct sl_indexer_conf){.batch = 4, .max_delay_ms = NEVER_MS};
	r.deps = (struct sl_indexer_deps){.env = &r.env,
		.index = &r.index,
		.store = &r.store,
		.pending = r.pending,
		.latch = &r.latch,
		.on_conflict = on_conflict,
		.on_tidied = on_tidied,
		.arg = &r};
	*state = &r;
	return 0;
}

static inline int teardown(void **state)
{
	struct rig *r = *state;
	sl_pending_close(r->pending);
	sem_destroy(&r->did_errand);
	return 0;
}

static inline void start(struct rig *r)
{
	struct sl_diag d = {0};
	assert_int_equal(sl_indexer_start(&r->ix, &r->conf, &r->deps, &d), SL_OK);
	sl_indexer_set_errand(r->ix, run_errand, r);
}

/* Object `seq` of this series has been stored. */
static inline void push(struct rig *r, uint64_t seq, const char *series)
{
	struct one *o = &r->one[seq];
	char uid[16];
	snprintf(uid, sizeof(uid), "1.2.%u", (unsigned)seq);
	o->uid = sl_uid_of(uid);
	o->turn = (struct sl_turn){.uid = &o->uid, .on_turn = on_turn};
	assert_true(sl_pending_claim(r->pending, &o->turn));
	o->entry = o->turn.entry;
	sl_record_init(&o->entry->record);
	o->entry->record.seq = seq;
	o->entry->record.study_instance_uid = sl_uid_of("1.1");
	o->entry->record.series_instance_uid = sl_uid_of(series);
	sl_pending_release(r->pending, &o->turn, true);
	sl_indexer_push(r->ix, o->entry);
}

static inline void push_range(struct rig *r, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++)
		push(r, seq, "1.1.1");
}

static inline uint32_t unsettled(struct rig *r)
{
	return sl_pending_stats(r->pending).durable;
}

static inline void wait_until_settled(struct rig *r)
{
	while (unsettled(r) > 0)
		sched_yield();
}

static inline void wait_until_latched(struct rig *r, enum sl_status status, const char *where)
{
	while (sl_latch_cause(&r->latch) == NULL)
		sched_yield();
	assert_int_equal(sl_latch_cause(&r->latch)->status, status);
	assert_string_equal(sl_latch_cause(&r->latch)->where, where);
}

/* Two errands: when the second has run, all that was due when the first did is over. */
static inline void let_it_come_round(struct rig *r)
{
	for (int i = 0; i < 2; i++) {
		sl_indexer_wake(r->ix);
		sem_wait(&r->did_errand);
	}
}

static inline void assert_put(const struct rig *r, unsigned call, uint64_t from, unsigned n)
{
	assert_true(call < r->puts_n);
	assert_int_equal(r->put_n[call], n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(r->put_seq[call][i], from + i);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
