/* One sender: an association after another, on each the objects that are its share.
 *
 *   WAITING -> CONNECTING -> ASKING -> TALKING -> RELEASING -> WAITING ... DONE
 *
 * Happy path: connect, propose the contexts of the mix, send objects (up to the window before the first
 * is answered), release when this association's share is answered, begin the next association.
 *
 * Failure: whatever breaks an association closes it, counts what was under way as lost, and the sender is
 * done, or with --reconnect goes on with its next object.
 *
 * Thread: its worker's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/msg.h"
#include "tools/bench/feed.h"
#include "tools/bench/opts.h"
#include "tools/bench/tally.h"

struct sl_worker;

enum sl_sender_stage {
	SL_SENDER_WAITING, /* for due_ns, to connect */
	SL_SENDER_CONNECTING,
	SL_SENDER_ASKING, /* the request is sent, its answer not here */
	SL_SENDER_TALKING,
	SL_SENDER_RELEASING,
	SL_SENDER_DONE
};

/* An object that is not answered yet. */
struct sl_sender_flight {
	uint16_t message_id; /* 0: the place is free */
	const struct sl_kind *kind;
	struct sl_uid uid;
	uint64_t began_ns, sent_ns; /* sent_ns 0: still being sent */
};

struct sl_sender {
	struct sl_worker *worker; /* borrowed */
	uint32_t index;           /* among all senders of the run */
	enum sl_sender_stage stage;
	int fd; /* -1: none */
	bool is_writable, wants_again;
	uint64_t quota;                /* objects to send; UINT64_MAX: until the time is over */
	uint64_t begun;                /* of these */
	uint64_t of_kind[SL_KIND_MAX]; /* begun, by kind */
	uint64_t due_ns;               /* look again then; 0: nothing due */
	uint64_t heard_ns;             /* when the peer last said or took something */
	uint64_t first_ns, assoc_ns;   /* first connect of all, connect of this association */
	uint64_t broken_ns;            /* since when no association succeeds; 0: it did */
	/* of the association */
	uint64_t in_association; /* objects begun */
	bool accepted[SL_KIND_MAX];
	uint32_t peer_max_len, window, flights_n;
	uint16_t message_id;
	uint64_t next_ns; /* think time: no object begins before */
	uint64_t hold_ns; /* silence before the release ends then; 0: it has not begun */
	uint64_t pace_ns; /* --rate counts from here ... */
	uint64_t paced;   /* ... these bytes */
	struct sl_sender_flight flights[SL_OPTS_WINDOW_MAX];
	struct sl_sender_flight
		*feeding; /* the one in `feed`; NULL: none, or answered before its end */
	struct sl_feed feed;
	size_t out_len, out_sent; /* association PDUs that wait for the socket */
	uint8_t out[2048];
	struct sl_pdu_dec dec;
	struct sl_msg msg;
};

void sl_sender_init(struct sl_sender *s, struct sl_worker *w, uint32_t index, uint64_t quota);

/* epoll says that the socket can be read, written, or is gone. */
void sl_sender_on_ready(struct sl_sender *s, uint32_t events);

/* Does what can be done now: connects, begins objects, writes, releases. */
void sl_sender_pump(struct sl_sender *s);

/* Looks at the clock: gives up a silent peer; pumps when something is due. */
void sl_sender_tick(struct sl_sender *s);
