/* Sizes, times, watermarks, networks: what is read, what is refused, what is written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "conf/unit.h"

#include <string.h>

static void sizes_are_read_and_written(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *shortest;
	} good[] = {{"0", 0, "0"}, {"1", 1, "1"}, {"1B", 1, "1"}, {"65536", 65536, "64KiB"},
		{"1KiB", 1024, "1KiB"}, {"1 MiB", SL_MIB, "1MiB"}, {"1024MiB", SL_GIB, "1GiB"},
		{"20GiB", 20 * SL_GIB, "20GiB"}, {"3TiB", 3 * SL_TIB, "3TiB"},
		{"2PiB", 2 * SL_PIB, "2PiB"}, {"1kB", 1000, "1000"}, {"5MB", 5000000, "5000000"},
		{"2GB", 2000000000, "1953125KiB"}, {"1TB", 1000000000000, "976562500KiB"},
		{"1025", 1025, "1025"},
		{"18446744073709551615", UINT64_MAX, "18446744073709551615"}};
	for (size_t i = 0; i < SL_ARRAY_N(good); i++) {
		uint64_t bytes = 7, again = 7;
		char text[SL_UNIT_TEXT_MAX];
		assert_true(sl_unit_size(good[i].text, &bytes));
		assert_true(bytes == good[i].bytes);
		sl_unit_size_text(bytes, text);
		assert_string_equal(text, good[i].shortest);
		assert_true(sl_unit_size(text, &again));
		assert_true(again == bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "MiB", "-1", "+1", "1.5GiB", "1mib", "1Mib",
		"1 MiB ", "1EiB", "0x10", "1MiBs", "18446744073709551616",
		"99999999999999999999999", "16384PiB", "1\tKiB"};
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		uint64_t bytes;
		assert_false(sl_unit_size(bad[i], &bytes));
	}
}

static void times_are_read_and_written(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
		const char *shortest;
	} good[] = {{"0", 0, "0s"}, {"0s", 0, "0s"}, {"250ms", 250, "250ms"}, {"30s", 30000, "30s"},
		{"1000ms", 1000, "1s"}, {"90s", 90000, "90s"}, {"5 min", 300000, "5min"},
		{"60min", 3600000, "1h"}, {"24h", 86400000, "1d"}, {"7d", 604800000, "7d"}};
	static const char *const bad[] = {
		"", "30", "s", "5 weeks", "1.5s", "-1s", "1S", "1m", "213503982335d"};
	for (size_t i = 0; i < SL_ARRAY_N(good); i++) {
		uint64_t ms = 7;
		char text[SL_UNIT_TEXT_MAX];
		assert_true(sl_unit_time(good[i].text, &ms));
		assert_true(ms == good[i].ms);
		sl_unit_time_text(ms, text);
		assert_string_equal(text, good[i].shortest);
	}
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		uint64_t ms;
		assert_false(sl_unit_time(bad[i], &ms));
	}
}

static void watermarks_are_shares_or_free_space(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		struct sl_conf_mark mark;
		const char *shortest;
	} good[] = {{"75%", {false, 7500, 0}, "75%"}, {"0%", {false, 0, 0}, "0%"},
		{"100%", {false, 10000, 0}, "100%"}, {"97.5%", {false, 9750, 0}, "97.50%"},
		{"97.05%", {false, 9705, 0}, "97.05%"},
		{"free 20GiB", {true, 0, 20 * SL_GIB}, "free 20GiB"},
		{"free  5 MiB", {true, 0, 5 * SL_MIB}, "free 5MiB"},
		{"free 0", {true, 0, 0}, "free 0"}};
	static const char *const bad[] = {"", "75", "%", "101%", "100.01%", "75.123%", "75.%",
		".5%", "-1%", "75 %", "75%%", "free", "free ", "free x", "free20GiB", "Free 20GiB",
		"20GiB", "99999999999999999999%"};
	for (size_t i = 0; i < SL_ARRAY_N(good); i++) {
		struct sl_conf_mark mark;
		char text[SL_UNIT_TEXT_MAX];
		assert_true(sl_unit_mark(good[i].text, &mark));
		assert_int_equal(mark.is_free_bytes, good[i].mark.is_free_bytes);
		assert_int_equal(mark.hundredths, good[i].mark.hundredths);
		assert_true(mark.free_bytes == good[i].mark.free_bytes);
		sl_unit_mark_text(&mark, text);
		assert_string_equal(text, good[i].shortest);
	}
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		struct sl_conf_mark mark;
		assert_false(sl_unit_mark(bad[i], &mark));
	}
}

static void networks_are_read_and_written(void **state)
{
	(void)state;
	static const struct {
		const char *text, *full;
	} good[] = {{"10.0.0.0/8", "10.0.0.0/8"}, {"192.168.1.7", "192.168.1.7/32"},
		{"0.0.0.0/0", "0.0.0.0/0"}, {"fd00::/8", "fd00::/8"}, {"::1", "::1/128"},
		{"::/0", "::/0"}, {"128.0.0.0/1", "128.0.0.0/1"}};
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
		"fd00::1/8", "::/129", "10.0.0/8", "10.0.0.0/8 ", "host/8", "10.0.0.0/8/8",
		"10.0.0.0/-1", "10.0.0.0/99999999999999999999",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8"};
	for (size_t i = 0; i < SL_ARRAY_N(good); i++) {
		struct sl_conf_net net;
		const char *why = NULL;
		char text[SL_UNIT_NET_MAX];
		assert_true(sl_unit_net(good[i].text, &net, &why));
		sl_unit_net_text(&net, text);
		assert_string_equal(text, good[i].full);
	}
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		struct sl_conf_net net;
		const char *why = NULL;
		assert_false(sl_unit_net(bad[i], &net, &why));
		assert_non_null(why);
	}
}

static void loopback_is_known_in_both_families(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool is_loopback;
	} rows[] = {{"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true}, {"0.0.0.0", false},
		{"::", false}, {"10.0.0.1", false}, {"::ffff:10.0.0.1", false}};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		bool is_loopback = !rows[i].is_loopback;
		assert_true(sl_unit_addr(rows[i].text, &is_loopback));
		assert_int_equal(is_loopback, rows[i].is_loopback);
	}
	assert_false(sl_unit_addr("localhost", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read_and_written),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(times_are_read_and_written),
		cmocka_unit_test(watermarks_are_shares_or_free_space),
		cmocka_unit_test(networks_are_read_and_written),
		cmocka_unit_test(loopback_is_known_in_both_families),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
