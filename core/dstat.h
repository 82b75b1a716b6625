/* The DIMSE statuses as one table, read by the responses, the log and the conformance statement.
 *
 * What goes into (0000,0900) is an enum sl_dstat and nothing else. The row of a status holds the
 * standard's meaning and the condition under which we send it, so that code and conformance
 * statement cannot drift apart. PS3.7 annex C; PS3.4 B.2.3.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

/* Two names may share a code (A900 means one thing to C-STORE and another to C-FIND). */
enum sl_dstat {
#define SL_DSTAT(name, code, kind, services, meaning, sent_when) SL_DSTAT_##name = (code),
#include "core/dstat.def"
#undef SL_DSTAT
};

enum sl_dstat_kind {
	SL_DSTAT_KIND_SUCCESS,
	SL_DSTAT_KIND_WARNING, /* done, with a remark */
	SL_DSTAT_KIND_FAILURE,
	SL_DSTAT_KIND_CANCEL,
	SL_DSTAT_KIND_PENDING /* more responses follow */
};

/* Bits: the services whose responses may carry a status. */
enum sl_dstat_service {
	SL_DSTAT_FOR_STORE = 1 << 0,
	SL_DSTAT_FOR_ECHO = 1 << 1,
	SL_DSTAT_FOR_FIND = 1 << 2,
	SL_DSTAT_FOR_MOVE = 1 << 3,
	SL_DSTAT_FOR_GET = 1 << 4,
	SL_DSTAT_FOR_COMMIT = 1 << 5,
	SL_DSTAT_FOR_ANY = (1 << 6) - 1
};

struct sl_dstat_row {
	enum sl_dstat code;
	enum sl_dstat_kind kind;
	unsigned services;     /* enum sl_dstat_service bits */
	const char *name;      /* "OUT_OF_RESOURCES": for logs and tests */
	const char *meaning;   /* the standard's words */
	const char *sent_when; /* completes "sent when ..."; "" = we never send it */
};

/* All rows, ascending by code. *n is their number. */
const struct sl_dstat_row *sl_dstat_rows(size_t *n);

/* The row of a code for a service; NULL when there is none. */
const struct sl_dstat_row *sl_dstat_find(uint16_t code, enum sl_dstat_service service);

/* The kind of any code, known or not (PS3.7 C: 0001, 0107, 0116 and Bxxx warn; FE00 cancels; FF00
 * and FF01 are pending; 0000 succeeds; the rest fails). */
enum sl_dstat_kind sl_dstat_kind_of(uint16_t code);

/* "success", "warning", ... in lower case, for the log and the conformance statement. */
const char *sl_dstat_kind_name(enum sl_dstat_kind kind);
