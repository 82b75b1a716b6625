/* Marks of what a rebuild has read (rekeep.h), and their bytes.
 *
 *	head  "SLUICEKP", version, identity, checksum
 *	mark  its length, the lane, {hh, sum} of each folder, {off, end, records, digest} of each run, checksum
 *
 * Decoding takes any bytes: a mark is whole or it is none. Pure. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/wbuf.h"
#include "storage/sorter.h"

enum {
	SL_REKEEP_FANS = 256,
	SL_REKEEP_RUNS_MAX = 1024, /* of one mark */
	SL_REKEEP_HEAD_LEN = 8 + 4 + SL_DIGEST_LEN + 8,
	SL_REKEEP_MARK_MAX = 4 + 1 + 2 + 4 + SL_REKEEP_FANS * 9 +
			     SL_REKEEP_RUNS_MAX * (3 * 8 + SL_DIGEST_LEN) + 8,
	SL_REKEEP_KEPT_MAX =
		SL_REKEEP_HEAD_LEN + SL_REKEEP_FANS * SL_REKEEP_MARK_MAX, /* a mark an hh at most */
};

struct sl_rekeep_fan_sum {
	uint8_t no;   /* hh */
	uint64_t sum; /* scan.h */
};

/* "These folders have been read; their records are in these runs." */
struct sl_rekeep_mark {
	uint8_t lane; /* whose file has the runs; below SL_SCAN_THREADS_MAX */
	uint16_t fans_n;
	uint32_t runs_n;
	struct sl_rekeep_fan_sum fans[SL_REKEEP_FANS];
	struct sl_sorter_run runs[SL_REKEEP_RUNS_MAX];
};

/* The number of an hh, or -1. */
int sl_rekeep_fan_no(const char *fan);

void sl_rekeep_mark_put_head(struct sl_wbuf *w, const uint8_t identity[SL_DIGEST_LEN]);

/* Into an empty w of SL_REKEEP_MARK_MAX bytes. */
void sl_rekeep_mark_put(struct sl_wbuf *w, const struct sl_rekeep_mark *m);

/* Reads the mark at c and passes it; false, and c stays, where none is whole. */
SL_MUST bool sl_rekeep_mark_get(struct sl_cur *c, struct sl_rekeep_mark *m);
