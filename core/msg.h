/* Assembles DIMSE messages from the fragments of P-DATA-TF PDUs (PS3.7 6.3, PS3.8 annex E).
 *
 * Happy path: the slices of a command's fragments are copied into a fixed buffer; with the last one
 * the command set is decoded and COMMAND is told. If it announces a data set, each of its slices is
 * passed on as DATA, borrowed, never copied; the last one has is_end.
 *
 * A message's fragments all have one presentation context; a command comes before its data, and the
 * next message begins only after the last fragment of this one. Whoever breaks these rules has a
 * stream that cannot be followed any more: SL_E_PDU, and the association ends.
 *
 * Pure; one per association; no pointers inside, nothing to free.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cmd.h"
#include "core/pdu.h"

enum sl_msg_ev_type {
	SL_MSG_EV_COMMAND, /* a command set is complete */
	SL_MSG_EV_DATA,	   /* bytes of the open message's data set */
};

struct sl_msg_ev {
	enum sl_msg_ev_type type;
	uint8_t pcid; /* presentation context of the message */
	/* COMMAND */
	const struct sl_cmd *cmd;  /* in the assembler: valid until the next message's first byte */
	enum sl_status cmd_status; /* SL_OK, or SL_E_COMMAND: take its data set, then answer with
				      sl_cmd_fault_status() and msg->diag.text */
	bool has_data_set;	   /* DATA follows, at least the one with is_end */
	/* DATA */
	const uint8_t *p; /* into the slice: valid as long as the caller holds it */
	uint32_t len;	  /* bytes at p; may be 0 */
	bool is_end;	  /* the message is complete */
};

enum sl_msg_state {
	SL_MSG_IDLE,	/* the next fragment begins a message */
	SL_MSG_COMMAND, /* a command set is coming in */
	SL_MSG_DATA,	/* its data set is coming in */
	SL_MSG_DEAD	/* a rule was broken */
};

/* Fields are the assembler's own, except those marked. */
struct sl_msg {
	struct sl_ul_reason reason; /* for the caller, on SL_E_PDU: the A-ABORT to send */
	struct sl_diag
		diag; /* for the caller: what is wrong with the message; cleared by the next */
	uint64_t data_set_len; /* for the caller: bytes of the open (or last) data set so far */
	uint64_t messages_n;   /* for the caller: commands told */
	struct sl_cmd cmd;
	enum sl_msg_state state;
	uint8_t pcid;		     /* of the open message */
	uint16_t command_len;	     /* bytes in command[] */
	uint8_t accepted[256 / 8];   /* presentation contexts that messages may use, as bits */
	uint8_t command[SL_CMD_MAX]; /* the command set that is coming in */
};

/* No presentation context is accepted yet. */
void sl_msg_init(struct sl_msg *m);

/* Messages may use this presentation context from now on. */
void sl_msg_accept(struct sl_msg *m, uint8_t pcid);

/* True between the first byte of a message and its last. */
bool sl_msg_is_open(const struct sl_msg *m);

/* Takes one slice (a PDV event of sl_pdu_next()); it gives one event at most.
 *
 * Returns SL_OK (*ev filled), SL_AGAIN (taken, nothing to tell), SL_E_PDU (m->reason says which A-ABORT
 * to send, m->diag why; m is then dead and says SL_E_PDU again): a context that was not accepted, a
 * change of context within a message, data before a command, a command before the end of the data, a
 * command set over SL_CMD_MAX, or one that cannot be answered. */
SL_MUST enum sl_status sl_msg_next(
	struct sl_msg *m, const struct sl_pdu_pdv *slice, struct sl_msg_ev *ev);
