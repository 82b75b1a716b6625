/* Objects in names made ahead: they are found by their seq while they lie there, move on, and what a crash
 * leaves of them is taken up, thrown away or set aside, each as it deserves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { STOCK = 8, OBJECTS = 6, SIZE = 3000 };

static uint8_t bytes[16384];

static void store(struct rig *r, int no)
{
	static struct rig_object x; /* large */
	char uid[32];
	snprintf(uid, sizeof(uid), "1.2.9.%d", no);
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, SIZE, (uint8_t)no);
	rig_begin(r, &x, RIG_CT, uid, RIG_ELE);
	rig_send(r, &x, bytes, n, RIG_SLAB);
	rig_wait(r, &x);
	assert_int_equal(x.o.result.verdict, SL_VERDICT_STORED);
}

/* Nothing is moved until somebody asks for it. */
static void open_late(struct rig *r)
{
	r->conf.names_ahead = STOCK;
	r->conf.indexer.max_delay_ms = 1000000;
	r->conf.indexer.batch = SL_INDEXER_BATCH_MAX;
	rig_open_storage(r);
}

/* A stock is there: taking one that is not needed asks for another. */
static void wait_for_the_stock(struct rig *r)
{
	struct sl_berth berth;
	struct sl_path name;
	while (!sl_berths_take(r->storage.berths, &berth))
		sched_yield();
	sl_path_berth(&name, berth.number);
	assert_int_equal(unlinkat(r->storage.root.spool_fd, name.s, 0), 0);
	close(berth.fd);
}

struct names {
	unsigned objects, empty, others; /* berths with bytes, berths without; anything else */
};

static struct names count_names(struct rig *r)
{
	char path[96];
	struct names n = {0};
	struct dirent *e;
	uint64_t number;
	snprintf(path, sizeof(path), "%s/spool", r->folder);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		struct stat sb;
		if (e->d_name[0] == '.')
			continue;
		assert_int_equal(fstatat(dirfd(dir), e->d_name, &sb, 0), 0);
		bool is_berth = sl_path_berth_number(e->d_name, &number);
		n.objects += is_berth && sb.st_size > 0;
		n.empty += is_berth && sb.st_size == 0;
		n.others += !is_berth;
	}
	closedir(dir);
	return n;
}

static bool is_in_a_berth(struct rig *r, uint64_t seq)
{
	struct sl_path name;
	uint64_t number;
	sl_store_fs_spool_name(r->storage.store, &name, seq);
	return sl_path_berth_number(name.s, &number);
}

/* Object `no` by its row, as it was sent. */
static void assert_stored(struct rig *r, int no)
{
	static uint8_t back[sizeof(bytes)];
	struct sl_index_reader *reader;
	struct sl_index_instance row;
	struct sl_store_reader file;
	struct sl_diag d = {0};
	char text[32];
	size_t got;
	snprintf(text, sizeof(text), "1.2.9.%d", no);
	struct sl_uid uid = sl_uid_of(text);
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, text, SIZE, (uint8_t)no);
	assert_int_equal(sl_index_open_reader(r->storage.index, &reader, &d), SL_OK);
	assert_int_equal(sl_index_locate_instance(reader, &uid, &row, &d), SL_OK);
	sl_index_close_reader(reader);
	const struct sl_locator at = {.study_instance_uid = row.study_instance_uid,
		.series_instance_uid = row.series_instance_uid,
		.sop_instance_uid = uid,
		.seq = row.seq,
		.has_plain_name = true};
	struct sl_store *store = r->storage.store;
	assert_int_equal(store->ops->open(store, &file, &at, &d), SL_OK);
	assert_int_equal(store->ops->read(&file, 0, back, sizeof(back), &got, &d), SL_OK);
	store->ops->close(&file);
	assert_int_equal(got, n);
	assert_memory_equal(back, bytes, n);
	assert_false(is_in_a_berth(r, row.seq));
}

static void an_object_lies_in_a_berth_until_it_is_moved(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	sl_storage_close(&r.storage);
	open_late(&r);
	wait_for_the_stock(&r);
	uint64_t first = sl_ingest_next_seq(r.storage.ingest) + 1, taken, missed;
	for (int i = 0; i < 2; i++)
		store(&r, i);
	sl_berths_stats(r.storage.berths, &taken, &missed);
	assert_int_equal(taken, 3);
	struct names n = count_names(&r);
	assert_int_equal(n.objects, 2);
	assert_int_equal(n.others, 0);
	assert_true(is_in_a_berth(&r, first) && is_in_a_berth(&r, first + 1));
	assert_false(is_in_a_berth(&r, first + 2));
	assert_int_equal(sl_indexer_catch_up(r.storage.indexer), SL_OK);
	while (sl_pending_stats(r.storage.pending).used > 0)
		sched_yield();
	for (int i = 0; i < 2; i++)
		assert_stored(&r, i);
	assert_int_equal(count_names(&r).objects, 0);
	sl_storage_close(&r.storage);
	n = count_names(&r);
	assert_int_equal(n.objects + n.empty + n.others, 0);
	rig_open_storage(&r);
	rig_close(&r);
}

/* In a child that dies with all of them in their berths. */
static void die(struct rig *r)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		open_late(r);
		for (int i = 0; i < OBJECTS; i++) {
			wait_for_the_stock(r);
			store(r, i);
		}
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(count_names(r).objects, OBJECTS);
}

/* The descriptor of the berth with the how-many-th lowest number that has bytes. */
static int open_berth(struct rig *r, unsigned no, char *path, size_t cap)
{
	struct stat sb;
	for (uint64_t number = 1;; number++) {
		assert_true(number < 1000);
		struct sl_path name;
		sl_path_berth(&name, number);
		snprintf(path, cap, "%s/spool/%.40s", r->folder, name.s);
		if (stat(path, &sb) != 0 || sb.st_size == 0 || no-- > 0)
			continue;
		assert_int_equal(chmod(path, 0640), 0);
		int fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		return fd;
	}
}

static void a_crash_leaves_what_was_promised_and_no_more(void **state)
{
	struct rig r;
	char path[160];
	struct stat sb;
	(void)state;
	rig_open(&r);
	sl_storage_close(&r.storage);
	die(&r);
	/* The first was being written, of the second a byte is wrong, the third has no header any more. */
	int fd = open_berth(&r, 0, path, sizeof(path));
	assert_int_equal(fstat(fd, &sb), 0);
	assert_int_equal(ftruncate(fd, sb.st_size - 1), 0);
	close(fd);
	fd = open_berth(&r, 1, path, sizeof(path));
	assert_int_equal(pwrite(fd, "?", 1, sb.st_size - 10), 1);
	close(fd);
	fd = open_berth(&r, 2, path, sizeof(path));
	assert_int_equal(pwrite(fd, "nothing", 7, 128), 7);
	close(fd);
	r.conf.names_ahead = STOCK;
	rig_open_storage(&r);
	const struct sl_recover_report *got = &r.storage.recovered;
	assert_int_equal(got->found, OBJECTS - 2);
	assert_int_equal(got->removed, 1);
	assert_int_equal(got->quarantined, 2);
	assert_int_equal(got->indexed, OBJECTS - 3);
	assert_int_equal(got->moved, OBJECTS - 3);
	assert_int_equal(count_names(&r).objects, 0);
	for (int i = 3; i < OBJECTS; i++)
		assert_stored(&r, i);
	store(&r, OBJECTS); /* and it goes on */
	rig_close(&r);
}

/* The same object twice, by hand: one of them is kept, the other is set aside. */
static void two_berths_of_one_seq(void **state)
{
	struct rig r;
	char path[160], command[512];
	(void)state;
	rig_open(&r);
	sl_storage_close(&r.storage);
	die(&r);
	close(open_berth(&r, 0, path, sizeof(path)));
	snprintf(command, sizeof(command), "cp %s %s/spool/00000000000000ff.berth", path, r.folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(&r);
	assert_int_equal(r.storage.recovered.indexed, OBJECTS);
	assert_int_equal(r.storage.recovered.quarantined, 1);
	for (int i = 0; i < OBJECTS; i++)
		assert_stored(&r, i);
	rig_close(&r);
}

/* The index is lost with it: what lies in berths is read with the archive, in the order of seq. */
static void a_rebuild_reads_what_lies_in_berths(void **state)
{
	struct rig r;
	char command[128];
	(void)state;
	rig_open(&r);
	store(&r, OBJECTS); /* one is in the archive */
	sl_storage_close(&r.storage);
	die(&r);
	snprintf(command, sizeof(command), "rm -rf %s/index", r.folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(&r);
	assert_true(r.storage.has_rebuilt);
	assert_int_equal(r.storage.rebuilt.files, OBJECTS + 1);
	assert_int_equal(r.storage.recovered.found, OBJECTS);
	assert_int_equal(r.storage.recovered.indexed, 0);
	for (int i = 0; i <= OBJECTS; i++)
		assert_stored(&r, i);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_lies_in_a_berth_until_it_is_moved),
		cmocka_unit_test(a_crash_leaves_what_was_promised_and_no_more),
		cmocka_unit_test(two_berths_of_one_seq),
		cmocka_unit_test(a_rebuild_reads_what_lies_in_berths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
