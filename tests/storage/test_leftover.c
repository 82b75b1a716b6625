/* A crash with more in the spool than the index has room for: the node starts, keeps what it promised,
 * refuses what is new, and heals when room is made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <sys/wait.h>

enum { OBJECTS = 600 };

static uint8_t bytes[8192];

/* Object `no`, of a study and a patient of its own, with much to index. */
static size_t make(int no, int version, char uid[32], char study[32])
{
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	char text[80];
	snprintf(uid, 32, "1.9.7.%d", no);
	snprintf(study, 32, "1.9.8.%d", no);
	rig_elem(&w, 0x00080016, "UI", RIG_CT);
	rig_elem(&w, 0x00080018, "UI", uid);
	rig_elem(&w, 0x00080020, "DA", "20260101");
	snprintf(text, sizeof(text), "ACC%d", no);
	rig_elem(&w, 0x00080050, "SH", text);
	rig_elem(&w, 0x00080060, "CS", "CT");
	snprintf(text, sizeof(text), "%060d", no);
	rig_elem(&w, 0x00081030, "LO", text);
	rig_elem(&w, 0x00100010, "PN", text);
	rig_elem(&w, 0x00100020, "LO", text);
	rig_elem(&w, 0x0020000D, "UI", study);
	snprintf(text, sizeof(text), "1.9.8.%d.1", no);
	rig_elem(&w, 0x0020000E, "UI", text);
	snprintf(text, sizeof(text), "%d", version);
	rig_elem(&w, 0x00200013, "IS", text);
	return w.len;
}

static enum sl_verdict store(struct rig *r, int no, int version)
{
	static struct rig_object x; /* large */
	char uid[32], study[32];
	size_t n = make(no, version, uid, study);
	rig_begin(r, &x, RIG_CT, uid, RIG_ELE);
	rig_send(r, &x, bytes, n, RIG_SLAB);
	rig_wait(r, &x);
	return x.o.result.verdict;
}

static struct sl_index_snapshot snapshot(struct rig *r)
{
	struct sl_index_snapshot snap;
	sl_index_snapshot(r->storage.index, &snap);
	return snap;
}

/* In a child that dies: objects that were acknowledged and of which the index knows nothing. */
static void die_with_a_full_spool(struct rig *r)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		r->conf.indexer.max_delay_ms = 1000000;
		r->conf.names_ahead = 64;
		r->conf.indexer.batch = SL_INDEXER_BATCH_MAX;
		rig_open_storage(r);
		for (int i = 0; i < OBJECTS; i++)
			if (store(r, i, 0) != SL_VERDICT_STORED)
				_exit(1);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void wait_for_the_queue(struct rig *r)
{
	while (sl_pending_stats(r->storage.pending).used > 0)
		usleep(1000);
}

static void check_all(struct rig *r, uint64_t versions)
{
	struct sl_index_report report;
	struct sl_diag d = {0};
	assert_int_equal(snapshot(r).usage.versions, versions);
	assert_int_equal(snapshot(r).reserved, 0);
	assert_int_equal(sl_index_check(r->storage.index, &report, &d), SL_OK);
	assert_int_equal(report.wrong, 0);
	assert_int_equal(sl_pending_stats(r->storage.pending).used, 0);
}

/* The map is too small: what fits is in, the rest waits; the evictor's way out still works. */
static void a_full_index_at_the_start_is_served_and_heals(void **state)
{
	struct rig *r = *state;
	r->conf.map_size = SL_MIB;
	rig_open_storage(r);
	uint64_t in = r->storage.recovered.indexed, left = r->storage.recovered.left;
	assert_int_equal(r->storage.recovered.found, OBJECTS);
	assert_true(in > 50 && left > 50);
	assert_int_equal(in + left, OBJECTS);
	assert_int_equal(snapshot(r).usage.versions, in);
	assert_int_equal(snapshot(r).reserved, left);
	assert_int_equal(sl_pending_stats(r->storage.pending).durable, left);
	/* What is new is refused, what is there again is known. */
	assert_int_equal(store(r, OBJECTS, 0), SL_VERDICT_INDEX_FULL);
	/* Room is made by order, and what is left gets in by and by. */
	int gone = 0;
	for (; sl_pending_stats(r->storage.pending).durable > left - 5; gone++) {
		char uid[32], study[32];
		struct sl_index_removed removed;
		assert_true(gone < (int)in);
		(void)make(gone, 0, uid, study);
		struct sl_uid which = sl_uid_of(study);
		assert_int_equal(sl_evict_study(r->storage.evict, &which, &removed), SL_OK);
	}
	sl_storage_close(&r->storage);
	/* A larger map: the rest. */
	r->conf.map_size = SL_GIB;
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.left, 0);
	check_all(r, OBJECTS - (uint64_t)gone);
	assert_int_equal(store(r, OBJECTS, 0), SL_VERDICT_STORED);
	wait_for_the_queue(r);
	check_all(r, OBJECTS - (uint64_t)gone + 1);
}

/* They are what pending objects are: found by who asks, and still there after a stop. */
static void what_is_left_is_pending(void **state)
{
	struct rig *r = *state;
	struct sl_record found;
	char uid[32], study[32];
	r->conf.map_size = SL_MIB;
	rig_open_storage(r);
	uint64_t left = r->storage.recovered.left;
	(void)make(OBJECTS - 1, 0, uid, study);
	struct sl_uid last = sl_uid_of(uid);
	assert_int_equal(sl_pending_lookup(r->storage.pending, &last, &found), SL_OK);
	assert_int_equal(
		sl_water_now(r->storage.water).kept >= snapshot(r).usage.bytes + left * 100, true);
	sl_storage_close(&r->storage);
	/* Nothing of them was lost by the stop. */
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.left, left);
	sl_storage_close(&r->storage);
	r->conf.map_size = SL_GIB;
	rig_open_storage(r);
	check_all(r, OBJECTS);
}

static int open_rig(void **state)
{
	struct rig *r = malloc(sizeof(*r));
	rig_open(r);
	sl_storage_close(&r->storage);
	r->conf.is_durable = r->conf.ingest.is_durable = false; /* it dies, the machine does not */
	die_with_a_full_spool(r);
	r->conf.indexer.max_delay_ms = 0;
	*state = r;
	return 0;
}

static int close_rig(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_index_at_the_start_is_served_and_heals),
		TEST(what_is_left_is_pending),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
