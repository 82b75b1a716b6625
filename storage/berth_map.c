/* A hash table of pairs of numbers: linear probing, at most half full; a removal moves back what had been
 * pushed past it, so no marks stay.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/berth_map.h"

#include <pthread.h>
#include <stdlib.h>

struct pair {
	uint64_t seq, number; /* number 0: empty */
};

struct sl_berth_map {
	pthread_mutex_t lock;
	struct pair *at; /* cap of them; under lock, as all below */
	size_t cap, n;   /* cap: a power of two, at least 2 n */
};

static size_t cap_for(size_t n)
{
	size_t cap = 16;
	while (cap < 2 * n)
		cap *= 2;
	return cap;
}

/* Neighbouring numbers, spread. */
static size_t home_of(const struct sl_berth_map *m, uint64_t seq)
{
	return (size_t)(seq * 0x9e3779b97f4a7c15u >> 32) & (m->cap - 1);
}

/* Where seq is, or would be put. */
static size_t place_of(const struct sl_berth_map *m, uint64_t seq)
{
	size_t i = home_of(m, seq);
	while (m->at[i].number != 0 && m->at[i].seq != seq)
		i = (i + 1) & (m->cap - 1);
	return i;
}

size_t sl_berth_map_memory(size_t n)
{
	return sizeof(struct sl_berth_map) + cap_for(n) * sizeof(struct pair);
}

struct sl_berth_map *sl_berth_map_open(size_t n)
{
	struct sl_berth_map *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->cap = cap_for(n);
	m->at = calloc(m->cap, sizeof(*m->at));
	if (m->at == NULL) {
		free(m);
		return NULL;
	}
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void sl_berth_map_close(struct sl_berth_map *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m->at);
	free(m);
}

enum sl_status sl_berth_map_reserve(struct sl_berth_map *m, size_t n)
{
	enum sl_status st = SL_OK;
	pthread_mutex_lock(&m->lock);
	struct pair *old = m->at;
	size_t old_cap = m->cap, cap = cap_for(m->n + n);
	if (cap > old_cap) {
		struct pair *grown = calloc(cap, sizeof(*grown));
		if (grown == NULL) {
			st = SL_E_NOMEM;
		} else {
			m->at = grown;
			m->cap = cap;
			for (size_t i = 0; i < old_cap; i++)
				if (old[i].number != 0)
					grown[place_of(m, old[i].seq)] = old[i];
			free(old);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return st;
}

bool sl_berth_map_put(struct sl_berth_map *m, uint64_t seq, uint64_t number)
{
	sl_assert(number != 0);
	pthread_mutex_lock(&m->lock);
	struct pair *p = &m->at[place_of(m, seq)];
	bool is_new = p->number == 0;
	if (is_new) {
		sl_assert(2 * (m->n + 1) <= m->cap);
		*p = (struct pair){seq, number};
		m->n++;
	}
	pthread_mutex_unlock(&m->lock);
	return is_new;
}

uint64_t sl_berth_map_find(struct sl_berth_map *m, uint64_t seq)
{
	pthread_mutex_lock(&m->lock);
	uint64_t number = m->at[place_of(m, seq)].number;
	pthread_mutex_unlock(&m->lock);
	return number;
}

void sl_berth_map_drop(struct sl_berth_map *m, uint64_t seq)
{
	pthread_mutex_lock(&m->lock);
	size_t hole = place_of(m, seq), mask = m->cap - 1;
	if (m->at[hole].number != 0) {
		m->n--;
		/* Who sits behind the hole and had to pass it moves into it. */
		for (size_t i = (hole + 1) & mask; m->at[i].number != 0; i = (i + 1) & mask) {
			size_t home = home_of(m, m->at[i].seq);
			if (((i - home) & mask) < ((i - hole) & mask))
				continue;
			m->at[hole] = m->at[i];
			hole = i;
		}
		m->at[hole] = (struct pair){0};
	}
	pthread_mutex_unlock(&m->lock);
}
