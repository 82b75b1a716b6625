/* SIGHUP: what differs, and what of it the running node takes over.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/value.h"

static bool are_peers_equal(const struct sl_conf *a, const struct sl_conf *b)
{
	if (a->peer_n != b->peer_n)
		return false;
	for (size_t p = 0; p < a->peer_n; p++)
		for (size_t i = 0; i < SL_CONF_KEY_N; i++)
			if (sl_table_is_peer(&sl_conf_keys[i]) &&
				!sl_value_equal(&sl_conf_keys[i], &a->peer[p], &b->peer[p]))
				return false;
	return true;
}

/* One field, its list's length included. */
static void copy_field(const struct sl_conf_key *key, void *to, const void *from)
{
	size_t places = key->list_n > 0 ? key->list_n : 1;
	memcpy((char *)to + key->offset, (const char *)from + key->offset, places * key->size);
	if (key->list_n > 0)
		memcpy((char *)to + key->list_n_offset, (const char *)from + key->list_n_offset,
			sizeof(size_t));
}

void sl_conf_reload(struct sl_conf *running, const struct sl_conf *fresh,
	void (*on_change)(void *arg, const char *key, bool is_live), void *arg)
{
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		char dotted[96];
		if (sl_table_is_peer(key))
			continue;
		void *to = sl_table_values(running, key, 0);
		const void *from = sl_table_values_const(fresh, key, 0);
		if (sl_value_equal(key, to, from))
			continue;
		snprintf(dotted, sizeof(dotted), "%s.%s", key->group, key->name);
		on_change(arg, dotted, key->is_live);
		if (key->is_live) {
			copy_field(key, to, from);
			running->at[i] = fresh->at[i];
		}
	}
	if (!are_peers_equal(running, fresh)) {
		on_change(arg, "peer", true);
		memcpy(running->peer, fresh->peer, sizeof(running->peer));
		memcpy(running->peer_at, fresh->peer_at, sizeof(running->peer_at));
		running->peer_n = fresh->peer_n;
	}
}
