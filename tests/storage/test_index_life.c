/* The LMDB index under stress: full maps, kill -9, many threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/index_fixture.h"

/* ---- full -------------------------------------------------------------------------------------- */

/* Fills a small map by batches of n; the refused batch leaves the index as it was and usable. */
static void fill(const char *path, uint64_t n, bool *by_room, bool *by_lmdb)
{
	struct sl_index *ix = open_at(path, SL_MIB, SL_OK);
	struct sl_diag diag = {0};
	struct sl_index_snapshot before, after;
	struct sl_index_removed gone;
	struct sl_record r;
	uint64_t put = 0;
	enum sl_status st;
	do {
		sl_index_snapshot(ix, &before);
		st = try_range(ix, put, put + n, 2, &diag);
		put += st == SL_OK ? n : 0;
	} while (st == SL_OK);
	assert_int_equal(st, SL_E_FULL);
	assert_non_null(strstr(diag.text, "index.map_size"));
	*by_room |= strcmp(diag.where, "index/room") == 0;
	*by_lmdb |= strncmp(diag.where, "lmdb/", 5) == 0;
	sl_index_snapshot(ix, &after);
	assert_memory_equal(&before.usage, &after.usage, sizeof(after.usage));
	assert_true(after.usage.instances == put && put > 0);
	check_sound(ix);
	/* Removals find room, and make some. */
	for (uint64_t i = 0; i < put; i += 8) {
		rec_make(&r, i, 2);
		diag = (struct sl_diag){0};
		if (sl_index_remove_study(
			    ix, &r.study_instance_uid, put + n + i + 1, &gone, &diag) != SL_OK)
			fail_msg("%s %s", diag.where, diag.text);
	}
	check_sound(ix);
	assert_int_equal(try_range(ix, 0, n, 2, NULL), SL_OK);
	check_sound(ix);
	sl_index_close(ix);
}

static void a_full_map_refuses_and_recovers(void **state)
{
	bool by_room = false, by_lmdb = false;
	(void)state;
	for (uint64_t n = 2; n <= BATCH_MAX; n *= 2) {
		struct tmpdir own;
		assert_true(tmpdir_make(&own));
		fill(own.path, n, &by_room, &by_lmdb);
		tmpdir_remove(&own);
	}
	/* Both walls were met: ours, before the room kept for removals, and LMDB's own. */
	assert_true(by_room && by_lmdb);
}

static void reservations_follow_the_room(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	struct sl_index_snapshot snap;
	sl_index_snapshot(ix, &snap);
	uint64_t room = snap.room, put = 0;
	assert_true(room > 0);
	while (try_range(ix, put, put + 8, 2, NULL) == SL_OK)
		put += 8;
	sl_index_snapshot(ix, &snap);
	assert_true(snap.room < room);
	assert_int_equal(sl_index_reserve(ix, room), SL_E_FULL);
	assert_true(snap.map_used <= snap.map_size);
	assert_true(snap.pages_used + snap.pages_free == snap.map_used / snap.page_size);
	sl_index_close(ix);
}

/* ---- crashes ----------------------------------------------------------------------------------- */

/* What the child tells before it is killed. */
struct progress {
	atomic_uint_fast64_t done; /* steps whose commit returned */
};

/* Steps of a life that any process can compute: step s puts 1-40 instances, and every fourth step
 * removes the study that began four studies before. Never returns. */
static void live(const char *path, uint64_t from, struct progress *p)
{
	struct sl_index *ix = open_at(path, 64 * SL_MIB, SL_OK);
	for (uint64_t step = from;; step++) {
		struct sl_index_removed gone;
		struct sl_record r;
		enum sl_status st = try_range(ix, step * 20, step * 20 + 20, 5, NULL);
		if (st == SL_OK && step % 4 == 3) {
			rec_make(&r, (step - 3) * 20, 5);
			st = sl_index_remove_study(
				ix, &r.study_instance_uid, 1000000 + step, &gone, NULL);
		}
		if (st != SL_OK && st != SL_E_NOTFOUND)
			_exit(1);
		atomic_store(&p->done, step + 1);
	}
}

/* Whatever was committed before the kill is there, whole; the next life goes on from it. */
static uint64_t inspect(const char *path, uint64_t done)
{
	struct sl_index_reader *rd;
	struct sl_index_snapshot snap;
	struct sl_index *ix = open_at(path, 64 * SL_MIB, SL_OK);
	check_sound(ix);
	assert_int_equal(sl_index_open_reader(ix, &rd, NULL), SL_OK);
	for (uint64_t i = done > 8 ? (done - 8) * 20 : 0; i < done * 20; i++) {
		struct sl_index_instance in;
		struct sl_record r;
		uint64_t step = i / 20;
		rec_make(&r, i, 5);
		enum sl_status st = sl_index_locate_instance(rd, &r.sop_instance_uid, &in, NULL);
		if (step % 4 == 0 && step + 3 < done)
			assert_int_equal(st, SL_E_NOTFOUND);
		else if (step % 4 != 0)
			assert_int_equal(st, SL_OK);
	}
	sl_index_snapshot(ix, &snap);
	assert_true(snap.usage.instances > 0 || done == 0);
	sl_index_close_reader(rd);
	sl_index_close(ix);
	return done;
}

static void kill_9_at_random_moments_loses_no_commit(void **state)
{
	const struct tmpdir *dir = *state;
	struct progress *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = 4711, from = 0;
	assert_true(p != MAP_FAILED);
	sl_index_close(open_at(dir->path, 64 * SL_MIB, SL_OK));
	for (int round = 0; round < 30; round++) {
		uint64_t wanted = from + 1 + rec_random(&seed) % 12;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			live(dir->path, from, p);
		/* Then somewhere inside the steps that follow: spinning is the random part. */
		while (atomic_load(&p->done) < wanted)
			assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
		for (uint64_t spin = rec_random(&seed) % 200; spin > 0; spin--)
			sched_yield();
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		from = inspect(dir->path, atomic_load(&p->done));
	}
	munmap(p, sizeof(*p));
}

/* ---- threads ----------------------------------------------------------------------------------- */

struct shared {
	struct sl_index *ix;
	atomic_uint_fast64_t committed; /* instances that are in */
	atomic_uint_fast64_t looked_up;
	atomic_bool is_over;
};

static void *look_up(void *arg)
{
	struct shared *s = arg;
	struct sl_index_reader *rd;
	uint64_t seed = (uint64_t)(uintptr_t)&rd | 1, failures = 0;
	if (sl_index_open_reader(s->ix, &rd, NULL) != SL_OK)
		return (void *)1;
	while (!atomic_load(&s->is_over)) {
		uint64_t n = atomic_load(&s->committed);
		struct sl_record r;
		struct sl_index_instance in, page[8];
		struct sl_index_study study;
		struct sl_index_snapshot snap;
		struct sl_index_cursor at = {0};
		size_t m = SL_ARRAY_N(page);
		if (n == 0)
			continue;
		rec_make(&r, rec_random(&seed) % n, 10);
		failures += sl_index_locate_instance(rd, &r.sop_instance_uid, &in, NULL) != SL_OK;
		failures += sl_index_locate_study(rd, &r.study_instance_uid, &study, NULL) != SL_OK;
		failures += sl_index_list_instances(rd, &r.study_instance_uid,
				    &r.series_instance_uid, &at, page, &m, NULL) != SL_OK;
		sl_index_snapshot(s->ix, &snap);
		failures += snap.usage.instances < n;
		if (sl_index_reserve(s->ix, 3) == SL_OK)
			sl_index_unreserve(s->ix, 3);
		atomic_fetch_add(&s->looked_up, 1);
	}
	sl_index_close_reader(rd);
	return (void *)(uintptr_t)failures;
}

static void readers_see_every_commit_that_ended_before(void **state)
{
	const struct tmpdir *dir = *state;
	struct shared s = {.ix = open_at(dir->path, 64 * SL_MIB, SL_OK)};
	pthread_t threads[3];
	for (size_t i = 0; i < SL_ARRAY_N(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_up, &s), 0);
	for (uint64_t n = 0; n < 4000 || atomic_load(&s.looked_up) < 500; n += 50) {
		assert_int_equal(try_range(s.ix, n, n + 50, 10, NULL), SL_OK);
		atomic_store(&s.committed, n + 50);
		if (n % 1000 == 0)
			assert_int_equal(sl_index_clear_stale(s.ix, NULL), SL_OK);
	}
	atomic_store(&s.is_over, true);
	for (size_t i = 0; i < SL_ARRAY_N(threads); i++) {
		void *failures;
		assert_int_equal(pthread_join(threads[i], &failures), 0);
		assert_null(failures);
	}
	check_sound(s.ix);
	sl_index_close(s.ix);
}

/* F22: a reader that died does not pin pages for ever. */
static void slots_of_dead_processes_are_cleared(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_snapshot snap;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Another program that looks in, as mdb_stat does, and dies in a transaction. */
		MDB_env *env;
		MDB_txn *txn;
		int rc = mdb_env_create(&env);
		rc = rc != 0 ? rc : mdb_env_open(env, dir->path, MDB_RDONLY, 0640);
		rc = rc != 0 ? rc : mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
		if (rc == 0)
			raise(SIGKILL);
		_exit(1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	sl_index_snapshot(ix, &snap);
	uint64_t stale = snap.readers_stale;
	assert_int_equal(sl_index_clear_stale(ix, NULL), SL_OK);
	sl_index_snapshot(ix, &snap);
	assert_true(snap.readers_stale == stale + 1);
	assert_true(snap.readers_used >= 1 && snap.readers_used < snap.readers_max);
	sl_index_close(ix);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_map_refuses_and_recovers),
		TEST(reservations_follow_the_room),
		TEST(kill_9_at_random_moments_loses_no_commit),
		TEST(readers_see_every_commit_that_ended_before),
		TEST(slots_of_dead_processes_are_cleared),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
