/* Objects that recovery found in spool/ and for which the index or the disk had no room. They were
 * acknowledged and they are durable: so the node starts all the same, and they become what they were before
 * the crash, pending objects in the indexer's queue. It tries again as it always does; meanwhile new stores
 * are refused (A700), and whoever deletes or evicts makes the room that is missing.
 *
 * Two versions of one UID, and more objects than the pending table holds, wait for their turn there.
 *
 * Threads: added on the main thread before the others start; handed over on it; turns come on the indexer's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/indexer.h"
#include "storage/pending.h"

struct sl_leftover;

struct sl_leftovers {
	struct sl_leftover *first, *last;
	uint64_t bytes; /* of the files of those that have no row yet; who adds them counts */
	struct sl_pending *pending;
	struct sl_index *index;
	struct sl_indexer *indexer;
};

/* In order of seq. SL_E_NOMEM. */
SL_MUST enum sl_status sl_leftovers_add(struct sl_leftovers *l, const struct sl_record *r,
	const uint8_t digest[SL_DIGEST_LEN], struct sl_diag *d);

/* All of them into the pending table and the queue; the three are borrowed until the indexer has stopped. */
void sl_leftovers_hand_over(struct sl_leftovers *l, struct sl_pending *pending,
	struct sl_index *index, struct sl_indexer *indexer);

/* After the indexer has stopped. */
void sl_leftovers_free(struct sl_leftovers *l);
