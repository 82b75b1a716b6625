/* Bad peers: they stop in the middle in every way there is, and the server has to let go of each within
 * the clock that is for it, and of none by another's: the plan often leaves one clock alone.
 *
 *	before the association stands, after the release      ARTIM
 *	between messages                                      idle_timeout
 *	within one                                            idle_timeout, min_rate
 *	does not take what the server says                    SL_CONN_STALL_MS, idle_timeout
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/bad.h"

#include "core/cmd.h"
#include "core/pdu.h"
#include "server/conn.h"

#define ALLOWED_MS \
	100000u           /* for what is not the peer's fault: a full disk's patience, slow calls */
#define LIMIT_MAX 200000u /* a clock that strikes later ends nobody */

/* What ends a peer of this kind at the latest [ms]. */
static uint64_t limit_ms(enum badness kind)
{
	uint64_t idle = sim_plan.idle_ms;
	uint64_t rate = sim_plan.min_rate > 0 ? 2 * sim_plan.rate_window_ms : LIMIT_MAX;
	switch (kind) {
	case IDLES:
		return idle;
	case FALLS_SILENT:
		return sl_min64(idle, rate);
	case DRIPS:
		return rate;
	case NEVER_READS:
		return sl_min64(idle, SL_CONN_STALL_MS);
	case GOOD:
	case SAYS_NOTHING:
	case STOPS_ASSOCIATING:
	case DRIPS_ASSOCIATING:
	case LINGERS:
	case ABORTS:
	case RESETS:
	case TALKS_NONSENSE:
	case BAD_N:
		break;
	}
	return sim_plan.artim_ms;
}

enum badness sim_bad_choose(void)
{
	enum badness kind;
	do {
		kind = (enum badness)(1 + sim_below(BAD_N - 1));
	} while (limit_ms(kind) >= LIMIT_MAX);
	return kind;
}

static const char *name_of(enum badness kind)
{
	static const char *const names[BAD_N] = {"is good", "says nothing",
		"stops in the A-ASSOCIATE-RQ", "drips its A-ASSOCIATE-RQ", "idles", "never reads",
		"does not close", "aborts", "resets", "falls silent", "drips", "talks nonsense"};
	return names[kind];
}

static void begin(struct peer *p, enum badness kind)
{
	p->badness = GOOD;
	sim_note("misbehaves", kind, 0);
	sim_saw(SIM_SAW_STALLED);
}

static uint64_t deadline(enum badness kind)
{
	return sim_now_ns() + (limit_ms(kind) + ALLOWED_MS) * SIM_MS;
}

static void check_over(int conn, enum badness kind)
{
	if (sim_net_is_open(conn))
		sim_fail("the association of a peer that %s does not end", name_of(kind));
}

/* Reads on until the server has let go. */
static void await_end(int conn, enum badness kind)
{
	uint64_t until = deadline(kind);
	while (sim_net_receive(conn, until) == SIM_GOT_BYTES)
		continue;
	check_over(conn, kind);
}

static void await_end_unread(int conn, enum badness kind)
{
	uint64_t until = deadline(kind);
	while (sim_net_is_open(conn) && sim_now_ns() < until)
		sim_sleep(100 * SIM_MS);
	check_over(conn, kind);
}

/* A byte now and then, never all of them; then the end. */
static void drip(int conn, const uint8_t *bytes, size_t n, uint64_t each_ms, enum badness kind)
{
	uint64_t until = deadline(kind);
	for (size_t i = 0; i < n && sim_net_is_open(conn) && sim_now_ns() < until; i++) {
		if (!sim_net_send(conn, bytes + i, 1))
			return;
		sim_sleep(each_ms * SIM_MS);
	}
	check_over(conn, kind);
}

void sim_bad_before(struct peer *p, int conn, enum badness kind)
{
	struct sl_wbuf w = sim_peer_request(p);
	begin(p, kind);
	if (kind == DRIPS_ASSOCIATING) {
		drip(conn, w.base, w.len - 1, 1 + 2 * ALLOWED_MS / w.len, kind);
		return;
	}
	if (kind == STOPS_ASSOCIATING &&
		!sim_peer_send(conn, w.base, 1 + sim_below((uint32_t)w.len - 1)))
		return;
	await_end(conn, kind);
}

/* Sends its objects without looking, and takes nothing any more. */
static void send_blindly(struct peer *p, int conn)
{
	sim_net_shrink(conn, 1 + sim_below(60));
	for (unsigned i = 0; i < p->objects_n; i++) {
		struct object *o = &p->objects[i];
		size_t n = sim_dataset(o->u, o->v, p->dataset);
		if (!sim_peer_send_command(p, conn, o, (uint16_t)(i + 1)) ||
			!sim_peer_send_dataset(p, conn, n, n))
			return;
	}
	await_end_unread(conn, NEVER_READS);
}

void sim_bad_while(struct peer *p, int conn, enum badness kind)
{
	begin(p, kind);
	if (kind == NEVER_READS)
		send_blindly(p, conn);
	else
		await_end(conn, kind);
}

/* The beginning of a PDV that says it goes on. */
static struct sl_wbuf unfinished(struct peer *p)
{
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	sl_pdu_encode_pdv_head(&w, 1, false, false, PEER_PDU_MAX - 6);
	sl_wbuf_fill(&w, 0, PEER_PDU_MAX - 6 - 1);
	return w;
}

void sim_bad_within(struct peer *p, int conn, enum badness kind, size_t of)
{
	struct sl_wbuf w = sl_wbuf_of(p->out, sizeof(p->out));
	begin(p, kind);
	if (!sim_peer_send_dataset(p, conn, sim_below((uint32_t)of), of))
		return;
	switch (kind) {
	case ABORTS:
		sl_pdu_encode_abort(&w, (struct sl_ul_reason){0});
		if (sim_peer_send(conn, w.base, w.len))
			await_end(conn, kind);
		break;
	case TALKS_NONSENSE:
		sl_wbuf_fill(&w, (uint8_t)sim_below(256), 1 + sim_below(2000));
		if (sim_peer_send(conn, w.base, w.len))
			await_end(conn, kind);
		break;
	case FALLS_SILENT:
		w = unfinished(p);
		if (sim_one_in(2) || sim_peer_send(conn, w.base, 1 + sim_below(200)))
			await_end(conn, kind);
		break;
	case DRIPS:
		w = unfinished(p);
		drip(conn, w.base, w.len, 200 + sim_below(800), kind);
		break;
	default:
		sim_net_close(conn, true);
		break;
	}
}
