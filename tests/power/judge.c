/* The archive walked, the index listed, both held against the plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/judge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/path.h"

#define FILES_MAX 4096
#define PAGE      16

/* A file of the archive. */
struct found {
	char path[SL_PATH_MAX];
	uint64_t len;
	size_t object;
	bool has_row, is_current;
};

struct judge {
	struct plan plan;
	struct found files[FILES_MAX];
	size_t files_n, rows_n;
	uint8_t *bytes;
	size_t bytes_cap;
	char complaint[512];
};

/* ---- what is there ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static bool complain(struct judge *j, const char *text, ...)
{
	va_list ap;
	va_start(ap, text);
	vsnprintf(j->complaint, sizeof(j->complaint), text, ap);
	va_end(ap);
	return false;
}

static bool read_file(struct judge *j, int dirfd, const char *name, uint64_t *len)
{
	struct stat sb;
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	bool is_good = fd >= 0 && fstat(fd, &sb) == 0;
	if (is_good) {
		*len = (uint64_t)sb.st_size;
		if (*len > j->bytes_cap) {
			j->bytes_cap = *len * 2;
			free(j->bytes);
			j->bytes = malloc(j->bytes_cap);
			if (j->bytes == NULL)
				abort();
		}
		is_good = read(fd, j->bytes, *len) == (ssize_t)*len;
	}
	if (fd >= 0)
		close(fd);
	return is_good;
}

/* The object whose bytes a file holds, under the UID of its name. */
static bool recognise(struct judge *j, struct found *f)
{
	struct sl_p10 p10;
	size_t at;
	const char *leaf = strrchr(f->path, '/');
	leaf = leaf != NULL ? leaf + 1 : f->path;
	if (sl_p10_decode(j->bytes, sl_min64(f->len, SL_P10_HEADER_MAX), &p10, &at) != SL_OK)
		return complain(j, "%s is visible and has no sound header", f->path);
	for (size_t i = 0; i < j->plan.sent_n; i++) {
		const struct sent *s = &j->plan.sent[i];
		if (s->len != f->len - at || memcmp(s->bytes, j->bytes + at, s->len) != 0)
			continue;
		size_t n = s->uid.len;
		if (strncmp(leaf, s->uid.s, n) != 0 || (leaf[n] != '.' && leaf[n] != '~'))
			continue;
		f->object = i;
		return true;
	}
	return complain(j, "%s is visible and holds bytes that nobody sent", f->path);
}

static bool walk(struct judge *j, int parent, const char *name, char *path, size_t len);

static bool visit(struct judge *j, int fd, const struct dirent *e, char *path, size_t len)
{
	size_t n = strlen(e->d_name);
	if (len + 1 + n >= SL_PATH_MAX || j->files_n == FILES_MAX)
		return complain(j, "too many files, or too long a path: %s", e->d_name);
	if (len > 0)
		path[len++] = '/';
	memcpy(path + len, e->d_name, n + 1);
	if (e->d_type == DT_DIR)
		return walk(j, fd, e->d_name, path, len + n);
	struct found *f = &j->files[j->files_n++];
	*f = (struct found){0};
	memcpy(f->path, path, len + n + 1);
	if (!read_file(j, fd, e->d_name, &f->len))
		return complain(j, "%s cannot be read", path);
	return recognise(j, f);
}

static bool walk(struct judge *j, int parent, const char *name, char *path, size_t len)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool is_good = true;
	if (dir == NULL)
		return complain(j, "cannot list %s", name);
	while (is_good && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			is_good = visit(j, fd, e, path, len);
		path[len] = '\0';
	}
	closedir(dir);
	return is_good;
}

static bool is_spool_empty(struct judge *j, int spool_fd)
{
	int fd = openat(spool_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool is_good = dir != NULL;
	while (is_good && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			is_good = complain(j, "spool/%s is left after the recovery", e->d_name);
	if (dir != NULL)
		closedir(dir);
	return is_good;
}

/* ---- the index against the files ---------------------------------------------------------------- */

static bool match_row(struct judge *j, const struct sl_index_instance *row)
{
	struct sl_path path;
	bool is_plain = (row->flags & SL_RECORD_PLAIN_NAME) != 0;
	sl_path_instance(&path, &row->study_instance_uid, &row->series_instance_uid,
		&row->sop_instance_uid, is_plain ? 0 : row->seq);
	j->rows_n++;
	for (size_t i = 0; i < j->files_n; i++) {
		struct found *f = &j->files[i];
		if (strcmp(f->path, path.s) != 0)
			continue;
		f->has_row = true;
		f->is_current = row->is_current;
		if (f->len != row->file_len)
			return complain(j, "%s is not as long as its row says", path.s);
		return true;
	}
	return complain(j, "%s has a row and no file", path.s);
}

static bool list_instances(
	struct judge *j, struct sl_index_reader *rd, const struct sl_index_series *series)
{
	struct sl_index_cursor at = {0};
	struct sl_index_instance rows[PAGE];
	struct sl_diag d = {0};
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_instances(rd, &series->study_instance_uid,
			&series->series_instance_uid, &at, rows, &n, &d);
		if (st != SL_OK)
			return st == SL_END || complain(j, "index: %s", d.text);
		for (size_t i = 0; i < n; i++)
			if (!match_row(j, &rows[i]))
				return false;
	}
}

static bool list_series(struct judge *j, struct sl_index_reader *rd, const struct sl_uid *study)
{
	struct sl_index_cursor at = {0};
	struct sl_diag d = {0};
	for (;;) {
		struct sl_index_series row;
		size_t n = 1;
		enum sl_status st = sl_index_list_series(rd, study, &at, &row, &n, &d);
		if (st != SL_OK)
			return st == SL_END || complain(j, "index: %s", d.text);
		if (!list_instances(j, rd, &row))
			return false;
	}
}

static bool list_studies(struct judge *j, struct sl_index_reader *rd)
{
	struct sl_index_cursor at = {0};
	struct sl_diag d = {0};
	for (;;) {
		struct sl_index_study row;
		size_t n = 1;
		enum sl_status st = sl_index_list_studies(rd, &at, &row, &n, &d);
		if (st != SL_OK)
			return st == SL_END || complain(j, "index: %s", d.text);
		if (!list_series(j, rd, &row.study_instance_uid))
			return false;
	}
}

static bool agrees(struct judge *j, struct sl_index *index)
{
	struct sl_index_reader *rd;
	struct sl_index_report report = {0};
	struct sl_index_snapshot snap;
	struct sl_diag d = {0};
	j->rows_n = 0;
	if (sl_index_open_reader(index, &rd, &d) != SL_OK)
		return complain(j, "index: %s", d.text);
	bool is_good = list_studies(j, rd);
	sl_index_close_reader(rd);
	for (size_t i = 0; is_good && i < j->files_n; i++)
		if (!j->files[i].has_row)
			is_good = complain(j, "%s is in no row", j->files[i].path);
	if (is_good && sl_index_check(index, &report, &d) != SL_OK)
		is_good = complain(j, "index: %s", d.text);
	if (is_good && report.wrong > 0)
		is_good = complain(j, "index: %s", report.first);
	sl_index_snapshot(index, &snap);
	if (is_good && snap.usage.versions != j->rows_n)
		is_good = complain(j, "index: %" PRIu64 " rows counted, %zu found",
			snap.usage.versions, j->rows_n);
	return is_good;
}

/* ---- the ledger --------------------------------------------------------------------------------- */

/* A success that an eviction since then may have made void. What was decided before the eviction may have
 * been told after it. */
static bool is_excused(const struct judge *j, const struct promise *p, size_t position)
{
	for (size_t i = 0; i < j->plan.gone_n; i++) {
		const struct gone *g = &j->plan.gone[i];
		if (p->asked < g->begun && g->begun < position &&
			sl_uid_equal(&g->study, &j->plan.sent[p->object].study))
			return true;
	}
	return false;
}

static const struct found *file_of(const struct judge *j, size_t object)
{
	for (size_t i = 0; i < j->files_n; i++)
		if (j->files[i].object == object)
			return &j->files[i];
	return NULL;
}

static bool keeps_promises(struct judge *j, size_t position)
{
	for (size_t i = 0; i < j->plan.promises_n; i++) {
		const struct promise *p = &j->plan.promises[i];
		if (p->position >= position || is_excused(j, p, position))
			continue;
		if (file_of(j, p->object) == NULL)
			return complain(j, "object %zu (%s), acknowledged at %" PRIu64 ", is lost",
				p->object, j->plan.sent[p->object].uid.s, p->position);
	}
	return true;
}

/* Nothing that was evicted for sure is there, unless it came again; nothing is there twice. */
static bool is_clean(struct judge *j, size_t position)
{
	for (size_t i = 0; i < j->files_n; i++) {
		const struct found *f = &j->files[i];
		const struct sent *s = &j->plan.sent[f->object];
		for (size_t k = 0; k < j->plan.gone_n; k++) {
			const struct gone *g = &j->plan.gone[k];
			if (g->done < position && sl_uid_equal(&g->study, &s->study) &&
				s->told != UINT64_MAX && s->last < g->begun)
				return complain(
					j, "%s, evicted at %" PRIu64 ", is back", f->path, g->done);
		}
		if (file_of(j, f->object) != f)
			return complain(j, "%s: the same bytes are kept twice", f->path);
	}
	return true;
}

/* Of versions that one sender sent one after the other, which must be current? */
static bool is_right_version(struct judge *j, const struct chain *c, size_t position)
{
	size_t first = SIZE_MAX, last = SIZE_MAX, current = SIZE_MAX;
	for (size_t i = 0; i < c->n; i++) {
		const struct found *f = file_of(j, c->objects[i]);
		const struct sent *s = &j->plan.sent[c->objects[i]];
		const struct promise p = {s->asked, s->told, c->objects[i]};
		if (f != NULL && f->is_current)
			current = i;
		if (p.position >= position || is_excused(j, &p, position))
			continue;
		first = first == SIZE_MAX ? i : first;
		last = i;
	}
	if (first == SIZE_MAX)
		return true;
	if (current == SIZE_MAX)
		return complain(j, "%s: none of its versions is current",
			j->plan.sent[c->objects[0]].uid.s);
	if (j->plan.policy == PLAN_LATEST ? current >= last : current <= first)
		return true;
	return complain(j, "%s: version %zu is current, %zu to %zu were acknowledged",
		j->plan.sent[c->objects[0]].uid.s, current, first, last);
}

const char *judge_complaint(struct judge *j, size_t position, struct sl_storage *s)
{
	char path[SL_PATH_MAX] = "";
	j->files_n = 0;
	bool is_good = walk(j, s->root.archive_fd, ".", path, 0) &&
		       is_spool_empty(j, s->root.spool_fd) && agrees(j, s->index) &&
		       keeps_promises(j, position) && is_clean(j, position);
	for (size_t i = 0; is_good && i < j->plan.chains_n; i++)
		is_good = is_right_version(j, &j->plan.chains[i], position);
	return is_good ? NULL : j->complaint;
}

/* ---- life --------------------------------------------------------------------------------------- */

struct judge *judge_open(const char *plan)
{
	struct judge *j = calloc(1, sizeof(*j));
	if (j != NULL && plan_open(&j->plan, plan))
		return j;
	free(j);
	return NULL;
}

void judge_close(struct judge *j)
{
	plan_close(&j->plan);
	free(j->bytes);
	free(j);
}

uint64_t judge_root(const struct judge *j)
{
	return j->plan.root;
}
