/* Every file of archive/, by several threads: what rebuild and verify go through.
 *
 * Happy path: each thread takes the next of the folders hh and goes through its studies and their series;
 * for each file on_file() is called on that thread, with the folder's descriptor, so that the file is reached by
 * its last name alone. Folders are opened beneath their parents, never through a link. Files of one
 * folder come in the order of their inodes, which is about how they lie on the disk.
 *
 * What has no place there (a file where folders are, a folder where files are, a link, a name that begins
 * with a dot) and what cannot be opened is told by on_bad(), which says whether to go on.
 *
 * Without on_file() only the folders are looked at: on_fan() tells for each hh whether anything in it came,
 * went or was renamed since it was told the last time.
 *
 * Failure: the first callback that does not return SL_OK ends the scan, on all threads, with its status.
 * Threads: the caller's waits; the callbacks come on the scan's own threads.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/path.h"
#include "storage/root.h"

#define SL_SCAN_THREADS_MAX 64

struct sl_scan_file {
	int folder_fd;    /* of its series; borrowed during the call */
	const char *name; /* in it */
	const char *
		path; /* beneath archive/: hh/study/series/name; at most SL_PATH_MAX with its NUL */
};

struct sl_scan_fan {
	const char *name; /* hh; borrowed during the call */
	uint64_t sum; /* of its folders: inode, time of change and path of each, before it was read.
			   * Files that are written over in place do not show in it. */
};

struct sl_scan_conf {
	unsigned threads; /* 1 .. SL_SCAN_THREADS_MAX */
	/* False: that hh is passed over. Under a lock; may be NULL. */
	bool (*wants)(void *arg, const char *fan);
	/* thread: 0 .. threads - 1; NULL: folders alone */
	enum sl_status (*on_file)(
		void *arg, unsigned thread, const struct sl_scan_file *f, struct sl_diag *d);
	/* why: SL_E_UNSUPPORTED: has no place in archive/; else what opening it came to, told in d. */
	enum sl_status (*on_bad)(void *arg, unsigned thread, const char *path, enum sl_status why,
		struct sl_diag *d);
	/* After the last file of an hh; on its thread. May be NULL. */
	enum sl_status (*on_fan)(
		void *arg, unsigned thread, const struct sl_scan_fan *fan, struct sl_diag *d);
	/* On the caller's thread, each tick_ms while it waits. permille: of the folders that were begun.
	 * May be NULL. */
	void (*on_tick)(void *arg, unsigned permille);
	uint32_t tick_ms;
	void *arg;
};

/* SL_OK when all was seen; SL_E_NOMEM; SL_E_IO: archive/ itself; what a callback returned. */
SL_MUST enum sl_status sl_scan_archive(
	const struct sl_root *root, const struct sl_scan_conf *conf, struct sl_diag *d);
