/* What a rebuild has read, kept on the disk as it goes: one that is killed goes on from there.
 *
 * Happy path: the sorter's runs go to files in index/new/, a file for each thread. Now and then, when a thread
 * has finished an hh of archive/, it writes what it has in memory as a run, makes its file durable, and
 * then appends a mark to index/new/kept: these folders have been read, their records are in these runs. The
 * next rebuild takes the runs over and passes over the folders.
 *
 * Nothing is trusted: a mark has a checksum and its runs have digests, the file says what program and
 * what configuration read them, and a mark holds the sum (scan.h) of each of its folders as it was before it
 * was read. A mark of which anything is different is dropped, its folders are read again, and found says
 * why. Folders in which anything was bad are never kept: it may have been mended.
 *
 * Failure: no room to keep more is no failure, the rest is only not kept. A failed sync is SL_E_SYNC.
 * Threads: _has(), _spoil(), _fan() on those of the scan; the rest by one, before or after them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/env.h"
#include "storage/root.h"
#include "storage/scan.h"
#include "storage/sorter.h"

struct sl_rekeep_conf {
	const struct sl_root *root; /* index/new/ is there */
	const struct sl_env *env;
	struct sl_sorter *sorter;        /* open, nothing added yet; closed before this is */
	unsigned threads;                /* of the scan, and lanes of the sorter */
	uint64_t interval_ms;            /* kept about so often; 0: after each hh */
	uint8_t identity[SL_DIGEST_LEN]; /* of all else that decides what a record is read as */
};

struct sl_rekeep_found {
	unsigned fans;    /* folders hh that need not be read again */
	uint64_t files;   /* in them */
	unsigned dropped; /* folders hh that were kept, and are read again... */
	char why_not[96]; /* ...why, or why nothing could be used; "" when there was nothing */
};

struct sl_rekeep;

/* Takes over what an earlier rebuild kept, as far as it is still true. Returns owned.
 * SL_E_FULL, SL_E_IO, SL_E_SYNC, SL_E_NOMEM. */
SL_MUST enum sl_status sl_rekeep_open(struct sl_rekeep **out, const struct sl_rekeep_conf *conf,
	struct sl_rekeep_found *found, struct sl_diag *d);

/* True for an hh that was read before. */
bool sl_rekeep_has(const struct sl_rekeep *k, const char *fan);

/* Something is bad in the hh that the thread reads. */
void sl_rekeep_spoil(struct sl_rekeep *k, unsigned thread);

/* The thread has read an hh, and added its records to its lane. SL_E_SYNC, SL_E_IO. */
SL_MUST enum sl_status sl_rekeep_fan(
	struct sl_rekeep *k, unsigned thread, const struct sl_scan_fan *fan, struct sl_diag *d);

/* All is read: keeps the rest too, if anything was kept or a while has passed. As _fan(). */
SL_MUST enum sl_status sl_rekeep_end(struct sl_rekeep *k, struct sl_diag *d);

void sl_rekeep_close(struct sl_rekeep *k); /* NULL is allowed; what is kept stays */
