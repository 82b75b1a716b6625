/* What a run is to do, from the command line.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>

#include "core/ae.h"
#include "tools/bench/kind.h"

#define SL_OPTS_SENDERS_MAX 9000 /* the UIDs' width */
#define SL_OPTS_THREADS_MAX 64
#define SL_OPTS_WINDOW_MAX  32

struct sl_opts {
	struct sockaddr_storage node;
	socklen_t node_len;
	struct sl_ae called, calling;
	uint32_t associations; /* at the same time */
	uint32_t threads;
	uint64_t objects; /* of all senders together, or of each; UINT64_MAX: until duration_ms */
	bool is_each;
	uint64_t per_association; /* objects of one association, then the next; UINT64_MAX: all */
	struct sl_kind kinds[SL_KIND_MAX];
	uint32_t kinds_n, kinds_weight; /* weight: of all together */
	uint32_t series_len;
	uint32_t pdu_len; /* of a data PDU, as the standard counts [bytes]; 0: the peer's maximum */
	uint32_t window;  /* operations asked for; 1: synchronous */
	uint64_t rate;    /* bytes a second of each association; 0: as fast as it goes */
	uint64_t think_ms; /* between response and next object, and between associations */
	uint64_t hold_ms;  /* an association stays open and silent before its release */
	uint64_t
		timeout_ms; /* without a byte of the peer while we wait, or taken while we send; 0: ever */
	uint64_t duration_ms; /* no new object after it; 0: no end */
	uint64_t
		reconnect_ms; /* go on after a broken association, at most this long without one; 0: no */
	uint64_t run;         /* tells this run's UIDs from another's */
	const char *ledger; /* NULL: none */
	const char *json;   /* NULL: none; "-": instead of the text */
	bool has_histogram, expects_failures, is_quiet;
};

enum sl_opts_verdict { SL_OPTS_RUN, SL_OPTS_HELP, SL_OPTS_USAGE };

/* Reads the command line; says on standard error what is wrong. sl_opts_fini() gives back the kinds. */
enum sl_opts_verdict sl_opts_parse(struct sl_opts *o, int argc, char **argv);
void sl_opts_fini(struct sl_opts *o);
