/* A wall clock that jumps: an LD_PRELOAD library for the tests.
 *
 *	SLUICE_CLOCK=FILE    its first 20 characters are the seconds by which the wall clock is wrong;
 *	                     written anew while the daemon runs, they count at once
 *
 * CLOCK_REALTIME, gettimeofday() and time() jump; CLOCK_MONOTONIC does not, as in life.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define DIGITS 20

static const volatile char *said; /* NULL: the clock is right */

__attribute__((constructor)) static void read_settings(void)
{
	const char *path = getenv("SLUICE_CLOCK");
	int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *map = mmap(NULL, DIGITS + 1, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	said = map == MAP_FAILED ? NULL : map;
}

/* The jump [s]. */
static long jump(void)
{
	char text[DIGITS + 1] = "";
	for (int i = 0; said != NULL && i < DIGITS; i++)
		text[i] = said[i];
	return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);
	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec += jump();
	return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	int rc = (int)syscall(SYS_gettimeofday, tv, zone);
	if (rc == 0)
		tv->tv_sec += jump();
	return rc;
}

time_t time(time_t *out)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
