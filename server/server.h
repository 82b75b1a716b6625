/* The network half of the node: what all loops share, and their life.
 *
 * Happy path: open (buys every buffer and slot in one mapping, binds the ports), start (threads),
 * stop (drains; on_stopped follows), close (joins, frees). main.c fills the option structs from the
 * configuration; nothing here reads it.
 *
 * Threads: open, start, close on the main thread; configure and stop on any, but not both at once.
 * on_stopped is called on a loop's thread and must only pass the news on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "server/listen.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/peers.h"
#include "server/stats.h"
#include "server/window.h"

#define SL_SERVER_LOOPS_MAX 64
#define SL_SERVER_SPARE     16 /* connection slots beyond max_associations: for refusals */

/* What needs a restart to change. */
struct sl_server_conf {
	struct sl_ae ae_title;
	struct sl_listen_conf listen;
	unsigned loops;            /* 1 .. SL_SERVER_LOOPS_MAX */
	uint32_t max_associations; /* at least 1 */
	uint16_t async_window;     /* operations of one association at a time, at least 1 */
	uint32_t max_pdu;          /* we declare [bytes] */
	size_t recv_area;          /* of a connection [bytes] */
	size_t buffer_size;        /* of a pool buffer [bytes] */
	uint32_t buffers;          /* in the pool, at least 1 */
	int highest_fd; /* descriptors we expect; watchers for them are bought at start */
	struct sl_assoc_conf assoc;
};

/* Borrowed; outlive the server. */
struct sl_server_deps {
	struct sl_ingest *ingest;
	struct sl_log *log; /* NULL: silent (tests) */
	struct sl_stats *stats;
	void (*on_thread)(void *arg); /* first on each loop thread: to seal it; may be NULL */
	void (*on_stopped)(void *arg);
	void *arg;
};

struct sl_server {
	struct sl_server_conf conf;
	struct sl_ingest *ingest;
	struct sl_log *log;
	struct sl_stats *stats;
	void (*on_thread)(void *arg);
	void (*on_stopped)(void *arg);
	void *arg;
	struct sl_intake_pools pools;
	struct sl_window window; /* operations to lend */
	struct sl_peers peers;
	struct sl_listen listen;
	struct sl_loop *loops;        /* conf.loops of them */
	unsigned started_n;           /* loops that have a thread */
	atomic_uint running_n;        /* loops that have not stopped */
	atomic_uint associations;     /* places taken, of max_associations */
	atomic_uint_fast64_t last_id; /* of associations */
	void *memory;                 /* one mapping for all of it */
	size_t memory_len;            /* bytes */
};

/* What the network half buys at start, in all and of it the pool's buffers [bytes]. */
struct sl_server_sizes {
	size_t total, pool, areas, slots;
};
struct sl_server_sizes sl_server_sizes(const struct sl_server_conf *conf);

/* Buys and binds; allocates. SL_E_NOMEM, SL_E_IO, SL_E_CONFIG with *d. Returns owned. */
SL_MUST enum sl_status sl_server_open(struct sl_server **out, const struct sl_server_conf *conf,
	const struct sl_peers_conf *peers, const struct sl_server_deps *deps, struct sl_diag *d);

/* Starts the loops; connections are accepted from now on. */
SL_MUST enum sl_status sl_server_start(struct sl_server *s, struct sl_diag *d);

/* Takes over what SIGHUP may change. */
void sl_server_configure(
	struct sl_server *s, const struct sl_assoc_conf *conf, const struct sl_peers_conf *peers);

/* No new associations; running ones may finish for deadline_ms, then they are aborted. on_stopped
 * follows, once, when all connections are closed and all objects done. A second call, with 0, ends the
 * patience. */
void sl_server_stop(struct sl_server *s, uint64_t deadline_ms);

/* After on_stopped, or when it was never started. NULL is allowed. */
void sl_server_close(struct sl_server *s);

uint16_t sl_server_port(const struct sl_server *s);
uint32_t sl_server_associations(const struct sl_server *s);
struct sl_slab_stats sl_server_pool(struct sl_server *s);

/* ---- for the loops --------------------------------------------------------------------------- */

/* One of max_associations; false when none is left. */
SL_MUST bool sl_server_take_place(struct sl_server *s);
void sl_server_give_place(struct sl_server *s);
uint64_t sl_server_next_id(struct sl_server *s);
void sl_server_on_loop_stopped(struct sl_server *s);
