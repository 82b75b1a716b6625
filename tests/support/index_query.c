/* index_query ROOT: answers conditions from a node's index, one query a line on stdin:
 *
 *   LEVEL [TAB FIELD MATCH TEXT [TO]]...       LEVEL: patient, study, series, instance
 *
 * FIELD is a PS3.6 keyword or StudyInstanceUID and the like; MATCH exact, prefix, wildcard, range or uids
 * (TEXT: by comma); the parts of a condition are tab-separated and a condition has always four, "-" for
 * no TO. One line out for each query:
 *
 *   KEY TAB STEPS [TAB ROW]...                 ROW: a UID, "study series", or patient: "id issuer name"
 *
 * The node must be stopped. A test tool, for tests/net. Exit 0; 1 when a query fails.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/index_find.h"
#include "storage/index_lmdb.h"

enum { PAGE = 7, LINE_MAX = 65536, PARTS = 4 };

struct question {
	enum sl_attr_level level;
	struct sl_index_cond cond[SL_INDEX_CONDS_MAX];
	size_t n;
	struct sl_uid uids[1024];
	size_t uids_n;
};

static int index_in(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	fprintf(stderr, "index_query: what is %s?\n", name);
	exit(1);
}

static unsigned field_of(const char *keyword)
{
	static const char *const uids[] = {"StudyInstanceUID", "SeriesInstanceUID",
		"SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID"};
	for (unsigned a = 0; a < SL_ATTR_N; a++)
		if (strcmp(sl_attrs[a].keyword, keyword) == 0)
			return a;
	return SL_FIELD_STUDY_UID + (unsigned)index_in(uids, SL_ARRAY_N(uids), keyword);
}

static void parse_cond(struct question *q, char *const part[PARTS])
{
	static const char *const matches[] = {"exact", "prefix", "wildcard", "range", "uids"};
	struct sl_index_cond *c = &q->cond[q->n++];
	*c = (struct sl_index_cond){.field = field_of(part[0]),
		.match = (enum sl_index_match)index_in(matches, 5, part[1]),
		.text = part[2],
		.n = strlen(part[2]),
		.to = part[3],
		.to_n = strcmp(part[3], "-") == 0 ? 0 : strlen(part[3])};
	if (c->match != SL_MATCH_UIDS)
		return;
	c->uids = q->uids + q->uids_n;
	for (char *save, *uid = strtok_r(part[2], ",", &save); uid != NULL;
		uid = strtok_r(NULL, ",", &save))
		if (q->uids_n < SL_ARRAY_N(q->uids) &&
			sl_uid_parse(&q->uids[q->uids_n], uid, strlen(uid)) == SL_OK) {
			q->uids_n++;
			c->uids_n++;
		}
}

static void parse(struct question *q, char *line)
{
	static const char *const levels[] = {"patient", "study", "series", "instance"};
	char *part[PARTS];
	line[strcspn(line, "\n")] = '\0';
	q->n = q->uids_n = 0;
	q->level = (enum sl_attr_level)index_in(levels, 4, strsep(&line, "\t"));
	while (line != NULL && q->n < SL_INDEX_CONDS_MAX) {
		for (size_t i = 0; i < PARTS; i++) {
			part[i] = strsep(&line, "\t");
			if (part[i] == NULL)
				exit(1);
		}
		parse_cond(q, part);
	}
}

static void print_value(const struct sl_index_text *t, enum sl_attr a)
{
	size_t n;
	const char *v = sl_index_text_get(t, a, &n);
	printf("%.*s", (int)n, v);
}

static const char *uid_or_none(const struct sl_uid *uid)
{
	return uid->len == 0 ? "_" : uid->s;
}

/* One page; its rows printed. */
static enum sl_status ask(struct sl_index_reader *rd, const struct question *q,
	struct sl_index_cursor *at, struct sl_index_plan *plan, bool is_first, struct sl_diag *diag)
{
	static struct sl_index_patient patients[PAGE];
	static struct sl_index_study studies[PAGE];
	static struct sl_index_series series[PAGE];
	static struct sl_index_instance instances[PAGE];
	const struct sl_index_query query = {q->cond, q->n};
	size_t n = PAGE;
	enum sl_status st =
		q->level == SL_LEVEL_PATIENT
			? sl_index_find_patients(rd, &query, at, patients, &n, plan, diag)
		: q->level == SL_LEVEL_STUDY
			? sl_index_find_studies(rd, &query, at, studies, &n, plan, diag)
		: q->level == SL_LEVEL_SERIES
			? sl_index_find_series(rd, &query, at, series, &n, plan, diag)
			: sl_index_find_instances(rd, &query, at, instances, &n, plan, diag);
	if (is_first)
		printf("%s\t%" PRIu64, sl_index_key_name(plan->key), plan->steps);
	for (size_t i = 0; i < n; i++) {
		printf("\t");
		if (q->level == SL_LEVEL_PATIENT) {
			print_value(&patients[i].text, SL_ATTR_PATIENT_ID);
			printf("|");
			print_value(&patients[i].text, SL_ATTR_ISSUER_OF_PATIENT_ID);
			printf("|%" PRIu64, patients[i].studies_n);
		} else if (q->level == SL_LEVEL_STUDY) {
			printf("%s", uid_or_none(&studies[i].study_instance_uid));
		} else if (q->level == SL_LEVEL_SERIES) {
			printf("%s %s", uid_or_none(&series[i].study_instance_uid),
				uid_or_none(&series[i].series_instance_uid));
		} else {
			printf("%s", instances[i].sop_instance_uid.s);
		}
	}
	return st;
}

static enum sl_status answer(
	struct sl_index_reader *rd, const struct question *q, struct sl_diag *diag)
{
	struct sl_index_cursor at = {0};
	struct sl_index_plan plan;
	enum sl_status st = ask(rd, q, &at, &plan, true, diag);
	while (st == SL_OK)
		st = ask(rd, q, &at, &plan, false, diag);
	printf("\n");
	return st == SL_END ? SL_OK : st;
}

int main(int argc, char **argv)
{
	static char folder[4096], line[LINE_MAX];
	static struct question q;
	struct sl_index *index = NULL;
	struct sl_index_reader *reader = NULL;
	struct sl_diag diag = {0};
	if (argc != 2) {
		fprintf(stderr, "usage: index_query ROOT\n");
		return 2;
	}
	snprintf(folder, sizeof(folder), "%s/index", argv[1]);
	const struct sl_index_lmdb_options options = {
		.path = folder, .map_size = 64 * SL_GIB, .readers = 1, .batch_max = 1};
	enum sl_status st = sl_index_lmdb_open(&options, &index, &diag);
	if (st == SL_OK)
		st = sl_index_open_reader(index, &reader, &diag);
	while (st == SL_OK && fgets(line, sizeof(line), stdin) != NULL) {
		parse(&q, line);
		st = answer(reader, &q, &diag);
	}
	sl_index_close_reader(reader);
	sl_index_close(index);
	if (st != SL_OK)
		fprintf(stderr, "index_query: %s: %s\n", diag.where, diag.text);
	return st == SL_OK ? 0 : 1;
}
