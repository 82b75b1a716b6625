/* libuv as the server uses it: timers, asyncs, polls and streams on the simulated sockets.
 *
 * One turn of a loop: due timers, then whatever is ready in an order that chance says, then the
 * callbacks of what was closed. What a handle is (active, closing, unreferenced) is kept in its
 * `flags`; what is ours of a stream in `u`.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <uv.h>

#include "sim/sim.h"

#define LOOPS   8
#define HANDLES 64

enum { ACTIVE = 1u << 0, CLOSING = 1u << 1, UNREF = 1u << 2, WRITING = 1u << 3 };

struct loop {
	uv_loop_t *uv;
	uint64_t now_ms;
	uv_handle_t *handles[HANDLES];
	unsigned handles_n;
	bool is_poked;
};

static struct loop loops[LOOPS];
static unsigned loops_n;

void sim_loops_reset(void)
{
	loops_n = 0;
}

void sim_loops_poke(void)
{
	for (unsigned i = 0; i < loops_n; i++) {
		loops[i].is_poked = true;
		sim_wake(&loops[i], true);
	}
}

static struct loop *loop_of(const uv_loop_t *uv)
{
	for (unsigned i = 0; i < loops_n; i++)
		if (loops[i].uv == uv)
			return &loops[i];
	sim_fail("a loop is used that is not open");
}

static void add(uv_loop_t *uv, uv_handle_t *h, uv_handle_type type, unsigned flags)
{
	struct loop *l = loop_of(uv);
	if (l->handles_n == HANDLES)
		sim_fail("more than %d handles", HANDLES);
	h->loop = uv;
	h->type = type;
	h->flags = flags;
	h->close_cb = NULL;
	h->u.fd = -1;
	l->handles[l->handles_n++] = h;
}

/* ---- loops ---- */

int uv_loop_init(uv_loop_t *uv)
{
	if (loops_n == LOOPS)
		sim_fail("more than %d loops", LOOPS);
	loops[loops_n++] = (struct loop){.uv = uv, .now_ms = sim_now_ns() / SIM_MS};
	return 0;
}

int uv_loop_close(uv_loop_t *uv)
{
	struct loop *l = loop_of(uv);
	if (l->handles_n > 0)
		return UV_EBUSY;
	l->uv = NULL;
	return 0;
}

int uv_backend_fd(const uv_loop_t *uv)
{
	(void)uv;
	return -1;
}

void uv_update_time(uv_loop_t *uv)
{
	loop_of(uv)->now_ms = sim_now_ns() / SIM_MS;
}

uint64_t uv_now(const uv_loop_t *uv)
{
	return loop_of(uv)->now_ms;
}

uint64_t uv_hrtime(void)
{
	return sim_now_ns();
}

/* ---- handles ---- */

int uv_timer_init(uv_loop_t *uv, uv_timer_t *t)
{
	add(uv, (uv_handle_t *)t, UV_TIMER, 0);
	return 0;
}

int uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	t->timer_cb = cb;
	t->timeout = uv_now(t->loop) + timeout;
	t->repeat = repeat;
	t->flags |= ACTIVE;
	return 0;
}

int uv_async_init(uv_loop_t *uv, uv_async_t *a, uv_async_cb cb)
{
	add(uv, (uv_handle_t *)a, UV_ASYNC, ACTIVE);
	a->async_cb = cb;
	a->pending = 0;
	return 0;
}

int uv_async_send(uv_async_t *a)
{
	if ((a->flags & CLOSING) != 0)
		sim_fail("a mailbox is posted to after it was closed");
	a->pending = 1;
	sim_loops_poke();
	return 0;
}

int uv_poll_init(uv_loop_t *uv, uv_poll_t *p, int fd)
{
	add(uv, (uv_handle_t *)p, UV_POLL, 0);
	p->u.fd = fd;
	return 0;
}

int uv_poll_start(uv_poll_t *p, int events, uv_poll_cb cb)
{
	(void)events;
	p->poll_cb = cb;
	p->flags |= ACTIVE;
	return 0;
}

int uv_poll_stop(uv_poll_t *p)
{
	p->flags &= ~(unsigned)ACTIVE;
	return 0;
}

void uv_unref(uv_handle_t *h)
{
	h->flags |= UNREF;
}

void uv_close(uv_handle_t *h, uv_close_cb cb)
{
	if ((h->flags & CLOSING) != 0)
		sim_fail("a handle is closed twice");
	h->flags = (h->flags & ~(unsigned)ACTIVE) | CLOSING;
	h->close_cb = cb;
	if (h->type == UV_TCP && h->u.fd >= 0)
		sim_net_close_fd(h->u.fd);
	sim_loops_poke();
}

/* ---- streams ---- */

uv_buf_t uv_buf_init(char *base, unsigned n)
{
	return (uv_buf_t){.base = base, .len = n};
}

int uv_tcp_init(uv_loop_t *uv, uv_tcp_t *t)
{
	add(uv, (uv_handle_t *)t, UV_TCP, 0);
	t->write_queue_size = 0;
	t->connect_req = NULL;
	return 0;
}

int uv_tcp_open(uv_tcp_t *t, uv_os_sock_t fd)
{
	t->u.fd = fd;
	return 0;
}

int uv_tcp_nodelay(uv_tcp_t *t, int on)
{
	(void)t;
	(void)on;
	return 0;
}

int uv_tcp_keepalive(uv_tcp_t *t, int on, unsigned delay_s)
{
	(void)t;
	(void)on;
	(void)delay_s;
	return 0;
}

int uv_read_start(uv_stream_t *s, uv_alloc_cb alloc_cb, uv_read_cb read_cb)
{
	s->alloc_cb = alloc_cb;
	s->read_cb = read_cb;
	s->flags |= ACTIVE;
	return 0;
}

int uv_read_stop(uv_stream_t *s)
{
	s->flags &= ~(unsigned)ACTIVE;
	return 0;
}

int uv_try_write(uv_stream_t *s, const uv_buf_t bufs[], unsigned n)
{
	sl_assert(n == 1);
	sim_yield();
	long taken = sim_net_write(s->u.fd, bufs[0].base, bufs[0].len);
	if (taken < 0)
		return UV_EPIPE;
	return taken == 0 ? UV_EAGAIN : (int)taken;
}

size_t uv_stream_get_write_queue_size(const uv_stream_t *s)
{
	return s->write_queue_size;
}

/* One request at a time is all that the server makes: kept where a client's would be. */
int uv_write(uv_write_t *req, uv_stream_t *s, const uv_buf_t bufs[], unsigned n, uv_write_cb cb)
{
	sl_assert(n == 1 && (s->flags & WRITING) == 0);
	req->cb = cb;
	req->handle = s;
	req->bufsml[0] = bufs[0];
	s->connect_req = (uv_connect_t *)(void *)req;
	s->write_queue_size = bufs[0].len;
	s->flags |= WRITING;
	sim_loops_poke();
	return 0;
}

static void end_write(uv_stream_t *s, int status)
{
	uv_write_t *req = (uv_write_t *)(void *)s->connect_req;
	s->flags &= ~(unsigned)WRITING;
	s->write_queue_size = 0;
	req->cb(req, status);
}

static void write_more(uv_stream_t *s)
{
	uv_buf_t *left = &((uv_write_t *)(void *)s->connect_req)->bufsml[0];
	long taken = sim_net_write(s->u.fd, left->base, left->len);
	if (taken < 0) {
		end_write(s, UV_EPIPE);
		return;
	}
	left->base += taken;
	left->len -= (size_t)taken;
	s->write_queue_size -= (size_t)taken;
	if (left->len == 0)
		end_write(s, 0);
}

/* As libuv: one buffer, and another as long as they come back full. */
static void read_more(uv_stream_t *s)
{
	for (unsigned left = 1 + sim_below(4); left > 0 && (s->flags & ACTIVE) != 0; left--) {
		uv_buf_t buf = {0};
		s->alloc_cb((uv_handle_t *)s, 65536, &buf);
		if (buf.len == 0) {
			s->read_cb(s, UV_ENOBUFS, &buf);
			return;
		}
		size_t max = sim_one_in(4) ? 1 + sim_below((uint32_t)buf.len) : buf.len;
		long got = sim_net_read(s->u.fd, buf.base, max);
		if (got <= 0) {
			s->read_cb(s, got == 0 ? 0 : got == -1 ? UV_EOF : UV_ECONNRESET, &buf);
			return;
		}
		s->read_cb(s, got, &buf);
		if ((size_t)got < buf.len)
			return;
	}
}

/* ---- turns ---- */

static bool is_ready(const uv_handle_t *h)
{
	if ((h->flags & CLOSING) != 0)
		return false;
	switch (h->type) {
	case UV_ASYNC:
		return ((const uv_async_t *)h)->pending != 0;
	case UV_POLL:
		return (h->flags & ACTIVE) != 0 && sim_net_waits(h->u.fd);
	case UV_TCP:
		return h->u.fd >= 0 &&
		       (((h->flags & ACTIVE) != 0 && sim_net_is_readable(h->u.fd)) ||
			       ((h->flags & WRITING) != 0 && sim_net_is_writable(h->u.fd)));
	default:
		return false;
	}
}

static void serve(uv_handle_t *h)
{
	sim_yield();
	if (!is_ready(h))
		return;
	if (h->type == UV_ASYNC) {
		uv_async_t *a = (uv_async_t *)h;
		a->pending = 0;
		a->async_cb(a);
	} else if (h->type == UV_POLL) {
		((uv_poll_t *)h)->poll_cb((uv_poll_t *)h, 0, UV_READABLE);
	} else {
		uv_stream_t *s = (uv_stream_t *)h;
		if ((h->flags & ACTIVE) != 0 && sim_net_is_readable(h->u.fd))
			read_more(s);
		if ((h->flags & CLOSING) == 0 && (h->flags & WRITING) != 0)
			write_more(s);
	}
}

static void run_timers(struct loop *l)
{
	for (unsigned i = 0; i < l->handles_n; i++) {
		uv_timer_t *t = (uv_timer_t *)l->handles[i];
		if (t->type != UV_TIMER || (t->flags & ACTIVE) == 0 || t->timeout > l->now_ms)
			continue;
		t->timeout = l->now_ms + t->repeat;
		if (t->repeat == 0)
			t->flags &= ~(unsigned)ACTIVE;
		t->timer_cb(t);
	}
}

/* What is ready now, each once. */
static void run_ready(struct loop *l)
{
	uv_handle_t *ready[HANDLES];
	unsigned n = 0;
	for (unsigned i = 0; i < l->handles_n; i++)
		if (is_ready(l->handles[i]))
			ready[n++] = l->handles[i];
	while (n > 0) {
		unsigned i = sim_below(n);
		uv_handle_t *h = ready[i];
		ready[i] = ready[--n];
		serve(h);
	}
}

static void run_closing(struct loop *l)
{
	for (unsigned i = 0; i < l->handles_n;) {
		uv_handle_t *h = l->handles[i];
		if ((h->flags & CLOSING) == 0) {
			i++;
			continue;
		}
		l->handles[i] = l->handles[--l->handles_n];
		if ((h->flags & WRITING) != 0)
			end_write((uv_stream_t *)h, UV_ECANCELED);
		if (h->close_cb != NULL)
			h->close_cb(h);
	}
}

static bool is_alive(const struct loop *l)
{
	for (unsigned i = 0; i < l->handles_n; i++) {
		const uv_handle_t *h = l->handles[i];
		bool keeps = (h->flags & ACTIVE) != 0 && (h->flags & UNREF) == 0;
		if (keeps || (h->flags & (CLOSING | WRITING)) != 0)
			return true;
	}
	return false;
}

/* When a timer is due next, or now if there is something to do [ns]. */
static uint64_t due_ns(const struct loop *l)
{
	uint64_t due = SIM_NEVER;
	for (unsigned i = 0; i < l->handles_n; i++) {
		const uv_handle_t *h = l->handles[i];
		if (is_ready(h) || (h->flags & CLOSING) != 0)
			return 0;
		if (h->type == UV_TIMER && (h->flags & ACTIVE) != 0)
			due = sl_min64(due, ((const uv_timer_t *)h)->timeout * SIM_MS);
	}
	return due;
}

int uv_run(uv_loop_t *uv, uv_run_mode mode)
{
	struct loop *l = loop_of(uv);
	while (is_alive(l)) {
		uv_update_time(uv);
		run_timers(l);
		run_ready(l);
		run_closing(l);
		if (mode != UV_RUN_DEFAULT)
			break;
		uint64_t due = due_ns(l);
		l->is_poked = false;
		if (is_alive(l) && due > sim_now_ns())
			(void)sim_block(l, due);
		else
			sim_yield();
	}
	return is_alive(l);
}

int uv_replace_allocator(uv_malloc_func m, uv_realloc_func r, uv_calloc_func c, uv_free_func f)
{
	(void)m;
	(void)r;
	(void)c;
	(void)f;
	return 0;
}
