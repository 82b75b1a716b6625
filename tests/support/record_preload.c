/* The daemon's changes to its files, recorded with their bytes: an LD_PRELOAD library for the power cut
 * of tests/power, which drops, tears and reorders what was not synced.
 *
 *	SLUICE_RECORD=FILE        the log (record.h), appended to
 *	SLUICE_RECORD_ROOT=DIR    what lies on DIR's file system is recorded, and what sockets are told
 *	SLUICE_RECORD_KILL=K      SIGKILL instead of the K-th call that changes files
 *	SLUICE_RECORD_SLOW=US     a sync takes so much longer [microseconds]: time for others to come in
 *	                          between, which a file system in memory does not leave
 *
 * A call holds the gate shared from its first record to its last; who kills holds it alone. So no call
 * is under way when the process dies: what its files hold then is what the log says.
 *
 * Not seen: stores into a shared map (LMDB's lock file: worthless after a crash), and calls that
 * neither storage/ nor LMDB makes.
 *
 * Real calls go on to whoever is next; our own are made by syscall(2), also of whoever is next, because
 * openat2 comes that way and is watched. State is global because an interposer has no other place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOV_MOST 1024

static struct {
	int fd; /* -1 = not recording */
	dev_t device;
	long kill_at; /* 0 = never */
	useconds_t slow;
	atomic_long changes;
	atomic_ulong calls;
	pthread_rwlock_t gate;
} rec = {.fd = -1, .gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP};

/* ---- the next one in line ----------------------------------------------------------------------- */

static struct {
	void *write, *writev, *pwrite, *pwritev, *send, *sendmsg, *fsync, *fdatasync, *syncfs;
	void *openat, *mkdirat, *unlinkat, *linkat, *renameat, *ftruncate, *fallocate, *syscall;
} slots;

static void *next(const char *name, void **slot)
{
	if (*slot == NULL)
		*slot = dlsym(RTLD_NEXT, name);
	return *slot;
}

#define NEXT(name) ((__typeof__(&(name)))next(#name, &slots.name))

__attribute__((constructor)) static void read_settings(void)
{
	const char *log = getenv("SLUICE_RECORD"), *root = getenv("SLUICE_RECORD_ROOT");
	const char *at = getenv("SLUICE_RECORD_KILL"), *slow = getenv("SLUICE_RECORD_SLOW");
	struct stat sb;
	if (log == NULL || root == NULL || stat(root, &sb) != 0)
		return;
	rec.device = sb.st_dev;
	rec.kill_at = at != NULL ? strtol(at, NULL, 10) : 0;
	rec.slow = slow != NULL ? (useconds_t)strtoul(slow, NULL, 10) : 0;
	rec.fd = (int)NEXT(syscall)(
		SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* ---- a call ------------------------------------------------------------------------------------- */

struct call {
	struct record r;
	char name[NAME_MAX + 1], to_name[NAME_MAX + 1];
	bool is_seen;
};

static void put(const struct record *r, const char *name, const char *to_name,
	const struct iovec *data, int data_n)
{
	static const char zeros[RECORD_ALIGN];
	struct iovec v[4 + IOV_MOST] = {
		{(void *)(uintptr_t)r, sizeof(*r)},
		{(void *)(uintptr_t)name, r->name_len},
		{(void *)(uintptr_t)to_name, r->to_name_len},
	};
	size_t bytes = sizeof(*r) + r->name_len + r->to_name_len + r->data_len;
	memcpy(v + 3, data, (size_t)data_n * sizeof(*data));
	v[3 + data_n] = (struct iovec){(void *)(uintptr_t)zeros, r->len - bytes};
	/* One write, so that records of several threads do not mix. A log that lacks one proves
	 * nothing, so the process does not go on without it. */
	if (NEXT(syscall)(SYS_writev, rec.fd, v, 4 + data_n) != (long)r->len)
		abort();
}

static void die_here(void)
{
	pthread_rwlock_wrlock(&rec.gate);
	NEXT(syscall)(SYS_kill, getpid(), SIGKILL);
	for (;;)
		pause();
}

static void begin(struct call *c, const struct iovec *data, int data_n)
{
	if (!c->is_seen)
		return;
	int errnum = errno;
	struct record *r = &c->r;
	if (r->kind != RECORD_SEND && atomic_fetch_add(&rec.changes, 1) + 1 == rec.kill_at)
		die_here();
	r->name_len = (uint16_t)strlen(c->name);
	r->to_name_len = (uint16_t)strlen(c->to_name);
	for (int i = 0; i < data_n; i++)
		r->data_len += (uint32_t)data[i].iov_len;
	r->len = (uint32_t)sizeof(*r) + r->name_len + r->to_name_len + r->data_len;
	r->len = (r->len + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
	r->call = atomic_fetch_add(&rec.calls, 1) | (uint64_t)getpid() << 32;
	pthread_rwlock_rdlock(&rec.gate);
	put(r, c->name, c->to_name, data, data_n);
	errno = errnum;
}

/* made: inode of what the call has made; 0 = nothing. Returns the result. */
static long end(struct call *c, long result, uint64_t made)
{
	if (!c->is_seen)
		return result;
	int errnum = errno;
	struct record r = {
		.len = sizeof(r),
		.kind = c->r.kind,
		.is_end = 1,
		.call = c->r.call,
		.inode = made,
		.offset = result,
	};
	put(&r, "", "", NULL, 0);
	pthread_rwlock_unlock(&rec.gate);
	errno = errnum;
	return result;
}

/* ---- what a call is about ----------------------------------------------------------------------- */

static struct call about_fd(enum record_kind kind, int fd)
{
	struct call c = {.r = {.kind = (uint16_t)kind}};
	struct stat sb;
	struct sockaddr_in6 peer = {0};
	socklen_t n = sizeof(peer);
	int errnum = errno;
	if (rec.fd < 0 || fstat(fd, &sb) != 0) {
		errno = errnum;
		return c;
	}
	if (S_ISSOCK(sb.st_mode) && getpeername(fd, (struct sockaddr *)&peer, &n) == 0) {
		c.r.port = ntohs(peer.sin6_port); /* at the same place for IPv4 */
		c.is_seen = c.r.port != 0 && kind == RECORD_SEND;
	} else if (S_ISREG(sb.st_mode) || S_ISDIR(sb.st_mode)) {
		c.is_seen = sb.st_dev == rec.device && fd != rec.fd;
		c.r.inode = sb.st_ino;
	}
	errno = errnum;
	return c;
}

/* The folder that holds `path`, and the name in there; 0: not on our file system. */
static uint64_t split(int dirfd, const char *path, char name[NAME_MAX + 1])
{
	char folder[PATH_MAX];
	struct stat sb;
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	size_t at = len;
	while (at > 0 && path[at - 1] != '/')
		at--;
	if (len - at > NAME_MAX || at >= sizeof(folder))
		return 0;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(len - at), path + at);
	snprintf(folder, sizeof(folder), "%.*s", (int)at, path);
	if (fstatat(dirfd, at == 0 ? "." : folder, &sb, 0) != 0 || sb.st_dev != rec.device)
		return 0;
	return sb.st_ino;
}

static struct call about_name(enum record_kind kind, int dirfd, const char *path)
{
	struct call c = {.r = {.kind = (uint16_t)kind}};
	int errnum = errno;
	if (rec.fd >= 0)
		c.r.folder = split(dirfd, path, c.name);
	c.is_seen = c.r.folder != 0;
	errno = errnum;
	return c;
}

static uint64_t inode_of(int dirfd, const char *path, int flags)
{
	struct stat sb;
	int errnum = errno;
	uint64_t inode = fstatat(dirfd, path, &sb, flags) == 0 ? sb.st_ino : 0;
	errno = errnum;
	return inode;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static struct call about_write(int fd, off_t off)
{
	struct call c = about_fd(RECORD_WRITE, fd);
	if (!c.is_seen)
		return about_fd(RECORD_SEND, fd);
	int flags = fcntl(fd, F_GETFL);
	c.r.is_dsync = (flags & O_DSYNC) != 0;
	c.r.offset = off >= 0 ? off : lseek(fd, 0, (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
	return c;
}

static struct iovec iovec_of(const void *p, size_t n)
{
	return (struct iovec){(void *)(uintptr_t)p, n};
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = iovec_of(p, n);
	struct call c = about_write(fd, -1);
	begin(&c, &v, 1);
	return end(&c, NEXT(write)(fd, p, n), 0);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	struct call c = about_write(fd, -1);
	begin(&c, v, n);
	return end(&c, NEXT(writev)(fd, v, n), 0);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	struct iovec v = iovec_of(p, n);
	struct call c = about_write(fd, off);
	begin(&c, &v, 1);
	return end(&c, NEXT(pwrite)(fd, p, n, off), 0);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	return pwrite(fd, p, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	struct call c = about_write(fd, off);
	begin(&c, v, n);
	return end(&c, NEXT(pwritev)(fd, v, n, off), 0);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t off)
{
	return pwritev(fd, v, n, off);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	struct iovec v = iovec_of(p, n);
	struct call c = about_fd(RECORD_SEND, fd);
	begin(&c, &v, 1);
	return end(&c, NEXT(send)(fd, p, n, flags), 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct call c = about_fd(RECORD_SEND, fd);
	begin(&c, m->msg_iov, (int)m->msg_iovlen);
	return end(&c, NEXT(sendmsg)(fd, m, flags), 0);
}

/* ---- lengths ------------------------------------------------------------------------------------ */

int ftruncate(int fd, off_t len)
{
	struct call c = about_fd(RECORD_RESIZE, fd);
	c.r.offset = len;
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(ftruncate)(fd, len), 0);
}

int ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	struct call c = about_fd(RECORD_RESIZE, fd);
	struct stat sb = {0};
	if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE)
		abort(); /* nobody punches holes here; the log could not say so */
	fstat(fd, &sb);
	c.r.offset = mode != 0 || off + len < sb.st_size ? sb.st_size : off + len;
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(fallocate)(fd, mode, off, len), 0);
}

/* ---- syncing ------------------------------------------------------------------------------------ */

static int watched_sync(int (*real)(int fd), int fd)
{
	struct call c = about_fd(RECORD_SYNC, fd);
	begin(&c, NULL, 0);
	if (c.is_seen && rec.slow > 0)
		usleep(rec.slow);
	return (int)end(&c, real(fd), 0);
}

int fsync(int fd)
{
	return watched_sync(NEXT(fsync), fd);
}

int fdatasync(int fd)
{
	return watched_sync(NEXT(fdatasync), fd);
}

int syncfs(int fd)
{
	struct call c = about_fd(RECORD_SYNCFS, fd);
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(syncfs)(fd), 0);
}

/* ---- names -------------------------------------------------------------------------------------- */

/* What an open is going to make; not seen when it makes nothing. */
static struct call about_open(int dirfd, const char *path, uint64_t flags)
{
	struct call none = {.is_seen = false}, c;
	struct stat sb;
	int errnum = errno;
	if (rec.fd < 0)
		return none;
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		c = (struct call){.r = {.kind = RECORD_TMPFILE}};
		c.is_seen = fstatat(dirfd, path, &sb, 0) == 0 && sb.st_dev == rec.device;
	} else if ((flags & O_CREAT) != 0 && inode_of(dirfd, path, 0) == 0) {
		c = about_name(RECORD_CREATE, dirfd, path);
	} else {
		c = none;
	}
	errno = errnum;
	return c;
}

static long end_open(struct call *c, long fd)
{
	return end(c, fd, c->is_seen && fd >= 0 ? inode_of((int)fd, "", AT_EMPTY_PATH) : 0);
}

static int watched_open(int dirfd, const char *path, int flags, mode_t mode)
{
	struct call c = about_open(dirfd, path, (uint64_t)flags);
	begin(&c, NULL, 0);
	return (int)end_open(&c, NEXT(openat)(dirfd, path, flags, mode));
}

#include "tests/support/preload_open.h"

/* openat2 has no wrapper: it comes this way. Six arguments, whoever calls. */
long syscall(long number, ...)
{
	long a[6];
	va_list ap;
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	struct call c = {.is_seen = false};
	if (number == SYS_openat2)
		c = about_open(
			(int)a[0], (const char *)a[1], ((const struct open_how *)a[2])->flags);
	begin(&c, NULL, 0);
	return end_open(&c, NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct call c = about_name(RECORD_MKDIR, dirfd, path);
	begin(&c, NULL, 0);
	int rc = NEXT(mkdirat)(dirfd, path, mode);
	return (int)end(&c, rc, rc == 0 ? inode_of(dirfd, path, 0) : 0);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	struct call c = about_name(RECORD_UNLINK, dirfd, path);
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(unlinkat)(dirfd, path, flags), 0);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int linkat(int dirfd, const char *path, int to_dirfd, const char *to_path, int flags)
{
	struct call c = about_name(RECORD_LINK, to_dirfd, to_path);
	c.r.inode =
		inode_of(dirfd, path, (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW);
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(linkat)(dirfd, path, to_dirfd, to_path, flags), 0);
}

int renameat(int dirfd, const char *path, int to_dirfd, const char *to_path)
{
	struct call c = about_name(RECORD_RENAME, dirfd, path);
	if (c.is_seen)
		c.r.to_folder = split(to_dirfd, to_path, c.to_name);
	begin(&c, NULL, 0);
	return (int)end(&c, NEXT(renameat)(dirfd, path, to_dirfd, to_path), 0);
}

int rename(const char *path, const char *to_path)
{
	return renameat(AT_FDCWD, path, AT_FDCWD, to_path);
}
