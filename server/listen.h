/* The acceptor: listening sockets on loop 0, every connection to the loop with the fewest.
 *
 * accept4() is called here and not by libuv, so that descriptors are born non-blocking and
 * close-on-exec, and so that they can be opened on another loop.
 *
 * Out of descriptors (EMFILE, ENFILE): a reserved descriptor is given up for a moment, to take the
 * waiting connection and close it, so that peers learn at once; where even that is gone, the acceptor
 * rests until the next tick, so that poll() does not spin. Out of slots:
 * the connection is taken and closed; the spare slots have already said 2/3/2 to those before it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <uv.h>

#include "core/status.h"

#define SL_LISTEN_MAX  16 /* addresses of dicom.bind */
#define SL_LISTEN_ADDR 46 /* INET6_ADDRSTRLEN */
#define SL_LISTEN_TURN 32 /* connections taken in one go, so that sockets get their turn */

struct sl_server;

struct sl_listen_conf {
	char addr[SL_LISTEN_MAX][SL_LISTEN_ADDR];
	size_t addr_n;
	uint16_t port; /* 0: any; the same for all addresses */
};

struct sl_listen_socket {
	uv_poll_t poll;
	int fd; /* -1: none */
	struct sl_listen *listen;
};

struct sl_listen {
	struct sl_server *server;
	struct sl_listen_socket sockets[SL_LISTEN_MAX];
	size_t n;
	uint16_t port;   /* in fact */
	int reserved_fd; /* given up when descriptors run out; -1: is gone itself */
	bool is_resting; /* nothing is watched until the next tick */
};

/* Binds and listens. SL_E_IO with *d: "port 104 needs privileges ...", "port 11112 is in use". */
SL_MUST enum sl_status sl_listen_open(struct sl_listen *listen, struct sl_server *server,
	const struct sl_listen_conf *conf, struct sl_diag *d);

/* Accepts from now on; before the loop runs. */
SL_MUST enum sl_status sl_listen_start(struct sl_listen *listen, uv_loop_t *loop);

/* On the loop's thread, each tick: goes on after a rest. */
void sl_listen_tick(struct sl_listen *listen);

/* On the loop's thread: no more connections, the port is free. */
void sl_listen_stop(struct sl_listen *listen);

/* Of a listener that was never started. */
void sl_listen_close(struct sl_listen *listen);
