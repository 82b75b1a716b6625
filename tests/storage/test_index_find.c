/* Finding, on LMDB and on the in-memory twin: kinds of match, levels, pages, plans.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_asking.h"

/* ---- a small archive --------------------------------------------------------------------------- */

static void put_study(struct fixture *f, unsigned no, const char *const values[][2])
{
	static const char *const keywords[] = {"PatientID", "PatientName", "StudyDate", "Modality",
		"Manufacturer", "AccessionNumber", "InstitutionName", "Radiopharmaceutical",
		"SpecificCharacterSet", "StudyTime"};
	static const enum sl_attr attrs[] = {SL_ATTR_PATIENT_ID, SL_ATTR_PATIENT_NAME,
		SL_ATTR_STUDY_DATE, SL_ATTR_MODALITY, SL_ATTR_MANUFACTURER,
		SL_ATTR_ACCESSION_NUMBER, SL_ATTR_INSTITUTION_NAME, SL_ATTR_RADIOPHARMACEUTICAL,
		SL_ATTR_SPECIFIC_CHARACTER_SET, SL_ATTR_STUDY_TIME};
	char study[16], series[16], sop[16];
	snprintf(study, sizeof(study), "1.%u", no);
	snprintf(series, sizeof(series), "2.%u", no);
	snprintf(sop, sizeof(sop), "3.%u", no);
	struct sl_record r = a_record(study, series, sop, no + 1);
	for (size_t i = 0; values[i][0] != NULL; i++)
		for (size_t k = 0; k < SL_ARRAY_N(keywords); k++)
			if (strcmp(values[i][0], keywords[k]) == 0)
				rec_set(&r, attrs[k], values[i][1]);
	assert_int_equal(put(f->ix, &r).status, SL_OK);
}

static void put_four(struct fixture *f)
{
	put_study(f, 1,
		(const char *const[][2]){{"PatientID", "A1"},
			{"PatientName", "M\xC3\xBCller^J\xC3\xB6rg"},
			{"SpecificCharacterSet", "ISO_IR 192"}, {"StudyDate", "20230105"},
			{"Modality", "CT"}, {"Manufacturer", "ACME"}, {"AccessionNumber", "X-1"},
			{NULL, NULL}});
	put_study(f, 2,
		(const char *const[][2]){{"PatientID", "a1"},
			{"PatientName",
				"Yamada^Tarou=\xE5\xB1\xB1\xE7\x94\xB0^\xE5\xA4\xAA\xE9\x83\x8E="
				"\xE3\x82\x84\xE3\x81\xBE\xE3\x81\xA0^"
				"\xE3\x81\x9F\xE3\x82\x8D\xE3\x81\x86"},
			{"SpecificCharacterSet", "ISO_IR 192"}, {"StudyDate", "2023.02.07"},
			{"Modality", "MR"}, {"Manufacturer", "Acme GmbH"},
			{"StudyTime", "101530.5"}, {NULL, NULL}});
	put_study(f, 3,
		(const char *const[][2]){{"PatientID", "B2"}, {"PatientName", "Doe^Jane"},
			{"StudyDate", "20240229"}, {"Modality", "PT"},
			{"Radiopharmaceutical", "FDG"}, {"InstitutionName", "Charite"},
			{"Manufacturer", "Zeta"}, {NULL, NULL}});
	put_study(f, 4, (const char *const[][2]){{"Modality", "CT"}, {NULL, NULL}});
}

static void exact_prefix_and_wildcard_are_folded(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_EXACT, "muller^jorg"),
		SL_KEY_PATIENT_NAME, "1.1 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_EXACT, "M\xC3\xBCller^J\xC3\xB6rg"),
		SL_KEY_PATIENT_NAME, "1.1 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "MULL"), SL_KEY_PATIENT_NAME,
		"1.1 ");
	assert_study(
		f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "mull^"), SL_KEY_PATIENT_NAME, "");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_WILDCARD, "d?e^*"), SL_KEY_PATIENT_NAME,
		"1.3 ");
	assert_study(
		f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_WILDCARD, "*^j*"), SL_KEY_NONE, "1.1 1.3 ");
	assert_study(
		f, cond(SL_ATTR_MANUFACTURER, SL_MATCH_EXACT, "acme"), SL_KEY_MANUFACTURER, "1.1 ");
	assert_study(f, cond(SL_ATTR_MANUFACTURER, SL_MATCH_PREFIX, "acme"), SL_KEY_MANUFACTURER,
		"1.1 1.2 ");
	assert_study(f, cond(SL_ATTR_RADIOPHARMACEUTICAL, SL_MATCH_EXACT, "fdg"),
		SL_KEY_RADIOPHARMACEUTICAL, "1.3 ");
	assert_study(f, cond(SL_ATTR_INSTITUTION_NAME, SL_MATCH_PREFIX, "charit\xC3\xA9"),
		SL_KEY_INSTITUTION, "1.3 ");
	assert_study(f, cond(SL_ATTR_ACCESSION_NUMBER, SL_MATCH_EXACT, "x-1"),
		SL_KEY_ACCESSION_NUMBER, "1.1 ");
	assert_study(f, cond(SL_ATTR_MODALITY, SL_MATCH_EXACT, "CT"), SL_KEY_MODALITY, "1.1 1.4 ");
}

static void as_is_tells_case(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	struct sl_index_cond c = cond(SL_ATTR_PATIENT_ID, SL_MATCH_EXACT, "a1");
	assert_study(f, c, SL_KEY_PATIENT_ID, "1.1 1.2 ");
	c.as_is = true;
	assert_study(f, c, SL_KEY_PATIENT_ID, "1.2 ");
	c = cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "M\xC3\xBC");
	c.as_is = true;
	assert_study(f, c, SL_KEY_PATIENT_NAME, "1.1 ");
	c = cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "mu");
	c.as_is = true;
	assert_study(f, c, SL_KEY_PATIENT_NAME, "");
}

static void a_name_is_found_by_each_group_once(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	assert_study(f,
		cond(SL_ATTR_PATIENT_NAME, SL_MATCH_EXACT,
			"\xE5\xB1\xB1\xE7\x94\xB0^\xE5\xA4\xAA\xE9\x83\x8E"),
		SL_KEY_PATIENT_NAME, "1.2 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "\xE3\x82\x84\xE3\x81\xBE"),
		SL_KEY_PATIENT_NAME, "1.2 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "=\xE5\xB1\xB1"),
		SL_KEY_PATIENT_NAME, "1.2 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "yam=\xE3\x82\x84"),
		SL_KEY_PATIENT_NAME, "");
	assert_study(f,
		cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "yam=\xE5\xB1\xB1=\xE3\x82\x84"),
		SL_KEY_PATIENT_NAME, "1.2 ");
	/* A prefix that two groups have: in two entries, shown once. */
	put_study(f, 5,
		(const char *const[][2]){
			{"PatientID", "C3"}, {"PatientName", "Kim^A=Kim^B=Kim^C"}, {NULL, NULL}});
	assert_study(
		f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, "kim"), SL_KEY_PATIENT_NAME, "1.5 ");
}

static void ranges_of_dates_and_times(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	assert_study(f, range(SL_ATTR_STUDY_DATE, "20230105", "20230207"), SL_KEY_STUDY_DATE,
		"1.1 1.2 ");
	assert_study(f, range(SL_ATTR_STUDY_DATE, "20230106", ""), SL_KEY_STUDY_DATE, "1.2 1.3 ");
	assert_study(f, range(SL_ATTR_STUDY_DATE, "", "20230206"), SL_KEY_STUDY_DATE, "1.1 ");
	assert_study(f, range(SL_ATTR_STUDY_DATE, "2023", "2023"), SL_KEY_STUDY_DATE, "1.1 1.2 ");
	assert_study(f, range(SL_ATTR_STUDY_DATE, "2025", "2024"), SL_KEY_STUDY_DATE, "");
	assert_study(
		f, cond(SL_ATTR_STUDY_DATE, SL_MATCH_EXACT, "20230207"), SL_KEY_STUDY_DATE, "1.2 ");
	assert_study(
		f, cond(SL_ATTR_STUDY_DATE, SL_MATCH_WILDCARD, "2024*"), SL_KEY_STUDY_DATE, "1.3 ");
	assert_study(f, range(SL_ATTR_STUDY_TIME, "10:15", "1015"), SL_KEY_NONE, "1.2 ");
	const struct sl_index_cond both[] = {range(SL_ATTR_STUDY_DATE, "2023", "2024"),
		cond(SL_ATTR_MODALITY, SL_MATCH_EXACT, "pt")};
	assert_studies(f, both, 2, SL_KEY_DATE_MODALITY, "1.3 ");
}

static void absent_values_are_empty_ones(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	assert_study(f, cond(SL_ATTR_STUDY_DATE, SL_MATCH_EXACT, ""), SL_KEY_NONE, "1.4 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_EXACT, ""), SL_KEY_NONE, "1.4 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_WILDCARD, "*"), SL_KEY_NONE,
		"1.1 1.2 1.3 1.4 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_PREFIX, ""), SL_KEY_NONE,
		"1.1 1.2 1.3 1.4 ");
	assert_study(f, cond(SL_ATTR_PATIENT_NAME, SL_MATCH_WILDCARD, "?*"), SL_KEY_NONE,
		"1.1 1.2 1.3 ");
	assert_studies(f, NULL, 0, SL_KEY_NONE, "1.1 1.2 1.3 1.4 ");
}

static void uids_and_arrival(void **state)
{
	struct fixture *f = *state;
	put_four(f);
	const struct sl_uid studies[] = {
		sl_uid_of("1.3"), sl_uid_of("9.9"), sl_uid_of("1.1"), sl_uid_of("1.3")};
	const struct sl_uid sops[] = {sl_uid_of("3.2"), sl_uid_of("3.4"), sl_uid_of("3.2")};
	struct sl_index_cond c = {.field = SL_FIELD_STUDY_UID,
		.match = SL_MATCH_UIDS,
		.uids = studies,
		.uids_n = SL_ARRAY_N(studies)};
	assert_study(f, c, SL_KEY_STUDY_UID, "1.1 1.3 ");
	c = (struct sl_index_cond){.field = SL_FIELD_SOP_UID,
		.match = SL_MATCH_UIDS,
		.uids = sops,
		.uids_n = SL_ARRAY_N(sops)};
	assert_study(f, c, SL_KEY_SOP_UID, "1.2 1.4 ");
	c.uids_n = 0;
	assert_study(f, c, SL_KEY_SOP_UID, "");
	assert_study(
		f, cond(SL_FIELD_SERIES_UID, SL_MATCH_EXACT, "2.3"), SL_KEY_SERIES_UID, "1.3 ");
	assert_study(f, cond(SL_FIELD_STUDY_UID, SL_MATCH_WILDCARD, "1.?"), SL_KEY_NONE,
		"1.1 1.2 1.3 1.4 ");
	assert_study(f, cond(SL_FIELD_SOP_CLASS_UID, SL_MATCH_PREFIX, "1.2.840.10008.5.1.4.1.1.4"),
		SL_KEY_NONE, "");
	c = (struct sl_index_cond){
		.field = SL_FIELD_ARRIVAL, .match = SL_MATCH_RANGE, .from_seq = 3, .to_seq = 4};
	assert_study(f, c, SL_KEY_ARRIVAL, "1.2 1.3 ");
	c.to_seq = 0;
	assert_study(f, c, SL_KEY_ARRIVAL, "1.2 1.3 1.4 ");
}

static void one_series_under_two_studies_is_found_in_both(void **state)
{
	struct fixture *f = *state;
	struct sl_record a = a_record("1.1", "2.1", "3.1", 1), b = a_record("1.2", "2.1", "3.2", 2);
	assert_int_equal(put(f->ix, &a).status, SL_OK);
	assert_int_equal(put(f->ix, &b).status, SL_OK);
	assert_study(
		f, cond(SL_FIELD_SERIES_UID, SL_MATCH_EXACT, "2.1"), SL_KEY_SERIES_UID, "1.1 1.2 ");
}

static void what_cannot_be_asked_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char text[SL_INDEX_COND_TEXT + 1] = {'x'};
	struct sl_index_cond many[SL_INDEX_CONDS_MAX + 1];
	const struct sl_index_cond wrong[] = {
		cond(SL_ATTR_SPECIFIC_CHARACTER_SET, SL_MATCH_EXACT, "x"),
		cond(SL_FIELD_N, SL_MATCH_EXACT, "x"), range(SL_ATTR_PATIENT_NAME, "a", "b"),
		range(SL_ATTR_STUDY_DATE, "yesterday", ""),
		cond(SL_FIELD_ARRIVAL, SL_MATCH_EXACT, "3"),
		{.field = SL_ATTR_MODALITY, .match = SL_MATCH_UIDS}};
	struct sl_index_plan plan;
	for (size_t i = 0; i < SL_ARRAY_N(wrong); i++) {
		struct sl_diag diag = {0};
		assert_int_equal(sl_index_explain(f->rd, SL_LEVEL_STUDY,
					 &(struct sl_index_query){&wrong[i], 1}, &plan, &diag),
			SL_E_UNSUPPORTED);
		assert_true(diag.text[0] != '\0');
	}
	struct sl_index_cond longer = {
		.field = SL_ATTR_PATIENT_NAME, .text = text, .n = sizeof(text)};
	assert_int_equal(sl_index_explain(f->rd, SL_LEVEL_STUDY,
				 &(struct sl_index_query){&longer, 1}, &plan, NULL),
		SL_E_LIMIT);
	for (size_t i = 0; i < SL_ARRAY_N(many); i++)
		many[i] = cond(SL_ATTR_MODALITY, SL_MATCH_EXACT, "CT");
	assert_int_equal(sl_index_explain(f->rd, SL_LEVEL_STUDY,
				 &(struct sl_index_query){many, SL_ARRAY_N(many)}, &plan, NULL),
		SL_E_LIMIT);
}

/* ---- plans ------------------------------------------------------------------------------------- */

static void the_narrowest_key_is_taken(void **state)
{
	struct fixture *f = *state;
	struct sl_index_plan plan;
	put_range(f->ix, 0, 600, 100, 2); /* 75 studies of 4 series, 2 instances each */
	const struct sl_index_cond conds[] = {cond(SL_ATTR_MANUFACTURER, SL_MATCH_PREFIX, "acme"),
		range(SL_ATTR_STUDY_DATE, "2023", ""),
		cond(SL_ATTR_PATIENT_NAME, SL_MATCH_EXACT, "family7^given7")};
	assert_int_equal(sl_index_explain(f->rd, SL_LEVEL_STUDY, &(struct sl_index_query){conds, 3},
				 &plan, NULL),
		SL_OK);
	assert_int_equal(plan.key, SL_KEY_PATIENT_NAME);
	assert_int_equal(plan.cond, 2);
	assert_int_equal(plan.candidates, 1);
	assert_int_equal(sl_index_explain(f->rd, SL_LEVEL_STUDY, &(struct sl_index_query){conds, 2},
				 &plan, NULL),
		SL_OK);
	assert_int_equal(plan.key, SL_KEY_STUDY_DATE);
	assert_int_equal(plan.candidates, SL_INDEX_PROBE);
}

/* Steps of the first page of a list by date and modality, in an archive of so many studies on that
 * day and before. */
static uint64_t steps_of_first_page(struct fixture *f, unsigned from, unsigned studies)
{
	static struct found found;
	for (unsigned i = from; i < studies; i++) {
		char study[16], series[16], sop[16], date[16];
		snprintf(study, sizeof(study), "1.%u", i);
		snprintf(date, sizeof(date), "2023%02u%02u", i % 12 + 1, i % 28 + 1);
		for (unsigned k = 0; k < 2; k++) {
			snprintf(series, sizeof(series), "2.%u.%u", i, k);
			snprintf(sop, sizeof(sop), "3.%u.%u", i, k);
			struct sl_record r = a_record(study, series, sop, i * 2 + k + 1);
			rec_set(&r, SL_ATTR_PATIENT_ID, study);
			rec_set(&r, SL_ATTR_STUDY_DATE, date);
			rec_set(&r, SL_ATTR_MODALITY, k == i % 2 ? "CT" : "SR");
			assert_int_equal(put(f->ix, &r).status, SL_OK);
		}
	}
	const struct sl_index_cond conds[] = {range(SL_ATTR_STUDY_DATE, "20230101", ""),
		cond(SL_ATTR_MODALITY, SL_MATCH_EXACT, "CT")};
	struct sl_index_cursor at = {0};
	found.n = 0;
	assert_int_equal(next_page(f->rd, SL_LEVEL_STUDY, &(struct sl_index_query){conds, 2}, &at,
				 &found, 20, &found.plan),
		SL_OK);
	assert_int_equal(found.n, 20);
	assert_int_equal(found.plan.key, SL_KEY_DATE_MODALITY);
	return found.plan.steps;
}

static void a_first_page_by_date_and_modality_reads_what_it_shows(void **state)
{
	struct fixture *f = *state;
	uint64_t few = steps_of_first_page(f, 0, 100);
	uint64_t many = steps_of_first_page(f, 100, 1000);
	print_message("first page of 20 studies: %llu steps of 100 studies, %llu of 1000\n",
		(unsigned long long)few, (unsigned long long)many);
	/* Three keys counted by the planner, each with an entry of another modality between; per study
	 * its entry, its row, its patient's, and the series up to the one that answers. */
	assert_true(few <= 4 * 2 * SL_INDEX_PROBE + 20 * 8);
	assert_true(many <= 4 * 2 * SL_INDEX_PROBE + 20 * 8);
}

/* ---- pages while rows come and go -------------------------------------------------------------- */

static void a_row_that_stays_is_seen_once_while_others_come_and_go(void **state)
{
	struct fixture *f = *state;
	static struct found found;
	uint64_t seq = 1000;
	char uid[24], series[24];
	for (unsigned i = 0; i < 40; i++) {
		snprintf(uid, sizeof(uid), "1.%u", 100 + i);
		snprintf(series, sizeof(series), "2.%u", 100 + i);
		struct sl_record r = a_record(uid, series, series, ++seq);
		rec_set(&r, SL_ATTR_MANUFACTURER, i % 2 ? "Acme" : "Beta");
		assert_int_equal(put(f->ix, &r).status, SL_OK);
	}
	struct sl_index_cursor at = {0};
	const struct sl_index_cond acme = cond(SL_ATTR_MANUFACTURER, SL_MATCH_PREFIX, "a");
	found.n = 0;
	const struct sl_index_query q = {&acme, 1};
	struct sl_index_plan plan;
	unsigned step = 0;
	while (next_page(f->rd, SL_LEVEL_STUDY, &q, &at, &found, 2, &plan) == SL_OK) {
		/* More series of studies already seen and still to come, before and behind the cursor; and
		 * the studies with even numbers, which do not answer, go. */
		snprintf(uid, sizeof(uid), "1.%u", 101 + 2 * (step % 20));
		snprintf(series, sizeof(series), "4.%u", step);
		struct sl_record r = a_record(uid, series, series, ++seq);
		rec_set(&r, SL_ATTR_MANUFACTURER, step % 2 ? "Aaa" : "Azz");
		assert_int_equal(put(f->ix, &r).status, SL_OK);
		struct sl_index_removed removed;
		snprintf(uid, sizeof(uid), "1.%u", 100 + 2 * (step % 20));
		struct sl_uid gone = sl_uid_of(uid);
		(void)!sl_index_remove_study(f->ix, &gone, 0, &removed, NULL);
		step++;
	}
	qsort(found.id, found.n, sizeof(found.id[0]), by_text);
	assert_int_equal(found.n, 20);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(uid, sizeof(uid), "1.%u", 101 + 2 * i);
		assert_string_equal(found.id[i], uid);
	}
	check_sound(f->ix);
}

static void a_cursor_that_is_not_of_the_query_is_refused(void **state)
{
	struct fixture *f = *state;
	struct sl_index_study row;
	put_four(f);
	const struct sl_index_cond c = cond(SL_ATTR_MODALITY, SL_MATCH_EXACT, "CT");
	const struct sl_index_query q = {&c, 1};
	uint64_t seed = 5;
	for (int i = 0; i < 3000; i++) {
		struct sl_index_cursor at = {.len = (uint8_t)(rec_random(&seed) % 60)};
		size_t n = 1;
		for (size_t k = 0; k < sizeof(at.key); k++)
			at.key[k] = (uint8_t)(rec_random(&seed) % (k < 3 ? 16 : 256));
		enum sl_status st = sl_index_find_studies(f->rd, &q, &at, &row, &n, NULL, NULL);
		assert_true(st == SL_OK || st == SL_END || st == SL_E_CORRUPT);
	}
}

int main(void)
{
#define BOTH(test)                                                  \
	cmocka_unit_test_setup_teardown(test, open_lmdb, teardown), \
	{                                                           \
		"twin " #test, test, open_mem, teardown, NULL       \
	}
	const struct CMUnitTest tests[] = {
		BOTH(exact_prefix_and_wildcard_are_folded),
		BOTH(as_is_tells_case),
		BOTH(a_name_is_found_by_each_group_once),
		BOTH(ranges_of_dates_and_times),
		BOTH(absent_values_are_empty_ones),
		BOTH(uids_and_arrival),
		BOTH(one_series_under_two_studies_is_found_in_both),
		BOTH(what_cannot_be_asked_is_refused),
		BOTH(a_row_that_stays_is_seen_once_while_others_come_and_go),
		cmocka_unit_test_setup_teardown(the_narrowest_key_is_taken, open_lmdb, teardown),
		cmocka_unit_test_setup_teardown(
			a_first_page_by_date_and_modality_reads_what_it_shows, open_lmdb, teardown),
		cmocka_unit_test_setup_teardown(
			a_cursor_that_is_not_of_the_query_is_refused, open_lmdb, teardown),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
