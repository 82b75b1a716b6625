/* An association; see assoc.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/assoc.h"

#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"

static void step(struct sl_assoc *a, enum sl_ul_event event);

static struct sl_loop *loop_of(const struct sl_assoc *a)
{
	return a->conn->loop;
}

static struct sl_server *server_of(const struct sl_assoc *a)
{
	return a->conn->loop->server;
}

static uint64_t now_ms(const struct sl_assoc *a)
{
	return uv_now(&a->conn->loop->uv);
}

static bool is_established(const struct sl_assoc *a)
{
	return a->state == SL_UL_STA6 || a->state == SL_UL_STA8;
}

static bool is_ended(const struct sl_assoc *a)
{
	return a->state == SL_UL_STA1 || a->state == SL_UL_STA13;
}

/* ---- the story ------------------------------------------------------------------------------- */

static struct sl_story_who who(const struct sl_assoc *a)
{
	return (struct sl_story_who){
		.nego = &a->nego,
		.from = &a->conn->from,
		.waited_ms = a->conn->waited_ms,
		.max_pdu = server_of(a)->conf.max_pdu,
		.now_ms = now_ms(a),
	};
}

static void ends(struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note)
{
	if (a->story.id != 0) /* else it never became an association */
		sl_story_ends(&a->story, end, why, note, now_ms(a));
}

bool sl_assoc_is_over(const struct sl_assoc *a)
{
	for (size_t i = 0; i < SL_ARRAY_N(a->stores); i++)
		if (sl_svc_store_is_busy(&a->stores[i]))
			return false;
	return is_ended(a);
}

static void tell_if_over(struct sl_assoc *a)
{
	if (!sl_assoc_is_over(a))
		return;
	sl_conn_settle_wait(a->conn);
	struct sl_story_who w = who(a);
	sl_story_tell(&a->story, &w);
}

/* ---- what the table's effects do ------------------------------------------------------------- */

/* A peer that leaves no room for this does not read: the connection is of no more use. */
static void send_pdu(struct sl_assoc *a, const struct sl_wbuf *w)
{
	sl_assert(!w->bad);
	if (sl_conn_send(a->conn, w->base, w->len) == SL_OK)
		return;
	ends(a, SL_STORY_TIMEOUT, "peer-does-not-read", NULL);
	a->is_cut_off = true; /* done at the end of the step */
}

static struct sl_wbuf scratch(struct sl_assoc *a)
{
	return sl_wbuf_of(loop_of(a)->scratch, sizeof(loop_of(a)->scratch));
}

static void send_ac(struct sl_assoc *a)
{
	struct sl_nego_answer *answer = &loop_of(a)->answer;
	sl_nego_answer(&a->nego, server_of(a)->conf.max_pdu, answer);
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_ac(&w, &answer->ac);
	send_pdu(a, &w);
	sl_msg_init(&a->msg);
	for (unsigned id = 1; id <= 255; id += 2)
		if (sl_nego_context(&a->nego, (uint8_t)id) != NULL)
			sl_msg_accept(&a->msg, (uint8_t)id);
	struct sl_story_who teller = who(a);
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
	ends(a, SL_STORY_RELEASE, NULL, NULL);
}

static void send_abort(struct sl_assoc *a, struct sl_ul_reason reason)
{
	struct sl_wbuf w = scratch(a);
	sl_pdu_encode_abort(&w, reason);
	send_pdu(a, &w);
}

static void start_artim(struct sl_assoc *a, enum sl_ul_state next)
{
	uint32_t ms = loop_of(a)->conf.artim_ms;
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
		ends(a, SL_STORY_ABORT_PEER, NULL, NULL);
		break;
	case SL_UL_INDICATE_P_ABORT:
		ends(a, SL_STORY_RESET, NULL, NULL);
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
		step(a, SL_UL_EVT7);
		break;
	case SL_NEGO_REJECT:
		step(a, SL_UL_EVT8);
		break;
	case SL_NEGO_ABORT:
		a->reason = a->decision.abort;
		step(a, SL_UL_EVT19);
		break;
	}
}

/* In Sta8: every operation that was complete gets its response before the release does. */
static void answer_release(struct sl_assoc *a)
{
	for (size_t i = 0; i < SL_ARRAY_N(a->stores); i++)
		if (sl_svc_store_is_busy(&a->stores[i]))
			return;
	if (a->state == SL_UL_STA8)
		step(a, SL_UL_EVT14);
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
		sl_server_give_place(server_of(a));
	if (a->has_grant)
		sl_peers_leave(&server_of(a)->peers, &a->grant);
	a->has_place = a->has_grant = false;
}

/* One cell of table 9-10. */
static void step(struct sl_assoc *a, enum sl_ul_event event)
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
	if (is_ended(a)) {
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
static void abort_by_user(
	struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note)
{
	ends(a, end, why, note);
	step(a, SL_UL_EVT15);
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool is_called_recognized(const struct sl_assoc *a)
{
	const struct sl_assoc_conf *conf = &loop_of(a)->conf;
	if (!conf->checks_called_ae || sl_ae_equal(&a->nego.called, &server_of(a)->conf.ae_title))
		return true;
	for (size_t i = 0; i < conf->ae_aliases_n; i++)
		if (sl_ae_equal(&a->nego.called, &conf->ae_aliases[i]))
			return true;
	return false;
}

/* Waiters far beyond what the pool serves in a while: one more would only wait. */
static bool is_pool_short(struct sl_server *server)
{
	struct sl_slab_stats pool = sl_slab_pool_stats(&server->pools.buffers);
	return pool.waiters >= sl_max(64, (size_t)pool.n * 16);
}

static void count_refusal(struct sl_assoc *a, struct sl_ul_reject r)
{
	struct sl_stats *stats = server_of(a)->stats;
	_Atomic uint64_t *counter = &stats->rejected_app_context;
	if (sl_loop_is_stopping(loop_of(a)))
		counter = &stats->rejected_stopping;
	else if (r.source == 1 && r.reason == 3)
		counter = &stats->rejected_calling_ae;
	else if (r.source == 1 && r.reason == 7)
		counter = &stats->rejected_called_ae;
	else if (r.source == 2)
		counter = &stats->rejected_version;
	else if (r.source == 3)
		counter = r.reason == 1 ? &stats->rejected_congested : &stats->rejected_limit;
	sl_stats_add(counter, 1);
}

static void decide(struct sl_assoc *a)
{
	struct sl_server *server = server_of(a);
	a->has_place = sl_server_take_place(server);
	const struct sl_nego_node node = {
		.calling_permitted =
			a->verdict == SL_PEER_ADMITTED || a->verdict == SL_PEER_TOO_MANY,
		.called_recognized = is_called_recognized(a),
		.limit_reached = !a->has_place || a->verdict == SL_PEER_TOO_MANY,
		.congested = is_pool_short(server) || sl_loop_is_stopping(loop_of(a)),
	};
	a->decision = sl_nego_decide(&a->nego, &a->grant.nego, &node);
	const char *why = a->decision.why;
	if (a->decision.verdict == SL_NEGO_ACCEPT)
		return;
	if (!node.calling_permitted && a->verdict == SL_PEER_ELSEWHERE)
		why = "address"; /* on the wire the same as an unknown title */
	if (a->decision.verdict == SL_NEGO_REJECT)
		count_refusal(a, a->decision.reject);
	ends(a, SL_STORY_REFUSED, why, NULL);
}

/* The titles are here: who is it, and what may it do? */
static void meet_peer(struct sl_assoc *a)
{
	struct sl_server *server = server_of(a);
	sl_story_begin(&a->story, sl_server_next_id(server), a->conn->opened_ms);
	a->verdict = sl_peers_admit(&server->peers, &a->nego.calling,
		(const struct sockaddr *)&a->conn->from, &a->grant);
	a->has_grant = true;
}

static void on_item(struct sl_assoc *a, const struct sl_pdu_ev *ev)
{
	if (a->due != SL_UL_EVT6)
		return; /* an A-ASSOCIATE PDU that the table has refused already */
	sl_nego_feed(&a->nego, &a->grant.nego, ev);
	if (ev->type == SL_PDU_EV_AE_TITLES)
		meet_peer(a);
}

/* ---- PDUs ------------------------------------------------------------------------------------ */

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
		ends(a, SL_STORY_ABORT_LOCAL, "unexpected-pdu", sl_ul_event_name(event));
		if (a->state == SL_UL_STA2)
			sl_loop_saw_junk(loop_of(a), SL_JUNK_OTHER, &a->conn->from);
		step(a, event);
	} else if (event == SL_UL_EVT10) {
		step(a, event);
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
		decide(a);
	}
	step(a, due);
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
	ends(a, SL_STORY_ABORT_LOCAL, why, note);
	step(a, SL_UL_EVT19);
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
	abort_by_user(a, SL_STORY_ABORT_LOCAL, "bad-command", note);
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

void sl_assoc_answer(struct sl_assoc *a, uint8_t pcid, const struct sl_cmd_rsp *rsp)
{
	if (!is_established(a))
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
	step(a, SL_UL_EVT9);
	a->sending = NULL;
}

/* ---- the transport --------------------------------------------------------------------------- */

void sl_assoc_on_closed(struct sl_assoc *a)
{
	if (!is_open(a))
		return;
	if (a->state == SL_UL_STA2 && a->conn->bytes_in == 0)
		sl_loop_saw_junk(loop_of(a), SL_JUNK_PROBE, &a->conn->from);
	if (a->state != SL_UL_STA1)
		step(a, SL_UL_EVT17);
	sl_conn_close(a->conn);
}

void sl_assoc_on_stalled(struct sl_assoc *a)
{
	ends(a, SL_STORY_TIMEOUT, "peer-does-not-read", NULL);
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
		sl_stats_add(&server_of(a)->stats->assocs_timeout, 1);
	ends(a, SL_STORY_TIMEOUT, "artim", NULL);
	step(a, SL_UL_EVT18);
}

/* True when the running message is slower than allowed. Between messages the window rests. */
static bool is_too_slow(struct sl_assoc *a, const struct sl_assoc_tick *tick)
{
	const struct sl_assoc_conf *conf = &loop_of(a)->conf;
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
	return a->quiet_ms >= loop_of(a)->conf.idle_ms;
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
		abort_by_user(a, SL_STORY_TIMEOUT, is_silent ? "idle" : "min-rate", NULL);
		return;
	}
	struct sl_story_who w = who(a);
	sl_story_tick(&a->story, &w, tick->dt_ms);
}

void sl_assoc_stop(struct sl_assoc *a, bool is_late)
{
	if (!is_open(a))
		return;
	a->is_goodbye_short = true;
	if (is_established(a)) {
		bool is_busy = sl_msg_is_open(&a->msg) || a->is_in_pdu ||
			       sl_assoc_waits_for_disk(a) || a->state == SL_UL_STA8 ||
			       a->quiet_ms < SL_ASSOC_LULL_MS;
		if (is_late || !is_busy)
			abort_by_user(a, SL_STORY_ABORT_LOCAL, "stopping", NULL);
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

bool sl_assoc_waits_for_disk(const struct sl_assoc *a)
{
	for (size_t i = 0; i < SL_ARRAY_N(a->stores); i++)
		if (sl_sm_state(&a->stores[i].op.stage) == SL_OP_DECIDING)
			return true;
	return false;
}

void sl_assoc_init(struct sl_assoc *a, struct sl_conn *conn, void (*on_object)(struct sl_assoc *a))
{
	a->conn = conn;
	a->on_object = on_object;
	a->state = SL_UL_STA1;
	for (size_t i = 0; i < SL_ARRAY_N(a->stores); i++)
		sl_svc_store_init(&a->stores[i], a);
}

void sl_assoc_begin(struct sl_assoc *a)
{
	struct sl_server *server = server_of(a);
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
	step(a, SL_UL_EVT5);
}
