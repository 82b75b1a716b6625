/* Compacting: a copy of the index without its free pages takes its place.
 *
 * Happy path: LMDB writes the copy into the folder compact/ beneath the index's; it is opened as an index,
 * recounted row by row and compared with what the old one counts; then it is fsynced and renamed over the
 * old file, and the folder that names it fsynced. Failure or a crash before the rename leaves the old
 * file, and after it the new one; what is left in compact/ is removed by the next start or run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"

#define COPY      "compact"
#define PATH_LEN  4096
#define DATA_FILE "data.mdb"

static const char *const leftovers[] = {COPY "/" DATA_FILE, COPY "/lock.mdb"};

void sl_index_lmdb_forget_copy(int folder_fd)
{
	for (size_t i = 0; i < SL_ARRAY_N(leftovers); i++)
		(void)unlinkat(folder_fd, leftovers[i], 0);
	(void)unlinkat(folder_fd, COPY, AT_REMOVEDIR);
}

static enum sl_status file_len(int folder_fd, const char *name, uint64_t *out, struct sl_diag *diag)
{
	struct stat sb;
	if (fstatat(folder_fd, name, &sb, 0) != 0)
		return sl_oserr_fail(diag, "compact/stat");
	*out = (uint64_t)sb.st_size;
	return SL_OK;
}

static enum sl_status write_copy(
	struct sl_index_lmdb *ix, int folder_fd, const char *path, struct sl_diag *diag)
{
	sl_index_lmdb_forget_copy(folder_fd);
	if (mkdirat(folder_fd, COPY, 0750) != 0)
		return sl_oserr_fail(diag, "compact/mkdir");
	return sl_index_lmdb_error(
		mdb_env_copy2(ix->env, path, MDB_CP_COMPACT), "compact/copy", diag);
}

/* The copy is an index, whole, and counts what the old one counts. */
static enum sl_status check_copy(const struct sl_index_lmdb_options *options, const char *path,
	const struct sl_index_usage *expected, struct sl_diag *diag)
{
	struct sl_index_lmdb_options own = *options;
	struct sl_index_report report = {0};
	struct sl_index *copy;
	own.path = path;
	own.create = false;
	enum sl_status st = sl_index_lmdb_open(&own, &copy, diag);
	if (st != SL_OK)
		return st;
	st = sl_index_check(copy, &report, diag);
	sl_index_close(copy);
	if (st != SL_OK)
		return st;
	if (report.wrong > 0)
		return sl_fail(diag, SL_E_CORRUPT, 0, "compact/check",
			"the index is damaged, so its copy is not taken: %.80s", report.first);
	if (memcmp(&report.counted, expected, sizeof(*expected)) != 0)
		return sl_fail(diag, SL_E_CORRUPT, 0, "compact/check",
			"the copy does not count what the index counts; it is not taken");
	return SL_OK;
}

static enum sl_status sync_name(int folder_fd, const char *name, int flags, struct sl_diag *diag)
{
	int fd = openat(folder_fd, name, flags | O_CLOEXEC);
	if (fd < 0)
		return sl_oserr_fail(diag, "compact/open");
	int rc = fsync(fd);
	int err = errno;
	close(fd);
	if (rc == 0)
		return SL_OK;
	return sl_fail(
		diag, SL_E_SYNC, err, "compact/fsync", "fsync of %s: %s", name, strerror(err));
}

/* The copy takes the place of the old file, which nobody has open. */
static enum sl_status swap(int folder_fd, struct sl_diag *diag)
{
	enum sl_status st = sync_name(folder_fd, leftovers[0], O_RDWR, diag);
	if (st == SL_OK && renameat(folder_fd, leftovers[0], folder_fd, DATA_FILE) != 0)
		st = sl_oserr_fail(diag, "compact/rename");
	return st == SL_OK ? sync_name(folder_fd, ".", O_RDONLY | O_DIRECTORY, diag) : st;
}

enum sl_status sl_index_lmdb_compact(const struct sl_index_lmdb_options *options,
	struct sl_index_compacted *out, struct sl_diag *diag)
{
	char path[PATH_LEN];
	struct sl_index *old = NULL;
	struct sl_index_snapshot snap;
	*out = (struct sl_index_compacted){0};
	snprintf(path, sizeof(path), "%s/" COPY, options->path);
	int fd = open(options->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return sl_oserr_fail(diag, "compact/open");
	enum sl_status st = sl_index_lmdb_open(options, &old, diag);
	if (st == SL_OK) {
		sl_index_snapshot(old, &snap);
		st = file_len(fd, DATA_FILE, &out->before, diag);
	}
	if (st == SL_OK)
		st = write_copy(sl_index_lmdb_of(old), fd, path, diag);
	sl_index_close(old);
	if (st == SL_OK)
		st = check_copy(options, path, &snap.usage, diag);
	if (st == SL_OK)
		st = file_len(fd, leftovers[0], &out->after, diag);
	if (st == SL_OK)
		st = swap(fd, diag);
	sl_index_lmdb_forget_copy(fd);
	close(fd);
	return st;
}
