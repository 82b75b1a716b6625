/* What the peer says: the answer to the request, responses, the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/sender_int.h"
#include "tools/bench/worker.h"

#define READ_LEN 16384 /* bytes */

/* One line, one write: whole also when the run is killed, and never before the answer was read. A ledger
 * that lacks a line is worth nothing, so the run ends with it. */
static void enter_in_ledger(const struct sl_worker *w, const struct sl_uid *uid, uint16_t status)
{
	char line[SL_UID_MAX + 16];
	if (w->ledger < 0)
		return;
	int n = snprintf(line, sizeof(line), "%s %04X\n", uid->s, status);
	if (write(w->ledger, line, (size_t)n) == n)
		return;
	fprintf(stderr, "sluice-bench: %s: %s\n", w->opts->ledger, strerror(errno));
	_exit(1);
}

static struct sl_sender_flight *find_flight(struct sl_sender *s, uint16_t message_id)
{
	for (size_t i = 0; message_id != 0 && i < SL_ARRAY_N(s->flights); i++)
		if (s->flights[i].message_id == message_id)
			return &s->flights[i];
	return NULL;
}

/* False: the association is over. */
static bool on_response(struct sl_sender *s, const struct sl_msg_ev *ev)
{
	struct sl_worker *w = s->worker;
	struct sl_sender_flight *f = find_flight(s, ev->cmd->responded_to);
	if (ev->cmd_status != SL_OK || ev->cmd->field != (SL_CMD_C_STORE_RQ | SL_CMD_RSP_BIT) ||
		f == NULL) {
		sl_sender_end(s, SL_TALLY_BAD_PEER);
		return false;
	}
	uint64_t now = sl_worker_clock();
	enter_in_ledger(w, &f->uid, ev->cmd->status);
	sl_tally_status(&w->tally, ev->cmd->status);
	sl_lat_add(&w->tally.object, now - f->began_ns);
	if (f->sent_ns != 0)
		sl_lat_add(&w->tally.answer, now - f->sent_ns);
	if (ev->cmd->status == 0)
		w->tally.stored_len += sl_kind_len(f->kind);
	if (s->feeding == f)
		s->feeding = NULL; /* answered early: the rest of it is sent all the same */
	f->message_id = 0;
	s->flights_n--;
	s->next_ns = now + w->opts->think_ms * 1000000;
	return true;
}

static bool on_accepted(struct sl_sender *s)
{
	if (sl_pdu_fragment_max(s->peer_max_len, UINT16_MAX) < 2) {
		sl_sender_end(s, SL_TALLY_BAD_PEER);
		return false;
	}
	s->broken_ns = 0;
	s->stage = SL_SENDER_TALKING;
	return true;
}

/* A PDU is complete. False: the association is over. */
static bool on_end(struct sl_sender *s, enum sl_pdu_type pdu)
{
	enum sl_tally_end end = SL_TALLY_BAD_PEER;
	if (pdu == SL_PDU_PDATA_TF)
		return true;
	if (pdu == SL_PDU_ASSOCIATE_AC && s->stage == SL_SENDER_ASKING)
		return on_accepted(s);
	if (pdu == SL_PDU_ASSOCIATE_RJ)
		end = SL_TALLY_REJECTED;
	else if (pdu == SL_PDU_ABORT)
		end = SL_TALLY_ABORTED;
	else if (pdu == SL_PDU_RELEASE_RP && s->stage == SL_SENDER_RELEASING)
		end = SL_TALLY_RELEASED;
	sl_sender_end(s, end);
	return false;
}

/* An item of the answer. */
static void on_item(struct sl_sender *s, const struct sl_pdu_ev *ev)
{
	const struct sl_opts *o = s->worker->opts;
	if (ev->type == SL_PDU_EV_MAX_LEN) {
		s->peer_max_len = ev->max_len;
	} else if (ev->type == SL_PDU_EV_ASYNC && o->window > 1) {
		uint32_t granted = ev->async.invoked == 0 ? o->window : ev->async.invoked;
		s->window = (uint32_t)sl_min(granted, o->window);
	} else if (ev->type == SL_PDU_EV_PCTX_END && ev->pctx.result == SL_PDU_PCTX_ACCEPTED &&
		   ev->pctx.id / 2u < o->kinds_n) {
		s->accepted[ev->pctx.id / 2u] = true;
		sl_msg_accept(&s->msg, ev->pctx.id);
	}
}

/* False: the association is over. */
static bool on_event(struct sl_sender *s, const struct sl_pdu_ev *ev)
{
	struct sl_msg_ev message;
	if (ev->type == SL_PDU_EV_END)
		return on_end(s, ev->pdu);
	if (ev->type != SL_PDU_EV_PDV) {
		on_item(s, ev);
		return true;
	}
	switch (sl_msg_next(&s->msg, &ev->pdv, &message)) {
	case SL_OK:
		return message.type != SL_MSG_EV_COMMAND || on_response(s, &message);
	case SL_AGAIN:
		return true;
	default:
		sl_sender_end(s, SL_TALLY_BAD_PEER);
		return false;
	}
}

static bool parse(struct sl_sender *s, const uint8_t *bytes, size_t n)
{
	struct sl_cur in = sl_cur_of(bytes, n);
	for (;;) {
		struct sl_pdu_ev ev;
		switch (sl_pdu_next(&s->dec, &in, &ev)) {
		case SL_OK:
			if (!on_event(s, &ev))
				return false;
			break;
		case SL_AGAIN:
			return true;
		default:
			sl_sender_end(s, SL_TALLY_BAD_PEER);
			return false;
		}
	}
}

void sl_sender_read(struct sl_sender *s)
{
	uint8_t bytes[READ_LEN];
	for (;;) {
		ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			sl_sender_end(s, SL_TALLY_CLOSED);
			return;
		}
		s->heard_ns = s->worker->now_ns;
		if (!parse(s, bytes, (size_t)n))
			return;
	}
}
