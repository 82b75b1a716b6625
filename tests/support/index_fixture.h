/* What the tests of the index seam share: an index of either kind, records, checks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "storage/index_lmdb.h"
#include "support/index_mem.h"
#include "support/records.h"
#include "support/tmpdir.h"

enum { BATCH_MAX = 128, CAPACITY = 5000 };

struct fixture {
	struct sl_index *ix;
	struct sl_index_reader *rd;
	struct tmpdir dir;
	bool has_dir;
};

static inline void open_lmdb_in(struct fixture *f)
{
	const struct sl_index_lmdb_options options = {.path = f->dir.path,
		.map_size = 64 * SL_MIB,
		.readers = 4,
		.batch_max = BATCH_MAX,
		.create = true};
	struct sl_diag diag = {0};
	if (sl_index_lmdb_open(&options, &f->ix, &diag) != SL_OK)
		fail_msg("%s", diag.text);
	assert_int_equal(sl_index_open_reader(f->ix, &f->rd, &diag), SL_OK);
}

static inline int open_lmdb(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	assert_non_null(f);
	f->has_dir = tmpdir_make(&f->dir);
	if (f->has_dir)
		open_lmdb_in(f);
	return f->has_dir ? 0 : -1;
}

static inline int open_mem(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	assert_non_null(f);
	f->ix = sl_index_mem_new(CAPACITY);
	return sl_index_open_reader(f->ix, &f->rd, NULL) == SL_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	sl_index_close_reader(f->rd);
	sl_index_close(f->ix);
	if (f->has_dir)
		tmpdir_remove(&f->dir);
	free(f);
	return 0;
}

/* ---- records and checks ------------------------------------------------------------------------ */

static inline void check_sound(struct sl_index *ix)
{
	struct sl_index_report report;
	struct sl_index_snapshot snap;
	assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
	if (report.wrong > 0)
		fail_msg("%llu wrong: %s", (unsigned long long)report.wrong, report.first);
	sl_index_snapshot(ix, &snap);
	assert_memory_equal(&report.counted, &snap.usage, sizeof(snap.usage));
}

static inline struct sl_index_result put(struct sl_index *ix, const struct sl_record *r)
{
	struct sl_diag diag = {0};
	struct sl_index_result result = {SL_E_IO, 0};
	if (sl_index_put_batch(ix, &r, 1, &result, &diag) != SL_OK)
		fail_msg("%s", diag.text);
	return result;
}

/* Puts instances [from, to) of the archive of records.h, `batch` at a time. */
static inline void put_range(
	struct sl_index *ix, uint64_t from, uint64_t to, size_t batch, uint64_t per)
{
	static struct sl_record records[BATCH_MAX];
	const struct sl_record *pointers[BATCH_MAX];
	struct sl_index_result results[BATCH_MAX];
	struct sl_diag diag = {0};
	while (from < to) {
		size_t n = 0;
		for (; n < batch && from < to; n++, from++) {
			rec_make(&records[n], from, per);
			pointers[n] = &records[n];
		}
		if (sl_index_put_batch(ix, pointers, n, results, &diag) != SL_OK)
			fail_msg("%s", diag.text);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(results[i].status, SL_OK);
	}
}

static inline bool is_of(const struct sl_index_instance *in, const struct sl_record *r)
{
	return sl_uid_equal(&in->study_instance_uid, &r->study_instance_uid) &&
	       sl_uid_equal(&in->series_instance_uid, &r->series_instance_uid) &&
	       sl_uid_equal(&in->sop_instance_uid, &r->sop_instance_uid) &&
	       sl_uid_equal(&in->sop_class_uid, &r->sop_class_uid) &&
	       sl_uid_equal(&in->transfer_syntax_uid, &r->transfer_syntax_uid) &&
	       in->seq == r->seq && in->dataset_len == r->dataset_len &&
	       in->file_len == r->file_len && in->flags == r->flags;
}

static inline void assert_text(const struct sl_index_text *t, enum sl_attr a, const char *expected)
{
	size_t n;
	const char *bytes = sl_index_text_get(t, a, &n);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(bytes, expected, n);
}

static inline struct sl_record a_record(
	const char *study, const char *series, const char *sop, uint64_t seq)
{
	struct sl_record r;
	sl_record_init(&r);
	if (*study != '\0')
		r.study_instance_uid = sl_uid_of(study);
	if (*series != '\0')
		r.series_instance_uid = sl_uid_of(series);
	r.sop_instance_uid = sl_uid_of(sop);
	r.sop_class_uid = sl_uid_of("1.2.840.10008.5.1.4.1.1.2");
	r.transfer_syntax_uid = sl_uid_of("1.2.840.10008.1.2.1");
	r.seq = seq;
	r.dataset_len = 1000;
	r.file_len = 1600;
	r.arrived_ms = 1700000000000 + (int64_t)seq;
	r.flags = SL_RECORD_PLAIN_NAME;
	return r;
}

static inline struct sl_index_study study_of(struct fixture *f, const char *uid)
{
	struct sl_index_study out;
	struct sl_uid u = sl_uid_of(uid);
	assert_int_equal(sl_index_locate_study(f->rd, &u, &out, NULL), SL_OK);
	return out;
}

static inline struct sl_index_usage usage_of(struct fixture *f)
{
	struct sl_index_snapshot snap;
	sl_index_snapshot(f->ix, &snap);
	return snap.usage;
}

/* ---- LMDB alone -------------------------------------------------------------------------------- */

/* An LMDB index at path; anything but what is expected fails the test. */
static inline struct sl_index *open_at(const char *path, uint64_t map_size, enum sl_status expected)
{
	const struct sl_index_lmdb_options options = {.path = path,
		.map_size = map_size,
		.readers = 8,
		.batch_max = BATCH_MAX,
		.create = true};
	struct sl_index *ix = NULL;
	struct sl_diag diag = {0};
	enum sl_status st = sl_index_lmdb_open(&options, &ix, &diag);
	if (st != expected)
		fail_msg("%s: %s", sl_status_name(st), diag.text);
	assert_int_equal(ix != NULL, st == SL_OK);
	assert_int_equal(diag.text[0] != '\0', st != SL_OK);
	return ix;
}

/* Puts instances [from, to) in one batch. */
static inline enum sl_status try_range(
	struct sl_index *ix, uint64_t from, uint64_t to, uint64_t per_series, struct sl_diag *diag)
{
	static struct sl_record records[BATCH_MAX];
	const struct sl_record *pointers[BATCH_MAX];
	struct sl_index_result results[BATCH_MAX];
	size_t n = 0;
	for (; from < to; from++, n++) {
		rec_make(&records[n], from, per_series);
		pointers[n] = &records[n];
	}
	return sl_index_put_batch(ix, pointers, n, results, diag);
}

/* For tests that open and close on their own: *state is a struct tmpdir. */
static inline int make_dir(void **state)
{
	struct tmpdir *dir = malloc(sizeof(*dir));
	*state = dir;
	return dir != NULL && tmpdir_make(dir) ? 0 : -1;
}

static inline int remove_dir(void **state)
{
	tmpdir_remove(*state);
	free(*state);
	return 0;
}
