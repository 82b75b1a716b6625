/* The daemon's file and socket calls, watched and disturbed: an LD_PRELOAD library for the tests.
 *
 *	SLUICE_IO_TRACE=FILE   one line for each call, written after it has returned, with a number taken
 *	                       before and one taken after it: what ended with a lower number than
 *	                       something else began with was over when that began. Tab-separated:
 *	                       begin end thread how call result errno inode path detail
 *	SLUICE_IO_KILL=K       SIGKILL instead of the K-th call that changes files; K:torn lets half of
 *	                       its bytes through first, where it is a write
 *	SLUICE_IO_FAIL=CALL,PATTERN,K,ERRNO[,+]   the K-th CALL whose path matches (fnmatch; of a write
 *	                       at an offset: path@offset) fails with that errno, undone; with "+" also
 *	                       every later one. Several, parted by ";". The line in the trace then says
 *	                       "injected" where others say "real".
 *	SLUICE_IO_HOLD=FILE    ERRNO 0: held, while FILE is there, which gets a byte for each call
 *
 * detail: flags of openat (hex), offset+length of a write, the new name of linkat and renameat, the
 * bytes of a write to a socket (hex). An O_TMPFILE's path is that of its folder. A path is that of the
 * descriptor as /proc says it, so links and working folders play no part.
 *
 * Real calls go on to whoever is next, so that a sanitizer sees them; our own are made by syscall(2).
 * State is global because an interposer has nowhere else to keep it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FAULTS_MAX = 8, SAID_MAX = 32 * 1024 };

struct fault {
	char call[16], pattern[256];
	long at;
	int errnum;
	bool stays;
	atomic_long seen;
};

static struct {
	int trace_fd; /* -1 = not tracing */
	const char *hold;
	long kill_at; /* 0 = never */
	bool kill_torn;
	int faults_n;
	struct fault faults[FAULTS_MAX];
	atomic_long changes; /* calls that change files so far */
	atomic_ulong number; /* the next begin or end */
} io = {.trace_fd = -1};

/* One call under way. */
struct call {
	const char *name;
	char path[PATH_MAX + 32];
	unsigned long begin;
	ino_t inode;
	long offset;  /* of a write; -1 = none */
	bool is_seen; /* worth a line: it concerns a file, a folder or a socket */
	bool is_socket;
	bool is_injected;
	bool is_torn;
};

/* ---- settings ----------------------------------------------------------------------------------- */

static void read_fault(const char *text)
{
	struct fault *f = &io.faults[io.faults_n];
	char plus[2] = "";
	if (sscanf(text, "%15[^,],%255[^,],%ld,%d,%1[+]", f->call, f->pattern, &f->at, &f->errnum,
		    plus) < 4) {
		fprintf(stderr, "io_preload: cannot read SLUICE_IO_FAIL: %s\n", text);
		_exit(2);
	}
	f->stays = plus[0] == '+';
	io.faults_n++;
}

__attribute__((constructor)) static void read_settings(void)
{
	const char *trace = getenv("SLUICE_IO_TRACE"), *at = getenv("SLUICE_IO_KILL");
	const char *fail = getenv("SLUICE_IO_FAIL");
	io.hold = getenv("SLUICE_IO_HOLD");
	for (; fail != NULL && io.faults_n < FAULTS_MAX; fail = strchr(fail, ';')) {
		fail += *fail == ';';
		read_fault(fail);
	}
	if (at != NULL) {
		io.kill_at = strtol(at, NULL, 10);
		io.kill_torn = strstr(at, ":torn") != NULL;
	}
	if (trace != NULL)
		io.trace_fd = (int)syscall(SYS_openat, AT_FDCWD, trace,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* ---- the next one in line ----------------------------------------------------------------------- */

static void *next(const char *name, void **slot)
{
	if (*slot == NULL)
		*slot = dlsym(RTLD_NEXT, name);
	return *slot;
}

static struct {
	void *writev, *pwritev, *send, *sendmsg, *fsync, *fdatasync, *syncfs;
	void *openat, *mkdirat, *unlinkat, *linkat, *renameat, *accept4;
} slots;

#define NEXT(name) ((__typeof__(&(name)))next(#name, &slots.name))

/* ---- what a call is about ----------------------------------------------------------------------- */

static void path_of(int fd, char *out, size_t cap)
{
	char self[64];
	if (fd == AT_FDCWD)
		snprintf(self, sizeof(self), "/proc/self/cwd");
	else
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlinkat, AT_FDCWD, self, out, cap - 1);
	out[n > 0 ? n : 0] = '\0';
}

static void path_at(int dirfd, const char *name, char *out, size_t cap)
{
	out[0] = '\0';
	if (name[0] == '/') {
		snprintf(out, cap, "%s", name);
		return;
	}
	path_of(dirfd, out, cap);
	size_t n = strlen(out);
	snprintf(out + n, cap - n, "/%s", name);
}

static void about_fd(struct call *c, const char *name, int fd)
{
	struct stat sb;
	*c = (struct call){.name = name, .offset = -1};
	if (fstat(fd, &sb) != 0)
		return;
	c->is_socket = S_ISSOCK(sb.st_mode);
	c->is_seen = c->is_socket || S_ISREG(sb.st_mode) || S_ISDIR(sb.st_mode);
	c->inode = sb.st_ino;
	if (c->is_seen)
		path_of(fd, c->path, sizeof(c->path));
}

static void about_name(struct call *c, const char *name, int dirfd, const char *path)
{
	struct stat sb;
	*c = (struct call){.name = name, .offset = -1, .is_seen = true};
	path_at(dirfd, path, c->path, sizeof(c->path));
	/* /proc/self/fd/N: the file behind it. */
	bool is_fd = strncmp(path, "/proc/self/fd/", 14) == 0;
	if (fstatat(dirfd, path, &sb, is_fd ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
		c->inode = sb.st_ino;
	if (is_fd)
		path_of((int)strtol(path + 14, NULL, 10), c->path, sizeof(c->path));
}

/* ---- before and after --------------------------------------------------------------------------- */

static void die(void)
{
	syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		pause();
}

static void hold(void)
{
	long fd, n = 1; /* bytes still to write */
	while (io.hold && (fd = syscall(SYS_openat, AT_FDCWD, io.hold, O_WRONLY | O_APPEND)) >= 0) {
		n -= n > 0 && syscall(SYS_write, (int)fd, ".", 1) == 1;
		syscall(SYS_close, (int)fd);
		usleep(2000);
	}
}

static bool is_injected(struct call *c)
{
	char place[sizeof(c->path) + 32];
	if (io.faults_n > 0 && c->offset >= 0)
		snprintf(place, sizeof(place), "%s@%ld", c->path, c->offset);
	else
		snprintf(place, sizeof(place), "%s", c->path);
	for (int i = 0; i < io.faults_n; i++) {
		struct fault *f = &io.faults[i];
		if (strcmp(f->call, c->name) != 0 || fnmatch(f->pattern, place, 0) != 0)
			continue;
		long n = atomic_fetch_add(&f->seen, 1) + 1;
		if (n != f->at && (!f->stays || n < f->at))
			continue;
		errno = f->errnum;
		if (f->errnum != 0)
			return true;
		hold();
	}
	return false;
}

/* False: the call is not to be made, errno says why. */
static bool begin(struct call *c, bool changes_files)
{
	if (!c->is_seen)
		return true;
	if (changes_files && !c->is_socket && atomic_fetch_add(&io.changes, 1) + 1 == io.kill_at) {
		if (!io.kill_torn)
			die();
		c->is_torn = true;
	}
	c->begin = atomic_fetch_add(&io.number, 1);
	c->is_injected = is_injected(c);
	return !c->is_injected;
}

static long end(struct call *c, long result, const char *detail)
{
	char line[2 * PATH_MAX + 512];
	int errnum = errno;
	if (!c->is_seen || io.trace_fd < 0)
		return result;
	unsigned long number = atomic_fetch_add(&io.number, 1);
	int n = snprintf(line, sizeof(line), "%lu\t%lu\t%ld\t%s\t%s\t%ld\t%d\t%lu\t%s\t", c->begin,
		number, syscall(SYS_gettid), c->is_injected ? "injected" : "real", c->name, result,
		result < 0 ? errnum : 0, (unsigned long)c->inode, c->path);
	/* One write, so that lines of several threads do not mix. */
	struct iovec v[3] = {{line, (size_t)n}, {(char *)(uintptr_t)detail, strlen(detail)},
		{(char *)(uintptr_t) "\n", 1}};
	syscall(SYS_writev, io.trace_fd, v, 3);
	errno = errnum;
	return result;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static size_t sum(const struct iovec *v, int n)
{
	size_t bytes = 0;
	for (int i = 0; i < n; i++)
		bytes += v[i].iov_len;
	return bytes;
}

/* Half of the bytes, then the end. */
static void tear(int fd, const struct iovec *v, int n, long off)
{
	size_t left = sum(v, n) / 2;
	for (int i = 0; i < n && left > 0; i++) {
		size_t part = v[i].iov_len < left ? v[i].iov_len : left;
		if (off >= 0)
			syscall(SYS_pwrite64, fd, v[i].iov_base, part, off);
		else
			syscall(SYS_write, fd, v[i].iov_base, part);
		off += off >= 0 ? (long)part : 0;
		left -= part;
	}
	die();
}

/* What a socket was told, in hex. */
static void say(char *out, const struct iovec *v, int n, long result)
{
	static const char digits[] = "0123456789abcdef";
	size_t left = result > 0 ? (size_t)result : 0;
	for (int i = 0; i < n && left > 0; i++) {
		const unsigned char *p = v[i].iov_base;
		for (size_t b = 0; b < v[i].iov_len && left > 0; b++, left--) {
			*out++ = digits[p[b] >> 4];
			*out++ = digits[p[b] & 15];
		}
	}
	*out = '\0';
}

static long end_written(struct call *c, long result, const struct iovec *v, int n, long off)
{
	char detail[64];
	if (!c->is_seen)
		return result;
	if (c->is_socket && result <= SAID_MAX) {
		char said[2 * SAID_MAX + 1];
		int errnum = errno;
		say(said, v, n, result);
		errno = errnum;
		return end(c, result, said);
	}
	snprintf(detail, sizeof(detail), "%ld+%zu", off, sum(v, n));
	return end(c, result, detail);
}

static long watched_write(const char *name, int fd, const struct iovec *v, int n, long off)
{
	struct call c;
	about_fd(&c, name, fd);
	c.offset = off;
	if (!begin(&c, true))
		return end_written(&c, -1, v, n, off);
	if (c.is_torn)
		tear(fd, v, n, off);
	return end_written(
		&c, off >= 0 ? NEXT(pwritev)(fd, v, n, off) : NEXT(writev)(fd, v, n), v, n, off);
}

static struct iovec iovec_of(const void *p, size_t n)
{
	return (struct iovec){(void *)(uintptr_t)p, n};
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = iovec_of(p, n);
	return watched_write("write", fd, &v, 1, -1);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	return watched_write("writev", fd, v, n, -1);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	struct iovec v = iovec_of(p, n);
	return watched_write("pwrite", fd, &v, 1, off);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	return pwrite(fd, p, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	return watched_write("pwritev", fd, v, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t off)
{
	return watched_write("pwritev", fd, v, n, off);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	struct call c;
	struct iovec v = iovec_of(p, n);
	about_fd(&c, "send", fd);
	long result = begin(&c, false) ? NEXT(send)(fd, p, n, flags) : -1;
	return end_written(&c, result, &v, 1, -1);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct call c;
	about_fd(&c, "sendmsg", fd);
	long result = begin(&c, false) ? NEXT(sendmsg)(fd, m, flags) : -1;
	return end_written(&c, result, m->msg_iov, (int)m->msg_iovlen, -1);
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	struct call c;
	about_fd(&c, "accept4", fd);
	return (int)end(&c, begin(&c, false) ? NEXT(accept4)(fd, from, len, flags) : -1, "");
}

/* ---- syncing ------------------------------------------------------------------------------------ */

static int watched_fd(const char *name, int (*real)(int fd), int fd)
{
	struct call c;
	about_fd(&c, name, fd);
	return (int)end(&c, begin(&c, true) ? real(fd) : -1, "");
}

int fsync(int fd)
{
	return watched_fd("fsync", NEXT(fsync), fd);
}

int fdatasync(int fd)
{
	return watched_fd("fdatasync", NEXT(fdatasync), fd);
}

int syncfs(int fd)
{
	return watched_fd("syncfs", NEXT(syncfs), fd);
}

/* ---- names -------------------------------------------------------------------------------------- */

static int watched_open(int dirfd, const char *path, int flags, mode_t mode)
{
	struct call c;
	struct stat sb;
	char detail[32];
	bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	if (!makes)
		return NEXT(openat)(dirfd, path, flags, mode);
	about_name(&c, "openat", dirfd, path);
	long fd = begin(&c, true) ? NEXT(openat)(dirfd, path, flags, mode) : -1;
	if (fd >= 0 && fstat((int)fd, &sb) == 0)
		c.inode = sb.st_ino;
	snprintf(detail, sizeof(detail), "%x", (unsigned)flags);
	return (int)end(&c, fd, detail);
}

#include "tests/support/preload_open.h"

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct call c;
	about_name(&c, "mkdirat", dirfd, path);
	return (int)end(&c, begin(&c, true) ? NEXT(mkdirat)(dirfd, path, mode) : -1, "");
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	struct call c;
	about_name(&c, "unlinkat", dirfd, path);
	return (int)end(&c, begin(&c, true) ? NEXT(unlinkat)(dirfd, path, flags) : -1, "");
}

int linkat(int dirfd, const char *path, int new_dirfd, const char *new_path, int flags)
{
	struct call c;
	char to[PATH_MAX + 32];
	about_name(&c, "linkat", dirfd, path);
	path_at(new_dirfd, new_path, to, sizeof(to));
	long result = -1;
	if (begin(&c, true))
		result = NEXT(linkat)(dirfd, path, new_dirfd, new_path, flags);
	return (int)end(&c, result, to);
}

int renameat(int dirfd, const char *path, int new_dirfd, const char *new_path)
{
	struct call c;
	char to[PATH_MAX + 32];
	about_name(&c, "renameat", dirfd, path);
	path_at(new_dirfd, new_path, to, sizeof(to));
	long result = -1;
	if (begin(&c, true))
		result = NEXT(renameat)(dirfd, path, new_dirfd, new_path);
	return (int)end(&c, result, to);
}
