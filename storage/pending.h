/* The pending table: objects that are decided or being decided, until the indexer has moved them.
 *
 * One entry per SOP Instance UID. An entry is also the turnstile of its UID: one object at a time
 * decides on it (the owner), later ones queue in the order in which their last PDVs arrived (DESIGN 2,
 * "decisions on one UID are serial"). When the owner wins, the entry holds the record of the durable
 * file until the indexer has settled it in the archive; the next owner compares with that record.
 * When the owner fails, the next decides anew. An owner that brings a version of its own parks until
 * the record before it is settled: an entry holds one.
 *
 * Fixed size, bought at open. Table full: newcomers queue for the table itself, FIFO, so the sender
 * waits until the indexer catches up; nothing is refused and nothing grows.
 *
 * Threads: any; one mutex, held for a few dozen instructions.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/env.h"
#include "core/list.h"
#include "core/record.h"
#include "core/status.h"
#include "storage/digest.h"

#define SL_PENDING_DEFAULT 4096 /* entries */
#define SL_PENDING_STUDIES 8192 /* counts of studies under way; a power of two */
#define SL_PENDING_CLOSED  16   /* studies closed at a time */

/* A claimant's place; embedded in the object. */
struct sl_turn {
	struct sl_list node;
	const struct sl_uid *uid;           /* SOP Instance UID it wants to decide on; borrowed */
	struct sl_pending_entry *entry;     /* the entry it owns; NULL while it waits */
	void (*on_turn)(struct sl_turn *t); /* its turn has come; on the thread that released */
	uint32_t study; /* which count of studies under way holds it, plus 1; 0 = none */
};

/* One UID. Fields are the owner's to read and write while it owns the entry; `record` and `digest`
 * also the indexer's to read while is_durable. */
struct sl_pending_entry {
	struct sl_list chain;  /* hash chain, or free list */
	struct sl_list queued; /* in the indexer's queue */
	struct sl_list turns;  /* who waits for this UID, in order */
	struct sl_turn *owner; /* who decides now; NULL = nobody */
	bool is_parked;        /* the owner waits until the record is settled */
	struct sl_uid uid;
	uint32_t study;     /* as in struct sl_turn, from the winner until it is settled */
	uint64_t pushed_ns; /* when it joined that queue; the indexer's */
	bool is_durable;    /* record describes a durable file that the indexer has not settled */
	struct sl_record record;
	uint8_t digest[SL_DIGEST_LEN];
};

struct sl_pending;

SL_MUST enum sl_status sl_pending_open(
	struct sl_pending **out, uint32_t entries, const struct sl_env *env, struct sl_diag *d);
void sl_pending_close(struct sl_pending *p);
size_t sl_pending_memory(uint32_t entries); /* bytes */

/* Asks for the turn on t->uid. True: it is t's turn now (t->entry is set; on_turn is not called).
 * False: on_turn follows. Call in the order in which last PDVs arrive. */
SL_MUST bool sl_pending_claim(struct sl_pending *p, struct sl_turn *t);

/* The owner is done. won: entry->record and digest were filled and the file is durable; the entry stays
 * until sl_pending_settled(). Otherwise nothing new is there. Calls the next one's on_turn. */
void sl_pending_release(struct sl_pending *p, struct sl_turn *t, bool won);

/* For the owner: copies what is durable under its UID and not yet settled. SL_E_NOTFOUND: nothing; then
 * the index tells (what it holds was committed before it was settled). */
SL_MUST enum sl_status sl_pending_rival(struct sl_pending *p, const struct sl_turn *t,
	struct sl_record *out, uint8_t digest[SL_DIGEST_LEN]);

/* The owner waits: its on_turn is called again when the record under its UID is settled, or by
 * sl_pending_wake(). False: nothing unsettled is there (any more); decide now. */
SL_MUST bool sl_pending_park(struct sl_pending *p, struct sl_turn *t);

/* Settling is held up: all parked owners get their on_turn now, and look for themselves. */
void sl_pending_wake(struct sl_pending *p);

/* The indexer has committed and moved the entry's object. */
void sl_pending_settled(struct sl_pending *p, struct sl_pending_entry *e);

/* Copies the record of a durable object not yet settled. SL_E_NOTFOUND: ask the index (DESIGN 2). */
SL_MUST enum sl_status sl_pending_lookup(
	struct sl_pending *p, const struct sl_uid *sop_instance_uid, struct sl_record *out);

/* ---- studies under way ----
 *
 * A study is under way while an object of it is: from the moment its UID is known of an arriving
 * object (parts come before the claim) until that object has failed or is settled. Counted by a hash of
 * the UID, so "under way" may be said of a study that is not; never the other way. A few studies at a
 * time may be closed, by the evictor; meanwhile nobody enters them. */

/* The object belongs to this study, from now until it is released or leaves (won: until its entry is
 * settled). Again is SL_OK. SL_AGAIN: the study is being evicted, ask later. */
SL_MUST enum sl_status sl_pending_enter_study(
	struct sl_pending *p, struct sl_turn *t, const struct sl_uid *study);
/* For who never claimed: the object is over. Nothing when it entered none. */
void sl_pending_leave_study(struct sl_pending *p, struct sl_turn *t);
/* True: nothing of the study is under way, and nothing will be until all that are closed are opened. At
 * most SL_PENDING_CLOSED at a time. */
SL_MUST bool sl_pending_close_study(struct sl_pending *p, const struct sl_uid *study);
void sl_pending_open_studies(struct sl_pending *p);

struct sl_pending_stats {
	uint32_t used, durable, waiting, parked;
};
struct sl_pending_stats sl_pending_stats(struct sl_pending *p);
