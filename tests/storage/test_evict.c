/* The evictor on a real storage: which studies go, which never do, what is left after a crash at each
 * step. The disk's own marks are out of the way here; a quota is what fills.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/evict_rig.h"

/* ---- which studies ------------------------------------------------------------------------------ */

static void the_study_whose_last_object_came_longest_ago_goes_first(void **state)
{
	struct rig *r = *state;
	hold(r);
	store_well(r, 'A', 0);
	store_well(r, 'B', 0);
	store_well(r, 'C', 0);
	store_well(r, 'D', 0);
	store_well(r, 'A', 1); /* A began first, but its last one came after theirs */
	for (int i = 0; i < 12; i++)
		store_well(r, (char)('E' + i), 0); /* 17 of 20 objects: past `high` */
	let_go(r, 0);
	wait_for_gone(r, 3);
	assert_false(has_study(r, 'B'));
	assert_false(has_study(r, 'C'));
	assert_false(has_study(r, 'D'));
	assert_true(has_study(r, 'A'));
	assert_true(has_study(r, 'P'));
	struct sl_water_now now = sl_water_now(r->storage.water);
	assert_true(now.kept <= QUOTA / 100 * 75 && now.kept > QUOTA / 100 * 65); /* `low` */
	struct sl_evict_stats stats = sl_evict_stats(r->storage.evict);
	assert_int_equal(stats.studies, 3);
	assert_int_equal(stats.instances, stats.studies);
	check_sound(r);
}

static void nothing_goes_below_high(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 16; i++)
		store_well(r, (char)('A' + i), 0); /* 80 %, between low and high */
	sl_evict_wake(r->storage.evict);
	reopen(r);
	for (int i = 0; i < 16; i++)
		assert_true(has_study(r, (char)('A' + i)));
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, 0);
}

static void ten_times_the_quota_is_stored_and_never_refused(void **state)
{
	struct rig *r = *state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(store(r, (char)('A' + i % 26), i), SL_VERDICT_STORED);
		assert_true(sl_water_now(r->storage.water).kept <= QUOTA / 100 * 95);
	}
	wait_for_rest(r);
	assert_int_equal(sl_water_now(r->storage.water).refusals, 0);
	check_sound(r);
}

static void what_is_younger_than_evict_min_age_never_goes(void **state)
{
	struct rig *r = *state;
	hold(r);
	for (int i = 0; i < 4; i++)
		store_well(r, (char)('A' + i), 0);
	atomic_fetch_add(&rig_wall_ms, 60000);
	for (int i = 0; i < 14; i++)
		store_well(r, (char)('a' + i), 0); /* 18 of 20: needs four to go */
	let_go(r, 60000);
	wait_for_gone(r, 4);
	for (int i = 0; i < 4; i++)
		assert_false(has_study(r, (char)('A' + i)));
	/* What follows can only push young ones out: refused at full instead. */
	enum sl_verdict v = SL_VERDICT_STORED;
	int stored = 0;
	for (; stored < 30 && v == SL_VERDICT_STORED; stored++)
		v = store(r, (char)('p' + stored), 0);
	assert_int_equal(v, SL_VERDICT_DISK_FULL);
	assert_string_equal(sl_evict_stats(r->storage.evict).stuck, "evict_min_age");
	for (int i = 0; i < 14; i++)
		assert_true(has_study(r, (char)('a' + i)));
	/* A clock set back makes them no older. */
	atomic_fetch_sub(&rig_wall_ms, 600000);
	sl_evict_wake(r->storage.evict);
	assert_int_equal(store(r, 'Z', 0), SL_VERDICT_DISK_FULL);
	/* When they are of age it goes on by itself. */
	atomic_fetch_add(&rig_wall_ms, 660000);
	wait_for_rest(r);
	while (sl_evict_stats(r->storage.evict).stuck != NULL)
		usleep(1000);
	wait_for_rest(r);
	assert_false(has_study(r, 'a'));
	store_well(r, 'Z', 0);
	atomic_store(&rig_wall_ms, 1700000000000);
}

static void a_study_that_is_being_received_stays(void **state)
{
	static struct rig_object open; /* large */
	struct rig *r = *state;
	char uid[32];
	store_well(r, 'A', 0);
	store_well(r, 'B', 0);
	/* The first part of another object of A is in, its last one is not. */
	size_t n = make('A', 1, uid);
	rig_begin(r, &open, RIG_CT, uid, RIG_ELE);
	struct sl_part *p = rig_part(r, bytes, 40000);
	open.in_flight++;
	sl_ingest_append(&open.o, p);
	pthread_mutex_lock(&r->lock);
	while (open.in_flight > 0)
		pthread_cond_wait(&r->news, &r->lock);
	pthread_mutex_unlock(&r->lock);
	static uint8_t rest[256 * 1024];
	memcpy(rest, bytes + 40000, n - 40000);
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A');
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_E_BUSY);
	for (int i = 0; i < 16; i++)
		store_well(r, (char)('C' + i), 0);
	wait_for_rest(r);
	assert_true(has_study(r, 'A'));
	assert_false(has_study(r, 'B'));
	rig_send(r, &open, rest, n - 40000, RIG_SLAB);
	rig_wait(r, &open);
	assert_int_equal(open.o.result.verdict, SL_VERDICT_STORED);
}

static void no_more_is_evicted_where_it_does_not_help(void **state)
{
	struct rig *r = *state;
	sl_storage_close(&r->storage);
	/* The disk is past its marks, and what we keep is nothing beside it. */
	r->conf.water = (struct sl_water_conf){.low = {.share = 0.001},
		.high = {.share = 0.002},
		.full = {.share = 0.003},
		.reserve_step = SL_MIB,
		.reserve_max = UINT64_C(1) << 50};
	r->conf.evict.is_on = false; /* to be able to store at all */
	rig_open_storage(r);
	assert_int_equal(store(r, 'A', 0), SL_VERDICT_DISK_FULL);
	r->conf.water.full.share = 99.9;
	reopen(r);
	store_well(r, 'A', 0);
	r->conf.evict.is_on = true;
	r->conf.evict.keep_percent = 10;
	reopen(r);
	while (sl_evict_stats(r->storage.evict).stuck == NULL)
		usleep(1000);
	assert_string_equal(sl_evict_stats(r->storage.evict).stuck, "evict_keep");
	assert_true(has_study(r, 'A'));
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, 0);
}

/* ---- by order ----------------------------------------------------------------------------------- */

static void a_study_is_deleted_by_order_and_may_come_again(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A'), b = study_uid('B');
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_OK);
	assert_int_equal(removed.instances, 2);
	assert_false(has_study(r, 'A'));
	assert_int_equal(sl_evict_study(r->storage.evict, &a, &removed), SL_E_NOTFOUND);
	assert_int_equal(sl_evict_study(r->storage.evict, &b, &removed), SL_E_NOTFOUND);
	wait_for_empty_trash(r);
	assert_int_equal(sl_water_now(r->storage.water).kept, 0);
	store_well(r, 'A', 0);
	assert_true(has_study(r, 'A'));
	assert_int_equal(sl_evict_stats(r->storage.evict).deleted, 2);
	assert_int_equal(sl_evict_stats(r->storage.evict).studies, 0);
	reopen(r);
	assert_true(has_study(r, 'A'));
	check_sound(r);
}

static void an_instance_is_deleted_by_order(void **state)
{
	struct rig *r = *state;
	struct sl_index_removed removed;
	char uid[32];
	(void)make('A', 0, uid);
	struct sl_uid first = sl_uid_of(uid);
	(void)make('A', 1, uid);
	struct sl_uid second = sl_uid_of(uid);
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	assert_int_equal(sl_evict_instance(r->storage.evict, &first, &removed), SL_OK);
	assert_int_equal(removed.instances, 1);
	assert_true(has_study(r, 'A'));
	assert_int_equal(sl_evict_instance(r->storage.evict, &first, &removed), SL_E_NOTFOUND);
	assert_int_equal(sl_evict_instance(r->storage.evict, &second, &removed), SL_OK);
	assert_false(has_study(r, 'A')); /* its folders went with the last */
	wait_for_empty_trash(r);
	check_sound(r);
}

/* ---- crashes ------------------------------------------------------------------------------------ */

/* What a crash after each step of a removal leaves, made by hand with the node stopped; then the
 * recovery. */
enum crash { AFTER_ROWS_OUT, AFTER_RENAME, AFTER_TOMBSTONE_OUT, CRASH_N };

static void crash_in_removal(struct rig *r, enum crash at)
{
	struct sl_diag d = {0};
	struct sl_index *ix;
	struct sl_index_removed removed;
	struct sl_uid a = study_uid('A');
	const uint64_t seq = 1000;
	const struct sl_index_lmdb_options options = {.path = r->storage.root.index_path,
		.map_size = SL_GIB,
		.readers = 4,
		.batch_max = 16};
	char path[SL_ROOT_PATH_MAX];
	snprintf(path, sizeof(path), "%s", r->storage.root.index_path);
	const struct sl_root_opts opts = {.is_durable = true, .env = &rig_env};
	struct sl_root root;
	sl_storage_close(&r->storage);
	assert_int_equal(sl_root_open(r->folder, &opts, &root, &d), SL_OK);
	struct sl_index_lmdb_options own = options;
	own.path = path;
	assert_int_equal(sl_index_lmdb_open(&own, &ix, &d), SL_OK);
	assert_int_equal(sl_index_remove_study(ix, &a, seq, &removed, &d), SL_OK);
	const struct sl_index_tombstone tomb = {
		.seq = seq, .kind = SL_INDEX_TOMB_STUDY, .study_instance_uid = a};
	if (at >= AFTER_RENAME)
		assert_int_equal(sl_trash_move(&root, &tomb, 1, &d), SL_OK);
	if (at >= AFTER_TOMBSTONE_OUT)
		assert_int_equal(sl_index_drop_tombstone(ix, seq, &d), SL_OK);
	sl_index_close(ix);
	sl_root_close(&root);
}

static void a_crash_at_any_step_leaves_the_study_gone(void **state)
{
	struct rig *r = *state;
	for (enum crash at = AFTER_ROWS_OUT; at < CRASH_N; at++) {
		store_well(r, 'A', 2 * (int)at);
		store_well(r, 'B', (int)at);
		crash_in_removal(r, at);
		rig_open_storage(r);
		assert_int_equal(r->storage.recovered.tombstones, at < AFTER_TOMBSTONE_OUT);
		assert_false(has_study(r, 'A'));
		assert_true(has_study(r, 'B'));
		assert_true(r->storage.recovered.next_seq > 1000);
		wait_for_empty_trash(r);
		check_sound(r);
		reopen(r); /* once more changes nothing */
		assert_int_equal(r->storage.recovered.tombstones, 0);
		store_well(r, 'A', 2 * (int)at + 1);
		assert_true(has_study(r, 'A'));
	}
}

static void find_instance(struct rig *r, const char *instance, struct sl_index_instance *row)
{
	struct sl_index_reader *rd;
	struct sl_uid uid = sl_uid_of(instance);
	assert_int_equal(sl_index_open_reader(r->storage.index, &rd, NULL), SL_OK);
	assert_int_equal(sl_index_locate_instance(rd, &uid, row, NULL), SL_OK);
	sl_index_close_reader(rd);
}

/* An object of the study that is durable in the spool, and came after the rows went, stays: the
 * tombstone is finished before it is moved. (Its spool name is made anew from the archive's.) */
static void what_came_after_a_removal_survives_the_recovery(void **state)
{
	struct rig *r = *state;
	struct sl_index_instance row;
	struct sl_path from, to;
	struct stat sb;
	char uid[32];
	store_well(r, 'A', 0);
	store_well(r, 'A', 1);
	(void)make('A', 1, uid);
	find_instance(r, uid, &row);
	sl_path_instance(
		&from, &row.study_instance_uid, &row.series_instance_uid, &row.sop_instance_uid, 0);
	sl_path_spool(&to, row.seq);
	assert_int_equal(
		linkat(r->storage.root.archive_fd, from.s, r->storage.root.spool_fd, to.s, 0), 0);
	crash_in_removal(r, AFTER_ROWS_OUT);
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.tombstones, 1);
	assert_int_equal(r->storage.recovered.indexed, 1);
	assert_true(has_study(r, 'A'));
	assert_int_equal(fstatat(r->storage.root.archive_fd, from.s, &sb, 0), 0);
	wait_for_empty_trash(r);
	struct sl_index_snapshot snap;
	sl_index_snapshot(r->storage.index, &snap);
	assert_int_equal(snap.usage.instances, 1);
	check_sound(r);
}

/* What is left in trash/ counts as kept until it is unlinked, and its number is not given again. */
static void a_leftover_in_the_trash_is_unlinked_after_the_start(void **state)
{
	struct rig *r = *state;
	char command[256];
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command),
		"d=%s/trash/00000000000fffff && mkdir -p $d/1.2 && head -c 5000 /dev/zero "
		">$d/1.2/x",
		r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	wait_for_empty_trash(r);
	assert_int_equal(sl_water_now(r->storage.water).kept, 0);
	assert_int_equal(sl_trash_stats(r->storage.trash).freed_bytes, 5000);
	assert_true(sl_ingest_next_seq(r->storage.ingest) > 0xfffff);
}

/* ---- all ---------------------------------------------------------------------------------------- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_study_whose_last_object_came_longest_ago_goes_first),
		TEST(nothing_goes_below_high),
		TEST(ten_times_the_quota_is_stored_and_never_refused),
		TEST(what_is_younger_than_evict_min_age_never_goes),
		TEST(a_study_that_is_being_received_stays),
		TEST(no_more_is_evicted_where_it_does_not_help),
		TEST(a_study_is_deleted_by_order_and_may_come_again),
		TEST(an_instance_is_deleted_by_order),
		TEST(a_crash_at_any_step_leaves_the_study_gone),
		TEST(what_came_after_a_removal_survives_the_recovery),
		TEST(a_leftover_in_the_trash_is_unlinked_after_the_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
