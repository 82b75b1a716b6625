/* index_dump ROOT [INDEX_FOLDER]: every row of a node's index, one tab-separated line each:
 *
 *   study     uid instances bytes series modalities conflict [Keyword=value ...]
 *   series    study uid instances bytes conflict [Keyword=value ...]
 *   instance  study series uid class syntax seq dataset_len file_len sound number frames path current
 *   span      study series versions first_seq last_seq first_ms last_ms    (series "-": of the study)
 *   patient   study number: equal for studies of one patient
 *   tombstone seq study series uid
 *   usage     patients studies series instances bytes conflicts next_seq versions
 *   check     wrong first
 *
 * An instance line for each version of a UID, instances in the other lines count current ones. "_" stands for a UID that a class has not; sound, conflict: yes or no; path: beneath ROOT/archive.
 * Values are UTF-8 with control characters, backslash and tab as \xx (hex). The node must be stopped:
 * the index belongs to one process at a time. Nothing is changed.
 *
 * A test tool, for tests/net. Exit 0; 1 when the index cannot be read or does not add up.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/index_lmdb.h"
#include "storage/path.h"

enum { PAGE = 16 };

struct dump {
	struct sl_index *index;
	struct sl_index_reader *reader;
	struct sl_diag diag;
};

static const char *uid_or_none(const struct sl_uid *uid)
{
	return uid->len == 0 ? "_" : uid->s;
}

static const char *yes_no(bool is)
{
	return is ? "yes" : "no";
}

static void print_text(const struct sl_index_text *t)
{
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n;
		const char *v = sl_index_text_get(t, a, &n);
		if (n > 0)
			printf("\t%s=", sl_attrs[a].keyword);
		for (size_t i = 0; i < n; i++)
			printf((unsigned char)v[i] < 32 || v[i] == '\\' ? "\\%02x" : "%c",
				(unsigned char)v[i]);
	}
	printf("\n");
}

static void print_instance(const struct sl_index_instance *i)
{
	struct sl_path path;
	bool is_plain = (i->flags & SL_RECORD_PLAIN_NAME) != 0;
	sl_path_instance(&path, &i->study_instance_uid, &i->series_instance_uid,
		&i->sop_instance_uid, is_plain ? 0 : i->seq);
	printf("instance\t%s\t%s\t%s", uid_or_none(&i->study_instance_uid),
		uid_or_none(&i->series_instance_uid), i->sop_instance_uid.s);
	printf("\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, i->sop_class_uid.s,
		i->transfer_syntax_uid.s, i->seq, i->dataset_len, i->file_len);
	printf("\t%s", yes_no((i->flags & SL_RECORD_UNSOUND) == 0));
	if (i->instance_number == SL_INDEX_NO_NUMBER)
		printf("\t-");
	else
		printf("\t%" PRId64, i->instance_number);
	printf("\t%u\t%s\t%s\n", i->frames, path.s, yes_no(i->is_current));
}

/* When the objects below a row came; series NULL: of a study's row. */
static void print_span(
	const struct sl_uid *study, const struct sl_uid *series, const struct sl_index_counts *n)
{
	printf("span\t%s\t%s\t%" PRIu64, uid_or_none(study),
		series == NULL ? "-" : uid_or_none(series), n->versions);
	printf("\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\n", n->first_seq, n->last_seq,
		n->first_ms, n->last_ms);
}

static enum sl_status dump_instances(struct dump *d, const struct sl_index_series *s)
{
	struct sl_index_cursor at = {0};
	struct sl_index_instance rows[PAGE];
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_instances(d->reader, &s->study_instance_uid,
			&s->series_instance_uid, &at, rows, &n, &d->diag);
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
		for (size_t i = 0; i < n; i++)
			print_instance(&rows[i]);
	}
}

static enum sl_status dump_series(struct dump *d, const struct sl_uid *study)
{
	struct sl_index_cursor at = {0};
	struct sl_index_series rows[PAGE];
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_series(d->reader, study, &at, rows, &n, &d->diag);
		for (size_t i = 0; st == SL_OK && i < n; i++) {
			const struct sl_index_series *s = &rows[i];
			printf("series\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%s",
				uid_or_none(&s->study_instance_uid),
				uid_or_none(&s->series_instance_uid), s->counts.instances,
				s->counts.bytes, yes_no(s->is_conflict));
			print_text(&s->text);
			print_span(&s->study_instance_uid, &s->series_instance_uid, &s->counts);
			st = dump_instances(d, s);
		}
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
	}
}

static void print_study(const struct sl_index_study *s)
{
	printf("study\t%s\t%" PRIu64 "\t%" PRIu64 "\t%u\t", uid_or_none(&s->study_instance_uid),
		s->counts.instances, s->counts.bytes, s->series_n);
	for (size_t m = 0; m < s->modalities_n; m++)
		printf("%s%s", m == 0 ? "" : ",", s->modalities[m]);
	printf("\t%s", yes_no(s->is_conflict));
	print_text(&s->text);
	print_span(&s->study_instance_uid, NULL, &s->counts);
	printf("patient\t%s\t%" PRIu64 "\n", uid_or_none(&s->study_instance_uid), s->patient);
}

static enum sl_status dump_studies(struct dump *d)
{
	struct sl_index_cursor at = {0};
	struct sl_index_study rows[PAGE];
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_studies(d->reader, &at, rows, &n, &d->diag);
		for (size_t i = 0; st == SL_OK && i < n; i++) {
			print_study(&rows[i]);
			st = dump_series(d, &rows[i].study_instance_uid);
		}
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
	}
}

static enum sl_status dump_tombstones(struct dump *d)
{
	uint64_t after = 0;
	struct sl_index_tombstone rows[PAGE];
	for (;;) {
		size_t n = PAGE;
		enum sl_status st = sl_index_list_tombstones(d->reader, &after, rows, &n, &d->diag);
		if (st != SL_OK)
			return st == SL_END ? SL_OK : st;
		for (size_t i = 0; i < n; i++)
			printf("tombstone\t%" PRIu64 "\t%s\t%s\t%s\n", rows[i].seq,
				uid_or_none(&rows[i].study_instance_uid),
				uid_or_none(&rows[i].series_instance_uid),
				uid_or_none(&rows[i].sop_instance_uid));
	}
}

/* The counters, and whether a recount agrees with them. */
static enum sl_status dump_sums(struct dump *d)
{
	struct sl_index_snapshot snap;
	struct sl_index_report report = {0};
	sl_index_snapshot(d->index, &snap);
	const struct sl_index_usage *u = &snap.usage;
	printf("usage\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, u->patients, u->studies,
		u->series, u->instances);
	printf("\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", u->bytes, u->conflicts,
		snap.next_seq, u->versions);
	enum sl_status st = sl_index_check(d->index, &report, &d->diag);
	if (st == SL_OK)
		printf("check\t%" PRIu64 "\t%s\n", report.wrong, report.first);
	return st == SL_OK && report.wrong > 0
		       ? sl_fail(&d->diag, SL_E_CORRUPT, 0, "check", "%.120s", report.first)
		       : st;
}

int main(int argc, char **argv)
{
	char folder[4096];
	static struct dump d;
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: index_dump ROOT [INDEX_FOLDER]\n");
		return 2;
	}
	snprintf(folder, sizeof(folder), "%s%s", argv[argc - 1], argc == 3 ? "" : "/index");
	const struct sl_index_lmdb_options options = {
		.path = folder, .map_size = 64 * SL_GIB, .readers = 1, .batch_max = 1};
	enum sl_status st = sl_index_lmdb_open(&options, &d.index, &d.diag);
	if (st == SL_OK)
		st = sl_index_open_reader(d.index, &d.reader, &d.diag);
	if (st == SL_OK)
		st = dump_studies(&d);
	if (st == SL_OK)
		st = dump_tombstones(&d);
	if (st == SL_OK)
		st = dump_sums(&d);
	sl_index_close_reader(d.reader);
	sl_index_close(d.index);
	if (st != SL_OK)
		fprintf(stderr, "index_dump: %s: %s\n", d.diag.where, d.diag.text);
	return st == SL_OK ? 0 : 1;
}
