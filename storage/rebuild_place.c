/* The folders around a rebuild: where the index is, where the new one is made, and the change of place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rebuild_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"

static const char marker[] = "rebuilding";

enum sl_status sl_rebuild_folder(int dirfd, const char *name, DIR **out, struct sl_diag *d)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*out = fd >= 0 ? fdopendir(fd) : NULL;
	if (*out != NULL)
		return SL_OK;
	enum sl_status st = sl_oserr_fail(d, name);
	if (fd >= 0)
		close(fd);
	return st;
}

enum sl_status sl_rebuild_seq_after_quarantine(
	const struct sl_root *root, uint64_t *next, struct sl_diag *d)
{
	struct dirent *entry;
	struct sl_diag none = {0};
	uint64_t seq;
	DIR *dir;
	enum sl_status st = sl_rebuild_folder(root->root_fd, SL_PATH_QUARANTINE, &dir, &none);
	if (st == SL_E_NOTFOUND)
		return SL_OK;
	if (st != SL_OK)
		return sl_fail(d, st, none.errnum, none.where, "%s", none.text);
	while ((entry = readdir(dir)) != NULL)
		if (sl_path_spool_seq(entry->d_name, &seq) && seq < UINT64_MAX)
			*next = sl_max64(*next, seq + 1);
	closedir(dir);
	return SL_OK;
}

bool sl_rebuild_is_due(const struct sl_root *root)
{
	return faccessat(root->index_fd, marker, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool sl_rebuild_has_files(const struct sl_root *root)
{
	bool has_some = false;
	struct dirent *entry;
	struct sl_diag none = {0};
	DIR *dir;
	if (sl_rebuild_folder(root->archive_fd, ".", &dir, &none) != SL_OK)
		return true; /* rather a rebuild too many */
	while (!has_some && (entry = readdir(dir)) != NULL)
		has_some = entry->d_name[0] != '.';
	closedir(dir);
	return has_some;
}

enum sl_status sl_rebuild_clear(
	const struct sl_root *root, bool all, bool *had_some, struct sl_diag *d)
{
	struct dirent *entry;
	struct sl_diag none = {0};
	DIR *dir;
	enum sl_status st = sl_rebuild_folder(root->index_fd, SL_REBUILD_DRAFT, &dir, &none);
	*had_some = false;
	if (st == SL_E_NOTFOUND)
		return SL_OK;
	if (st != SL_OK)
		return sl_fail(d, st, none.errnum, none.where, "%s", none.text);
	while (st == SL_OK && (entry = readdir(dir)) != NULL) {
		bool is_dots = entry->d_name[0] == '.';
		if (is_dots || (!all && strstr(entry->d_name, ".mdb") == NULL))
			continue;
		*had_some = true;
		if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
			st = sl_oserr_fail(d, "index/sweep");
	}
	closedir(dir);
	return st;
}

enum sl_status sl_rebuild_sweep(const struct sl_root *root, bool *had_some, struct sl_diag *d)
{
	enum sl_status st = sl_rebuild_clear(root, true, had_some, d);
	if (st != SL_OK)
		return st;
	if (unlinkat(root->index_fd, SL_REBUILD_DRAFT, AT_REMOVEDIR) != 0)
		return errno == ENOENT ? SL_OK : sl_oserr_fail(d, "index/sweep");
	if (root->is_durable && fsync(root->index_fd) != 0)
		return sl_fail(d, SL_E_SYNC, errno, "index/fsync", "%s", strerror(errno));
	return SL_OK;
}

/* From the rename on the draft is the index. Names that were read need not be durable: who made them may have
 * been killed before its fsync. No row may outlive its file, so they are synced first, in one call,
 * whichever folders they are in. */
enum sl_status sl_rebuild_take_place(const struct sl_root *root, struct sl_diag *d)
{
	bool had_some;
	if (root->is_durable && syncfs(root->root_fd) != 0)
		return sl_fail(d, SL_E_SYNC, errno, "archive/syncfs", "%s", strerror(errno));
	if (renameat(root->index_fd, "new/data.mdb", root->index_fd, "data.mdb") != 0)
		return sl_oserr_fail(d, "index/rename");
	/* The marker of an earlier program was about the index that is gone now. */
	if (unlinkat(root->index_fd, marker, 0) != 0 && errno != ENOENT)
		return sl_oserr_fail(d, "index/mark");
	return sl_rebuild_sweep(root, &had_some, d);
}
