/* A log into a file of its own, at a fixed time, for the tests of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/log.h"

#define FULL (64 * SL_KIB) /* more than any line or file read back here */

static inline uint64_t fixed_ns(void *arg)
{
	(void)arg;
	return 1;
}

/* 2024-02-29 12:34:56.789 UTC */
static inline int64_t fixed_ms(void *arg)
{
	(void)arg;
	return 1709210096789;
}

static inline void fixed_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 7, n);
}

static const struct sl_env log_env = {fixed_ns, fixed_ms, fixed_random, NULL};

struct fixture {
	char dir[64], path[96];
	char text[FULL];
	struct sl_log_conf conf;
};

static inline int log_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/sl_log_XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	f->conf = (struct sl_log_conf){.level = SL_LOG_INFO,
		.identifiers = SL_LOG_ID_HASH,
		.is_utc = true,
		.path = f->path,
		.env = &log_env};
	*state = f;
	return 0;
}

static inline int log_teardown(void **state)
{
	struct fixture *f = *state;
	char other[112];
	snprintf(other, sizeof(other), "%s.1", f->path);
	unlink(other);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static inline struct sl_log *open_log(struct fixture *f)
{
	struct sl_diag d = {0};
	struct sl_log *log = NULL;
	assert_int_equal(sl_log_open(&log, &f->conf, &d), SL_OK);
	return log;
}

static inline const char *read_back(struct fixture *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, f->text, sizeof(f->text) - 1);
	assert_true(n >= 0);
	f->text[n] = '\0';
	close(fd);
	return f->text;
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_setup, log_teardown)
