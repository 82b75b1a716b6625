/* Association requests as annotated text, negotiated through the real decoder.
 *
 *	struct talk t = talk(CONTEXT("01", CLASS(CT) SYNTAX(EXPLICIT_LE)) USER(MAX_LEN));
 *	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
 *	assert_answer(&t, "PCTX 1 result=0\n" ...);
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/wire.h"

#include "core/nego.h"

#define IMPLICIT_LE "1.2.840.10008.1.2"
#define EXPLICIT_LE "1.2.840.10008.1.2.1"
#define EXPLICIT_BE "1.2.840.10008.1.2.2"
#define DEFLATED    "1.2.840.10008.1.2.1.99"
#define RLE         "1.2.840.10008.1.2.5"
#define JPEG_LL     "1.2.840.10008.1.2.4.70"
#define JPEG        "1.2.840.10008.1.2.4.50"
#define J2K_LL      "1.2.840.10008.1.2.4.90"
#define J2K         "1.2.840.10008.1.2.4.91"
#define JPIP        "1.2.840.10008.1.2.4.94"
#define XML         "1.2.840.10008.1.2.6.2"

#define ECHO     "1.2.840.10008.1.1"
#define CT       "1.2.840.10008.5.1.4.1.1.2"
#define MR       "1.2.840.10008.5.1.4.1.1.4"
#define DICOS_CT "1.2.840.10008.5.1.4.1.1.501.1"
#define FIND     "1.2.840.10008.5.1.4.1.2.2.1"
#define GET      "1.2.840.10008.5.1.4.1.2.2.3"
#define PRIVATE  "1.2.826.0.1.3680043.2.1545.99"

#define APPLICATION_CONTEXT   "10 00 {'1.2.840.10008.3.1.1.1'}"
#define CONTEXT(id, syntaxes) "20 00 {" id " 000000" syntaxes "}"
#define CLASS(uid)            "30 00 {'" uid "'}"
#define SYNTAX(uid)           "40 00 {'" uid "'}"
#define USER(items)           "50 00 {" items "}"
#define MAX_LEN               "51 00 {00004000}"
#define ROLE(uid, scu, scp)   "54 00 {{'" uid "'} " scu scp "}"
#define EXTENDED(uid, info)   "56 00 {{'" uid "'} " info "}"

struct talk {
	struct sl_nego nego;
	struct sl_nego_policy policy;
	struct sl_nego_node node;
	struct sl_nego_decision decision;
};

/* The PDU's length field, once all items are there. */
static inline void request_close(struct wire *w)
{
	size_t n = w->n - SL_PDU_HEAD_LEN;
	assert_true(n <= UINT16_MAX);
	w->p[4] = (uint8_t)(n >> 8);
	w->p[5] = (uint8_t)n;
}

/* An A-ASSOCIATE-RQ of these fields. titles: 32 characters, called and calling. */
static inline struct wire request_of(const char *version, const char *titles, const char *items)
{
	struct wire w = wire_of("01 00 00000000");
	assert_int_equal(strlen(titles), 32);
	wire_text(&w, version);
	wire_text(&w, "0000");
	wire_add(&w, titles, 32);
	wire_fill(&w, 0, 32);
	wire_text(&w, items);
	request_close(&w);
	return w;
}

static inline void talk_wire(struct talk *t, const struct wire *w)
{
	struct sl_pdu_dec dec;
	struct sl_pdu_ev ev;
	struct sl_cur in = sl_cur_of(w->p, w->n);
	bool ended = false;
	sl_pdu_init(&dec, 0);
	sl_nego_init(&t->nego);
	while (sl_pdu_next(&dec, &in, &ev) == SL_OK) {
		sl_nego_feed(&t->nego, &t->policy, &ev);
		ended = ev.type == SL_PDU_EV_END;
	}
	assert_true(ended);
	t->decision = sl_nego_decide(&t->nego, &t->policy, &t->node);
}

/* The default policy, a node that lets everybody in. */
static inline struct talk talk_ready(void)
{
	struct talk t;
	memset(&t, 0, sizeof(t));
	sl_nego_policy_init(&t.policy);
	t.node = (struct sl_nego_node){.calling_permitted = true, .called_recognized = true};
	return t;
}

/* Application context and these items. */
static inline void talk_items(struct talk *t, const char *items)
{
	struct wire w = request_of("0001", "SLUICE          STORESCU        ", APPLICATION_CONTEXT);
	wire_text(&w, items);
	request_close(&w);
	talk_wire(t, &w);
	wire_free(&w);
}

/* The same, with the default policy. */
static inline struct talk talk(const char *items)
{
	struct talk t = talk_ready();
	talk_items(&t, items);
	return t;
}

/* The A-ASSOCIATE-AC that follows, as the decoder tells it. The caller frees it. */
static inline char *answer_story(const struct talk *t)
{
	static struct sl_nego_answer answer;
	static uint8_t bytes[SL_NEGO_AC_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	memset(&answer, 0xEE, sizeof(answer));
	sl_nego_answer(&t->nego, 131072, &answer);
	sl_pdu_encode_ac(&w, &answer.ac);
	assert_false(w.bad);
	return trace_run(bytes, w.len, 0, NULL, 0);
}

/* The answer contains this run of lines. */
static inline void assert_answer(const struct talk *t, const char *lines)
{
	char *story = answer_story(t);
	if (strstr(story, lines) == NULL)
		fail_msg("no\n%sin\n%s", lines, story);
	free(story);
}

static inline void assert_no_answer(const struct talk *t, const char *lines)
{
	char *story = answer_story(t);
	if (strstr(story, lines) != NULL)
		fail_msg("unexpected\n%sin\n%s", lines, story);
	free(story);
}
