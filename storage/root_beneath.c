/* Reaching files and folders beneath a descriptor, never through a link, never outside (HOSTILE 1-4).
 *
 * openat2() says it in one call. Where the kernel or a sandbox does not know it (ENOSYS, EPERM from
 * older seccomp profiles), the path is walked one component at a time with O_NOFOLLOW, which comes to
 * the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/oserr.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define PASS_FLAGS   (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int open_by_openat2(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && errno == EINTR);
	return (int)fd;
}

/* Cuts the first component off *path into name[]; *is_last when nothing follows it.
 * Returns 0, or the errno to fail with. */
static int cut_component(const char **path, char name[NAME_MAX + 1], bool *is_last)
{
	size_t n = strcspn(*path, "/");
	if (n == 0)
		return **path == '/' ? EXDEV : ENOENT; /* absolute, or nothing at all */
	if (n > NAME_MAX)
		return ENAMETOOLONG;
	memcpy(name, *path, n);
	name[n] = '\0';
	if (strcmp(name, "..") == 0)
		return EXDEV;
	*path += n + strspn(*path + n, "/");
	*is_last = **path == '\0';
	return 0;
}

static int open_by_walk(int dirfd, const char *path, int flags, mode_t mode)
{
	char name[NAME_MAX + 1];
	int at = dirfd, fd, errnum;
	bool is_last = false;
	do {
		fd = -1;
		errnum = cut_component(&path, name, &is_last);
		if (errnum == 0) {
			fd = is_last ? openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode)
				     : openat(at, name, PASS_FLAGS);
			errnum = errno;
		}
		if (at != dirfd)
			close(at);
		at = fd;
	} while (fd >= 0 && !is_last);
	if (fd < 0)
		errno = errnum;
	return fd;
}

int sl_root_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd = open_by_openat2(dirfd, path, flags, mode);
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_by_walk(dirfd, path, flags, mode);
	return fd;
}

/* Opens one folder, making it if it is missing. Returns -1 and errno. */
static int enter_folder(const struct sl_root *r, int at, const char *name, bool *is_made)
{
	int fd = openat(at, name, FOLDER_FLAGS);
	*is_made = false;
	if (fd >= 0 || errno != ENOENT)
		return fd;
	*is_made = mkdirat(at, name, 0750) == 0;
	if (!*is_made && errno != EEXIST)
		return -1;
	fd = openat(at, name, FOLDER_FLAGS);
	if (fd >= 0 && *is_made && fchmod(fd, r->folder_mode) != 0) {
		int errnum = errno;
		close(fd);
		errno = errnum;
		return -1;
	}
	return fd;
}

enum sl_status sl_root_folder(const struct sl_root *r, int dirfd, const char *path,
	enum sl_root_sync sync, int *out, struct sl_diag *d)
{
	char name[NAME_MAX + 1];
	enum sl_status st = SL_OK;
	int at = dirfd, fd;
	bool is_last = false;
	if (!r->is_durable)
		sync = SL_ROOT_SYNC_NONE;
	if (sync != SL_ROOT_SYNC_ALL) { /* most folders exist: one call */
		*out = sl_root_openat(dirfd, path, FOLDER_FLAGS, 0);
		if (*out >= 0)
			return SL_OK;
	}
	do {
		bool is_made = false;
		int errnum = cut_component(&path, name, &is_last);
		fd = errnum == 0 ? enter_folder(r, at, name, &is_made) : -1;
		if (fd < 0 && errnum == 0)
			errnum = errno;
		if (fd < 0)
			st = sl_fail(d, sl_oserr_status(errnum), errnum, "root/folder",
				"cannot make or open the folder %.80s: %s", name, strerror(errnum));
		else if ((is_made ? sync != SL_ROOT_SYNC_NONE : sync == SL_ROOT_SYNC_ALL) &&
			 fsync(at) != 0)
			st = sl_fail(d, SL_E_SYNC, errno, "root/folder",
				"fsync of the parent of %.80s failed: %s", name, strerror(errno));
		if (at != dirfd)
			close(at);
		at = fd;
	} while (st == SL_OK && !is_last);
	if (st != SL_OK && fd >= 0)
		close(fd);
	*out = st == SL_OK ? fd : -1;
	return st;
}
