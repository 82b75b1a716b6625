/* Opening storage.root: make, lock, open, prove.
 *
 * Every failure here is read by an operator at the console, so each says what is wrong with which
 * path and, where we know it, the command that mends it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/root.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"

#define WHERE      "storage.root"
#define PROBE_NAME ".probe"
#define LOCK_TEXT  256 /* bytes of the lock file that we write and read */

/* ---- words for the operator ---- */

static void user_name(char *out, size_t cap)
{
	struct passwd pw, *found = NULL;
	char room[1024];
	if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &found) == 0 && found != NULL)
		snprintf(out, cap, "%s", pw.pw_name);
	else
		snprintf(out, cap, "%u", (unsigned)geteuid());
}

/* Turns an errno on a path of ours into a sentence that says what to do. */
static enum sl_status explain(struct sl_diag *d, int errnum, const char *path)
{
	char user[40];
	switch (errnum) {
	case EACCES:
	case EPERM:
		user_name(user, sizeof(user));
		return sl_fail(d, SL_E_CONFIG, errnum, WHERE,
			"user %s may not write there; as root: chown -R %s %s", user, user, path);
	case EROFS:
		return sl_fail(d, SL_E_CONFIG, errnum, WHERE,
			"%s is on a file system mounted read-only; remount it read-write", path);
	case ELOOP:
		return sl_fail(d, SL_E_CONFIG, errnum, WHERE,
			"%s is a symbolic link where a folder must be, or a loop of links", path);
	case ENOTDIR:
		return sl_fail(d, SL_E_CONFIG, errnum, WHERE,
			"%s must be a folder of its own: no file, no symbolic link", path);
	case ENAMETOOLONG:
		return sl_fail(d, SL_E_CONFIG, errnum, WHERE, "path too long: %.80s...", path);
	default:
		return sl_fail(d, sl_oserr_status(errnum), errnum, WHERE, "%s: %s", path,
			strerror(errnum));
	}
}

/* ---- mkdir -p ---- */

/* Makes every missing folder of a path the operator configured (its own links are followed) and opens
 * the last one. Returns -1 and errno; *is_made when anything was made. */
static int make_path(const char *path, bool *is_made)
{
	char prefix[SL_ROOT_PATH_MAX];
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*is_made = false;
	if (fd >= 0 || errno != ENOENT)
		return fd;
	size_t len = strlen(path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(prefix, path, i);
		prefix[i] = '\0';
		if (mkdir(prefix, i == len ? 0750 : 0755) == 0)
			*is_made = true;
		else if (errno != EEXIST)
			return -1;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum sl_status open_made(
	const char *path, const struct sl_root_opts *opts, int *out, struct sl_diag *d)
{
	bool is_made = false;
	if (strlen(path) >= SL_ROOT_PATH_MAX - sizeof("/" SL_PATH_INDEX))
		return explain(d, ENAMETOOLONG, path);
	*out = make_path(path, &is_made);
	if (*out < 0)
		return explain(d, errno, path);
	/* Not fsync: a parent that we may write but not read cannot be opened for it. Once in a
	 * root's life. */
	if (is_made && opts->is_durable && syncfs(*out) != 0)
		return sl_fail(d, SL_E_SYNC, errno, WHERE, "syncfs of %s failed: %s", path,
			strerror(errno));
	return SL_OK;
}

enum sl_status sl_root_sync(const struct sl_root *r, struct sl_diag *d)
{
	if (!r->is_durable || syncfs(r->spool_fd) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_SYNC, errno, "root/syncfs", "syncfs: %s", strerror(errno));
}

/* ---- the lock ---- */

static enum sl_status held_by(const struct sl_root *r, struct sl_diag *d)
{
	char text[LOCK_TEXT] = "", pid[24] = "?", host[68] = "?", since[40] = "?";
	ssize_t n = pread(r->lock_fd, text, sizeof(text) - 1, 0);
	for (ssize_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = ' ';
	(void)sscanf(text, "%23s %67s %39s", pid, host, since);
	return sl_fail(d, SL_E_BUSY, EWOULDBLOCK, WHERE,
		"%.60s is in use by pid %s on %.40s since %s", r->path, pid, host, since);
}

/* "pid host time": for the message of whoever comes second. Only information, so a full disk is no
 * reason to fail. */
static void sign_lock(const struct sl_root *r, const struct sl_env *env)
{
	char text[LOCK_TEXT], host[68] = "?", since[32] = "?";
	time_t now = (time_t)(sl_env_wall_ms(env) / 1000);
	struct tm tm;
	if (gethostname(host, sizeof(host)) != 0)
		snprintf(host, sizeof(host), "?");
	host[sizeof(host) - 1] = '\0';
	if (gmtime_r(&now, &tm) != NULL)
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	int n = snprintf(text, sizeof(text), "%ld %s %s\n", (long)getpid(), host, since);
	if (ftruncate(r->lock_fd, 0) != 0 || pwrite(r->lock_fd, text, (size_t)n, 0) != n)
		return;
}

static enum sl_status take_lock(struct sl_root *r, const struct sl_env *env, struct sl_diag *d)
{
	r->lock_fd = sl_root_openat(r->root_fd, SL_PATH_LOCK, O_RDWR | O_CREAT, 0640);
	if (r->lock_fd < 0)
		return explain(d, errno, r->path);
	int rc;
	do
		rc = flock(r->lock_fd, LOCK_EX | LOCK_NB);
	while (rc != 0 && errno == EINTR);
	if (rc != 0 && errno == EWOULDBLOCK)
		return held_by(r, d);
	if (rc != 0)
		return sl_fail(d, SL_E_UNSUPPORTED, errno, WHERE,
			"%s: its file system cannot lock files (%s); use a local one", r->path,
			strerror(errno));
	sign_lock(r, env);
	return SL_OK;
}

/* ---- storage.group ---- */

static enum sl_status find_group(struct sl_root *r, const char *name, struct sl_diag *d)
{
	struct group gr, *found = NULL;
	char room[4096];
	if (name == NULL || name[0] == '\0')
		return SL_OK;
	if (getgrnam_r(name, &gr, room, sizeof(room), &found) != 0 || found == NULL)
		return sl_fail(d, SL_E_CONFIG, 0, "storage.group",
			"there is no group %.60s; make it (groupadd) or drop the key", name);
	r->gid = gr.gr_gid;
	r->folder_mode = 0750 | S_ISGID; /* what is made beneath inherits the group for free */
	return SL_OK;
}

static enum sl_status give_to_group(
	const struct sl_root *r, int fd, const char *name, struct sl_diag *d)
{
	struct stat sb;
	if (r->gid == (gid_t)-1)
		return SL_OK;
	if (fstat(fd, &sb) == 0 && sb.st_gid == r->gid && (sb.st_mode & 07777) == r->folder_mode)
		return SL_OK;
	if (fchown(fd, (uid_t)-1, r->gid) != 0 || fchmod(fd, r->folder_mode) != 0)
		return sl_fail(d, SL_E_CONFIG, errno, "storage.group",
			"cannot give %s to the group (%s); is our user a member of it?", name,
			strerror(errno));
	return SL_OK;
}

/* ---- the folders ---- */

static enum sl_status open_folder(struct sl_root *r, const char *name, int *fd, struct sl_diag *d)
{
	struct stat ours, root;
	char path[SL_ROOT_PATH_MAX + 16];
	struct sl_diag why = {0};
	enum sl_status st = sl_root_folder(r, r->root_fd, name, SL_ROOT_SYNC_ALL, fd, &why);
	snprintf(path, sizeof(path), "%s/%s", r->path, name);
	if (st == SL_E_SYNC)
		return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
	if (st != SL_OK)
		return explain(d, why.errnum, path);
	if (fstat(*fd, &ours) != 0 || fstat(r->root_fd, &root) != 0)
		return explain(d, errno, path);
	if (ours.st_dev != root.st_dev)
		return sl_fail(d, SL_E_CONFIG, EXDEV, WHERE,
			"%s must be on the file system of its root, not a mount of its own", path);
	return give_to_group(r, *fd, path, d);
}

static enum sl_status open_index(
	struct sl_root *r, const struct sl_root_opts *opts, struct sl_diag *d)
{
	bool is_elsewhere = opts->index_path != NULL && opts->index_path[0] != '\0';
	if (is_elsewhere) {
		enum sl_status st = open_made(opts->index_path, opts, &r->index_fd, d);
		if (st == SL_OK)
			memcpy(r->index_path, opts->index_path, strlen(opts->index_path) + 1);
		return st;
	}
	int n = snprintf(r->index_path, sizeof(r->index_path), "%s/" SL_PATH_INDEX, r->path);
	sl_assert(n > 0 && (size_t)n < sizeof(r->index_path)); /* open_made() left the room */
	return open_folder(r, SL_PATH_INDEX, &r->index_fd, d);
}

/* ---- the probes ---- */

static bool is_full(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT;
}

/* An unnamed file in spool/, linked to a name as the store does it. */
static bool probe_tmpfile(const struct sl_root *r)
{
	char proc[40];
	int fd = sl_root_openat(r->spool_fd, ".", O_TMPFILE | O_WRONLY, 0440);
	if (fd < 0)
		return is_full(errno); /* it knows them, there is only no room */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	int rc = linkat(AT_FDCWD, proc, r->spool_fd, PROBE_NAME, AT_SYMLINK_FOLLOW);
	bool is_good = rc == 0 || is_full(errno);
	close(fd);
	(void)unlinkat(r->spool_fd, PROBE_NAME, 0);
	return is_good;
}

/* A named file in spool/, linked into archive/. */
static enum sl_status probe_link(const struct sl_root *r, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	int fd = sl_root_openat(r->spool_fd, PROBE_NAME, O_WRONLY | O_CREAT | O_EXCL, 0440);
	if (fd < 0)
		return is_full(errno) ? SL_OK : explain(d, errno, r->path);
	close(fd);
	if (linkat(r->spool_fd, PROBE_NAME, r->archive_fd, PROBE_NAME, 0) != 0 && !is_full(errno))
		st = sl_fail(d, SL_E_UNSUPPORTED, errno, WHERE,
			"%.70s: no hard links from spool/ to archive/ (%s); use ext4 or xfs",
			r->path, strerror(errno));
	return st;
}

/* Is this a file system that the store can stand on? Leaves nothing behind. */
static enum sl_status probe(struct sl_root *r, struct sl_diag *d)
{
	(void)unlinkat(r->spool_fd, PROBE_NAME, 0); /* of a crash during an earlier probe */
	(void)unlinkat(r->archive_fd, PROBE_NAME, 0);
	r->has_tmpfile = probe_tmpfile(r);
	enum sl_status st = probe_link(r, d);
	(void)unlinkat(r->spool_fd, PROBE_NAME, 0);
	(void)unlinkat(r->archive_fd, PROBE_NAME, 0);
	return st;
}

/* ---- the root ---- */

enum sl_status sl_root_open(
	const char *path, const struct sl_root_opts *opts, struct sl_root *out, struct sl_diag *d)
{
	struct sl_root *r = out;
	*r = (struct sl_root){
		.root_fd = -1,
		.spool_fd = -1,
		.archive_fd = -1,
		.trash_fd = -1,
		.journal_fd = -1,
		.index_fd = -1,
		.lock_fd = -1,
		.is_durable = opts->is_durable,
		.folder_mode = 0750,
		.gid = (gid_t)-1,
	};
	enum sl_status st = open_made(path, opts, &r->root_fd, d);
	if (st == SL_OK) {
		memcpy(r->path, path, strlen(path) + 1);
		st = take_lock(r, opts->env, d);
	}
	if (st == SL_OK)
		st = find_group(r, opts->group, d);
	if (st == SL_OK)
		st = give_to_group(r, r->root_fd, path, d);
	if (st == SL_OK)
		st = open_folder(r, SL_PATH_SPOOL, &r->spool_fd, d);
	if (st == SL_OK)
		st = open_folder(r, SL_PATH_ARCHIVE, &r->archive_fd, d);
	if (st == SL_OK)
		st = open_folder(r, SL_PATH_TRASH, &r->trash_fd, d);
	if (st == SL_OK)
		st = open_folder(r, SL_PATH_JOURNAL, &r->journal_fd, d);
	if (st == SL_OK)
		st = open_index(r, opts, d);
	if (st == SL_OK)
		st = probe(r, d);
	if (st != SL_OK)
		sl_root_close(r);
	return st;
}

void sl_root_close(struct sl_root *r)
{
	int *fds[] = {&r->index_fd, &r->journal_fd, &r->trash_fd, &r->archive_fd, &r->spool_fd,
		&r->lock_fd, &r->root_fd};
	for (size_t i = 0; i < SL_ARRAY_N(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

enum sl_status sl_root_statfs_look(void *arg, struct sl_water_fs *fs, struct sl_diag *d)
{
	const struct sl_root *r = arg;
	struct statvfs sv;
	if (fstatvfs(r->root_fd, &sv) != 0)
		return sl_fail(d, SL_E_IO, errno, "root/statvfs", "statvfs of %s failed: %s",
			r->path, strerror(errno));
	*fs = (struct sl_water_fs){
		.total = sv.f_blocks * sv.f_frsize,
		.used = (sv.f_blocks - sv.f_bfree) * sv.f_frsize,
		.avail = sv.f_bavail * sv.f_frsize,
		.files = sv.f_files,
		.files_avail = sv.f_favail,
	};
	return SL_OK;
}
