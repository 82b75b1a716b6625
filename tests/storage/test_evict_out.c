/* The way out of the archive: several studies together, pins, a disk that does not get emptier, no room
 * for the trash, and an index that is lost on the way.
 *
 * fsync, statvfs, rename and unlink of the whole program go through here, so that a test can count them
 * or have them fail. SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/evict_rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static struct {
	atomic_uint syncs;
	atomic_int full_renames, full_unlinks; /* so many to trash/, and unlinks, find no room */
	atomic_ulong disk_total, disk_used;    /* of a disk that is made up; 0 = the real one */
} machine;

int fsync(int fd)
{
	atomic_fetch_add(&machine.syncs, 1);
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	atomic_fetch_add(&machine.syncs, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

static bool take_one(atomic_int *n)
{
	int left = atomic_load(n);
	while (left > 0 && !atomic_compare_exchange_weak(n, &left, left - 1))
		continue;
	return left > 0;
}

int renameat(int from, const char *old, int to, const char *new)
{
	uint64_t seq;
	if (sl_path_trash_seq(new, &seq) && take_one(&machine.full_renames)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int unlinkat(int fd, const char *name, int flags)
{
	if (flags == 0 && strstr(name, ".dcm") != NULL && take_one(&machine.full_unlinks)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int fstatvfs(int fd, struct statvfs *out)
{
	int (*real)(int, struct statvfs *);
	unsigned long total = atomic_load(&machine.disk_total);
	*(void **)&real = dlsym(RTLD_NEXT, "fstatvfs");
	int rc = real(fd, out);
	if (total > 0) {
		out->f_frsize = out->f_bsize = 1;
		out->f_blocks = total;
		out->f_bfree = out->f_bavail = total - atomic_load(&machine.disk_used);
	}
	return rc;
}

static const char *stuck(struct rig *r)
{
	return sl_evict_stats(r->storage.evict).stuck;
}

static void wait_for_stuck(struct rig *r)
{
	while (stuck(r) == NULL)
		usleep(1000);
}

/* ---- together ----------------------------------------------------------------------------------- */

static void studies_that_go_together_wait_for_the_disk_once(void **state)
{
	struct rig *r = *state;
	hold(r);
	for (int i = 0; i < 18; i++)
		store_well(r, (char)('A' + i), 0);
	atomic_store(&machine.syncs, 0);
	let_go(r, 0);
	wait_for_gone(r, 4); /* 18 of 20; `low` is less than 15 */
	/* spool/, a commit, journal/ops, trash/, the folder of each study, a commit: one by one they
	 * would be 24. */
	assert_in_range(atomic_load(&machine.syncs), 6, 9);
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, 4);
	for (int i = 0; i < 18; i++)
		assert_int_equal(has_study(r, (char)('A' + i)), i >= 4);
	check_sound(r);
	reopen(r);
	assert_int_equal(r->storage.recovered.tombstones, 0);
	check_sound(r);
}

/* ---- pins --------------------------------------------------------------------------------------- */

static void lose_the_index(struct rig *r)
{
	char command[128];
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command), "rm -rf %s/index", r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_true(r->storage.has_rebuilt);
}

static void a_pinned_study_never_goes(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A'), b = study_uid('B');
	char uid[32];
	hold(r);
	assert_int_equal(sl_evict_pin(r->storage.evict, &b, true), SL_OK); /* before it is there */
	for (int i = 0; i < 18; i++)
		store_well(r, (char)('A' + i), 0);
	assert_int_equal(sl_evict_pin(r->storage.evict, &a, true), SL_OK);
	assert_int_equal(sl_evict_pin(r->storage.evict, &a, true), SL_OK);
	let_go(r, 0);
	wait_for_gone(r, 4);
	assert_true(
		has_study(r, 'A') && has_study(r, 'B') && !has_study(r, 'C') && !has_study(r, 'F'));
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_E_BUSY);
	(void)make('A', 0, uid);
	struct sl_uid object = sl_uid_of(uid);
	assert_int_equal(sl_evict_instance(r->storage.evict, &object, &removed), SL_E_BUSY);
	lose_the_index(r); /* pins are not the index's */
	assert_int_equal(sl_ops_pins(r->storage.ops), 2);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_E_BUSY);
	assert_int_equal(sl_evict_pin(r->storage.evict, &a, false), SL_OK);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_OK);
	reopen(r);
	assert_false(sl_ops_is_pinned(r->storage.ops, &a));
	assert_true(sl_ops_is_pinned(r->storage.ops, &b));
	assert_true(has_study(r, 'B'));
	check_sound(r);
}

static void only_pinned_studies_left_is_said(void **state)
{
	struct rig *r = *state;
	hold(r);
	for (int i = 0; i < 18; i++) {
		struct sl_uid study = study_uid((char)('A' + i));
		store_well(r, (char)('A' + i), 0);
		assert_int_equal(sl_evict_pin(r->storage.evict, &study, true), SL_OK);
	}
	let_go(r, 0);
	while (stuck(r) == NULL || strcmp(stuck(r), "pinned") != 0)
		usleep(1000);
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, 0);
	struct sl_uid third = study_uid('C');
	assert_int_equal(sl_evict_pin(r->storage.evict, &third, false), SL_OK);
	wait_for_gone(r, 1);
	assert_false(has_study(r, 'C'));
	assert_true(has_study(r, 'A') && has_study(r, 'R'));
}

/* Rows are made seldom: when the quota is full the oldest study is pinned, and the others have none yet. */
static void what_waits_for_its_rows_goes_behind_a_pinned_study(void **state)
{
	struct rig *r = *state;
	struct sl_uid pinned = study_uid('A');
	sl_storage_close(&r->storage);
	r->conf.indexer.max_delay_ms = 3600 * 1000;
	r->conf.indexer.batch = 4096;
	rig_open_storage(r);
	assert_int_equal(sl_evict_pin(r->storage.evict, &pinned, true), SL_OK);
	assert_int_equal(store(r, 'A', 0), SL_VERDICT_STORED);
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	for (int i = 1; i < 60; i++)
		assert_int_equal(store(r, (char)('A' + i % 26), i), SL_VERDICT_STORED);
	assert_int_equal(sl_water_now(r->storage.water).refusals, 0);
	assert_true(has_study(r, 'A'));
}

/* ---- no help ------------------------------------------------------------------------------------ */

/* What is freed goes to somebody else at once: the disk stays as full as it is. */
static void no_more_goes_where_others_take_what_is_freed(void **state)
{
	enum { STUDIES = 26, EACH = 5 };
	struct rig *r = *state;
	const struct sl_water_mark marks[] = {{.share = 50}, {.share = 60}, {.share = 90}};
	sl_storage_close(&r->storage);
	r->conf.water.low = marks[0];
	r->conf.water.high = marks[1];
	r->conf.water.full = marks[2];
	r->conf.water.quota = 0;
	r->conf.water.reserve_step = SL_MIB;
	r->conf.water.reserve_max = SL_GIB;
	atomic_store(&machine.disk_total, 100 * SL_MIB);
	atomic_store(&machine.disk_used, 40 * SL_MIB);
	rig_open_storage(r);
	for (int i = 0; i < STUDIES * EACH; i++)
		store_well(r, (char)('A' + i / EACH), i);
	atomic_store(&machine.disk_used, 70 * SL_MIB);
	wait_for_stuck(r);
	assert_string_equal(stuck(r), "no-help");
	/* Help is measured each 4 MiB: it stopped at the first time, at most a batch later. */
	struct sl_evict_stats stats = sl_evict_stats(r->storage.evict);
	assert_in_range(stats.bytes, 4 * SL_MIB, 4 * SL_MIB + SL_TRASH_BATCH * EACH * OBJECT);
	assert_true(stats.studies < STUDIES);
	assert_int_equal(store(r, 'Z', 9999), SL_VERDICT_STORED); /* between high and full */
	assert_true(has_study(r, 'Z'));
	/* The others leave: it rests, and helps again when it is needed. */
	atomic_store(&machine.disk_used, 40 * SL_MIB);
	while (stuck(r) != NULL)
		usleep(1000);
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, stats.studies);
	atomic_store(&machine.disk_used, 61 * SL_MIB);
	wait_for_gone(r, stats.studies + 1);
	atomic_store(&machine.disk_used, 10 * SL_MIB);
	atomic_store(&machine.disk_total, 0);
	check_sound(r);
}

/* ---- no room for the trash ---------------------------------------------------------------------- */

static void where_the_trash_has_no_room_files_are_unlinked_on_the_spot(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A');
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	atomic_store(&machine.full_renames, 1);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_OK);
	assert_int_equal(atomic_load(&machine.full_renames), 0);
	assert_int_equal(removed.instances, 2);
	assert_false(has_study(r, 'A'));
	wait_for_empty_trash(r);
	/* Neither: the removal waits, and is through when room returns. */
	store_well(r, 'A', 0);
	store_well(r, 'B', 0);
	atomic_store(&machine.full_renames, 2);
	atomic_store(&machine.full_unlinks, 1);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_OK);
	assert_int_equal(
		atomic_load(&machine.full_renames) + atomic_load(&machine.full_unlinks), 0);
	assert_false(has_study(r, 'A'));
	assert_true(has_study(r, 'B'));
	store_well(r, 'A', 1);
	assert_true(has_study(r, 'A'));
	wait_for_empty_trash(r);
	check_sound(r);
	reopen(r);
	assert_int_equal(r->storage.recovered.tombstones, 0);
	assert_true(has_study(r, 'A'));
}

/* ---- an index lost on the way ------------------------------------------------------------------- */

static void open_stopped(
	struct rig *r, struct sl_root *root, struct sl_ops **ops, struct sl_index **ix)
{
	struct sl_diag d = {0};
	const struct sl_root_opts opts = {.is_durable = true, .env = &rig_env};
	sl_storage_close(&r->storage);
	assert_int_equal(sl_root_open(r->folder, &opts, root, &d), SL_OK);
	const struct sl_index_lmdb_options options = {
		.path = root->index_path, .map_size = SL_GIB, .readers = 4, .batch_max = 16};
	assert_int_equal(sl_ops_open(ops, root, &d), SL_OK);
	assert_int_equal(sl_index_lmdb_open(&options, ix, &d), SL_OK);
}

static void close_stopped(
	struct rig *r, struct sl_root *root, struct sl_ops *ops, struct sl_index *ix)
{
	char command[128];
	sl_index_close(ix);
	sl_ops_close(ops);
	sl_root_close(root);
	snprintf(command, sizeof(command), "rm -rf %s/index", r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
}

/* The rows are out, the files have not left, and the index with its tombstone is lost: what is rebuilt
 * from the files does not have the study back. */
static void an_evicted_study_is_not_back_when_the_index_is_lost(void **state)
{
	struct rig *r = *state;
	struct sl_root root;
	struct sl_ops *ops;
	struct sl_index *ix;
	struct sl_index_removed removed;
	struct sl_diag d = {0};
	struct sl_uid a = study_uid('A');
	char uid[32];
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	store_well(r, 'B', 0);
	store_well(r, 'B', 1);
	(void)make('B', 1, uid);
	struct sl_uid object = sl_uid_of(uid);
	struct sl_index_instance row;
	struct sl_index_reader *rd;
	assert_int_equal(sl_index_open_reader(r->storage.index, &rd, &d), SL_OK);
	assert_int_equal(sl_index_locate_instance(rd, &object, &row, &d), SL_OK);
	sl_index_close_reader(rd);
	open_stopped(r, &root, &ops, &ix);
	const struct sl_index_tombstone study = {
		.seq = 1000, .kind = SL_INDEX_TOMB_STUDY, .study_instance_uid = a};
	const struct sl_index_tombstone one = {.seq = 1001,
		.kind = SL_INDEX_TOMB_INSTANCE,
		.sop_instance_uid = object,
		.object_seq = row.seq};
	assert_int_equal(sl_index_remove_study(ix, &a, 1000, &removed, &d), SL_OK);
	assert_int_equal(sl_ops_gone(ops, &study, 1, &d), SL_OK);
	assert_int_equal(sl_index_remove_instance(ix, &object, 1001, &removed, &d), SL_OK);
	assert_int_equal(sl_ops_gone(ops, &one, 1, &d), SL_OK);
	close_stopped(r, &root, ops, ix);
	assert_int_equal(r->storage.rebuilt.gone, 3);
	assert_false(has_study(r, 'A'));
	assert_true(has_study(r, 'B'));
	struct sl_index_snapshot snap;
	sl_index_snapshot(r->storage.index, &snap);
	assert_int_equal(snap.usage.instances, 1);
	wait_for_empty_trash(r);
	check_sound(r);
	/* It may come again, and stay. */
	store_well(r, 'A', 0);
	lose_the_index(r);
	assert_int_equal(r->storage.rebuilt.gone, 0);
	assert_true(has_study(r, 'A'));
}

/* The journal still names a removal that is through; what came after it is not taken for a leftover. */
static void what_came_after_a_removal_survives_a_rebuild(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A');
	store_well(r, 'A', 0);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_OK);
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	lose_the_index(r);
	assert_int_equal(r->storage.rebuilt.gone, 0);
	assert_int_equal(r->storage.rebuilt.indexed, 2);
	assert_true(has_study(r, 'A'));
	check_sound(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(studies_that_go_together_wait_for_the_disk_once),
		TEST(a_pinned_study_never_goes),
		TEST(only_pinned_studies_left_is_said),
		TEST(what_waits_for_its_rows_goes_behind_a_pinned_study),
		TEST(no_more_goes_where_others_take_what_is_freed),
		TEST(where_the_trash_has_no_room_files_are_unlinked_on_the_spot),
		TEST(an_evicted_study_is_not_back_when_the_index_is_lost),
		TEST(what_came_after_a_removal_survives_a_rebuild),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
