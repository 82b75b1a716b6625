/* Judges an association request: who asks, what the node can give, and which answer follows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/assoc_int.h"

static bool is_called_recognized(const struct sl_assoc *a)
{
	const struct sl_assoc_conf *conf = &sl_assoc_loop_of(a)->conf;
	if (!conf->checks_called_ae ||
		sl_ae_equal(&a->nego.called, &sl_assoc_server_of(a)->conf.ae_title))
		return true;
	for (size_t i = 0; i < conf->ae_aliases_n; i++)
		if (sl_ae_equal(&a->nego.called, &conf->ae_aliases[i]))
			return true;
	return false;
}

/* Waiters far beyond what the pool serves in a while: one more would only wait. */
static bool is_pool_short(struct sl_server *server)
{
	struct sl_slab_stats pool = sl_slab_pool_stats(&server->pools.buffers);
	return pool.waiters >= sl_max(64, (size_t)pool.n * 16);
}

static void count_refusal(struct sl_assoc *a, struct sl_ul_reject r)
{
	struct sl_stats *stats = sl_assoc_server_of(a)->stats;
	_Atomic uint64_t *counter = &stats->rejected_app_context;
	if (sl_loop_is_stopping(sl_assoc_loop_of(a)))
		counter = &stats->rejected_stopping;
	else if (r.source == 1 && r.reason == 3)
		counter = &stats->rejected_calling_ae;
	else if (r.source == 1 && r.reason == 7)
		counter = &stats->rejected_called_ae;
	else if (r.source == 2)
		counter = &stats->rejected_version;
	else if (r.source == 3)
		counter = r.reason == 1 ? &stats->rejected_congested : &stats->rejected_limit;
	sl_stats_add(counter, 1);
}

/* Borrows the operations for as much of the window that is asked for as it can have now; they go back
 * when the association is over. Returns how many it has. */
static uint16_t open_window(struct sl_assoc *a)
{
	struct sl_server *server = sl_assoc_server_of(a);
	uint16_t asked = a->nego.async_invoked, most = a->grant.nego.async_max;
	if (!a->nego.has_async)
		return 1;
	struct sl_slab_stats pool = sl_slab_pool_stats(&server->pools.buffers);
	uint32_t buffers_free = pool.waiters > 0 ? 0 : pool.n - pool.used;
	uint32_t wanted = (asked == 0 || asked > most ? most : asked) - 1u;
	uint32_t more = sl_window_borrow(&server->window, &a->stores, wanted, buffers_free);
	sl_list_for_each (node, &a->stores) {
		struct sl_svc_store *s = sl_container_of(node, struct sl_svc_store, node);
		if (s != &a->store)
			sl_svc_store_init(s, a);
	}
	return (uint16_t)(1 + more);
}

void sl_assoc_decide(struct sl_assoc *a)
{
	struct sl_server *server = sl_assoc_server_of(a);
	a->has_place = sl_server_take_place(server);
	const struct sl_nego_node node = {
		.calling_permitted =
			a->verdict == SL_PEER_ADMITTED || a->verdict == SL_PEER_TOO_MANY,
		.called_recognized = is_called_recognized(a),
		.limit_reached = !a->has_place || a->verdict == SL_PEER_TOO_MANY,
		.congested = is_pool_short(server) || sl_loop_is_stopping(sl_assoc_loop_of(a)),
		.async_max = open_window(a),
	};
	a->decision = sl_nego_decide(&a->nego, &a->grant.nego, &node);
	const char *why = a->decision.why;
	if (a->decision.verdict == SL_NEGO_ACCEPT)
		return;
	if (!node.calling_permitted && a->verdict == SL_PEER_ELSEWHERE)
		why = "address"; /* on the wire the same as an unknown title */
	if (a->decision.verdict == SL_NEGO_REJECT)
		count_refusal(a, a->decision.reject);
	sl_assoc_ends(a, SL_STORY_REFUSED, why, NULL);
}

void sl_assoc_meet_peer(struct sl_assoc *a)
{
	struct sl_server *server = sl_assoc_server_of(a);
	sl_story_begin(&a->story, sl_server_next_id(server), a->conn->opened_ms);
	a->verdict = sl_peers_admit(&server->peers, &a->nego.calling,
		(const struct sockaddr *)&a->conn->from, &a->grant);
	a->has_grant = true;
}
