/* Ingest where something stands in the way: a rival whose file is gone, room that must be waited for, a data
 * set that shows what it is only when it is inflated.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <sched.h>
#include <zlib.h>

#define DEFLATED "1.2.840.10008.1.2.1.99"
#define QUOTA    (8 * SL_MIB)

static uint8_t bytes[256 * 1024], packed[256 * 1024];
static atomic_uint_fast64_t later_ns; /* than the clock says */

static uint64_t late_now(void *arg)
{
	return rig_now(arg) + atomic_load(&later_ns);
}

static const struct sl_env late_env = {late_now, rig_wall, rig_random, NULL};

static int setup(void **state)
{
	static struct rig r;
	const struct sl_storage_news news = {0};
	struct sl_diag d = {0};
	rig_open(&r);
	sl_storage_close(&r.storage);
	r.conf.water.quota = QUOTA;
	atomic_store(&later_ns, 0);
	assert_int_equal(sl_storage_open(&r.storage, &r.conf, &news, &late_env, &d), SL_OK);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	assert_int_equal(sl_slab_pool_stats(&r->pool).used, 0);
	assert_int_equal(sl_water_now(r->storage.water).reserved, 0);
	rig_close(r);
	return 0;
}

static enum sl_verdict store(struct rig *r, const char *instance, const char *ts, const void *data,
	size_t n, size_t piece)
{
	static struct rig_object x; /* large */
	rig_begin(r, &x, RIG_CT, instance, ts);
	rig_send(r, &x, data, n, piece);
	rig_wait(r, &x);
	assert_int_equal(x.in_flight, 0);
	return x.o.result.verdict;
}

/* ---- rivals -------------------------------------------------------------------------------------- */

/* With a row and without its bytes nobody can say whether it is the same; and the answer comes. */
static void a_rival_that_cannot_be_read_is_named(void **state)
{
	static const char *const harm[] = {"truncate -s 100", "rm -f"};
	struct rig *r = *state;
	char command[200];
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.4.1", 4000, 1);
	assert_int_equal(store(r, "1.4.1", RIG_ELE, bytes, n, RIG_SLAB), SL_VERDICT_STORED);
	while (sl_pending_stats(r->storage.pending).durable > 0)
		sched_yield(); /* until it is in the archive */
	for (size_t i = 0; i < SL_ARRAY_N(harm); i++) {
		snprintf(command, sizeof(command), "%s %s/archive/*/*/*/1.4.1.dcm", harm[i],
			r->folder);
		assert_int_equal(system(command), 0);
		assert_int_equal(store(r, "1.4.1", RIG_ELE, bytes, n, RIG_SLAB),
			SL_VERDICT_RIVAL_UNREADABLE);
	}
}

/* ---- room ---------------------------------------------------------------------------------------- */

static struct rig_object waiting; /* large */

static void send_part(struct rig *r, const uint8_t *data, size_t n)
{
	struct sl_part *p = rig_part(r, data, n);
	pthread_mutex_lock(&r->lock);
	waiting.in_flight++;
	pthread_mutex_unlock(&r->lock);
	sl_ingest_append(&waiting.o, p);
}

/* Somebody has all the room, and an object whose first parts are in waits for some. Returns the room. */
static uint64_t let_one_wait(struct rig *r, unsigned parts)
{
	const uint64_t taken = QUOTA - QUOTA / 200; /* `high` is passed, `full` is not */
	struct sl_diag d = {0};
	sl_water_set_relief(r->storage.water, true);
	assert_int_equal(sl_water_reserve(r->storage.water, taken, &d), SL_OK);
	rig_begin(r, &waiting, RIG_CT, "1.4.2", RIG_ELE);
	assert_false(sl_ingest_is_failed(&waiting.o));
	for (unsigned i = 0; i < parts; i++)
		send_part(r, bytes + i * 30000, 30000);
	return taken;
}

static bool is_over(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	bool is_done = waiting.is_done;
	pthread_mutex_unlock(&r->lock);
	return is_done;
}

static unsigned in_flight(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	unsigned n = waiting.in_flight;
	pthread_mutex_unlock(&r->lock);
	return n;
}

/* Each look tells who waits. */
static void look_until_over(struct rig *r)
{
	struct sl_diag d = {0};
	while (!is_over(r))
		assert_int_equal(sl_water_look(r->storage.water, &d), SL_OK);
	assert_int_equal(in_flight(r), 0); /* each part came back once */
}

static void who_waits_for_room_goes_on_when_there_is_some(void **state)
{
	struct rig *r = *state;
	struct sl_diag d = {0};
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.4.2", 100000, 1);
	uint64_t taken = let_one_wait(r, 2);
	for (int i = 0; i < 3; i++) /* told, and still without room */
		assert_int_equal(sl_water_look(r->storage.water, &d), SL_OK);
	assert_int_equal(in_flight(r), 2);
	sl_water_settle(r->storage.water, taken, 0);
	while (in_flight(r) > 0)
		assert_int_equal(sl_water_look(r->storage.water, &d), SL_OK);
	rig_send(r, &waiting, bytes + 60000, n - 60000, RIG_SLAB);
	look_until_over(r);
	assert_int_equal(waiting.o.result.verdict, SL_VERDICT_STORED);
}

static void who_is_given_up_while_it_waits_for_room_ends_at_the_next_news(void **state)
{
	struct rig *r = *state;
	(void)rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.4.2", 100000, 1);
	uint64_t taken = let_one_wait(r, 2);
	sl_ingest_abort(&waiting.o);
	look_until_over(r);
	assert_int_equal(waiting.o.result.verdict, SL_VERDICT_CANCELLED);
	assert_int_equal(sl_water_now(r->storage.water).reserved, taken);
	sl_water_settle(r->storage.water, taken, 0);
}

static void who_waits_too_long_for_room_fails(void **state)
{
	struct rig *r = *state;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.4.2", 100000, 1);
	uint64_t taken = let_one_wait(r, 1);
	while (!sl_ingest_is_failed(&waiting.o)) {
		struct sl_diag d = {0};
		atomic_fetch_add(&later_ns, SL_INGEST_PATIENCE_MS * UINT64_C(1000000));
		assert_int_equal(sl_water_look(r->storage.water, &d), SL_OK);
	}
	rig_send(r, &waiting, bytes + 30000, n - 30000, RIG_SLAB);
	look_until_over(r);
	assert_int_equal(waiting.o.result.verdict, SL_VERDICT_DISK_FULL);
	assert_string_equal(waiting.o.result.diag.where, "water/wait");
	sl_water_settle(r->storage.water, taken, 0);
}

/* ---- deflated ------------------------------------------------------------------------------------ */

/* A CT in packed[], with pixels that do not shrink. Returns the length. */
static size_t deflated(const char *instance, size_t pixels)
{
	z_stream z = {0};
	uint32_t random = 1;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, instance, pixels, 0);
	for (size_t i = n - pixels; i < n; i++) {
		random = random * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(random >> 24);
	}
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = bytes;
	z.avail_in = (unsigned)n;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return sizeof(packed) - z.avail_out;
}

static void assert_indexed(struct rig *r, const char *instance, size_t n)
{
	struct sl_index_reader *reader;
	struct sl_index_instance row;
	struct sl_diag d = {0};
	struct sl_uid uid = sl_uid_of(instance);
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	assert_int_equal(sl_index_open_reader(r->storage.index, &reader, &d), SL_OK);
	assert_int_equal(sl_index_locate_instance(reader, &uid, &row, &d), SL_OK);
	sl_index_close_reader(reader);
	assert_int_equal(row.dataset_len, n); /* as it came */
	assert_string_equal(row.study_instance_uid.s, "1.2.3.4");
	assert_string_equal(row.series_instance_uid.s, "1.2.3.4.5");
}

static void a_deflated_object_is_indexed_whatever_its_pieces(void **state)
{
	static const size_t pieces[] = {RIG_SLAB, 50000, 3000};
	static const size_t sizes[] = {1000, 150000};
	struct rig *r = *state;
	char uid[16];
	for (size_t i = 0; i < SL_ARRAY_N(pieces); i++)
		for (size_t k = 0; k < SL_ARRAY_N(sizes); k++) {
			snprintf(uid, sizeof(uid), "1.5.%zu.%zu", i + 1, k + 1);
			size_t n = deflated(uid, sizes[k]);
			assert_int_equal(
				store(r, uid, DEFLATED, packed, n, pieces[i]), SL_VERDICT_STORED);
			assert_indexed(r, uid, n);
		}
}

/* The last part is empty: all of it is in the file when it is looked into. */
static void a_deflated_object_without_a_last_part_is_indexed(void **state)
{
	struct rig *r = *state;
	size_t n = deflated("1.5.1", 1000);
	rig_begin(r, &waiting, RIG_CT, "1.5.1", DEFLATED);
	send_part(r, packed, n);
	sl_ingest_finish(&waiting.o, NULL, 0);
	rig_wait(r, &waiting);
	assert_int_equal(waiting.o.result.verdict, SL_VERDICT_STORED);
	assert_indexed(r, "1.5.1", n);
}

static void what_a_deflated_object_hides_is_found(void **state)
{
	struct rig *r = *state;
	struct sl_ingest_conf conf = r->conf.ingest;
	size_t n = deflated("1.5.1", 150000);
	assert_int_equal(
		store(r, "1.5.77", DEFLATED, packed, n, 50000), SL_VERDICT_INSTANCE_MISMATCH);
	assert_int_equal(store(r, "1.5.1", DEFLATED, packed, 20, 50000), SL_VERDICT_NO_UID);
	assert_int_equal(store(r, "1.5.1", DEFLATED, "no stream", 9, 50000), SL_VERDICT_NO_UID);
	conf.elem.elements = 3;
	sl_ingest_configure(r->storage.ingest, &conf);
	assert_int_equal(store(r, "1.5.1", DEFLATED, packed, n, 50000), SL_VERDICT_TOO_MANY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_rival_that_cannot_be_read_is_named),
		T(who_waits_for_room_goes_on_when_there_is_some),
		T(who_is_given_up_while_it_waits_for_room_ends_at_the_next_news),
		T(who_waits_too_long_for_room_fails),
		T(a_deflated_object_is_indexed_whatever_its_pieces),
		T(a_deflated_object_without_a_last_part_is_indexed),
		T(what_a_deflated_object_hides_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
