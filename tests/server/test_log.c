/* The log: what a line looks like, what a hostile string becomes, what happens when nobody reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "server/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FULL (64 * SL_KIB) /* more than any line or file read back here */

static uint64_t fixed_ns(void *arg)
{
	(void)arg;
	return 1;
}

/* 2024-02-29 12:34:56.789 UTC */
static int64_t fixed_ms(void *arg)
{
	(void)arg;
	return 1709210096789;
}

static void fixed_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 7, n);
}

static const struct sl_env env = {fixed_ns, fixed_ms, fixed_random, NULL};

struct fixture {
	char dir[64], path[96];
	char text[FULL];
	struct sl_log_conf conf;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/sl_log_XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	f->conf = (struct sl_log_conf){.level = SL_LOG_INFO,
		.identifiers = SL_LOG_ID_HASH,
		.is_utc = true,
		.path = f->path,
		.env = &env};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char other[112];
	snprintf(other, sizeof(other), "%s.1", f->path);
	unlink(other);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct sl_log *open_log(struct fixture *f)
{
	struct sl_diag d = {0};
	struct sl_log *log = NULL;
	assert_int_equal(sl_log_open(&log, &f->conf, &d), SL_OK);
	return log;
}

static const char *read_back(struct fixture *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, f->text, sizeof(f->text) - 1);
	assert_true(n >= 0);
	f->text[n] = '\0';
	close(fd);
	return f->text;
}

static void one_of_each(struct sl_log *log)
{
	struct sl_log_line l;
	struct sl_diag d = {
		.status = SL_E_IO, .errnum = 28, .where = "spool/link", .text = "no room"};
	sl_log_begin(&l, log, SL_LOG_INFO, "assoc.end");
	sl_log_uint(&l, "id", 12);
	sl_log_int(&l, "delta", -3);
	sl_log_ae(&l, "calling", "  CT 1 \0\0", 9);
	sl_log_of(&l, "ctx", 12, 14);
	sl_log_hex(&l, "status", 0xA700, 4);
	sl_log_ms(&l, "ms", 1234567890);
	sl_log_rate(&l, "rate", 112345678, 1000000000);
	sl_log_percent(&l, "disk", 71.44);
	sl_log_flag(&l, "sound", false);
	sl_log_fmt(&l, "range", "%d..%d", 1, 2);
	sl_log_str(&l, "empty", NULL);
	sl_log_str(&l, "sum", "a=b");
	sl_log_uid(&l, "uid", "1.2.3", 5);
	sl_log_diag(&l, &d);
	sl_log_word(&l, "end", "release");
	sl_log_end(&l);
}

static void a_logfmt_line_has_time_level_event_and_fields(void **state)
{
	struct fixture *f = *state;
	struct sl_log *log = open_log(f);
	one_of_each(log);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path),
		"2024-02-29T12:34:56.789Z INFO assoc.end id=12 delta=-3 calling=\"CT 1\" ctx=12/14 "
		"status=A700 ms=1234 rate=112MB/s disk=71.4 sound=no range=1..2 empty=\"\" "
		"sum=\"a=b\" uid=~8686ebd95e6bab34 why=\"no room\" errno=ENOSPC at=spool/link "
		"end=release\n");
}

static void a_json_line_has_numbers_and_booleans(void **state)
{
	struct fixture *f = *state;
	f->conf.is_json = true;
	f->conf.identifiers = SL_LOG_ID_UID;
	struct sl_log *log = open_log(f);
	one_of_each(log);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path),
		"{\"time\":\"2024-02-29T12:34:56.789Z\",\"level\":\"INFO\",\"event\":\"assoc.end\","
		"\"id\":12,\"delta\":-3,\"calling\":\"CT 1\",\"ctx\":\"12/14\",\"status\":\"A700\","
		"\"ms\":1234,\"rate\":112345678,\"disk\":71.4,\"sound\":false,\"range\":\"1..2\","
		"\"empty\":\"\",\"sum\":\"a=b\",\"uid\":\"1.2.3\",\"why\":\"no room\","
		"\"errno\":\"ENOSPC\",\"at\":\"spool/link\",\"end\":\"release\"}\n");
}

static void local_time_carries_its_offset(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	setenv("TZ", "TST-05:30", 1); /* POSIX: west is positive */
	f->conf.is_utc = false;
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_WARN, "x");
	sl_log_end(&l);
	sl_log_close(log);
	unsetenv("TZ");
	assert_string_equal(read_back(f, f->path), "2024-02-29T18:04:56.789+05:30 WARN x\n");
}

/* HOSTILE, "Log/terminal/XML injection". */
static const char hostile[] = "A\r\nINFO fake\x1b[2J\0\xff\xc3\x28]]><!ENTITY %n%s\"\\ \x7f";

static void hostile_strings_stay_on_their_line(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	for (int json = 0; json < 2; json++) {
		f->conf.is_json = json != 0;
		struct sl_log *log = open_log(f);
		sl_log_begin(&l, log, SL_LOG_INFO, "x");
		sl_log_ae(&l, "calling", hostile, sizeof(hostile) - 1);
		sl_log_bytes(&l, "impl", hostile, sizeof(hostile) - 1);
		sl_log_end(&l);
		sl_log_close(log);
	}
	const char *text = read_back(f, f->path);
	assert_string_equal(text,
		"2024-02-29T12:34:56.789Z INFO x "
		"calling=\"A\\x0d\\x0aINFO fake\\x1b[2J\\x00\\xff\\xc3(]]><!ENTITY %n%s\\x22\\x5c "
		"\\x7f\" "
		"impl=\"A\\x0d\\x0aINFO fake\\x1b[2J\\x00\\xff\\xc3(]]><!ENTITY %n%s\\x22\\x5c "
		"\\x7f\"\n"
		"{\"time\":\"2024-02-29T12:34:56.789Z\",\"level\":\"INFO\",\"event\":\"x\","
		"\"calling\":"
		"\"A\\\\x0d\\\\x0aINFO fake\\\\x1b[2J\\\\x00\\\\xff\\\\xc3(]]><!ENTITY "
		"%n%s\\\\x22\\\\x5c \\\\x7f\",\"impl\":"
		"\"A\\\\x0d\\\\x0aINFO fake\\\\x1b[2J\\\\x00\\\\xff\\\\xc3(]]><!ENTITY "
		"%n%s\\\\x22\\\\x5c \\\\x7f\"}\n");
}

static void identifiers_none_leaves_uids_out(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	f->conf.identifiers = SL_LOG_ID_NONE;
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_INFO, "x");
	sl_log_uid(&l, "uid", "1.2.3", 5);
	sl_log_uint(&l, "n", 1);
	sl_log_end(&l);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path), "2024-02-29T12:34:56.789Z INFO x n=1\n");
}

static void levels_below_the_set_one_are_not_written(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_DEBUG, "quiet");
	sl_log_uint(&l, "n", 1);
	sl_log_end(&l);
	sl_log_set_level(log, SL_LOG_DEBUG);
	assert_true(sl_log_is_on(log, SL_LOG_DEBUG));
	sl_log_begin(&l, log, SL_LOG_DEBUG, "loud");
	sl_log_end(&l);
	sl_log_begin(&l, NULL, SL_LOG_ERROR, "nowhere");
	sl_log_str(&l, "k", "v");
	sl_log_end(&l);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path), "2024-02-29T12:34:56.789Z DEBUG loud\n");
}

static void a_line_that_is_too_long_says_so_and_keeps_whole_fields(void **state)
{
	struct fixture *f = *state;
	struct sl_log_line l;
	char long_text[400];
	memset(long_text, 'x', sizeof(long_text));
	for (int json = 0; json < 2; json++) {
		f->conf.is_json = json != 0;
		struct sl_log *log = open_log(f);
		sl_log_begin(&l, log, SL_LOG_INFO, "x");
		for (int i = 0; i < 40; i++)
			sl_log_bytes(&l, "k", long_text, sizeof(long_text));
		sl_log_end(&l);
		sl_log_close(log);
	}
	char *text = f->text;
	(void)read_back(f, f->path);
	char *second = strchr(text, '\n') + 1;
	assert_true(second - text <= SL_LOG_LINE_MAX + 40);
	assert_memory_equal(second - strlen("xx.. cut=yes\n"), "xx.. cut=yes\n", 13);
	assert_non_null(strstr(second, "xx..\",\"cut\":true}\n"));
}

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

static void a_limit_passes_one_in_a_period_and_counts_the_rest(void **state)
{
	(void)state;
	struct sl_log_limit limit = {0};
	uint64_t quiet = 99;
	assert_true(sl_log_limit_pass(&limit, 0, 60, &quiet));
	assert_int_equal(quiet, 0);
	assert_false(sl_log_limit_pass(&limit, 1, 60, &quiet));
	assert_false(sl_log_limit_pass(&limit, 59, 60, &quiet));
	assert_true(sl_log_limit_pass(&limit, 60, 60, &quiet));
	assert_int_equal(quiet, 2);
	assert_true(sl_log_limit_pass(&limit, 1000, 60, &quiet));
	assert_int_equal(quiet, 0);
}

static void rates_show_three_digits(void **state)
{
	struct fixture *f = *state;
	static const uint64_t rates[] = {
		0, 9, 999, 1000, 9994, 10000, 99949, 100000, 999499, 999500, 1500000000};
	struct sl_log_line l;
	struct sl_log *log = open_log(f);
	sl_log_begin(&l, log, SL_LOG_INFO, "x");
	for (size_t i = 0; i < SL_ARRAY_N(rates); i++)
		sl_log_rate(&l, "r", rates[i], 1000000000);
	sl_log_rate(&l, "none", 1, 0);
	sl_log_percent(&l, "nan", __builtin_nan(""));
	sl_log_end(&l);
	sl_log_close(log);
	assert_string_equal(read_back(f, f->path),
		"2024-02-29T12:34:56.789Z INFO x r=0B/s r=9B/s r=999B/s r=1.00kB/s r=9.99kB/s "
		"r=10.0kB/s r=99.9kB/s r=100kB/s r=999kB/s r=1.00MB/s r=1.50GB/s nan=0.0\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_logfmt_line_has_time_level_event_and_fields),
		T(a_json_line_has_numbers_and_booleans),
		T(local_time_carries_its_offset),
		T(hostile_strings_stay_on_their_line),
		T(identifiers_none_leaves_uids_out),
		T(levels_below_the_set_one_are_not_written),
		T(a_line_that_is_too_long_says_so_and_keeps_whole_fields),
		T(reopen_follows_a_renamed_file),
		T(a_reopen_that_fails_keeps_the_old_file),
		T(a_file_that_cannot_be_opened_fails_the_open),
		T(when_nobody_reads_lines_are_dropped_counted_and_named),
		T(a_stuck_reader_does_not_hold_up_the_stop),
		T(a_full_disk_is_counted_and_survived),
		T(after_a_torn_line_the_next_begins_on_its_own),
		T(lines_of_several_threads_arrive_whole_and_in_order),
		T(a_limit_passes_one_in_a_period_and_counts_the_rest),
		T(rates_show_three_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
