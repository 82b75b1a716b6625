/* What a run has seen, counted. One per thread, added up at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/bench/lat.h"

#define SL_TALLY_STATUSES 16 /* told apart; more go into the last one */

/* How associations end. */
enum sl_tally_end {
	SL_TALLY_RELEASED,
	SL_TALLY_NOT_CONNECTED,
	SL_TALLY_REJECTED,
	SL_TALLY_NO_CONTEXT, /* accepted, but not the context of an object to be sent */
	SL_TALLY_ABORTED,
	SL_TALLY_CLOSED, /* by the peer, without a word; or reset */
	SL_TALLY_TIMEOUT,
	SL_TALLY_BAD_PEER, /* what it said cannot be understood */
	SL_TALLY_END_N
};

struct sl_tally {
	struct sl_lat object; /* first byte of the request given to the kernel to response read */
	struct sl_lat answer; /* last byte given to the kernel to response read */
	struct sl_lat association; /* connect to close, of those released */
	struct sl_lat sender; /* first connect to last close of a sender with all it had to do */
	struct {
		uint16_t code;
		uint64_t n;
	} statuses[SL_TALLY_STATUSES];
	size_t statuses_n;
	uint64_t stored;     /* answered 0000 */
	uint64_t failed;     /* answered otherwise, Bxxx too */
	uint64_t lost;       /* begun, never answered */
	uint64_t unsent;     /* never begun */
	uint64_t stored_len; /* bytes of data sets answered 0000 */
	uint64_t wire_len;   /* bytes given to the kernel */
	uint64_t ends[SL_TALLY_END_N];
};

void sl_tally_status(struct sl_tally *t, uint16_t code);
void sl_tally_merge(struct sl_tally *into, const struct sl_tally *from);

/* Everything was sent, answered 0000 and released. */
bool sl_tally_is_clean(const struct sl_tally *t);

/* "rejected" and the like. */
const char *sl_tally_end_name(enum sl_tally_end end);
