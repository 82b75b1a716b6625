/* The store as a folder of DICOM files: spool/ is the journal, archive/ the tree (DESIGN 2, 7).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/berth.h"
#include "storage/path.h"
#include "storage/root.h"
#include "storage/store.h"

/* root is borrowed and outlives the store. Returns owned. */
SL_MUST enum sl_status sl_store_fs_open(
	struct sl_store **out, const struct sl_root *root, struct sl_diag *d);

void sl_store_fs_close(struct sl_store *store);

/* Who makes names in spool/ durable, and who has made some ahead (NULL: nobody); before the first begin,
 * and not needed by recovery. */
void sl_store_fs_set_names(
	struct sl_store *store, struct sl_dirsync *spool_sync, struct sl_berths *berths);

/* on_set_aside(arg, name in quarantine/) is told of a file without a row that had the archive name of an
 * object. Indexer thread, and whoever recovers. May be NULL. */
void sl_store_fs_on_set_aside(
	struct sl_store *store, void (*on_set_aside)(void *arg, const char *name), void *arg);

/* Objects in spool/ at a time, but for those that recovery left there: each has its place in the pending
 * table until it is moved. */
#define SL_STORE_FS_LYING 4096

#define SL_STORE_FS_HEAD (8 * SL_KIB) /* bytes: most headers and indexed attributes are within */

/* Opens a file by its name in an open folder, for those who go through folders. As ops->open. Closed by
 * the ops of any store_fs.
 *
 * head  SL_STORE_FS_HEAD bytes, borrowed until it is closed: filled by one call, read from then on */
SL_MUST enum sl_status sl_store_fs_open_in(struct sl_store_reader *r, int folder_fd,
	const char *name, uint8_t *head, struct sl_diag *d);

/* The name that the object of `seq` has in spool/, or would have. */
void sl_store_fs_spool_name(struct sl_store *store, struct sl_path *out, uint64_t seq);

/* For recovery: the object of `seq` was found in berth `number`; until settle or remove. May allocate.
 * SL_E_EXISTS: another one was, of the same seq. SL_E_NOMEM. */
SL_MUST enum sl_status sl_store_fs_found(struct sl_store *store, uint64_t seq, uint64_t number);
/* It is not in spool/ any more. */
void sl_store_fs_lost(struct sl_store *store, uint64_t seq);

/* While recovering, settle also fsyncs folders that it finds: an earlier run may have made them
 * without living to do so. */
void sl_store_fs_set_recovering(struct sl_store *store, bool is_recovering);
