/* Services: what is done with a DIMSE request.
 *
 * One row for each command we serve, found by command field. A request reaches its service when the
 * checks that are the same for all have passed (the context's service, the class, the Message ID, the
 * window); else it is refused, and the refusal leaves after the request's last data set byte came in
 * (PROTOCOL: a failure status goes out only after the last PDV).
 *
 * Threads: the association's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cmd.h"
#include "core/msg.h"
#include "core/nego.h"
#include "server/op.h"

struct sl_assoc;

/* Where the data set of the open message goes. */
enum sl_svc_sink_kind {
	SL_SVC_SINK_NONE,   /* nowhere, and nothing is answered */
	SL_SVC_SINK_REFUSE, /* nowhere; then the response is sent */
	SL_SVC_SINK_STORE,  /* into sink.store's object */
};

struct sl_svc_store;

struct sl_svc_sink {
	enum sl_svc_sink_kind kind;
	struct sl_svc_store *store;
	struct sl_cmd_rsp rsp; /* of REFUSE; its comment is `comment` */
	char comment[SL_CMD_COMMENT_MAX + 1];
};

/* A C-STORE in work: its object, and its response but for the status. */
struct sl_svc_store {
	struct sl_list node; /* in its association's `stores`, or to be lent (window.h) */
	struct sl_op op;
	struct sl_assoc *assoc;
	uint8_t pcid;
	bool is_dropping;      /* the object can only fail: bytes are counted */
	uint64_t dropped;      /* of its data set [bytes] */
	struct sl_cmd_rsp rsp; /* status and comment still to come */
};

/* A complete command. */
struct sl_svc_request {
	const struct sl_cmd *cmd;
	const struct sl_nego_context *context;
	enum sl_status cmd_status; /* SL_OK or SL_E_COMMAND, then `fault` says why */
	const char *fault;
	uint8_t pcid;
	bool has_data_set;
};

/* One service. */
struct sl_svc {
	uint16_t field;        /* enum sl_cmd_field of its request */
	enum sl_sop_kind kind; /* of the contexts it is offered on */
	const char *name;
	bool needs_window; /* counts as an open operation until answered */
	void (*on_request)(struct sl_assoc *a, const struct sl_svc_request *rq);
};

/* The service of a command field, or NULL. */
const struct sl_svc *sl_svc_find(uint16_t field);

/* The request waits: the association's window is full. */
bool sl_svc_must_wait(const struct sl_assoc *a, const struct sl_svc_request *rq);

/* Hands the request to its service, or refuses it. */
void sl_svc_begin(struct sl_assoc *a, const struct sl_svc_request *rq);

/* Payload of the open message, or its end. SL_AGAIN: not now, ask again with the same. */
SL_MUST enum sl_status sl_svc_data(struct sl_assoc *a, struct sl_msg_ev *ev);

/* The association ends: what is open is given up. */
void sl_svc_abort(struct sl_assoc *a);

/* Refuses: answers now, or when the data set has passed. comment: what is wrong, at most 64
 * characters. `why` is the word for the log. */
void sl_svc_refuse(struct sl_assoc *a, const struct sl_svc_request *rq, enum sl_dstat status,
	const char *why, const char *comment);

/* svc_echo.c, svc_store.c */
void sl_svc_echo_request(struct sl_assoc *a, const struct sl_svc_request *rq);
void sl_svc_store_request(struct sl_assoc *a, const struct sl_svc_request *rq);
SL_MUST enum sl_status sl_svc_store_data(struct sl_svc_store *s, struct sl_msg_ev *ev);
/* For the association; again when another one borrows it. Not in work. */
void sl_svc_store_init(struct sl_svc_store *s, struct sl_assoc *a);
/* The object is no longer wanted: open parts are given up. Nothing to do where none is open. */
void sl_svc_store_abort(struct sl_svc_store *s);
bool sl_svc_store_is_busy(const struct sl_svc_store *s);
