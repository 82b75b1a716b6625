/* Berths: names in spool/ that are durable before there is an object for them.
 *
 * What an acknowledged object costs the disk is an fdatasync of its bytes and an fsync of the folder that
 * names it. The second need not be paid while somebody waits: a thread of ours makes empty files,
 * spool/<number>.berth, a few dozen at a time, and one fsync of spool/ makes all their names durable. Who
 * takes a berth writes the object into it and syncs the bytes; that earns the answer.
 *
 *	made --fsync of spool/--> in stock --take--> the object's file --settle--> archive name, unlinked
 *
 * Never waits for anybody: an empty stock is said at once, and the taker makes a name of its own. What a
 * crash leaves of a berth sl_berth_look() tells.
 *
 * Failure: no room for names leaves the stock short until somebody asks again; a failed fsync latches the
 * store (a failed one is never retried).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/dirsync.h"
#include "storage/latch.h"
#include "storage/root.h"

#define SL_BERTHS_MAX 4096 /* storage.names_ahead */

struct sl_berths;

/* One name. Who takes it owns the descriptor, and unlinks the name where nothing comes of it. */
struct sl_berth {
	int fd;          /* of the empty file, for reading and writing */
	uint64_t number; /* of sl_path_berth(); never 0 */
	/* The fsync of spool/ that covers the name: dirsync.h. */
	uint64_t named_after, covered_by;
};

struct sl_berths_deps {
	const struct sl_root *root;
	struct sl_dirsync *spool_sync;
	struct sl_latch *latch;
	uint64_t first;               /* no berth in spool/ has this number or a higher one */
	void (*on_thread)(void *arg); /* as in ioq.h */
	void *arg;
};

/* Keeps up to n (1 to SL_BERTHS_MAX) in stock; deps' things are borrowed until stop. Recovery is
 * over. Returns owned. */
SL_MUST enum sl_status sl_berths_start(
	struct sl_berths **out, unsigned n, const struct sl_berths_deps *deps, struct sl_diag *d);

/* The one that has been in stock for longest. False: there is none. Does not block. Any thread. */
SL_MUST bool sl_berths_take(struct sl_berths *b, struct sl_berth *out);

/* Nobody takes any more: removes the stock, joins the thread, frees. Before spool_sync stops. */
void sl_berths_stop(struct sl_berths *b);

/* Memory of a stock of n [bytes]: part of the sum printed at start. */
size_t sl_berths_memory(unsigned n);

/* Takes since start that found one, and that found none. */
void sl_berths_stats(struct sl_berths *b, uint64_t *taken, uint64_t *missed);

/* ---- after a crash (berth_look.c) ---- */

enum sl_berth_what {
	SL_BERTH_EMPTY,      /* it was in stock */
	SL_BERTH_UNFINISHED, /* it was being written, and nobody was told */
	SL_BERTH_OBJECT,     /* as far as its header can say; its digest is not looked at */
	SL_BERTH_UNKNOWN,    /* anything else */
};

/* What lies in spool/ under the name of a berth, and the seq of an object; changes nothing. SL_E_IO. */
SL_MUST enum sl_status sl_berth_look(const struct sl_root *root, const char *name,
	enum sl_berth_what *what, uint64_t *seq, struct sl_diag *d);
