/* A lost index, made again from the files alone (DESIGN 5).
 *
 * Runs at start when there is no index though archive/ holds studies, or when an earlier rebuild did
 * not end: a file `index/rebuilding` stands from before the empty index is made to the last commit. Every file's header and
 * indexed attributes are read again by the walker that read them at ingest; putting a row that is
 * there already changes nothing, so a rebuild that was killed simply runs again.
 *
 * trash/ and quarantine/ are not looked at; what is in spool/ comes in by recovery, afterwards.
 * Main thread, before the port opens; allocates.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/recover.h"

struct sl_rebuild_report {
	uint64_t files;   /* *.dcm seen in archive/ */
	uint64_t indexed; /* rows made */
	uint64_t bad; /* no sound header, wrong length, or not where its UIDs put it: left alone */
	char first_bad[96]; /* the end of the path of the first of these */
	uint64_t gone; /* of studies and objects that were being removed: on their way out again */
};

/* There is no index: if archive/ holds anything, sets the marker, durably. Before an empty index is made,
 * so that a crash between the two cannot leave an empty index that looks whole. */
SL_MUST enum sl_status sl_rebuild_announce(const struct sl_root *root, struct sl_diag *d);

/* True while the marker stands. */
bool sl_rebuild_is_due(const struct sl_root *root);

/* on_progress: every few thousand files; may be NULL. SL_OK; SL_E_FULL, SL_E_IO, SL_E_CORRUPT. */
SL_MUST enum sl_status sl_rebuild(const struct sl_recover_deps *deps,
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far), void *arg,
	struct sl_rebuild_report *out, struct sl_diag *d);
