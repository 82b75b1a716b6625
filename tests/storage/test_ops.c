/* The journal of operations: what is told again after a restart, and what of a file that was torn, damaged
 * or written by somebody else. SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ftw.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "storage/ops.h"
#include "support/tmpdir.h"

struct place {
	struct tmpdir dir;
	struct sl_root root;
	char path[300]; /* of the file */
};

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return 1700000000000;
}

static const struct sl_env env = {.wall_ms = wall_ms};

static int setup(void **state)
{
	static struct place p;
	struct sl_diag d = {0};
	const struct sl_root_opts opts = {.is_durable = true, .env = &env};
	if (!tmpdir_make(&p.dir) || sl_root_open(p.dir.path, &opts, &p.root, &d) != SL_OK)
		return -1;
	snprintf(p.path, sizeof(p.path), "%s/journal/ops", p.dir.path);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	sl_root_close(&p->root);
	tmpdir_remove(&p->dir);
	return 0;
}

static struct sl_ops *open_ops(struct place *p)
{
	struct sl_ops *ops;
	struct sl_diag d = {0};
	if (sl_ops_open(&ops, &p->root, &d) != SL_OK)
		fail_msg("%s", d.text);
	return ops;
}

static size_t read_all(const struct place *p, char *text, size_t cap)
{
	FILE *f = fopen(p->path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, cap - 1, f);
	text[n] = '\0';
	fclose(f);
	return n;
}

static void write_all(const struct place *p, const char *text, size_t n)
{
	FILE *f = fopen(p->path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static void pin(struct sl_ops *ops, const char *uid, bool is_pinned)
{
	struct sl_uid study = sl_uid_of(uid);
	struct sl_diag d = {0};
	assert_int_equal(sl_ops_pin(ops, &study, is_pinned, &d), SL_OK);
}

static bool is_pinned(struct sl_ops *ops, const char *uid)
{
	struct sl_uid study = sl_uid_of(uid);
	return sl_ops_is_pinned(ops, &study);
}

static struct sl_record record(const char *study, const char *sop, uint64_t seq)
{
	struct sl_record r = {.seq = seq};
	r.study_instance_uid = sl_uid_of(study);
	r.sop_instance_uid = sl_uid_of(sop);
	return r;
}

static bool is_gone(struct sl_ops *ops, const char *study, const char *sop, uint64_t seq)
{
	struct sl_record r = record(study, sop, seq);
	return sl_ops_is_gone(ops, &r);
}

/* Three studies and one object that are on their way out. */
static void put_gone(struct sl_ops *ops)
{
	struct sl_diag d = {0};
	struct sl_index_tombstone t[3];
	memset(t, 0, sizeof(t));
	for (size_t i = 0; i < 3; i++) {
		t[i].kind = SL_INDEX_TOMB_STUDY;
		t[i].seq = 100 + i;
		t[i].study_instance_uid = sl_uid_of(i == 0 ? "1.2" : i == 1 ? "1.22" : "1.1");
	}
	assert_int_equal(sl_ops_gone(ops, t, 3, &d), SL_OK);
	struct sl_index_tombstone one = {.kind = SL_INDEX_TOMB_INSTANCE,
		.seq = 103,
		.study_instance_uid = sl_uid_of("1.5"),
		.sop_instance_uid = sl_uid_of("1.5.1"),
		.object_seq = 42};
	assert_int_equal(sl_ops_gone(ops, &one, 1, &d), SL_OK);
}

static void what_was_told_is_known_after_a_restart(void **state)
{
	struct place *p = *state;
	struct sl_ops *ops = open_ops(p);
	struct sl_uid uid;
	pin(ops, "1.3", true);
	pin(ops, "1.1", true);
	pin(ops, "1.2", true);
	pin(ops, "1.1", true);
	pin(ops, "1.3", false);
	pin(ops, "1.9", false);
	put_gone(ops);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sl_ops_pins(ops), 2);
		assert_true(is_pinned(ops, "1.1") && is_pinned(ops, "1.2"));
		assert_false(is_pinned(ops, "1.3") || is_pinned(ops, "1.11"));
		assert_true(sl_ops_pinned(ops, 1, &uid));
		assert_string_equal(uid.s, "1.2");
		assert_false(sl_ops_pinned(ops, 2, &uid));
		sl_ops_close(ops);
		ops = open_ops(p);
	}
	assert_true(sl_ops_has_gone(ops));
	assert_true(is_gone(ops, "1.2", "1.2.9", 99));
	assert_false(is_gone(ops, "1.2", "1.2.9", 100)); /* came after the removal */
	assert_true(is_gone(ops, "1.22", "1.2.9", 100));
	assert_false(is_gone(ops, "1.222", "1.2.9", 1));
	assert_true(is_gone(ops, "1.5", "1.5.1", 42));
	assert_false(is_gone(ops, "1.5", "1.5.1", 41)); /* another version */
	assert_false(is_gone(ops, "1.5", "1.5.2", 42));
	sl_ops_close(ops);
}

static void tidied_it_holds_the_pins_alone(void **state)
{
	struct place *p = *state;
	static char text[4096];
	struct sl_diag d = {0};
	struct sl_ops *ops = open_ops(p);
	pin(ops, "1.3", true);
	pin(ops, "1.1", true);
	put_gone(ops);
	pin(ops, "1.3", false);
	assert_int_equal(sl_ops_tidy(ops, false, &d), SL_OK); /* short: stays */
	assert_true(read_all(p, text, sizeof(text)) > 200);
	assert_int_equal(sl_ops_tidy(ops, true, &d), SL_OK);
	assert_int_equal(read_all(p, text, sizeof(text)), 13 + 16 + 9);
	assert_non_null(strstr(text, " pin 1.1\n"));
	pin(ops, "1.4", true);
	sl_ops_close(ops);
	ops = open_ops(p);
	assert_false(sl_ops_has_gone(ops));
	assert_true(is_pinned(ops, "1.1") && is_pinned(ops, "1.4"));
	sl_ops_close(ops);
}

/* It does not grow with what was evicted. */
static void it_is_tidied_when_it_is_long(void **state)
{
	struct place *p = *state;
	struct sl_diag d = {0};
	struct stat sb;
	off_t longest = 0;
	struct sl_root hasty = p->root;
	hasty.is_durable = false;
	struct sl_ops *ops;
	assert_int_equal(sl_ops_open(&ops, &hasty, &d), SL_OK);
	pin(ops, "1.1", true);
	for (int i = 0; i < 10000; i++) {
		put_gone(ops);
		assert_int_equal(sl_ops_tidy(ops, false, &d), SL_OK);
		assert_int_equal(stat(p->path, &sb), 0);
		longest = sb.st_size > longest ? sb.st_size : longest;
	}
	assert_in_range(longest, 255 * 1024, 257 * 1024);
	assert_true(is_pinned(ops, "1.1"));
	sl_ops_close(ops);
}

/* Cut after any byte, it says what its whole lines say, and goes on from there. */
static void a_torn_end_is_cut_off(void **state)
{
	struct place *p = *state;
	static char text[4096], cut[4096];
	const char *const uids[] = {"1.1", "1.22", "1.333"};
	struct sl_ops *ops = open_ops(p);
	for (size_t i = 0; i < 3; i++)
		pin(ops, uids[i], true);
	sl_ops_close(ops);
	size_t n = read_all(p, text, sizeof(text));
	size_t title = strcspn(text, "\n") + 1;
	for (size_t at = title; at <= n; at++) {
		size_t lines = 0;
		for (size_t i = title; i < at; i++)
			lines += text[i] == '\n';
		memcpy(cut, text, at);
		memset(cut + at, 0, 100); /* blocks that were never written */
		write_all(p, cut, at + (at % 3 == 0 ? 100 : 0));
		ops = open_ops(p);
		assert_int_equal(sl_ops_pins(ops), lines);
		pin(ops, "1.4", true);
		sl_ops_close(ops);
		ops = open_ops(p);
		assert_int_equal(sl_ops_pins(ops), lines + 1);
		sl_ops_close(ops);
	}
}

static void damage_before_a_sound_line_is_told(void **state)
{
	struct place *p = *state;
	static char text[4096];
	struct sl_ops *ops = open_ops(p);
	struct sl_diag d = {0};
	pin(ops, "1.1", true);
	pin(ops, "1.22", true);
	sl_ops_close(ops);
	size_t n = read_all(p, text, sizeof(text));
	size_t title = strcspn(text, "\n") + 1;
	size_t first = title + strcspn(text + title, "\n");
	for (size_t at = title; at < first; at++) {
		text[at] ^= 1;
		write_all(p, text, n);
		assert_int_equal(sl_ops_open(&ops, &p->root, &d), SL_E_CORRUPT);
		assert_non_null(strstr(d.text, "line 2"));
		d = (struct sl_diag){0};
		text[at] ^= 1;
	}
	text[7] = '2'; /* the title */
	write_all(p, text, n);
	assert_int_equal(sl_ops_open(&ops, &p->root, &d), SL_E_UNSUPPORTED);
	assert_null(ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_told_is_known_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(tidied_it_holds_the_pins_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_tidied_when_it_is_long, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(
			damage_before_a_sound_line_is_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
