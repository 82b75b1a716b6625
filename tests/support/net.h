/* A server on loopback with ingest's twin behind it, and a peer that says whatever bytes it is told.
 *
 * The peer blocks, on the test's thread; what it expects either comes or the socket's own time limit
 * fails the test. Nothing sleeps: where the server must have seen something first, its counters say so.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cmd.h"
#include "core/pdu.h"
#include "server/server.h"
#include "support/cmdset.h"
#include "support/ingest_mem.h"
#undef ECHO /* of termios.h, by way of uv.h */
#include "support/request.h"

#define NET_PATIENCE_S 30 /* for what must come; never asserted as a speed */

struct node {
	struct ingest_mem *ingest;
	struct sl_stats stats;
	struct sl_server *server;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_stopped;
};

static inline void node_on_stopped(void *arg)
{
	struct node *n = arg;
	pthread_mutex_lock(&n->lock);
	n->is_stopped = true;
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
}

/* Small and patient; tests change what they are about. */
static inline struct sl_server_conf node_conf(void)
{
	return (struct sl_server_conf){
		.ae_title = sl_ae_of("SLUICE"),
		.listen = {.addr = {"127.0.0.1"}, .addr_n = 1},
		.loops = 1,
		.max_associations = 20,
		.max_pdu = 65536,
		.async_window = 8,
		.recv_area = 8 * SL_KIB,
		.buffer_size = 64 * SL_KIB,
		.buffers = 4,
		.highest_fd = 200,
		.assoc = {.artim_ms = 20000, .idle_ms = 60000, .min_rate_window_ms = 60000},
	};
}

static inline struct sl_peers_conf node_peers(void)
{
	struct sl_peers_conf peers = {.unlisted = {.duplicates = SL_DUP_REFUSE}};
	sl_nego_policy_init(&peers.unlisted.nego);
	return peers;
}

static inline void node_start_with(
	struct node *n, const struct sl_server_conf *conf, const struct sl_peers_conf *peers)
{
	memset(n, 0, sizeof(*n));
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->changed, NULL);
	n->ingest = ingest_mem_open();
	const struct sl_server_deps deps = {.ingest = ingest_mem_of(n->ingest),
		.stats = &n->stats,
		.on_stopped = node_on_stopped,
		.arg = n};
	struct sl_diag d = {0};
	if (sl_server_open(&n->server, conf, peers, &deps, &d) != SL_OK ||
		sl_server_start(n->server, &d) != SL_OK)
		fail_msg("%s: %s", d.where, d.text);
}

static inline void node_start(struct node *n, const struct sl_server_conf *conf)
{
	struct sl_peers_conf peers = node_peers();
	node_start_with(n, conf, &peers);
}

static inline void node_wait_stopped(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	while (!n->is_stopped)
		pthread_cond_wait(&n->changed, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

/* Stops at once. Every buffer must have come back. */
static inline void node_end(struct node *n)
{
	ingest_mem_hold(n->ingest, false);
	sl_server_stop(n->server, 0);
	node_wait_stopped(n);
	assert_int_equal(sl_server_pool(n->server).used, 0);
	assert_int_equal(sl_server_pool(n->server).waiters, 0);
	assert_int_equal(sl_slab_pool_stats(&n->server->pools.areas).used, 0);
	assert_int_equal(sl_server_associations(n->server), 0);
	sl_server_close(n->server);
	ingest_mem_close(n->ingest);
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->changed);
}

/* Until a counter of the server's has reached n. */
static inline void node_wait(const _Atomic uint64_t *counter, uint64_t n)
{
	while (sl_stats_get(counter) < n)
		sched_yield();
}

/* Until n pool buffers are in use, or waited for. */
static inline void node_wait_used(struct node *n, uint32_t used)
{
	while (sl_server_pool(n->server).used != used)
		sched_yield();
}

static inline void node_wait_waiters(struct node *n, uint32_t waiters)
{
	while (sl_server_pool(n->server).waiters != waiters)
		sched_yield();
}

/* ---- the peer -------------------------------------------------------------------------------- */

/* Connects this socket. */
static inline void dial_with(struct node *n, int fd)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(sl_server_port(n->server))};
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const struct timeval patience = {.tv_sec = NET_PATIENCE_S};
	const int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static inline int dial(struct node *n)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	dial_with(n, fd);
	return fd;
}

/* False when the server hung up. */
static inline bool try_say(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static inline void say(int fd, const void *bytes, size_t n)
{
	assert_true(try_say(fd, bytes, n));
}

static inline void say_wire(int fd, struct wire w)
{
	say(fd, w.p, w.n);
	wire_free(&w);
}

static inline void say_text(int fd, const char *text)
{
	say_wire(fd, wire_of(text));
}

/* Exactly n bytes, or false at the end of the stream (a reset is one too). */
static inline bool hear(int fd, void *bytes, size_t n)
{
	uint8_t *p = bytes;
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);
		if (got < 0 && errno == EAGAIN)
			fail_msg("nothing came");
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

struct heard {
	uint8_t type; /* 0: the stream ended */
	uint32_t len;
	uint8_t body[64 * 1024];
};

static inline uint8_t hear_pdu(int fd, struct heard *h)
{
	uint8_t head[SL_PDU_HEAD_LEN];
	h->type = 0;
	if (!hear(fd, head, sizeof(head)))
		return 0;
	h->len = (uint32_t)head[2] << 24 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 8 |
		 head[5];
	assert_true(h->len <= sizeof(h->body));
	if (!hear(fd, h->body, h->len))
		return 0;
	h->type = head[0];
	return h->type;
}

static inline void expect_abort(int fd, unsigned source, unsigned reason)
{
	static _Thread_local struct heard h;
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_ABORT);
	assert_int_equal(h.body[2], source);
	assert_int_equal(h.body[3], reason);
}

static inline void expect_reject(int fd, unsigned result, unsigned source, unsigned reason)
{
	static _Thread_local struct heard h;
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_ASSOCIATE_RJ);
	assert_int_equal(h.body[1], result);
	assert_int_equal(h.body[2], source);
	assert_int_equal(h.body[3], reason);
}

static inline void expect_end(int fd)
{
	static _Thread_local struct heard h;
	assert_int_equal(hear_pdu(fd, &h), 0);
	close(fd);
}

/* ---- associations ---------------------------------------------------------------------------- */

/* 1: verification, 3: CT explicit little endian, 5: a private class. */
static inline struct wire rq_to(const char *called)
{
	char titles[33];
	snprintf(titles, sizeof(titles), "%-16sPEER            ", called);
	return request_of("0001", titles,
		APPLICATION_CONTEXT CONTEXT("01", CLASS(ECHO) SYNTAX(IMPLICIT_LE))
			CONTEXT("03", CLASS(CT) SYNTAX(EXPLICIT_LE))
				CONTEXT("05", CLASS(PRIVATE) SYNTAX(EXPLICIT_LE)) USER(MAX_LEN));
}

static inline void associate(int fd)
{
	static _Thread_local struct heard h;
	say_wire(fd, rq_to("SLUICE"));
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_ASSOCIATE_AC);
}

/* The same where slots were short a moment ago: a peer sees its end before the slot is free again, so a
 * newcomer may be closed and, as any peer would, tries again. */
static inline int dial_until_associated(struct node *n)
{
	static _Thread_local struct heard h;
	for (;;) {
		int fd = dial(n);
		struct wire rq = rq_to("SLUICE");
		bool is_said = try_say(fd, rq.p, rq.n);
		wire_free(&rq);
		if (is_said && hear_pdu(fd, &h) == SL_PDU_ASSOCIATE_AC)
			return fd;
		close(fd);
	}
}

static inline int dial_and_associate(struct node *n)
{
	int fd = dial(n);
	associate(fd);
	return fd;
}

static inline void release(int fd)
{
	static _Thread_local struct heard h;
	say_text(fd, "05 00 00000004 00000000");
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_RELEASE_RP);
	close(fd);
}

/* ---- messages -------------------------------------------------------------------------------- */

struct command {
	uint16_t field, message_id;
	const char *sop_class, *instance; /* NULL: left out */
	bool has_data_set;
};

/* UI values are padded with NUL. */
static inline void add_uid(struct sl_wbuf *w, uint16_t element, const char *uid)
{
	char padded[SL_UID_MAX + 2] = {0};
	if (uid == NULL)
		return;
	size_t n = strlen(uid);
	memcpy(padded, uid, n);
	t_el(w, element, (uint32_t)(n + (n & 1)), padded, n + (n & 1));
}

/* The PDUs of n bytes, each with one fragment of at most `most` bytes. */
static inline void add_pdvs(
	struct wire *w, uint8_t pcid, bool is_command, const uint8_t *p, size_t n, size_t most)
{
	size_t pdus = n == 0 ? 1 : (n + most - 1) / most;
	size_t total = n + pdus * (SL_PDU_HEAD_LEN + SL_PDU_PDV_HEAD_LEN);
	struct sl_wbuf b = sl_wbuf_of(wire_grow(w, total), total);
	for (; pdus > 0; pdus--) {
		size_t now = sl_min(n, most);
		sl_pdu_encode_pdv_head(&b, pcid, is_command, now == n, (uint32_t)now);
		sl_wbuf_put(&b, p, now);
		p += now;
		n -= now;
	}
	assert_false(b.bad);
}

static inline void add_command(struct wire *w, uint8_t pcid, const struct command *c)
{
	uint8_t bytes[512];
	struct sl_wbuf b = sl_wbuf_of(bytes, sizeof(bytes));
	sl_wbuf_fill(&b, 0, 12); /* the group length comes last */
	add_uid(&b, 0x0002, c->sop_class);
	t_us(&b, 0x0100, c->field);
	t_us(&b, 0x0110, c->message_id);
	if (c->field == SL_CMD_C_STORE_RQ)
		t_us(&b, 0x0700, 0);
	t_us(&b, 0x0800, c->has_data_set ? 0x0001 : SL_CMD_NO_DATA_SET);
	add_uid(&b, 0x1000, c->instance);
	struct sl_wbuf head = sl_wbuf_of(bytes, 12);
	uint8_t len[4] = {(uint8_t)(b.len - 12), (uint8_t)((b.len - 12) >> 8), 0, 0};
	t_el(&head, 0x0000, 4, len, 4);
	add_pdvs(w, pcid, true, bytes, b.len, 4096);
}

static inline void add_echo(struct wire *w, uint16_t message_id)
{
	const struct command c = {
		.field = SL_CMD_C_ECHO_RQ, .message_id = message_id, .sop_class = ECHO};
	add_command(w, 1, &c);
}

/* A C-STORE of CT instance "1.2.3.<message ID>" with these n bytes. */
static inline void add_store(
	struct wire *w, uint16_t message_id, const uint8_t *p, size_t n, size_t pdv_max)
{
	char uid[32];
	snprintf(uid, sizeof(uid), "1.2.3.%u", message_id);
	const struct command c = {.field = SL_CMD_C_STORE_RQ,
		.message_id = message_id,
		.sop_class = CT,
		.instance = uid,
		.has_data_set = true};
	add_command(w, 3, &c);
	add_pdvs(w, 3, false, p, n, pdv_max);
}

/* Bytes that show where they are from. */
static inline uint8_t *pattern(size_t n, uint64_t seed)
{
	uint8_t *p = malloc(n + 1);
	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)wire_random(&seed);
	return p;
}

static inline void say_store(int fd, uint16_t message_id, size_t n, size_t pdv_max)
{
	uint8_t *p = pattern(n, message_id + 77u);
	struct wire w = {NULL, 0};
	add_store(&w, message_id, p, n, pdv_max);
	say_wire(fd, w);
	free(p);
}

struct response {
	struct sl_cmd cmd;
};

/* The next response, whatever it is cut into. */
static inline struct sl_cmd expect_response(int fd)
{
	static _Thread_local struct heard h;
	uint8_t command[512];
	size_t n = 0;
	for (bool is_last = false; !is_last;) {
		assert_int_equal(hear_pdu(fd, &h), SL_PDU_PDATA_TF);
		size_t len = h.len - 6;
		assert_true(n + len <= sizeof(command));
		memcpy(command + n, h.body + 6, len);
		n += len;
		is_last = (h.body[5] & 2) != 0;
	}
	struct sl_cmd cmd;
	struct sl_diag d = {0};
	assert_int_equal(sl_cmd_decode(&cmd, command, n, &d), SL_OK);
	return cmd;
}

static inline void expect_status(int fd, uint16_t message_id, uint16_t status)
{
	struct sl_cmd rsp = expect_response(fd);
	assert_int_equal(rsp.status, status);
	assert_int_equal(rsp.responded_to, message_id);
	assert_int_equal(rsp.comment[0] != '\0', status != 0); /* the cause is always named */
}

/* What the twin kept of object i is what say_store(message_id, n) sent. */
static inline void assert_kept(struct node *n, unsigned i, uint16_t message_id, size_t len)
{
	const struct ingest_mem_object *o = ingest_mem_at(n->ingest, i);
	uint8_t *p = pattern(len, message_id + 77u);
	assert_int_equal(o->bytes_n, len);
	assert_memory_equal(o->bytes, p, len);
	free(p);
}
