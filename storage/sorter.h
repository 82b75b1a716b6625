/* Records by seq, however many: an external merge sort for the rebuild of an index.
 *
 * Happy path: threads add records, each to a lane of its own; when all have, they come out in ascending
 * order of seq. A lane is a piece of memory bought at open; when it is full, it is sorted and written to
 * a file that has no name, as a run. What fits in memory never leaves it: the lanes are the last runs.
 *
 * Failure: no room for the runs is SL_E_FULL, and the lane keeps what it had. Nothing is left behind, not
 * even by kill -9; unless the caller gives the files, to keep the runs for a sorter to come (rekeep.h).
 *
 * Threads: add and flush by one thread for each lane; the rest by one thread at a time, before or after those.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/record.h"
#include "core/status.h"
#include "storage/digest.h"

#define SL_SORTER_LANE_MIN (256 * SL_KIB) /* bytes */

struct sl_sorter;

/* A run in a file. */
struct sl_sorter_run {
	uint64_t off, end;             /* where it lies [bytes] */
	uint64_t n;                    /* records */
	uint8_t digest[SL_DIGEST_LEN]; /* of its bytes */
};

/* A run was written; on the thread that added to the lane. */
typedef void (*sl_sorter_on_run)(void *arg, unsigned lane, const struct sl_sorter_run *run);

/* folder_fd  where the runs are written (O_TMPFILE); borrowed until close
 * memory     bytes of all lanes together; each has SL_SORTER_LANE_MIN at least
 * Returns owned. SL_E_NOMEM. */
SL_MUST enum sl_status sl_sorter_open(
	struct sl_sorter **out, int folder_fd, unsigned lanes, size_t memory, struct sl_diag *d);

/* SL_OK; SL_E_FULL, SL_E_IO. */
SL_MUST enum sl_status sl_sorter_add(
	struct sl_sorter *s, unsigned lane, const struct sl_record *r, struct sl_diag *d);

/* Writes what the lane has in memory as a run, now. As _add(). */
SL_MUST enum sl_status sl_sorter_flush(struct sl_sorter *s, unsigned lane, struct sl_diag *d);

/* Before the first is added: the lane's runs go to fd, from off on. fd is borrowed until close. */
void sl_sorter_use_file(struct sl_sorter *s, unsigned lane, int fd, uint64_t off);
void sl_sorter_tell_runs(struct sl_sorter *s, sl_sorter_on_run on_run, void *arg);

/* Are the run's bytes in the file what they were? SL_OK; SL_E_CORRUPT; SL_E_IO, SL_E_NOMEM. */
SL_MUST enum sl_status sl_sorter_prove(int fd, const struct sl_sorter_run *run, struct sl_diag *d);

/* Takes in a run that an earlier sorter wrote, and that was proved. fd is borrowed until close. */
SL_MUST enum sl_status sl_sorter_adopt(
	struct sl_sorter *s, int fd, const struct sl_sorter_run *run, struct sl_diag *d);

/* All are in; sets out to give them. SL_E_NOMEM. */
SL_MUST enum sl_status sl_sorter_sort(struct sl_sorter *s, struct sl_diag *d);

/* The next one: ascending by seq, then by SOP Instance UID. SL_OK, SL_END; SL_E_IO. */
SL_MUST enum sl_status sl_sorter_next(
	struct sl_sorter *s, struct sl_record *out, struct sl_diag *d);

/* How many were added and adopted. */
uint64_t sl_sorter_count(const struct sl_sorter *s);

void sl_sorter_close(struct sl_sorter *s); /* NULL is allowed */
