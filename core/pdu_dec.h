/* Inside the decoder: what pdu_dec.c (headers, P-DATA-TF) and pdu_assoc.c (A-ASSOCIATE) share.
 *
 * The grammar of PS3.8 9.3 is a chain of *fields*. dec->state names the field that comes next and
 * dec->want its length; sl_pdu_next() collects exactly that many bytes, whatever the split of the
 * stream, and hands them to the state's step. The step reads them, says what comes next, and returns
 * true when it has filled an event.
 *
 * Fields lie in *levels*: PDU, item, sub-item, list. dec->left[] holds what a level has not yet given
 * away. A field or an inner level that asks for more is refused in one place (reserve() in
 * pdu_dec.c) before any byte of it is waited for: no length is compared anywhere else.
 *
 * Refusal is a state, SL_PDU_ST_DEAD, and sticky: what a step does after it has no effect, so steps
 * need not check. It is told when the events before it have been taken.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/pdu.h"

enum sl_pdu_level {
	SL_PDU_LEVEL_PDU,
	SL_PDU_LEVEL_ITEM, /* an item of an A-ASSOCIATE PDU, or a PDV */
	SL_PDU_LEVEL_SUB,  /* a sub-item */
	SL_PDU_LEVEL_LIST, /* the related classes inside 57H */
	SL_PDU_LEVEL_N
};

enum sl_pdu_state {
	SL_PDU_ST_HEAD,	    /* a PDU header */
	SL_PDU_ST_FOUR,	    /* the four bytes of -RJ, RELEASE and ABORT */
	SL_PDU_ST_PDV_HEAD, /* length, context ID, control header */
	SL_PDU_ST_PDV,	    /* a fragment's bytes: handed on, never collected */
	SL_PDU_ST_END,	    /* the PDU is complete */
	SL_PDU_ST_DEAD,	    /* refused */
	/* pdu_assoc.c: lists of items, each a header of four bytes */
	SL_PDU_ST_ITEM,	     /* in the PDU */
	SL_PDU_ST_PCTX_ITEM, /* in a presentation context */
	SL_PDU_ST_USER_ITEM, /* in the user information */
	/* pdu_assoc.c: fields */
	SL_PDU_ST_AE_TITLES,
	SL_PDU_ST_APPLICATION_CONTEXT,
	SL_PDU_ST_PCTX,
	SL_PDU_ST_PCTX_END,
	SL_PDU_ST_USER,
	SL_PDU_ST_ABSTRACT_SYNTAX,
	SL_PDU_ST_TRANSFER_SYNTAX,
	SL_PDU_ST_MAX_LEN,
	SL_PDU_ST_IMPL_CLASS,
	SL_PDU_ST_ASYNC,
	SL_PDU_ST_ROLE_LEN,
	SL_PDU_ST_ROLE,
	SL_PDU_ST_IMPL_VERSION,
	SL_PDU_ST_EXTENDED_LEN,
	SL_PDU_ST_EXTENDED,
	SL_PDU_ST_COMMON_CLASS_LEN,
	SL_PDU_ST_COMMON_CLASS,
	SL_PDU_ST_COMMON_SERVICE_LEN,
	SL_PDU_ST_COMMON_SERVICE,
	SL_PDU_ST_COMMON_LIST_LEN,
	SL_PDU_ST_COMMON_RELATED_LEN,
	SL_PDU_ST_COMMON_RELATED,
	SL_PDU_ST_IDENTITY,
	SL_PDU_ST_IDENTITY_SECOND,
	SL_PDU_ST_IDENTITY_REPLY,
	SL_PDU_ST_N
};

/* The next field: n bytes of the innermost level. One longer than SL_PDU_FIELD_MAX is passed over,
 * and its step finds want 0 and stated_len n. */
void sl_pdu_enter(struct sl_pdu_dec *dec, enum sl_pdu_state state, uint32_t n);

/* n bytes of the innermost level are passed over, unread, before the next field. */
void sl_pdu_pass(struct sl_pdu_dec *dec, uint32_t n);

/* Begins an inner level of n bytes. */
void sl_pdu_open(struct sl_pdu_dec *dec, uint32_t n);

/* Ends the innermost level; what it has left is passed over. */
void sl_pdu_close(struct sl_pdu_dec *dec);

void sl_pdu_refuse(struct sl_pdu_dec *dec, enum sl_ul_abort reason);

/* Fills ev's common part. Returns true, so that `return sl_pdu_say(...)` reads well. */
bool sl_pdu_say(const struct sl_pdu_dec *dec, struct sl_pdu_ev *ev, enum sl_pdu_ev_type type);

/* What follows a field: `field` is the dec->want bytes asked for. True when ev is filled. */
typedef bool sl_pdu_step_fn(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev);

/* The step of any state of pdu_assoc.c. */
sl_pdu_step_fn sl_pdu_assoc_step;

/* Begins the body of an A-ASSOCIATE PDU, whose bytes are in left[SL_PDU_LEVEL_PDU]. */
void sl_pdu_assoc_begin(struct sl_pdu_dec *dec);
