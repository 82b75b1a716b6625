/* The loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/worker.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/sender.h"

#define EVENTS_N 256
#define SCAN_NS  1000000000ull /* every sender is looked at at least this often */

uint64_t sl_worker_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* The share of a sender; the first ones have one more when it does not come out even. */
static uint64_t quota_of(const struct sl_opts *o, uint32_t index)
{
	if (o->objects == UINT64_MAX || o->is_each)
		return o->objects;
	return o->objects / o->associations + (index < o->objects % o->associations ? 1 : 0);
}

enum sl_status sl_worker_init(struct sl_worker *w, const struct sl_opts *opts, uint32_t number,
	int ledger, struct sl_diag *d)
{
	*w = (struct sl_worker){.opts = opts, .ledger = ledger};
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->senders_n = (opts->associations - number - 1) / opts->threads + 1;
	w->senders = calloc(w->senders_n, sizeof(*w->senders));
	w->again =
		calloc(2 * w->senders_n, sizeof(*w->again)); /* being served, and joining behind */
	if (w->epoll < 0 || w->senders == NULL || w->again == NULL) {
		sl_worker_fini(w);
		return sl_fail(d, SL_E_NOMEM, 0, "worker", "no memory for the senders");
	}
	for (uint32_t i = 0; i < w->senders_n; i++) {
		uint32_t index = number + i * opts->threads;
		sl_sender_init(&w->senders[i], w, index, quota_of(opts, index));
	}
	w->active_n = w->senders_n;
	return SL_OK;
}

void sl_worker_fini(struct sl_worker *w)
{
	free(w->senders);
	free(w->again);
	if (w->epoll >= 0)
		close(w->epoll);
}

void sl_worker_again(struct sl_worker *w, struct sl_sender *s)
{
	if (s->wants_again)
		return;
	s->wants_again = true;
	w->again[w->again_n++] = s;
}

static int wait_ms(const struct sl_worker *w)
{
	if (w->again_n > 0 || w->scan_ns <= w->now_ns)
		return 0;
	return (int)((w->scan_ns - w->now_ns) / 1000000 + 1);
}

/* Those that had more to do than one turn allows; whoever wants yet another joins behind. */
static void serve_again(struct sl_worker *w)
{
	uint32_t n = w->again_n;
	for (uint32_t i = 0; i < n; i++) {
		w->again[i]->wants_again = false;
		sl_sender_pump(w->again[i]);
	}
	for (uint32_t i = n; i < w->again_n; i++)
		w->again[i - n] = w->again[i];
	w->again_n -= n;
}

static void scan(struct sl_worker *w)
{
	if (w->now_ns < w->scan_ns)
		return;
	w->scan_ns = w->now_ns + SCAN_NS;
	uint64_t duration_ms = w->opts->duration_ms;
	if (duration_ms > 0) {
		uint64_t end_ns = w->began_ns + duration_ms * 1000000;
		w->is_over = w->now_ns >= end_ns;
		if (!w->is_over)
			sl_worker_wake_at(w, end_ns);
	}
	for (uint32_t i = 0; i < w->senders_n; i++)
		sl_sender_tick(&w->senders[i]);
}

void *sl_worker_run(void *worker)
{
	struct sl_worker *w = worker;
	struct epoll_event events[EVENTS_N];
	w->now_ns = w->began_ns = sl_worker_clock();
	w->scan_ns = w->now_ns + SCAN_NS;
	if (w->opts->duration_ms > 0)
		sl_worker_wake_at(w, w->began_ns + w->opts->duration_ms * 1000000);
	for (uint32_t i = 0; i < w->senders_n; i++)
		sl_sender_pump(&w->senders[i]);
	while (w->active_n > 0) {
		int n = epoll_wait(w->epoll, events, EVENTS_N, wait_ms(w));
		w->now_ns = sl_worker_clock();
		for (int i = 0; i < n; i++)
			sl_sender_on_ready(events[i].data.ptr, events[i].events);
		serve_again(w);
		scan(w);
	}
	return NULL;
}
