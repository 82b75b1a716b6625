/* What a line of the log looks like, and what a hostile string becomes in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/log_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_logfmt_line_has_time_level_event_and_fields),
		LOG_TEST(a_json_line_has_numbers_and_booleans),
		LOG_TEST(local_time_carries_its_offset),
		LOG_TEST(hostile_strings_stay_on_their_line),
		LOG_TEST(identifiers_none_leaves_uids_out),
		LOG_TEST(levels_below_the_set_one_are_not_written),
		LOG_TEST(a_line_that_is_too_long_says_so_and_keeps_whole_fields),
		LOG_TEST(a_limit_passes_one_in_a_period_and_counts_the_rest),
		LOG_TEST(rates_show_three_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
