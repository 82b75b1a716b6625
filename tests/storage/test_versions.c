/* Versions on a real storage: other bytes under a known UID are kept beside what is there, the right one
 * is current, and the files alone say so. FAULTS F24.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

enum { N = 8, SIZE = 40000 };

static uint8_t bytes[N][SIZE + 2000], back[SIZE + 2000];
static const char uid[] = "1.2.3.9";

/* Version i of the object: same UIDs, other pixels. */
static size_t make(int i)
{
	return rig_dataset(bytes[i], sizeof(bytes[i]), RIG_CT, uid, SIZE, (uint8_t)(i + 1));
}

static struct sl_result store_as(struct rig *r, const char *ts, const void *data, size_t n)
{
	static struct rig_object x; /* large */
	rig_begin(r, &x, RIG_CT, uid, ts);
	rig_send(r, &x, data, n, RIG_SLAB / 2);
	rig_wait(r, &x);
	assert_int_equal(sl_slab_pool_stats(&r->pool).used, 0);
	return x.o.result;
}

static void expect(struct rig *r, int i, enum sl_verdict verdict, enum sl_dup dup)
{
	struct sl_result result = store_as(r, RIG_ELE, bytes[i], make(i));
	assert_string_equal(sl_verdicts[result.verdict].why, sl_verdicts[verdict].why);
	assert_int_equal(result.verdict, verdict);
	assert_int_equal(result.dup, dup);
}

/* All versions as the index lists them, in order of seq. */
static size_t list(struct rig *r, struct sl_index_instance out[N + 1])
{
	struct sl_index_reader *reader;
	struct sl_diag d = {0};
	struct sl_uid u = sl_uid_of(uid);
	uint64_t after = 0;
	size_t n = N + 1;
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	assert_int_equal(sl_index_open_reader(r->storage.index, &reader, &d), SL_OK);
	assert_int_equal(sl_index_list_versions(reader, &u, &after, out, &n, &d), SL_OK);
	sl_index_close_reader(reader);
	return n;
}

/* The file of a version holds what was sent as version i. */
static void assert_bytes(struct rig *r, const struct sl_index_instance *row, int i)
{
	struct sl_store_reader reader;
	struct sl_diag d = {0};
	size_t got = 0, n = make(i);
	const struct sl_locator at = {.study_instance_uid = row->study_instance_uid,
		.series_instance_uid = row->series_instance_uid,
		.sop_instance_uid = row->sop_instance_uid,
		.seq = row->seq,
		.has_plain_name = (row->flags & SL_RECORD_PLAIN_NAME) != 0};
	const struct sl_store_ops *ops = r->storage.store->ops;
	assert_int_equal(ops->open(r->storage.store, &reader, &at, &d), SL_OK);
	assert_int_equal(ops->read(&reader, 0, back, sizeof(back), &got, &d), SL_OK);
	ops->close(&reader);
	assert_int_equal(got, n);
	assert_memory_equal(back, bytes[i], n);
}

/* The versions are `n`, of bytes 0 .. n-1 in this order, and `current` of them is. */
static void assert_versions(struct rig *r, size_t n, size_t current)
{
	struct sl_index_instance rows[N + 1];
	assert_int_equal(list(r, rows), n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rows[i].is_current, i == current);
		assert_int_equal((rows[i].flags & SL_RECORD_PLAIN_NAME) != 0, i == 0);
		assert_bytes(r, &rows[i], (int)i);
	}
}

static int open_rig(void **state)
{
	static struct rig r;
	rig_open(&r);
	*state = &r;
	return 0;
}

static int close_rig(void **state)
{
	rig_close(*state);
	return 0;
}

static void F24_latest_keeps_every_version_and_the_newest_is_current(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_LATEST;
	expect(r, 0, SL_VERDICT_STORED, SL_DUP_NONE);
	expect(r, 1, SL_VERDICT_STORED, SL_DUP_CHANGED);
	expect(r, 2, SL_VERDICT_STORED, SL_DUP_CHANGED);
	assert_versions(r, 3, 2);
}

static void F24_first_keeps_every_version_and_the_first_stays_current(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_FIRST;
	expect(r, 0, SL_VERDICT_STORED, SL_DUP_NONE);
	expect(r, 1, SL_VERDICT_STORED, SL_DUP_CHANGED);
	expect(r, 2, SL_VERDICT_STORED, SL_DUP_CHANGED);
	assert_versions(r, 3, 0);
}

/* Peers differ: what took over before stays, what did not never does. */
static void F24_the_policy_is_the_one_of_each_arrival(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_LATEST;
	expect(r, 0, SL_VERDICT_STORED, SL_DUP_NONE);
	expect(r, 1, SL_VERDICT_STORED, SL_DUP_CHANGED);
	r->duplicates = SL_DUP_FIRST;
	expect(r, 2, SL_VERDICT_STORED, SL_DUP_CHANGED);
	r->duplicates = SL_DUP_REFUSE;
	expect(r, 3, SL_VERDICT_DUPLICATE, SL_DUP_CHANGED);
	assert_versions(r, 3, 1);
	r->duplicates = SL_DUP_LATEST;
	expect(r, 3, SL_VERDICT_STORED, SL_DUP_CHANGED);
	assert_versions(r, 4, 3);
}

static void F24_bytes_of_any_version_are_not_written_again(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_LATEST;
	for (int i = 0; i < 3; i++)
		expect(r, i, SL_VERDICT_STORED, i == 0 ? SL_DUP_NONE : SL_DUP_CHANGED);
	for (int policy = SL_DUP_REFUSE; policy <= SL_DUP_FIRST; policy++) {
		r->duplicates = (enum sl_duplicates)policy;
		for (int i = 0; i < 3; i++)
			expect(r, i, SL_VERDICT_IDENTICAL, SL_DUP_IDENTICAL);
	}
	assert_versions(r, 3, 2);
}

static void F24_another_transfer_syntax_is_a_version(void **state)
{
	struct rig *r = *state;
	struct sl_index_instance rows[N + 1];
	r->duplicates = SL_DUP_LATEST;
	expect(r, 0, SL_VERDICT_STORED, SL_DUP_NONE);
	struct sl_result result = store_as(r, "1.2.840.10008.1.2.4.70", bytes[0], make(0));
	assert_int_equal(result.verdict, SL_VERDICT_STORED);
	assert_int_equal(result.dup, SL_DUP_RECODED);
	assert_int_equal(list(r, rows), 2);
	assert_true(rows[1].is_current);
	assert_string_equal(rows[1].transfer_syntax_uid.s, "1.2.840.10008.1.2.4.70");
}

/* Identity is the SOP Instance UID alone: each version lies in the study that it names. */
static void F24_a_version_may_be_of_another_study(void **state)
{
	struct rig *r = *state;
	struct sl_index_instance rows[N + 1];
	struct sl_index_snapshot snap;
	r->duplicates = SL_DUP_LATEST;
	expect(r, 0, SL_VERDICT_STORED, SL_DUP_NONE);
	size_t n = make(0);
	uint8_t *study = memmem(bytes[0], n, "\x20\0\x0D\0UI\x08\0", 8);
	assert_non_null(study);
	study[8] = '2'; /* 2.2.3.4 */
	struct sl_result result = store_as(r, RIG_ELE, bytes[0], n);
	assert_int_equal(result.verdict, SL_VERDICT_STORED);
	assert_int_equal(result.dup, SL_DUP_CHANGED);
	assert_int_equal(list(r, rows), 2);
	assert_string_equal(rows[0].study_instance_uid.s, "1.2.3.4");
	assert_string_equal(rows[1].study_instance_uid.s, "2.2.3.4");
	assert_true(!rows[0].is_current && rows[1].is_current);
	sl_index_snapshot(r->storage.index, &snap);
	assert_true(
		snap.usage.instances == 1 && snap.usage.versions == 2 && snap.usage.studies == 2);
}

/* Sent without waiting: decided in the order of their last parts, each after the one before it is
 * settled. The last of them is current. `free_slabs` buffers are left to them. */
static void send_all(struct rig *r, size_t free_slabs)
{
	static struct rig_object x[N];
	struct sl_slab *taken[RIG_SLABS];
	for (size_t i = 0; i < RIG_SLABS - free_slabs; i++)
		taken[i] = sl_slab_get(&r->pool);
	for (int i = 0; i < N; i++) {
		size_t n = make(i);
		rig_begin(r, &x[i], RIG_CT, uid, RIG_ELE);
		rig_send(r, &x[i], bytes[i], n, RIG_SLAB);
	}
	for (int i = 0; i < N; i++) {
		rig_wait(r, &x[i]);
		assert_int_equal(x[i].o.result.verdict, SL_VERDICT_STORED);
		assert_int_equal(x[i].o.result.dup, i == 0 ? SL_DUP_NONE : SL_DUP_CHANGED);
	}
	for (size_t i = 0; i < RIG_SLABS - free_slabs; i++)
		sl_slab_put(taken[i]);
}

static void F24_versions_at_once_are_decided_in_their_order(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_LATEST;
	send_all(r, RIG_SLABS);
	assert_versions(r, N, N - 1);
}

/* Who waits for an earlier version gives its buffer back: one is enough for all. */
static void F24_versions_wait_without_a_buffer(void **state)
{
	struct rig *r = *state;
	r->duplicates = SL_DUP_LATEST;
	send_all(r, 1);
	assert_versions(r, N, N - 1);
}

/* No version comes forward when the object is deleted: all go. */
static void F24_a_deletion_takes_every_version(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	struct sl_index_snapshot snap;
	struct sl_uid u = sl_uid_of(uid);
	enum sl_status st;
	r->duplicates = SL_DUP_LATEST;
	for (int i = 0; i < 3; i++)
		expect(r, i, SL_VERDICT_STORED, i == 0 ? SL_DUP_NONE : SL_DUP_CHANGED);
	while ((st = sl_evict_instance(r->storage.evict, &u, &removed)) == SL_E_BUSY)
		usleep(1000); /* the last one is being moved */
	assert_int_equal(st, SL_OK);
	assert_true(removed.instances == 1 && removed.versions == 3 && removed.study_gone);
	sl_index_snapshot(r->storage.index, &snap);
	assert_true(snap.usage.instances == 0 && snap.usage.versions == 0 && snap.usage.bytes == 0);
	assert_int_equal(sl_evict_instance(r->storage.evict, &u, &removed), SL_E_NOTFOUND);
	expect(r, 1, SL_VERDICT_STORED, SL_DUP_NONE); /* comes again as a first one */
}

/* Rebuilt from the files, and recovered from a spool: the same rows. */
static void F24_the_files_alone_say_which_is_current(void **state)
{
	struct rig *r = *state;
	struct sl_index_instance before[N + 1], after[N + 1];
	char command[256];
	for (int i = 0; i < 6; i++) {
		r->duplicates = i < 4 ? SL_DUP_LATEST : SL_DUP_FIRST;
		expect(r, i, SL_VERDICT_STORED, i == 0 ? SL_DUP_NONE : SL_DUP_CHANGED);
	}
	assert_versions(r, 6, 3);
	assert_int_equal(list(r, before), 6);
	for (int round = 0; round < 2; round++) {
		sl_storage_close(&r->storage);
		snprintf(command, sizeof(command), "cd %s && rm -rf index", r->folder);
		assert_int_equal(system(command), 0);
		if (round == 1) { /* as if nothing had been moved yet */
			snprintf(command, sizeof(command),
				"cd %s/spool && for f in $(find ../archive -name '*~*'); do "
				"s=${f##*~}; mv $f $s; done",
				r->folder);
			assert_int_equal(system(command), 0);
		}
		rig_open_storage(r);
		assert_versions(r, 6, 3);
		assert_int_equal(list(r, after), 6);
		for (size_t i = 0; i < 6; i++)
			assert_true(
				before[i].seq == after[i].seq && before[i].flags == after[i].flags);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(F24_latest_keeps_every_version_and_the_newest_is_current),
		TEST(F24_first_keeps_every_version_and_the_first_stays_current),
		TEST(F24_the_policy_is_the_one_of_each_arrival),
		TEST(F24_bytes_of_any_version_are_not_written_again),
		TEST(F24_another_transfer_syntax_is_a_version),
		TEST(F24_a_version_may_be_of_another_study),
		TEST(F24_versions_at_once_are_decided_in_their_order),
		TEST(F24_versions_wait_without_a_buffer),
		TEST(F24_a_deletion_takes_every_version),
		TEST(F24_the_files_alone_say_which_is_current),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
