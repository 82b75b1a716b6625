/* Records come out by seq, every one of them as it went in, whether they fit in memory or not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/sorter.h"
#include "support/records.h"

enum { LANES = 3 };

static int folder = -1;

static int open_folder(void **state)
{
	(void)state;
	folder = open("/tmp", O_RDONLY | O_DIRECTORY);
	return folder < 0;
}

static int close_folder(void **state)
{
	(void)state;
	return close(folder);
}

/* The i-th of n that are added: all seqs from 1 to n, in an order of no use. 7919 is prime to any n tried. */
static void make(struct sl_record *r, uint64_t i, uint64_t n)
{
	rec_make(r, i * 7919 % n, 150);
	r->seq = i * 7919 % n + 1;
}

static bool same(const struct sl_record *a, const struct sl_record *b)
{
	return memcmp(a, b, offsetof(struct sl_record, text)) == 0 &&
	       memcmp(a->text, b->text, a->text_len) == 0;
}

struct adder {
	struct sl_sorter *sorter;
	unsigned lane;
	uint64_t n;
};

static void *add(void *arg)
{
	const struct adder *a = arg;
	for (uint64_t i = a->lane; i < a->n; i += LANES) {
		struct sl_record r;
		make(&r, i, a->n);
		if (sl_sorter_add(a->sorter, a->lane, &r, NULL) != SL_OK)
			abort();
	}
	return NULL;
}

/* Adds n by threads, and takes them out again. */
static void sorts(uint64_t n)
{
	struct sl_sorter *s;
	struct adder adders[LANES];
	pthread_t threads[LANES];
	struct sl_diag d = {0};
	static struct sl_record out, expected;
	assert_int_equal(sl_sorter_open(&s, folder, LANES, 0, &d), SL_OK);
	for (unsigned i = 0; i < LANES; i++) {
		adders[i] = (struct adder){s, i, n};
		assert_int_equal(pthread_create(&threads[i], NULL, add, &adders[i]), 0);
	}
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sl_sorter_count(s), n);
	assert_int_equal(sl_sorter_sort(s, &d), SL_OK);
	for (uint64_t seq = 1; seq <= n; seq++) {
		assert_int_equal(sl_sorter_next(s, &out, &d), SL_OK);
		assert_int_equal(out.seq, seq);
		rec_make(&expected, seq - 1, 150);
		assert_true(same(&out, &expected));
	}
	assert_int_equal(sl_sorter_next(s, &out, &d), SL_END);
	assert_int_equal(sl_sorter_next(s, &out, &d), SL_END);
	sl_sorter_close(s);
}

static void what_fits_in_memory(void **state)
{
	(void)state;
	sorts(0);
	sorts(1);
	sorts(2);
	sorts(500);
}

/* A lane of 256 KiB holds some 380 of these: many runs of each lane. */
static void what_does_not(void **state)
{
	(void)state;
	sorts(2000);
	sorts(30011);
}

static void records_of_one_seq_have_an_order_too(void **state)
{
	struct sl_sorter *s;
	struct sl_record r;
	(void)state;
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(sl_sorter_open(&s, folder, 2, 0, NULL), SL_OK);
		for (unsigned i = 0; i < 2; i++) {
			rec_make(&r, i, 150);
			rec_uid(&r.sop_instance_uid, "1.2.%u", i);
			r.seq = 7;
			assert_int_equal(sl_sorter_add(s, i ^ turn, &r, NULL), SL_OK);
		}
		assert_int_equal(sl_sorter_sort(s, NULL), SL_OK);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(sl_sorter_next(s, &r, NULL), SL_OK);
			assert_int_equal(r.sop_instance_uid.s[4], '0' + (int)i);
		}
		sl_sorter_close(s);
	}
}

static struct sl_sorter_run told[64];
static size_t told_n;

static void on_run(void *arg, unsigned lane, const struct sl_sorter_run *run)
{
	assert_ptr_equal(arg, told);
	assert_int_equal(lane, 0);
	assert_true(told_n < SL_ARRAY_N(told));
	told[told_n++] = *run;
}

/* Runs in a file of the caller's: proved and taken in by another sorter, beside what is added to it. */
static void runs_are_kept_and_taken_in(void **state)
{
	enum { N = 3000, KEPT = 2000 };
	char name[] = "/tmp/sorter-XXXXXX", byte;
	struct sl_diag d = {0};
	struct sl_sorter *s;
	struct sl_record r;
	int fd = mkstemp(name);
	(void)state;
	assert_true(fd >= 0 && unlink(name) == 0);
	assert_int_equal(sl_sorter_open(&s, folder, 2, 0, &d), SL_OK);
	sl_sorter_use_file(s, 0, fd, 4096);
	sl_sorter_tell_runs(s, on_run, told);
	assert_int_equal(sl_sorter_flush(s, 0, &d), SL_OK);
	assert_int_equal(told_n, 0);
	for (uint64_t i = 0; i < KEPT; i++) {
		make(&r, i, N);
		assert_int_equal(sl_sorter_add(s, 0, &r, &d), SL_OK);
	}
	assert_int_equal(sl_sorter_flush(s, 0, &d), SL_OK);
	sl_sorter_close(s);
	assert_true(told_n > 1 && told[0].off == 4096);

	assert_int_equal(sl_sorter_open(&s, folder, 2, 0, &d), SL_OK);
	for (size_t i = 0; i < told_n; i++) {
		assert_int_equal(sl_sorter_prove(fd, &told[i], &d), SL_OK);
		assert_int_equal(sl_sorter_adopt(s, fd, &told[i], &d), SL_OK);
	}
	for (uint64_t i = KEPT; i < N; i++) {
		make(&r, i, N);
		assert_int_equal(sl_sorter_add(s, 1, &r, &d), SL_OK);
	}
	assert_int_equal(sl_sorter_count(s), N);
	assert_int_equal(sl_sorter_sort(s, &d), SL_OK);
	for (uint64_t seq = 1; seq <= N; seq++) {
		assert_int_equal(sl_sorter_next(s, &r, &d), SL_OK);
		assert_int_equal(r.seq, seq);
	}
	assert_int_equal(sl_sorter_next(s, &r, &d), SL_END);
	sl_sorter_close(s);

	off_t at = (off_t)(told[0].off + told[0].end) / 2;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(sl_sorter_prove(fd, &told[0], &d), SL_E_CORRUPT);
	assert_int_equal(sl_sorter_prove(fd, &told[1], &d), SL_OK);
	assert_int_equal(ftruncate(fd, (off_t)told[1].end - 1), 0);
	assert_int_equal(sl_sorter_prove(fd, &told[1], &d), SL_E_CORRUPT);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_in_memory),
		cmocka_unit_test(what_does_not),
		cmocka_unit_test(records_of_one_seq_have_an_order_too),
		cmocka_unit_test(runs_are_kept_and_taken_in),
	};
	return cmocka_run_group_tests(tests, open_folder, close_folder);
}
