/* The peers: storage SCUs that connect, send their objects and come again for what was not answered.
 * Some are bad once (bad.c), and then do their work.
 *
 * What the server says is read where it leaves the server (sim_peer_is_told): an answer is a promise
 * from that moment on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/bad.h"
#include "sim/peer.h"

#include <stdio.h>
#include <string.h>

#include "core/cmd.h"
#include "core/pdu.h"
#include "core/wbuf.h"
#include "sim/sim.h"
#include "support/cmdset.h"

#define TRIES       400                    /* associations of one peer */
#define PATIENCE_NS (1200 * 1000 * SIM_MS) /* each part of an object may wait 30 s for room */
#define CONNS       96

/* One connection, as the server sees it from its side. */
struct talk {
	struct peer *peer;
	uint8_t pdu[PEER_PDU_MAX + SL_PDU_HEAD_LEN];
	size_t n;
	bool is_accepted, is_refused, is_released;
	struct object *asked[SIM_OBJECTS + 2]; /* by message ID; NULL once answered */
};

static struct peer peers[SIM_PEERS + 2];
static unsigned peers_n;
static struct talk talks[CONNS];

/* ---- what the server says ---- */

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void take_response(struct talk *t, const uint8_t *at, size_t n)
{
	unsigned id = 0, status = 0x10000;
	for (size_t i = 0; i + 8 <= n;) {
		uint32_t len = le16(at + i + 4);
		uint16_t element = le16(at + i + 2);
		if (element == 0x0120)
			id = le16(at + i + 8);
		if (element == 0x0900)
			status = le16(at + i + 8);
		i += 8 + len;
	}
	if (id >= SL_ARRAY_N(t->asked) || t->asked[id] == NULL || status > 0xFFFF)
		sim_fail("a response to message %u, which is not open", id);
	struct object *o = t->asked[id];
	t->asked[id] = NULL;
	sim_note("answer", sim_hash(o->u, o->v) % 1000, status);
	sim_oracle_answered(o->u, o->v, (uint16_t)status);
	bool comes_again = status != 0 && status != 0x0111;
	o->refusals += comes_again;
	o->is_over = !comes_again || (!t->peer->is_probe && o->refusals >= 4);
}

static void take_pdu(struct talk *t)
{
	const uint8_t *body = t->pdu + SL_PDU_HEAD_LEN;
	switch (t->pdu[0]) {
	case 0x02:
		t->is_accepted = true;
		break;
	case 0x03: /* A-ASSOCIATE-RJ */
	case 0x07: /* A-ABORT */
		t->is_refused = true;
		break;
	case 0x04: /* one PDV with a whole command set: what the server writes */
		take_response(t, body + 6, t->n - SL_PDU_HEAD_LEN - 6);
		break;
	case 0x06:
		t->is_released = true;
		break;
	default:
		sim_fail("the server sends a PDU of type %02X", t->pdu[0]);
	}
}

void sim_peer_is_told(int conn, const uint8_t *bytes, size_t n)
{
	struct talk *t = &talks[conn];
	for (size_t i = 0; i < n; i++) {
		t->pdu[t->n++] = bytes[i];
		if (t->n < SL_PDU_HEAD_LEN)
			continue;
		size_t len = (size_t)t->pdu[4] << 8 | t->pdu[5];
		if (t->n == SL_PDU_HEAD_LEN && len > PEER_PDU_MAX)
			sim_fail("the server sends a PDU of %zu bytes", len);
		if (t->n == SL_PDU_HEAD_LEN + len) {
			take_pdu(t);
			t->n = 0;
		}
	}
}

/* ---- what a peer says ---- */

bool sim_peer_send(int conn, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		size_t part = sim_one_in(3) ? 1 + sim_below((uint32_t)n) : n;
		if (!sim_net_send(conn, bytes, part))
			return false;
		if (sim_one_in(8))
			sim_sleep(sim_below(150) * SIM_MS);
		bytes += part;
		n -= part;
	}
	return true;
}

static bool send_wbuf(int conn, const struct sl_wbuf *w)
{
	sl_assert(!w->bad);
	return sim_peer_send(conn, w->base, w->len);
}

struct sl_wbuf sim_peer_request(struct peer *p)
{
	const struct sl_uid syntax = sl_uid_of("1.2.840.10008.1.2.1");
	const struct sl_pdu_pctx_proposal context = {.id = 1,
		.abstract_syntax = sl_uid_of(T_CT_CLASS),
		.transfer_syntaxes = &syntax,
		.transfer_syntaxes_n = 1};
	struct sl_pdu_associate_rq rq = {.pctx = &context,
		.pctx_n = 1,
		.user = {.max_len = PEER_PDU_MAX, .impl_class_uid = sl_uid_of("1.2.3")}};
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	if (p->is_eager) {
		rq.user.has_async = true;
		rq.user.async_invoked = (uint16_t)sim_plan.window;
		rq.user.async_performed = 1;
	}
	memset(rq.called_ae, ' ', 16);
	memset(rq.calling_ae, ' ', 16);
	memcpy(rq.called_ae, "SLUICE", 6);
	memcpy(rq.calling_ae, "SIM", 3);
	sl_pdu_encode_rq(&w, &rq);
	return w;
}

bool sim_peer_send_command(struct peer *p, int conn, struct object *o, uint16_t id)
{
	talks[conn].asked[id] = o;
	sim_oracle_sent(o->u, o->v);
	uint8_t set[512];
	struct sl_wbuf c = sl_wbuf_of(set, sizeof(set));
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	struct sl_uid uid = sim_uid(o->u);
	t_store_rq(&c, id, uid.s, 0);
	sl_pdu_encode_pdv_head(&w, 1, true, true, (uint32_t)c.len);
	sl_wbuf_put(&w, c.base, c.len);
	return send_wbuf(conn, &w);
}

bool sim_peer_send_dataset(struct peer *p, int conn, size_t n, size_t of)
{
	size_t piece = sim_plan.piece_min + 2 * (1 + sim_below(sim_one_in(2) ? 200 : 8000));
	for (size_t at = 0; at < n;) {
		size_t part = sl_min(piece, n - at);
		struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
		sl_pdu_encode_pdv_head(&w, 1, false, at + part == of, (uint32_t)part);
		sl_wbuf_put(&w, p->dataset + at, part);
		at += part;
		if (!send_wbuf(conn, &w))
			return false;
		if (sim_one_in(sim_plan.pause_den))
			sim_sleep(sim_below(1500) * SIM_MS);
	}
	return true;
}

/* ---- an association ---- */

/* The server answers, or the connection is over. */
static bool await(int conn, const bool *what)
{
	uint64_t until = sim_now_ns() + PATIENCE_NS;
	while (!*what && !talks[conn].is_refused) {
		enum sim_got got = sim_net_receive(conn, until);
		if (got == SIM_GOT_TIMEOUT)
			sim_fail("the server neither answers nor ends the association");
		if (got == SIM_GOT_END)
			break;
	}
	return *what;
}

static bool await_answers(int conn, unsigned open_max)
{
	struct talk *t = &talks[conn];
	uint64_t until = sim_now_ns() + PATIENCE_NS;
	for (;;) {
		unsigned open = 0;
		for (size_t i = 0; i < SL_ARRAY_N(t->asked); i++)
			open += t->asked[i] != NULL;
		if (open <= open_max)
			return true;
		enum sim_got got = t->is_refused ? SIM_GOT_END : sim_net_receive(conn, until);
		if (got == SIM_GOT_TIMEOUT)
			sim_fail("the server does not answer a C-STORE");
		if (got == SIM_GOT_END)
			return false;
	}
}

/* All that is not answered yet. False: the connection is over. */
static bool send_objects(struct peer *p, int conn)
{
	for (unsigned i = 0; i < p->objects_n; i++) {
		struct object *o = &p->objects[i];
		if (o->is_over)
			continue;
		size_t n = sim_dataset(o->u, o->v, p->dataset);
		if (!sim_peer_send_command(p, conn, o, (uint16_t)(i + 1)))
			return false;
		if (p->badness >= ABORTS && sim_one_in(2)) {
			sim_bad_within(p, conn, p->badness, n);
			return false;
		}
		if (!sim_peer_send_dataset(p, conn, n, n) ||
			!await_answers(conn, p->is_eager ? sim_plan.window : 0))
			return false;
	}
	return await_answers(conn, 0);
}

static void release(struct peer *p, int conn)
{
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	sl_pdu_encode_release_rq(&w);
	if (!send_wbuf(conn, &w) || !await(conn, &talks[conn].is_released))
		sim_note("release is cut short", (uint64_t)conn, 0);
	else if (p->badness == LINGERS)
		sim_bad_while(p, conn, LINGERS);
}

static bool send_request(struct peer *p, int conn)
{
	struct sl_wbuf w = sim_peer_request(p);
	return send_wbuf(conn, &w);
}

static void associate(struct peer *p)
{
	int conn = sim_net_connect();
	if (conn < 0)
		return;
	talks[conn] = (struct talk){.peer = p};
	if (p->badness != GOOD && p->badness < IDLES) {
		sim_bad_before(p, conn, p->badness);
	} else if (send_request(p, conn) && await(conn, &talks[conn].is_accepted)) {
		if (p->badness == IDLES || p->badness == NEVER_READS)
			sim_bad_while(p, conn, p->badness);
		else if (send_objects(p, conn))
			release(p, conn);
	}
	sim_net_close(conn, sim_one_in(8));
}

static bool is_over(const struct peer *p)
{
	for (unsigned i = 0; i < p->objects_n; i++)
		if (!p->objects[i].is_over)
			return false;
	return true;
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	sim_sleep(sim_below(300) * SIM_MS);
	while (!is_over(p) && p->tries++ < TRIES) {
		if (p->tries > 1)
			sim_sleep((20 + sim_below(200)) * (1 + p->tries / 10) * SIM_MS);
		associate(p);
	}
	if (!is_over(p) && (!sim_plan.has_faults || p->is_probe))
		sim_fail("a peer gives up after %u associations", p->tries);
	p->is_done = true;
	return NULL;
}

/* ---- from outside ---- */

void sim_peers_reset(void)
{
	for (unsigned i = 0; i < SL_ARRAY_N(peers); i++)
		peers[i].is_used = false;
	peers_n = 0;
}

static struct peer *new_peer(unsigned objects)
{
	struct peer *p = &peers[peers_n++];
	p->is_used = true;
	p->is_done = p->is_probe = false;
	p->is_eager = sim_one_in(4);
	p->badness = GOOD;
	p->tries = 0;
	p->objects_n = objects;
	memset(p->objects, 0, sizeof(p->objects));
	return p;
}

void sim_peers_start(void)
{
	for (unsigned i = 0; i < sim_plan.peers; i++) {
		struct peer *p = new_peer(sim_plan.objects);
		for (unsigned k = 0; k < p->objects_n; k++) {
			p->objects[k].u = sim_below(sim_plan.uids);
			p->objects[k].v = sim_below(sim_plan.versions);
		}
		if (sim_one_in(sim_plan.bad_peer_den))
			p->badness = sim_bad_choose();
		(void)sim_start(peer_main, p, false, "peer");
	}
}

bool sim_peers_are_done(void)
{
	for (unsigned i = 0; i < peers_n; i++)
		if (!peers[i].is_done)
			return false;
	return true;
}

void sim_peers_probe(void)
{
	struct peer *p = new_peer(1);
	p->is_probe = true;
	p->objects[0].u = SIM_PROBE;
	(void)sim_start(peer_main, p, false, "probe");
}
