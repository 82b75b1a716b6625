/* A connection slot: one socket, its receive region, its output, and the association on it.
 *
 * Slots are bought at start and belong to a loop. Happy path: the acceptor takes a free slot, puts the
 * descriptor in and posts it to the loop; the loop opens it, reads into the region, lets the association
 * parse, writes its answers at once and closes it when the association says so. The slot is free again
 * when the socket is closed, every object of it is done and no buffer is on its way to it.
 *
 * Flow: sl_conn_pump() is called after anything that may let the association go on (bytes, a buffer,
 * a part written, an object done, output drained). It parses until bytes or room run out, then reads
 * exactly when there is room in the region. Nothing else starts or stops reading.
 *
 * Output: tried at once; what the socket does not take waits in `out`, never more than SL_CONN_OUT (and
 * SL_CONN_SNDBUF in the kernel). Parsing pauses while there is no room for an answer, and a peer that
 * takes nothing of what waits for SL_CONN_STALL_MS is cut off.
 *
 * A peer that goes while we do not read (the disk or the pool holds us up) is noticed by the tick: its
 * place is free again, though its last bytes, an A-ABORT perhaps, were never read.
 *
 * Threads: the loop's, but for sl_conn_hand().
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include "core/sm.h"
#include "server/assoc.h"
#include "server/intake.h"
#include "server/junk.h"
#include "server/mailbox.h"

#define SL_CONN_OUT      (8 * SL_KIB)  /* bytes that wait for a peer to read */
#define SL_CONN_SNDBUF   (24 * SL_KIB) /* likewise in the kernel, which doubles this */
#define SL_CONN_OUT_ROOM 4608          /* free bytes of it that parsing on demands */
#define SL_CONN_SMALL    1400 /* bytes of a read that may be one small PDU, see acknowledge_now() */
#define SL_CONN_STALL_MS 4500 /* a peer that takes none of our bytes is cut off then, within 5 s */
#define SL_CONN_GONE_MS  1000 /* one that sends no more, while we cannot read the rest: likewise */

struct sl_loop;

enum sl_conn_stage {
	SL_CONN_FREE,
	SL_CONN_HANDED, /* the acceptor put a descriptor in; on its way to the loop */
	SL_CONN_OPEN,
	SL_CONN_CLOSING, /* uv_close was called */
	SL_CONN_CLOSED,  /* the socket is gone; objects or a buffer are still under way */
	SL_CONN_STAGE_N
};

/* What a connection waits for: where its time goes. */
enum sl_conn_wait { SL_CONN_WAIT_PEER, SL_CONN_WAIT_DISK, SL_CONN_WAIT_POOL, SL_CONN_WAIT_N };

struct sl_conn {
	struct sl_loop *loop;
	struct sl_list node; /* in the loop's free or live list */
	struct sl_sm stage;  /* enum sl_conn_stage */
	struct sl_mail handed;
	int fd; /* ours while HANDED; then the handle's */
	uv_tcp_t tcp;
	struct sockaddr_storage from;
	bool is_reading;
	struct sl_intake intake;

	uint8_t head[SL_JUNK_LOOK]; /* the connection's first bytes */
	uint8_t head_n;
	uint64_t bytes_in; /* read from the socket */

	uv_write_t write;
	bool is_writing;
	size_t out_start,
		out_end;     /* out[start, end) waits; while writing, a prefix of it is libuv's */
	size_t out_writing;  /* bytes of that prefix */
	bool is_sending;     /* something was sent, and may not have left yet */
	size_t out_left;     /* bytes of ours the peer had not taken when last looked at */
	uint32_t stalled_ms; /* it has taken nothing for so long */
	uint32_t gone_ms;    /* it has closed its side for so long, and we do not read */

	enum sl_conn_wait wait;
	uint64_t wait_since_ms;
	uint64_t waited_ms[SL_CONN_WAIT_N];
	uint64_t bytes_seen; /* bytes_in at the last tick */
	uint64_t opened_ms;

	struct sl_assoc assoc;
	uint8_t out[SL_CONN_OUT];
};

/* A free slot of a loop; once, before the loop runs. */
void sl_conn_init(struct sl_conn *c, struct sl_loop *loop);

/* Acceptor: hands the slot and a connected descriptor to its loop. Takes fd. */
void sl_conn_hand(struct sl_conn *c, int fd, const struct sockaddr_storage *from);

/* See the file head. */
void sl_conn_pump(struct sl_conn *c);

/* Sends n bytes now, or when the socket takes them. SL_E_LIMIT when the peer leaves no room, SL_E_IO
 * when the socket is dead. */
SL_MUST enum sl_status sl_conn_send(struct sl_conn *c, const void *bytes, size_t n);

/* True when an answer of any length will find room. */
bool sl_conn_has_room(const struct sl_conn *c);

/* Closes the socket; the association is told nothing more of it. May be called again. */
void sl_conn_close(struct sl_conn *c);

/* The time until now counts for what was waited for. */
void sl_conn_settle_wait(struct sl_conn *c);

/* dt_ms after the last tick; others_wait: somebody waits for a pool buffer. */
void sl_conn_tick(struct sl_conn *c, uint32_t dt_ms, bool others_wait);
