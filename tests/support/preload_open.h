/* The four names under which a program opens a file, for an interposer: all of them are watched_open(),
 * which the including file has defined before:
 *
 *	static int watched_open(int dirfd, const char *path, int flags, mode_t mode);
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdarg.h>

/* The argument that is there only when a file may be made. */
#define MODE_OF(flags, mode)                                  \
	do {                                                  \
		va_list ap;                                   \
		va_start(ap, flags);                          \
		if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) \
			mode = va_arg(ap, mode_t);            \
		va_end(ap);                                   \
	} while (0)

int openat(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return watched_open(dirfd, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return watched_open(dirfd, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return watched_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	MODE_OF(flags, mode);
	return watched_open(AT_FDCWD, path, flags, mode);
}
