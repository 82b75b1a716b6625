/* A lost index, made again from the files alone (DESIGN 5).
 *
 * Happy path: threads go through archive/ (scan.h), each file's header and indexed attributes are read
 * again by the walker that read them at ingest, the records are sorted by seq (sorter.h) and put, in
 * that order, into a new index in index/new/. When that is durable and whole, one rename gives it its
 * place. So the outcome depends on what the files say alone, not on the order of folders: the first value
 * is the one with the lowest seq, as it was when the objects came.
 *
 * An index that is there is therefore whole; the old one (if any) stays in use until the rename. A rebuild
 * that was killed runs again at the start of the node, when there is no index though archive/ holds studies,
 * or when it is asked for. It goes on from what the killed one kept of its reading (rekeep.h), as far as
 * that is still so; the writing begins anew.
 *
 * What is in spool/ comes in too, in its turn; recovery moves it afterwards. trash/ and quarantine/ are
 * passed over, but for the seqs they use. What no file says is not there again: see sl_rebuild().
 * Main thread, before the port opens; allocates. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem.h"
#include "core/env.h"
#include "storage/ops.h"
#include "storage/root.h"

enum sl_rebuild_phase {
	SL_REBUILD_RESUMED, /* told once, first, where an earlier one left something */
	SL_REBUILD_READING,
	SL_REBUILD_WRITING,
	SL_REBUILD_DONE
};

struct sl_rebuild_report {
	enum sl_rebuild_phase phase;
	unsigned permille; /* of the phase */
	uint64_t ms;       /* since it began */
	uint64_t files;    /* seen in archive/ and spool/ */
	uint64_t indexed;  /* rows made */
	uint64_t
		bad; /* no sound header, wrong length, not where its UIDs put it, unreadable: left alone */
	char first_bad[96];    /* the end of the path of the first of these that was met */
	unsigned kept_fans;    /* folders hh of archive/ that an earlier rebuild had read... */
	uint64_t kept_files;   /* ...and the files in them: taken over, not read again */
	unsigned dropped_fans; /* that it had read, but were read again... */
	char why_not[96];      /* ...because; "" = all could be taken over */
	uint64_t gone; /* of studies and objects that were being removed: on their way out again */
};

struct sl_rebuild_conf {
	const struct sl_root *root;
	const struct sl_env *env;
	struct sl_elem_limits limits;
	const struct sl_charsets *charsets; /* as in rewalk.h */
	uint64_t inflate_max;               /* dicom.inflate_max [bytes] */
	uint64_t map_size;                  /* index.map_size [bytes] */
	unsigned threads;                   /* that read files */
	size_t memory;                      /* bytes to sort in; 0 = 64 MiB */
	const struct sl_ops
		*ops;      /* what was on its way out when the index was lost; NULL: nothing */
	uint64_t next_seq; /* of the old index, where it is known; else 0 */
	uint64_t keep_ms;  /* what is read is kept about so often (index.checkpoint) */
	/* About once a second, on the caller's thread; may be NULL. */
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far);
	void *arg;
};

/* True when an earlier program's rebuild of the index did not end (a file index/rebuilding stands). */
bool sl_rebuild_is_due(const struct sl_root *root);

/* True when archive/ holds anything: without an index, it has been lost. */
bool sl_rebuild_has_files(const struct sl_root *root);

/* Throws away what a rebuild that was killed left; *had_some where there was any. Nobody has index/new/
 * open. SL_E_IO, SL_E_SYNC. */
SL_MUST enum sl_status sl_rebuild_sweep(
	const struct sl_root *root, bool *had_some, struct sl_diag *d);

/* Makes the index anew and puts it in its place; nobody has it open. The result has the rows of the lost
 * one, but for what no file says: which numbers were given, the values that an object left behind in rows
 * it shared when it was deleted, the seqs of what is gone.
 *
 * SL_OK, also when some files are bad. SL_E_FULL (no room for the new index beside the old one, or for
 * sorting), SL_E_IO, SL_E_SYNC, SL_E_NOMEM: the old index is as it was. */
SL_MUST enum sl_status sl_rebuild(
	const struct sl_rebuild_conf *conf, struct sl_rebuild_report *out, struct sl_diag *d);
