/* One event loop; see loop.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/loop.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/server.h"
#include "server/story.h"

#define JUNK_PERIOD_MS 60000 /* one line a minute about each loop's junk */

static const struct sl_sm_row stage_rows[SL_LOOP_STAGE_N] = {
	[SL_LOOP_IDLE] = {"IDLE", SL_SM_TO(SL_LOOP_RUNNING)},
	[SL_LOOP_RUNNING] = {"RUNNING", SL_SM_TO(SL_LOOP_DRAINING) | SL_SM_TO(SL_LOOP_IDLE)},
	[SL_LOOP_DRAINING] = {"DRAINING", SL_SM_TO(SL_LOOP_STOPPED)},
	[SL_LOOP_STOPPED] = {"STOPPED", 0},
};
static const struct sl_sm_conf stage_conf = {"loop", stage_rows, SL_LOOP_STAGE_N};

static uint64_t clock_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- junk ------------------------------------------------------------------------------------ */

void sl_loop_saw_junk(struct sl_loop *loop, enum sl_junk kind, const struct sockaddr_storage *from)
{
	if (kind != SL_JUNK_PROBE)
		sl_stats_add(&loop->server->stats->junk, 1);
	loop->junk.n[kind]++;
	loop->junk.from[kind] = *from;
}

static void tell_junk(struct sl_loop *loop)
{
	struct sl_junk_tally *junk = &loop->junk;
	if (uv_now(&loop->uv) < junk->next_ms)
		return;
	bool has_told = false;
	for (unsigned kind = 0; kind < SL_JUNK_N; kind++) {
		if (junk->n[kind] == 0)
			continue;
		sl_story_junk(
			loop->server->log, (enum sl_junk)kind, junk->n[kind], &junk->from[kind]);
		junk->n[kind] = 0;
		has_told = true;
	}
	if (has_told)
		junk->next_ms = uv_now(&loop->uv) + JUNK_PERIOD_MS;
}

/* ---- stopping -------------------------------------------------------------------------------- */

bool sl_loop_is_stopping(const struct sl_loop *loop)
{
	return sl_sm_state(&loop->stage) >= SL_LOOP_DRAINING;
}

static void stop_if_empty(struct sl_loop *loop)
{
	if (sl_sm_state(&loop->stage) != SL_LOOP_DRAINING || atomic_load(&loop->used_n) != 0)
		return;
	sl_sm_move(&loop->stage, SL_LOOP_STOPPED);
	uv_close((uv_handle_t *)&loop->tick, NULL);
	/* The mailbox stays open until fini, for a second order to stop that comes now; it no longer
	 * keeps the loop running. */
	uv_unref((uv_handle_t *)&loop->mailbox.wake);
	sl_server_on_loop_stopped(loop->server);
}

/* Associations that may be ended now are: all that are idle, and at the deadline all. */
static void end_associations(struct sl_loop *loop)
{
	bool is_late = clock_ms() >= atomic_load(&loop->stop_at_ms);
	sl_list_for_each_safe (node, next, &loop->live) {
		struct sl_conn *c = sl_container_of(node, struct sl_conn, node);
		sl_assoc_stop(&c->assoc, is_late);
	}
}

static void deliver_stopped(struct sl_mail *mail)
{
	struct sl_loop *loop = sl_container_of(mail, struct sl_loop, stopped);
	if (sl_sm_state(&loop->stage) == SL_LOOP_STOPPED)
		return;
	if (sl_sm_state(&loop->stage) == SL_LOOP_RUNNING) {
		sl_sm_move(&loop->stage, SL_LOOP_DRAINING);
		if (loop->number == 0)
			sl_listen_stop(&loop->server->listen);
	}
	end_associations(loop);
	stop_if_empty(loop);
}

void sl_loop_stop(struct sl_loop *loop, uint64_t deadline_ms)
{
	atomic_store(&loop->stop_at_ms, clock_ms() + deadline_ms);
	sl_mailbox_post(&loop->mailbox, &loop->stopped);
}

/* ---- the tick -------------------------------------------------------------------------------- */

/* Keeps a few slots free; see loop.h. `live` is in the order of arrival. */
static void make_room(struct sl_loop *loop)
{
	uint32_t used = atomic_load(&loop->used_n);
	sl_list_for_each_safe (node, next, &loop->live) {
		if (used + SL_LOOP_RESERVE <= loop->slots_n)
			return;
		struct sl_conn *c = sl_container_of(node, struct sl_conn, node);
		if (!sl_assoc_is_mute(&c->assoc, SL_LOOP_MUTE_MS))
			continue;
		sl_stats_add(&loop->server->stats->rejected_limit, 1);
		sl_assoc_on_closed(&c->assoc);
		used--;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct sl_loop *loop = timer->data;
	uint64_t now = uv_now(&loop->uv);
	uint32_t dt = (uint32_t)sl_min64(now - loop->ticked_ms, SL_LOOP_DT_MAX_MS);
	loop->ticked_ms = now;
	bool others_wait = sl_slab_pool_stats(&loop->server->pools.buffers).waiters > 0;
	sl_list_for_each_safe (node, next, &loop->live) {
		struct sl_conn *c = sl_container_of(node, struct sl_conn, node);
		sl_conn_tick(c, dt, others_wait);
	}
	make_room(loop);
	tell_junk(loop);
	if (loop->number == 0)
		sl_listen_tick(&loop->server->listen);
	if (sl_sm_state(&loop->stage) == SL_LOOP_DRAINING)
		end_associations(loop);
}

/* ---- slots ----------------------------------------------------------------------------------- */

struct sl_conn *sl_loop_take_slot(struct sl_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct sl_list *node = sl_list_pop(&loop->free);
	pthread_mutex_unlock(&loop->lock);
	if (node == NULL)
		return NULL;
	atomic_fetch_add(&loop->used_n, 1);
	return sl_container_of(node, struct sl_conn, node);
}

void sl_loop_add(struct sl_loop *loop, struct sl_conn *c)
{
	sl_list_push(&loop->live, &c->node);
}

void sl_loop_give_slot(struct sl_loop *loop, struct sl_conn *c)
{
	sl_list_remove(&c->node); /* of `live` */
	pthread_mutex_lock(&loop->lock);
	sl_list_push(&loop->free, &c->node);
	pthread_mutex_unlock(&loop->lock);
	atomic_fetch_sub(&loop->used_n, 1);
	stop_if_empty(loop);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void deliver_configured(struct sl_mail *mail)
{
	struct sl_loop *loop = sl_container_of(mail, struct sl_loop, configured);
	pthread_mutex_lock(&loop->lock);
	loop->conf = loop->next_conf;
	pthread_mutex_unlock(&loop->lock);
}

void sl_loop_configure(struct sl_loop *loop, const struct sl_assoc_conf *conf)
{
	pthread_mutex_lock(&loop->lock);
	loop->next_conf = *conf;
	pthread_mutex_unlock(&loop->lock);
	sl_mailbox_post(&loop->mailbox, &loop->configured);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void *run(void *arg)
{
	struct sl_loop *loop = arg;
	char name[16];
	snprintf(name, sizeof(name), "sl-loop-%u", loop->number % 1000);
	pthread_setname_np(pthread_self(), name);
	if (loop->server->on_thread != NULL)
		loop->server->on_thread(loop->server->arg);
	uv_update_time(&loop->uv);
	loop->ticked_ms = uv_now(&loop->uv);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	return NULL;
}

/* libuv keeps a table of watchers by descriptor and lets it grow. Here it grows once, before memory is
 * sealed, by watching the highest descriptor we may ever have. */
static void grow_watchers(struct sl_loop *loop, int highest_fd)
{
	int fd = fcntl(uv_backend_fd(&loop->uv), F_DUPFD_CLOEXEC, highest_fd);
	if (fd < 0)
		return; /* beyond the descriptor limit: then no socket will have it either */
	uv_poll_t probe;
	if (uv_poll_init(&loop->uv, &probe, fd) == 0) {
		(void)uv_poll_start(&probe, UV_READABLE, NULL);
		uv_close((uv_handle_t *)&probe, NULL);
		uv_run(&loop->uv, UV_RUN_NOWAIT);
	}
	close(fd);
}

static enum sl_status init_handles(struct sl_loop *loop)
{
	if (sl_mailbox_open(&loop->mailbox, &loop->uv) != SL_OK)
		return SL_E_IO;
	uv_timer_init(&loop->uv, &loop->tick);
	loop->tick.data = loop;
	uv_timer_start(&loop->tick, on_tick, SL_LOOP_TICK_MS, SL_LOOP_TICK_MS);
	return SL_OK;
}

enum sl_status sl_loop_init(struct sl_loop *loop, struct sl_server *server, unsigned number,
	struct sl_conn *slots, uint32_t slots_n)
{
	memset(loop, 0, sizeof(*loop));
	loop->server = server;
	loop->number = number;
	loop->slots = slots;
	loop->slots_n = slots_n;
	sl_sm_init(&loop->stage, &stage_conf);
	sl_list_init(&loop->free);
	sl_list_init(&loop->live);
	sl_mail_init(&loop->configured, deliver_configured);
	sl_mail_init(&loop->stopped, deliver_stopped);
	loop->conf = loop->next_conf = server->conf.assoc;
	if (pthread_mutex_init(&loop->lock, NULL) != 0)
		return SL_E_NOMEM;
	if (uv_loop_init(&loop->uv) != 0)
		goto no_loop;
	grow_watchers(loop, server->conf.highest_fd);
	if (init_handles(loop) != SL_OK)
		goto no_handles;
	for (uint32_t i = 0; i < slots_n; i++) {
		sl_conn_init(&slots[i], loop);
		sl_list_push(&loop->free, &slots[i].node);
	}
	return SL_OK;

no_handles:
	uv_loop_close(&loop->uv);
no_loop:
	pthread_mutex_destroy(&loop->lock);
	return SL_E_IO;
}

enum sl_status sl_loop_start(struct sl_loop *loop)
{
	sl_sm_move(&loop->stage, SL_LOOP_RUNNING);
	if (pthread_create(&loop->thread, NULL, run, loop) == 0)
		return SL_OK;
	sl_sm_move(&loop->stage, SL_LOOP_IDLE); /* it never ran: fini closes its handles */
	return SL_E_NOMEM;
}

void sl_loop_join(struct sl_loop *loop)
{
	pthread_join(loop->thread, NULL);
}

void sl_loop_fini(struct sl_loop *loop)
{
	if (sl_sm_state(&loop->stage) == SL_LOOP_IDLE) /* never ran */
		uv_close((uv_handle_t *)&loop->tick, NULL);
	sl_mailbox_close(&loop->mailbox, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT); /* only what is closing is left in it */
	int rc = uv_loop_close(&loop->uv);
	sl_assert(rc == 0);
	pthread_mutex_destroy(&loop->lock);
}
