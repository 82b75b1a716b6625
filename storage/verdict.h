/* What can become of an object, and what each outcome is called: on the wire, to the person at the
 * modality, and in the log. The one table between causes and DIMSE statuses (PROTOCOL D3, D4).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/dstat.h"
#include "core/status.h"

enum sl_verdict {
#define SL_VERDICT(name, dstat, why, comment) SL_VERDICT_##name,
#include "storage/verdict.def"
#undef SL_VERDICT
	SL_VERDICT_N
};

struct sl_verdict_row {
	enum sl_dstat dstat;
	const char *why;     /* one word for the log, static */
	const char *comment; /* (0000,0902) Error Comment, at most 64 characters; "" on success */
};
extern const struct sl_verdict_row sl_verdicts[SL_VERDICT_N];

/* The verdict of a storage failure: SL_E_FULL -> disk full, SL_E_SYNC -> sync failed, ... */
enum sl_verdict sl_verdict_of(enum sl_status st);
