/* Are files and index what they should be, and do they say the same? (sluiced --verify)
 *
 * Happy path: the index is counted anew, in itself (sl_index_check: every row, key and counter); threads go
 * through archive/ and look at each file: is it one of ours, whole, under the name and in the place that
 * are its own, and does its row say what it says; then every row is asked for its file.
 *   quick  reads headers: names, lengths, checksums of headers, rows both ways, counters
 *   full   reads everything: each data set against its digest, and the values in the rows against the
 *          attributes in the files
 *
 * Nothing is repaired and no file is touched. Findings are told one by one, in no order. What a stopped
 * node may well have is no damage and only counted: spool/ (recovery will move it), removals under way.
 *
 * Runs on a stopped node's folder, by the one who holds its lock. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem.h"
#include "core/env.h"
#include "storage/index.h"
#include "storage/path.h"
#include "storage/root.h"

enum sl_verify_kind {
	SL_VERIFY_INDEX, /* index: it is lost, unreadable, or its rows disagree among themselves */
	SL_VERIFY_STRAY, /* stray: something that the node did not put there */
	SL_VERIFY_UNREADABLE, /* unreadable: the disk or its permissions */
	SL_VERIFY_HEADER,     /* header: not one of ours, or damaged */
	SL_VERIFY_LENGTH,     /* length: not what the header says */
	SL_VERIFY_DIGEST,     /* digest: the data set's bytes have changed */
	SL_VERIFY_PLACE,      /* place: not where, or not called what, its UIDs say */
	SL_VERIFY_NO_ROW,     /* no-row: a file that the index does not know */
	SL_VERIFY_ROW,        /* row: the row says something else than the file */
	SL_VERIFY_NO_FILE,    /* no-file: a row without its file */
	SL_VERIFY_KINDS
};

/* "no-row" and the like. */
const char *sl_verify_kind_name(enum sl_verify_kind kind);

struct sl_verify_report {
	uint64_t files, rows; /* looked at */
	uint64_t bytes;       /* of the data sets read (full) */
	uint64_t found[SL_VERIFY_KINDS];
	uint64_t spool,
		tombstones; /* not damage: what the next start moves, and finishes removing */
	uint64_t ms;
};

struct sl_verify_conf {
	const struct sl_root *root;
	const struct sl_env *env;
	struct sl_elem_limits limits;
	uint64_t inflate_max, map_size; /* bytes */
	unsigned threads;
	bool is_full;
	bool has_no_index; /* the index cannot be read: files alone */
	/* One call at a time. path: beneath storage.root, not escaped, "" where there is none. */
	void (*on_finding)(void *arg, enum sl_verify_kind kind, const char *path, const char *text);
	/* About once a second; may be NULL. permille: of what is under way. */
	void (*on_progress)(void *arg, const struct sl_verify_report *so_far, unsigned permille);
	void *arg;
};

/* The index in itself; first, for on some damage LMDB crashes. Findings are counted in *out. SL_OK, also
 * with findings; SL_E_BUSY, SL_E_UNSUPPORTED, SL_E_NOMEM, SL_E_FULL. */
SL_MUST enum sl_status sl_verify_index(
	const struct sl_verify_conf *conf, struct sl_verify_report *out, struct sl_diag *d);

/* The files, and unless has_no_index the rows against them. SL_OK, also with findings; as above, and
 * SL_E_IO where archive/ itself cannot be read. */
SL_MUST enum sl_status sl_verify_files(
	const struct sl_verify_conf *conf, struct sl_verify_report *out, struct sl_diag *d);

uint64_t sl_verify_findings(const struct sl_verify_report *r);
