/* Performs the cells of PS3.8 table 9-10: each effect is a few lines here, their order and what follows
 * is the table's (core/ul.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/assoc_int.h"

_Static_assert(SL_LOOP_SCRATCH >= SL_NEGO_AC_MAX, "the largest answer is encoded in one piece");
/* A response to a peer that takes 7 bytes at a time: 12 bytes of headers to each byte of it. */
_Static_assert(SL_CONN_OUT_ROOM >= SL_CMD_RSP_MAX * (1 + SL_PDU_HEAD_LEN + SL_PDU_PDV_HEAD_LEN),
	"parsing on demands room for any response");

/* ---- the story ------------------------------------------------------------------------------- */

struct sl_story_who sl_assoc_who(const struct sl_assoc *a)
{
	return (struct sl_story_who){
		.nego = &a->nego,
		.from = &a->conn->from,
		.waited_ms = a->conn->waited_ms,
		.max_pdu = sl_assoc_server_of(a)->conf.max_pdu,
		.now_ms = sl_assoc_now_ms(a),
	};
}

void sl_assoc_ends(struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note)
{
	if (a->story.id != 0) /* else it never became an association */
		sl_story_ends(&a->story, end, why, note, sl_assoc_now_ms(a));
}

/* No operation is open. */
static bool is_idle(const struct sl_assoc *a)
{
	sl_list_for_each (node, &a->stores)
		if (sl_svc_store_is_busy(sl_container_of(node, struct sl_svc_store, node)))
			return false;
	return true;
}

bool sl_assoc_is_over(const struct sl_assoc *a)
{
	return sl_assoc_is_ended(a) && is_idle(a);
}

/* What was borrowed for its window goes back. */
static void close_window(struct sl_assoc *a)
{
	sl_list_for_each_safe (node, next, &a->stores) {
		struct sl_svc_store *s = sl_container_of(node, struct sl_svc_store, node);
		if (s == &a->store)
			continue;
		sl_list_remove(&s->node);
		sl_window_give_back(&sl_assoc_server_of(a)->window, s);
	}
}

static void tell_if_over(struct sl_assoc *a)
{
	if (!sl_assoc_is_over(a))
		return;
	close_window(a);
	sl_conn_settle_wait(a->conn);
	struct sl_story_who w = sl_assoc_who(a);
	sl_story_tell(&a->story, &w);
}

/* ---- what the table's effects do ------------------------------------------------------------- */

/* A peer that leaves no room for this does not read: the connection is of no more use. */
static void send_pdu(struct sl_assoc *a, const struct sl_wbuf *w)
{
	sl_assert(!w->bad);
	if (sl_conn_send(a->conn, w->base, w->len) == SL_OK)
		return;
	sl_assoc_ends(a, SL_STORY_TIMEOUT, "peer-does-not-read", NULL);
	a->is_cut_off = true; /* done at the end of the step */
}

static struct sl_wbuf scratch(struct sl_assoc *a)
{
	return sl_wbuf_of(sl_assoc_loop_of(a)->scratch, sizeof(sl_assoc_loop_of(a)->scratch));
}

static void send_ac(struct sl_assoc *a)
{
	struct sl_nego_answer *answer = &sl_assoc_loop_of(a)->answer;
	sl_nego_answer(&a->nego, sl_assoc_server_of(a)->conf.max_pdu, answer);
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_ac(&w, &answer->ac);
	send_pdu(a, &w);
	sl_msg_init(&a->msg);
	for (unsigned id = 1; id <= 255; id += 2)
		if (sl_nego_context(&a->nego, (uint8_t)id) != NULL)
			sl_msg_accept(&a->msg, (uint8_t)id);
	struct sl_story_who teller = sl_assoc_who(a);
	sl_story_accepted(&a->story, &teller);
}

static void send_rj(struct sl_assoc *a)
{
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_rj(&w, a->decision.reject);
	send_pdu(a, &w);
}

static void send_release_rp(struct sl_assoc *a)
{
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_release_rp(&w);
	send_pdu(a, &w);
	sl_assoc_ends(a, SL_STORY_RELEASE, NULL, NULL);
}

static void send_abort(struct sl_assoc *a, struct sl_ul_reason reason)
{
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_abort(&w, reason);
	send_pdu(a, &w);
}

static void start_artim(struct sl_assoc *a, enum sl_ul_state next)
{
	uint32_t ms = sl_assoc_loop_of(a)->conf.artim_ms;
	if (next == SL_UL_STA13 && a->is_goodbye_short && ms > SL_ASSOC_GOODBYE_MS)
		ms = SL_ASSOC_GOODBYE_MS;
	a->artim_left_ms = ms;
}

static void perform(struct sl_assoc *a, uint32_t effect, enum sl_ul_state next)
{
	switch (effect) {
	case SL_UL_ARTIM_STOP:
		a->artim_left_ms = 0;
		break;
	case SL_UL_SEND_AC:
		send_ac(a);
		break;
	case SL_UL_SEND_RJ:
		send_rj(a);
		break;
	case SL_UL_SEND_PDATA:
		send_pdu(a, a->sending);
		break;
	case SL_UL_SEND_RELEASE_RP:
		send_release_rp(a);
		break;
	case SL_UL_SEND_ABORT_USER:
		send_abort(a, (struct sl_ul_reason){SL_UL_SOURCE_USER, SL_UL_ABORT_UNSPECIFIED});
		break;
	case SL_UL_SEND_ABORT_PROVIDER:
		send_abort(a, a->reason);
		break;
	case SL_UL_INDICATE_PDATA:
		a->takes_pdata = true;
		break;
	case SL_UL_INDICATE_ABORT:
		sl_assoc_ends(a, SL_STORY_ABORT_PEER, NULL, NULL);
		break;
	case SL_UL_INDICATE_P_ABORT:
		sl_assoc_ends(a, SL_STORY_RESET, NULL, NULL);
		break;
	case SL_UL_ARTIM_START:
		start_artim(a, next);
		break;
	case SL_UL_CLOSE:
		sl_conn_close(a->conn);
		break;
	default:
		/* INDICATE_ASSOCIATE and INDICATE_RELEASE are answered after the step; the rest is
		 * the requestor's. */
		break;
	}
}

/* ---- answers to indications ------------------------------------------------------------------ */

/* The association request is here: our answer to the indication in Sta3. */
static void answer_associate(struct sl_assoc *a)
{
	switch (a->decision.verdict) {
	case SL_NEGO_ACCEPT:
		sl_assoc_step(a, SL_UL_EVT7);
		break;
	case SL_NEGO_REJECT:
		sl_assoc_step(a, SL_UL_EVT8);
		break;
	case SL_NEGO_ABORT:
		a->reason = a->decision.abort;
		sl_assoc_step(a, SL_UL_EVT19);
		break;
	}
}

/* In Sta8: every operation that was complete gets its response before the release does. */
static void answer_release(struct sl_assoc *a)
{
	if (a->state == SL_UL_STA8 && is_idle(a))
		sl_assoc_step(a, SL_UL_EVT14);
}

void sl_assoc_settled(struct sl_assoc *a)
{
	answer_release(a);
	tell_if_over(a);
}

/* What the association was granted. */
static void give_back(struct sl_assoc *a)
{
	if (a->has_place)
		sl_server_give_place(sl_assoc_server_of(a));
	if (a->has_grant)
		sl_peers_leave(&sl_assoc_server_of(a)->peers, &a->grant);
	a->has_place = a->has_grant = false;
}

/* One cell of table 9-10. */
void sl_assoc_step(struct sl_assoc *a, enum sl_ul_event event)
{
	struct sl_ul_step cell = sl_ul_step(a->state, event);
	sl_assert(cell.action != SL_UL_NONE);
	/* AE-6 asks the service provider; what the user refuses is answered in Sta3 (Evt8). */
	bool is_refused = cell.action == SL_UL_AE_6 && a->decision.verdict == SL_NEGO_REJECT &&
			  a->decision.reject.source != 1;
	struct sl_ul_branch branch = is_refused ? cell.other : cell.go;
	for (uint32_t left = branch.effects; left != 0; left &= left - 1)
		perform(a, left & (~left + 1), branch.next);
	a->state = branch.next;
	if ((branch.effects & SL_UL_INDICATE_ASSOCIATE) != 0)
		answer_associate(a);
	if ((branch.effects & SL_UL_INDICATE_RELEASE) != 0) {
		sl_svc_abort(a); /* a message that did not come to its end never will */
		answer_release(a);
	}
	if (sl_assoc_is_ended(a)) {
		sl_svc_abort(a);
		a->held = SL_ASSOC_NOTHING;
		give_back(a);
		tell_if_over(a);
	}
	if (a->is_cut_off) {
		a->is_cut_off = false;
		sl_assoc_on_closed(a);
	}
}

/* We end it, as its user. */
void sl_assoc_abort(struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note)
{
	sl_assoc_ends(a, end, why, note);
	sl_assoc_step(a, SL_UL_EVT15);
}

void sl_assoc_answer(struct sl_assoc *a, uint8_t pcid, const struct sl_cmd_rsp *rsp)
{
	if (!sl_assoc_is_established(a))
		return;
	uint8_t command[SL_CMD_RSP_MAX];
	struct sl_wbuf c = sl_wbuf_of(command, sizeof(command));
	sl_cmd_encode_rsp(&c, rsp);
	sl_assert(!c.bad);
	struct sl_wbuf w = scratch(a);
	enum sl_status st = sl_pdu_encode_message(
		&w, a->nego.peer_max_len, pcid, true, sl_cur_of(command, c.len));
	sl_assert(st == SL_OK); /* negotiation rejects a peer that takes less than 7 */
	a->sending = &w;
	sl_assoc_step(a, SL_UL_EVT9);
	a->sending = NULL;
}
