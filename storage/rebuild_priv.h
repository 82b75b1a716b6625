/* What the files of the rebuild share: rebuild.c (reading, writing), rebuild_place.c (the folders).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>

#include "storage/rebuild.h"

#define SL_REBUILD_DRAFT "new" /* in index/ */

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
