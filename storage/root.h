/* storage.root: the one folder that is ours, opened once, locked, checked, and held by descriptor.
 *
 * Happy path: sl_root_open() makes what is missing (mkdir -p, 0750), takes the lock, opens the folders
 * and proves by trying that the file system can do what the store relies on: writing, hard links from
 * spool/ to archive/, unnamed files. What it made is fsynced. After that nothing is reached by an
 * absolute path, and never through a symbolic link: sl_root_openat() resolves beneath a descriptor.
 * The 256 folders of archive/ are made as studies need them (a store of one study shows one).
 *
 * Failure: a diagnosis that says what to do. A second daemon gets SL_E_BUSY and the holder's pid.
 * A disk that is full already is no reason not to start: probes that find no space are skipped.
 *
 * Threads: open and close on the main thread; everything else on any thread (the struct is constant).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "core/env.h"
#include "storage/water.h"

#define SL_ROOT_PATH_MAX 1024 /* characters of storage.root and index.path */

struct sl_root_opts {
	const char *index_path; /* folder of the index; NULL or "" = index/ beneath the root */
	const char *group; /* storage.group: name of the group that may read; NULL or "" = none */
	bool is_durable;   /* false: storage.durability = "none", folders are not fsynced */
	const struct sl_env *env; /* start time in the lock file */
};

struct sl_root {
	/* folders, O_CLOEXEC */
	int root_fd, spool_fd, archive_fd, trash_fd, journal_fd, index_fd;
	int lock_fd; /* <root>/lock, flocked as long as it is open */
	bool is_durable;
	bool has_tmpfile;   /* O_TMPFILE and linking it work here; else write a named temp */
	mode_t folder_mode; /* 0750, with setgid where storage.group is used */
	gid_t gid;          /* of storage.group; (gid_t)-1 = none */
	char path[SL_ROOT_PATH_MAX];       /* as configured, for messages */
	char index_path[SL_ROOT_PATH_MAX]; /* folder of the index, for LMDB */
};

/* SL_E_BUSY (another daemon holds the lock), SL_E_CONFIG (the operator can mend it: permission, group,
 * a link or a file in the way, two file systems), SL_E_UNSUPPORTED (no hard links here), SL_E_FULL,
 * SL_E_SYNC, SL_E_IO. On failure nothing stays open. */
SL_MUST enum sl_status sl_root_open(
	const char *path, const struct sl_root_opts *opts, struct sl_root *out, struct sl_diag *d);

/* Closes the descriptors and so gives the lock back. */
void sl_root_close(struct sl_root *r);

/* openat() that stays beneath dirfd and passes through no symbolic link, in no component. O_CLOEXEC is
 * added. Returns the descriptor, or -1 and errno (ELOOP, ENOTDIR: a link is in the way; EXDEV: the
 * path leads out). Kernels and sandboxes without openat2() get the same by walking the components. */
int sl_root_openat(int dirfd, const char *path, int flags, mode_t mode);

/* What is in spool/ and archive/ now is durable afterwards, bytes and names: for who finds it there and
 * does not know (one syncfs, so it may take as long as the disk's cache is full). Nothing with durability
 * "none". SL_E_SYNC. */
SL_MUST enum sl_status sl_root_sync(const struct sl_root *r, struct sl_diag *d);

enum sl_root_sync {
	SL_ROOT_SYNC_NONE, /* durability "none" */
	SL_ROOT_SYNC_NEW,  /* the parent of every folder made by this call */
	SL_ROOT_SYNC_ALL, /* every folder on the way: recovery, where an earlier run may have made it
			      without living to sync it */
};

/* Opens the folder `path` beneath dirfd and makes what is missing of it; its parents are fsynced as
 * `sync` says. *out is owned. SL_E_FULL, SL_E_SYNC, SL_E_IO. */
SL_MUST enum sl_status sl_root_folder(const struct sl_root *r, int dirfd, const char *path,
	enum sl_root_sync sync, int *out, struct sl_diag *d);

/* How full the file system of the root is: the look of water.h. arg is the struct sl_root. */
SL_MUST enum sl_status sl_root_statfs_look(void *arg, struct sl_water_fs *fs, struct sl_diag *d);
