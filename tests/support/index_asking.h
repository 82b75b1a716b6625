/* Asking the index and holding its answers, for the tests of finding.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/index_fixture.h"

#include "storage/index_find.h"

enum { PAGE = 3, FOUND_MAX = 400 };

/* The rows found, as the text that identifies each. */
struct found {
	size_t n;
	char id[FOUND_MAX][160];
	struct sl_index_plan plan; /* of the first page */
	uint64_t steps;            /* of the first page */
};

static inline struct sl_index_cond cond(unsigned field, enum sl_index_match match, const char *text)
{
	return (struct sl_index_cond){
		.field = field, .match = match, .text = text, .n = strlen(text)};
}

static inline struct sl_index_cond range(unsigned field, const char *from, const char *to)
{
	struct sl_index_cond c = cond(field, SL_MATCH_RANGE, from);
	c.to = to;
	c.to_n = strlen(to);
	return c;
}

static inline enum sl_status next_page(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, struct found *out, size_t page,
	struct sl_index_plan *plan)
{
	static union {
		struct sl_index_patient patient[64];
		struct sl_index_study study[64];
		struct sl_index_series series[64];
		struct sl_index_instance instance[64];
	} rows;
	struct sl_diag diag = {0};
	size_t n = page;
	enum sl_status st =
		level == SL_LEVEL_PATIENT
			? sl_index_find_patients(rd, q, at, rows.patient, &n, plan, &diag)
		: level == SL_LEVEL_STUDY
			? sl_index_find_studies(rd, q, at, rows.study, &n, plan, &diag)
		: level == SL_LEVEL_SERIES
			? sl_index_find_series(rd, q, at, rows.series, &n, plan, &diag)
			: sl_index_find_instances(rd, q, at, rows.instance, &n, plan, &diag);
	if (st != SL_OK && st != SL_END)
		fail_msg("%s: %s", sl_status_name(st), diag.text);
	assert_true((st == SL_OK) == (n > 0));
	for (size_t i = 0; i < n; i++) {
		char *id = out->id[out->n++];
		assert_true(out->n < FOUND_MAX);
		size_t len;
		const char *name;
		switch (level) {
		case SL_LEVEL_PATIENT:
			name = sl_index_text_get(&rows.patient[i].text, SL_ATTR_PATIENT_ID, &len);
			snprintf(id, 160, "%llu %.*s", (unsigned long long)rows.patient[i].patient,
				(int)sl_min(len, 100), name);
			break;
		case SL_LEVEL_STUDY:
			snprintf(id, 160, "%s", rows.study[i].study_instance_uid.s);
			break;
		case SL_LEVEL_SERIES:
			snprintf(id, 160, "%s %s", rows.series[i].study_instance_uid.s,
				rows.series[i].series_instance_uid.s);
			break;
		case SL_LEVEL_INSTANCE:
			snprintf(id, 160, "%s", rows.instance[i].sop_instance_uid.s);
			break;
		}
	}
	return st;
}

static inline int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline void find_all(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_cond *conds, size_t n, size_t page, struct found *out)
{
	const struct sl_index_query q = {conds, n};
	struct sl_index_cursor at = {0};
	struct sl_index_plan plan;
	out->n = 0;
	enum sl_status st = next_page(rd, level, &q, &at, out, page, &out->plan);
	while (st == SL_OK)
		st = next_page(rd, level, &q, &at, out, page, &plan);
	qsort(out->id, out->n, sizeof(out->id[0]), by_text);
	for (size_t i = 1; i < out->n; i++)
		assert_string_not_equal(out->id[i], out->id[i - 1]);
}

/* Asks for studies; `expected`: their UIDs in order, a space behind each. */
static inline void assert_studies(struct fixture *f, const struct sl_index_cond *conds, size_t n,
	enum sl_index_key key, const char *expected)
{
	static struct found found;
	char got[2000] = "";
	find_all(f->rd, SL_LEVEL_STUDY, conds, n, PAGE, &found);
	for (size_t i = 0; i < found.n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", found.id[i]);
	assert_string_equal(got, expected);
	if (f->has_dir) /* the twin has no keys */
		assert_string_equal(sl_index_key_name(found.plan.key), sl_index_key_name(key));
}

static inline void assert_study(
	struct fixture *f, struct sl_index_cond c, enum sl_index_key key, const char *expected)
{
	assert_studies(f, &c, 1, key, expected);
}
