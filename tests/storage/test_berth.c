/* Names made ahead: none is in stock before the fsync that covers it has returned; a failed one latches;
 * what a crash leaves of one is told apart.
 *
 * This program's own fsync() stands before the C library's and can be held open or made to fail, and so
 * does its fstatvfs(), which may find few inodes: nothing here depends on time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "core/p10.h"
#include "storage/berth.h"
#include "storage/path.h"
#include "support/tmpdir.h"

static struct {
	atomic_ulong ended;
	atomic_int fail_errno;
	atomic_bool is_held; /* each call posts entered and waits for go */
	sem_t entered, go;
	atomic_ulong inodes; /* free, as fstatvfs() says */
} script;

int fsync(int fd)
{
	if (atomic_load(&script.is_held)) {
		sem_post(&script.entered);
		sem_wait(&script.go);
	}
	int errnum = atomic_load(&script.fail_errno);
	long rc = errnum == 0 ? syscall(SYS_fsync, fd) : -1;
	atomic_fetch_add(&script.ended, 1);
	if (errnum != 0)
		errno = errnum;
	return (int)rc;
}

int fstatvfs(int fd, struct statvfs *out)
{
	(void)fd;
	unsigned long free_ones = atomic_load(&script.inodes);
	*out = (struct statvfs){.f_frsize = 4096,
		.f_blocks = 1000000,
		.f_bfree = 900000,
		.f_bavail = 900000,
		.f_files = 2 * free_ones,
		.f_ffree = free_ones,
		.f_favail = free_ones};
	return 0;
}

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 0;
}

static int64_t no_wall(void *arg)
{
	(void)arg;
	return 0;
}

static void no_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 0, n);
}

static const struct sl_env env = {no_time, no_wall, no_random, NULL};

struct rig {
	struct tmpdir dir;
	struct sl_root root;
	struct sl_latch latch;
	struct sl_dirsync *dirsync;
	struct sl_berths *berths;
};

static void open_root(struct rig *r, bool is_durable)
{
	const struct sl_root_opts opts = {.is_durable = is_durable, .env = &env};
	struct sl_diag d = {0};
	memset(r, 0, sizeof(*r));
	memset(&script, 0, sizeof(script));
	sem_init(&script.entered, 0, 0);
	sem_init(&script.go, 0, 0);
	script.inodes = 1000000;
	if (!tmpdir_make(&r->dir))
		skip();
	assert_int_equal(sl_root_open(r->dir.path, &opts, &r->root, &d), SL_OK);
	sl_latch_init(&r->latch, NULL, NULL);
	script.ended = 0; /* those of the root */
	assert_int_equal(
		sl_dirsync_start(&r->dirsync, r->root.spool_fd, is_durable, NULL, NULL, &d), SL_OK);
}

static void start(struct rig *r, unsigned n, uint64_t first)
{
	struct sl_diag d = {0};
	const struct sl_berths_deps deps = {
		.root = &r->root, .spool_sync = r->dirsync, .latch = &r->latch, .first = first};
	assert_int_equal(sl_berths_start(&r->berths, n, &deps, &d), SL_OK);
}

static void stop(struct rig *r)
{
	if (r->berths != NULL)
		sl_berths_stop(r->berths);
	r->berths = NULL;
}

static void close_root(struct rig *r)
{
	stop(r);
	sl_dirsync_stop(r->dirsync);
	sl_root_close(&r->root);
	tmpdir_remove(&r->dir);
}

static unsigned count_names(const struct rig *r)
{
	unsigned n = 0;
	uint64_t number;
	struct dirent *e;
	DIR *dir = fdopendir(openat(r->root.spool_fd, ".", O_RDONLY | O_DIRECTORY));
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		n += sl_path_berth_number(e->d_name, &number);
	closedir(dir);
	return n;
}

/* Waits until there is one. */
static struct sl_berth take(struct rig *r)
{
	struct sl_berth berth;
	while (!sl_berths_take(r->berths, &berth))
		sched_yield();
	return berth;
}

static void leave(struct rig *r, const struct sl_berth *berth)
{
	struct sl_path name;
	sl_path_berth(&name, berth->number);
	assert_int_equal(unlinkat(r->root.spool_fd, name.s, 0), 0);
	close(berth->fd);
}

/* ---- the stock ---------------------------------------------------------------------------------- */

static void none_is_in_stock_before_its_name_is_durable(void **state)
{
	struct rig r;
	struct sl_berth berth;
	(void)state;
	open_root(&r, true);
	script.is_held = true;
	start(&r, 4, 0);
	sem_wait(&script.entered); /* the names are made, their fsync is under way */
	assert_int_equal(count_names(&r), 4);
	assert_false(sl_berths_take(r.berths, &berth));
	script.is_held = false;
	sem_post(&script.go);
	berth = take(&r);
	assert_int_equal(atomic_load(&script.ended), 1);
	assert_true(berth.covered_by > berth.named_after);
	leave(&r, &berth);
	close_root(&r);
}

static void a_berth_is_an_empty_file_of_its_own(void **state)
{
	struct rig r;
	struct stat sb, named;
	struct sl_path name;
	(void)state;
	open_root(&r, true);
	start(&r, 4, 7);
	for (uint64_t i = 0; i < 20; i++) { /* five times the stock: it is filled again */
		struct sl_berth berth = take(&r);
		assert_int_equal(berth.number, 7 + i);
		sl_path_berth(&name, berth.number);
		assert_int_equal(fstat(berth.fd, &sb), 0);
		assert_int_equal(fstatat(r.root.spool_fd, name.s, &named, 0), 0);
		assert_int_equal(sb.st_ino, named.st_ino);
		assert_int_equal(sb.st_size, 0);
		assert_int_equal(sb.st_mode & 07777, 0440);
		assert_int_equal(pwrite(berth.fd, "x", 1, 0), 1);
		assert_int_equal(pread(berth.fd, &sb, 1, 0), 1);
		leave(&r, &berth);
	}
	uint64_t taken, missed;
	sl_berths_stats(r.berths, &taken, &missed);
	assert_int_equal(taken, 20);
	stop(&r);
	assert_int_equal(count_names(&r), 0);
	close_root(&r);
}

static void half_of_the_stock_is_filled_by_one_fsync(void **state)
{
	struct rig r;
	(void)state;
	open_root(&r, true);
	start(&r, 8, 0);
	struct sl_berth first = take(&r);
	unsigned long syncs = atomic_load(&script.ended);
	assert_int_equal(syncs, 1);
	for (int i = 0; i < 2; i++) { /* six are left, then five: enough */
		struct sl_berth berth = take(&r);
		leave(&r, &berth);
	}
	assert_int_equal(count_names(&r), 6);
	struct sl_berth berth = take(&r); /* half: now it is asked */
	leave(&r, &berth);
	for (int i = 0; i < 8; i++) { /* the four that were left, and four that came */
		berth = take(&r);
		leave(&r, &berth);
	}
	leave(&r, &first);
	stop(&r);
	assert_true(atomic_load(&script.ended) >= syncs + 1);
	close_root(&r);
}

static void a_failed_fsync_latches_and_nothing_is_handed_out(void **state)
{
	struct rig r;
	struct sl_berth berth;
	(void)state;
	open_root(&r, true);
	script.fail_errno = EIO;
	start(&r, 4, 0);
	while (!sl_latch_is_failed(&r.latch))
		sched_yield();
	stop(&r); /* the thread has seen it */
	assert_int_equal(count_names(&r), 0);
	while (sl_latch_cause(&r.latch) == NULL)
		sched_yield();
	assert_string_equal(sl_latch_cause(&r.latch)->where, "spool/fsync");
	assert_int_equal(sl_latch_cause(&r.latch)->errnum, EIO);
	/* A store that has failed makes no more names. */
	script.fail_errno = 0;
	start(&r, 4, 0);
	for (int i = 0; i < 100; i++)
		assert_false(sl_berths_take(r.berths, &berth));
	stop(&r);
	assert_int_equal(count_names(&r), 0);
	close_root(&r);
}

static void few_inodes_are_left_to_objects(void **state)
{
	struct rig r;
	struct sl_berth berth;
	(void)state;
	open_root(&r, true);
	script.inodes = 4 * 100 - 1;
	start(&r, 4, 0);
	for (int i = 0; i < 100; i++)
		assert_false(sl_berths_take(r.berths, &berth));
	assert_int_equal(count_names(&r), 0);
	script.inodes = 4 * 100; /* whoever asks again */
	berth = take(&r);
	leave(&r, &berth);
	stop(&r);
	uint64_t taken, missed;
	start(&r, 4, 0);
	sl_berths_stats(r.berths, &taken, &missed);
	assert_int_equal(taken + missed, 0);
	script.inodes = 0; /* a file system that does not count them */
	berth = take(&r);
	leave(&r, &berth);
	close_root(&r);
}

static void what_there_is_no_descriptor_for_is_made_later(void **state)
{
	struct rig r;
	struct rlimit before, few;
	(void)state;
	open_root(&r, true);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	int next = dup(0);
	assert_true(next > 0);
	close(next);
	few = before;
	few.rlim_cur = (rlim_t)next + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	start(&r, 8, 0);
	struct sl_berth berth = take(&r);
	assert_true(berth.covered_by > berth.named_after);
	leave(&r, &berth);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 16; i++) {
		berth = take(&r);
		leave(&r, &berth);
	}
	close_root(&r);
}

static void without_durability_nothing_is_synced(void **state)
{
	struct rig r;
	(void)state;
	open_root(&r, false);
	start(&r, 4, 0);
	for (int i = 0; i < 12; i++) {
		struct sl_berth berth = take(&r);
		leave(&r, &berth);
	}
	assert_int_equal(atomic_load(&script.ended), 0);
	close_root(&r);
}

/* ---- after a crash ------------------------------------------------------------------------------ */

static const char *const BERTH = "00000000000000aa.berth";

/* A file of `n` bytes of data set, whose header says `said` of them. */
static void put(struct rig *r, uint64_t said, size_t n, uint32_t flags)
{
	uint8_t bytes[SL_P10_HEADER_MAX + 64] = {0};
	struct sl_p10 p10 = {0};
	p10.sop_class_uid = sl_uid_of("1.2.840.10008.5.1.4.1.1.2");
	p10.sop_instance_uid = sl_uid_of("1.2.3");
	p10.transfer_syntax_uid = sl_uid_of("1.2.840.10008.1.2.1");
	p10.proof = (struct sl_proof){
		.layout = SL_PROOF_LAYOUT, .flags = flags, .seq = 77, .dataset_len = said};
	struct sl_wbuf w = sl_wbuf_of(bytes, SL_P10_HEADER_MAX);
	sl_p10_encode(&w, &p10);
	assert_false(w.bad);
	int fd = openat(r->root.spool_fd, BERTH, O_CREAT | O_TRUNC | O_WRONLY, 0640);
	assert_int_equal(write(fd, bytes, w.len + n), (ssize_t)(w.len + n));
	close(fd);
}

static enum sl_berth_what look(struct rig *r, uint64_t *seq)
{
	enum sl_berth_what what;
	struct sl_diag d = {0};
	*seq = 0;
	assert_int_equal(sl_berth_look(&r->root, BERTH, &what, seq, &d), SL_OK);
	return what;
}

static void what_a_crash_left_is_told_apart(void **state)
{
	struct rig r;
	uint64_t seq;
	(void)state;
	open_root(&r, true);
	close(openat(r.root.spool_fd, BERTH, O_CREAT | O_WRONLY, 0640));
	assert_int_equal(look(&r, &seq), SL_BERTH_EMPTY);
	put(&r, 10, 10, 0);
	assert_int_equal(look(&r, &seq), SL_BERTH_OBJECT);
	assert_int_equal(seq, 77);
	put(&r, 0, 0, 0);
	assert_int_equal(look(&r, &seq), SL_BERTH_OBJECT);
	put(&r, 10, 9, 0);
	assert_int_equal(look(&r, &seq), SL_BERTH_UNFINISHED);
	put(&r, UINT64_MAX, 9, 0); /* a header that lies cannot make the sum small */
	assert_int_not_equal(look(&r, &seq), SL_BERTH_OBJECT);
	put(&r, 10, 9, SL_PROOF_UNSYNCED); /* it may have been told of */
	assert_int_equal(look(&r, &seq), SL_BERTH_OBJECT);
	put(&r, 10, 11, 0);
	assert_int_equal(
		look(&r, &seq), SL_BERTH_OBJECT); /* its length is judged with its digest */
	int fd = openat(r.root.spool_fd, BERTH, O_WRONLY);
	assert_int_equal(pwrite(fd, "no header", 9, 128), 9);
	close(fd);
	assert_int_equal(look(&r, &seq), SL_BERTH_UNKNOWN);
	assert_int_equal(unlinkat(r.root.spool_fd, BERTH, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", r.root.spool_fd, BERTH), 0);
	assert_int_equal(look(&r, &seq), SL_BERTH_UNKNOWN);
	assert_int_equal(unlinkat(r.root.spool_fd, BERTH, 0), 0);
	assert_int_equal(mkdirat(r.root.spool_fd, BERTH, 0750), 0);
	assert_int_equal(look(&r, &seq), SL_BERTH_UNKNOWN);
	close_root(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_in_stock_before_its_name_is_durable),
		cmocka_unit_test(a_berth_is_an_empty_file_of_its_own),
		cmocka_unit_test(half_of_the_stock_is_filled_by_one_fsync),
		cmocka_unit_test(a_failed_fsync_latches_and_nothing_is_handed_out),
		cmocka_unit_test(few_inodes_are_left_to_objects),
		cmocka_unit_test(what_there_is_no_descriptor_for_is_made_later),
		cmocka_unit_test(without_durability_nothing_is_synced),
		cmocka_unit_test(what_a_crash_left_is_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
