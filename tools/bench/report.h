/* The figures of a run, for people and as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "tools/bench/opts.h"
#include "tools/bench/tally.h"

struct sl_report {
	const struct sl_opts *opts;   /* borrowed */
	const struct sl_tally *tally; /* borrowed; all threads together */
	uint64_t ns;                  /* from the first connect to the last close */
	uint64_t cpu_ns;              /* our own, user and system */
};

void sl_report_text(const struct sl_report *r, FILE *out);
void sl_report_json(const struct sl_report *r, FILE *out);
