/* A peer's bytes as this target's oracle and its mutator understand them: PDUs, and the messages in them.
 *
 * An input is DIALOGUE_HEAD bytes of choices and then all that the peer sends, from the A-ASSOCIATE-RQ on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/uid.h"

#define DIALOGUE_HEAD     2
#define DIALOGUE_INPUT    32768 /* longest input [bytes] */
#define DIALOGUE_MESSAGES 1024  /* more do not fit into one */

struct dialogue_message {
	uint16_t id;
	bool is_store, is_whole; /* C-STORE-RQ; its last fragment was sent */
	struct sl_uid uid;       /* Affected SOP Instance UID; absent: none that can be read */
	size_t at, n;            /* its data set, in struct dialogue's bytes */
};

struct dialogue {
	struct dialogue_message messages[DIALOGUE_MESSAGES];
	unsigned messages_n;
	uint8_t bytes[DIALOGUE_INPUT]; /* the data sets, one behind the other */
	size_t n;
};

/* What the peer has sent, up to where nobody could follow it. Knows nothing of states, contexts and
 * limits: it finds at least the messages that the node may take. */
void dialogue_read(struct dialogue *d, const uint8_t *stream, size_t n);

/* The next PDU of the stream, *at moved behind it: its length with the header, cut where the stream
 * ends; 0: none. */
size_t dialogue_pdu(const uint8_t *stream, size_t n, size_t *at);
