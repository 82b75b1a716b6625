/* The registry's tables: sorted, whole, and telling the truth about what is read by them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry.h"

static void REG_rows_ascend_and_every_row_is_found(void **state)
{
	(void)state;
	size_t sops_n, tss_n;
	const struct sl_sop_row *sops = sl_registry_sop_classes(&sops_n);
	const struct sl_ts_row *tss = sl_registry_transfer_syntaxes(&tss_n);
	assert_true(sops_n > 340);
	assert_true(tss_n > 60);
	for (size_t i = 0; i < sops_n; i++) {
		struct sl_uid uid = sl_uid_of(sops[i].uid);
		assert_true(sl_uid_is_strict(&uid));
		assert_true(i == 0 || strcmp(sops[i - 1].uid, sops[i].uid) < 0);
		assert_true(sops[i].name[0] != '\0');
		assert_true(sops[i].kind < SL_SOP_KIND_N);
		assert_ptr_equal(sl_registry_sop_class(&uid), &sops[i]);
		assert_int_equal(sl_registry_sop_number(&sops[i]), i);
		assert_ptr_equal(sl_registry_sop_at((uint16_t)i), &sops[i]);
		assert_null(sl_registry_ts(&uid));
	}
	for (size_t i = 0; i < tss_n; i++) {
		struct sl_uid uid = sl_uid_of(tss[i].uid);
		assert_true(sl_uid_is_strict(&uid));
		assert_true(i == 0 || strcmp(tss[i - 1].uid, tss[i].uid) < 0);
		assert_true(tss[i].name[0] != '\0');
		assert_true(tss[i].rank < SL_TS_RANK_N);
		assert_ptr_equal(sl_registry_ts(&uid), &tss[i]);
		assert_int_equal(sl_registry_ts_number(&tss[i]), i);
		assert_ptr_equal(sl_registry_ts_at((uint16_t)i), &tss[i]);
		assert_null(sl_registry_sop_class(&uid));
	}
}

static void REG_what_is_not_in_the_tables_is_nothing(void **state)
{
	(void)state;
	static const char *const others[] = {"0", "1.2.840.10008.1.2.0", "1.2.840.10008.1.20.1.1",
		"1.2.840.10008.5.1.4.1.1.2.", "9", "zzz", "1.2.840.10008.5.1.4.1.1.9999"};
	struct sl_uid none = {0};
	assert_null(sl_registry_sop_class(&none));
	assert_null(sl_registry_ts(&none));
	for (size_t i = 0; i < SL_ARRAY_N(others); i++) {
		struct sl_uid uid = sl_uid_of(others[i]);
		assert_null(sl_registry_sop_class(&uid));
		assert_null(sl_registry_ts(&uid));
	}
	assert_int_equal(sl_registry_sop_number(NULL), SL_REGISTRY_NONE);
	assert_int_equal(sl_registry_ts_number(NULL), SL_REGISTRY_NONE);
	assert_null(sl_registry_sop_at(SL_REGISTRY_NONE));
	assert_null(sl_registry_ts_at(SL_REGISTRY_NONE));
}

static void REG_properties_of_transfer_syntaxes(void **state)
{
	(void)state;
	static const struct {
		const char *uid;
		enum sl_ts_rank rank;
		bool explicit_vr, big_endian, encapsulated, deflated;
	} rows[] = {
		{"1.2.840.10008.1.2", SL_TS_IMPLICIT_LE, false, false, false, false},
		{"1.2.840.10008.1.2.1", SL_TS_EXPLICIT_LE, true, false, false, false},
		{"1.2.840.10008.1.2.2", SL_TS_BIG_ENDIAN, true, true, false, false},
		{"1.2.840.10008.1.2.1.98", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.1.99", SL_TS_DEFLATED, true, false, false, true},
		{"1.2.840.10008.1.2.8.1", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.5", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.50", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.58", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.70", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.80", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.81", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.90", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.91", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.95", SL_TS_REFERENCED, true, false, false, true},
		{"1.2.840.10008.1.2.4.100.1", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.108", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.110", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.112", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.202", SL_TS_LOSSLESS, true, false, true, false},
		{"1.2.840.10008.1.2.4.203", SL_TS_LOSSY, true, false, true, false},
		{"1.2.840.10008.1.2.4.205", SL_TS_REFERENCED, true, false, false, true},
		{"1.2.840.10008.1.2.7.1", SL_TS_REFERENCED, true, false, false, false},
		{"1.2.840.10008.1.2.6.2", SL_TS_NOT_A_DATA_SET, false, false, false, false},
		{"1.2.840.113619.5.2", SL_TS_BIG_ENDIAN, false, false, false, false},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct sl_uid uid = sl_uid_of(rows[i].uid);
		const struct sl_ts_row *ts = sl_registry_ts(&uid);
		assert_non_null(ts);
		assert_int_equal(ts->rank, rows[i].rank);
		assert_int_equal(ts->explicit_vr, rows[i].explicit_vr);
		assert_int_equal(ts->big_endian, rows[i].big_endian);
		assert_int_equal(ts->encapsulated, rows[i].encapsulated);
		assert_int_equal(ts->deflated, rows[i].deflated);
	}
}

/* What the element walker relies on. */
static void REG_properties_hang_together(void **state)
{
	(void)state;
	size_t n;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&n);
	for (size_t i = 0; i < n; i++) {
		const struct sl_ts_row *ts = &rows[i];
		if (ts->encapsulated) {
			assert_true(ts->explicit_vr && !ts->big_endian && !ts->deflated);
			assert_true(ts->rank == SL_TS_LOSSLESS || ts->rank == SL_TS_LOSSY);
		}
		if (ts->deflated)
			assert_true(ts->rank == SL_TS_DEFLATED || ts->rank == SL_TS_REFERENCED);
		if (ts->rank == SL_TS_LOSSY)
			assert_true(ts->encapsulated);
		assert_true(strcmp(sl_registry_ts_rank_name(ts->rank), "?") != 0);
	}
}

static void REG_kinds_of_sop_classes(void **state)
{
	(void)state;
	static const struct {
		const char *uid, *name;
		enum sl_sop_kind kind;
		bool retired;
	} rows[] = {
		{"1.2.840.10008.1.1", "Verification", SL_SOP_VERIFICATION, false},
		{"1.2.840.10008.5.1.4.1.1.2", "CT Image Storage", SL_SOP_STORAGE, false},
		{"1.2.840.10008.5.1.4.1.1.1.2.1",
			"Digital Mammography X-Ray Image Storage - For Processing", SL_SOP_STORAGE,
			false},
		{"1.2.840.10008.5.1.4.1.1.6", "Ultrasound Image Storage", SL_SOP_STORAGE, true},
		{"1.2.840.10008.5.1.4.1.1.66.7", "Label Map Segmentation Storage", SL_SOP_STORAGE,
			false},
		{"1.2.840.10008.5.1.4.1.1.501.1", "DICOS CT Image Storage", SL_SOP_STORAGE, false},
		{"1.2.840.10008.5.1.4.1.1.601.1", "DICONDE Eddy Current Image Storage",
			SL_SOP_STORAGE, false},
		{"1.2.840.10008.5.1.4.39.1", "Color Palette Storage", SL_SOP_STORAGE, false},
		{"1.2.840.10008.1.3.10", "Media Storage Directory Storage", SL_SOP_OTHER, false},
		{"1.2.840.10008.5.1.4.31", "Modality Worklist Information Model - FIND",
			SL_SOP_FIND, false},
		{"1.2.840.10008.5.1.4.1.2.1.2",
			"Patient Root Query/Retrieve Information Model - MOVE", SL_SOP_MOVE, false},
		{"1.2.840.10008.5.1.4.1.2.2.3", "Study Root Query/Retrieve Information Model - GET",
			SL_SOP_GET, false},
		{"1.2.840.10008.1.20.1", "Storage Commitment Push Model", SL_SOP_COMMITMENT, false},
		{"1.2.840.10008.5.1.1.9", "Basic Grayscale Print Management Meta", SL_SOP_OTHER,
			false},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct sl_uid uid = sl_uid_of(rows[i].uid);
		const struct sl_sop_row *sop = sl_registry_sop_class(&uid);
		assert_non_null(sop);
		assert_string_equal(sop->name, rows[i].name);
		assert_int_equal(sop->kind, rows[i].kind);
		assert_int_equal(sop->retired, rows[i].retired);
	}
}

/* Opens the corpus' list of files; NULL where there is no corpus. */
static FILE *open_manifest(void)
{
	char path[4096];
	const char *dir = getenv("SLUICE_CORPUS");
	snprintf(path, sizeof(path), "%s/MANIFEST.tsv", dir != NULL ? dir : "../shared/corpus");
	return fopen(path, "r");
}

static void REG_every_uid_of_the_corpus_is_known(void **state)
{
	(void)state;
	FILE *f = open_manifest();
	if (f == NULL) {
		printf("NOT RUN: corpus absent\n");
		skip();
	}
	static char line[65536];
	size_t files = 0;
	assert_non_null(fgets(line, sizeof(line), f)); /* headings */
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *column[9] = {0};
		char *rest = line;
		for (size_t i = 0; i < SL_ARRAY_N(column); i++)
			column[i] = strsep(&rest, "\t");
		assert_non_null(column[8]);
		if (strncmp(column[0], "malformed/derived/ts_", 21) == 0)
			continue; /* their transfer syntax is what is wrong */
		struct sl_uid sop, ts;
		if (sl_uid_parse(&sop, column[3], strlen(column[3])) == SL_OK)
			if (sl_registry_sop_class(&sop) == NULL)
				fail_msg("%s: unknown SOP class %s", column[0], sop.s);
		if (sl_uid_parse(&ts, column[4], strlen(column[4])) == SL_OK)
			if (sl_registry_ts(&ts) == NULL)
				fail_msg("%s: unknown transfer syntax %s", column[0], ts.s);
		files++;
	}
	fclose(f);
	assert_true(files > 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(REG_rows_ascend_and_every_row_is_found),
		cmocka_unit_test(REG_what_is_not_in_the_tables_is_nothing),
		cmocka_unit_test(REG_properties_of_transfer_syntaxes),
		cmocka_unit_test(REG_properties_hang_together),
		cmocka_unit_test(REG_kinds_of_sop_classes),
		cmocka_unit_test(REG_every_uid_of_the_corpus_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
