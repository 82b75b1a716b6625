/* From spool/ to archive/: the second name, and only when it is durable the first one goes.
 *
 * Happy path, for a batch whose rows are committed: for each object the study and series folders are
 * made (each new folder's parent fsynced), the file is linked to its archive name; then each series
 * folder that got a name is fsynced once; only then are the spool names unlinked. A crash anywhere
 * leaves one or two names of one inode, and doing it again ends in the same place.
 *
 * A file that has the archive name of another object and no row (it was damaged when the index was
 * rebuilt) is set aside to quarantine/archive-<seq>.dcm, never deleted; on_set_aside tells.
 *
 * The batch is worked off in runs of one series (the indexer sorts it), so one folder is open at a time.
 *
 * Failure: SL_E_FULL leaves the rest in the spool for another try; a failed fsync is SL_E_SYNC.
 * Indexer thread, and recovery before it starts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/store_fs_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"

static bool is_same_series(const struct sl_locator *a, const struct sl_locator *b)
{
	return sl_uid_equal(&a->series_instance_uid, &b->series_instance_uid) &&
	       sl_uid_equal(&a->study_instance_uid, &b->study_instance_uid);
}

/* Whether both names are one file; so too when the spool name is gone. */
static enum sl_status compare_files(const struct sl_root *root, const char *spool_name,
	int series_fd, const char *leaf, bool *are_same, struct sl_diag *d)
{
	struct stat a, b;
	*are_same = true;
	if (fstatat(series_fd, leaf, &b, AT_SYMLINK_NOFOLLOW) != 0)
		return sl_oserr_fail(d, "archive/stat");
	if (fstatat(root->spool_fd, spool_name, &a, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? SL_OK : sl_oserr_fail(d, "spool/stat");
	*are_same = a.st_ino == b.st_ino && a.st_dev == b.st_dev;
	return SL_OK;
}

/* No row names this file, or the new one would not have got its name. Rare, so the folder is opened
 * each time and synced at once. */
static enum sl_status set_aside(const struct sl_store_fs *s, int series_fd, const char *leaf,
	const char *spool_name, struct sl_diag *d)
{
	const struct sl_root *root = s->root;
	char name[sizeof("archive-") + SL_PATH_MAX];
	int fd = -1;
	enum sl_status st = sl_root_folder(root, root->root_fd, SL_PATH_QUARANTINE,
		root->is_durable ? SL_ROOT_SYNC_NEW : SL_ROOT_SYNC_NONE, &fd, d);
	if (st != SL_OK)
		return st;
	snprintf(name, sizeof(name), "archive-%s", spool_name);
	if (renameat(series_fd, leaf, fd, name) != 0)
		st = sl_oserr_fail(d, "quarantine/rename");
	else if (root->is_durable && fsync(fd) != 0)
		st = sl_fail(d, SL_E_SYNC, errno, "quarantine/fsync", "%s", strerror(errno));
	close(fd);
	if (st == SL_OK && s->on_set_aside != NULL)
		s->on_set_aside(s->aside_arg, name);
	return st;
}

/* The archive name of one object, beside its spool name. */
static enum sl_status link_one(
	struct sl_store_fs *s, int series_fd, const struct sl_locator *at, struct sl_diag *d)
{
	const struct sl_root *root = s->root;
	bool are_same;
	struct sl_path spool, leaf;
	sl_store_fs_spool_name(&s->base, &spool, at->seq);
	sl_path_leaf(&leaf, &at->sop_instance_uid, at->has_plain_name ? 0 : at->seq);
	if (linkat(root->spool_fd, spool.s, series_fd, leaf.s, 0) == 0)
		return SL_OK;
	/* Linked by an earlier try; or even unlinked from the spool already. */
	if (errno != EEXIST && errno != ENOENT)
		return sl_oserr_fail(d, "archive/link");
	enum sl_status st = compare_files(root, spool.s, series_fd, leaf.s, &are_same, d);
	if (st == SL_OK && !are_same)
		st = set_aside(s, series_fd, leaf.s, spool.s, d);
	if (st != SL_OK || are_same)
		return st;
	if (linkat(root->spool_fd, spool.s, series_fd, leaf.s, 0) != 0)
		return sl_oserr_fail(d, "archive/link");
	return SL_OK;
}

/* The name in spool/ goes, if it is there. */
static enum sl_status unspool(struct sl_store_fs *s, uint64_t seq, struct sl_diag *d)
{
	struct sl_path name;
	sl_store_fs_spool_name(&s->base, &name, seq);
	if (unlinkat(s->root->spool_fd, name.s, 0) != 0 && errno != ENOENT)
		return sl_oserr_fail(d, "spool/unlink");
	sl_store_fs_lost(&s->base, seq);
	return SL_OK;
}

/* One run of objects of one series. */
static enum sl_status settle_run(
	struct sl_store_fs *s, const struct sl_locator *at, size_t n, struct sl_diag *d)
{
	const struct sl_root *root = s->root;
	enum sl_root_sync sync = s->is_recovering ? SL_ROOT_SYNC_ALL : SL_ROOT_SYNC_NEW;
	struct sl_path path;
	int fd = -1;
	sl_path_series(&path, &at->study_instance_uid, &at->series_instance_uid);
	enum sl_status st = sl_root_folder(root, root->archive_fd, path.s,
		root->is_durable ? sync : SL_ROOT_SYNC_NONE, &fd, d);
	if (st != SL_OK)
		return st;
	for (size_t i = 0; st == SL_OK && i < n; i++)
		st = link_one(s, fd, &at[i], d);
	if (st == SL_OK && root->is_durable && fsync(fd) != 0)
		st = sl_fail(d, SL_E_SYNC, errno, "archive/fsync", "fsync of a series folder: %s",
			strerror(errno));
	close(fd);
	/* Only now: a name leaves the spool when the other one is durable. */
	for (size_t i = 0; st == SL_OK && i < n; i++) {
		st = unspool(s, at[i].seq, d);
	}
	return st;
}

enum sl_status sl_store_fs_settle(
	struct sl_store *store, const struct sl_locator *at, size_t n, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	for (size_t i = 0, run; st == SL_OK && i < n; i += run) {
		run = 1;
		while (i + run < n && is_same_series(&at[i], &at[i + run]))
			run++;
		st = settle_run(sl_store_fs_of(store), &at[i], run, d);
	}
	return st;
}

enum sl_status sl_store_fs_remove(
	struct sl_store *store, const struct sl_locator *at, struct sl_diag *d)
{
	const struct sl_root *root = sl_store_fs_of(store)->root;
	struct sl_path path;
	enum sl_status st = unspool(sl_store_fs_of(store), at->seq, d);
	if (st != SL_OK)
		return st;
	sl_path_series(&path, &at->study_instance_uid, &at->series_instance_uid);
	int fd = sl_root_openat(root->archive_fd, path.s, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT ? SL_OK : sl_oserr_fail(d, "archive/open");
	sl_path_leaf(&path, &at->sop_instance_uid, at->has_plain_name ? 0 : at->seq);
	if (unlinkat(fd, path.s, 0) != 0 && errno != ENOENT)
		st = sl_oserr_fail(d, "archive/unlink");
	close(fd);
	return st;
}
