/* Recovery, in batches: list spool/, read each file's header and indexed attributes, commit, settle.
 *
 * A file counts when header, length, UIDs and digest agree: it got its name before its bytes were sure to
 * be durable. Order of seq, so that of two files of one UID the earlier decides.
 *
 * Main thread, before anything else runs; allocates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/recover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/inflate.h"
#include "storage/oserr.h"
#include "storage/path.h"
#include "storage/trash.h"

#define BATCH   256
#define SCRATCH (256 * SL_KIB)

struct recovery {
	const struct sl_recover_deps *deps;
	struct sl_recover_report *report;
	struct sl_rewalk walk;
	uint64_t *seqs; /* names found, ascending */
	size_t seqs_n, seqs_cap;
	struct sl_record records[BATCH];
	const struct sl_record *rows[BATCH];
	uint8_t digests[BATCH][SL_DIGEST_LEN];
	struct sl_index_result results[BATCH];
	struct sl_locator places[BATCH];
	size_t n;     /* of the batch */
	bool is_full; /* the index did not take one */
};

/* ---- the spool folder --------------------------------------------------------------------------- */

static enum sl_status remember(struct recovery *rc, uint64_t seq, struct sl_diag *d)
{
	if (rc->seqs_n == rc->seqs_cap) {
		size_t cap = rc->seqs_cap == 0 ? 1024 : rc->seqs_cap * 2;
		uint64_t *grown = realloc(rc->seqs, cap * sizeof(*grown));
		if (grown == NULL)
			return sl_fail(
				d, SL_E_NOMEM, 0, "recover", "no memory for the spool's names");
		rc->seqs = grown;
		rc->seqs_cap = cap;
	}
	rc->seqs[rc->seqs_n++] = seq;
	return SL_OK;
}

static enum sl_status unlink_name(struct recovery *rc, const char *name, struct sl_diag *d)
{
	if (unlinkat(rc->deps->root->spool_fd, name, 0) != 0 && errno != ENOENT)
		return sl_oserr_fail(d, "spool/unlink");
	return SL_OK;
}

/* A named file that is not whole: kept aside under its spool name, never deleted. */
static enum sl_status set_aside(struct recovery *rc, const char *name, struct sl_diag *d)
{
	const struct sl_root *root = rc->deps->root;
	int fd = -1;
	enum sl_status st = sl_root_folder(root, root->root_fd, SL_PATH_QUARANTINE,
		root->is_durable ? SL_ROOT_SYNC_NEW : SL_ROOT_SYNC_NONE, &fd, d);
	if (st != SL_OK)
		return st;
	if (renameat(root->spool_fd, name, fd, name) != 0)
		st = sl_oserr_fail(d, "quarantine/rename");
	else if (root->is_durable && fsync(fd) != 0)
		st = sl_fail(d, SL_E_SYNC, errno, "quarantine/fsync", "%s", strerror(errno));
	close(fd);
	rc->report->quarantined++;
	if (rc->report->first_bad[0] == '\0')
		snprintf(rc->report->first_bad, sizeof(rc->report->first_bad), "%.30s", name);
	return st;
}

/* A name made ahead: an object that took it, what was not finished, or nothing. */
static enum sl_status visit_berth(
	struct recovery *rc, const char *name, uint64_t number, struct sl_diag *d)
{
	enum sl_berth_what what;
	uint64_t seq = 0;
	enum sl_status st = sl_berth_look(rc->deps->root, name, &what, &seq, d);
	if (st != SL_OK)
		return st;
	if (what == SL_BERTH_OBJECT) {
		st = sl_store_fs_found(rc->deps->store, seq, number);
		if (st == SL_E_NOMEM)
			return sl_fail(d, st, 0, "recover", "no memory for the spool's names");
		rc->report->next_berth = sl_max64(rc->report->next_berth, number + 1);
		rc->report->found++;
		return st == SL_OK ? remember(rc, seq, d) : set_aside(rc, name, d);
	}
	if (what == SL_BERTH_UNKNOWN)
		return set_aside(rc, name, d);
	rc->report->removed += what == SL_BERTH_UNFINISHED;
	return unlink_name(rc, name, d);
}

static enum sl_status visit(struct recovery *rc, const char *name, struct sl_diag *d)
{
	uint64_t number;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return SL_OK;
	if (sl_path_is_temp(name)) {
		rc->report->removed++;
		return unlink_name(rc, name, d);
	}
	if (sl_path_berth_number(name, &number))
		return visit_berth(rc, name, number, d);
	if (!sl_path_spool_seq(name, &number)) {
		rc->report->foreign++;
		return SL_OK;
	}
	rc->report->found++;
	return remember(rc, number, d);
}

static int by_seq(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static enum sl_status list_spool(struct recovery *rc, struct sl_diag *d)
{
	int fd = openat(rc->deps->root->spool_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		enum sl_status st = sl_oserr_fail(d, "spool/list");
		if (fd >= 0)
			close(fd);
		return st;
	}
	enum sl_status st = SL_OK;
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (entry == NULL) {
			if (errno != 0)
				st = sl_oserr_fail(d, "spool/list");
			break;
		}
		st = visit(rc, entry->d_name, d);
		if (st != SL_OK)
			break;
	}
	closedir(dir);
	if (st == SL_OK && rc->seqs_n > 0)
		qsort(rc->seqs, rc->seqs_n, sizeof(rc->seqs[0]), by_seq);
	return st;
}

/* ---- one file ----------------------------------------------------------------------------------- */

static enum sl_status quarantine(struct recovery *rc, uint64_t seq, struct sl_diag *d)
{
	struct sl_path name;
	sl_store_fs_spool_name(rc->deps->store, &name, seq);
	sl_store_fs_lost(rc->deps->store, seq);
	return set_aside(rc, name.s, d);
}

/* Opens an object by its header; the locator's UID comes from there too. */
static enum sl_status open_spooled(
	struct recovery *rc, uint64_t seq, struct sl_store_reader *reader, struct sl_diag *d)
{
	struct sl_path name;
	uint8_t head[SL_P10_HEADER_MAX];
	struct sl_p10 p10;
	size_t header_len;
	sl_store_fs_spool_name(rc->deps->store, &name, seq);
	int fd = sl_root_openat(rc->deps->root->spool_fd, name.s, O_RDONLY, 0);
	if (fd < 0)
		return sl_oserr_fail(d, "spool/open");
	ssize_t got = pread(fd, head, sizeof(head), 0);
	close(fd);
	if (got < 0)
		return sl_oserr_fail(d, "spool/read");
	if (sl_p10_decode(head, (size_t)got, &p10, &header_len) != SL_OK || p10.proof.seq != seq)
		return SL_E_CORRUPT;
	struct sl_locator at = {.sop_instance_uid = p10.sop_instance_uid, .seq = seq};
	struct sl_diag ignored = {0};
	enum sl_status st = rc->deps->store->ops->open(rc->deps->store, reader, &at, &ignored);
	return st == SL_E_IO ? sl_fail(d, st, ignored.errnum, ignored.where, "%s", ignored.text)
			     : st;
}

/* Adds one file to the batch, or sets it aside. */
static enum sl_status add(struct recovery *rc, uint64_t seq, struct sl_diag *d)
{
	struct sl_store_reader reader;
	struct sl_record *r = &rc->records[rc->n];
	enum sl_status st = open_spooled(rc, seq, &reader, d);
	if (st == SL_OK) {
		struct sl_diag why = {0};
		st = sl_rewalk_file(&rc->walk, rc->deps->store, &reader, true, r, &why);
		rc->deps->store->ops->close(&reader);
		if (st != SL_OK && st != SL_E_CORRUPT)
			return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
	}
	if (st == SL_E_CORRUPT)
		return quarantine(rc, seq, d);
	if (st != SL_OK)
		return st;
	rc->rows[rc->n] = r;
	memcpy(rc->digests[rc->n], reader.p10.proof.digest, SL_DIGEST_LEN);
	rc->n++;
	return SL_OK;
}

/* ---- a batch ------------------------------------------------------------------------------------ */

static int by_series(const void *a, const void *b)
{
	const struct sl_locator *x = a, *y = b;
	int c = strcmp(x->study_instance_uid.s, y->study_instance_uid.s);
	return c != 0 ? c : strcmp(x->series_instance_uid.s, y->series_instance_uid.s);
}

/* Rows for what was collected, in one commit; where there is no room for all, in smaller ones, until one
 * record does not fit: then it and what follows are left. */
static enum sl_status put(struct recovery *rc, struct sl_diag *d)
{
	size_t chunk = rc->n, i = 0;
	while (i < rc->n) {
		struct sl_diag why = {0};
		size_t n = sl_min(chunk, rc->n - i);
		enum sl_status st = rc->is_full ? SL_E_FULL
						: sl_index_put_batch(rc->deps->index, rc->rows + i,
							  n, rc->results + i, &why);
		if (st != SL_OK && st != SL_E_FULL)
			return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
		if (st == SL_E_FULL && n > 1) {
			chunk = n / 2;
			continue;
		}
		if (st == SL_E_FULL) {
			rc->is_full = true;
			rc->results[i].status = st;
			rc->deps->left->bytes += rc->rows[i]->file_len;
		}
		i += n;
	}
	return SL_OK;
}

/* Into the archive, or left where it is when the disk has no room for names. */
static enum sl_status settle(struct recovery *rc, struct sl_diag *d)
{
	struct sl_diag why = {0};
	size_t n = 0;
	for (size_t i = 0; i < rc->n; i++)
		if (rc->results[i].status == SL_OK)
			rc->places[n++] = sl_locator_of(rc->rows[i]);
	qsort(rc->places, n, sizeof(rc->places[0]), by_series);
	enum sl_status st = rc->deps->store->ops->settle(rc->deps->store, rc->places, n, &why);
	if (st == SL_OK)
		rc->report->moved += n;
	for (size_t i = 0; st == SL_E_FULL && i < rc->n; i++)
		if (rc->results[i].status == SL_OK)
			rc->results[i].status = SL_E_FULL;
	if (st == SL_OK || st == SL_E_FULL)
		return SL_OK;
	return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

/* Commits and settles what was collected. A file whose plain name another object has lost its
 * decision before the crash and was never acknowledged as its own: it is set aside. */
static enum sl_status flush(struct recovery *rc, struct sl_diag *d)
{
	struct sl_index_snapshot before, after;
	if (rc->n == 0)
		return SL_OK;
	sl_index_snapshot(rc->deps->index, &before);
	enum sl_status st = put(rc, d);
	if (st != SL_OK)
		return st;
	sl_index_snapshot(rc->deps->index, &after);
	rc->report->indexed += after.usage.versions - before.usage.versions;
	st = settle(rc, d);
	for (size_t i = 0; i < rc->n && st == SL_OK; i++) {
		if (rc->results[i].status == SL_E_FULL) {
			st = sl_leftovers_add(rc->deps->left, rc->rows[i], rc->digests[i], d);
			rc->report->left++;
		} else if (rc->results[i].status != SL_OK) {
			st = quarantine(rc, rc->rows[i]->seq, d);
		}
	}
	rc->n = 0;
	return st;
}

/* Tombstones out. Their files are in trash/, which makes room when there is none. */
static enum sl_status drop(const struct sl_root *root, struct sl_index *index, const uint64_t *seqs,
	size_t n, struct sl_diag *d)
{
	struct sl_diag none = {0};
	enum sl_status st = sl_index_drop_tombstones(index, seqs, n, &none);
	if (st != SL_OK) {
		sl_trash_empty(root);
		st = sl_index_drop_tombstones(index, seqs, n, d);
	}
	return st;
}

/* Removals that were committed and not carried out: before any spool file is moved, so that nothing
 * of a study that came after its removal goes with it. */
enum sl_status sl_recover_tombstones(
	const struct sl_root *root, struct sl_index *index, uint64_t *moved, struct sl_diag *d)
{
	struct sl_index_tombstone tombs[SL_TRASH_BATCH];
	uint64_t seqs[SL_TRASH_BATCH];
	struct sl_index_reader *reader;
	uint64_t after = 0;
	enum sl_status st = sl_index_open_reader(index, &reader, d);
	if (st != SL_OK)
		return st;
	for (;;) {
		size_t n = SL_ARRAY_N(tombs);
		st = sl_index_list_tombstones(reader, &after, tombs, &n, d);
		for (size_t i = 0; st == SL_OK && i < n; i++)
			seqs[i] = tombs[i].seq;
		if (st == SL_OK)
			st = sl_trash_move(root, tombs, n, d);
		if (st == SL_OK)
			st = drop(root, index, seqs, n, d);
		*moved += st == SL_OK ? n : 0;
		if (st != SL_OK)
			break;
	}
	sl_index_close_reader(reader);
	return st == SL_END ? SL_OK : st;
}

static enum sl_status sync_spool(struct recovery *rc, struct sl_diag *d)
{
	const struct sl_root *root = rc->deps->root;
	if (!root->is_durable || fsync(root->spool_fd) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_SYNC, errno, "spool/fsync", "fsync of spool/: %s", strerror(errno));
}

static enum sl_status recover_all(struct recovery *rc, struct sl_diag *d)
{
	enum sl_status st =
		sl_recover_tombstones(rc->deps->root, rc->deps->index, &rc->report->tombstones, d);
	if (st == SL_OK)
		st = list_spool(rc, d);
	/* What we see need not be durable: who made it may have been killed before its fsync. No row
	 * before its file is sure to stay, or a power cut now would leave one without. */
	if (st == SL_OK && rc->seqs_n > 0)
		st = sl_root_sync(rc->deps->root, d);
	for (size_t i = 0; st == SL_OK && i < rc->seqs_n; i++) {
		st = add(rc, rc->seqs[i], d);
		if (st == SL_OK && (rc->n == BATCH || i + 1 == rc->seqs_n))
			st = flush(rc, d);
	}
	if (st == SL_OK)
		st = flush(rc, d);
	return st == SL_OK ? sync_spool(rc, d) : st;
}

enum sl_status sl_recover(
	const struct sl_recover_deps *deps, struct sl_recover_report *out, struct sl_diag *d)
{
	struct sl_index_snapshot snap;
	enum sl_status st = SL_E_NOMEM;
	*out = (struct sl_recover_report){0};
	struct recovery *rc = calloc(1, sizeof(*rc));
	void *inflate_memory = aligned_alloc(64, (sl_inflate_memory() + 63) / 64 * 64);
	uint8_t *scratch = malloc(SCRATCH);
	if (rc == NULL || inflate_memory == NULL || scratch == NULL) {
		st = sl_fail(d, SL_E_NOMEM, 0, "recover", "no memory");
		goto out;
	}
	rc->deps = deps;
	rc->report = out;
	rc->walk.limits = deps->limits;
	rc->walk.charsets = deps->charsets;
	rc->walk.inflate_max = deps->inflate_max;
	rc->walk.inflate_memory = inflate_memory;
	rc->walk.scratch = scratch;
	rc->walk.scratch_len = SCRATCH;
	sl_store_fs_set_recovering(deps->store, true);
	st = recover_all(rc, d);
	sl_store_fs_set_recovering(deps->store, false);
	sl_index_snapshot(deps->index, &snap);
	out->next_seq = snap.next_seq;
	if (rc->seqs_n > 0)
		out->next_seq = sl_max64(out->next_seq, rc->seqs[rc->seqs_n - 1] + 1);
out:
	if (rc != NULL)
		free(rc->seqs);
	free(rc);
	free(inflate_memory);
	free(scratch);
	return st;
}
