/* The watch: what it calls full, behind and long, and that it says so once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_map_is_said_once_and_taken_back_later),
		cmocka_unit_test(a_reader_that_stays_at_a_commit_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
