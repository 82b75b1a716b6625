/* LMDB and the in-memory twin live the same random life and answer alike all the time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_fixture.h"

static bool same_instance(const struct sl_index_instance *a, const struct sl_index_instance *b)
{
	return sl_uid_equal(&a->study_instance_uid, &b->study_instance_uid) &&
	       sl_uid_equal(&a->series_instance_uid, &b->series_instance_uid) &&
	       sl_uid_equal(&a->sop_instance_uid, &b->sop_instance_uid) &&
	       sl_uid_equal(&a->sop_class_uid, &b->sop_class_uid) &&
	       sl_uid_equal(&a->transfer_syntax_uid, &b->transfer_syntax_uid) && a->seq == b->seq &&
	       a->dataset_len == b->dataset_len && a->file_len == b->file_len &&
	       a->instance_number == b->instance_number && a->frames == b->frames &&
	       a->flags == b->flags && a->volume == b->volume;
}

/* A record of a small world, so that everything meets everything; seq grows. */
static struct sl_record random_record(uint64_t *seed, uint64_t seq)
{
	char study[16], series[24], sop[16];
	static const char *const sets[] = {"", "ISO_IR 100", "ISO_IR 192"};
	static const char *const names[] = {"", "Doe", "M\xFC", "M\xC3\xBC"};
	unsigned st = (unsigned)(rec_random(seed) % 6);
	snprintf(study, sizeof(study), "1.%u", st);
	snprintf(series, sizeof(series), "1.%u.%u", st, (unsigned)(rec_random(seed) % 3));
	snprintf(sop, sizeof(sop), "3.%u", (unsigned)(rec_random(seed) % 60));
	struct sl_record r = a_record(st == 5 ? "" : study, st >= 4 ? "" : series, sop, seq);
	rec_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, sets[rec_random(seed) % 3]);
	rec_set(&r, SL_ATTR_PATIENT_ID, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_PATIENT_NAME, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_STUDY_DESCRIPTION, names[rec_random(seed) % 4]);
	rec_set(&r, SL_ATTR_MODALITY, rec_random(seed) % 2 ? "CT" : "MR");
	r.file_len += rec_random(seed) % 100;
	/* Versions: most of a UID's first objects have the plain name, some do not take over. */
	r.flags = rec_random(seed) % 2 ? SL_RECORD_PLAIN_NAME : 0;
	r.flags |= rec_random(seed) % 3 ? 0 : SL_RECORD_NOT_CURRENT;
	return r;
}

static void same_studies(struct fixture *a, struct fixture *b)
{
	for (int i = 0; i < 6; i++) {
		struct sl_uid uid = {0};
		struct sl_index_study x, y;
		if (i < 5)
			rec_uid(&uid, "1.%d", i);
		enum sl_status st = sl_index_locate_study(a->rd, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_study(b->rd, &uid, &y, NULL), st);
		if (st != SL_OK)
			continue;
		assert_memory_equal(&x.counts, &y.counts, sizeof(x.counts));
		assert_int_equal(x.series_n, y.series_n);
		assert_int_equal(x.modalities_n, y.modalities_n);
		assert_int_equal(x.is_conflict, y.is_conflict);
		for (enum sl_attr k = 0; k < SL_ATTR_N; k++) {
			size_t n, m;
			const char *p = sl_index_text_get(&x.text, k, &n);
			const char *q = sl_index_text_get(&y.text, k, &m);
			assert_int_equal(n, m);
			assert_memory_equal(p, q, n);
		}
	}
}

static void same_arrivals(struct fixture *a, struct fixture *b)
{
	uint64_t after_a = 0, after_b = 0, last = 0;
	for (;;) {
		struct sl_index_arrival x[2], y[2];
		size_t n = 2, m = 2;
		enum sl_status st = sl_index_list_arrivals(a->rd, &after_a, x, &n, NULL);
		assert_int_equal(sl_index_list_arrivals(b->rd, &after_b, y, &m, NULL), st);
		assert_int_equal(n, m);
		if (st == SL_END)
			break;
		for (size_t i = 0; i < n; i++) {
			assert_true(
				sl_uid_equal(&x[i].study_instance_uid, &y[i].study_instance_uid));
			assert_memory_equal(&x[i].counts, &y[i].counts, sizeof(x[i].counts));
			assert_true(x[i].counts.last_seq > last);
			last = x[i].counts.last_seq;
		}
	}
}

/* Pages of two: the current one is at times the last of one, at times the first of another. */
static void same_versions(struct fixture *a, struct fixture *b, const struct sl_uid *uid)
{
	uint64_t after_a = 0, after_b = 0, last = 0;
	unsigned current = 0;
	for (;;) {
		struct sl_index_instance x[2], y[2];
		size_t n = 2, m = 2;
		enum sl_status st = sl_index_list_versions(a->rd, uid, &after_a, x, &n, NULL);
		assert_int_equal(sl_index_list_versions(b->rd, uid, &after_b, y, &m, NULL), st);
		if (st == SL_E_NOTFOUND)
			return;
		assert_int_equal(n, m);
		if (st == SL_END)
			break;
		for (size_t i = 0; i < n; i++) {
			assert_true(same_instance(&x[i], &y[i]));
			assert_int_equal(x[i].is_current, y[i].is_current);
			assert_true(x[i].seq > last);
			last = x[i].seq;
			current += x[i].is_current;
		}
	}
	assert_int_equal(current, 1);
}

static void same_instances(struct fixture *a, struct fixture *b)
{
	for (int i = 0; i < 60; i++) {
		struct sl_uid uid;
		struct sl_index_instance x, y;
		rec_uid(&uid, "3.%d", i);
		enum sl_status st = sl_index_locate_instance(a->rd, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_instance(b->rd, &uid, &y, NULL), st);
		if (st == SL_OK)
			assert_true(same_instance(&x, &y) && x.is_current && y.is_current);
		same_versions(a, b, &uid);
	}
	struct sl_index_usage x = usage_of(a), y = usage_of(b);
	assert_memory_equal(&x, &y, sizeof(x));
}

static void put_in_both(struct fixture *a, struct fixture *b, uint64_t *seed, uint64_t *seq)
{
	struct sl_record records[8];
	const struct sl_record *pointers[8];
	struct sl_index_result x[8], y[8];
	size_t n = rec_random(seed) % 8 + 1;
	for (size_t i = 0; i < n; i++) {
		records[i] = random_record(seed, (*seq)++);
		pointers[i] = &records[i];
	}
	assert_int_equal(sl_index_put_batch(a->ix, pointers, n, x, NULL), SL_OK);
	assert_int_equal(sl_index_put_batch(b->ix, pointers, n, y, NULL), SL_OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(x[i].status, y[i].status);
		assert_int_equal(x[i].conflicts, y[i].conflicts);
	}
}

static void remove_from_both(struct fixture *a, struct fixture *b, uint64_t *seed, uint64_t *seq)
{
	struct sl_uid uid;
	struct sl_index_removed x, y;
	bool is_study = rec_random(seed) % 4 == 0;
	enum sl_status st;
	if (is_study) {
		rec_uid(&uid, "1.%u", (unsigned)(rec_random(seed) % 5));
		st = sl_index_remove_study(a->ix, &uid, *seq, &x, NULL);
		assert_int_equal(sl_index_remove_study(b->ix, &uid, *seq, &y, NULL), st);
	} else {
		rec_uid(&uid, "3.%u", (unsigned)(rec_random(seed) % 60));
		st = sl_index_remove_instance(a->ix, &uid, *seq, &x, NULL);
		assert_int_equal(sl_index_remove_instance(b->ix, &uid, *seq, &y, NULL), st);
	}
	++*seq;
	assert_true(x.instances == y.instances && x.bytes == y.bytes && x.versions == y.versions);
	assert_true(x.study_gone == y.study_gone && x.series_gone == y.series_gone);
}

static void both_implementations_agree_on_a_random_life(void **state)
{
	struct fixture *a = *state; /* LMDB */
	struct fixture b = {.ix = sl_index_mem_new(CAPACITY)};
	uint64_t seed = 20240607, seq = 1;
	assert_int_equal(sl_index_open_reader(b.ix, &b.rd, NULL), SL_OK);
	for (int step = 0; step < 600; step++) {
		if (rec_random(&seed) % 3 != 0)
			put_in_both(a, &b, &seed, &seq);
		else
			remove_from_both(a, &b, &seed, &seq);
		if (step % 10 == 0) {
			same_instances(a, &b);
			same_arrivals(a, &b);
			same_studies(a, &b);
			check_sound(a->ix);
		}
	}
	sl_index_close_reader(b.rd);
	sl_index_close(b.ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			both_implementations_agree_on_a_random_life, open_lmdb, teardown),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
