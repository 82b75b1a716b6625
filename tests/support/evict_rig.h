/* The evictor on a real storage whose quota is small: twenty objects of 100 kB. The disk's own marks are
 * out of the way. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/storage_rig.h"

#include <sys/stat.h>

#include "storage/path.h"

#define OBJECT (100 * 1000) /* bytes of pixels of each */
#define QUOTA  (20 * 100 * 1000)

static uint8_t bytes[256 * 1024];

/* Object `no` of study 1.2.3.<study>; study is a letter or digit. */
static inline size_t make(char study, int no, char uid[32])
{
	static const char placeholder[] = "1.2.3.4"; /* of rig_dataset() */
	snprintf(uid, 32, "1.9.%d.%d", study, no);
	size_t n = rig_dataset(bytes, sizeof(bytes), RIG_CT, uid, OBJECT, (uint8_t)no);
	uint8_t *at = memmem(bytes, n, placeholder, sizeof(placeholder));
	assert_non_null(at);
	at[6] = (uint8_t)study;
	return n;
}

static inline enum sl_verdict store(struct rig *r, char study, int no)
{
	static struct rig_object x; /* large */
	char uid[32];
	size_t n = make(study, no, uid);
	rig_begin(r, &x, RIG_CT, uid, RIG_ELE);
	rig_send(r, &x, bytes, n, RIG_SLAB);
	rig_wait(r, &x);
	return x.o.result.verdict;
}

static inline void store_well(struct rig *r, char study, int no)
{
	assert_int_equal(store(r, study, no), SL_VERDICT_STORED);
	while (sl_pending_stats(r->storage.pending).durable > 0)
		usleep(200); /* until it is in the archive */
}

static inline struct sl_uid study_uid(char study)
{
	struct sl_uid uid = sl_uid_of("1.2.3.4");
	uid.s[6] = study;
	return uid;
}

static inline bool has_row(struct rig *r, char study)
{
	static struct sl_index_study row; /* large */
	struct sl_index_reader *rd;
	struct sl_diag d = {0};
	struct sl_uid uid = study_uid(study);
	assert_int_equal(sl_index_open_reader(r->storage.index, &rd, &d), SL_OK);
	enum sl_status st = sl_index_locate_study(rd, &uid, &row, &d);
	sl_index_close_reader(rd);
	assert_true(st == SL_OK || st == SL_E_NOTFOUND);
	return st == SL_OK;
}

static inline bool has_folder(struct rig *r, char study)
{
	struct sl_path path;
	struct stat sb;
	struct sl_uid uid = study_uid(study);
	sl_path_study(&path, &uid);
	return fstatat(r->storage.root.archive_fd, path.s, &sb, 0) == 0;
}

/* A study is there with row and folder, or with neither. */
static inline bool has_study(struct rig *r, char study)
{
	bool has = has_row(r, study);
	assert_int_equal(has, has_folder(r, study));
	return has;
}

static inline size_t trash_names(struct rig *r)
{
	char command[128];
	size_t n = 0;
	snprintf(command, sizeof(command), "ls -A %s/trash | wc -l", r->folder);
	FILE *f = popen(command, "r");
	assert_int_equal(fscanf(f, "%zu", &n), 1);
	pclose(f);
	return n;
}

static inline void wait_for_empty_trash(struct rig *r)
{
	while (sl_trash_stats(r->storage.trash).bytes > 0 || trash_names(r) > 0)
		usleep(1000);
}

/* Until the evictor rests or is stuck, and what it took is unlinked. */
static inline void wait_for_rest(struct rig *r)
{
	for (;;) {
		struct sl_water_excess x = sl_water_excess(r->storage.water);
		struct sl_evict_stats s = sl_evict_stats(r->storage.evict);
		bool is_quiet = s.stuck != NULL || (!x.quota.is_high && !s.is_draining);
		if (is_quiet && s.trash.bytes == 0)
			break;
		usleep(1000);
	}
	wait_for_empty_trash(r);
}

/* Until n studies are gone: the evictor may have been stuck, or not yet awake, when the last one came. */
static inline void wait_for_gone(struct rig *r, uint64_t n)
{
	while (sl_evict_stats(r->storage.evict).studies < n)
		usleep(1000);
	wait_for_rest(r);
}

/* Nothing is old enough to go, until let_go(): what goes then follows from what is stored, not from when
 * the evictor happened to look. */
static inline void hold(struct rig *r)
{
	r->conf.evict.min_age_ms = UINT32_MAX;
	sl_evict_configure(r->storage.evict, &r->conf.evict);
}

static inline void let_go(struct rig *r, uint32_t min_age_ms)
{
	r->conf.evict.min_age_ms = min_age_ms;
	sl_evict_configure(r->storage.evict, &r->conf.evict);
}

static inline void check_sound(struct rig *r)
{
	struct sl_index_report report;
	struct sl_diag d = {0};
	assert_int_equal(sl_index_check(r->storage.index, &report, &d), SL_OK);
	if (report.wrong != 0)
		fail_msg("%s", report.first);
}

static inline void reopen(struct rig *r)
{
	sl_storage_close(&r->storage);
	rig_open_storage(r);
}

static inline int open_rig(void **state)
{
	struct rig *r = malloc(sizeof(*r));
	rig_open(r);
	sl_storage_close(&r->storage);
	/* Marks of the disk that this machine's will not pass; those of the quota are the defaults. */
	const struct sl_water_mark free_1 = {.is_free_bytes = true, .free_bytes = 1};
	r->conf.water.low = r->conf.water.high = r->conf.water.full = free_1;
	r->conf.water.quota = QUOTA;
	r->conf.evict = (struct sl_evict_conf){.is_on = true};
	r->conf.indexer.max_delay_ms = 0;
	rig_open_storage(r);
	*state = r;
	return 0;
}

static inline int close_rig(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}
