/* What only the LMDB index can do wrong: crashes, full maps, old and damaged files, many threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/index_lmdb.h"
#include "storage/lmdb_key.h"
#include "support/records.h"
#include "support/tmpdir.h"

enum { BATCH_MAX = 128 };

static struct sl_index *open_at(const char *path, uint64_t map_size, enum sl_status expected)
{
	const struct sl_index_lmdb_options options = {.path = path,
		.map_size = map_size,
		.readers = 8,
		.batch_max = BATCH_MAX,
		.create = true};
	struct sl_index *ix = NULL;
	struct sl_diag diag = {0};
	enum sl_status st = sl_index_lmdb_open(&options, &ix, &diag);
	if (st != expected)
		fail_msg("%s: %s", sl_status_name(st), diag.text);
	assert_int_equal(ix != NULL, st == SL_OK);
	assert_int_equal(diag.text[0] != '\0', st != SL_OK);
	return ix;
}

static enum sl_status put_range(
	struct sl_index *ix, uint64_t from, uint64_t to, uint64_t per_series, struct sl_diag *diag)
{
	static struct sl_record records[BATCH_MAX];
	const struct sl_record *pointers[BATCH_MAX];
	struct sl_index_result results[BATCH_MAX];
	size_t n = 0;
	for (; from < to; from++, n++) {
		rec_make(&records[n], from, per_series);
		pointers[n] = &records[n];
	}
	return sl_index_put_batch(ix, pointers, n, results, diag);
}

static void check_sound(struct sl_index *ix)
{
	struct sl_index_report report;
	assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
	if (report.wrong > 0)
		fail_msg("%llu wrong: %s", (unsigned long long)report.wrong, report.first);
}

static int setup(void **state)
{
	struct tmpdir *dir = malloc(sizeof(*dir));
	*state = dir;
	return dir != NULL && tmpdir_make(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	tmpdir_remove(*state);
	free(*state);
	return 0;
}

/* ---- opening ----------------------------------------------------------------------------------- */

static void an_index_is_made_only_when_asked(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
	struct sl_index *ix;
	struct sl_diag diag = {0};
	char nested[300];
	assert_int_equal(sl_index_lmdb_open(&options, &ix, &diag), SL_E_NOTFOUND);
	snprintf(nested, sizeof(nested), "%s/index", dir->path);
	options.path = nested;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_NOTFOUND);
	options.create = true;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_OK);
	sl_index_close(ix);
	options.create = false;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_OK);
	sl_index_close(ix);
	struct stat st;
	assert_int_equal(stat(nested, &st), 0);
	assert_int_equal(st.st_mode & 0027, 0); /* nothing for others, no writing for the group */
}

static void rows_are_there_after_reopening(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_snapshot before, after;
	struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	assert_int_equal(put_range(ix, 0, 100, 10, NULL), SL_OK);
	sl_index_snapshot(ix, &before);
	sl_index_close(ix);
	ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	sl_index_snapshot(ix, &after);
	assert_memory_equal(&before.usage, &after.usage, sizeof(after.usage));
	assert_true(after.next_seq == 101);
	/* Words of the dictionary and numbers go on where they were. */
	assert_int_equal(put_range(ix, 100, 200, 10, NULL), SL_OK);
	check_sound(ix);
	sl_index_close(ix);
}

static void a_second_process_is_refused(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct sl_index_lmdb_options options = {
			.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
		struct sl_index *second;
		_exit(sl_index_lmdb_open(&options, &second, NULL) == SL_E_BUSY ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	sl_index_close(ix);
}

static void unsafe_file_systems_are_known_by_type(void **state)
{
	(void)state;
	assert_string_equal(sl_index_lmdb_unsafe_fs(0x6969), "NFS");
	assert_string_equal(sl_index_lmdb_unsafe_fs(0x794C7630), "overlay");
	/* f_type is signed on some machines: the upper half may be ones. */
	assert_string_equal(sl_index_lmdb_unsafe_fs(0xFFFFFFFFFF534D42), "CIFS");
	assert_null(sl_index_lmdb_unsafe_fs(0xEF53));     /* ext4 */
	assert_null(sl_index_lmdb_unsafe_fs(0x58465342)); /* XFS */
	assert_null(sl_index_lmdb_unsafe_fs(0x01021994)); /* tmpfs */
	assert_null(sl_index_lmdb_unsafe_fs(0x2FC12FC1)); /* ZFS */
}

static void unreasonable_options_are_refused(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = 1000, .readers = 1, .batch_max = 1, .create = true};
	struct sl_index *ix;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CONFIG);
	options.map_size = SL_MIB;
	options.batch_max = 0;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CONFIG);
}

/* ---- other hands on the file ------------------------------------------------------------------- */

/* Overwrites (value != NULL) or deletes a row behind the index's back. */
static void tamper(const char *path, const char *tree, MDB_val key, const MDB_val *value)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val v = value != NULL ? *value : (MDB_val){0, NULL};
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0640), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, tree, 0, &dbi), 0);
	assert_int_equal(
		value != NULL ? mdb_put(txn, dbi, &key, &v, 0) : mdb_del(txn, dbi, &key, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void a_newer_schema_is_refused_by_name(void **state)
{
	const struct tmpdir *dir = *state;
	const struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	struct sl_diag diag = {0};
	sl_index_close(ix);
	MDB_val newer = {4, "\0\0\0\x07"}, damaged = {3, "\0\0\1"};
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, &newer);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, &diag), SL_E_UNSUPPORTED);
	assert_non_null(strstr(diag.text, "schema 7"));
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, &damaged);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CORRUPT);
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, NULL);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CORRUPT);
}

/* Each kind of damage to a sound index is seen by the recount. */
static void the_recount_sees_damaged_rows(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_record r;
	uint8_t uid[SL_LMDB_KEY_UID_MAX], end[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf uw = sl_wbuf_of(uid, sizeof(uid)), ew = sl_wbuf_of(end, sizeof(end));
	rec_make(&r, 0, 10);
	sl_lmdb_key_put_uid(&uw, r.sop_instance_uid.s, r.sop_instance_uid.len);
	sl_lmdb_key_put_uid_end(&ew, r.study_instance_uid.s, r.study_instance_uid.len);
	const MDB_val elsewhere = {3, "\x01\x01\x63"}, junk = {2, "\xFF\xFF"}, nine = {1, "\x09"};
	const struct {
		const char *tree;
		MDB_val key;
		const MDB_val *value;
	} damages[] = {
		{"uid", {uw.len, uid}, NULL},
		{"uid", {uw.len, uid}, &elsewhere},
		{"uid", {3, "\x45\x45\x45"}, &elsewhere}, /* a UID without a row */
		{"study.uid", {ew.len, end}, NULL},
		{"study.uid", {ew.len, end}, &nine},
		{"study", {1, "\x01"}, &junk},
		{"study", {1, "\x01"}, NULL},
		{"series", {2, "\x01\x00"}, &junk},
		{"series", {2, "\x01\x00"}, NULL},
		{"instance", {3, "\x01\x00\x00"}, &junk},
		{"instance", {3, "\x01\x00\x00"}, NULL},
		{"instance", {3, "\x70\x00\x00"}, &junk}, /* of a study that is not there */
		{"patient", {1, "\x01"}, NULL},
		{"patient", {1, "\x01"}, &junk},
	};
	for (size_t i = 0; i < SL_ARRAY_N(damages); i++) {
		struct sl_index_report report;
		struct tmpdir own;
		assert_true(tmpdir_make(&own));
		struct sl_index *ix = open_at(own.path, SL_MIB, SL_OK);
		assert_int_equal(put_range(ix, 0, 60, 10, NULL), SL_OK);
		check_sound(ix);
		sl_index_close(ix);
		tamper(own.path, damages[i].tree, damages[i].key, damages[i].value);
		ix = open_at(own.path, SL_MIB, SL_OK);
		assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
		if (report.wrong == 0 || report.first[0] == '\0')
			fail_msg("damage %zu (%s) was not seen", i, damages[i].tree);
		sl_index_close(ix);
		tmpdir_remove(&own);
	}
	(void)dir;
}

static void damage_met_by_a_call_is_its_answer(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_record r;
	struct sl_index_reader *rd;
	struct sl_index_instance in;
	struct sl_index_removed gone;
	struct sl_diag diag = {0};
	MDB_val junk = {2, "\xFF\xFF"};
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(put_range(ix, 0, 60, 10, NULL), SL_OK);
	sl_index_close(ix);
	tamper(dir->path, "series", (MDB_val){2, "\x01\x00"}, &junk);
	ix = open_at(dir->path, SL_MIB, SL_OK);
	rec_make(&r, 0, 10);
	assert_int_equal(sl_index_open_reader(ix, &rd, NULL), SL_OK);
	assert_int_equal(
		sl_index_locate_instance(rd, &r.sop_instance_uid, &in, &diag), SL_E_CORRUPT);
	assert_non_null(strstr(diag.text, "damaged"));
	assert_int_equal(
		sl_index_remove_instance(ix, &r.sop_instance_uid, 0, &gone, NULL), SL_E_CORRUPT);
	sl_index_close_reader(rd);
	sl_index_close(ix);
}

static void a_file_that_is_no_index_is_named(void **state)
{
	const struct tmpdir *dir = *state;
	char path[300], junk[16384];
	memset(junk, 0x5A, sizeof(junk));
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0 && write(fd, junk, sizeof(junk)) == (ssize_t)sizeof(junk));
	close(fd);
	(void)open_at(dir->path, SL_MIB, SL_E_CORRUPT);
}

/* A copy that was cut short is damage that every call survives, at whatever length. */
static void a_truncated_file_is_no_bus_error(void **state)
{
	const struct tmpdir *dir = *state;
	char path[300];
	struct stat st;
	struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(put_range(ix, i * 100, i * 100 + 100, 10, NULL), SL_OK);
	sl_index_close(ix);
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	assert_int_equal(stat(path, &st), 0);
	for (off_t pages = st.st_size / 4096 - 1; pages >= 2; pages -= 1 + pages / 8) {
		const struct sl_index_lmdb_options options = {
			.path = dir->path, .map_size = 64 * SL_MIB, .readers = 1, .batch_max = 1};
		struct sl_index_report report;
		assert_int_equal(truncate(path, pages * 4096), 0);
		enum sl_status s = sl_index_lmdb_open(&options, &ix, NULL);
		if (s != SL_OK)
			assert_true(s == SL_E_CORRUPT || s == SL_E_NOTFOUND);
		else if (sl_index_check(ix, &report, NULL) == SL_OK && pages < 8)
			assert_true(report.wrong > 0);
		sl_index_close(s == SL_OK ? ix : NULL);
	}
}

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
		st = put_range(ix, put, put + n, 2, &diag);
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
	assert_int_equal(put_range(ix, 0, n, 2, NULL), SL_OK);
	check_sound(ix);
	sl_index_close(ix);
}

static void a_full_map_refuses_and_recovers(void **state)
{
	bool by_room = false, by_lmdb = false;
	(void)state;
	for (uint64_t n = 16; n <= BATCH_MAX; n *= 2) {
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
	while (put_range(ix, put, put + 8, 2, NULL) == SL_OK)
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
		enum sl_status st = put_range(ix, step * 20, step * 20 + 20, 5, NULL);
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
		assert_int_equal(put_range(s.ix, n, n + 50, 10, NULL), SL_OK);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_index_is_made_only_when_asked),
		TEST(rows_are_there_after_reopening),
		TEST(a_second_process_is_refused),
		TEST(unsafe_file_systems_are_known_by_type),
		TEST(unreasonable_options_are_refused),
		TEST(a_newer_schema_is_refused_by_name),
		TEST(the_recount_sees_damaged_rows),
		TEST(damage_met_by_a_call_is_its_answer),
		TEST(a_file_that_is_no_index_is_named),
		TEST(a_truncated_file_is_no_bus_error),
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
