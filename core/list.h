/* Intrusive doubly linked list: the node lives in the struct, the list never allocates.
 *
 * A node that is in no list points at itself, so sl_list_remove() may be called twice.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

struct sl_list {
	struct sl_list *next, *prev;
};

static inline void sl_list_init(struct sl_list *l)
{
	l->next = l->prev = l;
}

static inline bool sl_list_is_empty(const struct sl_list *l)
{
	return l->next == l;
}

/* Appends n at the tail of the list headed by l. */
static inline void sl_list_push(struct sl_list *l, struct sl_list *n)
{
	n->prev = l->prev;
	n->next = l;
	l->prev->next = n;
	l->prev = n;
}

/* Puts n before the head. */
static inline void sl_list_push_front(struct sl_list *l, struct sl_list *n)
{
	sl_list_push(l->next, n);
}

static inline void sl_list_remove(struct sl_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	sl_list_init(n);
}

/* Takes the head out; NULL when empty. */
static inline struct sl_list *sl_list_pop(struct sl_list *l)
{
	if (sl_list_is_empty(l))
		return NULL;
	struct sl_list *n = l->next;
	sl_list_remove(n);
	return n;
}

/* Moves everything from `from` to the tail of `to`. */
static inline void sl_list_splice(struct sl_list *to, struct sl_list *from)
{
	if (sl_list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	sl_list_init(from);
}

#define sl_list_for_each(it, head) \
	for (struct sl_list *it = (head)->next; it != (head); it = it->next)
#define sl_list_for_each_safe(it, nx, head)                                   \
	for (struct sl_list *it = (head)->next, *nx = it->next; it != (head); \
		it = nx, nx = it->next)
