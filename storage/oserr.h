/* What the operating system's error numbers mean for the store: the one translation.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <string.h>

#include "core/status.h"

/* The status of a failed file operation. Never SL_E_SYNC: that one follows from which call failed
 * (fsync, fdatasync), not from its errno, and is said by the caller. */
static inline enum sl_status sl_oserr_status(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return SL_E_FULL;
	case ENOENT:
		return SL_E_NOTFOUND;
	case EEXIST:
		return SL_E_EXISTS;
	case ENOMEM:
		return SL_E_NOMEM;
	default:
		return SL_E_IO;
	}
}

/* What errno says, told: "where: No space left on device". Right after the call that failed. */
SL_MUST static inline enum sl_status sl_oserr_fail(struct sl_diag *d, const char *where)
{
	int e = errno;
	return sl_fail(d, sl_oserr_status(e), e, where, "%s: %s", where, strerror(e));
}
