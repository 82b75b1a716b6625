/* Commits are synced before they return, a failing disk is told apart (F3, F5), and the file grows ahead.
 *
 * This program's own fdatasync() and pwrite() stand before libc's, for LMDB too: they count, and fail
 * when told to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/index_fixture.h"

static struct {
	unsigned long syncs;          /* fdatasync calls that reached the disk */
	unsigned long metas;          /* meta pages written: the switch to a new commit */
	unsigned long metas_unsynced; /* of them, those without a sync before or O_DSYNC */
	unsigned long zeros;          /* pages of zeros: the file grows */
	unsigned long zeros_left;     /* of them, how many there is room for */
	int fail_sync, fail_meta;     /* errno of the next calls; 0: they work */
} faults;

int fdatasync(int fd)
{
	if (faults.fail_sync != 0) {
		errno = faults.fail_sync;
		return -1;
	}
	faults.syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

/* No page of LMDB's begins so: it has its number and its flags there. */
static bool is_growth(const void *bytes, size_t n)
{
	static const char zeros[16];
	return n == 4096 && memcmp(bytes, zeros, sizeof(zeros)) == 0;
}

/* LMDB writes whole pages, except of the meta page the fields that changed. */
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	if (n < 512) {
		if (faults.fail_meta != 0) {
			errno = faults.fail_meta;
			return -1;
		}
		faults.metas++;
		faults.metas_unsynced += faults.syncs == 0 || !(fcntl(fd, F_GETFL) & O_DSYNC);
		faults.syncs = 0;
	}
	if (is_growth(bytes, n) && faults.zeros++ >= faults.zeros_left) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, n, at);
}

static enum sl_status try_put(struct sl_index *ix, uint64_t no, struct sl_diag *diag)
{
	struct sl_record r;
	const struct sl_record *pointer = &r;
	struct sl_index_result result;
	rec_make(&r, no, 10);
	return sl_index_put_batch(ix, &pointer, 1, &result, diag);
}

static void data_are_synced_before_the_meta_page_of_each_commit(void **state)
{
	struct fixture *f = *state;
	faults.metas = faults.metas_unsynced = faults.syncs = 0;
	for (uint64_t i = 0; i < 10; i++) {
		unsigned long before = faults.metas;
		assert_int_equal(try_put(f->ix, i, NULL), SL_OK);
		assert_int_equal(faults.metas, before + 1);
	}
	assert_int_equal(faults.metas_unsynced, 0);
}

/* What a failed sync leaves: the index as it was, in memory and on disk, and a status to act on. */
static void check_failed_sync(struct fixture *f, int err, enum sl_status expected)
{
	struct sl_diag diag = {0};
	struct sl_index_snapshot before, after;
	assert_int_equal(try_put(f->ix, 0, NULL), SL_OK);
	sl_index_snapshot(f->ix, &before);
	faults.fail_sync = err;
	assert_int_equal(try_put(f->ix, 1, &diag), expected);
	faults.fail_sync = 0;
	assert_string_equal(diag.where, "lmdb/commit");
	assert_int_equal(diag.errnum, err);
	sl_index_snapshot(f->ix, &after);
	assert_memory_equal(&before, &after, sizeof(after));
	check_sound(f->ix);
}

static void F5_a_failed_sync_is_an_error_and_no_commit(void **state)
{
	check_failed_sync(*state, EIO, SL_E_IO);
}

static void F3_no_space_is_full_and_works_again(void **state)
{
	struct fixture *f = *state;
	check_failed_sync(f, ENOSPC, SL_E_FULL);
	check_failed_sync(f, EDQUOT, SL_E_FULL);
	assert_int_equal(try_put(f->ix, 1, NULL), SL_OK);
	assert_true(usage_of(f).instances == 2);
	check_sound(f->ix);
}

/* After a failed meta page nobody knows which commit the disk has: LMDB refuses from then on. */
static void check_failed_meta(struct fixture *f, int err)
{
	struct sl_diag diag = {0};
	assert_int_equal(try_put(f->ix, 0, NULL), SL_OK);
	faults.fail_meta = err;
	assert_int_equal(try_put(f->ix, 1, &diag), SL_E_IO);
	faults.fail_meta = 0;
	assert_int_equal(diag.status, SL_E_IO);
	assert_int_equal(diag.errnum, err);
	assert_int_equal(try_put(f->ix, 1, NULL), SL_E_IO);
	assert_true(usage_of(f).instances == 1);
}

static void F5_a_failed_meta_page_ends_all_writing(void **state)
{
	check_failed_meta(*state, EIO);
}

static void F5_so_does_one_for_which_there_was_no_space(void **state)
{
	check_failed_meta(*state, ENOSPC);
}

static uint64_t file_len(const struct fixture *f)
{
	char path[300];
	struct stat file;
	snprintf(path, sizeof(path), "%s/data.mdb", f->dir.path);
	assert_int_equal(stat(path, &file), 0);
	return (uint64_t)file.st_size;
}

static void reopen(struct fixture *f)
{
	sl_index_close_reader(f->rd);
	sl_index_close(f->ix);
	open_lmdb_in(f);
}

/* The file is longer than its pages reach, by a sixteenth at the most, and holds the same as ever. */
static void a_file_of_some_size_grows_ahead(void **state)
{
	struct fixture *f = *state;
	struct sl_index_snapshot snap;
	faults.zeros = 0;
	faults.zeros_left = ULONG_MAX;
	put_range(f->ix, 0, 1280, BATCH_MAX, 10);
	assert_true(faults.zeros == 0);
	for (uint64_t i = 1280; i < 25600; i += 1280) {
		put_range(f->ix, i, i + 1280, BATCH_MAX, 10);
		sl_index_snapshot(f->ix, &snap);
		assert_true(file_len(f) >= snap.map_used);
		assert_true(file_len(f) <= snap.map_used + snap.map_used / 16);
	}
	assert_true(faults.zeros > 0);
	check_sound(f->ix);
	reopen(f);
	assert_true(usage_of(f).instances == 25600);
	check_sound(f->ix);
}

/* Without room for it, or with room for some of it, everything goes on without. */
static void a_file_that_cannot_grow_ahead_does_without(void **state)
{
	struct fixture *f = *state;
	struct sl_index_snapshot snap;
	faults.zeros = 0;
	faults.zeros_left = 40;
	put_range(f->ix, 0, 25600, BATCH_MAX, 10);
	assert_true(faults.zeros > faults.zeros_left);
	sl_index_snapshot(f->ix, &snap);
	assert_true(file_len(f) == snap.map_used);
	check_sound(f->ix);
	reopen(f);
	assert_true(usage_of(f).instances == 25600);
	faults.zeros_left = ULONG_MAX;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lmdb, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_are_synced_before_the_meta_page_of_each_commit),
		TEST(F5_a_failed_sync_is_an_error_and_no_commit),
		TEST(F3_no_space_is_full_and_works_again),
		TEST(F5_a_failed_meta_page_ends_all_writing),
		TEST(F5_so_does_one_for_which_there_was_no_space),
		TEST(a_file_of_some_size_grows_ahead),
		TEST(a_file_that_cannot_grow_ahead_does_without),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
