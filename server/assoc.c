/* An association: its bytes, its clocks, its life; see assoc.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/assoc_int.h"

/* ---- PDUs ------------------------------------------------------------------------------------ */

static void on_item(struct sl_assoc *a, const struct sl_pdu_ev *ev)
{
	if (a->due != SL_UL_EVT6)
		return; /* an A-ASSOCIATE PDU that the table has refused already */
	sl_nego_feed(&a->nego, &a->grant.nego, ev);
	if (ev->type == SL_PDU_EV_AE_TITLES)
		sl_assoc_meet_peer(a);
}

#define ABORTS (SL_UL_SEND_ABORT_USER | SL_UL_SEND_ABORT_PROVIDER)

static void on_begin(struct sl_assoc *a, const struct sl_pdu_ev *ev)
{
	enum sl_ul_event event = sl_pdu_ul_event(ev->pdu);
	uint32_t effects = sl_ul_step(a->state, event).go.effects;
	a->is_in_pdu = true;
	a->takes_pdata = false;
	a->due = SL_UL_EVT_NONE;
	if ((effects & ABORTS) != 0) { /* no need to wait for its body */
		a->reason =
			(struct sl_ul_reason){SL_UL_SOURCE_PROVIDER, SL_UL_ABORT_UNEXPECTED_PDU};
		sl_assoc_ends(a, SL_STORY_ABORT_LOCAL, "unexpected-pdu", sl_ul_event_name(event));
		if (a->state == SL_UL_STA2)
			sl_loop_saw_junk(sl_assoc_loop_of(a), SL_JUNK_OTHER, &a->conn->from);
		sl_assoc_step(a, event);
	} else if (event == SL_UL_EVT10) {
		sl_assoc_step(a, event);
	} else {
		a->due = event;
	}
}

static void on_end(struct sl_assoc *a, const struct sl_pdu_ev *ev)
{
	enum sl_ul_event due = a->due;
	a->is_in_pdu = false;
	a->due = SL_UL_EVT_NONE;
	if (due == SL_UL_EVT_NONE)
		return;
	if (due == SL_UL_EVT6) {
		sl_nego_feed(&a->nego, &a->grant.nego, ev);
		sl_assoc_decide(a);
	}
	sl_assoc_step(a, due);
}

/* The first bytes were no PDU at all: worth a name, and no more of our time. */
static void look_for_junk(struct sl_assoc *a)
{
	struct sl_conn *c = a->conn;
	enum sl_junk kind = sl_junk_classify(c->head, c->head_n);
	if (a->state != SL_UL_STA2 || kind == SL_JUNK_NONE)
		return;
	a->is_goodbye_short = true;
	sl_loop_saw_junk(c->loop, kind, &c->from);
}

/* The stream cannot be followed any further. */
static void go_deaf(
	struct sl_assoc *a, struct sl_ul_reason reason, const char *why, const char *note)
{
	a->is_deaf = true;
	a->is_in_pdu = false;
	a->reason = reason;
	sl_assoc_ends(a, SL_STORY_ABORT_LOCAL, why, note);
	sl_assoc_step(a, SL_UL_EVT19);
}

static void on_bad_pdu(struct sl_assoc *a)
{
	static const char *const notes[] = {
		[SL_UL_ABORT_UNRECOGNIZED_PDU] = "unrecognized PDU",
		[SL_UL_ABORT_INVALID_PARAMETER] = "invalid length or value in a PDU",
	};
	uint8_t r = a->dec.reason.reason;
	look_for_junk(a);
	go_deaf(a, a->dec.reason, "bad-pdu",
		r < SL_ARRAY_N(notes) && notes[r] != NULL ? notes[r] : "malformed PDU");
}

static void on_bad_message(struct sl_assoc *a)
{
	const char *note = a->msg.diag.text;
	if (a->msg.reason.source != SL_UL_SOURCE_USER) {
		go_deaf(a, a->msg.reason, "bad-message", note);
		return;
	}
	a->is_deaf = true; /* the message layer is the upper layer's user */
	sl_assoc_abort(a, SL_STORY_ABORT_LOCAL, "bad-command", note);
}

static void on_pdv(struct sl_assoc *a, const struct sl_pdu_pdv *pdv)
{
	if (!a->takes_pdata)
		return;
	switch (sl_msg_next(&a->msg, pdv, &a->message)) {
	case SL_OK:
		a->held = a->message.type == SL_MSG_EV_COMMAND ? SL_ASSOC_REQUEST : SL_ASSOC_SLICE;
		break;
	case SL_AGAIN:
		break;
	default:
		on_bad_message(a);
		break;
	}
}

/* What is held goes on; false: it stays. */
static bool flow(struct sl_assoc *a)
{
	if (a->held == SL_ASSOC_NOTHING)
		return true;
	if (!sl_conn_has_room(a->conn))
		return false;
	if (a->held == SL_ASSOC_SLICE) {
		if (sl_svc_data(a, &a->message) == SL_AGAIN)
			return false;
		a->held = SL_ASSOC_NOTHING;
		return true;
	}
	const struct sl_svc_request rq = {
		.cmd = a->message.cmd,
		.context = sl_nego_context(&a->nego, a->message.pcid),
		.cmd_status = a->message.cmd_status,
		.fault = a->msg.diag.text,
		.pcid = a->message.pcid,
		.has_data_set = a->message.has_data_set,
	};
	if (sl_svc_must_wait(a, &rq))
		return false;
	a->held = SL_ASSOC_NOTHING;
	sl_svc_begin(a, &rq);
	return true;
}

static bool is_open(const struct sl_assoc *a)
{
	return sl_sm_state(&a->conn->stage) == SL_CONN_OPEN;
}

bool sl_assoc_parse(struct sl_assoc *a)
{
	struct sl_intake *intake = &a->conn->intake;
	while (is_open(a)) {
		if (!flow(a))
			return false;
		struct sl_cur in = sl_intake_bytes(intake);
		struct sl_pdu_ev ev;
		if (a->is_deaf) {
			sl_cur_skip(&in, sl_cur_left(&in));
			sl_intake_parsed(intake, &in);
			return true;
		}
		enum sl_status st = sl_pdu_next(&a->dec, &in, &ev);
		sl_intake_parsed(intake, &in);
		if (st == SL_AGAIN)
			return true;
		if (st != SL_OK)
			on_bad_pdu(a);
		else if (ev.type == SL_PDU_EV_BEGIN)
			on_begin(a, &ev);
		else if (ev.type == SL_PDU_EV_PDV)
			on_pdv(a, &ev.pdv);
		else if (ev.type == SL_PDU_EV_END)
			on_end(a, &ev);
		else
			on_item(a, &ev);
	}
	return false;
}

/* ---- the transport --------------------------------------------------------------------------- */

void sl_assoc_on_closed(struct sl_assoc *a)
{
	if (!is_open(a))
		return;
	if (a->state == SL_UL_STA2 && a->conn->bytes_in == 0)
		sl_loop_saw_junk(sl_assoc_loop_of(a), SL_JUNK_PROBE, &a->conn->from);
	if (a->state != SL_UL_STA1)
		sl_assoc_step(a, SL_UL_EVT17);
	sl_conn_close(a->conn);
}

void sl_assoc_on_stalled(struct sl_assoc *a)
{
	sl_assoc_ends(a, SL_STORY_TIMEOUT, "peer-does-not-read", NULL);
	sl_assoc_on_closed(a);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void tick_artim(struct sl_assoc *a, uint32_t dt_ms)
{
	if (a->artim_left_ms == 0)
		return;
	a->artim_left_ms -= (uint32_t)sl_min(a->artim_left_ms, dt_ms);
	if (a->artim_left_ms > 0)
		return;
	if (a->state == SL_UL_STA2)
		sl_stats_add(&sl_assoc_server_of(a)->stats->assocs_timeout, 1);
	sl_assoc_ends(a, SL_STORY_TIMEOUT, "artim", NULL);
	sl_assoc_step(a, SL_UL_EVT18);
}

/* True when the running message is slower than allowed. Between messages the window rests. */
static bool is_too_slow(struct sl_assoc *a, const struct sl_assoc_tick *tick)
{
	const struct sl_assoc_conf *conf = &sl_assoc_loop_of(a)->conf;
	if (!sl_msg_is_open(&a->msg) && !a->is_in_pdu) {
		a->rate_ms = 0;
		a->rate_bytes = 0;
		return false;
	}
	a->rate_bytes += tick->bytes;
	if (tick->waits_for_peer)
		a->rate_ms += tick->dt_ms;
	if (conf->min_rate == 0 || a->rate_ms < conf->min_rate_window_ms)
		return false;
	bool is_slow = a->rate_bytes * 1000 < (uint64_t)conf->min_rate * a->rate_ms;
	a->rate_ms = 0;
	a->rate_bytes = 0;
	return is_slow;
}

static bool is_idle(struct sl_assoc *a, const struct sl_assoc_tick *tick)
{
	if (tick->bytes > 0)
		a->quiet_ms = 0;
	else if (tick->waits_for_peer)
		a->quiet_ms += tick->dt_ms;
	return a->quiet_ms >= sl_assoc_loop_of(a)->conf.idle_ms;
}

void sl_assoc_tick(struct sl_assoc *a, const struct sl_assoc_tick *tick)
{
	tick_artim(a, tick->dt_ms);
	if (a->state != SL_UL_STA6)
		return;
	bool is_slow = is_too_slow(a, tick);
	bool is_silent = is_idle(a, tick);
	if (is_slow || is_silent) {
		a->is_goodbye_short = true; /* who is silent will hardly answer an abort */
		sl_assoc_abort(a, SL_STORY_TIMEOUT, is_silent ? "idle" : "min-rate", NULL);
		return;
	}
	struct sl_story_who w = sl_assoc_who(a);
	sl_story_tick(&a->story, &w, tick->dt_ms);
}

void sl_assoc_stop(struct sl_assoc *a, bool is_late)
{
	if (!is_open(a))
		return;
	a->is_goodbye_short = true;
	if (sl_assoc_is_established(a)) {
		bool is_busy = sl_msg_is_open(&a->msg) || a->is_in_pdu ||
			       sl_assoc_waits_for_disk(a) || a->state == SL_UL_STA8 ||
			       a->quiet_ms < SL_ASSOC_LULL_MS;
		if (is_late || !is_busy)
			sl_assoc_abort(a, SL_STORY_ABORT_LOCAL, "stopping", NULL);
		return;
	}
	if (is_late || a->conn->bytes_in == 0) { /* somebody who said nothing yet is not missed */
		sl_assoc_on_closed(a);
		return;
	}
	if (a->artim_left_ms > SL_ASSOC_GOODBYE_MS)
		a->artim_left_ms = SL_ASSOC_GOODBYE_MS;
}

/* ---- life ------------------------------------------------------------------------------------ */

bool sl_assoc_is_mute(const struct sl_assoc *a, uint64_t ms)
{
	return a->state == SL_UL_STA2 && sl_assoc_now_ms(a) - a->conn->opened_ms >= ms;
}

/* While a message comes in that nothing holds up, it is the peer that we wait for, whatever is under way
 * of its others. */
bool sl_assoc_waits_for_disk(const struct sl_assoc *a)
{
	if (sl_assoc_is_established(a) && sl_msg_is_open(&a->msg) && a->held == SL_ASSOC_NOTHING)
		return false;
	sl_list_for_each (node, &a->stores) {
		const struct sl_svc_store *s = sl_container_of(node, struct sl_svc_store, node);
		if (sl_sm_state(&s->op.stage) == SL_OP_DECIDING)
			return true;
	}
	return false;
}

void sl_assoc_init(struct sl_assoc *a, struct sl_conn *conn, void (*on_object)(struct sl_assoc *a))
{
	a->conn = conn;
	a->on_object = on_object;
	a->state = SL_UL_STA1;
	sl_list_init(&a->stores);
	sl_svc_store_init(&a->store, a);
	sl_list_push(&a->stores, &a->store.node);
}

void sl_assoc_begin(struct sl_assoc *a)
{
	struct sl_server *server = sl_assoc_server_of(a);
	a->due = SL_UL_EVT_NONE;
	a->reason = (struct sl_ul_reason){0, 0};
	a->takes_pdata = a->is_in_pdu = a->is_deaf = a->is_goodbye_short = false;
	a->has_place = a->has_grant = a->is_cut_off = false;
	a->artim_left_ms = a->quiet_ms = a->rate_ms = 0;
	a->rate_bytes = 0;
	a->held = SL_ASSOC_NOTHING;
	a->sink = (struct sl_svc_sink){.kind = SL_SVC_SINK_NONE};
	a->decision = (struct sl_nego_decision){.verdict = SL_NEGO_ACCEPT};
	sl_pdu_init(&a->dec, server->conf.max_pdu);
	sl_msg_init(&a->msg);
	sl_nego_init(&a->nego);
	sl_story_init(&a->story, server->log, server->stats);
	sl_assoc_step(a, SL_UL_EVT5);
}
