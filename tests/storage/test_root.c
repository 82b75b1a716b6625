/* The root: made, locked, proven, and left only by its own names.
 *
 * Runs in a folder of its own under $TMPDIR; what needs another user or another kernel (dropped
 * privileges, a seccomp filter without openat2) happens in a child process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/path.h"
#include "storage/root.h"

static int64_t fixed_wall_ms(void *arg)
{
	(void)arg;
	return 1700000000000; /* 2023-11-14T22:13:20Z */
}

static const struct sl_env env = {.wall_ms = fixed_wall_ms};
static const struct sl_root_opts opts = {.is_durable = true, .env = &env};

struct place {
	char dir[64];   /* a fresh folder */
	char root[128]; /* dir/root, not made yet */
};

static int setup(void **state)
{
	static struct place p;
	snprintf(p.dir, sizeof(p.dir), "/tmp/sluice-root-XXXXXX");
	if (mkdtemp(p.dir) == NULL)
		return -1;
	snprintf(p.root, sizeof(p.root), "%s/root", p.dir);
	*state = &p;
	return 0;
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
	(void)sb;
	(void)type;
	(void)at;
	return remove(path);
}

static int teardown(void **state)
{
	struct place *p = *state;
	return nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void path_of(char *out, size_t cap, const struct place *p, const char *rest)
{
	assert_true((size_t)snprintf(out, cap, "%s/%s", p->root, rest) < cap);
}

static unsigned mode_of(const char *path)
{
	struct stat sb;
	assert_int_equal(lstat(path, &sb), 0);
	return sb.st_mode & 07777;
}

static void an_empty_place_becomes_a_root(void **state)
{
	struct place *p = *state;
	char deep[200], path[400];
	struct sl_root r;
	struct sl_diag d = {0};
	snprintf(deep, sizeof(deep), "%s/a/b/root", p->dir);
	assert_int_equal(sl_root_open(deep, &opts, &r, &d), SL_OK);
	assert_true(r.has_tmpfile);
	static const char *const folders[] = {"", "spool", "archive", "trash", "index"};
	for (size_t i = 0; i < SL_ARRAY_N(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", deep, folders[i]);
		assert_int_equal(mode_of(path), 0750);
	}
	assert_string_equal(r.index_path, path);
	snprintf(path, sizeof(path), "%s/spool/.probe", deep);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/archive/.probe", deep);
	assert_int_equal(access(path, F_OK), -1);
	const int fds[] = {r.root_fd, r.spool_fd, r.archive_fd, r.trash_fd, r.index_fd, r.lock_fd};
	for (size_t i = 0; i < SL_ARRAY_N(fds); i++)
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC); /* HOSTILE 18 */
	sl_root_close(&r);
	assert_int_equal(sl_root_open(deep, &opts, &r, &d), SL_OK); /* and again, as it is now */
	sl_root_close(&r);
}

static void the_index_may_lie_elsewhere(void **state)
{
	struct place *p = *state;
	char elsewhere[200], path[400];
	struct sl_root r;
	struct sl_diag d = {0};
	snprintf(elsewhere, sizeof(elsewhere), "%s/ssd/index", p->dir);
	struct sl_root_opts o = opts;
	o.index_path = elsewhere;
	assert_int_equal(sl_root_open(p->root, &o, &r, &d), SL_OK);
	assert_string_equal(r.index_path, elsewhere);
	assert_int_equal(mode_of(elsewhere), 0750);
	path_of(path, sizeof(path), p, "index");
	assert_int_equal(access(path, F_OK), -1);
	sl_root_close(&r);
}

static void a_second_daemon_is_told_who_holds_it(void **state)
{
	struct place *p = *state;
	struct sl_root r, second;
	struct sl_diag d = {0};
	char pid[32];
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_OK);
	assert_int_equal(sl_root_open(p->root, &opts, &second, &d), SL_E_BUSY);
	snprintf(pid, sizeof(pid), "pid %ld ", (long)getpid());
	assert_non_null(strstr(d.text, pid));
	assert_non_null(strstr(d.text, "2023-11-14T22:13:20Z"));
	sl_root_close(&r);
	d = (struct sl_diag){0};
	assert_int_equal(sl_root_open(p->root, &opts, &second, &d), SL_OK);
	sl_root_close(&second);
}

/* What stands in a lock file that nobody holds is a dead process' word; what it says is not trusted. */
static void a_lock_file_left_behind_is_no_lock(void **state)
{
	struct place *p = *state;
	struct sl_root r, second;
	struct sl_diag d = {0};
	char path[200];
	assert_int_equal(mkdir(p->root, 0750), 0);
	path_of(path, sizeof(path), p, "lock");
	FILE *f = fopen(path, "w");
	for (int i = 0; i < 5000; i++)
		fputs("\x1b[2J", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_OK);
	assert_int_equal(truncate(path, 0), 0);
	f = fopen(path, "w");
	fputs("\x1b[2J\x1b[2J 1", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &second, &d), SL_E_BUSY);
	assert_ptr_equal(strchr(d.text, '\x1b'), NULL);
	sl_root_close(&r);
}

static void what_is_in_the_way_is_named(void **state)
{
	struct place *p = *state;
	struct sl_root r;
	struct sl_diag d = {0};
	char path[200], longest[SL_ROOT_PATH_MAX + 8];
	assert_int_equal(symlink(p->root, p->root), 0); /* a loop */
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_E_CONFIG);
	assert_non_null(strstr(d.text, "loop"));
	assert_int_equal(unlink(p->root), 0);

	d = (struct sl_diag){0}; /* a file */
	assert_int_equal(close(open(p->root, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_E_CONFIG);
	assert_int_equal(unlink(p->root), 0);

	d = (struct sl_diag){0}; /* archive/ as a link to somewhere else */
	assert_int_equal(mkdir(p->root, 0750), 0);
	path_of(path, sizeof(path), p, "archive");
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_E_CONFIG);
	assert_non_null(strstr(d.text, "/archive"));
	assert_int_equal(r.lock_fd, -1); /* given back */
	assert_int_equal(unlink(path), 0);

	d = (struct sl_diag){0}; /* the lock as a link */
	path_of(path, sizeof(path), p, "lock");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/tmp/sluice-nowhere", path), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_E_CONFIG);
	assert_int_equal(access("/tmp/sluice-nowhere", F_OK), -1);

	d = (struct sl_diag){0};
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(sl_root_open(longest, &opts, &r, &d), SL_E_CONFIG);

	d = (struct sl_diag){0};
	struct sl_root_opts o = opts;
	o.group = "no-such-group";
	path_of(path, sizeof(path), p, "lock");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sl_root_open(p->root, &o, &r, &d), SL_E_CONFIG);
	assert_non_null(strstr(d.text, "no-such-group"));
}

static void the_group_is_inherited_by_what_is_made(void **state)
{
	struct place *p = *state;
	struct sl_root r;
	struct sl_diag d = {0};
	struct stat sb;
	int fd;
	if (geteuid() != 0)
		skip();
	struct sl_root_opts o = opts;
	o.group = "daemon";
	assert_int_equal(sl_root_open(p->root, &o, &r, &d), SL_OK);
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/1.2/1.3", SL_ROOT_SYNC_NEW, &fd, &d), SL_OK);
	assert_int_equal(fstat(fd, &sb), 0);
	assert_int_equal(sb.st_gid, r.gid);
	assert_int_equal(sb.st_mode & 07777, 02750);
	assert_int_equal(close(fd), 0);
	fd = sl_root_openat(r.spool_fd, ".", O_TMPFILE | O_WRONLY, 0440);
	assert_int_equal(fstat(fd, &sb), 0);
	assert_int_equal(sb.st_gid, r.gid);
	assert_int_equal(close(fd), 0);
	sl_root_close(&r);
}

/* Runs `body` in a child that may then do less than we; its exit status must be 0. */
static void in_a_child(void (*body)(const struct place *p), const struct place *p)
{
	int wstatus = 0;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		body(p);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &wstatus, 0), child);
	assert_int_equal(wstatus, 0);
}

#define CHILD_CHECK(e)                                                  \
	do {                                                            \
		if (!(e)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #e); \
			_exit(1);                                       \
		}                                                       \
	} while (0)

static void open_as_nobody(const struct place *p)
{
	struct sl_root r;
	struct sl_diag d = {0};
	CHILD_CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHILD_CHECK(sl_root_open(p->root, &opts, &r, &d) == SL_E_CONFIG);
	CHILD_CHECK(strstr(d.text, "chown -R nobody /tmp/") != NULL);
	CHILD_CHECK(strstr(d.text, "/root") != NULL);
}

static void a_root_we_may_not_write_says_the_command(void **state)
{
	struct place *p = *state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(p->dir, 0755), 0);
	in_a_child(open_as_nobody, p); /* cannot make it */
	assert_int_equal(mkdir(p->root, 0755), 0);
	in_a_child(open_as_nobody, p); /* it is there, and is another's */
}

/* The escapes of HOSTILE 1-4 against an opened root. */
static void nothing_leads_out_of(int root_fd)
{
	static const struct {
		const char *path;
		int errnum;
	} escapes[] = {{"../victim", EXDEV}, {"archive/../../victim", EXDEV},
		{"/etc/passwd", EXDEV}, {"archive/out/victim", 0}, {"archive/link", 0},
		{"/", EXDEV}, {"..", EXDEV}, {"", ENOENT}};
	for (size_t i = 0; i < SL_ARRAY_N(escapes); i++) {
		errno = 0;
		CHILD_CHECK(sl_root_openat(root_fd, escapes[i].path, O_RDONLY, 0) == -1);
		if (escapes[i].errnum != 0)
			CHILD_CHECK(errno == escapes[i].errnum);
		else
			CHILD_CHECK(errno == ELOOP || errno == ENOTDIR);
		CHILD_CHECK(
			sl_root_openat(root_fd, escapes[i].path, O_WRONLY | O_CREAT, 0600) == -1);
	}
	int fd = sl_root_openat(root_fd, "archive/ab/file", O_RDONLY, 0);
	CHILD_CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	close(fd);
	fd = sl_root_openat(root_fd, "archive/ab//new", O_WRONLY | O_CREAT | O_EXCL, 0440);
	CHILD_CHECK(fd >= 0);
	close(fd);
	CHILD_CHECK(unlinkat(root_fd, "archive/ab/new", 0) == 0);
	CHILD_CHECK(sl_root_openat(root_fd, "archive/no/file", O_RDONLY, 0) == -1);
	CHILD_CHECK(errno == ENOENT);
}

static void without_openat2(const struct place *p)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = SL_ARRAY_N(code), .filter = code};
	struct sl_root r;
	struct sl_diag d = {0};
	int fd;
	CHILD_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHILD_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	CHILD_CHECK(syscall(SYS_openat2, -1, "", NULL, 0) == -1 && errno == ENOSYS);
	CHILD_CHECK(sl_root_open(p->root, &opts, &r, &d) == SL_OK);
	nothing_leads_out_of(r.root_fd);
	CHILD_CHECK(sl_root_folder(&r, r.root_fd, "archive/cd/1/2", SL_ROOT_SYNC_NEW, &fd, &d) ==
		    SL_OK);
	CHILD_CHECK(r.has_tmpfile);
	sl_root_close(&r);
}

static void no_name_leads_out_of_the_root(void **state)
{
	struct place *p = *state;
	struct sl_root r;
	struct sl_diag d = {0};
	char path[200];
	int fd;
	snprintf(path, sizeof(path), "%s/victim", p->dir);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_OK);
	assert_int_equal(sl_root_folder(&r, r.archive_fd, "ab", SL_ROOT_SYNC_NEW, &fd, &d), SL_OK);
	assert_int_equal(close(openat(fd, "file", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(symlinkat(p->dir, r.archive_fd, "out"), 0);
	assert_int_equal(symlinkat(path, r.archive_fd, "link"), 0);
	close(fd);
	nothing_leads_out_of(r.root_fd);
	sl_root_close(&r);
	in_a_child(without_openat2, p);
}

/* fsync() of the whole program, counted; the folder that was synced last. */
static int syncs, sync_errno;
static ino_t synced[16];

int fsync(int fd)
{
	struct stat sb;
	if (sync_errno != 0) {
		errno = sync_errno;
		return -1;
	}
	if (fstat(fd, &sb) == 0 && syncs < (int)SL_ARRAY_N(synced))
		synced[syncs] = sb.st_ino;
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static ino_t inode_of(const struct sl_root *r, const char *path)
{
	struct stat sb;
	assert_int_equal(fstatat(r->archive_fd, path, &sb, AT_SYMLINK_NOFOLLOW), 0);
	return sb.st_ino;
}

static void the_parent_of_each_new_folder_is_synced(void **state)
{
	struct place *p = *state;
	struct sl_root r;
	struct sl_diag d = {0};
	int fd;
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_OK);
	syncs = 0;
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/1.2/1.3", SL_ROOT_SYNC_NEW, &fd, &d), SL_OK);
	close(fd);
	assert_int_equal(syncs, 3);
	assert_int_equal(synced[0], inode_of(&r, "."));
	assert_int_equal(synced[1], inode_of(&r, "ab"));
	assert_int_equal(synced[2], inode_of(&r, "ab/1.2"));
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/1.2/1.3", SL_ROOT_SYNC_NEW, &fd, &d), SL_OK);
	close(fd);
	assert_int_equal(syncs, 3); /* nothing was made */
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/1.2/1.4", SL_ROOT_SYNC_NEW, &fd, &d), SL_OK);
	close(fd);
	assert_int_equal(syncs, 4);
	assert_int_equal(synced[3], inode_of(&r, "ab/1.2"));
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/1.2/1.4", SL_ROOT_SYNC_ALL, &fd, &d), SL_OK);
	close(fd);
	assert_int_equal(syncs, 7); /* recovery: each on the way */
	sync_errno = EIO;
	assert_int_equal(sl_root_folder(&r, r.archive_fd, "ab/1.2/1.5", SL_ROOT_SYNC_NEW, &fd, &d),
		SL_E_SYNC);
	sync_errno = 0;
	assert_int_equal(fd, -1);
	d = (struct sl_diag){0};
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "ab/../../x", SL_ROOT_SYNC_NEW, &fd, &d), SL_E_IO);
	assert_int_equal(d.errnum, EXDEV);
	sl_root_close(&r);

	d = (struct sl_diag){0};
	struct sl_root_opts o = opts;
	o.is_durable = false; /* storage.durability = "none" */
	assert_int_equal(sl_root_open(p->root, &o, &r, &d), SL_OK);
	syncs = 0;
	assert_int_equal(
		sl_root_folder(&r, r.archive_fd, "cd/1.2", SL_ROOT_SYNC_ALL, &fd, &d), SL_OK);
	close(fd);
	assert_int_equal(syncs, 0);
	sl_root_close(&r);
}

static void the_look_agrees_with_df(void **state)
{
	struct place *p = *state;
	struct sl_root r;
	struct sl_diag d = {0};
	struct sl_water_fs fs;
	assert_int_equal(sl_root_open(p->root, &opts, &r, &d), SL_OK);
	assert_int_equal(sl_root_statfs_look(&r, &fs, &d), SL_OK);
	assert_true(fs.total > 0 && fs.used <= fs.total && fs.avail <= fs.total - fs.used);
	assert_true(fs.files_avail <= fs.files);
	sl_root_close(&r);
	assert_int_equal(sl_root_statfs_look(&r, &fs, &d), SL_E_IO); /* closed: cannot look */
}

static int count_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void failures_leave_nothing_open(void **state)
{
	int before = count_fds();
	what_is_in_the_way_is_named(state);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_place_becomes_a_root, setup, teardown),
		cmocka_unit_test_setup_teardown(the_index_may_lie_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_second_daemon_is_told_who_holds_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_file_left_behind_is_no_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_in_the_way_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_leave_nothing_open, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_group_is_inherited_by_what_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_root_we_may_not_write_says_the_command, setup, teardown),
		cmocka_unit_test_setup_teardown(no_name_leads_out_of_the_root, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_parent_of_each_new_folder_is_synced, setup, teardown),
		cmocka_unit_test_setup_teardown(the_look_agrees_with_df, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
