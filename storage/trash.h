/* trash/: what left the archive and is being unlinked (DESIGN 2, "Evicting and deleting").
 *
 * Happy path: the indexer thread renames folders of studies (or one file) to trash/<seq>, with all
 * folders that changed fsynced, and says so; the trash thread unlinks what it finds there. Until it has, the bytes
 * count as kept. Nobody opens anything in trash/, and a rebuild passes over it, so the unlinking needs no
 * order and no fsync: what a crash leaves is unlinked after the next start.
 *
 * Failure: what cannot be unlinked stays, is counted, and is tried again when more comes.
 *
 * Threads: move on the indexer thread, or in recovery before it starts; add and stats on any.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"
#include "storage/root.h"
#include "storage/water.h"

#define SL_TRASH_BATCH 16 /* tombstones whose files move together */

struct sl_trash;

struct sl_trash_stats {
	uint64_t bytes, files;             /* in trash/ now, not yet unlinked */
	uint64_t freed_bytes, freed_files; /* unlinked since open */
	uint64_t failures;                 /* names that could not be unlinked */
};

/* Takes the files of n tombstones out of the archive, durably, each folder fsynced once: to
 * trash/<seq>; or, where the disk has no room even for that name, unlinks them on the spot (their rows
 * are gone: nothing else is to become of them). SL_OK also when they are gone already. At most
 * SL_TRASH_BATCH. SL_E_FULL, SL_E_SYNC, SL_E_IO; then it may be called again. */
SL_MUST enum sl_status sl_trash_move(const struct sl_root *root,
	const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d);

/* Unlinks all that is in trash/, now, for the room: in recovery, where nobody else does. */
void sl_trash_empty(const struct sl_root *root);

/* Counts what an earlier run left. root is borrowed. Returns owned. */
SL_MUST enum sl_status sl_trash_open(
	struct sl_trash **out, const struct sl_root *root, struct sl_diag *d);

/* Above every <seq> that was in trash/ at open; 0 = it was empty. */
uint64_t sl_trash_next_seq(const struct sl_trash *t);

/* Starts the thread. What it unlinks it takes off `water`, which looks anew after each tombstone's
 * files; then on_freed(arg) is called on it. on_thread as in ioq.h. */
SL_MUST enum sl_status sl_trash_start(struct sl_trash *t, struct sl_water *water,
	void (*on_freed)(void *arg), void *freed_arg, void (*on_thread)(void *arg),
	void *thread_arg, struct sl_diag *d);

/* So much was moved in: unlink it. */
void sl_trash_add(struct sl_trash *t, uint64_t bytes, uint64_t files);

/* Makes the unlinking of spool names durable: an object whose rows are about to go must not come back
 * by its name in the journal. SL_E_SYNC. */
SL_MUST enum sl_status sl_trash_sync_spool(struct sl_trash *t, struct sl_diag *d);

struct sl_trash_stats sl_trash_stats(struct sl_trash *t);

/* Joins the thread, between two files; what is left is unlinked after the next start. */
void sl_trash_stop(struct sl_trash *t);
void sl_trash_close(struct sl_trash *t); /* NULL is allowed */
