/* Names of the status codes and the filling of a diagnosis.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *sl_status_name(enum sl_status st)
{
	switch (st) {
	case SL_OK:
		return "SL_OK";
	case SL_AGAIN:
		return "SL_AGAIN";
	case SL_END:
		return "SL_END";
	case SL_E_PDU:
		return "SL_E_PDU";
	case SL_E_COMMAND:
		return "SL_E_COMMAND";
	case SL_E_DATASET:
		return "SL_E_DATASET";
	case SL_E_LIMIT:
		return "SL_E_LIMIT";
	case SL_E_NOMEM:
		return "SL_E_NOMEM";
	case SL_E_IO:
		return "SL_E_IO";
	case SL_E_FULL:
		return "SL_E_FULL";
	case SL_E_SYNC:
		return "SL_E_SYNC";
	case SL_E_CORRUPT:
		return "SL_E_CORRUPT";
	case SL_E_NOTFOUND:
		return "SL_E_NOTFOUND";
	case SL_E_EXISTS:
		return "SL_E_EXISTS";
	case SL_E_CONFIG:
		return "SL_E_CONFIG";
	case SL_E_BUSY:
		return "SL_E_BUSY";
	case SL_E_CANCELLED:
		return "SL_E_CANCELLED";
	case SL_E_UNSUPPORTED:
		return "SL_E_UNSUPPORTED";
	}
	return "SL_?";
}

enum sl_status sl_fail(
	struct sl_diag *d, enum sl_status st, int errnum, const char *where, const char *fmt, ...)
{
	if (d == NULL || d->status != SL_OK)
		return st;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	d->status = st;
	d->errnum = errnum;
	d->where = where;
	return st;
}
