/* Sending; what the peer says is in sender_recv.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/impl.h"
#include "tools/bench/sender_int.h"
#include "tools/bench/worker.h"

#define MS           1000000ull     /* ns */
#define GATHER_N     64             /* entries of one sendmsg */
#define GATHER_BYTES (512 * SL_KIB) /* of one sendmsg */
#define TURN_CALLS   4              /* of sendmsg, before others have their turn */
#define PACE_NS      (50 * MS)      /* a slow sender sends what is due this often */
#define RETRY_NS     (100 * MS)     /* between attempts to connect */

/* ---- ends -------------------------------------------------------------------------------------- */

static bool has_more(const struct sl_sender *s)
{
	return s->begun < s->quota && !s->worker->is_over;
}

static void finish(struct sl_sender *s, bool is_whole)
{
	struct sl_worker *w = s->worker;
	if (s->quota != UINT64_MAX && !w->is_over)
		w->tally.unsent += s->quota - s->begun;
	if (is_whole)
		sl_lat_add(&w->tally.sender, w->now_ns - s->first_ns);
	s->stage = SL_SENDER_DONE;
	w->active_n--;
}

static void wait_until(struct sl_sender *s, uint64_t ns)
{
	s->due_ns = ns;
	sl_worker_wake_at(s->worker, ns);
}

static void close_socket(struct sl_sender *s)
{
	if (s->fd >= 0)
		close(s->fd); /* leaves the epoll set with it */
	s->fd = -1;
	s->feed.kind = NULL;
	s->feeding = NULL;
	s->out_len = s->out_sent = 0;
	s->due_ns = 0;
}

void sl_sender_end(struct sl_sender *s, enum sl_tally_end end)
{
	struct sl_worker *w = s->worker;
	const struct sl_opts *o = w->opts;
	w->tally.ends[end]++;
	w->tally.lost += s->flights_n;
	s->flights_n = 0;
	close_socket(s);
	s->stage = SL_SENDER_WAITING;
	if (end == SL_TALLY_RELEASED) {
		sl_lat_add(&w->tally.association, w->now_ns - s->assoc_ns);
		if (!has_more(s))
			finish(s, true);
		else
			wait_until(s, w->now_ns + o->think_ms * MS);
		return;
	}
	if (s->broken_ns == 0)
		s->broken_ns = w->now_ns;
	if (has_more(s) && w->now_ns - s->broken_ns < o->reconnect_ms * MS)
		wait_until(s, w->now_ns + RETRY_NS);
	else
		finish(s, false);
}

/* ---- association ------------------------------------------------------------------------------- */

static void make_request(struct sl_sender *s)
{
	const struct sl_opts *o = s->worker->opts;
	struct sl_pdu_pctx_proposal pctx[SL_KIND_MAX];
	struct sl_pdu_associate_rq rq = {
		.pctx = pctx,
		.pctx_n = o->kinds_n,
		.user = {.max_len = 16384,
			.impl_class_uid = sl_uid_of(SL_IMPL_CLASS_UID),
			.impl_version_name = SL_IMPL_VERSION_NAME,
			.has_async = o->window > 1,
			.async_invoked = (uint16_t)o->window,
			.async_performed = 1},
	};
	sl_ae_encode(&o->called, rq.called_ae);
	sl_ae_encode(&o->calling, rq.calling_ae);
	for (uint32_t i = 0; i < o->kinds_n; i++)
		pctx[i] = (struct sl_pdu_pctx_proposal){(uint8_t)(2 * i + 1), o->kinds[i].sop_class,
			&o->kinds[i].transfer_syntax, 1};
	struct sl_wbuf w = sl_wbuf_of(s->out, sizeof(s->out));
	sl_pdu_encode_rq(&w, &rq);
	sl_assert(!w.bad);
	s->out_len = w.len;
	s->out_sent = 0;
}

static void reset_association(struct sl_sender *s)
{
	s->in_association = 0;
	s->message_id = 0;
	s->flights_n = 0;
	s->peer_max_len = SL_PDU_ASSUMED_MAX_LEN;
	s->window = 1;
	s->next_ns = s->hold_ns = 0;
	memset(s->accepted, 0, sizeof(s->accepted));
	memset(s->flights, 0, sizeof(s->flights));
	sl_pdu_init(&s->dec, 0);
	sl_msg_init(&s->msg);
}

static void connect_socket(struct sl_sender *s)
{
	struct sl_worker *w = s->worker;
	int on = 1;
	reset_association(s);
	s->heard_ns = s->assoc_ns = w->now_ns;
	if (s->first_ns == 0)
		s->first_ns = w->now_ns;
	s->stage = SL_SENDER_CONNECTING;
	s->is_writable = false;
	s->due_ns = 0;
	s->fd = socket(w->opts->node.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
	if (s->fd < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->fd, &ev) != 0) {
		sl_sender_end(s, SL_TALLY_NOT_CONNECTED);
		return;
	}
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(s->fd, (const struct sockaddr *)&w->opts->node, w->opts->node_len) != 0 &&
		errno != EINPROGRESS)
		sl_sender_end(s, SL_TALLY_NOT_CONNECTED);
}

static void on_connected(struct sl_sender *s)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
		sl_sender_end(s, SL_TALLY_NOT_CONNECTED);
		return;
	}
	s->stage = SL_SENDER_ASKING;
	make_request(s);
}

static void release(struct sl_sender *s)
{
	struct sl_wbuf w = sl_wbuf_of(s->out, sizeof(s->out));
	sl_pdu_encode_release_rq(&w);
	s->out_len = w.len;
	s->out_sent = 0;
	s->stage = SL_SENDER_RELEASING;
	s->heard_ns = s->worker->now_ns;
}

/* ---- objects ----------------------------------------------------------------------------------- */

/* The mix in turn: object i of a sender, each sender beginning elsewhere in the round. */
static uint32_t choose_kind(const struct sl_sender *s)
{
	const struct sl_opts *o = s->worker->opts;
	uint64_t at = (s->begun + s->index) % o->kinds_weight;
	uint32_t kind = 0;
	while (at >= o->kinds[kind].weight)
		at -= o->kinds[kind++].weight;
	return kind;
}

static struct sl_sender_flight *free_flight(struct sl_sender *s)
{
	for (size_t i = 0; i < SL_ARRAY_N(s->flights); i++)
		if (s->flights[i].message_id == 0)
			return &s->flights[i];
	return NULL;
}

static void begin_object(struct sl_sender *s)
{
	struct sl_worker *w = s->worker;
	uint32_t kind = choose_kind(s);
	if (!s->accepted[kind]) {
		sl_sender_end(s, SL_TALLY_NO_CONTEXT);
		return;
	}
	s->message_id = (uint16_t)(s->message_id % UINT16_MAX + 1);
	struct sl_sender_flight *f = free_flight(s);
	sl_assert(f != NULL);
	f->message_id = s->message_id;
	f->kind = &w->opts->kinds[kind];
	f->began_ns = sl_worker_clock();
	f->sent_ns = 0;
	uint32_t limit = w->opts->pdu_len == 0 ? (uint32_t)SL_MIB : w->opts->pdu_len;
	const struct sl_feed_params params = {
		.pcid = (uint8_t)(2 * kind + 1),
		.message_id = s->message_id,
		.peer_max_len = s->peer_max_len,
		.fragment = sl_pdu_fragment_max(s->peer_max_len, limit - SL_PDU_PDV_HEAD_LEN),
	};
	const struct sl_kind_id id = {w->opts->run, s->index, kind, s->of_kind[kind]++};
	sl_feed_begin(&s->feed, f->kind, &id, &params, &f->uid);
	s->feeding = f;
	if (s->flights_n++ == 0)
		s->heard_ns = w->now_ns;
	s->begun++;
	s->in_association++;
	s->pace_ns = w->now_ns;
	s->paced = 0;
}

/* What comes next on an open association whose last bytes are with the kernel. False: nothing yet. */
static bool go_on(struct sl_sender *s)
{
	struct sl_worker *w = s->worker;
	if (has_more(s) && s->in_association < w->opts->per_association) {
		if (s->flights_n >= s->window)
			return false;
		if (w->now_ns < s->next_ns) {
			wait_until(s, s->next_ns);
			return false;
		}
		begin_object(s);
		return s->stage == SL_SENDER_TALKING;
	}
	if (s->flights_n > 0)
		return false;
	if (s->hold_ns == 0)
		s->hold_ns = w->now_ns + w->opts->hold_ms * MS;
	if (w->now_ns < s->hold_ns) {
		wait_until(s, s->hold_ns);
		return false;
	}
	release(s);
	return true;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* Bytes that --rate allows now. */
static size_t allowance(struct sl_sender *s)
{
	struct sl_worker *w = s->worker;
	uint64_t rate = w->opts->rate;
	if (rate == 0)
		return GATHER_BYTES;
	uint64_t earned = (uint64_t)((double)(w->now_ns - s->pace_ns) * 1e-9 * (double)rate);
	if (earned <= s->paced) {
		wait_until(s, w->now_ns + PACE_NS);
		return 0;
	}
	return (size_t)sl_min64(earned - s->paced, GATHER_BYTES);
}

/* One sendmsg of the open PDUs or the open object; false: no more now. */
static bool write_some(struct sl_sender *s)
{
	struct iovec iov[GATHER_N];
	int n = 1;
	bool is_feed = s->out_sent == s->out_len;
	if (is_feed) {
		size_t allowed = allowance(s);
		if (allowed == 0)
			return false;
		n = sl_feed_gather(&s->feed, iov, GATHER_N, allowed);
	} else {
		iov[0] = (struct iovec){s->out + s->out_sent, s->out_len - s->out_sent};
	}
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	ssize_t sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	if (sent < 0) {
		/* A peer that hung up may have said why: reading finds out. */
		s->is_writable = false;
		return false;
	}
	s->heard_ns = s->worker->now_ns;
	s->worker->tally.wire_len += (uint64_t)sent;
	if (!is_feed) {
		s->out_sent += (size_t)sent;
		return true;
	}
	s->paced += (uint64_t)sent;
	sl_feed_advance(&s->feed, (size_t)sent);
	if (!sl_feed_is_open(&s->feed) && s->feeding != NULL) {
		s->feeding->sent_ns = sl_worker_clock();
		s->feeding = NULL;
	}
	return true;
}

static bool has_bytes(const struct sl_sender *s)
{
	return s->out_sent < s->out_len || sl_feed_is_open(&s->feed);
}

void sl_sender_pump(struct sl_sender *s)
{
	if (s->stage == SL_SENDER_WAITING && s->worker->now_ns >= s->due_ns)
		connect_socket(s);
	for (int calls = 0; s->fd >= 0 && s->is_writable;) {
		if (s->stage == SL_SENDER_CONNECTING)
			on_connected(s);
		else if (has_bytes(s)) {
			if (calls++ == TURN_CALLS) {
				sl_worker_again(s->worker, s);
				return;
			}
			if (!write_some(s))
				return;
		} else if (s->stage != SL_SENDER_TALKING || !go_on(s))
			return;
	}
}

/* ---- news -------------------------------------------------------------------------------------- */

void sl_sender_on_ready(struct sl_sender *s, uint32_t events)
{
	if (s->fd < 0)
		return;
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
		s->is_writable = true;
	if (s->stage != SL_SENDER_CONNECTING && (events & ~(uint32_t)EPOLLOUT) != 0)
		sl_sender_read(s);
	sl_sender_pump(s);
}

void sl_sender_tick(struct sl_sender *s)
{
	struct sl_worker *w = s->worker;
	if (s->stage == SL_SENDER_DONE)
		return;
	bool waits = s->stage != SL_SENDER_WAITING &&
		     (s->stage != SL_SENDER_TALKING || s->flights_n > 0);
	if (waits && w->opts->timeout_ms > 0 &&
		w->now_ns - s->heard_ns > w->opts->timeout_ms * MS) {
		sl_sender_end(s, SL_TALLY_TIMEOUT);
		return;
	}
	if (s->due_ns != 0 && w->now_ns >= s->due_ns) {
		s->due_ns = 0;
		sl_sender_pump(s);
	}
	if (s->due_ns != 0)
		sl_worker_wake_at(w, s->due_ns);
}

void sl_sender_init(struct sl_sender *s, struct sl_worker *w, uint32_t index, uint64_t quota)
{
	memset(s, 0, sizeof(*s));
	s->worker = w;
	s->index = index;
	s->quota = quota;
	s->fd = -1;
	s->stage = SL_SENDER_WAITING;
}
