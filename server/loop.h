/* One event loop: a thread, its connection slots, its mailbox, its tick.
 *
 * All state of a connection belongs to one loop; several loops share nothing but the pools, ingest and
 * counters, so that `dicom.loops` is only a number. Loop 0 also has the acceptor (listen.h), which
 * hands each descriptor to the loop with the fewest connections.
 *
 * When nearly all slots are taken, connections that have not asked for an association yet are closed,
 * the oldest first: silent clients, however many, cannot keep others out until ARTIM.
 *
 * Life: sl_loop_init (before the thread), sl_loop_start, sl_loop_stop (any thread, twice if need be),
 * sl_loop_join, sl_loop_fini. A stopping loop drains: running associations may finish until the
 * deadline, then they are aborted; on_stopped is told when the last slot is free.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/nego.h"
#include "server/conn.h"
#include "server/mailbox.h"

#define SL_LOOP_TICK_MS   100
#define SL_LOOP_DT_MAX_MS 1000 /* a tick counts no more: a stopped process shall blame nobody */
#define SL_LOOP_RESERVE   4    /* slots kept free at the cost of connections that say nothing */
#define SL_LOOP_MUTE_MS   1000 /* a connection without a request for so long may be closed for that */
#define SL_LOOP_SCRATCH   (40 * SL_KIB)

struct sl_server;

/* What came to the port and was not DICOM, since the last line about it. */
struct sl_junk_tally {
	uint64_t n[SL_JUNK_N];
	struct sockaddr_storage from[SL_JUNK_N]; /* the latest of each kind */
	uint64_t next_ms;                        /* no line before */
};

enum sl_loop_stage {
	SL_LOOP_IDLE, /* not started */
	SL_LOOP_RUNNING,
	SL_LOOP_DRAINING, /* no new associations */
	SL_LOOP_STOPPED,  /* all slots are free; handles are closing */
	SL_LOOP_STAGE_N
};

struct sl_loop {
	struct sl_server *server;
	unsigned number;
	uv_loop_t uv;
	pthread_t thread;
	struct sl_sm stage; /* enum sl_loop_stage; loop thread only */
	struct sl_mailbox mailbox;
	uv_timer_t tick;
	uint64_t ticked_ms;

	struct sl_conn *slots; /* slots_n of them, in the server's memory */
	uint32_t slots_n;
	pthread_mutex_t lock; /* of `free` */
	struct sl_list free;  /* struct sl_conn.node */
	atomic_uint used_n;   /* slots not free; read by the acceptor */
	struct sl_list live;  /* struct sl_conn.node, loop thread only */

	struct sl_assoc_conf conf;      /* the loop's copy of what SIGHUP may change */
	struct sl_assoc_conf next_conf; /* under lock, until taken over */
	struct sl_mail configured;

	struct sl_mail stopped;
	atomic_uint_fast64_t stop_at_ms; /* uv_hrtime based [ms]: associations are aborted then */
	bool has_aborted;                /* that was done; loop thread only */

	struct sl_junk_tally junk;
	struct sl_nego_answer answer;     /* of the A-ASSOCIATE-AC being written */
	uint8_t scratch[SL_LOOP_SCRATCH]; /* PDUs are encoded here, one at a time */
};

/* slots: slots_n of them, zeroed memory that outlives the loop. */
SL_MUST enum sl_status sl_loop_init(struct sl_loop *loop, struct sl_server *server, unsigned number,
	struct sl_conn *slots, uint32_t slots_n);
SL_MUST enum sl_status sl_loop_start(struct sl_loop *loop);

/* Drains for at most deadline_ms, then aborts what is left. Any thread; a second call may shorten. */
void sl_loop_stop(struct sl_loop *loop, uint64_t deadline_ms);
void sl_loop_join(struct sl_loop *loop);
/* The loop was joined, or never started. */
void sl_loop_fini(struct sl_loop *loop);

/* What follows is taken over by the associations that begin later, timers also by open ones. */
void sl_loop_configure(struct sl_loop *loop, const struct sl_assoc_conf *conf);

/* Acceptor: a free slot, or NULL. */
struct sl_conn *sl_loop_take_slot(struct sl_loop *loop);

/* ---- for connections, on the loop's thread ---- */
void sl_loop_add(struct sl_loop *loop, struct sl_conn *c);
void sl_loop_give_slot(struct sl_loop *loop, struct sl_conn *c);
bool sl_loop_is_stopping(const struct sl_loop *loop);
void sl_loop_saw_junk(struct sl_loop *loop, enum sl_junk kind, const struct sockaddr_storage *from);
