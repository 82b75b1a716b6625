/* One file at a time against what it says of itself, its name and its row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/verify_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/index_row.h"
#include "storage/inflate.h"
#include "storage/store_fs.h"
#include "storage/text.h"

#define SCRATCH   (256 * SL_KIB)
#define TICK_MS   1000
#define VALUE_MAX 1024 /* bytes of a value in UTF-8; at least 3 times the longest kept */

const char *sl_verify_kind_name(enum sl_verify_kind kind)
{
	static const char *const names[SL_VERIFY_KINDS] = {
		"index",
		"stray",
		"unreadable",
		"header",
		"length",
		"digest",
		"place",
		"no-row",
		"row",
		"no-file",
	};
	return names[kind];
}

uint64_t sl_verify_findings(const struct sl_verify_report *r)
{
	uint64_t n = 0;
	for (size_t i = 0; i < SL_VERIFY_KINDS; i++)
		n += r->found[i];
	return n;
}

void sl_verify_tell(struct sl_verify *v, enum sl_verify_kind kind, const char *folder,
	const char *name, const char *fmt, ...)
{
	char path[4096 + 16], text[320];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name);
	pthread_mutex_lock(&v->lock);
	v->report.found[kind]++;
	v->conf->on_finding(v->conf->arg, kind, path, text);
	pthread_mutex_unlock(&v->lock);
}

/* A finding about the file that is looked at. */
#define TELL(v, kind, f, ...) sl_verify_tell(v, kind, SL_PATH_ARCHIVE, (f)->path, __VA_ARGS__)

/* ---- the file in itself ------------------------------------------------------------------------- */

static enum sl_verify_kind kind_of_open(const struct sl_store_reader *r, enum sl_status st)
{
	if (st != SL_E_CORRUPT)
		return SL_VERIFY_UNREADABLE;
	return r->header_len > 0 ? SL_VERIFY_LENGTH : SL_VERIFY_HEADER;
}

/* Opens the file, and in full reads it; fills the lane's record as far. False: it was told why not. */
static bool read_file(struct sl_verify *v, struct sl_verify_lane *l, const struct sl_scan_file *f)
{
	struct sl_store_reader reader;
	struct sl_diag why = {0};
	struct sl_record *r = &l->record;
	enum sl_status st = sl_store_fs_open_in(&reader, f->folder_fd, f->name, l->head, &why);
	if (st != SL_OK) {
		TELL(v, kind_of_open(&reader, st), f, "%s", why.text);
		return false;
	}
	const struct sl_p10 *p10 = &reader.p10;
	if (v->conf->is_full) {
		st = sl_rewalk_file(&l->walk, v->store, &reader, true, r, &why);
		l->bytes += reader.dataset_len;
	} else {
		sl_record_init(r);
		r->sop_class_uid = p10->sop_class_uid;
		r->sop_instance_uid = p10->sop_instance_uid;
		r->transfer_syntax_uid = p10->transfer_syntax_uid;
		r->seq = p10->proof.seq;
		r->dataset_len = reader.dataset_len;
		r->file_len = reader.header_len + reader.dataset_len;
		r->flags = p10->proof.flags &
			   (SL_RECORD_UNSOUND | SL_RECORD_NOT_CURRENT | SL_RECORD_PLAIN_NAME);
	}
	v->store->ops->close(&reader);
	if (st != SL_OK)
		TELL(v, st == SL_E_CORRUPT ? SL_VERIFY_DIGEST : SL_VERIFY_UNREADABLE, f, "%s",
			why.text);
	return st == SL_OK;
}

/* Is the file called, and in full does it lie, as its UIDs say? Quick, its row says where it should lie. */
static bool check_place(
	struct sl_verify *v, const struct sl_verify_lane *l, const struct sl_scan_file *f)
{
	const struct sl_record *r = &l->record;
	struct sl_path own;
	uint64_t version = (r->flags & SL_RECORD_PLAIN_NAME) != 0 ? 0 : r->seq;
	sl_path_leaf(&own, &r->sop_instance_uid, version);
	bool is_good = strcmp(own.s, f->name) == 0;
	if (v->conf->is_full) {
		sl_path_instance(&own, &r->study_instance_uid, &r->series_instance_uid,
			&r->sop_instance_uid, version);
		is_good = strcmp(own.s, f->path) == 0;
	}
	if (!is_good)
		TELL(v, SL_VERIFY_PLACE, f, "by its UIDs it is %s", own.s);
	return is_good;
}

/* ---- the file and its row ----------------------------------------------------------------------- */

/* The row of the version that the file is. SL_E_NOTFOUND: there is none. */
static enum sl_status find_row(struct sl_verify_lane *l, struct sl_diag *d)
{
	const struct sl_record *r = &l->record;
	struct sl_index_instance *row = &l->row;
	enum sl_status st = sl_index_locate_instance(l->reader, &r->sop_instance_uid, row, d);
	uint64_t after = 0;
	while (st == SL_OK && row->seq != r->seq) {
		size_t n = 1;
		st = sl_index_list_versions(l->reader, &r->sop_instance_uid, &after, row, &n, d);
	}
	return st == SL_END ? SL_E_NOTFOUND : st;
}

static void check_number(struct sl_verify *v, const struct sl_scan_file *f, const char *what,
	uint64_t in_row, uint64_t in_file)
{
	if (in_row != in_file)
		TELL(v, SL_VERIFY_ROW, f, "%s is %" PRIu64 " in its row, %" PRIu64 " in the file",
			what, in_row, in_file);
}

static void check_uid(struct sl_verify *v, const struct sl_scan_file *f, const char *what,
	const struct sl_uid *in_row, const struct sl_uid *in_file)
{
	if (!sl_uid_equal(in_row, in_file))
		TELL(v, SL_VERIFY_ROW, f, "%s is %s in its row, %s in the file", what, in_row->s,
			in_file->s);
}

/* A row that is not marked as in conflict has every value that its objects have. */
static void check_values(struct sl_verify *v, const struct sl_verify_lane *l,
	const struct sl_scan_file *f, const struct sl_index_text *text, enum sl_attr_level from,
	enum sl_attr_level to)
{
	size_t charset_n;
	const char *charset = sl_record_get(&l->record, SL_ATTR_SPECIFIC_CHARACTER_SET, &charset_n);
	struct sl_text_charset cs = sl_text_charset_of(charset, charset_n);
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		char value[VALUE_MAX];
		struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
		size_t n, row_n;
		const char *bytes = sl_record_get(&l->record, a, &n);
		if (n == 0 || sl_attrs[a].level < from || sl_attrs[a].level > to)
			continue;
		sl_text_to_utf8(&w, bytes, n, sl_text_kind_of(a), &cs);
		const char *row = sl_index_text_get(text, a, &row_n);
		if (row_n != w.len || memcmp(row, value, row_n) != 0)
			TELL(v, SL_VERIFY_ROW, f, "%s is another in the row of its %s",
				sl_attrs[a].keyword, from == SL_LEVEL_SERIES ? "series" : "study");
	}
}

/* The rows above the instance; kept from one file to the next, which is most often of the same series. */
static enum sl_status load_above(struct sl_verify_lane *l, struct sl_diag *d)
{
	const struct sl_index_instance *row = &l->row;
	enum sl_status st = SL_OK;
	bool is_same = l->has_above &&
		       sl_uid_equal(&l->study.study_instance_uid, &row->study_instance_uid);
	if (!is_same)
		st = sl_index_locate_study(l->reader, &row->study_instance_uid, &l->study, d);
	is_same =
		is_same && sl_uid_equal(&l->series.series_instance_uid, &row->series_instance_uid);
	if (st == SL_OK && !is_same)
		st = sl_index_locate_series(l->reader, &row->study_instance_uid,
			&row->series_instance_uid, &l->series, d);
	l->has_above = st == SL_OK;
	return st;
}

/* The first and the last object of a row say when that was; of one that was deleted only the row knows. */
static void check_times(struct sl_verify *v, const struct sl_verify_lane *l,
	const struct sl_scan_file *f, const struct sl_index_counts *counts, const char *what)
{
	const struct sl_record *r = &l->record;
	if ((r->seq == counts->first_seq && r->arrived_ms != counts->first_ms) ||
		(r->seq == counts->last_seq && r->arrived_ms != counts->last_ms))
		TELL(v, SL_VERIFY_ROW, f, "its time of arrival is another in the row of its %s",
			what);
}

/* What only reading the whole file tells. Objects without a study share a row that says nothing. */
static enum sl_status check_deep(struct sl_verify *v, struct sl_verify_lane *l,
	const struct sl_scan_file *f, struct sl_diag *d)
{
	const struct sl_record *r = &l->record;
	size_t number_n, frames_n;
	const char *number = sl_record_get(r, SL_ATTR_INSTANCE_NUMBER, &number_n);
	const char *frames = sl_record_get(r, SL_ATTR_NUMBER_OF_FRAMES, &frames_n);
	int64_t frames_v = sl_index_row_integer(frames, frames_n, 0);
	if (l->row.instance_number != sl_index_row_integer(number, number_n, SL_INDEX_NO_NUMBER))
		TELL(v, SL_VERIFY_ROW, f, "InstanceNumber is another in its row");
	check_number(v, f, "NumberOfFrames", l->row.frames,
		frames_v > 0 && frames_v <= UINT32_MAX ? (uint64_t)frames_v : 0);
	if (r->study_instance_uid.len == 0)
		return SL_OK;
	enum sl_status st = load_above(l, d);
	if (st == SL_OK)
		check_times(v, l, f, &l->study.counts, "study");
	if (st == SL_OK && r->series_instance_uid.len > 0)
		check_times(v, l, f, &l->series.counts, "series");
	if (st == SL_OK && !l->study.is_conflict)
		check_values(v, l, f, &l->study.text, SL_LEVEL_PATIENT, SL_LEVEL_STUDY);
	if (st == SL_OK && !l->series.is_conflict && r->series_instance_uid.len > 0)
		check_values(v, l, f, &l->series.text, SL_LEVEL_SERIES, SL_LEVEL_SERIES);
	return st;
}

static enum sl_status check_row(struct sl_verify *v, struct sl_verify_lane *l,
	const struct sl_scan_file *f, struct sl_diag *d)
{
	const struct sl_record *r = &l->record;
	const struct sl_index_instance *row = &l->row;
	struct sl_path path;
	enum sl_status st = find_row(l, d);
	if (st == SL_E_NOTFOUND && !sl_verify_is_doomed(v, f->path, r))
		TELL(v, SL_VERIFY_NO_ROW, f, "no row says that it is there");
	if (st != SL_OK)
		return st == SL_E_NOTFOUND ? SL_OK : st;
	sl_verify_path(&path, row);
	if (strcmp(path.s, f->path) != 0) {
		TELL(v, SL_VERIFY_PLACE, f, "by its row it is %s", path.s);
		return SL_OK;
	}
	check_number(v, f, "length of the data set", row->dataset_len, r->dataset_len);
	check_number(v, f, "length of the file", row->file_len, r->file_len);
	check_number(v, f, "set of flags", row->flags, r->flags);
	check_uid(v, f, "SOP class", &row->sop_class_uid, &r->sop_class_uid);
	check_uid(v, f, "transfer syntax", &row->transfer_syntax_uid, &r->transfer_syntax_uid);
	return v->conf->is_full ? check_deep(v, l, f, d) : SL_OK;
}

/* ---- all files ---------------------------------------------------------------------------------- */

static enum sl_status on_file(
	void *arg, unsigned thread, const struct sl_scan_file *f, struct sl_diag *d)
{
	struct sl_verify *v = arg;
	struct sl_verify_lane *l = &v->lanes[thread];
	struct sl_diag why = {0};
	atomic_fetch_add_explicit(&v->files, 1, memory_order_relaxed);
	if (!read_file(v, l, f) || !check_place(v, l, f) || v->index == NULL)
		return SL_OK;
	enum sl_status st = check_row(v, l, f, &why);
	if (st == SL_E_CORRUPT) {
		TELL(v, SL_VERIFY_INDEX, f, "its row cannot be read: %s", why.text);
		return SL_OK;
	}
	return st == SL_OK ? st : sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

static enum sl_status on_bad(
	void *arg, unsigned thread, const char *path, enum sl_status why, struct sl_diag *d)
{
	(void)thread;
	bool is_stray = why == SL_E_UNSUPPORTED;
	sl_verify_tell(arg, is_stray ? SL_VERIFY_STRAY : SL_VERIFY_UNREADABLE, SL_PATH_ARCHIVE,
		path, "%s", is_stray ? "has no place here" : d->text);
	*d = (struct sl_diag){0};
	return SL_OK;
}

static void on_tick(void *arg, unsigned permille)
{
	sl_verify_progress(arg, permille);
}

static enum sl_status prepare(struct sl_verify *v, struct sl_diag *d)
{
	enum sl_status st = sl_store_fs_open(&v->store, v->conf->root, d);
	for (unsigned i = 0; st == SL_OK && i < v->threads; i++) {
		struct sl_verify_lane *l = &v->lanes[i];
		l->walk.limits = v->conf->limits;
		l->walk.inflate_max = v->conf->inflate_max;
		l->walk.scratch = malloc(SCRATCH);
		l->walk.scratch_len = SCRATCH;
		l->walk.inflate_memory = aligned_alloc(64, (sl_inflate_memory() + 63) / 64 * 64);
		if (l->walk.scratch == NULL || l->walk.inflate_memory == NULL)
			st = sl_fail(d, SL_E_NOMEM, 0, "verify", "no memory");
		if (st == SL_OK && v->index != NULL)
			st = sl_index_open_reader(v->index, &l->reader, d);
	}
	return st;
}

static void release(struct sl_verify *v)
{
	for (unsigned i = 0; i < v->threads; i++) {
		sl_index_close_reader(v->lanes[i].reader);
		free(v->lanes[i].walk.scratch);
		free(v->lanes[i].walk.inflate_memory);
	}
	sl_store_fs_close(v->store);
}

enum sl_status sl_verify_scan(struct sl_verify *v, struct sl_diag *d)
{
	const struct sl_scan_conf scan = {
		.threads = v->threads,
		.on_file = on_file,
		.on_bad = on_bad,
		.on_tick = on_tick,
		.tick_ms = TICK_MS,
		.arg = v,
	};
	enum sl_status st = prepare(v, d);
	if (st == SL_OK)
		st = sl_scan_archive(v->conf->root, &scan, d);
	for (unsigned i = 0; i < v->threads; i++)
		v->report.bytes += v->lanes[i].bytes;
	release(v);
	return st;
}
