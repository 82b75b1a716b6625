/* The peers: storage SCUs that connect, send their objects and come again for what was not answered;
 * and bad ones, which stop in the middle in every way there is.
 *
 * What the server says is read where it leaves the server (sim_peer_is_told): an answer is a promise
 * from that moment on. A bad peer is bad once, and then does its work; each is to be let go by the
 * server within simulated minutes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/peer.h"

#include <stdio.h>
#include <string.h>

#include "core/cmd.h"
#include "core/pdu.h"
#include "core/wbuf.h"
#include "sim/sim.h"
#include "support/cmdset.h"

#define OBJECTS     8
#define TRIES       400 /* associations of one peer */
#define PATIENCE_NS (200 * 1000 * SIM_MS)
#define PDU_MAX     16384
#define CONNS       96

enum badness {
	GOOD,
	ABORTS,
	RESETS,
	FALLS_SILENT,
	SAYS_NOTHING,
	TALKS_NONSENSE,
	NEVER_READS,
	BAD_N
};

struct object {
	unsigned u, v;
	bool is_over; /* answered for good */
	unsigned refusals;
};

struct peer {
	bool is_used, is_done, is_eager, is_probe;
	enum badness badness;
	unsigned objects_n, tries;
	struct object objects[OBJECTS];
	uint8_t dataset[SIM_DATASET], out[SIM_DATASET];
};

/* One connection, as the server sees it from its side. */
struct talk {
	struct peer *peer;
	uint8_t pdu[PDU_MAX + SL_PDU_HEAD_LEN];
	size_t n;
	bool is_accepted, is_refused, is_released;
	struct object *asked[OBJECTS + 2]; /* by message ID; NULL once answered */
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
		if (t->n == SL_PDU_HEAD_LEN && len > PDU_MAX)
			sim_fail("the server sends a PDU of %zu bytes", len);
		if (t->n == SL_PDU_HEAD_LEN + len) {
			take_pdu(t);
			t->n = 0;
		}
	}
}

/* ---- what a peer says ---- */

static bool send_bytes(int conn, const uint8_t *bytes, size_t n)
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
	return send_bytes(conn, w->base, w->len);
}

static bool send_request(struct peer *p, int conn)
{
	const struct sl_uid syntax = sl_uid_of("1.2.840.10008.1.2.1");
	const struct sl_pdu_pctx_proposal context = {.id = 1,
		.abstract_syntax = sl_uid_of(T_CT_CLASS),
		.transfer_syntaxes = &syntax,
		.transfer_syntaxes_n = 1};
	struct sl_pdu_associate_rq rq = {.pctx = &context,
		.pctx_n = 1,
		.user = {.max_len = PDU_MAX, .impl_class_uid = sl_uid_of("1.2.3")}};
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
	return send_wbuf(conn, &w);
}

static bool send_command(struct peer *p, int conn, const struct object *o, uint16_t id)
{
	uint8_t set[512];
	struct sl_wbuf c = sl_wbuf_of(set, sizeof(set));
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	struct sl_uid uid = sim_uid(o->u);
	t_store_rq(&c, id, uid.s, 0);
	sl_pdu_encode_pdv_head(&w, 1, true, true, (uint32_t)c.len);
	sl_wbuf_put(&w, c.base, c.len);
	return send_wbuf(conn, &w);
}

/* The first n bytes of the data set, and its end if that is all. */
static bool send_dataset(struct peer *p, int conn, size_t n, size_t of)
{
	size_t piece = 2 * (1 + sim_below(sim_one_in(2) ? 200 : 8000));
	for (size_t at = 0; at < n;) {
		size_t part = sl_min(piece, n - at);
		struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
		sl_pdu_encode_pdv_head(&w, 1, false, at + part == of, (uint32_t)part);
		sl_wbuf_put(&w, p->dataset + at, part);
		at += part;
		if (!send_wbuf(conn, &w))
			return false;
	}
	return true;
}

/* ---- an association ---- */

/* Until the server has let go; it has to. */
static void await_end(int conn, const char *what)
{
	uint64_t until = sim_now_ns() + PATIENCE_NS;
	while (sim_net_receive(conn, until) == SIM_GOT_BYTES)
		continue;
	if (sim_net_is_open(conn))
		sim_fail("the association of a peer that %s does not end", what);
}

static void await_end_unread(int conn)
{
	uint64_t until = sim_now_ns() + PATIENCE_NS;
	while (sim_net_is_open(conn) && sim_now_ns() < until)
		sim_sleep(100 * SIM_MS);
	if (sim_net_is_open(conn))
		sim_fail("the association of a peer that never reads does not end");
}

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

/* Stops in the middle of an object as its kind does. */
static void misbehave(struct peer *p, int conn, size_t of)
{
	enum badness kind = p->badness;
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	p->badness = GOOD;
	sim_note("misbehaves", kind, 0);
	if (!send_dataset(p, conn, sim_below((uint32_t)of), of))
		return;
	switch (kind) {
	case ABORTS:
		sl_pdu_encode_abort(&w, (struct sl_ul_reason){0});
		if (send_wbuf(conn, &w))
			await_end(conn, "aborts");
		break;
	case TALKS_NONSENSE:
		sl_wbuf_fill(&w, (uint8_t)sim_below(256), 1 + sim_below(2000));
		if (send_wbuf(conn, &w))
			await_end(conn, "talks nonsense");
		break;
	case FALLS_SILENT:
		await_end(conn, "falls silent");
		break;
	default:
		sim_net_close(conn, true);
		break;
	}
}

/* Sends on and on without looking. */
static void send_blindly(struct peer *p, int conn)
{
	p->badness = GOOD;
	for (unsigned i = 0; i < p->objects_n; i++) {
		struct object *o = &p->objects[i];
		size_t n = sim_dataset(o->u, o->v, p->dataset);
		talks[conn].asked[i + 1] = o;
		sim_oracle_sent(o->u, o->v);
		if (!send_command(p, conn, o, (uint16_t)(i + 1)) || !send_dataset(p, conn, n, n))
			return;
	}
	await_end_unread(conn);
}

/* All that is not answered yet. False: the connection is over. */
static bool send_objects(struct peer *p, int conn)
{
	for (unsigned i = 0; i < p->objects_n; i++) {
		struct object *o = &p->objects[i];
		if (o->is_over)
			continue;
		size_t n = sim_dataset(o->u, o->v, p->dataset);
		talks[conn].asked[i + 1] = o;
		sim_oracle_sent(o->u, o->v);
		if (!send_command(p, conn, o, (uint16_t)(i + 1)))
			return false;
		if (p->badness != GOOD && sim_one_in(2)) {
			misbehave(p, conn, n);
			return false;
		}
		if (!send_dataset(p, conn, n, n) ||
			!await_answers(conn, p->is_eager ? sim_plan.window : 0))
			return false;
	}
	return await_answers(conn, 0);
}

static void release(struct peer *p, int conn)
{
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	sl_pdu_encode_release_rq(&w);
	if (send_wbuf(conn, &w) && await(conn, &talks[conn].is_released))
		return;
	sim_note("release is cut short", (uint64_t)conn, 0);
}

static void associate(struct peer *p)
{
	int conn = sim_net_connect();
	if (conn < 0)
		return;
	talks[conn] = (struct talk){.peer = p};
	if (p->badness == SAYS_NOTHING) {
		p->badness = GOOD;
		await_end(conn, "says nothing");
	} else if (send_request(p, conn) && await(conn, &talks[conn].is_accepted)) {
		if (p->badness == NEVER_READS)
			send_blindly(p, conn);
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
			p->badness = (enum badness)(1 + sim_below(BAD_N - 1));
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
