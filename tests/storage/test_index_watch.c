/* The watch: what it calls full, behind and long, and that it says so once; that it needs no memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <errno.h>

#include "support/storage_rig.h"

#include "storage/index_watch.h"

#define S UINT64_C(1000000000) /* ns */

static const unsigned MAP = 1u << SL_INDEX_ALARM_MAP, READER = 1u << SL_INDEX_ALARM_READER;

static struct sl_index_snapshot pages(uint64_t used)
{
	return (struct sl_index_snapshot){
		.map_size = 1000 * 4096, .page_size = 4096, .pages_used = used};
}

static void a_full_map_is_said_once_and_taken_back_later(void **state)
{
	(void)state;
	const struct {
		uint64_t used;
		unsigned changed;
		bool is_raised;
	} steps[] = {{0, 0, false}, {799, 0, false}, {800, MAP, true}, {900, 0, true},
		{751, 0, true}, {749, MAP, false}, {799, 0, false}, {1000, MAP, true}};
	struct sl_index_watch w = {0};
	for (size_t i = 0; i < SL_ARRAY_N(steps); i++) {
		struct sl_index_snapshot s = pages(steps[i].used);
		assert_int_equal(sl_index_watch_look(&w, &s, i * S), steps[i].changed);
		assert_int_equal(w.is_raised[SL_INDEX_ALARM_MAP], steps[i].is_raised);
	}
	assert_true(w.used_share > 99.9 && w.used_share < 100.1);
	struct sl_index_watch none = {0};
	struct sl_index_snapshot unknown = {0}; /* before the first commit */
	assert_int_equal(sl_index_watch_look(&none, &unknown, 0), 0);
}

static void a_reader_that_stays_at_a_commit_is_said(void **state)
{
	(void)state;
	const struct {
		uint64_t at_s, reader, last, lag, ms;
		unsigned changed;
	} steps[] = {{0, 0, 7, 0, 0, 0},         /* nobody reads */
		{60, 7, 7, 0, 0, 0},             /* somebody reads what is current */
		{600, 7, 7, 0, 0, 0},            /* however long: it pins nothing */
		{660, 7, 9, 2, 600000, READER},  /* it has been there since it was first seen */
		{720, 7, 30, 23, 660000, 0},     /* said once */
		{780, 30, 31, 1, 0, READER},     /* another one, or it went on */
		{841, 30, 31, 1, 61000, READER}, /* and stays */
		{901, 0, 31, 0, 0, READER},      /* over */
		{961, 31, 32, 1, 0, 0}, {1021, 31, 33, 2, 60000, 0}};
	struct sl_index_watch w = {0};
	for (size_t i = 0; i < SL_ARRAY_N(steps); i++) {
		struct sl_index_snapshot s = pages(1);
		s.reader_commit = steps[i].reader;
		s.last_commit = steps[i].last;
		assert_int_equal(sl_index_watch_look(&w, &s, steps[i].at_s * S), steps[i].changed);
		assert_int_equal(w.reader_lag, steps[i].lag);
		assert_int_equal(w.reader_ms, steps[i].ms);
	}
}

static atomic_uint looks;

static enum sl_status no_memory(struct sl_index *ix, struct sl_diag *d)
{
	(void)ix;
	atomic_fetch_add(&looks, 1);
	return sl_fail(d, SL_E_NOMEM, ENOMEM, "test", "out of memory");
}

/* Who cannot look at the readers for want of memory looks again later: no reason to leave. */
static void a_look_without_memory_fails_nothing(void **state)
{
	(void)state;
	static struct rig r; /* large */
	rig_open(&r);
	const struct sl_index_ops *ops = r.storage.index->ops;
	struct sl_index_ops without = *ops;
	without.clear_stale = no_memory;
	(void)sl_indexer_stats(r.storage.indexer); /* after whatever the indexer did with it */
	r.storage.index->ops = &without;
	for (unsigned n = 1; n <= 2; n++) {
		sl_indexer_tidy(r.storage.indexer);
		while (atomic_load(&looks) < n && !sl_latch_is_failed(&r.storage.latch))
			usleep(200);
	}
	(void)sl_indexer_stats(r.storage.indexer);
	assert_false(sl_latch_is_failed(&r.storage.latch));
	r.storage.index->ops = ops;
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_map_is_said_once_and_taken_back_later),
		cmocka_unit_test(a_reader_that_stays_at_a_commit_is_said),
		cmocka_unit_test(a_look_without_memory_fails_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
