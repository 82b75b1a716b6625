/* The store's files where a call fails or the file system cannot do what others can: what is begun and not
 * sealed leaves nothing, a failure says which, and no descriptor stays open.
 *
 * This program's own fchown() stands before the C library's: it writes down what it was asked for, and
 * fails when told to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>

#include "storage/path.h"
#include "storage/store_fs.h"

enum { HEADER = 512, SEQ = 77 };

static struct {
	unsigned calls;
	int fail; /* errno of the next calls; 0: they work */
	uid_t uid;
	gid_t gid;
} chowns;

int fchown(int fd, uid_t uid, gid_t gid)
{
	(void)fd;
	chowns.calls++;
	chowns.uid = uid;
	chowns.gid = gid;
	errno = chowns.fail;
	return chowns.fail == 0 ? 0 : -1;
}

/* ---- a store of one's own ------------------------------------------------------------------------ */

struct fs {
	struct rig rig;
	struct sl_root root;
	struct sl_dirsync *dirsync;
	struct sl_store *store;
	struct sl_store_file file;
	sem_t named;
};

static void on_named(struct sl_store_file *f, enum sl_status st)
{
	assert_int_equal(st, SL_OK);
	sem_post(&sl_container_of(f, struct fs, file)->named);
}

/* On the rig's folder, without the rest of the storage. */
static int setup(void **state)
{
	struct fs *s = calloc(1, sizeof(*s));
	const struct sl_root_opts opts = {.is_durable = true, .env = &rig_env};
	struct sl_diag d = {0};
	assert_non_null(s);
	rig_open(&s->rig);
	sl_storage_close(&s->rig.storage);
	memset(&chowns, 0, sizeof(chowns));
	assert_int_equal(sl_root_open(s->rig.folder, &opts, &s->root, &d), SL_OK);
	chowns.calls = 0;
	s->root.has_tmpfile = false; /* each file has a name of its own from the beginning */
	assert_int_equal(
		sl_dirsync_start(&s->dirsync, s->root.spool_fd, true, NULL, NULL, &d), SL_OK);
	assert_int_equal(sl_store_fs_open(&s->store, &s->root, &d), SL_OK);
	sl_store_fs_set_names(s->store, s->dirsync, NULL);
	sem_init(&s->named, 0, 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct fs *s = *state;
	sl_store_fs_close(s->store);
	sl_dirsync_stop(s->dirsync);
	sl_root_close(&s->root);
	rig_close(&s->rig);
	free(s);
	return 0;
}

static size_t names_in(const char *path)
{
	size_t n = 0;
	struct dirent *e;
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static size_t spooled(const struct fs *s)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/spool", s->rig.folder);
	return names_in(path);
}

static size_t descriptors(void)
{
	return names_in("/proc/self/fd");
}

static void begin(struct fs *s)
{
	struct sl_diag d = {0};
	const struct iovec iov = {"data set", 8};
	assert_int_equal(s->store->ops->begin(s->store, &s->file, HEADER, false, &d), SL_OK);
	assert_int_equal(s->store->ops->append(&s->file, &iov, 1, &d), SL_OK);
	assert_int_equal(s->file.written, 8);
}

/* ---- without O_TMPFILE --------------------------------------------------------------------------- */

static void a_temporary_name_goes_with_its_file(void **state)
{
	struct fs *s = *state;
	size_t before = descriptors();
	begin(s);
	assert_int_equal(spooled(s), 1);
	s->store->ops->abort(&s->file);
	assert_int_equal(s->file.fd, -1);
	assert_int_equal(spooled(s), 0);
	assert_int_equal(descriptors(), before);
	s->store->ops->abort(&s->file); /* twice is once */
}

static void a_temporary_name_becomes_the_objects(void **state)
{
	struct fs *s = *state;
	struct sl_diag d = {0};
	struct sl_path name;
	struct stat sb;
	static const uint8_t header[HEADER];
	begin(s);
	s->file.on_named = on_named;
	assert_int_equal(
		s->store->ops->seal(&s->file, header, NULL, 0, SEQ, SL_STORE_SPOOL, &d), SL_OK);
	s->store->ops->name_durably(&s->file);
	sem_wait(&s->named);
	assert_int_equal(spooled(s), 1); /* the temporary one is gone */
	sl_path_spool(&name, SEQ);
	assert_int_equal(fstatat(s->root.spool_fd, name.s, &sb, 0), 0);
	assert_int_equal(sb.st_nlink, 1);
	assert_int_equal(sb.st_size, HEADER + 8);
	assert_int_equal(s->file.fd, -1);
}

/* ---- the group ----------------------------------------------------------------------------------- */

static void a_file_gets_the_group_and_keeps_its_owner(void **state)
{
	struct fs *s = *state;
	begin(s);
	assert_int_equal(chowns.calls, 0); /* no group is configured */
	s->store->ops->abort(&s->file);
	s->root.gid = 4242;
	begin(s);
	assert_int_equal(chowns.calls, 1);
	assert_true(chowns.uid == (uid_t)-1);
	assert_int_equal(chowns.gid, 4242);
	s->store->ops->abort(&s->file);
}

static void a_group_that_cannot_be_given_is_a_failure_that_leaves_nothing(void **state)
{
	struct fs *s = *state;
	struct sl_diag d = {0};
	size_t before = descriptors();
	s->root.gid = 4242;
	chowns.fail = EPERM;
	for (int has_tmpfile = 0; has_tmpfile < 2; has_tmpfile++) {
		s->root.has_tmpfile = has_tmpfile != 0;
		assert_int_equal(
			s->store->ops->begin(s->store, &s->file, HEADER, false, &d), SL_E_IO);
		assert_string_equal(d.where, "spool/chown");
		assert_int_equal(d.errnum, EPERM);
		assert_int_equal(s->file.fd, -1);
		assert_int_equal(descriptors(), before);
		assert_int_equal(spooled(s), 0);
	}
}

/* ---- reading ------------------------------------------------------------------------------------- */

static enum sl_status open_again(struct fs *s, struct sl_diag *d)
{
	struct sl_store_reader reader;
	const struct sl_locator at = {.study_instance_uid = sl_uid_of("1.1"),
		.series_instance_uid = sl_uid_of("1.1.1"),
		.sop_instance_uid = sl_uid_of("1.1.1.1"),
		.seq = SEQ,
		.has_plain_name = true};
	enum sl_status st = s->store->ops->open(s->store, &reader, &at, d);
	assert_int_equal(reader.fd, -1);
	return st;
}

/* An end where a header must be is damage, and no failure of the disk. */
static void a_file_that_ends_in_its_header_is_damaged(void **state)
{
	struct fs *s = *state;
	struct sl_path name;
	size_t before = descriptors();
	struct sl_diag d = {0};
	assert_int_equal(open_again(s, &d), SL_E_NOTFOUND);
	sl_path_spool(&name, SEQ);
	for (off_t len = 0; len <= 400; len += 100) {
		int fd = openat(s->root.spool_fd, name.s, O_CREAT | O_RDWR, 0600);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, len), 0);
		close(fd);
		d = (struct sl_diag){0};
		assert_int_equal(open_again(s, &d), SL_E_CORRUPT);
		assert_string_equal(d.where, "store/open");
	}
	assert_int_equal(descriptors(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_temporary_name_goes_with_its_file),
		T(a_temporary_name_becomes_the_objects),
		T(a_file_gets_the_group_and_keeps_its_owner),
		T(a_group_that_cannot_be_given_is_a_failure_that_leaves_nothing),
		T(a_file_that_ends_in_its_header_is_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
