/* The rows in themselves, and each of them against its file; verify from begin to end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/verify_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/berth.h"
#include "storage/index_lmdb.h"
#include "storage/rebuild.h"

enum { PAGE = 32, DOOMED_STEP = 64, TICK_MS = 1000 };

void sl_verify_path(struct sl_path *out, const struct sl_index_instance *row)
{
	sl_path_instance(out, &row->study_instance_uid, &row->series_instance_uid,
		&row->sop_instance_uid, (row->flags & SL_RECORD_PLAIN_NAME) != 0 ? 0 : row->seq);
}

void sl_verify_progress(struct sl_verify *v, unsigned permille)
{
	const struct sl_verify_conf *conf = v->conf;
	if (conf->on_progress == NULL)
		return;
	pthread_mutex_lock(&v->lock);
	struct sl_verify_report so_far = v->report;
	pthread_mutex_unlock(&v->lock);
	so_far.files = atomic_load_explicit(&v->files, memory_order_relaxed);
	so_far.ms = (sl_env_now_ns(conf->env) - v->begun_ns) / 1000000u;
	conf->on_progress(conf->arg, &so_far, permille);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static bool is_damage(enum sl_status st)
{
	return st == SL_E_CORRUPT || st == SL_E_IO || st == SL_E_NOTFOUND;
}

/* Leaves v->index NULL, and says why, where there is none to read. */
static enum sl_status open_index(struct sl_verify *v, bool tells, struct sl_diag *d)
{
	const struct sl_root *root = v->conf->root;
	struct sl_diag why = {0};
	const struct sl_index_lmdb_options options = {
		.path = root->index_path,
		.map_size = v->conf->map_size,
		.readers = v->threads + 1,
		.batch_max = 1,
	};
	if (sl_rebuild_is_due(root)) {
		if (tells)
			sl_verify_tell(
				v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "its rebuild did not end");
		return SL_OK;
	}
	enum sl_status st = sl_index_lmdb_open(&options, &v->index, &why);
	bool is_new = st == SL_E_NOTFOUND && !sl_rebuild_has_files(root);
	if (is_damage(st)) {
		v->index = NULL;
		if (tells && !is_new)
			sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "%s", why.text);
		return SL_OK;
	}
	return st == SL_OK ? st : sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

static enum sl_status open_verify(
	struct sl_verify **out, const struct sl_verify_conf *conf, struct sl_diag *d)
{
	struct sl_verify *v = calloc(1, sizeof(*v));
	if (v == NULL)
		return sl_fail(d, SL_E_NOMEM, ENOMEM, "verify", "no memory");
	v->conf = conf;
	v->threads = (unsigned)sl_min(sl_max(conf->threads, 1), SL_SCAN_THREADS_MAX);
	v->begun_ns = sl_env_now_ns(conf->env);
	pthread_mutex_init(&v->lock, NULL);
	*out = v;
	return SL_OK;
}

/* Adds what was found to *out. */
static void close_verify(struct sl_verify *v, struct sl_verify_report *out)
{
	out->files += atomic_load_explicit(&v->files, memory_order_relaxed);
	out->rows += v->report.rows;
	out->bytes += v->report.bytes;
	out->spool += v->report.spool;
	out->tombstones += v->report.tombstones;
	out->ms += (sl_env_now_ns(v->conf->env) - v->begun_ns) / 1000000u;
	for (size_t i = 0; i < SL_VERIFY_KINDS; i++)
		out->found[i] += v->report.found[i];
	sl_index_close(v->index);
	free(v->doomed);
	free(v->berthed);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* ---- the index in itself ------------------------------------------------------------------------ */

static enum sl_status check_index(struct sl_verify *v, struct sl_diag *d)
{
	struct sl_diag why = {0};
	struct sl_index_report *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return sl_fail(d, SL_E_NOMEM, ENOMEM, "verify", "no memory");
	enum sl_status st = sl_index_check(v->index, r, &why);
	for (size_t i = 0; i < sl_min64(r->wrong, SL_INDEX_REPORT_LINES); i++)
		sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "%s", r->lines[i]);
	if (r->wrong > SL_INDEX_REPORT_LINES) {
		sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "and %llu more like these",
			(unsigned long long)(r->wrong - SL_INDEX_REPORT_LINES));
		v->report.found[SL_VERIFY_INDEX] += r->wrong - SL_INDEX_REPORT_LINES - 1;
	}
	free(r);
	if (is_damage(st)) {
		sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "%s", why.text);
		return SL_OK;
	}
	return st == SL_OK ? st : sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

enum sl_status sl_verify_index(
	const struct sl_verify_conf *conf, struct sl_verify_report *out, struct sl_diag *d)
{
	struct sl_verify *v;
	enum sl_status st = open_verify(&v, conf, d);
	if (st != SL_OK)
		return st;
	st = open_index(v, true, d);
	if (st == SL_OK && v->index != NULL)
		st = check_index(v, d);
	close_verify(v, out);
	return st;
}

/* ---- removals under way ------------------------------------------------------------------------- */

static enum sl_status list_doomed(
	struct sl_verify *v, struct sl_index_reader *reader, struct sl_diag *d)
{
	uint64_t after = 0;
	for (;;) {
		size_t n = DOOMED_STEP;
		struct sl_index_tombstone *grown =
			realloc(v->doomed, (v->doomed_n + DOOMED_STEP) * sizeof(*grown));
		if (grown == NULL)
			return sl_fail(d, SL_E_NOMEM, ENOMEM, "verify", "no memory");
		v->doomed = grown;
		enum sl_status st =
			sl_index_list_tombstones(reader, &after, grown + v->doomed_n, &n, d);
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
		v->doomed_n += n;
		v->report.tombstones += n;
	}
}

bool sl_verify_is_doomed(const struct sl_verify *v, const char *path, const struct sl_record *r)
{
	for (size_t i = 0; i < v->doomed_n; i++) {
		const struct sl_index_tombstone *t = &v->doomed[i];
		struct sl_path study;
		if (t->kind == SL_INDEX_TOMB_INSTANCE) {
			if (t->object_seq == r->seq &&
				sl_uid_equal(&t->sop_instance_uid, &r->sop_instance_uid))
				return true;
			continue;
		}
		sl_path_study(&study, &t->study_instance_uid);
		size_t n = strlen(study.s);
		if (strncmp(study.s, path, n) == 0 && path[n] == '/')
			return true;
	}
	return false;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool is_berthed(const struct sl_verify *v, uint64_t seq)
{
	return v->berthed_n > 0 &&
	       bsearch(&seq, v->berthed, v->berthed_n, sizeof(seq), by_number) != NULL;
}

/* ---- rows and their files ----------------------------------------------------------------------- */

/* Is there a file where the row says, or still in the spool? What it is was seen in the scan. */
static void check_file(struct sl_verify *v, const struct sl_index_instance *row)
{
	const struct sl_root *root = v->conf->root;
	struct sl_path path, spool;
	struct stat sb;
	v->report.rows++;
	sl_verify_path(&path, row);
	if (fstatat(root->archive_fd, path.s, &sb, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	int errnum = errno;
	sl_path_spool(&spool, row->seq);
	if (fstatat(root->spool_fd, spool.s, &sb, AT_SYMLINK_NOFOLLOW) != 0 &&
		!is_berthed(v, row->seq))
		sl_verify_tell(v, SL_VERIFY_NO_FILE, SL_PATH_ARCHIVE, path.s,
			"its row is there, the file is not: %s", strerror(errnum));
}

static enum sl_status check_instances(struct sl_verify *v, struct sl_index_reader *reader,
	const struct sl_index_series *s, struct sl_diag *d)
{
	struct sl_index_cursor at = {0};
	struct sl_index_instance rows[PAGE];
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_instances(
			reader, &s->study_instance_uid, &s->series_instance_uid, &at, rows, &n, d);
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
		for (size_t i = 0; i < n; i++)
			check_file(v, &rows[i]);
	}
}

static enum sl_status check_study(struct sl_verify *v, struct sl_index_reader *reader,
	const struct sl_uid *study, struct sl_diag *d)
{
	struct sl_index_cursor at = {0};
	struct sl_index_series row;
	for (;;) {
		size_t n = 1;
		enum sl_status st = sl_index_list_series(reader, study, &at, &row, &n, d);
		if (st == SL_OK)
			st = check_instances(v, reader, &row, d);
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
	}
}

/* Rows that cannot be read were told by sl_verify_index(), all but what only a reader looks at. */
static enum sl_status check_rows(
	struct sl_verify *v, struct sl_index_reader *reader, struct sl_diag *d)
{
	struct sl_index_cursor at = {0};
	struct sl_index_study row;
	struct sl_index_snapshot snap;
	sl_index_snapshot(v->index, &snap);
	for (uint64_t told_ns = sl_env_now_ns(v->conf->env);;) {
		struct sl_diag why = {0};
		size_t n = 1;
		enum sl_status st = sl_index_list_studies(reader, &at, &row, &n, &why);
		if (st == SL_OK)
			st = check_study(v, reader, &row.study_instance_uid, &why);
		if (is_damage(st)) {
			sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "",
				"rows cannot be read: %s", why.text);
			return SL_OK;
		}
		if (st != SL_OK)
			return st == SL_END ? SL_OK
					    : sl_fail(d, st, why.errnum, why.where, "%s", why.text);
		uint64_t now_ns = sl_env_now_ns(v->conf->env);
		if (now_ns - told_ns < TICK_MS * 1000000ull)
			continue;
		told_ns = now_ns;
		uint64_t of = sl_max64(snap.usage.versions, 1);
		sl_verify_progress(v, (unsigned)sl_min64(v->report.rows * 1000 / of, 999));
	}
}

/* An object under a name made ahead: only its header says which. */
static enum sl_status note_berth(struct sl_verify *v, const char *name, struct sl_diag *d)
{
	enum sl_berth_what what;
	uint64_t seq = 0;
	struct sl_diag none = {0};
	/* One that cannot be read is no reason to look at nothing else: its row will have no file. */
	if (sl_berth_look(v->conf->root, name, &what, &seq, &none) != SL_OK ||
		what != SL_BERTH_OBJECT)
		return SL_OK;
	if ((v->berthed_n & (v->berthed_n + 1)) == 0) { /* as full as it was made */
		size_t cap = 2 * v->berthed_n + 1;
		uint64_t *grown = realloc(v->berthed, cap * sizeof(*grown));
		if (grown == NULL)
			return sl_fail(d, SL_E_NOMEM, ENOMEM, "verify", "no memory");
		v->berthed = grown;
	}
	v->berthed[v->berthed_n++] = seq;
	v->report.spool++;
	return SL_OK;
}

static enum sl_status look_at_spool(struct sl_verify *v, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	struct dirent *entry;
	uint64_t number;
	int fd = openat(v->conf->root->spool_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL && fd >= 0)
		close(fd);
	while (st == SL_OK && dir != NULL && (entry = readdir(dir)) != NULL) {
		if (sl_path_berth_number(entry->d_name, &number))
			st = note_berth(v, entry->d_name, d);
		else
			v->report.spool += sl_path_spool_seq(entry->d_name, &number);
	}
	if (dir != NULL)
		closedir(dir);
	if (v->berthed_n > 0)
		qsort(v->berthed, v->berthed_n, sizeof(v->berthed[0]), by_number);
	return st;
}

static enum sl_status verify_files(struct sl_verify *v, struct sl_diag *d)
{
	struct sl_index_reader *reader = NULL;
	enum sl_status st = v->conf->has_no_index ? SL_OK : open_index(v, false, d);
	if (st == SL_OK)
		st = look_at_spool(v, d);
	if (st == SL_OK && v->index != NULL)
		st = sl_index_open_reader(v->index, &reader, d);
	if (st == SL_OK && v->index != NULL) {
		struct sl_diag why = {0};
		st = list_doomed(v, reader, &why);
		if (is_damage(st)) {
			sl_verify_tell(v, SL_VERIFY_INDEX, SL_PATH_INDEX, "", "%s", why.text);
			st = SL_OK;
		}
	}
	if (st == SL_OK)
		st = sl_verify_scan(v, d);
	if (st == SL_OK && v->index != NULL)
		st = check_rows(v, reader, d);
	sl_index_close_reader(reader);
	return st;
}

enum sl_status sl_verify_files(
	const struct sl_verify_conf *conf, struct sl_verify_report *out, struct sl_diag *d)
{
	struct sl_verify *v;
	enum sl_status st = open_verify(&v, conf, d);
	if (st != SL_OK)
		return st;
	st = verify_files(v, d);
	close_verify(v, out);
	return st;
}
