/* The pending table: a fixed array, a chained hash, a queue per UID and one for the whole table.
 *
 * The hash is keyed by a random seed, so that a peer cannot aim its UIDs at one chain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/pending.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct sl_pending {
	pthread_mutex_t lock;
	struct sl_pending_entry *entries; /* n of them */
	struct sl_list *chains;           /* n of them; n is a power of two */
	struct sl_list unused;            /* entries by .chain */
	struct sl_list overflow;          /* struct sl_turn.node: no entry was free */
	uint64_t seed;
	uint32_t n;
	uint32_t studies[SL_PENDING_STUDIES]; /* objects under way */
	uint32_t closed[SL_PENDING_CLOSED];   /* places in studies, plus 1 */
	uint32_t closed_n;
	struct sl_pending_stats stats;
};

size_t sl_pending_memory(uint32_t entries)
{
	return sizeof(struct sl_pending) +
	       (size_t)entries * (sizeof(struct sl_pending_entry) + sizeof(struct sl_list));
}

enum sl_status sl_pending_open(
	struct sl_pending **out, uint32_t entries, const struct sl_env *env, struct sl_diag *d)
{
	sl_assert(entries > 0 && (entries & (entries - 1)) == 0);
	struct sl_pending *p = calloc(1, sizeof(*p));
	struct sl_pending_entry *e = calloc(entries, sizeof(*e));
	struct sl_list *chains = calloc(entries, sizeof(*chains));
	if (p == NULL || e == NULL || chains == NULL) {
		free(p);
		free(e);
		free(chains);
		return sl_fail(d, SL_E_NOMEM, 0, "pending", "no memory for %u entries", entries);
	}
	pthread_mutex_init(&p->lock, NULL);
	p->entries = e;
	p->chains = chains;
	p->n = entries;
	env->random(env->arg, &p->seed, sizeof(p->seed));
	sl_list_init(&p->unused);
	sl_list_init(&p->overflow);
	for (uint32_t i = 0; i < entries; i++) {
		sl_list_init(&chains[i]);
		sl_list_init(&e[i].queued);
		sl_list_init(&e[i].turns);
		sl_list_push(&p->unused, &e[i].chain);
	}
	*out = p;
	return SL_OK;
}

void sl_pending_close(struct sl_pending *p)
{
	if (p == NULL)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p->entries);
	free(p->chains);
	free(p);
}

/* FNV-1a over the UID, begun at the seed and stirred once at the end. */
static uint64_t hash_of(const struct sl_pending *p, const struct sl_uid *uid)
{
	uint64_t h = p->seed ^ 0xcbf29ce484222325u;
	for (uint8_t i = 0; i < uid->len; i++)
		h = (h ^ (uint8_t)uid->s[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

static struct sl_list *chain_of(struct sl_pending *p, const struct sl_uid *uid)
{
	return &p->chains[hash_of(p, uid) & (p->n - 1)];
}

static struct sl_pending_entry *find(struct sl_pending *p, const struct sl_uid *uid)
{
	struct sl_list *chain = chain_of(p, uid);
	sl_list_for_each (it, chain) {
		struct sl_pending_entry *e = sl_container_of(it, struct sl_pending_entry, chain);
		if (sl_uid_equal(&e->uid, uid))
			return e;
	}
	return NULL;
}

static struct sl_pending_entry *make(struct sl_pending *p, const struct sl_uid *uid)
{
	struct sl_list *n = sl_list_pop(&p->unused);
	if (n == NULL)
		return NULL;
	struct sl_pending_entry *e = sl_container_of(n, struct sl_pending_entry, chain);
	e->uid = *uid;
	e->owner = NULL;
	e->is_parked = false;
	e->is_durable = false;
	e->study = 0;
	sl_list_push(chain_of(p, uid), &e->chain);
	p->stats.used++;
	return e;
}

/* Under the lock: gives t the turn or queues it at its UID. NULL entry: the table is full. */
static bool enter(struct sl_pending_entry *e, struct sl_turn *t)
{
	if (e->owner == NULL) {
		e->owner = t;
		t->entry = e;
		return true;
	}
	sl_list_push(&e->turns, &t->node);
	return false;
}

bool sl_pending_claim(struct sl_pending *p, struct sl_turn *t)
{
	bool is_turn = false;
	t->entry = NULL;
	sl_list_init(&t->node);
	pthread_mutex_lock(&p->lock);
	struct sl_pending_entry *e = find(p, t->uid);
	/* Who waits for the table goes first: an entry is only made when nobody does. */
	if (e == NULL && sl_list_is_empty(&p->overflow))
		e = make(p, t->uid);
	if (e != NULL)
		is_turn = enter(e, t);
	else
		sl_list_push(&p->overflow, &t->node);
	if (!is_turn)
		p->stats.waiting++;
	pthread_mutex_unlock(&p->lock);
	return is_turn;
}

/* Under the lock: everybody who waits for the table and wants this entry's UID, in order. All of them
 * at once: who comes now finds the entry and must not pass those who came before. */
static void move_up(struct sl_pending *p, struct sl_pending_entry *e, struct sl_list *begun)
{
	sl_list_for_each_safe (it, next, &p->overflow) {
		struct sl_turn *t = sl_container_of(it, struct sl_turn, node);
		if (!sl_uid_equal(t->uid, &e->uid))
			continue;
		sl_list_remove(&t->node);
		if (enter(e, t)) {
			p->stats.waiting--;
			sl_list_push(begun, &t->node);
		}
	}
}

/* Under the lock: an entry nobody needs becomes free, and those who wait for the table move up. The
 * turns that begin by it are collected in `begun`. */
static void recycle(struct sl_pending *p, struct sl_pending_entry *e, struct sl_list *begun)
{
	if (e->owner != NULL || e->is_durable || !sl_list_is_empty(&e->turns))
		return;
	sl_list_remove(&e->chain);
	sl_list_push(&p->unused, &e->chain);
	p->stats.used--;
	while (!sl_list_is_empty(&p->overflow)) {
		struct sl_turn *t = sl_container_of(p->overflow.next, struct sl_turn, node);
		struct sl_pending_entry *made = make(p, t->uid);
		if (made == NULL)
			break;
		move_up(p, made, begun);
	}
}

/* Outside the lock: tells those whose turn has begun. */
static void tell(struct sl_list *begun)
{
	struct sl_list *n;
	while ((n = sl_list_pop(begun)) != NULL) {
		struct sl_turn *t = sl_container_of(n, struct sl_turn, node);
		t->on_turn(t);
	}
}

/* Under the lock: one object less of the study. */
static void leave(struct sl_pending *p, uint32_t *study)
{
	if (*study != 0) {
		sl_assert(p->studies[*study - 1] > 0);
		p->studies[*study - 1]--;
	}
	*study = 0;
}

void sl_pending_release(struct sl_pending *p, struct sl_turn *t, bool won)
{
	struct sl_list begun;
	sl_list_init(&begun);
	pthread_mutex_lock(&p->lock);
	struct sl_pending_entry *e = t->entry;
	sl_assert(e != NULL && e->owner == t);
	if (won) {
		sl_assert(!e->is_durable);
		e->is_durable = true;
		e->study = t->study;
		t->study = 0;
		p->stats.durable++;
	}
	leave(p, &t->study);
	t->entry = NULL;
	e->owner = NULL;
	struct sl_list *n = sl_list_pop(&e->turns);
	if (n != NULL) {
		struct sl_turn *next = sl_container_of(n, struct sl_turn, node);
		e->owner = next;
		next->entry = e;
		p->stats.waiting--;
		sl_list_push(&begun, &next->node);
	}
	recycle(p, e, &begun);
	pthread_mutex_unlock(&p->lock);
	tell(&begun);
}

bool sl_pending_park(struct sl_pending *p, struct sl_turn *t)
{
	pthread_mutex_lock(&p->lock);
	struct sl_pending_entry *e = t->entry;
	sl_assert(e != NULL && e->owner == t && !e->is_parked);
	bool waits = e->is_durable;
	e->is_parked = waits;
	p->stats.parked += waits;
	pthread_mutex_unlock(&p->lock);
	return waits;
}

/* Under the lock: a parked owner's turn goes on. */
static void unpark(struct sl_pending *p, struct sl_pending_entry *e, struct sl_list *begun)
{
	if (!e->is_parked)
		return;
	e->is_parked = false;
	p->stats.parked--;
	sl_list_push(begun, &e->owner->node);
}

void sl_pending_wake(struct sl_pending *p)
{
	struct sl_list begun;
	sl_list_init(&begun);
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; p->stats.parked > 0 && i < p->n; i++)
		unpark(p, &p->entries[i], &begun);
	pthread_mutex_unlock(&p->lock);
	tell(&begun);
}

void sl_pending_settled(struct sl_pending *p, struct sl_pending_entry *e)
{
	struct sl_list begun;
	sl_list_init(&begun);
	pthread_mutex_lock(&p->lock);
	sl_assert(e->is_durable);
	e->is_durable = false;
	leave(p, &e->study);
	p->stats.durable--;
	unpark(p, e, &begun);
	recycle(p, e, &begun);
	pthread_mutex_unlock(&p->lock);
	tell(&begun);
}

enum sl_status sl_pending_rival(struct sl_pending *p, const struct sl_turn *t,
	struct sl_record *out, uint8_t digest[SL_DIGEST_LEN])
{
	enum sl_status st = SL_E_NOTFOUND;
	pthread_mutex_lock(&p->lock);
	const struct sl_pending_entry *e = t->entry;
	sl_assert(e != NULL && e->owner == t);
	if (e->is_durable) {
		*out = e->record;
		memcpy(digest, e->digest, SL_DIGEST_LEN);
		st = SL_OK;
	}
	pthread_mutex_unlock(&p->lock);
	return st;
}

enum sl_status sl_pending_lookup(
	struct sl_pending *p, const struct sl_uid *sop_instance_uid, struct sl_record *out)
{
	enum sl_status st = SL_E_NOTFOUND;
	pthread_mutex_lock(&p->lock);
	struct sl_pending_entry *e = find(p, sop_instance_uid);
	if (e != NULL && e->is_durable) {
		*out = e->record;
		st = SL_OK;
	}
	pthread_mutex_unlock(&p->lock);
	return st;
}

/* ---- studies under way -------------------------------------------------------------------------- */

static uint32_t study_of(const struct sl_pending *p, const struct sl_uid *study)
{
	return (uint32_t)(hash_of(p, study) & (SL_PENDING_STUDIES - 1)) + 1;
}

static bool is_closed(const struct sl_pending *p, uint32_t at)
{
	for (uint32_t i = 0; i < p->closed_n; i++)
		if (p->closed[i] == at)
			return true;
	return false;
}

enum sl_status sl_pending_enter_study(
	struct sl_pending *p, struct sl_turn *t, const struct sl_uid *study)
{
	enum sl_status st = SL_OK;
	if (t->study != 0)
		return SL_OK;
	pthread_mutex_lock(&p->lock);
	uint32_t at = study_of(p, study);
	if (is_closed(p, at)) {
		st = SL_AGAIN;
	} else {
		p->studies[at - 1]++;
		t->study = at;
	}
	pthread_mutex_unlock(&p->lock);
	return st;
}

void sl_pending_leave_study(struct sl_pending *p, struct sl_turn *t)
{
	pthread_mutex_lock(&p->lock);
	leave(p, &t->study);
	pthread_mutex_unlock(&p->lock);
}

bool sl_pending_close_study(struct sl_pending *p, const struct sl_uid *study)
{
	pthread_mutex_lock(&p->lock);
	uint32_t at = study_of(p, study);
	sl_assert(p->closed_n < SL_PENDING_CLOSED);
	bool is_idle = p->studies[at - 1] == 0;
	if (is_idle)
		p->closed[p->closed_n++] = at;
	pthread_mutex_unlock(&p->lock);
	return is_idle;
}

void sl_pending_open_studies(struct sl_pending *p)
{
	pthread_mutex_lock(&p->lock);
	p->closed_n = 0;
	pthread_mutex_unlock(&p->lock);
}

struct sl_pending_stats sl_pending_stats(struct sl_pending *p)
{
	pthread_mutex_lock(&p->lock);
	struct sl_pending_stats s = p->stats;
	pthread_mutex_unlock(&p->lock);
	return s;
}
