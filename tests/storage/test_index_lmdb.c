/* Opening the LMDB index, and what other hands may have done to its file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/lmdb_key.h"
#include "support/index_fixture.h"
#include "support/index_older.h"

/* ---- opening ----------------------------------------------------------------------------------- */

static void an_index_is_made_only_when_asked(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
	struct sl_index *ix;
	struct sl_diag diag = {0};
	char nested[300];
	assert_int_equal(sl_index_lmdb_open(&options, &ix, &diag), SL_E_NOTFOUND);
	snprintf(nested, sizeof(nested), "%s/index", dir->path);
	options.path = nested;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_NOTFOUND);
	options.create = true;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_OK);
	sl_index_close(ix);
	options.create = false;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_OK);
	sl_index_close(ix);
	struct stat st;
	assert_int_equal(stat(nested, &st), 0);
	assert_int_equal(st.st_mode & 0027, 0); /* nothing for others, no writing for the group */
}

static void rows_are_there_after_reopening(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_snapshot before, after;
	struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	assert_int_equal(try_range(ix, 0, 100, 10, NULL), SL_OK);
	sl_index_snapshot(ix, &before);
	sl_index_close(ix);
	ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	sl_index_snapshot(ix, &after);
	assert_memory_equal(&before.usage, &after.usage, sizeof(after.usage));
	assert_true(after.next_seq == 101);
	/* Words of the dictionary and numbers go on where they were. */
	assert_int_equal(try_range(ix, 100, 200, 10, NULL), SL_OK);
	check_sound(ix);
	sl_index_close(ix);
}

/* A limit of the file's size that lies within a page cuts a write short, as a disk that fills up does. */
static void a_write_that_came_out_short_is_a_full_disk(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	struct rlimit was, tight;
	struct sl_diag diag = {0};
	struct stat data;
	char path[300];
	assert_int_equal(try_range(ix, 0, 100, 100, NULL), SL_OK);
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	assert_int_equal(stat(path, &data), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	tight = (struct rlimit){.rlim_cur = (rlim_t)data.st_size + 100, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	enum sl_status st = try_range(ix, 100, 100 + BATCH_MAX, BATCH_MAX, &diag);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(st, SL_E_FULL);
	assert_string_equal(diag.text, "no disk space for the index");
	check_sound(ix);
	assert_int_equal(try_range(ix, 100, 100 + BATCH_MAX, BATCH_MAX, NULL),
		SL_OK); /* as if nothing had been */
	check_sound(ix);
	sl_index_close(ix);
}

static void a_second_process_is_refused(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct sl_index_lmdb_options options = {
			.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
		struct sl_index *second;
		_exit(sl_index_lmdb_open(&options, &second, NULL) == SL_E_BUSY ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	sl_index_close(ix);
}

static void unsafe_file_systems_are_known_by_type(void **state)
{
	(void)state;
	assert_string_equal(sl_index_lmdb_unsafe_fs(0x6969), "NFS");
	assert_string_equal(sl_index_lmdb_unsafe_fs(0x794C7630), "overlay");
	/* f_type is signed on some machines: the upper half may be ones. */
	assert_string_equal(sl_index_lmdb_unsafe_fs(0xFFFFFFFFFF534D42), "CIFS");
	assert_null(sl_index_lmdb_unsafe_fs(0xEF53));     /* ext4 */
	assert_null(sl_index_lmdb_unsafe_fs(0x58465342)); /* XFS */
	assert_null(sl_index_lmdb_unsafe_fs(0x01021994)); /* tmpfs */
	assert_null(sl_index_lmdb_unsafe_fs(0x2FC12FC1)); /* ZFS */
}

static void unreasonable_options_are_refused(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = 1000, .readers = 1, .batch_max = 1, .create = true};
	struct sl_index *ix;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CONFIG);
	options.map_size = SL_MIB;
	options.batch_max = 0;
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CONFIG);
}

/* ---- other hands on the file ------------------------------------------------------------------- */

/* Overwrites (value != NULL) or deletes a row behind the index's back. */
static void tamper(const char *path, const char *tree, MDB_val key, const MDB_val *value)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val v = value != NULL ? *value : (MDB_val){0, NULL};
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0640), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, tree, 0, &dbi), 0);
	assert_int_equal(
		value != NULL ? mdb_put(txn, dbi, &key, &v, 0) : mdb_del(txn, dbi, &key, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void a_newer_schema_is_refused_by_name(void **state)
{
	const struct tmpdir *dir = *state;
	const struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = SL_MIB, .readers = 1, .batch_max = 1};
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	struct sl_diag diag = {0};
	sl_index_close(ix);
	MDB_val newer = {4, "\0\0\0\x07"}, damaged = {3, "\0\0\1"};
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, &newer);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, &diag), SL_E_UNSUPPORTED);
	assert_non_null(strstr(diag.text, "schema 7"));
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, &damaged);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CORRUPT);
	tamper(dir->path, "meta", (MDB_val){6, "schema"}, NULL);
	assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_CORRUPT);
}

static void a_lost_and_a_strange_key_are_found(void **state)
{
	const struct tmpdir *dir = *state;
	/* patient.study of patient 1, study 1; the same of a study that is not there */
	uint8_t known[] = {3, 1, 1}, strange[] = {3, 1, 200};
	const MDB_val nothing = {0, NULL};
	struct sl_index_report report;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(try_range(ix, 0, 60, 10, NULL), SL_OK);
	sl_index_close(ix);
	tamper(dir->path, "key", (MDB_val){3, strange}, &nothing);
	ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
	assert_non_null(strstr(report.first, "ordered keys for"));
	sl_index_close(ix);
	tamper(dir->path, "key", (MDB_val){3, known}, NULL);
	ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
	assert_non_null(strstr(report.first, "lacks an ordered key"));
	sl_index_close(ix);
}

static void an_index_of_an_older_schema_is_upgraded(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(try_range(ix, 0, 60, 10, NULL), SL_OK);
	sl_index_close(ix);
	/* After each schema once more: then there is nothing to do. */
	const uint8_t schemas[] = {1, 0, 2, 0, 3, 0};
	for (size_t i = 0; i < SL_ARRAY_N(schemas); i++) {
		struct sl_index_reader *rd;
		struct sl_index_arrival found[8];
		struct sl_index_snapshot snap;
		uint64_t after = 0;
		size_t n = 8;
		if (schemas[i] > 0)
			index_older_make(dir->path, schemas[i]);
		ix = open_at(dir->path, SL_MIB, SL_OK);
		check_sound(ix);
		sl_index_snapshot(ix, &snap);
		assert_true(snap.usage.instances == 60 && snap.usage.versions == 60);
		assert_int_equal(sl_index_open_reader(ix, &rd, NULL), SL_OK);
		assert_int_equal(sl_index_list_arrivals(rd, &after, found, &n, NULL), SL_OK);
		assert_int_equal(n, 2);
		assert_true(found[0].counts.last_seq == 40 && after == 60);
		sl_index_close_reader(rd);
		sl_index_close(ix);
	}
}

/* Each kind of damage to a sound index is seen by the recount. */
static void the_recount_sees_damaged_rows(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_record r;
	uint8_t uid[SL_LMDB_KEY_UID_MAX], end[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf uw = sl_wbuf_of(uid, sizeof(uid)), ew = sl_wbuf_of(end, sizeof(end));
	rec_make(&r, 0, 10);
	sl_lmdb_key_put_uid(&uw, r.sop_instance_uid.s, r.sop_instance_uid.len);
	sl_lmdb_key_put_uid_end(&ew, r.study_instance_uid.s, r.study_instance_uid.len);
	const MDB_val elsewhere = {3, "\x01\x01\x63"}, junk = {2, "\xFF\xFF"}, nine = {1, "\x09"};
	const struct {
		const char *tree;
		MDB_val key;
		const MDB_val *value;
	} damages[] = {
		{"uid", {uw.len, uid}, NULL}, {"uid", {uw.len, uid}, &elsewhere},
		{"uid", {3, "\x45\x45\x45"}, &elsewhere}, /* a UID without a row */
		{"study.uid", {ew.len, end}, NULL}, {"study.uid", {ew.len, end}, &nine},
		{"study", {1, "\x01"}, &junk}, {"study", {1, "\x01"}, NULL},
		{"series", {2, "\x01\x00"}, &junk}, {"series", {2, "\x01\x00"}, NULL},
		{"instance", {3, "\x01\x00\x00"}, &junk}, {"instance", {3, "\x01\x00\x00"}, NULL},
		{"instance", {3, "\x70\x00\x00"}, &junk}, /* of a study that is not there */
		{"patient", {1, "\x01"}, NULL}, {"patient", {1, "\x01"}, &junk},
		{"arrival", {1, "\x28"}, NULL}, {"arrival", {1, "\x28"}, &nine},
		{"arrival", {1, "\x0B"}, &nine}, /* of a study that is not there */
	};
	for (size_t i = 0; i < SL_ARRAY_N(damages); i++) {
		struct sl_index_report report;
		struct tmpdir own;
		assert_true(tmpdir_make(&own));
		struct sl_index *ix = open_at(own.path, SL_MIB, SL_OK);
		assert_int_equal(try_range(ix, 0, 60, 10, NULL), SL_OK);
		check_sound(ix);
		sl_index_close(ix);
		tamper(own.path, damages[i].tree, damages[i].key, damages[i].value);
		ix = open_at(own.path, SL_MIB, SL_OK);
		assert_int_equal(sl_index_check(ix, &report, NULL), SL_OK);
		if (report.wrong == 0 || report.first[0] == '\0')
			fail_msg("damage %zu (%s) was not seen", i, damages[i].tree);
		sl_index_close(ix);
		tmpdir_remove(&own);
	}
	(void)dir;
}

static void damage_met_by_a_call_is_its_answer(void **state)
{
	const struct tmpdir *dir = *state;
	struct sl_record r;
	struct sl_index_reader *rd;
	struct sl_index_instance in;
	struct sl_index_removed gone;
	struct sl_diag diag = {0};
	MDB_val junk = {2, "\xFF\xFF"};
	struct sl_index *ix = open_at(dir->path, SL_MIB, SL_OK);
	assert_int_equal(try_range(ix, 0, 60, 10, NULL), SL_OK);
	sl_index_close(ix);
	tamper(dir->path, "series", (MDB_val){2, "\x01\x00"}, &junk);
	ix = open_at(dir->path, SL_MIB, SL_OK);
	rec_make(&r, 0, 10);
	assert_int_equal(sl_index_open_reader(ix, &rd, NULL), SL_OK);
	assert_int_equal(
		sl_index_locate_instance(rd, &r.sop_instance_uid, &in, &diag), SL_E_CORRUPT);
	assert_non_null(strstr(diag.text, "damaged"));
	assert_int_equal(
		sl_index_remove_instance(ix, &r.sop_instance_uid, 0, &gone, NULL), SL_E_CORRUPT);
	sl_index_close_reader(rd);
	sl_index_close(ix);
}

static void a_file_that_is_no_index_is_named(void **state)
{
	const struct tmpdir *dir = *state;
	char path[300], junk[16384];
	memset(junk, 0x5A, sizeof(junk));
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0 && write(fd, junk, sizeof(junk)) == (ssize_t)sizeof(junk));
	close(fd);
	(void)open_at(dir->path, SL_MIB, SL_E_CORRUPT);
}

/* Killed while the first start writes its first two pages, or the power gone before they were on the disk:
 * nothing was ever committed. */
static void a_first_start_that_was_cut_short_left_no_index(void **state)
{
	static const struct {
		off_t kept, len; /* bytes of the file that are there; zeros up to its length */
	} cuts[] = {{0, 0}, {1, 1}, {2048, 2048}, {4096, 4096}, {8191, 8191}, {0, 8192},
		{4096, 8192}, {0, 65536}, {4096, 65536}};
	const struct tmpdir *dir = *state;
	struct sl_index_lmdb_options options = {
		.path = dir->path, .map_size = 64 * SL_MIB, .readers = 1, .batch_max = 10};
	char path[300];
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	for (size_t i = 0; i < SL_ARRAY_N(cuts); i++) {
		struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
		sl_index_close(ix);
		assert_int_equal(truncate(path, cuts[i].kept), 0);
		assert_int_equal(truncate(path, cuts[i].len), 0);
		options.create = false;
		assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_E_NOTFOUND);
		options.create = true;
		assert_int_equal(sl_index_lmdb_open(&options, &ix, NULL), SL_OK);
		assert_int_equal(try_range(ix, 0, 10, 10, NULL), SL_OK);
		check_sound(ix);
		sl_index_close(ix);
	}
}

/* A copy that was cut short is damage that every call survives, at whatever length. */
static void a_truncated_file_is_no_bus_error(void **state)
{
	const struct tmpdir *dir = *state;
	char path[300];
	struct stat st;
	struct sl_index *ix = open_at(dir->path, 64 * SL_MIB, SL_OK);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(try_range(ix, i * 100, i * 100 + 100, 10, NULL), SL_OK);
	sl_index_close(ix);
	snprintf(path, sizeof(path), "%s/data.mdb", dir->path);
	assert_int_equal(stat(path, &st), 0);
	for (off_t pages = st.st_size / 4096 - 1; pages >= 2; pages -= 1 + pages / 8) {
		const struct sl_index_lmdb_options options = {
			.path = dir->path, .map_size = 64 * SL_MIB, .readers = 1, .batch_max = 1};
		struct sl_index_report report;
		assert_int_equal(truncate(path, pages * 4096), 0);
		enum sl_status s = sl_index_lmdb_open(&options, &ix, NULL);
		if (s != SL_OK)
			assert_true(s == SL_E_CORRUPT || s == SL_E_NOTFOUND);
		else if (sl_index_check(ix, &report, NULL) == SL_OK && pages < 8)
			assert_true(report.wrong > 0);
		sl_index_close(s == SL_OK ? ix : NULL);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_index_is_made_only_when_asked),
		TEST(rows_are_there_after_reopening),
		TEST(a_write_that_came_out_short_is_a_full_disk),
		TEST(a_second_process_is_refused),
		TEST(unsafe_file_systems_are_known_by_type),
		TEST(unreasonable_options_are_refused),
		TEST(a_newer_schema_is_refused_by_name),
		TEST(an_index_of_an_older_schema_is_upgraded),
		TEST(a_lost_and_a_strange_key_are_found),
		TEST(the_recount_sees_damaged_rows),
		TEST(damage_met_by_a_call_is_its_answer),
		TEST(a_file_that_is_no_index_is_named),
		TEST(a_first_start_that_was_cut_short_left_no_index),
		TEST(a_truncated_file_is_no_bus_error),
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
