/* Ingest's twin for tests of the network half: keeps data sets in memory, on a thread of its own, and
 * lets the test hold the "disk", make it fail and look at what came.
 *
 * It takes ingest's own names (sl_ingest_begin and so on), so it is included by one source of a test,
 * which then links with it instead of storage/ingest.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ingest.h"

#define INGEST_MEM_OBJECTS 16384

/* What became of one C-STORE, in the order of sl_ingest_begin(). */
struct ingest_mem_object {
	struct sl_object *object; /* NULL once done */
	struct sl_uid sop_instance_uid;
	uint8_t *bytes; /* what parts brought */
	size_t bytes_n, cap;
	uint64_t extra;     /* bytes its owner dropped */
	unsigned parts_n;   /* also the last */
	unsigned most_bufs; /* buffers of its largest part */
	bool is_finished, is_aborted, is_done;
};

enum work_kind { WORK_PART, WORK_FINISH, WORK_ABORT };

struct work {
	struct work *next;
	enum work_kind kind;
	struct ingest_mem_object *mine;
	struct sl_part *part;
	uint64_t extra;
};

struct ingest_mem {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct work *head, **tail;
	bool is_held, is_closing;
	enum sl_verdict verdict, parts_fail, refuse;
	unsigned begun_n, done_n, handed_n;
	struct ingest_mem_object objects[INGEST_MEM_OBJECTS];
};

static inline struct ingest_mem *mem_of(struct sl_ingest *in)
{
	return (struct ingest_mem *)(void *)in;
}

/* What a server is given as its ingest. */
static inline struct sl_ingest *ingest_mem_of(struct ingest_mem *m)
{
	return (struct sl_ingest *)(void *)m;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static inline void take_part(
	struct ingest_mem *m, struct ingest_mem_object *mine, struct sl_part *p)
{
	if (mine->cap < mine->bytes_n + p->bytes) {
		mine->cap = 2 * mine->cap + p->bytes;
		mine->bytes = realloc(mine->bytes, mine->cap);
		sl_assert(mine->bytes != NULL);
	}
	for (unsigned i = 0; i < p->iov_n; i++) {
		memcpy(mine->bytes + mine->bytes_n, p->iov[i].iov_base, p->iov[i].iov_len);
		mine->bytes_n += p->iov[i].iov_len;
	}
	mine->parts_n++;
	if (p->bufs_n > mine->most_bufs)
		mine->most_bufs = p->bufs_n;
	pthread_mutex_lock(&m->lock);
	enum sl_verdict fails = m->parts_fail;
	pthread_mutex_unlock(&m->lock);
	if (fails != SL_VERDICT_STORED) {
		mine->object->result.verdict = fails;
		atomic_store(&mine->object->is_failed, true);
	}
	sl_part_release(p);
	mine->object->on_part(mine->object, p);
}

static inline void conclude(
	struct ingest_mem *m, struct ingest_mem_object *mine, enum sl_verdict verdict)
{
	struct sl_object *o = mine->object;
	o->result.bytes = mine->bytes_n + mine->extra;
	if (!atomic_load(&o->is_failed))
		o->result.verdict = verdict;
	o->on_done(o);
	pthread_mutex_lock(&m->lock);
	mine->object = NULL;
	mine->is_done = true;
	m->done_n++;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

static inline void do_work(struct ingest_mem *m, struct work *w)
{
	pthread_mutex_lock(&m->lock);
	enum sl_verdict verdict = m->verdict;
	pthread_mutex_unlock(&m->lock);
	switch (w->kind) {
	case WORK_PART:
		take_part(m, w->mine, w->part);
		break;
	case WORK_FINISH:
		w->mine->is_finished = true;
		w->mine->extra = w->extra;
		if (w->part != NULL)
			take_part(m, w->mine, w->part);
		conclude(m, w->mine, verdict);
		break;
	case WORK_ABORT:
		w->mine->is_aborted = true;
		atomic_store(&w->mine->object->is_failed, false);
		conclude(m, w->mine, SL_VERDICT_CANCELLED);
		break;
	}
}

static inline void *run(void *arg)
{
	struct ingest_mem *m = arg;
	pthread_mutex_lock(&m->lock);
	for (;;) {
		while ((m->head == NULL || m->is_held) && !m->is_closing)
			pthread_cond_wait(&m->changed, &m->lock);
		struct work *w = m->head;
		if (w == NULL)
			break;
		m->head = w->next;
		if (m->head == NULL)
			m->tail = &m->head;
		pthread_mutex_unlock(&m->lock);
		do_work(m, w);
		free(w);
		pthread_mutex_lock(&m->lock);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static inline void submit(struct ingest_mem *m, enum work_kind kind, struct sl_object *o,
	struct sl_part *part, uint64_t extra)
{
	struct work *w = calloc(1, sizeof(*w));
	sl_assert(w != NULL);
	*w = (struct work){.kind = kind, .part = part, .extra = extra};
	pthread_mutex_lock(&m->lock);
	for (unsigned i = m->begun_n; i-- > 0 && w->mine == NULL;)
		if (m->objects[i].object == o)
			w->mine = &m->objects[i];
	sl_assert(w->mine != NULL);
	*m->tail = w;
	m->tail = &w->next;
	if (part != NULL)
		m->handed_n++;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

/* ---- ingest's names -------------------------------------------------------------------------- */

enum sl_status sl_ingest_begin(
	struct sl_ingest *in, struct sl_object *o, const struct sl_ingest_params *params)
{
	struct ingest_mem *m = mem_of(in);
	o->ingest = in;
	o->params = *params;
	memset(&o->result, 0, sizeof(o->result));
	o->result.is_sound = true;
	o->result.unsound_why = "";
	sl_record_init(&o->record);
	pthread_mutex_lock(&m->lock);
	enum sl_verdict refuse = m->refuse;
	sl_assert(m->begun_n < INGEST_MEM_OBJECTS);
	m->objects[m->begun_n++] = (struct ingest_mem_object){
		.object = o, .sop_instance_uid = params->sop_instance_uid};
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	atomic_store(&o->is_failed, refuse != SL_VERDICT_STORED);
	o->result.verdict = refuse;
	return refuse == SL_VERDICT_STORED ? SL_OK : SL_E_FULL;
}

void sl_ingest_append(struct sl_object *o, struct sl_part *p)
{
	submit(mem_of(o->ingest), WORK_PART, o, p, 0);
}

void sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes)
{
	submit(mem_of(o->ingest), WORK_FINISH, o, last, extra_bytes);
}

void sl_ingest_abort(struct sl_object *o)
{
	submit(mem_of(o->ingest), WORK_ABORT, o, NULL, 0);
}

bool sl_ingest_is_failed(const struct sl_object *o)
{
	return atomic_load(&o->is_failed);
}

/* ---- the test's side ------------------------------------------------------------------------- */

static inline struct ingest_mem *ingest_mem_open(void)
{
	struct ingest_mem *m = calloc(1, sizeof(*m));
	sl_assert(m != NULL);
	m->tail = &m->head;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	int rc = pthread_create(&m->thread, NULL, run, m);
	sl_assert(rc == 0);
	return m;
}

/* All objects are done. */
static inline void ingest_mem_close(struct ingest_mem *m)
{
	pthread_mutex_lock(&m->lock);
	m->is_closing = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	for (unsigned i = 0; i < m->begun_n; i++) {
		sl_assert(m->objects[i].is_done);
		free(m->objects[i].bytes);
	}
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->changed);
	free(m);
}

/* Sets one word under the lock and wakes the thread. */
static inline void set(struct ingest_mem *m, enum sl_verdict *word, enum sl_verdict value)
{
	pthread_mutex_lock(&m->lock);
	*word = value;
	pthread_mutex_unlock(&m->lock);
}

/* While held the thread does nothing: the disk is slow. */
static inline void ingest_mem_hold(struct ingest_mem *m, bool is_held)
{
	pthread_mutex_lock(&m->lock);
	m->is_held = is_held;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

/* The verdict of objects finished from now on. */
static inline void ingest_mem_verdict(struct ingest_mem *m, enum sl_verdict verdict)
{
	set(m, &m->verdict, verdict);
}

/* From now on objects fail with this verdict when their first part is written; STORED: they do not. */
static inline void ingest_mem_fail_parts(struct ingest_mem *m, enum sl_verdict verdict)
{
	set(m, &m->parts_fail, verdict);
}

/* From now on begin refuses with this verdict; STORED: it does not. */
static inline void ingest_mem_refuse(struct ingest_mem *m, enum sl_verdict verdict)
{
	set(m, &m->refuse, verdict);
}

static inline void wait_for(struct ingest_mem *m, const unsigned *count, unsigned n)
{
	pthread_mutex_lock(&m->lock);
	while (*count < n)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

/* Waits until n objects are done, or began, or n parts were handed over in all. */
static inline void ingest_mem_wait_done(struct ingest_mem *m, unsigned n)
{
	wait_for(m, &m->done_n, n);
}

static inline void ingest_mem_wait_begun(struct ingest_mem *m, unsigned n)
{
	wait_for(m, &m->begun_n, n);
}

static inline void ingest_mem_wait_handed(struct ingest_mem *m, unsigned n)
{
	wait_for(m, &m->handed_n, n);
}

static inline unsigned ingest_mem_begun_n(struct ingest_mem *m)
{
	pthread_mutex_lock(&m->lock);
	unsigned n = m->begun_n;
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* Object i; look only when it is done, or the thread is held. */
static inline const struct ingest_mem_object *ingest_mem_at(struct ingest_mem *m, unsigned i)
{
	sl_assert(i < m->begun_n);
	return &m->objects[i];
}
