/* The table of outcomes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/verdict.h"

const struct sl_verdict_row sl_verdicts[SL_VERDICT_N] = {
#define SL_VERDICT(name, dstat, why, comment) {SL_DSTAT_##dstat, why, comment},
#include "storage/verdict.def"
#undef SL_VERDICT
};

#define SL_VERDICT(name, dstat, why, comment) \
	_Static_assert(sizeof(comment) <= 65, "an Error Comment is an LO of 64 characters");
#include "storage/verdict.def"
#undef SL_VERDICT

enum sl_verdict sl_verdict_of(enum sl_status st)
{
	switch (st) {
	case SL_E_FULL:
		return SL_VERDICT_DISK_FULL;
	case SL_E_SYNC:
		return SL_VERDICT_SYNC_FAILED;
	case SL_E_NOMEM:
		return SL_VERDICT_NO_PLACE;
	case SL_E_CANCELLED:
		return SL_VERDICT_CANCELLED;
	case SL_E_CORRUPT:
	case SL_E_NOTFOUND:
		return SL_VERDICT_RIVAL_UNREADABLE;
	default:
		return SL_VERDICT_IO_ERROR;
	}
}
