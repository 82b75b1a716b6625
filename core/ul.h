/* The upper layer's state machine: PS3.8 section 9.2 as const tables.
 *
 * 13 states, 19 events and 28 actions carry the standard's own numbers. Table 9-10 says which action
 * an event causes in a state; tables 9-6 to 9-9 say what an action does and which state follows. Both
 * are data here. Nothing in this file performs anything: server/assoc.c carries the effects out, in
 * ascending order of their bits, and then stores the next state.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

/* PS3.8 tables 9-1 to 9-5. */
enum sl_ul_state {
	SL_UL_STA_NONE,
	SL_UL_STA1,  /* idle */
	SL_UL_STA2,  /* transport open, awaiting A-ASSOCIATE-RQ (ARTIM runs) */
	SL_UL_STA3,  /* awaiting the local A-ASSOCIATE response */
	SL_UL_STA4,  /* awaiting the transport connection (requestor) */
	SL_UL_STA5,  /* awaiting A-ASSOCIATE-AC or -RJ (requestor) */
	SL_UL_STA6,  /* association established, data transfer */
	SL_UL_STA7,  /* awaiting A-RELEASE-RP */
	SL_UL_STA8,  /* awaiting the local A-RELEASE response */
	SL_UL_STA9,  /* release collision, requestor: awaiting the local A-RELEASE response */
	SL_UL_STA10, /* release collision, acceptor: awaiting A-RELEASE-RP */
	SL_UL_STA11, /* release collision, requestor: awaiting A-RELEASE-RP */
	SL_UL_STA12, /* release collision, acceptor: awaiting the local A-RELEASE response */
	SL_UL_STA13, /* awaiting the close of the transport connection (ARTIM runs) */
	SL_UL_STA_N
};

/* PS3.8 table 9-10, first column. */
enum sl_ul_event {
	SL_UL_EVT_NONE,
	SL_UL_EVT1,  /* A-ASSOCIATE request (local) */
	SL_UL_EVT2,  /* transport connect confirmation */
	SL_UL_EVT3,  /* A-ASSOCIATE-AC PDU */
	SL_UL_EVT4,  /* A-ASSOCIATE-RJ PDU */
	SL_UL_EVT5,  /* transport connection indication */
	SL_UL_EVT6,  /* A-ASSOCIATE-RQ PDU */
	SL_UL_EVT7,  /* A-ASSOCIATE response, accept (local) */
	SL_UL_EVT8,  /* A-ASSOCIATE response, reject (local) */
	SL_UL_EVT9,  /* P-DATA request (local) */
	SL_UL_EVT10, /* P-DATA-TF PDU */
	SL_UL_EVT11, /* A-RELEASE request (local) */
	SL_UL_EVT12, /* A-RELEASE-RQ PDU */
	SL_UL_EVT13, /* A-RELEASE-RP PDU */
	SL_UL_EVT14, /* A-RELEASE response (local) */
	SL_UL_EVT15, /* A-ABORT request (local) */
	SL_UL_EVT16, /* A-ABORT PDU */
	SL_UL_EVT17, /* transport connection closed */
	SL_UL_EVT18, /* ARTIM expired */
	SL_UL_EVT19, /* unrecognized or invalid PDU */
	SL_UL_EVT_N
};

/* PS3.8 tables 9-6 to 9-9. */
enum sl_ul_action {
	SL_UL_NONE, /* a blank cell of table 9-10: the event cannot happen in this state */
	SL_UL_AE_1,
	SL_UL_AE_2,
	SL_UL_AE_3,
	SL_UL_AE_4,
	SL_UL_AE_5,
	SL_UL_AE_6,
	SL_UL_AE_7,
	SL_UL_AE_8,
	SL_UL_DT_1,
	SL_UL_DT_2,
	SL_UL_AR_1,
	SL_UL_AR_2,
	SL_UL_AR_3,
	SL_UL_AR_4,
	SL_UL_AR_5,
	SL_UL_AR_6,
	SL_UL_AR_7,
	SL_UL_AR_8,
	SL_UL_AR_9,
	SL_UL_AR_10,
	SL_UL_AA_1,
	SL_UL_AA_2,
	SL_UL_AA_3,
	SL_UL_AA_4,
	SL_UL_AA_5,
	SL_UL_AA_6,
	SL_UL_AA_7,
	SL_UL_AA_8,
	SL_UL_ACTION_N
};

/* What actions are made of. Perform them from the lowest bit to the highest. */
enum sl_ul_effect {
	SL_UL_ARTIM_STOP = 1 << 0,
	SL_UL_CONNECT = 1 << 1,		    /* ask the transport for a connection */
	SL_UL_SEND_RQ = 1 << 2,		    /* A-ASSOCIATE-RQ */
	SL_UL_SEND_AC = 1 << 3,		    /* A-ASSOCIATE-AC */
	SL_UL_SEND_RJ = 1 << 4,		    /* A-ASSOCIATE-RJ */
	SL_UL_SEND_PDATA = 1 << 5,	    /* P-DATA-TF */
	SL_UL_SEND_RELEASE_RQ = 1 << 6,	    /* A-RELEASE-RQ */
	SL_UL_SEND_RELEASE_RP = 1 << 7,	    /* A-RELEASE-RP */
	SL_UL_SEND_ABORT_USER = 1 << 8,	    /* A-ABORT, source 0, reason 0 */
	SL_UL_SEND_ABORT_PROVIDER = 1 << 9, /* A-ABORT, source 2, reason from the cause */
	SL_UL_INDICATE_ASSOCIATE = 1 << 10, /* a request to answer with Evt7 or Evt8 */
	SL_UL_CONFIRM_ACCEPT = 1 << 11,	    /* our request was accepted */
	SL_UL_CONFIRM_REJECT = 1 << 12,	    /* our request was rejected */
	SL_UL_INDICATE_PDATA = 1 << 13,	    /* the PDU's fragments are for the message layer */
	SL_UL_INDICATE_RELEASE = 1 << 14,   /* the peer wants to release; answer with Evt14 */
	SL_UL_CONFIRM_RELEASE = 1 << 15,    /* our release was answered */
	SL_UL_INDICATE_ABORT = 1 << 16,	    /* A-ABORT: by the peer's user or its provider */
	SL_UL_INDICATE_P_ABORT = 1 << 17,   /* A-P-ABORT: the association is gone */
	SL_UL_ARTIM_START = 1 << 18,	    /* also restarts a running one */
	SL_UL_CLOSE = 1 << 19,		    /* close the transport connection */
};

/* One way an action can go. */
struct sl_ul_branch {
	uint32_t effects;      /* bits of enum sl_ul_effect */
	enum sl_ul_state next; /* SL_UL_STA_NONE: there is no such branch */
};

/* What to do: perform go.effects and move to go.next.
 *
 * Two actions ask a question first, and have another branch:
 *   AE-6: is the request acceptable to us as service provider?  yes: go (Sta3), no: other (Sta13)
 *   AR-8: did we request this association?                      yes: go (Sta9), no: other (Sta10) */
struct sl_ul_step {
	enum sl_ul_action action; /* SL_UL_NONE: blank cell, no effects, next is the state itself */
	struct sl_ul_branch go, other;
};

/* The cell of table 9-10 for an event in a state. Pure; asserts that both are in range.
 *
 * A blank cell is our own fault for local events (a caller asserts), and cannot be reached by any
 * sequence of bytes from the peer. */
struct sl_ul_step sl_ul_step(enum sl_ul_state state, enum sl_ul_event event);

/* "Sta6", "Evt10", "AE-6"; "-" for NONE. */
const char *sl_ul_state_name(enum sl_ul_state state);
const char *sl_ul_event_name(enum sl_ul_event event);
const char *sl_ul_action_name(enum sl_ul_action action);

/* Why an association was aborted: the last two bytes of A-ABORT (PS3.8 9.3.8, table 9-26). */
enum sl_ul_source {
	SL_UL_SOURCE_USER = 0,
	SL_UL_SOURCE_PROVIDER = 2,
};

enum sl_ul_abort {
	SL_UL_ABORT_UNSPECIFIED = 0,
	SL_UL_ABORT_UNRECOGNIZED_PDU = 1,
	SL_UL_ABORT_UNEXPECTED_PDU = 2,
	SL_UL_ABORT_UNRECOGNIZED_PARAMETER = 4,
	SL_UL_ABORT_UNEXPECTED_PARAMETER = 5,
	SL_UL_ABORT_INVALID_PARAMETER = 6,
};

struct sl_ul_reason {
	uint8_t source; /* enum sl_ul_source; a peer may send any byte */
	uint8_t reason; /* enum sl_ul_abort; not significant when source is USER */
};

/* Why an association was rejected: the last three bytes of A-ASSOCIATE-RJ (9.3.4, table 9-21). */
struct sl_ul_reject {
	uint8_t result; /* 1 permanent, 2 transient */
	uint8_t source; /* 1 service user, 2 provider (ACSE), 3 provider (presentation) */
	uint8_t reason; /* by source */
};

/* The rejections we send, as initialisers of struct sl_ul_reject. */
#define SL_UL_RJ_NO_REASON \
	{                  \
		1, 1, 1    \
	}
#define SL_UL_RJ_APPLICATION_CONTEXT \
	{                            \
		1, 1, 2              \
	} /* application context name not supported */
#define SL_UL_RJ_CALLING_AE \
	{                   \
		1, 1, 3     \
	} /* calling AE title not recognized */
#define SL_UL_RJ_CALLED_AE \
	{                  \
		1, 1, 7    \
	} /* called AE title not recognized */
#define SL_UL_RJ_PROTOCOL_VERSION \
	{                         \
		1, 2, 2           \
	} /* protocol version not supported */
#define SL_UL_RJ_CONGESTION \
	{                   \
		2, 3, 1     \
	} /* temporary congestion: the pool is short */
#define SL_UL_RJ_LIMIT  \
	{               \
		2, 3, 2 \
	} /* local limit exceeded: too many associations */
