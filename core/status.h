/* How functions say what happened, and the one place a failure's cause is written down.
 *
 * Zero is success, positive is "not an error", negative is failure. Codes of LMDB, errno, libuv and
 * zlib are translated in the one file that owns each. What goes on the wire is another enum
 * (dstat.h for DIMSE, struct sl_ul_reason for the upper layer); the translation is one table each.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

enum sl_status {
	SL_OK = 0,
	SL_AGAIN = 1,	   /* needs more bytes, or will be answered later by the callback */
	SL_END = 2,	   /* nothing further; not an error */
	SL_E_PDU = -1,	   /* the peer broke the upper layer protocol (PS3.8) */
	SL_E_COMMAND = -2, /* a command set that cannot be understood (PS3.7) */
	SL_E_DATASET = -3, /* a data set that cannot be understood (PS3.5) */
	SL_E_LIMIT = -4,   /* a named limit was exceeded */
	SL_E_NOMEM = -5,   /* a fixed table or pool has no free place */
	SL_E_IO = -6,	   /* a file operation failed */
	SL_E_FULL = -7,	   /* no space, inodes, quota or index room (ENOSPC, EDQUOT, MAP_FULL) */
	SL_E_SYNC = -8, /* fsync/fdatasync failed: the store latches FAILED, the process leaves */
	SL_E_CORRUPT = -9,	/* what we wrote earlier is not what we find */
	SL_E_NOTFOUND = -10,	/* no such thing */
	SL_E_EXISTS = -11,	/* there is one already */
	SL_E_CONFIG = -12,	/* the configuration does not allow it */
	SL_E_BUSY = -13,	/* somebody else holds it */
	SL_E_CANCELLED = -14,	/* given up by our own order (association gone, shutdown) */
	SL_E_UNSUPPORTED = -15, /* a valid request for something we do not do */
};

/* "SL_E_IO" and the like, for logs and tests; "SL_?" for a value outside the enum. */
const char *sl_status_name(enum sl_status st);

/* Where and why something failed. The place that fails fills it; outer levels only return.
 * Owned by the connection, the object or the caller; `text` holds no patient data. */
struct sl_diag {
	enum sl_status status; /* SL_OK while nothing failed */
	int errnum;	       /* errno of the failing call, 0 where there is none */
	const char *where;     /* static string: "spool/link", "lmdb/commit" */
	char text[160];	       /* one sentence, always terminated */
};

/* Fills *d (which may be NULL) and returns st, so that `return sl_fail(...)` reads well.
 * The first failure stays: a diag that already holds one is not overwritten. */
enum sl_status sl_fail(struct sl_diag *d, enum sl_status st, int errnum, const char *where,
	const char *fmt, ...) SL_PRINTF(5, 6);
