/* Any fallible call of the daemon made to fail: an LD_PRELOAD library for tests/net/calls.py.
 *
 *	SLUICE_CALL=NAME:K:ERRNO[:N]   the K-th call of NAME fails with that errno, and N-1 more after it
 *	                               (N = 0: all of them). ERRNO 0: a write is cut to half its bytes.
 *	                               NAME "space" is any call that takes space below SLUICE_CALL_ROOT:
 *	                               makes a file, a folder, a name, writes, syncs a file without name.
 *	SLUICE_CALL_WHILE=FILE         ... but only as long as FILE exists
 *	SLUICE_CALL_TRACE=FILE         a line "NAME K PATH" for each call; "... failed" for what was made to
 *
 * io_preload.c knows what calls are about and kills; this one knows many more calls, and nothing of them.
 * Allocations are alloc_preload.c's, which asks call_fails() here: no sanitizer can stand that one.
 *
 * State is global because an interposer has nowhere else to keep it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NAMES_MAX = 64, SHORT = -1 };

static struct {
	bool is_on;
	char name[24]; /* "" = none fails */
	long at, n;
	int errnum;
	const char *root, *trouble;
	int trace_fd;
	atomic_int names_n;
	struct {
		const char *name; /* a literal of this file or alloc_preload.c */
		atomic_long seen;
	} names[NAMES_MAX];
	pthread_mutex_t lock;
} calls = {.trace_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* 0, an errno, or SHORT, for one call. path may be "". */
int call_fails(const char *name, const char *path);

__attribute__((constructor)) static void read_settings(void)
{
	const char *what = getenv("SLUICE_CALL"), *trace = getenv("SLUICE_CALL_TRACE");
	calls.root = getenv("SLUICE_CALL_ROOT");
	calls.trouble = getenv("SLUICE_CALL_WHILE");
	calls.n = 1;
	if (what != NULL && sscanf(what, "%23[^:]:%ld:%d:%ld", calls.name, &calls.at, &calls.errnum,
				    &calls.n) < 3)
		_exit(2);
	if (trace != NULL)
		calls.trace_fd = (int)syscall(SYS_openat, AT_FDCWD, trace,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	calls.is_on = what != NULL || trace != NULL;
}

static long count(const char *name)
{
	int i = 0, n = atomic_load(&calls.names_n);
	while (i < n && strcmp(calls.names[i].name, name) != 0)
		i++;
	if (i == n) {
		pthread_mutex_lock(&calls.lock);
		n = atomic_load(&calls.names_n);
		for (i = 0; i < n && strcmp(calls.names[i].name, name) != 0;)
			i++;
		if (i == n && n < NAMES_MAX) {
			calls.names[i].name = name;
			atomic_store(&calls.names_n, n + 1);
		}
		pthread_mutex_unlock(&calls.lock);
	}
	return i < NAMES_MAX ? atomic_fetch_add(&calls.names[i].seen, 1) + 1 : 0;
}

int call_fails(const char *name, const char *path)
{
	char line[PATH_MAX + 128];
	if (!calls.is_on)
		return 0;
	int errnum = errno;
	bool is_it = strcmp(calls.name, name) == 0;
	bool is_trouble = calls.trouble == NULL || !is_it ||
			  syscall(SYS_faccessat, AT_FDCWD, calls.trouble, F_OK) == 0;
	long k = count(name);
	bool fails =
		is_it && is_trouble && k >= calls.at && (calls.n == 0 || k < calls.at + calls.n);
	if (calls.trace_fd >= 0 && (fails || calls.name[0] == '\0')) {
		int len = snprintf(line, sizeof(line), "%s\t%ld\t%s%s\n", name, k, path,
			fails ? "\tfailed" : "");
		syscall(SYS_write, calls.trace_fd, line, len);
	}
	errno = errnum;
	if (!fails)
		return 0;
	return calls.errnum == 0 ? SHORT : calls.errnum;
}

/* ---- what a call is about ----------------------------------------------------------------------- */

struct place {
	char path[PATH_MAX + 64];
};

static const char *of_fd(struct place *p, int fd)
{
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlinkat, AT_FDCWD, self, p->path, sizeof(p->path) - 1);
	p->path[n > 0 ? n : 0] = '\0';
	return p->path;
}

/* An eventfd cannot fail, nor a pipe that libuv has for itself: it aborts where they do. The other pipe
 * is the log, by which the tests follow what happens. */
static bool is_let_alone(const char *path)
{
	return strncmp(path, "anon_inode:", 11) == 0 || strncmp(path, "pipe:", 5) == 0;
}

static const char *of_name(struct place *p, int dirfd, const char *name)
{
	if (name[0] == '/' || dirfd == AT_FDCWD) {
		snprintf(p->path, sizeof(p->path), "%s", name);
		return p->path;
	}
	of_fd(p, dirfd);
	size_t n = strlen(p->path);
	snprintf(p->path + n, sizeof(p->path) - n, "/%s", name);
	return p->path;
}

static bool takes_space(const char *path)
{
	return calls.root != NULL && strncmp(path, calls.root, strlen(calls.root)) == 0;
}

/* A call that takes space is counted twice: by its own name, and among all that do. */
static int space_fails(const char *name, const char *path)
{
	int e = call_fails(name, path);
	return e == 0 && takes_space(path) ? call_fails("space", path) : e;
}

/* ---- the calls ---------------------------------------------------------------------------------- */

#define NEXT(name)                                       \
	({                                               \
		static void *found;                      \
		if (found == NULL)                       \
			found = dlsym(RTLD_NEXT, #name); \
		(__typeof__(&(name)))found;              \
	})

/* A function that fails as a whole: -1 and errno. */
#define CALL(type, name, about, params, args)                       \
	type name params                                            \
	{                                                           \
		struct place p;                                     \
		int e = calls.is_on ? call_fails(#name, about) : 0; \
		if (e > 0) {                                        \
			errno = e;                                  \
			return -1;                                  \
		}                                                   \
		(void)p;                                            \
		return NEXT(name) args;                             \
	}

#define SPACE(type, name, about, params, args)                       \
	type name params                                             \
	{                                                            \
		struct place p;                                      \
		int e = calls.is_on ? space_fails(#name, about) : 0; \
		if (e > 0) {                                         \
			errno = e;                                   \
			return -1;                                   \
		}                                                    \
		return NEXT(name) args;                              \
	}

CALL(int, accept4, "", (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
CALL(int, bind, "", (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, epoll_create1, "", (int flags), (flags))
CALL(int, epoll_pwait, "", (int fd, struct epoll_event *ev, int n, int ms, const sigset_t *set),
	(fd, ev, n, ms, set))
CALL(int, epoll_wait, "", (int fd, struct epoll_event *ev, int n, int ms), (fd, ev, n, ms))
CALL(int, eventfd, "", (unsigned n, int flags), (n, flags))
CALL(int, flock, of_fd(&p, fd), (int fd, int op), (fd, op))
CALL(int, fchmod, of_fd(&p, fd), (int fd, mode_t mode), (fd, mode))
CALL(int, fchown, of_fd(&p, fd), (int fd, uid_t u, gid_t g), (fd, u, g))
CALL(int, fstat, of_fd(&p, fd), (int fd, struct stat *sb), (fd, sb))
CALL(int, fstatat, of_name(&p, dirfd, name),
	(int dirfd, const char *name, struct stat *sb, int flags), (dirfd, name, sb, flags))
CALL(int, fstatfs, of_fd(&p, fd), (int fd, struct statfs *sf), (fd, sf))
CALL(int, fstatvfs, of_fd(&p, fd), (int fd, struct statvfs *sf), (fd, sf))
CALL(int, fsync, of_fd(&p, fd), (int fd), (fd))
CALL(int, getsockname, "", (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
CALL(ssize_t, getrandom, "", (void *p0, size_t n, unsigned flags), (p0, n, flags))
CALL(int, listen, "", (int fd, int n), (fd, n))
CALL(int, madvise, "", (void *at, size_t n, int advice), (at, n, advice))
CALL(int, pipe2, "", (int fds[2], int flags), (fds, flags))
CALL(ssize_t, pread, of_fd(&p, fd), (int fd, void *to, size_t n, off_t off), (fd, to, n, off))
CALL(int, setsockopt, "", (int fd, int l, int o, const void *v, socklen_t n), (fd, l, o, v, n))
CALL(int, socket, "", (int d, int t, int proto), (d, t, proto))
CALL(int, syncfs, of_fd(&p, fd), (int fd), (fd))
CALL(int, unlinkat, of_name(&p, dirfd, name), (int dirfd, const char *name, int flags),
	(dirfd, name, flags))

SPACE(int, fallocate, of_fd(&p, fd), (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
SPACE(int, fdatasync, of_fd(&p, fd), (int fd), (fd))
SPACE(int, ftruncate, of_fd(&p, fd), (int fd, off_t n), (fd, n))
SPACE(int, mkdirat, of_name(&p, dirfd, name), (int dirfd, const char *name, mode_t mode),
	(dirfd, name, mode))
SPACE(int, mkdir, of_name(&p, AT_FDCWD, name), (const char *name, mode_t mode), (name, mode))
SPACE(int, linkat, of_name(&p, to_dir, to),
	(int dirfd, const char *name, int to_dir, const char *to, int flags),
	(dirfd, name, to_dir, to, flags))
SPACE(int, renameat, of_name(&p, to_dir, to),
	(int dirfd, const char *name, int to_dir, const char *to), (dirfd, name, to_dir, to))

int pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int e = call_fails("pthread_create", "");
	return e > 0 ? e : NEXT(pthread_create)(id, attr, run, arg);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	struct place p;
	int e = calls.is_on ? call_fails("mmap", fd >= 0 ? of_fd(&p, fd) : "") : 0;
	if (e > 0) {
		errno = e;
		return MAP_FAILED;
	}
	return (void *)(uintptr_t)syscall(SYS_mmap, at, n, prot, flags, fd, off);
}

DIR *fdopendir(int fd)
{
	struct place p;
	int e = call_fails("fdopendir", of_fd(&p, fd));
	if (e > 0) {
		errno = e;
		return NULL;
	}
	return NEXT(fdopendir)(fd);
}

struct dirent *readdir(DIR *dir)
{
	struct place p;
	int e = call_fails("readdir", of_fd(&p, dirfd(dir)));
	if (e > 0) {
		errno = e;
		return NULL;
	}
	return NEXT(readdir)(dir);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int watched_open(int dirfd, const char *path, int flags, mode_t mode)
{
	struct place p;
	bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	const char *about = calls.is_on ? of_name(&p, dirfd, path) : "";
	int e = makes ? space_fails("open to make", about) : call_fails("open", about);
	if (e > 0) {
		errno = e;
		return -1;
	}
	return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

#include "tests/support/preload_open.h"

/* ---- reading and writing ------------------------------------------------------------------------------------ */

ssize_t read(int fd, void *to, size_t n)
{
	struct place p;
	const char *path = calls.is_on ? of_fd(&p, fd) : "";
	int e = is_let_alone(path) ? 0 : call_fails("read", path);
	if (e > 0) {
		errno = e;
		return -1;
	}
	return NEXT(read)(fd, to, n);
}

/* -2: go on and write all. Short is half of the first piece; a piece of one byte is not cut. */
static ssize_t disturb_write(const char *name, int fd, const struct iovec *v, int n, off_t off)
{
	struct place p;
	if (!calls.is_on)
		return -2;
	const char *path = of_fd(&p, fd);
	if (is_let_alone(path))
		return -2;
	/* The first pages of LMDB's file are written in place: that takes no space. */
	size_t len = strlen(path);
	bool is_meta =
		off >= 0 && off < 2 * 4096 && len > 9 && strcmp(path + len - 9, "/data.mdb") == 0;
	int e = is_meta ? call_fails(name, path) : space_fails(name, path);
	if (e == 0)
		return -2;
	if (e > 0) {
		errno = e;
		return -1;
	}
	size_t half = n > 0 ? v[0].iov_len / 2 : 0;
	if (half == 0)
		return -2;
	return off >= 0 ? syscall(SYS_pwrite64, fd, v[0].iov_base, half, off)
			: syscall(SYS_write, fd, v[0].iov_base, half);
}

ssize_t write(int fd, const void *from, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)from, n};
	ssize_t done = disturb_write("write", fd, &v, 1, -1);
	return done != -2 ? done : syscall(SYS_write, fd, from, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	ssize_t done = disturb_write("writev", fd, v, n, -1);
	return done != -2 ? done : syscall(SYS_writev, fd, v, n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t off)
{
	struct iovec v = {(void *)(uintptr_t)from, n};
	ssize_t done = disturb_write("pwrite", fd, &v, 1, off);
	return done != -2 ? done : syscall(SYS_pwrite64, fd, from, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	ssize_t done = disturb_write("pwritev", fd, v, n, off);
	return done != -2 ? done : NEXT(pwritev)(fd, v, n, off);
}
