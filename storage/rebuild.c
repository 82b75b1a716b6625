/* The walk over archive/<hh>/<study>/<series>/<file>: four levels, four folders open, batches of rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/inflate.h"
#include "storage/oserr.h"
#include "storage/path.h"
#include "storage/trash.h"

#define BATCH    512
#define SCRATCH  (64 * SL_KIB)
#define LEVELS   4 /* hh, study, series, file */
#define PROGRESS 4096

static const char marker[] = "rebuilding";

struct rebuild {
	const struct sl_recover_deps *deps;
	struct sl_rebuild_report *report;
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far);
	void *arg;
	struct sl_rewalk walk;
	struct sl_record records[BATCH];
	const struct sl_record *rows[BATCH];
	struct sl_index_result results[BATCH];
	size_t n; /* of the batch */
};

/* Sets the marker or takes it away, durably. */
static enum sl_status mark(const struct sl_root *root, bool stands, struct sl_diag *d)
{
	int fd = -1;
	if (stands) {
		fd = sl_root_openat(root->index_fd, marker, O_CREAT | O_WRONLY, 0640);
		if (fd < 0)
			return sl_oserr_fail(d, "index/mark");
		close(fd);
	} else if (unlinkat(root->index_fd, marker, 0) != 0 && errno != ENOENT) {
		return sl_oserr_fail(d, "index/mark");
	}
	if (root->is_durable && fsync(root->index_fd) != 0)
		return sl_fail(d, SL_E_SYNC, errno, "index/fsync", "%s", strerror(errno));
	return SL_OK;
}

/* True when archive/ holds anything. */
static bool has_files(const struct sl_root *root)
{
	bool has_some = false;
	struct dirent *entry;
	int fd = openat(root->archive_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return true; /* rather a rebuild too many */
	}
	while (!has_some && (entry = readdir(dir)) != NULL)
		has_some = entry->d_name[0] != '.';
	closedir(dir);
	return has_some;
}

enum sl_status sl_rebuild_announce(const struct sl_root *root, struct sl_diag *d)
{
	return has_files(root) ? mark(root, true, d) : SL_OK;
}

bool sl_rebuild_is_due(const struct sl_root *root)
{
	return faccessat(root->index_fd, marker, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum sl_status flush(struct rebuild *rb, struct sl_diag *d)
{
	struct sl_index_snapshot before, after;
	if (rb->n == 0)
		return SL_OK;
	sl_index_snapshot(rb->deps->index, &before);
	enum sl_status st = sl_index_put_batch(rb->deps->index, rb->rows, rb->n, rb->results, d);
	sl_index_snapshot(rb->deps->index, &after);
	rb->report->indexed += after.usage.versions - before.usage.versions;
	rb->n = 0;
	return st;
}

static void count_bad(struct rebuild *rb, const char *path)
{
	size_t len = strlen(path), cap = sizeof(rb->report->first_bad) - 1;
	rb->report->bad++;
	if (rb->report->first_bad[0] == '\0')
		snprintf(rb->report->first_bad, sizeof(rb->report->first_bad), "%s",
			path + (len > cap ? len - cap : 0));
}

/* True when the record's file is where we would put it. */
static bool is_in_place(const struct sl_record *r, const char *path)
{
	struct sl_path own;
	sl_path_instance(&own, &r->study_instance_uid, &r->series_instance_uid,
		&r->sop_instance_uid, (r->flags & SL_RECORD_PLAIN_NAME) != 0 ? 0 : r->seq);
	return strcmp(own.s, path) == 0;
}

/* A file whose removal was committed in the index that is lost: on its way again. */
static enum sl_status take_out(struct rebuild *rb, const struct sl_record *r, struct sl_diag *d)
{
	const struct sl_index_tombstone tomb = {
		.seq = r->seq,
		.kind = SL_INDEX_TOMB_INSTANCE,
		.study_instance_uid = r->study_instance_uid,
		.series_instance_uid = r->series_instance_uid,
		.sop_instance_uid = r->sop_instance_uid,
		.object_seq = r->seq,
		.is_plain_name = (r->flags & SL_RECORD_PLAIN_NAME) != 0,
	};
	rb->report->gone++;
	return sl_trash_move(rb->deps->root, &tomb, 1, d);
}

/* One file of the archive. */
static enum sl_status add(struct rebuild *rb, const char *path, struct sl_diag *d)
{
	struct sl_store_reader reader;
	struct sl_record *r = &rb->records[rb->n];
	struct sl_diag why = {0};
	rb->report->files++;
	enum sl_status st = sl_store_fs_open_archived(rb->deps->store, &reader, path, &why);
	if (st == SL_OK) {
		st = sl_rewalk_file(&rb->walk, rb->deps->store, &reader, false, r, &why);
		rb->deps->store->ops->close(&reader);
	}
	if (st == SL_OK && !is_in_place(r, path))
		st = SL_E_CORRUPT;
	if (st == SL_E_CORRUPT) {
		count_bad(rb, path);
		return SL_OK;
	}
	if (st != SL_OK)
		return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
	if (rb->deps->ops != NULL && sl_ops_is_gone(rb->deps->ops, r))
		return take_out(rb, r, d);
	rb->rows[rb->n++] = r;
	if (rb->on_progress != NULL && rb->report->files % PROGRESS == 0)
		rb->on_progress(rb->arg, rb->report);
	return rb->n == BATCH ? flush(rb, d) : SL_OK;
}

/* The folders open on the way down. */
struct way {
	DIR *dir[LEVELS];
	size_t len[LEVELS]; /* of the path to it */
	int depth;
	char path[SL_PATH_MAX];
};

/* Opens the folder named by w->path (its last component `name`, in the innermost open one). */
static enum sl_status enter(struct way *w, int parent_fd, const char *name, struct sl_diag *d)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		enum sl_status st = sl_oserr_fail(d, "archive/list");
		if (fd >= 0)
			close(fd);
		return st;
	}
	w->dir[w->depth] = dir;
	w->len[w->depth] = strlen(w->path);
	w->depth++;
	return SL_OK;
}

/* The next step of the walk: a file, a folder to enter, or the end of one. */
static enum sl_status step(struct rebuild *rb, struct way *w, struct sl_diag *d)
{
	DIR *dir = w->dir[w->depth - 1];
	size_t len = w->len[w->depth - 1];
	errno = 0;
	struct dirent *entry = readdir(dir);
	if (entry == NULL && errno != 0)
		return sl_oserr_fail(d, "archive/list");
	if (entry == NULL) {
		closedir(dir);
		w->depth--;
		return SL_OK;
	}
	if (entry->d_name[0] == '.')
		return SL_OK;
	size_t n = strlen(entry->d_name), slash = len > 0;
	if (len + slash + n >= sizeof(w->path)) {
		count_bad(rb, entry->d_name);
		return SL_OK;
	}
	if (slash)
		w->path[len] = '/';
	memcpy(w->path + len + slash, entry->d_name, n + 1);
	if (w->depth == LEVELS)
		return add(rb, w->path, d);
	if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
		return enter(w, dirfd(dir), entry->d_name, d);
	count_bad(rb, w->path);
	return SL_OK;
}

static enum sl_status walk_archive(struct rebuild *rb, struct sl_diag *d)
{
	struct way w = {.depth = 0};
	enum sl_status st = enter(&w, rb->deps->root->archive_fd, ".", d);
	while (st == SL_OK && w.depth > 0)
		st = step(rb, &w, d);
	while (w.depth > 0)
		closedir(w.dir[--w.depth]);
	return st == SL_OK ? flush(rb, d) : st;
}

enum sl_status sl_rebuild(const struct sl_recover_deps *deps,
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far), void *arg,
	struct sl_rebuild_report *out, struct sl_diag *d)
{
	enum sl_status st = SL_E_NOMEM;
	*out = (struct sl_rebuild_report){0};
	struct rebuild *rb = calloc(1, sizeof(*rb));
	void *inflate_memory = aligned_alloc(64, (sl_inflate_memory() + 63) / 64 * 64);
	uint8_t *scratch = malloc(SCRATCH);
	if (rb == NULL || inflate_memory == NULL || scratch == NULL) {
		st = sl_fail(d, SL_E_NOMEM, 0, "rebuild", "no memory");
		goto out;
	}
	rb->deps = deps;
	rb->report = out;
	rb->on_progress = on_progress;
	rb->arg = arg;
	rb->walk.limits = deps->limits;
	rb->walk.inflate_max = deps->inflate_max;
	rb->walk.inflate_memory = inflate_memory;
	rb->walk.scratch = scratch;
	rb->walk.scratch_len = SCRATCH;
	st = walk_archive(rb, d);
	if (st == SL_OK)
		st = mark(deps->root, false, d);
out:
	free(rb);
	free(inflate_memory);
	free(scratch);
	return st;
}
