/* The pool: a free list, two queues of waiters, one spin lock around a dozen instructions.
 *
 * Why a spin lock: it guards only pointers and counters, is never held over a callback, a fill or a
 * system call, and lets this file stand without a thread library. Why hand over directly: a buffer
 * that went back to the free list could be taken by whoever asks next, and the longest waiter would
 * wait again.
 *
 * What orders the bytes: a holder's last access comes before its put (release), the last put sees all
 * of them (acquire) and takes the lock; the next holder leaves the lock, or its on_grant, after that.
 * So nobody sees a predecessor's bytes change, and TSan agrees.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/slab.h"

#include <string.h>

#define FREE_PATTERN 0xdb /* odd, not zero, no ASCII: a stale read shows */

/* ---- the lock ---- */

static void pool_lock(struct sl_slab_pool *p)
{
	/* acquire: what the last owner of the lock wrote is visible to us. */
	while (atomic_flag_test_and_set_explicit(&p->lock, memory_order_acquire)) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
}

static void pool_unlock(struct sl_slab_pool *p)
{
	/* release: what we wrote is visible to the next owner. */
	atomic_flag_clear_explicit(&p->lock, memory_order_release);
}

/* ---- integrity ---- */

static void fill(const struct sl_slab *s)
{
	memset(s->base, FREE_PATTERN, s->cap);
}

/* Every byte still FREE_PATTERN: the first is, and each equals the one before it. */
static void check_fill(const struct sl_slab *s)
{
	sl_assert(s->base[0] == FREE_PATTERN);
	sl_assert(memcmp(s->base, s->base + 1, s->cap - 1) == 0);
}

/* ---- init ---- */

void sl_slab_pool_init(
	struct sl_slab_pool *p, struct sl_slab *slots, void *mem, size_t buffer_size, uint32_t n)
{
	sl_assert(n >= 1 && buffer_size >= 1);
	memset(p, 0, sizeof(*p));
	atomic_flag_clear(&p->lock);
	p->slots = slots;
	p->mem = mem;
	p->buffer_size = buffer_size;
	p->n = n;
	p->stats.n = n;
	for (int c = 0; c < SL_SLAB_CRIT_N; c++)
		sl_list_init(&p->waiting[c]);
	for (uint32_t i = n; i-- > 0;) {
		struct sl_slab *s = &slots[i];
		s->base = p->mem + i * buffer_size;
		s->cap = buffer_size;
		s->pool = p;
		s->index = i;
		atomic_init(&s->refs, 0);
		s->next_free = p->free_head;
		p->free_head = s;
	}
}

void sl_slab_pool_integrity(struct sl_slab_pool *p)
{
	sl_assert(p->stats.gets == 0);
	p->has_integrity = true;
	for (uint32_t i = 0; i < p->n; i++)
		fill(&p->slots[i]);
}

/* ---- get ---- */

/* The first free buffer, counted and referenced, or NULL. Locked. */
static struct sl_slab *take_free(struct sl_slab_pool *p)
{
	struct sl_slab *s = p->free_head;
	if (s == NULL)
		return NULL;
	p->free_head = s->next_free;
	s->next_free = NULL;
	p->stats.gets++;
	p->stats.used++;
	if (p->stats.used > p->stats.peak)
		p->stats.peak = p->stats.used;
	/* relaxed: s is still ours alone; whoever gets to know it does so through the caller. */
	atomic_store_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

struct sl_slab *sl_slab_get(struct sl_slab_pool *p)
{
	pool_lock(p);
	struct sl_slab *s = take_free(p);
	pool_unlock(p);
	if (s != NULL && p->has_integrity)
		check_fill(s);
	return s;
}

struct sl_slab *sl_slab_get_or_wait(
	struct sl_slab_pool *p, struct sl_slab_waiter *w, enum sl_slab_crit crit)
{
	pool_lock(p);
	sl_assert(!w->is_queued);
	struct sl_slab *s = take_free(p);
	w->granted = NULL;
	if (s == NULL) {
		w->is_queued = true;
		sl_list_push(&p->waiting[crit], &w->node);
		p->stats.waiters++;
		p->stats.waits++;
	}
	pool_unlock(p);
	if (s != NULL && p->has_integrity)
		check_fill(s);
	return s;
}

bool sl_slab_unwait(struct sl_slab_pool *p, struct sl_slab_waiter *w)
{
	pool_lock(p);
	bool was_queued = w->is_queued;
	if (was_queued) {
		sl_list_remove(&w->node);
		w->is_queued = false;
		p->stats.waiters--;
	}
	pool_unlock(p);
	return was_queued;
}

/* ---- put ---- */

/* The class whose turn it is, SL_SLAB_CRIT_N when nobody waits. Locked. */
static enum sl_slab_crit next_class(struct sl_slab_pool *p)
{
	bool finish = !sl_list_is_empty(&p->waiting[SL_SLAB_FINISH]);
	bool intake = !sl_list_is_empty(&p->waiting[SL_SLAB_INTAKE]);
	if (finish && intake && p->grants_in_row < SL_SLAB_FAIR - 1) {
		p->grants_in_row++;
		return SL_SLAB_FINISH;
	}
	p->grants_in_row = 0; /* intake's turn, or nothing is being held back */
	if (intake)
		return SL_SLAB_INTAKE;
	return finish ? SL_SLAB_FINISH : SL_SLAB_CRIT_N;
}

/* The waiter who gets `s`, no longer queued, or NULL. Locked. */
static struct sl_slab_waiter *grant(struct sl_slab_pool *p, struct sl_slab *s)
{
	enum sl_slab_crit crit = next_class(p);
	if (crit == SL_SLAB_CRIT_N)
		return NULL;
	struct sl_slab_waiter *w =
		sl_container_of(sl_list_pop(&p->waiting[crit]), struct sl_slab_waiter, node);
	w->is_queued = false;
	w->granted = s;
	p->stats.waiters--;
	p->stats.gets++;
	/* relaxed: the new holder learns of s by on_grant or under this lock. */
	atomic_store_explicit(&s->refs, 1, memory_order_relaxed);
	return w;
}

/* The last reference is gone: to the next waiter, or to the free list. */
static void give_back(struct sl_slab *s)
{
	struct sl_slab_pool *p = s->pool;
	if (p->has_integrity)
		fill(s);
	pool_lock(p);
	struct sl_slab_waiter *w = grant(p, s);
	if (w == NULL) {
		s->next_free = p->free_head;
		p->free_head = s;
		p->stats.used--;
	}
	pool_unlock(p);
	if (w != NULL)
		w->on_grant(w); /* outside the lock; from here on w is its owner's again */
}

static bool is_ours(const struct sl_slab *s)
{
	const struct sl_slab_pool *p = s->pool;
	return p != NULL && s->index < p->n && s == &p->slots[s->index];
}

void sl_slab_share(struct sl_slab *s)
{
	sl_assert(is_ours(s));
	/* relaxed: the caller's own reference already orders everything before this. */
	unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	sl_assert(before > 0);
}

void sl_slab_put(struct sl_slab *s)
{
	sl_assert(is_ours(s));
	/* release: our accesses come before the buffer's next life; acquire: as the last one, we
	 * also stand behind the accesses of everybody who put before us. */
	unsigned before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
	sl_assert(before > 0);
	if (before == 1)
		give_back(s);
}

bool sl_slab_is_shared(const struct sl_slab *s)
{
	/* acquire: "no longer shared" means that the others' accesses are over. */
	return atomic_load_explicit(&s->refs, memory_order_acquire) > 1;
}

struct sl_slab_stats sl_slab_pool_stats(struct sl_slab_pool *p)
{
	pool_lock(p);
	struct sl_slab_stats now = p->stats;
	pool_unlock(p);
	return now;
}
