/* Ingest on a real storage: what is answered as stored is stored, byte for byte, in file and index;
 * what is refused leaves nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static uint8_t bytes[2 * 1024 * 1024], back[2 * 1024 * 1024];

/* Sends one object and waits; its verdict. */
static enum sl_verdict store_as(struct rig *r, const char *class_uid, const char *instance,
	const void *data, size_t n, size_t piece, struct sl_result *result)
{
	static struct rig_object x; /* large */
	rig_begin(r, &x, class_uid, instance, RIG_ELE);
	rig_send(r, &x, data, n, piece);
	rig_wait(r, &x);
	if (result != NULL)
		*result = x.o.result;
	assert_int_equal(sl_slab_pool_stats(&r->pool).used, 0);
	return x.o.result.verdict;
}

static enum sl_verdict store(struct rig *r, const char *instance, const void *data, size_t n)
{
	return store_as(r, RIG_CT, instance, data, n, RIG_SLAB, NULL);
}

/* Files whose name ends in .dcm below a folder of the root. */
static size_t count_files(struct rig *r, const char *sub)
{
	char command[160];
	size_t n = 0;
	snprintf(
		command, sizeof(command), "find %s/%s -type f 2>/dev/null | wc -l", r->folder, sub);
	FILE *f = popen(command, "r");
	assert_int_equal(fscanf(f, "%zu", &n), 1);
	pclose(f);
	return n;
}

/* The stored data set of an instance equals the bytes sent. */
static void assert_stored(struct rig *r, const char *instance, const void *data, size_t n)
{
	struct sl_index_reader *reader;
	struct sl_index_instance row;
	struct sl_diag d = {0};
	struct sl_uid uid = sl_uid_of(instance);
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	assert_int_equal(sl_index_open_reader(r->storage.index, &reader, &d), SL_OK);
	assert_int_equal(sl_index_locate_instance(reader, &uid, &row, &d), SL_OK);
	sl_index_close_reader(reader);
	assert_int_equal(row.dataset_len, n);
	const struct sl_locator at = {.study_instance_uid = row.study_instance_uid,
		.series_instance_uid = row.series_instance_uid,
		.sop_instance_uid = uid,
		.seq = row.seq,
		.has_plain_name = true};
	struct sl_store_reader file;
	size_t got;
	assert_int_equal(r->storage.store->ops->open(r->storage.store, &file, &at, &d), SL_OK);
	assert_int_equal(
		r->storage.store->ops->read(&file, 0, back, sizeof(back), &got, &d), SL_OK);
	r->storage.store->ops->close(&file);
	assert_int_equal(got, n);
	assert_memory_equal(back, data, n);
}

static void an_object_of_one_part_is_stored(void **state)
{
	struct rig *r = *state;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.1", 20000, 1);
	assert_int_equal(store(r, "1.2.3.1", bytes, n), SL_VERDICT_STORED);
	assert_stored(r, "1.2.3.1", bytes, n);
}

static void a_streamed_object_is_stored(void **state)
{
	struct rig *r = *state;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.2", 1500001, 7);
	assert_int_equal(
		store(r, "1.2.3.2", bytes, n), SL_VERDICT_STORED); /* odd length: tolerated */
	n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.3", 1500000, 7);
	assert_int_equal(store_as(r, RIG_CT, "1.2.3.3", bytes, n, 9999, NULL), SL_VERDICT_STORED);
	assert_stored(r, "1.2.3.3", bytes, n);
}

static void identical_bytes_are_not_written_again(void **state)
{
	struct rig *r = *state;
	struct sl_result result;
	for (size_t size = 1000; size <= 1001000; size += 1000000) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.9.%zu", size);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, size, 3);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_STORED);
		/* Once against the pending table or the index, whichever it is; once surely the index. */
		for (int i = 0; i < 2; i++) {
			assert_int_equal(store_as(r, RIG_CT, uid, bytes, n, RIG_SLAB, &result),
				SL_VERDICT_IDENTICAL);
			assert_int_equal(result.dup, SL_DUP_IDENTICAL);
			assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
		}
	}
	sl_storage_close(&r->storage);
	assert_int_equal(count_files(r, "archive"), 2);
	assert_int_equal(count_files(r, "spool"), 0);
	rig_open_storage(r);
}

static void other_bytes_are_refused_and_the_first_stay(void **state)
{
	struct rig *r = *state;
	struct sl_result result;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.9", 4000, 3);
	assert_int_equal(store(r, "1.2.3.9", bytes, n), SL_VERDICT_STORED);
	bytes[n - 1] ^= 1;
	assert_int_equal(
		store_as(r, RIG_CT, "1.2.3.9", bytes, n, RIG_SLAB, &result), SL_VERDICT_DUPLICATE);
	assert_int_equal(result.dup, SL_DUP_CHANGED);
	assert_int_equal(sl_verdicts[result.verdict].dstat, 0x0111);
	bytes[n - 1] ^= 1;
	assert_stored(r, "1.2.3.9", bytes, n);
}

/* A digest is no proof against a forger: here the file has other bytes than its header says. */
static void bytes_are_compared_and_not_their_digests(void **state)
{
	struct rig *r = *state;
	char command[200];
	for (size_t size = 2000; size <= 1002000; size += 1000000) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.8.%zu", size);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, size, 3);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_STORED);
		sl_storage_close(&r->storage); /* it is in the archive */
		snprintf(command, sizeof(command),
			"cd %s/archive/*/*/* && printf x | dd of=%s.dcm bs=1 conv=notrunc "
			"seek=$(($(stat -c %%s %s.dcm) - 2)) 2>/dev/null",
			r->folder, uid, uid);
		assert_int_equal(system(command), 0);
		rig_open_storage(r);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_DUPLICATE);
	}
}

static void command_and_data_set_must_agree(void **state)
{
	struct rig *r = *state;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.1", 100, 1);
	assert_int_equal(store(r, "1.2.3.77", bytes, n), SL_VERDICT_INSTANCE_MISMATCH);
	assert_int_equal(store_as(r, "1.2.840.10008.5.1.4.1.1.4", "1.2.3.1", bytes, n, 999, NULL),
		SL_VERDICT_CLASS_MISMATCH);
	assert_int_equal(store(r, "1.2.3.1", "", 0), SL_VERDICT_NO_DATA_SET);
	assert_int_equal(store(r, "1.2.3.1", bytes + 34, n - 34), SL_VERDICT_NO_UID);
	sl_storage_close(&r->storage);
	assert_int_equal(count_files(r, "archive") + count_files(r, "spool"), 0);
	rig_open_storage(r);
}

static void unsound_by_policy(void **state)
{
	struct rig *r = *state;
	struct sl_ingest_conf conf = r->conf.ingest;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.5.1", 1000, 1) - 500;
	struct sl_result result;
	conf.unsound = SL_UNSOUND_REFUSE;
	sl_ingest_configure(r->storage.ingest, &conf);
	assert_int_equal(store(r, "1.5.1", bytes, n), SL_VERDICT_UNSOUND);
	conf.unsound = SL_UNSOUND_WARN;
	sl_ingest_configure(r->storage.ingest, &conf);
	assert_int_equal(store_as(r, RIG_CT, "1.5.1", bytes, n, RIG_SLAB, &result),
		SL_VERDICT_WARNED_UNSOUND);
	assert_false(result.is_sound);
	assert_int_not_equal(strlen(result.unsound_why), 0);
	assert_stored(r, "1.5.1", bytes, n);
}

static void what_is_refused_for_its_content_may_be_set_aside(void **state)
{
	struct rig *r = *state;
	struct sl_ingest_conf conf = r->conf.ingest;
	struct sl_result result;
	conf.keeps_quarantine = true;
	conf.elem.depth = 1;
	sl_ingest_configure(r->storage.ingest, &conf);
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.3.1", 200000, 1);
	assert_int_equal(store_as(r, RIG_CT, "1.2.3.77", bytes, n, 50000, &result),
		SL_VERDICT_INSTANCE_MISMATCH);
	assert_true(result.is_quarantined);
	assert_int_equal(count_files(r, "quarantine"), 1);
	assert_int_equal(sl_pending_stats(r->storage.pending).used, 0);
	sl_storage_close(&r->storage);
	assert_int_equal(count_files(r, "archive") + count_files(r, "spool"), 0);
	rig_open_storage(r);
}

static void too_large_is_refused(void **state)
{
	struct rig *r = *state;
	struct sl_ingest_conf conf = r->conf.ingest;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.6.1", 300000, 1);
	conf.max_object = n - 1;
	sl_ingest_configure(r->storage.ingest, &conf);
	assert_int_equal(store(r, "1.6.1", bytes, n), SL_VERDICT_TOO_LARGE);
	conf.max_object = n;
	sl_ingest_configure(r->storage.ingest, &conf);
	assert_int_equal(store(r, "1.6.1", bytes, n), SL_VERDICT_STORED);
}

static void an_aborted_object_leaves_nothing(void **state)
{
	struct rig *r = *state;
	static struct rig_object x;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.7.1", 30000, 1);
	for (int parts = 0; parts < 3; parts++) {
		rig_begin(r, &x, RIG_CT, "1.7.1", RIG_ELE);
		for (int i = 0; i < parts; i++) {
			pthread_mutex_lock(&r->lock);
			x.in_flight++;
			pthread_mutex_unlock(&r->lock);
			sl_ingest_append(&x.o, rig_part(r, bytes + i * 1000, 1000));
		}
		sl_ingest_abort(&x.o);
		rig_wait(r, &x);
		assert_int_equal(x.o.result.verdict, SL_VERDICT_CANCELLED);
	}
	assert_int_equal(sl_slab_pool_stats(&r->pool).used, 0);
	assert_int_equal(sl_water_now(r->storage.water).reserved, 0);
	assert_int_equal(sl_pending_stats(r->storage.pending).used, 0);
	/* And its UID is free. */
	assert_int_equal(store(r, "1.7.1", bytes, n), SL_VERDICT_STORED);
}

/* One UID, eight senders at once: one file, eight successes. */
static void re_sends_at_once_are_one_object(void **state)
{
	struct rig *r = *state;
	static struct rig_object x[8];
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.8.1", 50000, 1);
	int stored = 0, identical = 0;
	for (size_t i = 0; i < SL_ARRAY_N(x); i++) {
		rig_begin(r, &x[i], RIG_CT, "1.8.1", RIG_ELE);
		rig_send(r, &x[i], bytes, n, i % 2 == 0 ? RIG_SLAB : 20000);
	}
	for (size_t i = 0; i < SL_ARRAY_N(x); i++) {
		rig_wait(r, &x[i]);
		stored += x[i].o.result.verdict == SL_VERDICT_STORED;
		identical += x[i].o.result.verdict == SL_VERDICT_IDENTICAL;
	}
	/* The first whose last PDV came wins: order of finish. */
	assert_int_equal(x[0].o.result.verdict, SL_VERDICT_STORED);
	assert_int_equal(stored, 1);
	assert_int_equal(identical, 7);
	assert_stored(r, "1.8.1", bytes, n);
	sl_storage_close(&r->storage);
	assert_int_equal(count_files(r, "archive"), 1);
	rig_open_storage(r);
}

/* What a crash may leave: an acknowledged object with only its spool name and no row. */
static void recovery_finishes_what_a_crash_left(void **state)
{
	struct rig *r = *state;
	char command[400];
	for (int i = 1; i <= 5; i++) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.4.%d", i);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, 3000, (uint8_t)i);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_STORED);
	}
	sl_storage_close(&r->storage);
	assert_int_equal(count_files(r, "archive"), 5);
	/* Two lose their archive name and everybody the index; one part file, one torn, one foreign. */
	snprintf(command, sizeof(command),
		"cd %s && rm -r index && cd archive && for i in 1 2; do f=$(find . -name "
		"1.4.$i.dcm); "
		"mv $f ../spool/000000000000000$i.dcm; done; cd ../spool && "
		"head -c 700 0000000000000001.dcm > 0000000000000077.dcm && touch .tmp-9 notes.txt",
		r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.found, 3);
	assert_int_equal(r->storage.recovered.indexed, 0); /* the rebuild did */
	assert_int_equal(r->storage.recovered.moved, 2);
	assert_int_equal(r->storage.recovered.quarantined, 1);
	assert_int_equal(r->storage.recovered.removed, 1);
	assert_int_equal(r->storage.recovered.foreign, 1);
	assert_true(r->storage.recovered.next_seq > 0x77);
	for (int i = 1; i <= 2; i++) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.4.%d", i);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, 3000, (uint8_t)i);
		assert_stored(r, uid, bytes, n);
	}
	assert_int_equal(count_files(r, "spool"), 1); /* the foreign file is left alone */
	assert_int_equal(count_files(r, "archive"), 5);
	assert_true(r->storage.has_rebuilt);
	assert_int_equal(r->storage.rebuilt.indexed, 5);
	/* Doing it again changes nothing. */
	sl_storage_close(&r->storage);
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.found, 0);
	assert_false(r->storage.has_rebuilt);
}

/* A header that is sound, under its own name, and bytes that are missing: nothing of it is served. */
static void a_file_cut_short_is_set_aside(void **state)
{
	struct rig *r = *state;
	char command[400];
	struct sl_index_snapshot snap;
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.4.1", 3000, 1);
	assert_int_equal(store(r, "1.4.1", bytes, n), SL_VERDICT_STORED);
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command),
		"cd %s && rm -r index && f=$(find archive -type f) && head -c -1 $f > "
		"spool/0000000000000001.dcm && rm -f $f",
		r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_int_equal(r->storage.recovered.found, 1);
	assert_int_equal(r->storage.recovered.quarantined, 1);
	assert_string_equal(r->storage.recovered.first_bad, "0000000000000001.dcm");
	sl_index_snapshot(r->storage.index, &snap);
	assert_int_equal(snap.usage.versions, 0);
	assert_int_equal(count_files(r, "spool") + count_files(r, "archive"), 0);
	assert_int_equal(count_files(r, "quarantine"), 1);
}

/* The files alone make the index again; what is not ours in the tree is left alone and counted. */
static void a_lost_index_is_rebuilt_from_the_files(void **state)
{
	struct rig *r = *state;
	struct sl_index_snapshot before, after;
	char command[400];
	for (int i = 1; i <= 7; i++) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.4.%d", i);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, 3000, (uint8_t)i);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_STORED);
	}
	assert_int_equal(sl_indexer_catch_up(r->storage.indexer), SL_OK);
	sl_index_snapshot(r->storage.index, &before);
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command),
		"cd %s && rm -r index && cd archive/*/*/* && echo junk > x.dcm && cp 1.4.2.dcm "
		"1.4.9.dcm",
		r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_true(r->storage.has_rebuilt);
	assert_int_equal(r->storage.rebuilt.files, 9);
	assert_int_equal(r->storage.rebuilt.indexed, 7);
	assert_int_equal(r->storage.rebuilt.bad, 2);
	sl_index_snapshot(r->storage.index, &after);
	assert_memory_equal(&before.usage, &after.usage, sizeof(before.usage));
	assert_int_equal(before.next_seq, after.next_seq);
	for (int i = 1; i <= 7; i++) {
		char uid[16];
		snprintf(uid, sizeof(uid), "1.4.%d", i);
		size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, 3000, (uint8_t)i);
		assert_stored(r, uid, bytes, n);
		assert_int_equal(store(r, uid, bytes, n), SL_VERDICT_IDENTICAL);
	}
	/* What one that was killed left goes; the index that is there stays. An earlier program's that did
	 * not end runs again. */
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command),
		"cd %s/index && mkdir new && head -c 9000 data.mdb > new/data.mdb", r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_false(r->storage.has_rebuilt);
	sl_storage_close(&r->storage);
	snprintf(command, sizeof(command), "cd %s/index && test ! -e new && touch rebuilding",
		r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	assert_true(r->storage.has_rebuilt);
	assert_int_equal(r->storage.rebuilt.indexed, 7);
	snprintf(command, sizeof(command), "cd %s/index && test ! -e rebuilding -a ! -e new",
		r->folder);
	assert_int_equal(system(command), 0);
}

static void the_gate_wants_both_syncs(void **state)
{
	struct rig *r = *state;
	static struct rig_object x;
	rig_begin(r, &x, RIG_CT, "1.3.1", RIG_ELE);
	struct sl_object *o = &x.o;
	o->file.is_named = true;
	o->file.is_data_synced = true;
	o->file.sync.named_after = 5;
	o->file.sync.covered_by = 6;
	assert_true(sl_ack_gate(o));
	o->file.sync.covered_by = 5; /* began before the name was made */
	assert_false(sl_ack_gate(o));
	o->file.sync.covered_by = 6;
	o->file.is_data_synced = false;
	assert_false(sl_ack_gate(o));
	o->file.is_data_synced = true;
	o->file.is_named = false;
	assert_false(sl_ack_gate(o));
	o->file.is_named = true;
	o->result.dup = SL_DUP_IDENTICAL;
	assert_false(sl_ack_gate(o)); /* nobody said that the rival is durable */
	o->is_rival_durable = true;
	assert_true(sl_ack_gate(o));
	o->is_rival_durable = false;
	o->result.dup = SL_DUP_NONE;
	assert_true(sl_ack_gate(o));
	const struct sl_diag cause = {.status = SL_E_SYNC, .where = "test"};
	(void)sl_latch_fail(&r->storage.latch, &cause);
	assert_false(sl_ack_gate(o)); /* whatever it has: the store failed since */
	sl_ingest_abort(o);
	rig_wait(r, &x);
}

static void a_failed_store_answers_no_success(void **state)
{
	struct rig *r = *state;
	const struct sl_diag cause = {
		.status = SL_E_SYNC, .where = "test", .text = "pulled the plug"};
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, "1.2.9", 100, 1);
	(void)sl_latch_fail(&r->storage.latch, &cause);
	assert_int_equal(store(r, "1.2.9", bytes, n), SL_VERDICT_SYNC_FAILED);
}

static int setup(void **state)
{
	static struct rig rig;
	rig_open(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_close(*state);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_object_of_one_part_is_stored),
		T(a_streamed_object_is_stored),
		T(identical_bytes_are_not_written_again),
		T(other_bytes_are_refused_and_the_first_stay),
		T(bytes_are_compared_and_not_their_digests),
		T(command_and_data_set_must_agree),
		T(unsound_by_policy),
		T(what_is_refused_for_its_content_may_be_set_aside),
		T(too_large_is_refused),
		T(an_aborted_object_leaves_nothing),
		T(re_sends_at_once_are_one_object),
		T(recovery_finishes_what_a_crash_left),
		T(a_file_cut_short_is_set_aside),
		T(a_lost_index_is_rebuilt_from_the_files),
		T(the_gate_wants_both_syncs),
		T(a_failed_store_answers_no_success),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
