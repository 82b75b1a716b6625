/* A folder for one test, on a file system that LMDB may use: an overlay (a container's root) is not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/index_lmdb.h"

struct tmpdir {
	char path[256];
};

/* False when there is no such place: the test prints NOT RUN and is skipped. */
static inline bool tmpdir_make(struct tmpdir *t)
{
	const char *const places[] = {getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"};
	for (size_t i = 0; i < SL_ARRAY_N(places); i++) {
		struct statfs fs;
		if (places[i] == NULL || statfs(places[i], &fs) != 0 ||
			sl_index_lmdb_unsafe_fs((unsigned long)fs.f_type) != NULL)
			continue;
		snprintf(t->path, sizeof(t->path), "%s/sluice-test-XXXXXX", places[i]);
		if (mkdtemp(t->path) != NULL)
			return true;
	}
	printf("NOT RUN: no folder on a local file system\n");
	return false;
}

static inline int tmpdir_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void tmpdir_remove(const struct tmpdir *t)
{
	(void)nftw(t->path, tmpdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}
