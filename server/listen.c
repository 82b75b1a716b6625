/* The acceptor; see listen.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/server.h"

#define BACKLOG 512 /* capped by net.core.somaxconn */

/* ---- opening --------------------------------------------------------------------------------- */

static bool parse(const char *text, uint16_t port, struct sockaddr_storage *sa, socklen_t *len)
{
	memset(sa, 0, sizeof(*sa));
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)sa;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		return true;
	}
	return false;
}

/* What an operator does about it. */
static enum sl_status bind_failed(struct sl_diag *d, int err, const char *addr, uint16_t port)
{
	switch (err) {
	case EADDRINUSE:
		return sl_fail(d, SL_E_IO, err, "listen/bind",
			"%s port %u is in use by another process; choose another dicom.port or "
			"stop it",
			addr, port);
	case EACCES:
		return sl_fail(d, SL_E_IO, err, "listen/bind",
			"%s port %u needs privileges (CAP_NET_BIND_SERVICE); ports from 1024 do "
			"not",
			addr, port);
	case EADDRNOTAVAIL:
		return sl_fail(d, SL_E_IO, err, "listen/bind",
			"%s is no address of this machine; correct dicom.bind", addr);
	default:
		return sl_fail(d, SL_E_IO, err, "listen/bind", "cannot listen on %s port %u: %s",
			addr, port, strerror(err));
	}
}

/* The port it is in fact; 0: the system does not say. */
static uint16_t port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)(const void *)&sa)->sin6_port
			     : ((const struct sockaddr_in *)(const void *)&sa)->sin_port);
}

static enum sl_status open_one(
	struct sl_listen *acceptor, const char *addr, uint16_t port, struct sl_diag *d)
{
	struct sockaddr_storage sa;
	socklen_t len;
	if (!parse(addr, port, &sa, &len))
		return sl_fail(d, SL_E_CONFIG, 0, "listen/address", "%s is not an address", addr);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_failed(d, errno, addr, port);
	const int on = 1, off = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (sa.ss_family == AF_INET6) { /* "::" is every address, IPv4 too */
		bool is_any = IN6_IS_ADDR_UNSPECIFIED(
			&((const struct sockaddr_in6 *)(const void *)&sa)->sin6_addr);
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_any ? &off : &on, sizeof(int));
	}
	if (bind(fd, (struct sockaddr *)&sa, len) != 0 || listen(fd, BACKLOG) != 0 ||
		(acceptor->port = port_of(fd)) == 0) {
		int err = errno;
		close(fd);
		return bind_failed(d, err, addr, port);
	}
	acceptor->sockets[acceptor->n++] = (struct sl_listen_socket){.fd = fd, .listen = acceptor};
	return SL_OK;
}

enum sl_status sl_listen_open(struct sl_listen *acceptor, struct sl_server *server,
	const struct sl_listen_conf *conf, struct sl_diag *d)
{
	*acceptor = (struct sl_listen){.server = server, .port = conf->port, .reserved_fd = -1};
	acceptor->reserved_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < conf->addr_n && i < SL_LISTEN_MAX; i++) {
		enum sl_status st = open_one(acceptor, conf->addr[i], acceptor->port, d);
		if (st != SL_OK) {
			sl_listen_close(acceptor);
			return st;
		}
	}
	return SL_OK;
}

/* ---- accepting ------------------------------------------------------------------------------- */

/* The loop with the fewest connections gives a slot; NULL when all are taken. */
static struct sl_conn *take_slot(struct sl_server *server)
{
	struct sl_loop *best = &server->loops[0];
	for (unsigned i = 1; i < server->conf.loops; i++)
		if (atomic_load(&server->loops[i].used_n) < atomic_load(&best->used_n))
			best = &server->loops[i];
	return sl_loop_take_slot(best);
}

enum accepted { ACCEPTED, NONE_WAITS, CANNOT };

/* No descriptor is left: one is freed, the connection is taken with it and closed. */
static enum accepted refuse_without_descriptor(struct sl_listen *acceptor, int fd)
{
	if (acceptor->reserved_fd < 0)
		return CANNOT;
	close(acceptor->reserved_fd);
	int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (conn >= 0)
		close(conn);
	acceptor->reserved_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (conn >= 0)
		sl_stats_add(&acceptor->server->stats->rejected_congested, 1);
	return conn >= 0 ? ACCEPTED : CANNOT;
}

static enum accepted accept_one(struct sl_listen *acceptor, int fd)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	int conn = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (conn < 0) {
		switch (errno) {
		case EAGAIN:
			return NONE_WAITS;
		case ECONNABORTED: /* gone while it waited */
		case EINTR:
			return ACCEPTED;
		case EMFILE:
		case ENFILE:
			return refuse_without_descriptor(acceptor, fd);
		default: /* ENOBUFS, ENOMEM, or an error of the network waiting on the socket */
			return CANNOT;
		}
	}
	sl_stats_add(&acceptor->server->stats->connects, 1);
	struct sl_conn *c = take_slot(acceptor->server);
	if (c != NULL) {
		sl_conn_hand(c, conn, &from);
		return ACCEPTED;
	}
	sl_stats_add(&acceptor->server->stats->rejected_limit, 1);
	close(conn);
	return ACCEPTED;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct sl_listen_socket *s = poll->data;
	(void)events;
	if (status < 0)
		return;
	enum accepted last = ACCEPTED;
	for (int i = 0; i < SL_LISTEN_TURN && last == ACCEPTED; i++)
		last = accept_one(s->listen, s->fd);
	if (last != CANNOT)
		return;
	for (size_t i = 0; i < s->listen->n; i++)
		uv_poll_stop(&s->listen->sockets[i].poll);
	s->listen->is_resting = true;
}

static bool watch(struct sl_listen *acceptor)
{
	for (size_t i = 0; i < acceptor->n; i++)
		if (uv_poll_start(&acceptor->sockets[i].poll, UV_READABLE, on_readable) != 0)
			return false;
	return true;
}

void sl_listen_tick(struct sl_listen *acceptor)
{
	if (acceptor->reserved_fd < 0 && acceptor->n > 0)
		acceptor->reserved_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (acceptor->is_resting)
		acceptor->is_resting = !watch(acceptor);
}

/* ---- starting and closing ---------------------------------------------------------------------- */

static void close_socket(struct sl_listen_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void on_poll_closed(uv_handle_t *handle)
{
	close_socket(handle->data);
}

static void close_reserved(struct sl_listen *acceptor)
{
	if (acceptor->reserved_fd >= 0)
		close(acceptor->reserved_fd);
	acceptor->reserved_fd = -1;
}

void sl_listen_stop(struct sl_listen *acceptor)
{
	for (size_t i = 0; i < acceptor->n; i++)
		uv_close((uv_handle_t *)&acceptor->sockets[i].poll, on_poll_closed);
	acceptor->n = 0;
	acceptor->is_resting = false;
	close_reserved(acceptor);
}

enum sl_status sl_listen_start(struct sl_listen *acceptor, uv_loop_t *loop)
{
	size_t n = 0;
	for (; n < acceptor->n; n++) {
		struct sl_listen_socket *s = &acceptor->sockets[n];
		if (uv_poll_init(loop, &s->poll, s->fd) != 0)
			break;
		s->poll.data = s;
	}
	if (n == acceptor->n && watch(acceptor))
		return SL_OK;
	for (size_t i = n; i < acceptor->n; i++)
		close_socket(&acceptor->sockets[i]);
	acceptor->n = n;
	sl_listen_stop(acceptor);
	return SL_E_IO;
}

void sl_listen_close(struct sl_listen *acceptor)
{
	for (size_t i = 0; i < acceptor->n; i++)
		close_socket(&acceptor->sockets[i]);
	acceptor->n = 0;
	acceptor->is_resting = false;
	close_reserved(acceptor);
}
