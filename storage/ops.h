/* journal/ops: what no object carries (DESIGN 2): which studies are pinned, and what was taken out of
 * the archive, so that an index that is rebuilt from the files says the same as the one that was lost.
 *
 * A text file, one line an operation, appended and fsynced before the operation counts:
 *
 *	sluice-ops 1
 *	<hash> pin <StudyInstanceUID>
 *	<hash> unpin <StudyInstanceUID>
 *	<hash> gone-studies <StudyInstanceUID>:<seq> ...    everything of them below that seq
 *	<hash> gone-object <SOPInstanceUID>:<seq>           that one version
 *
 * <hash> is XXH3-128 of the rest of the line, its first half. One append is one line, so a crash tears
 * at most the last one, which is cut off; a bad line before a good one is damage, and is told.
 *
 * "gone" lines matter only until the files have left the archive: between the commit that takes the rows
 * out and the rename to trash/ the index alone knows of the removal, and the index may be lost. They are
 * dropped when the file is written anew (to a name of its own, then renamed): after each start, and
 * when it has grown.
 *
 * Failure: no room: SL_E_FULL, and the file is as it was; a little room is kept for it in advance.
 * Threads: sl_ops_is_gone() while it is opened and recovered, from any; the rest from any, by a lock.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"
#include "storage/root.h"

struct sl_ops;

/* Reads the file, or begins one. SL_E_CORRUPT: damaged; SL_E_UNSUPPORTED: of a newer program. root is
 * borrowed. Returns owned. */
SL_MUST enum sl_status sl_ops_open(
	struct sl_ops **out, const struct sl_root *root, struct sl_diag *d);
void sl_ops_close(struct sl_ops *ops); /* NULL is allowed */

/* A pinned study is never evicted, nor deleted before it is unpinned; it need not be there (yet). Durable
 * when it returns SL_OK; pinning what is pinned is SL_OK. SL_E_FULL, SL_E_SYNC, SL_E_IO, SL_E_NOMEM. */
SL_MUST enum sl_status sl_ops_pin(
	struct sl_ops *ops, const struct sl_uid *study, bool is_pinned, struct sl_diag *d);
bool sl_ops_is_pinned(struct sl_ops *ops, const struct sl_uid *study);
/* The i-th pinned study, in the order of their UIDs. False: there are no more. */
SL_MUST bool sl_ops_pinned(struct sl_ops *ops, size_t i, struct sl_uid *out);
size_t sl_ops_pins(struct sl_ops *ops);

/* The tombstones (all of studies, or one of an instance) are committed, their files about to go. Durable
 * when it returns SL_OK. */
SL_MUST enum sl_status sl_ops_gone(
	struct sl_ops *ops, const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d);

/* True for a file that a removal was on its way with when the node died: not to be indexed again. */
bool sl_ops_is_gone(const struct sl_ops *ops, const struct sl_record *r);
/* True when there may be such files at all. */
bool sl_ops_has_gone(const struct sl_ops *ops);

/* No removal is under way: writes the file anew without them, unless it is short. `always`: even then.
 * No room for that is SL_OK: it is tried again. SL_E_SYNC, SL_E_IO. */
SL_MUST enum sl_status sl_ops_tidy(struct sl_ops *ops, bool always, struct sl_diag *d);
