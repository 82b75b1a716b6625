/* A batch comes to the same rows as its records put one by one in order of seq, however it is put together:
 * what they disagreed on, a rebuild and the index that was lost would. One by one they go into the twin.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_fixture.h"

enum { WORLD_BATCH = 48, ROUNDS = 60, STUDIES = 6, SERIES = 2 };

/* Few studies of few patients, who are described in different words: nearly every batch has studies of one
 * patient side by side, some of which agree and some of which do not. */
static struct sl_record world_record(uint64_t *seed, uint64_t seq, unsigned discord)
{
	static const char *const ids[] = {"", "P1", "P2"};
	static const char *const names[] = {"Doe", "Roe", "", "D\xF6"};
	char study[16], series[24], sop[24];
	unsigned st = (unsigned)(rec_random(seed) % STUDIES);
	snprintf(study, sizeof(study), "1.%u", st);
	snprintf(series, sizeof(series), "1.%u.%u", st, (unsigned)(rec_random(seed) % SERIES));
	snprintf(sop, sizeof(sop), "3.%u", (unsigned)(rec_random(seed) % 4000));
	struct sl_record r = a_record(study, series, sop, seq);
	bool is_odd = rec_random(seed) % 100 < discord;
	rec_set(&r, SL_ATTR_PATIENT_ID, ids[(is_odd ? rec_random(seed) : 1 + st / 3) % 3]);
	rec_set(&r, SL_ATTR_PATIENT_NAME, names[is_odd ? rec_random(seed) % 4 : 0]);
	rec_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, is_odd ? "ISO_IR 100" : "");
	if (rec_random(seed) % 100 < discord)
		rec_set(&r, SL_ATTR_PATIENT_BIRTH_DATE, rec_random(seed) % 2 ? "1960" : "1970");
	if (rec_random(seed) % 100 < discord)
		rec_set(&r, SL_ATTR_STUDY_DATE, rec_random(seed) % 2 ? "20240101" : "20240202");
	rec_set(&r, SL_ATTR_MODALITY, rec_random(seed) % 100 < discord ? "MR" : "CT");
	return r;
}

static void shuffle(const struct sl_record **records, size_t n, uint64_t *seed)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rec_random(seed) % i;
		const struct sl_record *moved = records[i - 1];
		records[i - 1] = records[k];
		records[k] = moved;
	}
}

static void same_text(const struct sl_index_text *a, const struct sl_index_text *b)
{
	for (enum sl_attr i = 0; i < SL_ATTR_N; i++) {
		size_t n, m;
		const char *p = sl_index_text_get(a, i, &n), *q = sl_index_text_get(b, i, &m);
		assert_int_equal(n, m);
		assert_memory_equal(p, q, n);
	}
}

static void same_series(struct sl_index_reader *a, struct sl_index_reader *b, unsigned study)
{
	struct sl_uid study_uid, uid;
	rec_uid(&study_uid, "1.%u", study);
	for (unsigned i = 0; i < SERIES; i++) {
		struct sl_index_series x, y;
		rec_uid(&uid, "1.%u.%u", study, i);
		enum sl_status st = sl_index_locate_series(a, &study_uid, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_series(b, &study_uid, &uid, &y, NULL), st);
		if (st != SL_OK)
			continue;
		assert_memory_equal(&x.counts, &y.counts, sizeof(x.counts));
		assert_int_equal(x.is_conflict, y.is_conflict);
		same_text(&x.text, &y.text);
	}
}

static void same_rows(struct sl_index_reader *a, struct sl_index_reader *b)
{
	for (unsigned i = 0; i < STUDIES; i++) {
		struct sl_uid uid;
		struct sl_index_study x, y;
		rec_uid(&uid, "1.%u", i);
		enum sl_status st = sl_index_locate_study(a, &uid, &x, NULL);
		assert_int_equal(sl_index_locate_study(b, &uid, &y, NULL), st);
		if (st != SL_OK)
			continue;
		assert_memory_equal(&x.counts, &y.counts, sizeof(x.counts));
		assert_int_equal(x.is_conflict, y.is_conflict);
		same_text(&x.text, &y.text);
		same_series(a, b, i);
	}
}

/* One world: batches into a, shuffled; the same records one by one into b. */
static void live(struct sl_index *a, struct sl_index *b, uint64_t *seed, unsigned discord)
{
	static struct sl_record records[WORLD_BATCH];
	const struct sl_record *pointers[WORLD_BATCH];
	struct sl_index_result results[WORLD_BATCH];
	uint64_t seq = 1;
	for (int batch = 0; batch < 3; batch++) {
		size_t n = rec_random(seed) % WORLD_BATCH + 1;
		for (size_t i = 0; i < n; i++) {
			records[i] = world_record(seed, seq++, discord);
			pointers[i] = &records[i];
		}
		if (batch > 0) /* the first one in order, as most are */
			shuffle(pointers, n, seed);
		assert_int_equal(sl_index_put_batch(a, pointers, n, results, NULL), SL_OK);
		for (size_t i = 0; i < n; i++) {
			struct sl_index_result one = put(b, &records[i]);
			for (size_t k = 0; k < n; k++)
				if (pointers[k] == &records[i])
					assert_memory_equal(&one, &results[k], sizeof(one));
		}
	}
}

static void a_batch_comes_to_what_its_records_come_to(void **state)
{
	uint64_t seed = 20241121;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct tmpdir dir;
		struct sl_index_reader *p, *q;
		assert_true(tmpdir_make(&dir));
		struct sl_index *a = open_at(dir.path, 16 * SL_MIB, SL_OK);
		struct sl_index *b = sl_index_mem_new(CAPACITY);
		live(a, b, &seed, (unsigned[]){0, 4, 30}[round % 3]);
		assert_int_equal(sl_index_open_reader(a, &p, NULL), SL_OK);
		assert_int_equal(sl_index_open_reader(b, &q, NULL), SL_OK);
		same_rows(p, q);
		check_sound(a);
		sl_index_close_reader(p);
		sl_index_close_reader(q);
		sl_index_close(a);
		sl_index_close(b);
		tmpdir_remove(&dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_comes_to_what_its_records_come_to),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
