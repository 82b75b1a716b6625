/* One C-STORE request as the bytes it is on the wire: its command, then its data set in P-DATA-TF PDUs.
 *
 * Nothing of a data set is copied: the feed gives gather lists of PDU headers and of places in the kind's
 * memory, from wherever the socket has stopped taking.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/bench/kind.h"

#define SL_FEED_COMMAND_MAX 512 /* PDUs of a C-STORE-RQ [bytes] */
#define SL_FEED_PDU_HEAD    12  /* bytes before a fragment's value */

struct sl_feed {
	const struct sl_kind *kind; /* NULL: nothing to send */
	uint64_t sent, len;         /* bytes on the wire */
	uint32_t fragment;          /* value bytes of a data PDU; the last one may have fewer */
	size_t command_len;
	uint8_t command[SL_FEED_COMMAND_MAX];
	uint8_t pdu_head[SL_FEED_PDU_HEAD], last_head[SL_FEED_PDU_HEAD];
	uint8_t head[SL_KIND_HEAD_MAX]; /* the open object's own */
};

/* How an association sends. */
struct sl_feed_params {
	uint8_t pcid;
	uint16_t message_id;
	uint32_t peer_max_len; /* of the association's answer; 0 = any */
	uint32_t fragment;     /* value bytes of a data PDU */
};

/* Begins an object; its SOP Instance UID into *uid. */
void sl_feed_begin(struct sl_feed *f, const struct sl_kind *kind, const struct sl_kind_id *id,
	const struct sl_feed_params *params, struct sl_uid *uid);

static inline bool sl_feed_is_open(const struct sl_feed *f)
{
	return f->kind != NULL && f->sent < f->len;
}

/* What to send next: fills at most n entries, at most max bytes; returns the number of entries. */
int sl_feed_gather(const struct sl_feed *f, struct iovec *iov, int n, size_t max);

/* The socket took n bytes. */
void sl_feed_advance(struct sl_feed *f, size_t n);
