/* The DICOM conformance statement, printed by `sluiced --print-conformance` as Markdown.
 *
 * Structure after PS3.2 annex N. Its tables are the arrays the program works with (registry, transfer
 * syntax order, outcomes of negotiation, DIMSE statuses) and the limits it was configured with: what
 * is printed is what the node negotiates.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "core/elem.h"
#include "core/nego.h"

/* The configuration the statement speaks of. Borrows. */
struct sl_conformance_opts {
	const struct sl_nego_policy *policy; /* the node's, not a peer's */
	const char *version;                 /* of the program: "0.1.0" */
	const char *ae_title;
	bool check_called_ae;
	bool accept_unknown_peers;
	uint16_t port;
	uint32_t max_associations;
	uint32_t max_pdu;            /* Maximum Length we declare [bytes]; 0 = any */
	uint64_t artim_ms;           /* PS3.8 9.1.5 */
	uint64_t idle_ms;            /* silence between two messages */
	uint64_t min_rate;           /* slowest message [bytes/s]; 0 = none */
	uint64_t min_rate_window_ms; /* measured over this time */
	uint64_t max_object;         /* largest data set [bytes] */
	struct sl_elem_limits limits;
	bool durable;           /* storage.durability is "fsync" */
	const char *duplicates; /* the configuration's words: "latest", "first", "refuse" */
	const char *unsound;    /* "keep", "warn", "refuse" */
};

/* Prints the whole statement; write errors stay with f (ferror). Not for a loop thread. */
void sl_conformance_print(FILE *f, const struct sl_conformance_opts *opts);
