/* Where the program asks the system for time and randomness: here and nowhere else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/env.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t now_ns(void *arg)
{
	struct timespec ts;
	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t wall_ms(void *arg)
{
	struct timespec ts;
	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void random_bytes(void *arg, void *bytes, size_t n)
{
	uint8_t *p = bytes;
	(void)arg;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0) {
			sl_assert(errno == EINTR);
			continue;
		}
		p += got;
		n -= (size_t)got;
	}
}

const struct sl_env sl_env_system = {
	.now_ns = now_ns,
	.wall_ms = wall_ms,
	.random = random_bytes,
};
