/* Rows come back as they went in; any other bytes are SL_E_CORRUPT, never trouble.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "storage/index_row.h"
#include "support/index_rows.h"
#include "support/records.h"

static struct sl_index_row_text a_text(enum sl_attr_level level, bool at_caps)
{
	struct sl_index_row_text t;
	char value[512];
	memset(&t, 0, sizeof(t));
	memset(value, 'x', sizeof(value));
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++)
		if (sl_attrs[a].level == level && (at_caps || a % 2 == 0))
			sl_index_row_text_set(&t, a, value, at_caps ? sl_attrs[a].cap : 3,
				a % 3 ? 0 : UINT32_MAX);
	return t;
}

static struct sl_uid longest_uid(void)
{
	struct sl_uid u = {SL_UID_MAX, {0}};
	memset(u.s, 'z', SL_UID_MAX);
	return u;
}

static const struct sl_index_counts counts = {
	UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, 1, UINT64_MAX, INT64_MIN, INT64_MAX};

static struct sl_cur cur(const struct sl_wbuf *w)
{
	assert_false(w->bad);
	return sl_cur_of(w->base, w->len);
}

/* What lookups read of a study's row (volume NULL) or a series'. */
static void heads_are_those_of_the_row(
	const struct sl_wbuf *w, const struct sl_uid *uid, const uint8_t *volume)
{
	struct sl_cur none = sl_cur_of(w->base, 0);
	struct sl_uid found;
	uint8_t where;
	if (volume == NULL) {
		assert_int_equal(sl_index_row_study_uid(cur(w), &found), SL_OK);
		assert_true(sl_uid_equal(&found, uid));
		assert_int_equal(sl_index_row_study_uid(none, &found), SL_E_CORRUPT);
		return;
	}
	assert_int_equal(sl_index_row_series_head(cur(w), &found, &where), SL_OK);
	assert_true(sl_uid_equal(&found, uid) && where == *volume);
	assert_int_equal(sl_index_row_series_head(none, &found, &where), SL_E_CORRUPT);
}

static void largest_rows_fit_and_come_back(void **state)
{
	(void)state;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	struct sl_index_row_patient p = {.flags = UINT32_MAX & ~(uint32_t)SL_INDEX_ROW_BEHIND,
					    .studies_n = UINT64_MAX,
					    .key_len = SL_INDEX_ROW_KEY_MAX,
					    .text = a_text(SL_LEVEL_PATIENT, true)},
				    p2 = {0};
	struct sl_index_row_study s = {.flags = UINT32_MAX & ~(uint32_t)SL_INDEX_ROW_BEHIND,
					  .uid = longest_uid(),
					  .patient = UINT64_MAX,
					  .series_n = UINT32_MAX,
					  .next_series = UINT32_MAX,
					  .counts = counts,
					  .text = a_text(SL_LEVEL_STUDY, true)},
				  s2 = {0};
	struct sl_index_row_series e = {.flags = UINT32_MAX & ~(uint32_t)SL_INDEX_ROW_BEHIND,
					   .uid = longest_uid(),
					   .volume = 255,
					   .next_ordinal = UINT64_MAX,
					   .counts = counts,
					   .text = a_text(SL_LEVEL_SERIES, true)},
				   e2 = {0};
	for (char i = 0; i < SL_INDEX_MODALITIES + 2; i++) {
		char name[SL_INDEX_MODALITY_MAX + 4] = "MODALITYMODALITY";
		name[0] = (char)('A' + i);
		sl_index_row_add_modality(&s, name, strlen(name));
		sl_index_row_add_modality(&s, name, strlen(name));
	}
	assert_int_equal(s.modalities_n, SL_INDEX_MODALITIES);
	memset(p.key, 'k', sizeof(p.key));
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_patient(&w, &p);
	assert_int_equal(sl_index_row_patient(cur(&w), &p2), SL_OK);
	assert_true(same_patient(&p, &p2));
	w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_study(&w, &s);
	assert_int_equal(sl_index_row_study(cur(&w), &s2), SL_OK);
	assert_true(same_study(&s, &s2));
	heads_are_those_of_the_row(&w, &s.uid, NULL);
	w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_series(&w, &e);
	assert_int_equal(sl_index_row_series(cur(&w), &e2), SL_OK);
	assert_true(same_series(&e, &e2));
	heads_are_those_of_the_row(&w, &e.uid, &e.volume);
}

static void instances_keep_only_what_they_do_not_share(void **state)
{
	(void)state;
	struct sl_uid series = sl_uid_of("1.2.840.113619.2.55.3.2831164355.781.1399876543.467");
	struct sl_index_row_instance
		in =
			{
				.flags = SL_RECORD_PLAIN_NAME,
				.seq = 1000000,
				.sop_class = 3,
				.transfer_syntax = 2,
				.dataset_len = 526336,
				.file_len = 526336 + 712,
				.instance_number = 45,
				.uid = sl_uid_of(
					"1.2.840.113619.2.55.3.2831164355.781.1399876543.467.45"),
			},
		back;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_instance(&w, &in, &series);
	assert_true(w.len <= 18);
	assert_int_equal(sl_index_row_instance(cur(&w), &series, &back), SL_OK);
	assert_true(same_instance(&in, &back));
	uint64_t seq = 0;
	uint32_t flags = 0;
	assert_int_equal(sl_index_row_instance_head(cur(&w), &flags, &seq), SL_OK);
	assert_true(seq == in.seq);
}

static void rare_fields_of_instances_come_back(void **state)
{
	(void)state;
	static const struct sl_uid none;
	struct sl_uid series[] = {none, sl_uid_of("1.2"), longest_uid(), sl_uid_of("9")};
	for (unsigned i = 0; i < 64; i++) {
		struct sl_index_row_instance
			in =
				{
					.flags = i & 1 ? SL_RECORD_UNSOUND : SL_RECORD_PLAIN_NAME,
					.seq = i & 2 ? UINT64_MAX : 1,
					.dataset_len = i & 4 ? UINT64_MAX - 7 : 0,
					.file_len = i & 4 ? UINT64_MAX : 0,
					.instance_number =
						i & 8 ? SL_INDEX_NO_NUMBER : -999999999999,
					.frames = i & 16 ? UINT32_MAX : 0,
					.uid = i & 32 ? longest_uid() : sl_uid_of("1.2"),
				},
			back;
		for (size_t k = 0; k < SL_ARRAY_N(series); k++) {
			uint8_t bytes[SL_INDEX_ROW_MAX];
			struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
			uint64_t seq;
			uint32_t flags;
			sl_index_row_put_instance(&w, &in, &series[k]);
			assert_int_equal(sl_index_row_instance(cur(&w), &series[k], &back), SL_OK);
			assert_true(same_instance(&in, &back));
			assert_int_equal(sl_index_row_instance_head(cur(&w), &flags, &seq), SL_OK);
			assert_true(seq == in.seq);
		}
	}
}

static void a_row_of_another_series_is_refused(void **state)
{
	(void)state;
	struct sl_uid series = sl_uid_of("1.2.840.1"), shorter = sl_uid_of("1.2.84");
	struct sl_index_row_instance in = {.seq = 1, .uid = sl_uid_of("1.2.840.1.5")}, back;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_instance(&w, &in, &series);
	assert_int_equal(sl_index_row_instance(cur(&w), &shorter, &back), SL_E_CORRUPT);
}

/* The mark of a version that is behind costs nothing and changes nothing else. */
static void a_row_is_marked_in_place(void **state)
{
	(void)state;
	uint8_t bytes[SL_INDEX_ROW_MAX], marked[SL_INDEX_ROW_MAX];
	const struct sl_uid series = sl_uid_of("1.2.3");
	struct sl_index_row_instance in = {.seq = 7,
					     .sop_class = 1,
					     .transfer_syntax = 2,
					     .dataset_len = 10,
					     .file_len = 20,
					     .instance_number = SL_INDEX_NO_NUMBER,
					     .flags = SL_RECORD_NOT_CURRENT,
					     .uid = sl_uid_of("1.2.3.4")},
				     back;
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes)), m = sl_wbuf_of(marked, sizeof(marked));
	sl_index_row_put_instance(&w, &in, &series);
	in.is_behind = true;
	sl_index_row_put_instance(&m, &in, &series);
	assert_int_equal(w.len, m.len);
	sl_index_row_instance_set_behind(bytes, true);
	assert_memory_equal(bytes, marked, w.len);
	assert_int_equal(sl_index_row_instance(cur(&w), &series, &back), SL_OK);
	assert_true(back.is_behind && back.seq == 7 && back.flags == SL_RECORD_NOT_CURRENT);
	sl_index_row_instance_set_behind(bytes, false);
	assert_int_equal(sl_index_row_instance(cur(&w), &series, &back), SL_OK);
	assert_false(back.is_behind);
}

static void small_rows_come_back(void **state)
{
	(void)state;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	struct sl_index_row_place p = {7, UINT32_MAX, UINT64_MAX}, p2;
	struct sl_index_row_state s = {1, 2, 3, 4, {5, 6, 7, 8, 10, UINT64_MAX, 9}}, s2;
	struct sl_index_tombstone t = {.seq = 9,
					  .kind = SL_INDEX_TOMB_INSTANCE,
					  .volume = 3,
					  .study_instance_uid = sl_uid_of("1.2"),
					  .series_instance_uid = {0},
					  .sop_instance_uid = longest_uid(),
					  .object_seq = 8,
					  .is_plain_name = true},
				  t2;
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_place(&w, &p);
	assert_int_equal(sl_index_row_place(cur(&w), &p2), SL_OK);
	assert_true(p2.study == p.study && p2.series == p.series && p2.ordinal == p.ordinal);
	w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_state(&w, &s);
	assert_int_equal(sl_index_row_state(cur(&w), &s2), SL_OK);
	_Static_assert(sizeof(s) == 11 * sizeof(uint64_t), "no padding, so bytes are values");
	assert_memory_equal(&s, &s2, sizeof(s));
	w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_tombstone(&w, &t);
	assert_int_equal(sl_index_row_tombstone(cur(&w), &t2), SL_OK);
	assert_true(t2.seq == 9 && t2.kind == t.kind && t2.volume == 3 && t2.is_plain_name);
	assert_true(t2.object_seq == 8 && sl_uid_equal(&t2.sop_instance_uid, &t.sop_instance_uid));
}

/* Every cut of a row, and every flip of one byte, is read without harm; a cut is never the row. */
static void damaged_rows_are_refused_or_read_safely(void **state)
{
	(void)state;
	uint8_t bytes[SL_INDEX_ROW_MAX], hurt[SL_INDEX_ROW_MAX];
	struct sl_index_row_study s = {.uid = sl_uid_of("1.2.3"),
					  .counts = {1, 2, 2, 3, 4, 5, 6},
					  .text = a_text(SL_LEVEL_STUDY, false)},
				  out;
	sl_index_row_add_modality(&s, "CT", 2);
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_study(&w, &s);
	int whole = 0;
	for (size_t n = 0; n < w.len; n++) {
		uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees a read past the end */
		assert_non_null(exact);
		memcpy(exact, bytes, n);
		whole += sl_index_row_study(sl_cur_of(exact, n), &out) == SL_OK;
		free(exact);
	}
	/* A row may end after any of its values: there the cut cannot be seen. */
	int values = 0;
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++)
		values += s.text.len[a] > 0;
	assert_int_equal(whole, values);
	for (size_t i = 0; i < w.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(hurt, bytes, w.len);
			hurt[i] ^= (uint8_t)(1 << bit);
			enum sl_status st = sl_index_row_study(sl_cur_of(hurt, w.len), &out);
			assert_true(st == SL_OK || st == SL_E_CORRUPT);
		}
}

static void unknown_attributes_are_passed_over(void **state)
{
	(void)state;
	struct sl_index_row_series s = {.uid = sl_uid_of("1.2"), .text = {0}}, out;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_series(&w, &s);
	sl_wbuf_put(&w,
		"\x77\x77\x77\x77\x06"
		"abc",
		8); /* tag, length 3, three bytes */
	assert_int_equal(sl_index_row_series(cur(&w), &out), SL_OK);
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++)
		assert_int_equal(out.text.len[a], 0);
}

static void integers_are_read_as_IS(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {{"0", 0}, {"+12", 12}, {"-7", -7}, {"2147483647", 2147483647},
		{"999999999999", 999999999999}, {"", 99}, {"-", 99}, {"1.5", 99}, {"1 2", 99},
		{"1\\2", 99}, {"9999999999999", 99}, {"0x10", 99}};
	for (size_t i = 0; i < SL_ARRAY_N(cases); i++)
		assert_true(sl_index_row_integer(cases[i].text, strlen(cases[i].text), 99) ==
			    cases[i].value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(largest_rows_fit_and_come_back),
		cmocka_unit_test(instances_keep_only_what_they_do_not_share),
		cmocka_unit_test(rare_fields_of_instances_come_back),
		cmocka_unit_test(a_row_of_another_series_is_refused),
		cmocka_unit_test(a_row_is_marked_in_place),
		cmocka_unit_test(small_rows_come_back),
		cmocka_unit_test(damaged_rows_are_refused_or_read_safely),
		cmocka_unit_test(unknown_attributes_are_passed_over),
		cmocka_unit_test(integers_are_read_as_IS),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
