/* The file calls of the daemon, on the simulated disk. Each is a point at which another thread may go
 * on, before and where it takes time; each may fail as the plan says.
 *
 * Descriptors: 3 .. FDS - 1 are files and folders, higher ones belong to net.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim/disk.h"
#include "sim/wraps.h"

#define FDS 256

struct fd {
	unsigned ino; /* 0 = closed */
	size_t at;    /* of a folder: number of the name read last */
};

static struct fd fds[FDS];
static struct dirent entry;
static bool is_lying;

void sim_disk_lie(bool is)
{
	is_lying = is;
}

void sim_files_reset(void)
{
	memset(fds, 0, sizeof(fds));
}

unsigned sim_files_open(void)
{
	unsigned n = 0;
	for (int fd = 3; fd < FDS; fd++)
		n += fds[fd].ino != 0;
	return n;
}

static int fail(int errnum)
{
	errno = errnum;
	return -1;
}

/* A disk call begins: others may go first, and it may take a while. */
static void begin(const char *what, uint64_t a, uint64_t b)
{
	sim_yield();
	if (sim_is_node() && !sim_is_quiet() && sim_one_in(sim_plan.slow_den))
		sim_sleep(1 + sim_below(20 * 1000 * 1000));
	sim_note(what, a, b);
}

static struct disk_inode *inode_of(int fd)
{
	if (fd < 3 || fd >= FDS || fds[fd].ino == 0)
		sim_fail("descriptor %d is used, and is not open", fd);
	return &disk.inodes[fds[fd].ino];
}

static int new_fd(unsigned ino)
{
	int fd = 3;
	while (fd < FDS && fds[fd].ino != 0)
		fd++;
	if (fd == FDS)
		sim_fail("descriptors leak");
	fds[fd] = (struct fd){.ino = ino};
	disk.inodes[ino].opens++;
	return fd;
}

/* ---- names ---- */

/* The folder that holds the last component of `path`, and that component; 0 and errno. */
static unsigned walk_to(int dirfd, const char *path, char last[DISK_NAME])
{
	unsigned at = path[0] == '/' ? DISK_ROOT : (inode_of(dirfd), fds[dirfd].ino);
	for (;;) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n >= DISK_NAME)
			sim_fail("a name of %zu characters", n);
		memcpy(last, path, n);
		last[n] = '\0';
		path += n + strspn(path + n, "/");
		if (*path == '\0')
			return at;
		at = disk_find(at, last);
		if (at == 0 || !disk.inodes[at].is_folder) {
			errno = at == 0 ? ENOENT : ENOTDIR;
			return 0;
		}
	}
}

static unsigned find_at(unsigned folder, const char *name)
{
	return strcmp(name, ".") == 0 || name[0] == '\0' ? folder : disk_find(folder, name);
}

static int open_at(int dirfd, const char *path, int flags)
{
	char last[DISK_NAME];
	begin("open", (uint64_t)flags, strlen(path));
	unsigned folder = walk_to(dirfd, path, last);
	if (folder == 0)
		return -1;
	unsigned ino = find_at(folder, last);
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		ino = disk_make(false);
		return ino != 0 ? new_fd(ino) : fail(ENOSPC);
	}
	if (ino != 0 && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
		return fail(EEXIST);
	if (ino == 0 && (flags & O_CREAT) == 0)
		return fail(ENOENT);
	if (ino == 0) {
		ino = disk_make(false);
		if (ino == 0)
			return fail(ENOSPC);
		disk_add(folder, last, ino);
	}
	if ((flags & O_TRUNC) != 0)
		(void)disk_resize(ino, 0);
	if ((flags & O_DIRECTORY) != 0 && !disk.inodes[ino].is_folder)
		return fail(ENOTDIR);
	return new_fd(ino);
}

int __wrap_open(const char *path, int flags, ...)
{
	if (!sim_is_node())
		return __real_open(path, flags);
	if (strcmp(path, "/dev/null") == 0) /* the acceptor's reserve */
		return new_fd(DISK_ROOT);
	return open_at(-1, path, flags);
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags);
}

long __wrap_syscall(long number, ...)
{
	va_list ap;
	if (number != SYS_openat2)
		sim_fail("system call %ld is not simulated", number);
	va_start(ap, number);
	int fd = va_arg(ap, int);
	const char *path = va_arg(ap, const char *);
	const struct open_how *how = va_arg(ap, const struct open_how *);
	va_end(ap);
	return open_at(fd, path, (int)how->flags);
}

ssize_t __wrap_getdents64(int fd, void *out, size_t cap)
{
	const struct disk_name *name;
	size_t used = 0;
	begin("getdents", fds[fd].ino, inode_of(fd)->names.n);
	while ((name = disk_next(fds[fd].ino, fds[fd].at)) != NULL) {
		size_t n = offsetof(struct dirent64, d_name) + strlen(name->s) + 1;
		n = (n + 7) / 8 * 8;
		if (used + n > cap)
			break;
		struct dirent64 *e = (void *)((char *)out + used);
		e->d_ino = name->ino;
		e->d_type = disk.inodes[name->ino].is_folder ? DT_DIR : DT_REG;
		e->d_reclen = (unsigned short)n;
		memcpy(e->d_name, name->s, strlen(name->s) + 1);
		used += n;
		fds[fd].at = name->no;
	}
	return (ssize_t)used;
}

void __wrap_rewinddir(DIR *dir)
{
	((struct fd *)(void *)dir)->at = 0;
}

/* The stream is the descriptor's own place in the table. */
DIR *__wrap_fdopendir(int fd)
{
	inode_of(fd);
	return (DIR *)(void *)&fds[fd];
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct fd *f = (struct fd *)(void *)dir;
	const struct disk_name *name = disk_next(f->ino, f->at);
	if (name == NULL)
		return NULL;
	f->at = name->no;
	entry.d_type = disk.inodes[name->ino].is_folder ? DT_DIR : DT_REG;
	snprintf(entry.d_name, sizeof(entry.d_name), "%s", name->s);
	return &entry;
}

int __wrap_dirfd(DIR *dir)
{
	return (int)((struct fd *)(void *)dir - fds);
}

int __wrap_closedir(DIR *dir)
{
	return __wrap_close(__wrap_dirfd(dir));
}

int __wrap_mkdirat(int dirfd, const char *path, unsigned mode)
{
	char last[DISK_NAME];
	(void)mode;
	begin("mkdir", strlen(path), 0);
	unsigned folder = walk_to(dirfd, path, last);
	if (folder == 0)
		return -1;
	if (disk_find(folder, last) != 0)
		return fail(EEXIST);
	unsigned ino = disk_make(true);
	if (ino == 0)
		return fail(ENOSPC);
	disk_add(folder, last, ino);
	return 0;
}

int __wrap_mkdir(const char *path, unsigned mode)
{
	return __wrap_mkdirat(-1, path, mode);
}

int __wrap_linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
	char last[DISK_NAME];
	int self;
	unsigned ino;
	(void)flags;
	begin("link", strlen(from), strlen(to));
	if (sscanf(from, "/proc/self/fd/%d", &self) == 1) {
		inode_of(self);
		ino = fds[self].ino;
	} else {
		unsigned folder = walk_to(fromfd, from, last);
		ino = folder != 0 ? disk_find(folder, last) : 0;
	}
	unsigned folder = walk_to(tofd, to, last);
	if (ino == 0 || folder == 0)
		return fail(ENOENT);
	if (disk_find(folder, last) != 0)
		return fail(EEXIST);
	if (sim_disk_free_blocks() == 0)
		return fail(ENOSPC);
	disk_add(folder, last, ino);
	return 0;
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
	char last[DISK_NAME];
	begin("unlink", strlen(path), (uint64_t)flags);
	unsigned folder = walk_to(dirfd, path, last);
	unsigned ino = folder != 0 ? disk_find(folder, last) : 0;
	if (ino == 0)
		return fail(ENOENT);
	if (((flags & AT_REMOVEDIR) != 0) != disk.inodes[ino].is_folder)
		return fail(disk.inodes[ino].is_folder ? EISDIR : ENOTDIR);
	if (disk.inodes[ino].is_folder && disk.inodes[ino].names.n > 0)
		return fail(ENOTEMPTY);
	disk_remove(folder, last);
	return 0;
}

int __wrap_renameat(int fromfd, const char *from, int tofd, const char *to)
{
	char old_name[DISK_NAME], new_name[DISK_NAME];
	begin("rename", strlen(from), strlen(to));
	unsigned a = walk_to(fromfd, from, old_name), b = walk_to(tofd, to, new_name);
	if (a == 0 || b == 0 || disk_find(a, old_name) == 0)
		return fail(ENOENT);
	unsigned taken = disk_find(b, new_name);
	if (taken != 0 && disk.inodes[taken].is_folder)
		return fail(ENOTEMPTY);
	disk_rename(a, old_name, b, new_name);
	return 0;
}

/* ---- bytes ---- */

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int iov_n, off_t off)
{
	struct disk_inode *i = inode_of(fd);
	size_t n = 0, done = 0;
	for (int k = 0; k < iov_n; k++)
		n += iov[k].iov_len;
	begin("write", fds[fd].ino, n);
	if (n > 1 && sim_one_in(sim_plan.short_den)) {
		if (sim_one_in(4))
			return fail(EINTR);
		n = 1 + sim_below((uint32_t)n - 1);
	}
	if ((size_t)off + n > i->bytes.n && !disk_resize(fds[fd].ino, (size_t)off + n)) {
		if (!sim_plan.has_outsider && disk.keeps > 0)
			sim_fail("the disk is full, though nobody else writes to it");
		return fail(ENOSPC);
	}
	for (int k = 0; k < iov_n && done < n; k++) {
		size_t part = sl_min(iov[k].iov_len, n - done);
		memcpy(i->bytes.at + (size_t)off + done, iov[k].iov_base, part);
		done += part;
	}
	sim_disk_check_mark();
	return (ssize_t)done;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t off)
{
	const struct iovec iov = {(void *)(uintptr_t)bytes, n};
	return __wrap_pwritev(fd, &iov, 1, off);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t n, off_t off)
{
	struct disk_inode *i = inode_of(fd);
	begin("read", fds[fd].ino, (uint64_t)off);
	size_t got = (size_t)off < i->bytes.n ? sl_min(n, i->bytes.n - (size_t)off) : 0;
	if (got > 0)
		memcpy(bytes, i->bytes.at + (size_t)off, got);
	return (ssize_t)got;
}

/* What _FORTIFY_SOURCE makes of it. */
ssize_t __wrap___pread_chk(int fd, void *bytes, size_t n, off_t off, size_t room)
{
	sl_assert(n <= room);
	return __wrap_pread(fd, bytes, n, off);
}

int __wrap_ftruncate(int fd, off_t n)
{
	inode_of(fd);
	return disk_resize(fds[fd].ino, (size_t)n) ? 0 : fail(ENOSPC);
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t n)
{
	(void)mode;
	inode_of(fd);
	begin("fallocate", fds[fd].ino, (uint64_t)n);
	return disk_keep(fds[fd].ino, (size_t)(off + n)) ? 0 : fail(ENOSPC);
}

/* ---- durability ---- */

/* What was changed before it began is durable when it returns 0; what comes meanwhile is not. */
int __wrap_fsync(int fd)
{
	inode_of(fd);
	unsigned ino = fds[fd].ino;
	size_t upto = disk.journal_n;
	if (is_lying)
		return 0;
	begin("fsync", ino, disk.inodes[ino].is_folder);
	if (sim_node_may_fail() && sim_one_in(sim_plan.eio_den)) {
		sim_note("fsync fails", ino, 0);
		disk_lose(ino);
		return fail(EIO);
	}
	if (disk.inodes[ino].is_folder)
		disk_sync_names(ino, upto);
	else
		disk_sync_bytes(ino);
	return 0;
}

int __wrap_fdatasync(int fd)
{
	if (sim_node_may_fail() && sim_one_in(sim_plan.enospc_den)) {
		sim_note("fdatasync finds no room", fds[fd].ino, 0);
		return fail(ENOSPC);
	}
	return __wrap_fsync(fd);
}

int __wrap_syncfs(int fd)
{
	inode_of(fd);
	begin("syncfs", 0, 0);
	disk_sync_all();
	return 0;
}

/* ---- the rest ---- */

int __wrap_close(int fd)
{
	if (!sim_is_node() && !sim_net_has(fd))
		return __real_close(fd);
	if (sim_net_has(fd)) {
		sim_net_close_fd(fd);
		return 0;
	}
	struct disk_inode *i = inode_of(fd);
	unsigned ino = fds[fd].ino;
	fds[fd].ino = 0;
	i->opens--;
	disk_release_if_gone(ino);
	return 0;
}

static void fill_stat(unsigned ino, struct stat *sb)
{
	const struct disk_inode *i = &disk.inodes[ino];
	*sb = (struct stat){.st_dev = 1,
		.st_ino = ino,
		.st_mode = i->is_folder ? S_IFDIR | 0750 : S_IFREG | 0440,
		.st_nlink = i->links,
		.st_size = (off_t)i->bytes.n,
		.st_blocks = (blkcnt_t)((i->bytes.n + 511) / 512)};
}

int __wrap_fstat(int fd, struct stat *sb)
{
	inode_of(fd);
	fill_stat(fds[fd].ino, sb);
	return 0;
}

int __wrap_fstatat(int dirfd, const char *path, struct stat *sb, int flags)
{
	char last[DISK_NAME];
	(void)flags;
	begin("stat", strlen(path), 0);
	unsigned folder = walk_to(dirfd, path, last);
	unsigned ino = folder != 0 ? find_at(folder, last) : 0;
	if (ino == 0)
		return fail(ENOENT);
	fill_stat(ino, sb);
	return 0;
}

int __wrap_faccessat(int dirfd, const char *path, int mode, int flags)
{
	struct stat sb;
	(void)mode;
	return __wrap_fstatat(dirfd, path, &sb, flags);
}

int __wrap_fstatvfs(int fd, struct statvfs *sv)
{
	inode_of(fd);
	begin("statvfs", sim_disk_free_blocks(), 0);
	*sv = (struct statvfs){.f_frsize = DISK_BLOCK,
		.f_bsize = DISK_BLOCK,
		.f_blocks = disk.size,
		.f_bfree = sim_disk_free_blocks(),
		.f_bavail = sim_disk_free_blocks(),
		.f_files = disk.inodes_max,
		.f_ffree = disk_free_inodes(),
		.f_favail = disk_free_inodes()};
	return 0;
}

int __wrap_fchmod(int fd, unsigned mode)
{
	(void)mode;
	inode_of(fd);
	return 0;
}

int __wrap_flock(int fd, int operation)
{
	(void)operation;
	inode_of(fd);
	return 0;
}

pid_t __wrap_getpid(void)
{
	return 1;
}
