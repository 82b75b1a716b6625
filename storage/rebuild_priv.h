/* What the files of the rebuild share: rebuild.c (reading, and all of it), rebuild_write.c, rebuild_place.c
 * (the folders).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>

#include "storage/rebuild.h"
#include "storage/sorter.h"

#define SL_REBUILD_DRAFT "new" /* in index/ */
#define SL_REBUILD_BATCH 4096  /* records of one commit */

/* Opens a folder to be listed; *out is owned. SL_E_NOTFOUND, SL_E_IO. */
SL_MUST enum sl_status sl_rebuild_folder(int dirfd, const char *name, DIR **out, struct sl_diag *d);

/* Raises *next above every seq that a name in quarantine/ has, so that none is given twice. */
SL_MUST enum sl_status sl_rebuild_seq_after_quarantine(
	const struct sl_root *root, uint64_t *next, struct sl_diag *d);

/* Unlinks the draft in index/new/, and `all` that is there with it; *had_some where there was any. */
SL_MUST enum sl_status sl_rebuild_clear(
	const struct sl_root *root, bool all, bool *had_some, struct sl_diag *d);

/* Gives the draft, which is durable, the place of the index. */
SL_MUST enum sl_status sl_rebuild_take_place(const struct sl_root *root, struct sl_diag *d);

/* What is written, and where to. */
struct sl_rebuild_writing {
	const struct sl_root *root;
	struct sl_sorter *sorter; /* sorted; another thread's until the end */
	const struct sl_ops *ops; /* likewise; NULL: nothing is on its way out */
	struct sl_index *index;   /* a draft, for batches of SL_REBUILD_BATCH */
	/* On the caller's thread: a file that cannot have a row; `put` more records were put, and
	 * `gone` more left out. */
	void (*on_bad)(void *arg, const struct sl_record *r);
	void (*on_batch)(void *arg, size_t put, uint64_t gone);
	void *arg;
};

/* Gives the index all that was sorted and makes it durable; files that were being removed go to trash/.
 * SL_E_FULL, SL_E_IO, SL_E_SYNC, SL_E_NOMEM. */
SL_MUST enum sl_status sl_rebuild_write(const struct sl_rebuild_writing *w, struct sl_diag *d);
