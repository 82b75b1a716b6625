/* What peer.c and bad.c share of a peer.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/wbuf.h"
#include "sim/sim.h"

#define PEER_PDU_MAX 16384

/* How a peer is bad, once; then it does its work. */
enum badness {
	GOOD,
	/* before the association stands */
	SAYS_NOTHING,
	STOPS_ASSOCIATING,
	DRIPS_ASSOCIATING,
	/* once it stands */
	IDLES,
	NEVER_READS,
	LINGERS, /* does not close after the release */
	/* in the middle of an object */
	ABORTS,
	RESETS,
	FALLS_SILENT,
	DRIPS,
	TALKS_NONSENSE,
	BAD_N
};

struct object {
	unsigned u, v;
	bool is_over; /* answered for good */
	unsigned refusals;
};

struct peer {
	bool is_used, is_done, is_eager, is_probe;
	enum badness badness;
	unsigned objects_n, tries;
	struct object objects[SIM_OBJECTS];
	uint8_t dataset[SIM_DATASET], out[SIM_DATASET];
};

/* Each false: the connection is over. */
bool sim_peer_send(int conn, const uint8_t *bytes, size_t n);
bool sim_peer_send_command(struct peer *p, int conn, struct object *o, uint16_t id);
/* The first n bytes of a data set of `of`, and its end if that is all. */
bool sim_peer_send_dataset(struct peer *p, int conn, size_t n, size_t of);
/* The A-ASSOCIATE-RQ, in p->out. */
struct sl_wbuf sim_peer_request(struct peer *p);

/* ---- bad.c ---- */

/* One that some clock of the plan ends. */
enum badness sim_bad_choose(void);
/* What it does, until the server has let go: the server has to, in time. */
void sim_bad_before(struct peer *p, int conn, enum badness kind);
void sim_bad_while(struct peer *p, int conn, enum badness kind);
void sim_bad_within(struct peer *p, int conn, enum badness kind, size_t of);
