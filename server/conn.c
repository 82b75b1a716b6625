/* A connection slot; see conn.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "server/loop.h"
#include "server/server.h"

#define KEEPALIVE_S 60 /* idle seconds before the kernel asks whether the peer is still there */

static const struct sl_sm_row stage_rows[SL_CONN_STAGE_N] = {
	[SL_CONN_FREE] = {"FREE", SL_SM_TO(SL_CONN_HANDED)},
	[SL_CONN_HANDED] = {"HANDED", SL_SM_TO(SL_CONN_OPEN) | SL_SM_TO(SL_CONN_FREE)},
	[SL_CONN_OPEN] = {"OPEN", SL_SM_TO(SL_CONN_CLOSING)},
	[SL_CONN_CLOSING] = {"CLOSING", SL_SM_TO(SL_CONN_CLOSED)},
	[SL_CONN_CLOSED] = {"CLOSED", SL_SM_TO(SL_CONN_FREE)},
};
static const struct sl_sm_conf stage_conf = {"conn", stage_rows, SL_CONN_STAGE_N};

static bool is_open(const struct sl_conn *c)
{
	return sl_sm_state(&c->stage) == SL_CONN_OPEN;
}

static struct sl_stats *stats_of(const struct sl_conn *c)
{
	return c->loop->server->stats;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *write, int status);

/* Gives what waits to libuv; at most one request at a time, embedded. False: the socket is dead. */
static bool write_on(struct sl_conn *c)
{
	c->out_writing = c->out_end - c->out_start;
	c->write.data = c;
	uv_buf_t buf = uv_buf_init((char *)c->out + c->out_start, (unsigned)c->out_writing);
	c->is_writing = uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) == 0;
	return c->is_writing;
}

static void on_written(uv_write_t *write, int status)
{
	struct sl_conn *c = write->data;
	c->is_writing = false;
	if (!is_open(c))
		return;
	if (status < 0) {
		sl_assoc_on_closed(&c->assoc);
		return;
	}
	sl_stats_add(&stats_of(c)->net_bytes_out, c->out_writing);
	c->out_start += c->out_writing;
	if (c->out_start < c->out_end) {
		if (!write_on(c))
			sl_assoc_on_closed(&c->assoc);
		return;
	}
	c->out_start = c->out_end = 0;
	sl_conn_pump(c);
}

static size_t out_room(const struct sl_conn *c)
{
	return sizeof(c->out) - c->out_end;
}

bool sl_conn_has_room(const struct sl_conn *c)
{
	return out_room(c) >= SL_CONN_OUT_ROOM;
}

enum sl_status sl_conn_send(struct sl_conn *c, const void *bytes, size_t n)
{
	if (!is_open(c))
		return SL_OK;
	size_t taken = 0;
	c->is_sending = true;
	if (!c->is_writing) {
		uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)n);
		int rc = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
		if (rc > 0)
			taken = (size_t)rc;
		sl_stats_add(&stats_of(c)->net_bytes_out, taken);
	}
	if (taken == n)
		return SL_OK;
	if (n - taken > out_room(c))
		return SL_E_LIMIT;
	memcpy(c->out + c->out_end, (const uint8_t *)bytes + taken, n - taken);
	c->out_end += n - taken;
	return c->is_writing || write_on(c) ? SL_OK : SL_E_IO;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static enum sl_conn_wait waits_for(const struct sl_conn *c)
{
	switch (c->intake.wait) {
	case SL_INTAKE_POOL:
		return SL_CONN_WAIT_POOL;
	case SL_INTAKE_DISK:
		return SL_CONN_WAIT_DISK;
	case SL_INTAKE_READY:
		break;
	}
	return sl_assoc_waits_for_disk(&c->assoc) ? SL_CONN_WAIT_DISK : SL_CONN_WAIT_PEER;
}

void sl_conn_settle_wait(struct sl_conn *c)
{
	struct sl_stats *stats = stats_of(c);
	uint64_t now = uv_now(&c->loop->uv), ms = now - c->wait_since_ms;
	enum sl_conn_wait was = c->wait;
	c->waited_ms[was] += ms;
	c->wait_since_ms = now;
	c->wait = waits_for(c);
	if (was == SL_CONN_WAIT_POOL)
		sl_stats_add(&stats->pool_wait_ns, ms * 1000000);
	if (was == SL_CONN_WAIT_DISK)
		sl_stats_add(&stats->disk_wait_ns, ms * 1000000);
	if (c->wait == SL_CONN_WAIT_POOL && was != SL_CONN_WAIT_POOL)
		sl_stats_add(&stats->pool_waits, 1);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct sl_conn *c = handle->data;
	(void)suggested;
	size_t n;
	uint8_t *at = sl_intake_room(&c->intake, &n);
	*buf = uv_buf_init((char *)at, (unsigned)n);
}

/* A peer with Nagle on (storescu, as shipped) holds the data set back until its small command PDU is
 * acknowledged, which the kernel would put off by 40 ms. So what is small and not to be answered yet is
 * acknowledged at once. The option is not sticky: the kernel takes it as "now". */
static void acknowledge_now(struct sl_conn *c)
{
	int on = 1;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct sl_conn *c = stream->data;
	if (n == 0 || n == UV_ENOBUFS)
		return;
	if (n < 0) {
		sl_assoc_on_closed(&c->assoc);
		return;
	}
	if (c->head_n < SL_JUNK_LOOK) {
		size_t more = sl_min((size_t)n, (size_t)(SL_JUNK_LOOK - c->head_n));
		memcpy(c->head + c->head_n, buf->base, more);
		c->head_n = (uint8_t)(c->head_n + more);
	}
	c->bytes_in += (uint64_t)n;
	sl_stats_add(&stats_of(c)->net_bytes_in, (uint64_t)n);
	sl_intake_filled(&c->intake, (size_t)n, uv_now(&c->loop->uv));
	sl_conn_pump(c);
	if (n < SL_CONN_SMALL && c->is_reading)
		acknowledge_now(c);
}

/* Reads exactly when there is room. */
static void set_reading(struct sl_conn *c)
{
	size_t n;
	(void)sl_intake_room(&c->intake, &n);
	bool wants = n > 0;
	if (wants == c->is_reading)
		return;
	c->is_reading = wants;
	if (!wants) {
		uv_read_stop((uv_stream_t *)&c->tcp);
		return;
	}
	if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
		sl_assoc_on_closed(&c->assoc);
}

/* As far as it goes now. */
static void pump_once(struct sl_conn *c)
{
	if (is_open(c) && sl_assoc_parse(&c->assoc))
		sl_intake_turn(&c->intake);
}

void sl_conn_pump(struct sl_conn *c)
{
	pump_once(c);
	if (is_open(c) && c->intake.wait == SL_INTAKE_DISK) {
		sl_intake_await(&c->intake);
		pump_once(c);
	}
	if (!is_open(c))
		return;
	sl_conn_settle_wait(c);
	set_reading(c);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Free when nothing can reach the slot any more. */
static void free_if_over(struct sl_conn *c)
{
	if (sl_sm_state(&c->stage) != SL_CONN_CLOSED || !sl_assoc_is_over(&c->assoc) ||
		!sl_intake_is_quiet(&c->intake))
		return;
	sl_sm_move(&c->stage, SL_CONN_FREE);
	sl_loop_give_slot(c->loop, c);
}

static void on_tcp_closed(uv_handle_t *handle)
{
	struct sl_conn *c = handle->data;
	sl_sm_move(&c->stage, SL_CONN_CLOSED);
	free_if_over(c);
}

void sl_conn_close(struct sl_conn *c)
{
	if (!is_open(c))
		return;
	sl_conn_settle_wait(c);
	sl_sm_move(&c->stage, SL_CONN_CLOSING);
	c->is_reading = false;
	sl_intake_close(&c->intake);
	uv_close((uv_handle_t *)&c->tcp, on_tcp_closed);
}

/* A grant came, wanted or not. */
static void on_granted(struct sl_intake *in)
{
	struct sl_conn *c = sl_container_of(in, struct sl_conn, intake);
	if (is_open(c))
		sl_conn_pump(c);
	else
		free_if_over(c);
}

/* An object of the association is done or has room again. */
static void on_object(struct sl_assoc *assoc)
{
	struct sl_conn *c = sl_container_of(assoc, struct sl_conn, assoc);
	if (is_open(c))
		sl_conn_pump(c);
	else
		free_if_over(c);
}

static bool open_socket(struct sl_conn *c)
{
	c->tcp.data = c;
	if (uv_tcp_open(&c->tcp, c->fd) != 0)
		return false;
	const int sndbuf = SL_CONN_SNDBUF;
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	/* One write per answer, and no waiting for more of it (40 ms of delayed ACK otherwise). */
	(void)uv_tcp_nodelay(&c->tcp, 1);
	(void)uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
	return true;
}

static void reset(struct sl_conn *c)
{
	c->is_reading = false;
	c->head_n = 0;
	c->bytes_in = c->bytes_seen = 0;
	c->is_writing = c->is_sending = false;
	c->out_start = c->out_end = c->out_writing = c->out_left = 0;
	c->stalled_ms = c->gone_ms = 0;
	c->wait = SL_CONN_WAIT_PEER;
	c->opened_ms = c->wait_since_ms = uv_now(&c->loop->uv);
	memset(c->waited_ms, 0, sizeof(c->waited_ms));
}

static void deliver_handed(struct sl_mail *mail)
{
	struct sl_conn *c = sl_container_of(mail, struct sl_conn, handed);
	if (uv_tcp_init(&c->loop->uv, &c->tcp) != 0) {
		close(c->fd);
		sl_sm_move(&c->stage, SL_CONN_FREE);
		sl_loop_give_slot(c->loop, c);
		return;
	}
	reset(c);
	bool is_usable = open_socket(c);
	if (!is_usable)
		close(c->fd);
	sl_sm_move(&c->stage, SL_CONN_OPEN);
	sl_loop_add(c->loop, c);
	sl_intake_open(&c->intake, c->fd);
	sl_assoc_begin(&c->assoc);
	if (!is_usable || sl_loop_is_stopping(c->loop)) {
		sl_assoc_on_closed(&c->assoc);
		return;
	}
	sl_conn_pump(c);
}

void sl_conn_init(struct sl_conn *c, struct sl_loop *loop)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
	sl_list_init(&c->node);
	sl_sm_init(&c->stage, &stage_conf);
	sl_mail_init(&c->handed, deliver_handed);
	sl_intake_init(&c->intake, &loop->server->pools, &loop->mailbox, on_granted);
	sl_assoc_init(&c->assoc, c, on_object);
}

void sl_conn_hand(struct sl_conn *c, int fd, const struct sockaddr_storage *from)
{
	sl_sm_move(&c->stage, SL_CONN_HANDED);
	c->fd = fd;
	c->from = *from;
	sl_mailbox_post(&c->loop->mailbox, &c->handed);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* True when the peer has taken nothing of what waits for too long. What was sent and is not
 * acknowledged may be the network's fault and is left to TCP; what cannot even be sent is a peer that
 * does not read. */
static bool is_stalled(struct sl_conn *c, uint32_t dt_ms)
{
	if (!c->is_sending)
		return false;
	int queued = 0, unsent = 0;
	(void)ioctl(c->fd, SIOCOUTQ, &queued);
	(void)ioctl(c->fd, SIOCOUTQNSD, &unsent);
	c->is_sending = c->is_writing || unsent > 0;
	size_t left = (size_t)queued + uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
	bool is_moving = left != c->out_left || !c->is_sending;
	c->out_left = left;
	c->stalled_ms = is_moving ? 0 : c->stalled_ms + dt_ms;
	return c->stalled_ms >= SL_CONN_STALL_MS;
}

/* True when nobody is there any more to whom what we do not read would matter. A connection that is
 * reset is over; one that was closed on the peer's side may still be read by it, in theory: it has a
 * while, in which what it sent last may be read after all. */
static bool is_gone(struct sl_conn *c, uint32_t dt_ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
	if (c->is_reading || poll(&p, 1, 0) <= 0) {
		c->gone_ms = 0;
		return false;
	}
	c->gone_ms += dt_ms;
	return (p.revents & (POLLERR | POLLHUP)) != 0 || c->gone_ms >= SL_CONN_GONE_MS;
}

void sl_conn_tick(struct sl_conn *c, uint32_t dt_ms, bool others_wait)
{
	if (!is_open(c))
		return;
	if (is_stalled(c, dt_ms)) {
		sl_assoc_on_stalled(&c->assoc);
		return;
	}
	if (is_gone(c, dt_ms)) {
		sl_assoc_on_closed(&c->assoc);
		return;
	}
	struct sl_assoc_tick tick = {
		.dt_ms = dt_ms,
		.bytes = c->bytes_in - c->bytes_seen,
		.waits_for_peer = c->wait == SL_CONN_WAIT_PEER,
	};
	c->bytes_seen = c->bytes_in;
	sl_assoc_tick(&c->assoc, &tick);
	if (is_open(c) && others_wait && sl_intake_spill(&c->intake, uv_now(&c->loop->uv))) {
		sl_stats_add(&stats_of(c)->spills, 1);
		sl_conn_pump(c);
	}
}
