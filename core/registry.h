/* What DICOM has a UID for: SOP classes and transfer syntaxes as sorted const tables.
 *
 * The rows come from DCMTK's registry at build time (tools/registry_gen.cc), joined with what that
 * DCMTK does not know yet (registry_extra.def). A row's number is its place in the table: it changes
 * with the tables and is for memory only, never for disk or wire.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/uid.h"

/* What a SOP class is for, as far as negotiation has to know. */
enum sl_sop_kind {
	SL_SOP_STORAGE,      /* instances travel by C-STORE, also those without a patient */
	SL_SOP_VERIFICATION, /* C-ECHO */
	SL_SOP_FIND,
	SL_SOP_MOVE,
	SL_SOP_GET,
	SL_SOP_COMMITMENT, /* Storage Commitment, push model */
	SL_SOP_OTHER, /* worklists, procedure steps, print, media, ...: named, not told apart */
	SL_SOP_KIND_N
};

struct sl_sop_row {
	const char *uid;
	const char *name;     /* as in PS3.6 where DCMTK's keyword lets us say it */
	const char *modality; /* DCMTK's two to four letters ("CT", "SRd"); "" where it has none */
	enum sl_sop_kind kind;
	bool retired;
};

/* How gladly an object is taken in a transfer syntax, best first: DESIGN, contract of names.
 * Within one rank the requestor's order decides. */
enum sl_ts_rank {
	SL_TS_EXPLICIT_LE,
	SL_TS_IMPLICIT_LE,
	SL_TS_BIG_ENDIAN,     /* of data set or pixels */
	SL_TS_DEFLATED,       /* the whole data set */
	SL_TS_LOSSLESS,       /* encapsulated, no information lost (or not compressed at all) */
	SL_TS_LOSSY,          /* encapsulated, lossy or allowed to be */
	SL_TS_REFERENCED,     /* the pixels are elsewhere (JPIP, SMPTE ST 2110 flows) */
	SL_TS_NOT_A_DATA_SET, /* known by name, but no encoding that C-STORE could carry */
	SL_TS_RANK_N
};

struct sl_ts_row {
	const char *uid;
	const char *name;
	enum sl_ts_rank rank;
	bool explicit_vr;  /* else implicit VR */
	bool big_endian;   /* of the data set */
	bool encapsulated; /* Pixel Data is fragments in undefined length (PS3.5 A.4) */
	bool deflated;     /* the data set is one deflate stream (PS3.5 A.5) */
	bool retired;
};

#define SL_REGISTRY_NONE   ((uint16_t)0xFFFF) /* no row */
#define SL_REGISTRY_TS_MAX 128 /* transfer syntaxes; the table is asserted to be shorter */

/* The row of a UID, NULL when it is not in the table. By halves: O(log n). */
const struct sl_sop_row *sl_registry_sop_class(const struct sl_uid *uid);
const struct sl_ts_row *sl_registry_ts(const struct sl_uid *uid);

/* Whole tables, ascending by UID (as strings). *n is the number of rows. */
const struct sl_sop_row *sl_registry_sop_classes(size_t *n);
const struct sl_ts_row *sl_registry_transfer_syntaxes(size_t *n);

/* Number of a row and back; NULL is SL_REGISTRY_NONE. Asserts that the number is in range. */
uint16_t sl_registry_sop_number(const struct sl_sop_row *row);
uint16_t sl_registry_ts_number(const struct sl_ts_row *row);
const struct sl_sop_row *sl_registry_sop_at(uint16_t number);
const struct sl_ts_row *sl_registry_ts_at(uint16_t number);

/* "storage", "find", ...; "explicit-le", "lossy", ...: for logs and the conformance statement. */
const char *sl_registry_sop_kind_name(enum sl_sop_kind kind);
const char *sl_registry_ts_rank_name(enum sl_ts_rank rank);
