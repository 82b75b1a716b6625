/* Recovery: what a crash left in spool/ becomes what it was promised to be (DESIGN 2, "What a crash
 * finds"). Runs before the port opens.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"
#include "storage/leftover.h"
#include "storage/rewalk.h"
#include "storage/root.h"
#include "storage/store_fs.h"

struct sl_recover_deps {
	const struct sl_root *root;
	struct sl_store *store; /* store_fs on that root */
	struct sl_index *index;
	struct sl_elem_limits limits;
	uint64_t inflate_max;               /* bytes */
	struct sl_leftovers *left;          /* gets what the index or the disk has no room for */
	const struct sl_charsets *charsets; /* as in rewalk.h */
};

struct sl_recover_report {
	uint64_t found;       /* names of objects in spool/ */
	uint64_t indexed;     /* whole objects that had no row */
	uint64_t moved;       /* objects now in the archive, of found */
	uint64_t removed;     /* files that were being written: nobody was told of them */
	uint64_t quarantined; /* named files that are not what their header says */
	uint64_t left;        /* stay in the spool: no room in the index or on the disk */
	uint64_t foreign;     /* names that are not ours: left alone */
	uint64_t tombstones;  /* removals finished: the files are in trash/ now */
	uint64_t next_seq;    /* above every seq in spool/ and index */
	uint64_t next_berth;  /* above the number of every berth that stays in spool/ */
	char first_bad[32];   /* name of the first one quarantined, for the log; "" */
};

/* Puts every whole object of spool/ into the index, in the order of seq, and moves it to the archive;
 * removes part files; moves what is damaged to quarantine/ (a file that has a name is never deleted).
 * Every folder touched is fsynced. Running it twice changes nothing.
 * What the index or the disk has no room for stays in the spool and goes to deps->left.
 * SL_OK; SL_E_FULL (not even room for the name of what is set aside), SL_E_IO,
 * SL_E_SYNC, SL_E_CORRUPT. */
SL_MUST enum sl_status sl_recover(
	const struct sl_recover_deps *deps, struct sl_recover_report *out, struct sl_diag *d);

/* Carries out the removals that were committed and not carried out (part of sl_recover()). *moved counts
 * them. SL_E_FULL, SL_E_IO, SL_E_SYNC, SL_E_CORRUPT. */
SL_MUST enum sl_status sl_recover_tombstones(
	const struct sl_root *root, struct sl_index *index, uint64_t *moved, struct sl_diag *d);
