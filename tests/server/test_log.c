/* The log's file: renamed, missing, full, torn; what happens when nobody reads; many writers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/log_rig.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void reopen_follows_a_renamed_file(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	char other[112];
	snprintf(other, sizeof(other), "%s.1", f->path);
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_INFO, "before");
	sl_log_end(&l);
	sl_log_flush(log);
	assert_int_equal(rename(f->path, other), 0);
	sl_log_reopen(log);
	sl_log_begin(&l, log, SL_LOG_INFO, "after");
	sl_log_end(&l);
	sl_log_close(log);
	assert_string_equal(read_back(f, other), "2024-02-29T12:34:56.789Z INFO before\n");
	const char *text = read_back(f, f->path);
	assert_non_null(strstr(text, " INFO after\n"));
	assert_non_null(strstr(text, " INFO log.reopen file="));
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
	struct fixture *f = *state;
	char other[112];
	snprintf(other, sizeof(other), "%s.1", f->path);
	struct sl_log *log = open_log(f);
	assert_int_equal(rename(f->path, other), 0);
	assert_int_equal(mkdir(f->path, 0700), 0); /* a folder cannot be opened for writing */
	sl_log_reopen(log);
	sl_log_close(log);
	assert_int_equal(rmdir(f->path), 0);
	assert_non_null(strstr(read_back(f, other), " ERROR log.reopen file="));
}

static void a_file_that_cannot_be_opened_fails_the_open(void **state)
{
	struct fixture *f = *state;
	struct sl_diag d = {0};
	struct sl_log *log = NULL;
	f->conf.path = "/nonexistent/folder/log";
	assert_int_equal(sl_log_open(&log, &f->conf, &d), SL_E_IO);
	assert_null(log);
	assert_non_null(strstr(d.text, "/nonexistent/folder/log"));
}

/* A FIFO whose reader does not read: its 64 KiB fill, then the ring, then lines are dropped. */
static void when_nobody_reads_lines_are_dropped_counted_and_named(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	char filler[100];
	uint64_t sent = 0;
	memset(filler, 'x', sizeof(filler));
	assert_int_equal(mkfifo(f->path, 0600), 0);
	int fd = open(
		f->path, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* so that neither side's open blocks */
	assert_true(fd >= 0);
	f->conf.ring_size = 4 * SL_KIB;
	struct sl_log *log = open_log(f);
	for (; sl_log_dropped(log) < 5; sent++) {
		sl_log_begin(&l, log, SL_LOG_INFO, "flood");
		sl_log_bytes(&l, "x", filler, sizeof(filler));
		sl_log_end(&l);
	}
	/* Now read until the report comes: lines that came through and lines reported are all. */
	uint64_t seen = 0, reported = 0;
	char *buf = f->text;
	size_t have = 0;
	while (seen + reported < sent) {
		ssize_t n = read(fd, buf + have, FULL - 1 - have);
		if (n <= 0) {
			assert_true(sl_log_dropped(log) >= 5);
			sched_yield();
			continue;
		}
		have += (size_t)n;
		buf[have] = '\0';
		char *start = buf, *end;
		for (; (end = strchr(start, '\n')) != NULL; start = end + 1) {
			*end = '\0';
			char *report = strstr(start, " WARN log.dropped n=");
			if (report != NULL)
				reported += strtoull(report + 20, NULL, 10);
			else
				seen += strstr(start, " INFO flood x=") != NULL;
		}
		have = strlen(start);
		memmove(buf, start, have + 1);
	}
	assert_int_equal(seen + reported, sent);
	assert_int_equal(reported, sl_log_dropped(log));
	assert_true(reported >= 5);
	sl_log_close(log);
	close(fd);
}

static void a_stuck_reader_does_not_hold_up_the_stop(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	assert_int_equal(mkfifo(f->path, 0600), 0);
	int fd = open(f->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	char zeros[4096] = {0};
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_INFO, "x");
	sl_log_end(&l);
	sl_log_close(log); /* returns, or the test's time limit ends it */
	close(fd);
}

static void a_full_disk_is_counted_and_survived(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	f->conf.path = "/dev/full"; /* every write is ENOSPC */
	struct sl_log *log = open_log(f);
	for (int i = 0; i < 3; i++) {
		sl_log_begin(&l, log, SL_LOG_INFO, "x");
		sl_log_end(&l);
		sl_log_flush(log);
	}
	assert_true(sl_log_dropped(log) >= 3);
	sl_log_close(log);
}

/* A write that stops inside a line (here by a limit of the file's size, on a disk by ENOSPC). */
static void after_a_torn_line_the_next_begins_on_its_own(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	struct rlimit old, small;
	struct sl_log *log = open_log(f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 30, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	sl_log_begin(&l, log, SL_LOG_INFO, "torn");
	sl_log_end(&l);
	sl_log_flush(log);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	sl_log_begin(&l, log, SL_LOG_INFO, "whole");
	sl_log_end(&l);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path),
		"2024-02-29T12:34:56.789Z INFO \n"
		"2024-02-29T12:34:56.789Z INFO whole\n"
		"2024-02-29T12:34:56.789Z WARN log.dropped n=1\n");
}

#define THREADS    4
#define PER_THREAD 500

struct writer {
	struct sl_log *log;
	unsigned index;
};

static void *write_many(void *arg)
{
	const struct writer *w = arg;
	struct sl_log_line l;
	for (unsigned i = 0; i < PER_THREAD; i++) {
		sl_log_begin(&l, w->log, SL_LOG_INFO, "x");
		sl_log_uint(&l, "thread", w->index);
		sl_log_uint(&l, "i", i);
		sl_log_end(&l);
		if (i == PER_THREAD / 2)
			sl_log_reopen(w->log);
	}
	return NULL;
}

static void lines_of_several_threads_arrive_whole_and_in_order(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	struct writer writers[THREADS];
	unsigned next[THREADS] = {0}, lines = 0;
	struct sl_log *log = open_log(f);
	for (unsigned t = 0; t < THREADS; t++) {
		writers[t] = (struct writer){log, t};
		assert_int_equal(pthread_create(&threads[t], NULL, write_many, &writers[t]), 0);
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(sl_log_dropped(log), 0);
	sl_log_close(log);

	FILE *in = fopen(f->path, "re");
	assert_non_null(in);
	char line[256];
	while (fgets(line, sizeof(line), in) != NULL) {
		unsigned t = 0, i = 0;
		if (sscanf(line, "%*s INFO x thread=%u i=%u", &t, &i) != 2) {
			assert_non_null(strstr(line, " INFO log.reopen "));
			continue;
		}
		assert_true(t < THREADS);
		assert_int_equal(i, next[t]);
		next[t]++;
		lines++;
	}
	fclose(in);
	assert_int_equal(lines, THREADS * PER_THREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(reopen_follows_a_renamed_file),
		LOG_TEST(a_reopen_that_fails_keeps_the_old_file),
		LOG_TEST(a_file_that_cannot_be_opened_fails_the_open),
		LOG_TEST(when_nobody_reads_lines_are_dropped_counted_and_named),
		LOG_TEST(a_stuck_reader_does_not_hold_up_the_stop),
		LOG_TEST(a_full_disk_is_counted_and_survived),
		LOG_TEST(after_a_torn_line_the_next_begins_on_its_own),
		LOG_TEST(lines_of_several_threads_arrive_whole_and_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
