/* Connections: two bounded pipes each, and who has closed which end.
 *
 * Bytes arrive in order and whole, but in any pieces (loop.c and the peer take what chance says), and
 * never more than the plan allows are on their way: a side that does not read stops the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "sim/peer.h"
#include "sim/sim.h"
#include "sim/wraps.h"

#define CONNS    96
#define PIPE     32768
#define FD_CONN  1000 /* the server's end of connection 0 */
#define FD_HEARS 900  /* a listening socket */

struct pipe {
	size_t from, n;
	uint8_t bytes[PIPE];
};

struct conn {
	bool peer_closed, server_closed, is_reset;
	size_t window;       /* bytes of the server's that may be on their way */
	struct pipe in, out; /* as the server sees them */
};

static struct {
	struct conn conns[CONNS];
	int conns_n;
	int queue[CONNS], queue_n; /* not accepted yet */
	bool hears;
} net;

void sim_net_reset(void)
{
	net.conns_n = net.queue_n = 0;
	net.hears = false;
}

static struct conn *conn_at(int i)
{
	sl_assert(i >= 0 && i < net.conns_n);
	return &net.conns[i];
}

static void changed(struct conn *c)
{
	sim_wake(c, true);
	sim_loops_poke();
}

void sim_net_kill(void)
{
	for (int i = 0; i < net.conns_n; i++) {
		net.conns[i].server_closed = net.conns[i].is_reset = true;
		sim_wake(&net.conns[i], true);
	}
	net.queue_n = 0;
	net.hears = false;
}

/* max: bytes on their way. */
static size_t push(struct pipe *p, const uint8_t *bytes, size_t n, size_t max)
{
	n = sl_min(n, max - sl_min(p->n, max));
	size_t at = (p->from + p->n) % PIPE, first = sl_min(n, PIPE - at);
	memcpy(p->bytes + at, bytes, first);
	memcpy(p->bytes, bytes + first, n - first);
	p->n += n;
	return n;
}

static size_t pull(struct pipe *p, uint8_t *bytes, size_t n)
{
	n = sl_min(n, p->n);
	size_t first = sl_min(n, PIPE - p->from);
	if (bytes != NULL) {
		memcpy(bytes, p->bytes + p->from, first);
		memcpy(bytes + first, p->bytes, n - first);
	}
	p->from = (p->from + n) % PIPE;
	p->n -= n;
	return n;
}

/* ---- the peer's side ---- */

int sim_net_connect(void)
{
	if (!net.hears)
		return -1;
	int i = 0;
	while (i < net.conns_n && !(net.conns[i].peer_closed && net.conns[i].server_closed))
		i++;
	if (i == CONNS)
		sim_fail("more than %d connections", CONNS);
	net.conns_n += i == net.conns_n;
	struct conn *c = &net.conns[i];
	c->peer_closed = c->server_closed = c->is_reset = false;
	c->in.from = c->in.n = c->out.from = c->out.n = 0;
	c->window = sl_min(sim_plan.pipe_max, PIPE);
	net.queue[net.queue_n++] = i;
	sim_note("connect", (uint64_t)i, 0);
	sim_loops_poke();
	return i;
}

bool sim_net_is_open(int conn)
{
	return !conn_at(conn)->server_closed;
}

bool sim_net_send(int conn, const void *bytes, size_t n)
{
	struct conn *c = conn_at(conn);
	const uint8_t *at = bytes;
	while (n > 0) {
		sim_yield();
		if (c->server_closed)
			return false;
		size_t taken = push(&c->in, at, n, sl_min(sim_plan.pipe_max, PIPE));
		at += taken;
		n -= taken;
		if (taken > 0)
			changed(c);
		else
			(void)sim_block(c, SIM_NEVER);
	}
	return true;
}

enum sim_got sim_net_receive(int conn, uint64_t until)
{
	struct conn *c = conn_at(conn);
	for (;;) {
		sim_yield();
		if (pull(&c->out, NULL, 1 + sim_below(PIPE)) > 0) {
			changed(c);
			return SIM_GOT_BYTES;
		}
		if (c->server_closed)
			return SIM_GOT_END;
		if (sim_now_ns() >= until)
			return SIM_GOT_TIMEOUT;
		(void)sim_block(c, until);
	}
}

void sim_net_shrink(int conn, size_t n)
{
	conn_at(conn)->window = sl_min(n, conn_at(conn)->window);
}

void sim_net_close(int conn, bool is_reset)
{
	struct conn *c = conn_at(conn);
	c->peer_closed = true;
	c->is_reset |= is_reset;
	sim_note("peer closes", (uint64_t)conn, is_reset);
	changed(c);
}

/* ---- the server's side ---- */

bool sim_net_has(int fd)
{
	return fd >= FD_HEARS;
}

static struct conn *conn_of(int fd)
{
	if (fd < FD_CONN || fd - FD_CONN >= net.conns_n || net.conns[fd - FD_CONN].server_closed)
		sim_fail("socket %d is used, and is not open", fd);
	return &net.conns[fd - FD_CONN];
}

long sim_net_read(int fd, void *bytes, size_t n)
{
	struct conn *c = conn_of(fd);
	if (c->is_reset)
		return -2;
	size_t got = pull(&c->in, bytes, n);
	if (got == 0)
		return c->peer_closed ? -1 : 0;
	sim_note("received", (uint64_t)fd, got);
	changed(c);
	return (long)got;
}

long sim_net_write(int fd, const void *bytes, size_t n)
{
	struct conn *c = conn_of(fd);
	if (c->is_reset || c->peer_closed)
		return -2;
	size_t taken = push(&c->out, bytes, n, c->window);
	sim_peer_is_told(fd - FD_CONN, bytes, taken);
	if (taken > 0)
		changed(c);
	return (long)taken;
}

bool sim_net_is_readable(int fd)
{
	const struct conn *c = conn_of(fd);
	return c->in.n > 0 || c->peer_closed || c->is_reset;
}

bool sim_net_is_writable(int fd)
{
	const struct conn *c = conn_of(fd);
	return c->out.n < c->window || c->peer_closed || c->is_reset;
}

bool sim_net_waits(int fd)
{
	return fd == FD_HEARS && net.queue_n > 0;
}

void sim_net_close_fd(int fd)
{
	if (fd < FD_CONN) {
		net.hears = false;
		while (net.queue_n > 0) {
			struct conn *c = &net.conns[net.queue[--net.queue_n]];
			c->server_closed = c->is_reset = true;
			sim_wake(c, true);
		}
		return;
	}
	struct conn *c = conn_of(fd);
	sim_note("close", (uint64_t)fd, c->in.n);
	c->server_closed = true;
	changed(c);
}

/* ---- calls ---- */

int __wrap_socket(int family, int type, int protocol)
{
	(void)family;
	(void)type;
	(void)protocol;
	return FD_HEARS;
}

int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)fd;
	(void)sa;
	(void)len;
	return 0;
}

int __wrap_listen(int fd, int backlog)
{
	(void)fd;
	(void)backlog;
	net.hears = true;
	return 0;
}

static void fill_address(struct sockaddr *sa, socklen_t *len)
{
	const struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(11112),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (sa == NULL)
		return;
	memcpy(sa, &in, sizeof(in));
	*len = sizeof(in);
}

int __wrap_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	(void)fd;
	fill_address(sa, len);
	return 0;
}

int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	(void)flags;
	sim_yield();
	if (fd != FD_HEARS || net.queue_n == 0) {
		errno = EAGAIN;
		return -1;
	}
	int i = net.queue[0];
	memmove(net.queue, net.queue + 1, (size_t)--net.queue_n * sizeof(net.queue[0]));
	fill_address(sa, len);
	sim_note("accept", (uint64_t)i, 0);
	return FD_CONN + i;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	(void)fd;
	(void)level;
	(void)option;
	(void)value;
	(void)len;
	return 0;
}

/* As conn.c asks: is the other side still there? */
int __wrap_poll(struct pollfd *fds, unsigned long n, int timeout_ms)
{
	sl_assert(n == 1 && timeout_ms == 0);
	const struct conn *c = conn_of(fds->fd);
	unsigned was = (c->is_reset ? POLLERR | POLLHUP : 0u) | (c->peer_closed ? POLLRDHUP : 0u);
	fds->revents = (short)(was & ((unsigned)fds->events | POLLERR | POLLHUP));
	return fds->revents != 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	int *out = va_arg(ap, int *);
	va_end(ap);
	const struct conn *c = conn_of(fd);
	*out = (int)(request == FIONREAD ? c->in.n : c->out.n);
	return 0;
}

int __wrap_fcntl(int fd, int command, ...)
{
	(void)fd;
	(void)command;
	errno = EMFILE; /* no watchers need to be bought for simulated descriptors */
	return -1;
}
