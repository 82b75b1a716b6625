/* What the three files of the file-system store share.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "core/part.h"
#include "storage/berth_map.h"
#include "storage/path.h"
#include "storage/store_fs.h"

struct sl_store_fs {
	struct sl_store base;
	const struct sl_root *root;
	struct sl_dirsync *spool_sync; /* NULL during recovery: nothing is written then */
	struct sl_berths *berths;      /* likewise; NULL too where no names are made ahead */
	struct sl_berth_map *lying;    /* what is in spool/ under such a name */
	atomic_uint_fast64_t next_temp;
	void (*on_set_aside)(void *arg, const char *name); /* may be NULL */
	void *aside_arg;
	bool is_recovering; /* folders may come from a run that did not live to sync them */
};

static inline struct sl_store_fs *sl_store_fs_of(struct sl_store *s)
{
	return sl_container_of(s, struct sl_store_fs, base);
}

/* store_fs_read.c: of the ops, see store.h */
enum sl_status sl_store_fs_reread(struct sl_store_file *f, uint64_t off, void *bytes, size_t n,
	size_t *got, struct sl_diag *d);
enum sl_status sl_store_fs_open_object(struct sl_store *store, struct sl_store_reader *r,
	const struct sl_locator *at, struct sl_diag *d);
enum sl_status sl_store_fs_read(struct sl_store_reader *r, uint64_t off, void *bytes, size_t n,
	size_t *got, struct sl_diag *d);
void sl_store_fs_close_reader(struct sl_store_reader *r);

/* store_fs_settle.c */
enum sl_status sl_store_fs_settle(
	struct sl_store *store, const struct sl_locator *at, size_t n, struct sl_diag *d);
enum sl_status sl_store_fs_remove(
	struct sl_store *store, const struct sl_locator *at, struct sl_diag *d);
