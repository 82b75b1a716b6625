/* A whole dialogue: any bytes of a peer against the node in its simulated machine (tests/sim/sim.h), from
 * the socket through upper layer, DIMSE, ingest and disk to the index and the response.
 *
 * Input: a byte that chooses the machine (schedule, buffers, loops, ...; nothing fails in it), a byte that
 * says how the peer ends and whether a second one sends the same beside it, then what it sends (dialogue.h;
 * dialogue_mutate.c makes new ones).
 *
 * What must be true, whatever was sent:
 *   - a C-STORE is answered with success or a warning only if a message with that ID was sent, and its
 *     data set, bit for bit and under the UID that both name, is in a file that a power cut at this
 *     moment would leave (PS3.4 B.2.2)
 *   - the node ends each association, by itself if need be, and then holds no buffer, no receive area,
 *     no place in a table, no reserved byte (tests/sim/node.c looks), and has allocated nothing
 *   - nothing is in the archive that was not sent, nothing is left in the spool, index and files agree
 *   - what the node sends are PDUs and command sets
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "core/p10.h"
#include "core/pdu.h"
#include "core/registry.h"
#include "sim/peer.h"
#include "sim/sim.h"
#include "tests/fuzz/dialogue.h"

#define PATIENCE_NS (200 * 1000 * SIM_MS)
#define STEPS_MAX   1000000
#define PDU_MAX     4096 /* longest that the node sends */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* How the peer ends: it waits for the node; or goes without, at once or after a while. */
enum ending { WAITS, CLOSES, RESETS, CLOSES_LATER };
#define ENDING_MASK 3
#define HAS_TWIN    4

/* A peer, on the connection of its number. */
struct peer {
	bool is_over;
	uint8_t pdu[PDU_MAX], command[PDU_MAX]; /* that the node is sending */
	size_t pdu_n, command_n;
};

static struct {
	const uint8_t *stream;
	size_t n;
	enum ending ending;
	unsigned peers_n;
	struct peer peers[2];
	struct dialogue said;
} talk;

/* ---- what the node says ---- */

/* The file is this object's: its data set, under the UID that command and data set name. */
static bool holds(const struct sim_file *f, const struct dialogue_message *m)
{
	const uint8_t *dataset = f->bytes + f->n - sl_min(f->n, m->n);
	struct sl_p10 p10;
	size_t header_len;
	if (f->n < m->n || memcmp(dataset, talk.said.bytes + m->at, m->n) != 0)
		return false;
	if (sl_p10_decode(f->bytes, f->n, &p10, &header_len) != SL_OK ||
		header_len + m->n != f->n || p10.proof.dataset_len != m->n)
		return false;
	const struct sl_uid *uid = &p10.sop_instance_uid;
	const struct sl_ts_row *ts = sl_registry_ts(&p10.transfer_syntax_uid);
	bool is_seen =
		ts == NULL || ts->deflated || memmem(dataset, m->n, uid->s, uid->len) != NULL;
	return is_seen && sl_uid_equal(uid, &m->uid);
}

struct search {
	const struct dialogue_message *message;
	bool is_found;
};

static void look(void *arg, const struct sim_file *f)
{
	struct search *s = arg;
	s->is_found |= holds(f, s->message);
}

static void check_kept(uint16_t id, uint16_t status)
{
	for (unsigned i = 0; i < talk.said.messages_n; i++) {
		struct search s = {.message = &talk.said.messages[i]};
		if (!s.message->is_store || !s.message->is_whole || s.message->id != id)
			continue;
		sim_disk_walk(true, look, &s);
		if (s.is_found)
			return;
	}
	sim_fail("%04X for message %u, of which no data set is durable", status, id);
}

static void take_response(const struct peer *p)
{
	static struct sl_cmd rsp;
	if (sl_cmd_decode(&rsp, p->command, p->command_n, NULL) != SL_OK ||
		!sl_cmd_has(&rsp, SL_CMD_EL_STATUS))
		sim_fail("the node sends what is no response");
	sim_note("answer", rsp.responded_to, rsp.status);
	if (rsp.field == (SL_CMD_C_STORE_RQ | SL_CMD_RSP_BIT) &&
		(rsp.status == 0 || rsp.status >> 12 == 0xB))
		check_kept(rsp.responded_to, rsp.status);
}

/* One fragment of a command set in each PDU: as much as the peer's Maximum Length allows. */
static void take_fragment(struct peer *p, const uint8_t *pdv, size_t n)
{
	if (n < SL_PDU_PDV_HEAD_LEN || (pdv[5] & ~2u) != 1)
		sim_fail("the node sends what is no fragment of a command set");
	n -= SL_PDU_PDV_HEAD_LEN;
	if (n > sizeof(p->command) - p->command_n)
		sim_fail("the node sends a command set without an end");
	memcpy(p->command + p->command_n, pdv + SL_PDU_PDV_HEAD_LEN, n);
	p->command_n += n;
	if ((pdv[5] & 2) == 0)
		return;
	take_response(p);
	p->command_n = 0;
}

static void take_pdu(struct peer *p)
{
	sim_note("told", p->pdu[0], p->pdu_n);
	switch ((enum sl_pdu_type)p->pdu[0]) {
	case SL_PDU_PDATA_TF:
		take_fragment(p, p->pdu + SL_PDU_HEAD_LEN, p->pdu_n - SL_PDU_HEAD_LEN);
		return;
	case SL_PDU_ASSOCIATE_AC:
	case SL_PDU_ASSOCIATE_RJ:
	case SL_PDU_RELEASE_RP:
	case SL_PDU_ABORT:
		return;
	case SL_PDU_ASSOCIATE_RQ:
	case SL_PDU_RELEASE_RQ:
		break;
	}
	sim_fail("the node sends a PDU of type %02X", p->pdu[0]);
}

void sim_peer_is_told(int conn, const uint8_t *bytes, size_t n)
{
	struct peer *p = &talk.peers[conn];
	for (size_t i = 0; i < n; i++) {
		p->pdu[p->pdu_n++] = bytes[i];
		size_t at = 0;
		if (p->pdu_n == PDU_MAX)
			sim_fail("the node sends a PDU of %d bytes and more", PDU_MAX);
		if (p->pdu_n < SL_PDU_HEAD_LEN)
			continue;
		size_t len = (size_t)p->pdu[4] << 8 | p->pdu[5];
		if (dialogue_pdu(p->pdu, p->pdu_n, &at) == SL_PDU_HEAD_LEN + len) {
			take_pdu(p);
			p->pdu_n = 0;
		}
	}
}

/* ---- the peer ---- */

static int conn_of(const struct peer *p)
{
	return (int)(p - talk.peers);
}

static void *listener_main(void *arg)
{
	struct peer *p = arg;
	while (sim_net_receive(conn_of(p), sim_now_ns() + PATIENCE_NS) == SIM_GOT_BYTES)
		continue;
	if (sim_net_is_open(conn_of(p)))
		sim_fail("an association does not end");
	p->is_over = true;
	return NULL;
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	if (talk.peers_n > 1)
		sim_sleep(sim_below(100) * SIM_MS);
	(void)sim_net_send(conn_of(p), talk.stream, talk.n);
	if (talk.ending == CLOSES_LATER)
		sim_sleep(sim_below(100) * SIM_MS);
	if (talk.ending != WAITS)
		sim_net_close(conn_of(p), talk.ending == RESETS);
	return NULL;
}

static void start_peers(void)
{
	for (unsigned i = 0; i < talk.peers_n; i++) {
		struct peer *p = &talk.peers[i];
		p->is_over = false;
		p->pdu_n = p->command_n = 0;
		int conn = sim_net_connect();
		sl_assert(conn == (int)i);
		(void)sim_start(listener_main, p, false, "listener");
		(void)sim_start(peer_main, p, false, "peer");
	}
}

static bool are_peers_over(void)
{
	for (unsigned i = 0; i < talk.peers_n; i++)
		if (!talk.peers[i].is_over)
			return false;
	return true;
}

/* ---- a run ---- */

/* A machine in which nothing fails. */
static void make_plan(uint64_t seed)
{
	sim_plan_make_sound(seed);
	sim_plan.peers = sim_plan.associations = talk.peers_n;
}

static void step(const char *what)
{
	if (!sim_step())
		sim_fail("deadlock: nobody can run, while %s", what);
	if (sim_steps() > STEPS_MAX)
		sim_fail("no end after %d steps, while %s", STEPS_MAX, what);
}

static void check_file(void *arg, const struct sim_file *f)
{
	(void)arg;
	if (f->is_spooled && f->n == 0) /* a name made ahead */
		return;
	for (unsigned i = 0; i < talk.said.messages_n; i++) {
		const struct dialogue_message *m = &talk.said.messages[i];
		if (m->is_store && m->is_whole && holds(f, m))
			return;
	}
	sim_fail("a file of %zu bytes is kept that holds nothing that was sent", f->n);
}

static void run(uint64_t seed)
{
	sim_threads_reset(seed);
	make_plan(seed);
	sim_disk_reset();
	sim_net_reset();
	sim_index_reset();
	sim_oracle_reset();
	sim_node_reset();
	sim_node_start();
	while (!sim_node_is_up())
		step("the node starts");
	start_peers();
	while (!are_peers_over())
		step("the peers talk");
	while (!sim_node_is_idle())
		step("the association, which is over, gives back what it holds");
	sim_node_order_stop();
	while (!sim_node_is_down())
		step("the node stops");
	sim_oracle_check_files();
	sim_disk_walk(true, check_file, NULL);
}

/* So that the input is kept. */
void sim_end(void)
{
	__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (n <= DIALOGUE_HEAD || n > DIALOGUE_INPUT)
		return 0;
	talk.stream = bytes + DIALOGUE_HEAD;
	talk.n = n - DIALOGUE_HEAD;
	talk.ending = (enum ending)(bytes[1] & ENDING_MASK);
	talk.peers_n = bytes[1] & HAS_TWIN ? 2 : 1;
	dialogue_read(&talk.said, talk.stream, talk.n);
	sim_set_verbose(getenv("SLUICE_TRACE") != NULL);
	run(bytes[0]);
	return 0;
}
