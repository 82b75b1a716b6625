/* An association: performs what PS3.8 table 9-10 says (core/ul.h), negotiates, and hands messages to
 * the services.
 *
 * Happy path: sl_assoc_parse() takes the region's bytes event by event. A PDU's header asks the state
 * machine at once when the answer is an abort, else when the PDU is complete; P-DATA goes to the
 * message assembler, complete requests to svc.h. What a service cannot take now (a full window, a full
 * part, no room for the answer) is *held*: parsing stops there and goes on at the next pump.
 *
 * Failure: every way out goes through the table, which leads to Sta13 or Sta1; the first reason stays
 * in the story. Objects that are complete are stored even when nobody waits for the answer any more;
 * open ones are given up.
 *
 * On close: sl_assoc_is_over() once no object is in work; then the slot may begin anew.
 *
 * Threads: the loop's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/msg.h"
#include "core/nego.h"
#include "core/pdu.h"
#include "core/ul.h"
#include "server/peers.h"
#include "server/story.h"
#include "server/svc.h"

#define SL_ASSOC_GOODBYE_MS 500  /* ARTIM in Sta13 for those who will not answer an A-ABORT */
#define SL_ASSOC_LULL_MS    1000 /* a stopping node ends associations that are silent for so long */
#define SL_ASSOC_ALIASES    16

struct sl_conn;

/* What SIGHUP may change; each loop has a copy. Times in ms. */
struct sl_assoc_conf {
	struct sl_ae ae_aliases[SL_ASSOC_ALIASES];
	size_t ae_aliases_n;
	bool checks_called_ae;
	uint32_t artim_ms, idle_ms;
	uint32_t min_rate;           /* bytes/s of an open message, 0 = any */
	uint32_t min_rate_window_ms; /* measured over */
};

/* What came in and cannot be passed on yet. */
enum sl_assoc_held {
	SL_ASSOC_NOTHING,
	SL_ASSOC_REQUEST, /* a complete command: the window is full */
	SL_ASSOC_SLICE,   /* payload, or the end of a data set: the disk is behind */
};

/* Since the last tick. */
struct sl_assoc_tick {
	uint32_t dt_ms;
	uint64_t bytes;      /* read */
	bool waits_for_peer; /* all that time: else our clocks stand still */
};

struct sl_assoc {
	struct sl_conn *conn;
	void (*on_object)(struct sl_assoc *a); /* there is room, or an object is done */
	enum sl_ul_state state;
	enum sl_ul_event due;       /* of the PDU that is coming in: at its end */
	struct sl_ul_reason reason; /* for the next A-ABORT by us as provider */
	bool takes_pdata;           /* the PDU that is coming in is P-DATA we want */
	bool is_in_pdu;
	bool is_deaf;           /* the stream cannot be followed: bytes are dropped */
	bool is_goodbye_short;  /* ARTIM in Sta13 is SL_ASSOC_GOODBYE_MS */
	bool is_cut_off;        /* the peer leaves no room for what must be sent */
	bool has_place;         /* counted in server->associations */
	bool has_grant;         /* `grant` is filled */
	uint32_t artim_left_ms; /* 0: not running */
	uint32_t quiet_ms;      /* without a byte, while we waited for one */
	uint32_t rate_ms;       /* of the running min_rate window */
	uint64_t rate_bytes;

	struct sl_pdu_dec dec;
	struct sl_msg msg;
	struct sl_nego nego;
	enum sl_peer_verdict verdict;
	struct sl_peer_grant grant;
	struct sl_nego_decision decision;

	enum sl_assoc_held held;
	struct sl_msg_ev message;      /* what is held */
	const struct sl_wbuf *sending; /* P-DATA for the next SL_UL_SEND_PDATA */
	struct sl_svc_sink sink;       /* where the open message's data set goes */
	struct sl_list stores;     /* struct sl_svc_store.node: one for each operation granted */
	struct sl_svc_store store; /* the first of them; the others are borrowed (window.h) */

	struct sl_story story;
};

/* Once, before the loop runs. */
void sl_assoc_init(struct sl_assoc *a, struct sl_conn *conn, void (*on_object)(struct sl_assoc *a));

/* A connection was opened. The association was never used, or is over. */
void sl_assoc_begin(struct sl_assoc *a);

/* Takes what waits in the region. True: all of it; false: something is held, or the socket closes. */
bool sl_assoc_parse(struct sl_assoc *a);

/* The transport is gone, or unusable. */
void sl_assoc_on_closed(struct sl_assoc *a);

/* The peer does not read what we send. */
void sl_assoc_on_stalled(struct sl_assoc *a);

void sl_assoc_tick(struct sl_assoc *a, const struct sl_assoc_tick *tick);

/* The node stops: ends an association that is idle; with is_late any. Repeated until it is over. */
void sl_assoc_stop(struct sl_assoc *a, bool is_late);

/* No request came in the ms since the connection was opened. */
bool sl_assoc_is_mute(const struct sl_assoc *a, uint64_t ms);

bool sl_assoc_waits_for_disk(const struct sl_assoc *a);
bool sl_assoc_is_over(const struct sl_assoc *a);

/* ---- for services ---------------------------------------------------------------------------- */

/* Sends a response, if the association still is one. */
void sl_assoc_answer(struct sl_assoc *a, uint8_t pcid, const struct sl_cmd_rsp *rsp);

/* An operation ended: a waiting release may be answered, the story told. */
void sl_assoc_settled(struct sl_assoc *a);
