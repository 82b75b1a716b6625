/* Operations to lend; see window.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/window.h"

void sl_window_init(struct sl_window *w, struct sl_svc_store *spares, uint32_t n)
{
	pthread_mutex_init(&w->lock, NULL);
	sl_list_init(&w->free);
	w->free_n = n;
	for (uint32_t i = 0; i < n; i++)
		sl_list_push(&w->free, &spares[i].node);
}

void sl_window_fini(struct sl_window *w)
{
	pthread_mutex_destroy(&w->lock);
}

uint32_t sl_window_borrow(
	struct sl_window *w, struct sl_list *to, uint32_t wanted, uint32_t buffers_free)
{
	pthread_mutex_lock(&w->lock);
	uint32_t share = (uint32_t)sl_min(w->free_n, buffers_free) / SL_WINDOW_SHARE;
	uint32_t n = (uint32_t)sl_min(wanted, share);
	for (uint32_t i = 0; i < n; i++)
		sl_list_push(to, sl_list_pop(&w->free));
	w->free_n -= n;
	pthread_mutex_unlock(&w->lock);
	return n;
}

void sl_window_give_back(struct sl_window *w, struct sl_svc_store *s)
{
	pthread_mutex_lock(&w->lock);
	sl_list_push(&w->free, &s->node);
	w->free_n++;
	pthread_mutex_unlock(&w->lock);
}
