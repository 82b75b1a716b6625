/* From spool/ to archive/ where the archive name is taken: by a file that is no object any more. And a
 * file is what its header says, whatever its name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <dirent.h>
#include <sys/stat.h>

#include "storage/path.h"
#include "storage/store_fs.h"

static uint8_t bytes[16 * 1024];
static const char instance[] = "1.9.1";

static enum sl_verdict store(struct rig *r)
{
	static struct rig_object x; /* large */
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, instance, 4000, 7);
	rig_begin(r, &x, RIG_CT, instance, RIG_ELE);
	rig_send(r, &x, bytes, n, RIG_SLAB);
	rig_wait(r, &x);
	while (sl_pending_stats(r->storage.pending).durable > 0 &&
		!sl_latch_is_failed(&r->storage.latch))
		usleep(200); /* until it is in the archive */
	return x.o.result.verdict;
}

/* The only file below archive/, from the storage's root. */
static void find_file(struct rig *r, char path[512])
{
	char command[128], name[384];
	snprintf(command, sizeof(command), "cd %s && find archive -type f", r->folder);
	FILE *f = popen(command, "r");
	assert_int_equal(fscanf(f, "%383s", name), 1);
	pclose(f);
	snprintf(path, 512, "%s/%s", r->folder, name);
}

static void set_aside_names(struct rig *r, char *first, size_t size, size_t *n)
{
	char path[128];
	struct dirent *e;
	snprintf(path, sizeof(path), "%s/quarantine", r->folder);
	DIR *dir = opendir(path);
	*n = 0;
	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && (*n)++ == 0)
			snprintf(first, size, "%s", e->d_name);
	if (dir != NULL)
		closedir(dir);
}

static void note_aside(void *arg, const char *name)
{
	snprintf(arg, 256, "%s", name);
}

/* Damaged, then the index lost: no row names the file. Its object comes again, as senders do. */
static void a_damaged_file_gives_its_name_to_the_object_that_comes_again(void **state)
{
	struct rig *r = *state;
	char path[512], command[128], aside[256] = "", told[256] = "";
	struct stat whole, now;
	size_t n;
	assert_int_equal(store(r), SL_VERDICT_STORED);
	find_file(r, path);
	assert_int_equal(stat(path, &whole), 0);
	sl_storage_close(&r->storage);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(truncate(path, 100), 0);
	snprintf(command, sizeof(command), "rm -r %s/index", r->folder);
	assert_int_equal(system(command), 0);
	rig_open_storage(r);
	sl_store_fs_on_set_aside(r->storage.store, note_aside, told);
	assert_int_equal(store(r), SL_VERDICT_STORED);
	assert_false(sl_latch_is_failed(&r->storage.latch));
	assert_int_equal(stat(path, &now), 0);
	assert_int_equal(now.st_size, whole.st_size);
	set_aside_names(r, aside, sizeof(aside), &n);
	assert_int_equal(n, 1);
	assert_memory_equal(aside, "archive-", 8);
	assert_string_equal(told, aside);
	/* And after a restart, with another of the same name: nothing more to do. */
	sl_storage_close(&r->storage);
	rig_open_storage(r);
	assert_int_equal(store(r), SL_VERDICT_IDENTICAL);
	set_aside_names(r, aside, sizeof(aside), &n);
	assert_int_equal(n, 1);
}

static size_t descriptors(void)
{
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void a_file_under_anothers_name_is_not_served(void **state)
{
	struct rig *r = *state;
	char path[512], command[1200];
	struct sl_index_reader *index;
	struct sl_index_instance row;
	struct sl_store_reader file;
	struct sl_diag d = {0};
	struct sl_uid uid = sl_uid_of(instance);
	const struct sl_store_ops *ops = r->storage.store->ops;
	assert_int_equal(store(r), SL_VERDICT_STORED);
	find_file(r, path);
	assert_int_equal(sl_index_open_reader(r->storage.index, &index, &d), SL_OK);
	assert_int_equal(sl_index_locate_instance(index, &uid, &row, &d), SL_OK);
	sl_index_close_reader(index);
	struct sl_locator at = {.study_instance_uid = row.study_instance_uid,
		.series_instance_uid = row.series_instance_uid,
		.sop_instance_uid = uid,
		.seq = row.seq,
		.has_plain_name = true};
	assert_int_equal(ops->open(r->storage.store, &file, &at, &d), SL_OK);
	ops->close(&file);
	snprintf(command, sizeof(command), "cp %s $(dirname %s)/1.9.2.dcm", path, path);
	assert_int_equal(system(command), 0);
	at.sop_instance_uid = sl_uid_of("1.9.2");
	size_t before = descriptors();
	assert_int_equal(ops->open(r->storage.store, &file, &at, &d), SL_E_CORRUPT);
	assert_int_equal(file.fd, -1);
	assert_int_equal(descriptors(), before);
}

static int open_rig(void **state)
{
	struct rig *r = malloc(sizeof(*r));
	rig_open(r);
	*state = r;
	return 0;
}

static int close_rig(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_damaged_file_gives_its_name_to_the_object_that_comes_again, open_rig,
			close_rig),
		cmocka_unit_test_setup_teardown(
			a_file_under_anothers_name_is_not_served, open_rig, close_rig),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
