/* The network half of the node; see server.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memory ---------------------------------------------------------------------------------- */

/* Where things lie in the mapping; page_of() between them. */
struct layout {
	uint32_t slots_n, areas_n; /* connection slots of all loops; areas */
	uint32_t slots_of_loop;
	size_t buffers_at, areas_at, slots_at, loops_at;
	size_t buffer_slabs_at, area_slabs_at, buffer_tables_at, area_tables_at, spares_at;
	size_t total;
};

#define PAGE 4096

static size_t page_of(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

/* Reserves n bytes on their own pages. */
static size_t place(size_t *total, size_t n)
{
	size_t at = *total;
	*total += page_of(n);
	return at;
}

/* Operations beyond the one each association has. */
static uint32_t spares_of(const struct sl_server_conf *conf)
{
	uint64_t most = (uint64_t)conf->max_associations * (conf->async_window - 1);
	return (uint32_t)sl_min64(most, SL_WINDOW_SPARES_MAX);
}

static struct layout lay_out(const struct sl_server_conf *conf)
{
	struct layout l = {0};
	/* The acceptor takes the emptiest loop, so none ever has more than its share, rounded up. */
	uint32_t slots = conf->max_associations + SL_SERVER_SPARE;
	l.slots_of_loop = (slots + conf->loops - 1) / conf->loops;
	l.slots_n = l.slots_of_loop * conf->loops;
	l.areas_n = l.slots_n * SL_INTAKE_AREAS;
	l.buffers_at = place(&l.total, conf->buffers * conf->buffer_size);
	l.areas_at = place(&l.total, l.areas_n * conf->recv_area);
	l.slots_at = place(&l.total, l.slots_n * sizeof(struct sl_conn));
	l.loops_at = place(&l.total, conf->loops * sizeof(struct sl_loop));
	l.buffer_slabs_at = place(&l.total, conf->buffers * sizeof(struct sl_slab));
	l.area_slabs_at = place(&l.total, l.areas_n * sizeof(struct sl_slab));
	l.buffer_tables_at =
		place(&l.total, (size_t)conf->buffers * SL_PART_IOV * sizeof(struct iovec));
	l.area_tables_at =
		place(&l.total, (size_t)l.areas_n * SL_PART_SMALL * sizeof(struct iovec));
	l.spares_at = place(&l.total, spares_of(conf) * sizeof(struct sl_svc_store));
	return l;
}

struct sl_server_sizes sl_server_sizes(const struct sl_server_conf *conf)
{
	struct layout l = lay_out(conf);
	return (struct sl_server_sizes){
		.total = l.total + page_of(sizeof(struct sl_server)),
		.pool = l.areas_at - l.buffers_at,
		.areas = l.slots_at - l.areas_at,
		.slots = l.loops_at - l.slots_at,
	};
}

/* One mapping, touched now, kept out of core dumps (it will hold patients' data). */
static enum sl_status map(struct sl_server *s, size_t n, struct sl_diag *d)
{
	void *at = mmap(
		NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (at == MAP_FAILED)
		return sl_fail(d, SL_E_NOMEM, errno, "server/memory",
			"cannot map %zu MiB; make pool.buffers or dicom.max_associations smaller",
			n / SL_MIB);
	(void)madvise(at, n, MADV_DONTDUMP);
	s->memory = at;
	s->memory_len = n;
	return SL_OK;
}

static void make_pools(struct sl_server *s, const struct layout *l)
{
	uint8_t *m = s->memory;
	struct sl_intake_pools *p = &s->pools;
	p->buffer_tables = (void *)(m + l->buffer_tables_at);
	p->area_tables = (void *)(m + l->area_tables_at);
	sl_slab_pool_init(&p->buffers, (void *)(m + l->buffer_slabs_at), m + l->buffers_at,
		s->conf.buffer_size, s->conf.buffers);
	sl_slab_pool_init(&p->areas, (void *)(m + l->area_slabs_at), m + l->areas_at,
		s->conf.recv_area, l->areas_n);
	sl_window_init(&s->window, (void *)(m + l->spares_at), spares_of(&s->conf));
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum sl_status init_loops(struct sl_server *s, const struct layout *l, struct sl_diag *d)
{
	uint8_t *m = s->memory;
	struct sl_conn *slots = (void *)(m + l->slots_at);
	s->loops = (void *)(m + l->loops_at);
	for (unsigned i = 0; i < s->conf.loops; i++) {
		enum sl_status st = sl_loop_init(
			&s->loops[i], s, i, slots + (size_t)i * l->slots_of_loop, l->slots_of_loop);
		if (st != SL_OK) {
			while (i-- > 0)
				sl_loop_fini(&s->loops[i]);
			s->loops = NULL;
			return sl_fail(d, st, 0, "server/loop", "cannot make an event loop");
		}
	}
	return SL_OK;
}

enum sl_status sl_server_open(struct sl_server **out, const struct sl_server_conf *conf,
	const struct sl_peers_conf *peers, const struct sl_server_deps *deps, struct sl_diag *d)
{
	sl_assert(conf->loops >= 1 && conf->loops <= SL_SERVER_LOOPS_MAX);
	struct sl_server *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "server/open", "no memory");
	s->conf = *conf;
	s->ingest = deps->ingest;
	s->log = deps->log;
	s->stats = deps->stats;
	s->on_thread = deps->on_thread;
	s->on_stopped = deps->on_stopped;
	s->arg = deps->arg;
	struct layout l = lay_out(conf);
	enum sl_status st = map(s, l.total, d);
	if (st != SL_OK)
		goto no_memory;
	make_pools(s, &l);
	st = sl_peers_init(&s->peers, peers);
	if (st != SL_OK)
		goto no_peers;
	st = init_loops(s, &l, d);
	if (st != SL_OK)
		goto no_loops;
	st = sl_listen_open(&s->listen, s, &conf->listen, d);
	if (st != SL_OK)
		goto no_listen;
	*out = s;
	return SL_OK;

no_listen:
	for (unsigned i = 0; i < conf->loops; i++)
		sl_loop_fini(&s->loops[i]);
no_loops:
	sl_peers_fini(&s->peers);
no_peers:
	sl_window_fini(&s->window);
	munmap(s->memory, s->memory_len);
no_memory:
	free(s);
	return st;
}

enum sl_status sl_server_start(struct sl_server *s, struct sl_diag *d)
{
	if (sl_listen_start(&s->listen, &s->loops[0].uv) != SL_OK)
		return sl_fail(d, SL_E_IO, 0, "server/start", "cannot watch the listening sockets");
	atomic_store(&s->running_n, s->conf.loops);
	for (; s->started_n < s->conf.loops; s->started_n++)
		if (sl_loop_start(&s->loops[s->started_n]) != SL_OK)
			break;
	if (s->started_n == s->conf.loops)
		return SL_OK;
	if (s->started_n == 0)
		sl_listen_stop(&s->listen); /* the first loop would */
	sl_server_stop(s, 0);
	return sl_fail(d, SL_E_NOMEM, EAGAIN, "server/start",
		"cannot start a thread (limits: ulimit -u, TasksMax)");
}

void sl_server_configure(
	struct sl_server *s, const struct sl_assoc_conf *conf, const struct sl_peers_conf *peers)
{
	sl_peers_configure(&s->peers, peers);
	for (unsigned i = 0; i < s->started_n; i++)
		sl_loop_configure(&s->loops[i], conf);
}

void sl_server_stop(struct sl_server *s, uint64_t deadline_ms)
{
	for (unsigned i = 0; i < s->started_n; i++)
		sl_loop_stop(&s->loops[i], deadline_ms);
}

void sl_server_on_loop_stopped(struct sl_server *s)
{
	if (atomic_fetch_sub(&s->running_n, 1) == 1 && s->on_stopped != NULL)
		s->on_stopped(s->arg);
}

void sl_server_close(struct sl_server *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->started_n; i++)
		sl_loop_join(&s->loops[i]);
	sl_listen_close(&s->listen);
	for (unsigned i = 0; i < s->conf.loops; i++)
		sl_loop_fini(&s->loops[i]);
	sl_peers_fini(&s->peers);
	sl_window_fini(&s->window);
	munmap(s->memory, s->memory_len);
	free(s);
}

/* ---- shared counts --------------------------------------------------------------------------- */

bool sl_server_take_place(struct sl_server *s)
{
	if (atomic_fetch_add(&s->associations, 1) < s->conf.max_associations)
		return true;
	atomic_fetch_sub(&s->associations, 1);
	return false;
}

void sl_server_give_place(struct sl_server *s)
{
	atomic_fetch_sub(&s->associations, 1);
}

uint64_t sl_server_next_id(struct sl_server *s)
{
	return atomic_fetch_add(&s->last_id, 1) + 1;
}

uint16_t sl_server_port(const struct sl_server *s)
{
	return s->listen.port;
}

uint32_t sl_server_associations(const struct sl_server *s)
{
	return atomic_load(&s->associations);
}

struct sl_slab_stats sl_server_pool(struct sl_server *s)
{
	return sl_slab_pool_stats(&s->pools.buffers);
}
