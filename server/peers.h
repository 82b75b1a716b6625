/* Who may come: the [[peer]] list as access control (calling AE title and source address), and what
 * each peer is granted.
 *
 * AE titles are not authenticated, so a title alone is weak: `from` ties it to addresses. A peer that
 * is listed may not come from elsewhere, even where unknown peers are welcome. On the wire unknown and
 * wrong look the same (1/1/3); only the log tells them apart.
 *
 * Threads: all functions lock; called once per association and on reload.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <sys/socket.h>

#include "core/ae.h"
#include "core/nego.h"
#include "core/status.h"
#include "storage/ingest.h"

#define SL_PEERS_MAX     256
#define SL_PEER_NETS_MAX 16

/* A network: IPv6, or IPv4 mapped into ::ffff:0:0/96. */
struct sl_net {
	uint8_t addr[16];   /* network order */
	uint8_t prefix_len; /* bits, 0 .. 128 (an IPv4 prefix is 96 longer) */
};

/* One [[peer]] table. */
struct sl_peer {
	struct sl_ae ae_title;
	struct sl_net from[SL_PEER_NETS_MAX];
	size_t from_n;                 /* 0 = from anywhere */
	uint32_t max_associations;     /* 0 = as many as we have */
	enum sl_duplicates duplicates; /* storage.duplicates already filled in */
	char charset[SL_CHARSET_TERM_MAX]; /* likewise dicom.charset */
	struct sl_nego_policy nego;    /* its services and preferred transfer syntaxes */
};

/* What an association of a peer may do; a copy, good until the association ends. */
struct sl_peer_grant {
	struct sl_ae ae_title;
	enum sl_duplicates duplicates;
	char charset[SL_CHARSET_TERM_MAX];
	struct sl_nego_policy nego;
	bool is_listed; /* counted; to be given back */
};

enum sl_peer_verdict {
	SL_PEER_ADMITTED,
	SL_PEER_UNKNOWN,   /* no [[peer]] has this title */
	SL_PEER_ELSEWHERE, /* one has, but not from this address */
	SL_PEER_TOO_MANY,  /* its own max_associations is reached */
};

/* What is granted to everybody, and to peers whose table leaves it open. */
struct sl_peers_conf {
	bool accepts_unknown;       /* dicom.accept_unknown_peers */
	struct sl_peer unlisted;    /* the grant of a peer no [[peer]] names; title unused */
	const struct sl_peer *peer; /* borrowed during the call */
	size_t peer_n;              /* at most SL_PEERS_MAX; the rest is ignored (conf checks) */
};

struct sl_peers {
	pthread_mutex_t lock;
	bool accepts_unknown;
	struct sl_peer unlisted;
	size_t peer_n;
	struct sl_peer peer[SL_PEERS_MAX];
	uint32_t
		open_n[SL_PEERS_MAX]; /* associations; of all entries of a title the first counts */
};

SL_MUST enum sl_status sl_peers_init(struct sl_peers *p, const struct sl_peers_conf *conf);
void sl_peers_fini(struct sl_peers *p);

/* Replaces the list (SIGHUP). Associations that are open keep what they were granted, and go on
 * counting for their title. */
void sl_peers_configure(struct sl_peers *p, const struct sl_peers_conf *conf);

/* Asks for one association; *grant is filled when ADMITTED, and is to be given back once. Otherwise
 * it is that of an unlisted peer, so that negotiation can go on and fail as it would for anybody.
 * Without any [[peer]], loopback may always come. */
enum sl_peer_verdict sl_peers_admit(struct sl_peers *p, const struct sl_ae *calling,
	const struct sockaddr *from, struct sl_peer_grant *grant);
void sl_peers_leave(struct sl_peers *p, const struct sl_peer_grant *grant);

/* From an address of the configuration: IPv4 in 4 bytes (is_v6 false) or IPv6 in 16. */
struct sl_net sl_net_of(bool is_v6, const uint8_t *addr, uint8_t prefix_len);
bool sl_net_has(const struct sl_net *net, const uint8_t addr[16]);

/* The 16 bytes of a socket address, IPv4 mapped; false for another family. */
SL_MUST bool sl_net_addr(const struct sockaddr *sa, uint8_t addr[16]);
bool sl_net_is_loopback(const uint8_t addr[16]);
