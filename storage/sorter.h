/* Records by seq, however many: an external merge sort for the rebuild of an index.
 *
 * Happy path: threads add records, each to a lane of its own; when all have, they come out in ascending
 * order of seq. A lane is a piece of memory bought at open; when it is full, it is sorted and written to
 * a file that has no name, as a run. What fits in memory never leaves it: the lanes are the last runs.
 *
 * Failure: no room for the runs is SL_E_FULL. Nothing is left behind, not even by kill -9.
 *
 * Threads: add by one thread for each lane; the rest by one thread, after those have ended.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/record.h"
#include "core/status.h"

#define SL_SORTER_LANE_MIN (256 * SL_KIB) /* bytes */

struct sl_sorter;

/* folder_fd  where the runs are written (O_TMPFILE); borrowed until close
 * memory     bytes of all lanes together; each has SL_SORTER_LANE_MIN at least
 * Returns owned. SL_E_NOMEM. */
SL_MUST enum sl_status sl_sorter_open(
	struct sl_sorter **out, int folder_fd, unsigned lanes, size_t memory, struct sl_diag *d);

/* SL_OK; SL_E_FULL, SL_E_IO. */
SL_MUST enum sl_status sl_sorter_add(
	struct sl_sorter *s, unsigned lane, const struct sl_record *r, struct sl_diag *d);

/* All are in; sets out to give them. SL_E_NOMEM. */
SL_MUST enum sl_status sl_sorter_sort(struct sl_sorter *s, struct sl_diag *d);

/* The next one: ascending by seq, then by SOP Instance UID. SL_OK, SL_END; SL_E_IO. */
SL_MUST enum sl_status sl_sorter_next(
	struct sl_sorter *s, struct sl_record *out, struct sl_diag *d);

/* How many were added. */
uint64_t sl_sorter_count(const struct sl_sorter *s);

void sl_sorter_close(struct sl_sorter *s); /* NULL is allowed */
