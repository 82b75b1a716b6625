/* Who may come; see peers.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/peers.h"

#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct sl_net sl_net_of(bool is_v6, const uint8_t *addr, uint8_t prefix_len)
{
	struct sl_net net = {.prefix_len = prefix_len};
	if (is_v6) {
		memcpy(net.addr, addr, 16);
		return net;
	}
	memcpy(net.addr, mapped, sizeof(mapped));
	memcpy(net.addr + 12, addr, 4);
	net.prefix_len = (uint8_t)(prefix_len + 96);
	return net;
}

bool sl_net_has(const struct sl_net *net, const uint8_t addr[16])
{
	size_t whole = net->prefix_len / 8, rest = net->prefix_len % 8;
	if (memcmp(net->addr, addr, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	unsigned mask = 0xffU << (8 - rest) & 0xffU;
	return ((net->addr[whole] ^ addr[whole]) & mask) == 0;
}

bool sl_net_addr(const struct sockaddr *sa, uint8_t addr[16])
{
	if (sa->sa_family == AF_INET) {
		memcpy(addr, mapped, sizeof(mapped));
		memcpy(addr + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(addr, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return true;
	}
	return false;
}

bool sl_net_is_loopback(const uint8_t addr[16])
{
	static const uint8_t v6[16] = {[15] = 1};
	static const uint8_t v4[4] = {127, 0, 0, 0};
	const struct sl_net net = sl_net_of(false, v4, 8);
	return memcmp(addr, v6, 16) == 0 || sl_net_has(&net, addr);
}

static void take_over(struct sl_peers *p, const struct sl_peers_conf *conf)
{
	p->accepts_unknown = conf->accepts_unknown;
	p->unlisted = conf->unlisted;
	p->peer_n = sl_min(conf->peer_n, SL_PEERS_MAX);
	if (p->peer_n > 0)
		memcpy(p->peer, conf->peer, p->peer_n * sizeof(p->peer[0]));
}

enum sl_status sl_peers_init(struct sl_peers *p, const struct sl_peers_conf *conf)
{
	memset(p, 0, sizeof(*p));
	if (pthread_mutex_init(&p->lock, NULL) != 0)
		return SL_E_NOMEM;
	take_over(p, conf);
	return SL_OK;
}

void sl_peers_fini(struct sl_peers *p)
{
	pthread_mutex_destroy(&p->lock);
}

/* The first entry of a title, or NULL: it counts the associations of all of them. */
static struct sl_peer *first_of(struct sl_peers *p, const struct sl_ae *title)
{
	for (size_t i = 0; i < p->peer_n; i++)
		if (sl_ae_equal(&p->peer[i].ae_title, title))
			return &p->peer[i];
	return NULL;
}

void sl_peers_configure(struct sl_peers *p, const struct sl_peers_conf *conf)
{
	uint32_t open_n[SL_PEERS_MAX] = {0};
	pthread_mutex_lock(&p->lock);
	size_t new_n = sl_min(conf->peer_n, SL_PEERS_MAX);
	for (size_t i = 0; i < new_n; i++) {
		const struct sl_peer *old = first_of(p, &conf->peer[i].ae_title);
		if (old != NULL) {
			open_n[i] = p->open_n[old - p->peer];
			p->open_n[old - p->peer] = 0; /* the first new entry of the title has it */
		}
	}
	take_over(p, conf);
	memcpy(p->open_n, open_n, sizeof(open_n));
	pthread_mutex_unlock(&p->lock);
}

static bool may_come_from(const struct sl_peer *peer, const uint8_t addr[16])
{
	for (size_t i = 0; i < peer->from_n; i++)
		if (sl_net_has(&peer->from[i], addr))
			return true;
	return peer->from_n == 0;
}

/* The entry of this title that allows this address; NULL and *is_known otherwise. */
static const struct sl_peer *match(
	struct sl_peers *p, const struct sl_ae *title, const uint8_t addr[16], bool *is_known)
{
	*is_known = false;
	for (size_t i = 0; i < p->peer_n; i++) {
		if (!sl_ae_equal(&p->peer[i].ae_title, title))
			continue;
		*is_known = true;
		if (may_come_from(&p->peer[i], addr))
			return &p->peer[i];
	}
	return NULL;
}

static void grant_of(struct sl_peer_grant *grant, const struct sl_peer *peer)
{
	*grant = (struct sl_peer_grant){.duplicates = peer->duplicates, .nego = peer->nego};
	memcpy(grant->charset, peer->charset, sizeof(grant->charset));
}

/* With the lock held. */
static enum sl_peer_verdict admit(struct sl_peers *p, const struct sl_ae *calling,
	const uint8_t addr[16], struct sl_peer_grant *grant)
{
	bool is_known;
	grant_of(grant, &p->unlisted);
	const struct sl_peer *peer = match(p, calling, addr, &is_known);
	if (peer == NULL) {
		if (is_known)
			return SL_PEER_ELSEWHERE;
		if (!p->accepts_unknown && !(p->peer_n == 0 && sl_net_is_loopback(addr)))
			return SL_PEER_UNKNOWN;
		return SL_PEER_ADMITTED;
	}
	uint32_t *open_n = &p->open_n[first_of(p, calling) - p->peer];
	if (peer->max_associations != 0 && *open_n >= peer->max_associations)
		return SL_PEER_TOO_MANY;
	++*open_n;
	grant_of(grant, peer);
	grant->ae_title = *calling;
	grant->is_listed = true;
	return SL_PEER_ADMITTED;
}

enum sl_peer_verdict sl_peers_admit(struct sl_peers *p, const struct sl_ae *calling,
	const struct sockaddr *from, struct sl_peer_grant *grant)
{
	uint8_t addr[16] = {0}; /* an unknown family comes from nowhere */
	(void)!sl_net_addr(from, addr);
	pthread_mutex_lock(&p->lock);
	enum sl_peer_verdict verdict = admit(p, calling, addr, grant);
	pthread_mutex_unlock(&p->lock);
	return verdict;
}

void sl_peers_leave(struct sl_peers *p, const struct sl_peer_grant *grant)
{
	if (!grant->is_listed)
		return;
	pthread_mutex_lock(&p->lock);
	struct sl_peer *first = first_of(p, &grant->ae_title);
	/* Gone or new since a reload: then there is nothing to give back. */
	if (first != NULL && p->open_n[first - p->peer] > 0)
		p->open_n[first - p->peer]--;
	pthread_mutex_unlock(&p->lock);
}
