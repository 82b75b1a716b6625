/* Ingest: one C-STORE from its first byte to the status that may be answered (DESIGN 2).
 *
 * Happy path: begin on the loop thread; parts are appended as buffers fill and run, one at a time and
 * in order, on the disk threads (element walk, digest, write); the last one decides: pending table,
 * then index; the winner's file is written, fdatasynced, named, its folder fsynced, and the object
 * passes the ack gate. on_done tells the owner which status to send.
 *
 * Failure: the first cause stays in the object. Later parts are released unwritten, and the status is
 * told only after the last PDV came in (PROTOCOL D3): so the owner may stop granting buffers as soon
 * as sl_ingest_is_failed() and only count bytes, but still calls finish.
 *
 * On close: sl_ingest_abort(), once, and never after on_done; on_done follows, once, with the verdict
 * CANCELLED (after finish the object runs to its end and only the answer is lost). An object is the
 * caller's memory and stays alive until on_done.
 *
 * Threads: begin, append, finish, abort on the object's loop thread; on_part and on_done are called on
 * a storage thread (or inside the call) and must only pass the news on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "core/ae.h"
#include "core/elem.h"
#include "core/env.h"
#include "core/p10.h"
#include "core/part.h"
#include "storage/charset.h"
#include "storage/ioq.h"
#include "storage/pending.h"
#include "storage/store.h"
#include "storage/verdict.h"
#include "storage/water.h"

struct sl_ingest;
struct sl_object;
struct sl_index;
struct sl_indexer;
struct sl_latch;

#define SL_INGEST_WINDOW 2 /* parts of one object in flight, whatever its size */
#define SL_INGEST_PATIENCE_MS \
	30000 /* how long an object waits for the evictor to make room, before A700 */

enum sl_duplicates { SL_DUP_REFUSE, SL_DUP_LATEST, SL_DUP_FIRST };
enum sl_unsound { SL_UNSOUND_KEEP, SL_UNSOUND_WARN, SL_UNSOUND_REFUSE };

/* What ingest does with what it gets; the reloadable part may be replaced (sl_ingest_configure). */
struct sl_ingest_conf {
	bool is_durable;       /* storage.durability = "fsync" */
	bool keeps_quarantine; /* storage.quarantine */
	enum sl_unsound unsound;
	uint64_t max_object;  /* storage.max_object [bytes of data set] */
	uint64_t inflate_max; /* dicom.inflate_max [bytes] */
	struct sl_elem_limits elem;
};

/* What the association knows of the object; copied by begin. */
struct sl_ingest_params {
	struct sl_uid sop_class_uid, sop_instance_uid; /* of the command set, valid */
	struct sl_uid transfer_syntax_uid;             /* of the presentation context, registered */
	struct sl_ae calling, called;                  /* (0002,0016) .. (0002,0018) */
	enum sl_duplicates duplicates;                 /* policy for this peer */
	char charset[SL_CHARSET_TERM_MAX]; /* assumed where the object says none; charset.h */
};

enum sl_dup { SL_DUP_NONE, SL_DUP_IDENTICAL, SL_DUP_CHANGED, SL_DUP_RECODED };

/* What became of it. Valid in on_done and after. */
struct sl_result {
	enum sl_verdict verdict; /* row of sl_verdicts: status, word for the log, Error Comment */
	enum sl_dup dup;
	bool is_quarantined;     /* refused for its content, but kept in quarantine/ */
	bool is_sound;           /* of a kept object: sound=no when false */
	const char *unsound_why; /* static: where the structure broke; "" */
	uint64_t bytes;          /* data set bytes that came in */
	struct sl_diag diag;     /* of the first failure */
};

/* What is left to do; ingest.c's own. */
enum sl_object_stage {
	SL_OBJECT_RECEIVING, /* parts come and are written */
	SL_OBJECT_DECIDING,  /* all bytes seen; waits for the turn on its UID, then decides */
	SL_OBJECT_NAMING,    /* written and named; waits for the folder's fsync */
	SL_OBJECT_DONE,
};

/* One object in work. Fields below the line are ingest's own. */
struct sl_object {
	void (*on_part)(struct sl_object *o, struct sl_part *p); /* p is empty: may be refilled */
	void (*on_done)(struct sl_object *o); /* ingest does not touch o after this call */
	struct sl_list mail;                  /* for the owner's mailbox, never touched by ingest */
	void *owner;                          /* likewise */
	struct sl_result result;
	/* ------------------------------------------------------------------ */
	struct sl_ingest *ingest;
	struct sl_ingest_params params;
	struct sl_ingest_conf conf; /* as it was when the object began */
	pthread_mutex_t lock;       /* guards the next six */
	struct sl_list parts;       /* struct sl_part.node, in order */
	struct sl_part *last;       /* the rest, handed over by finish; NULL = none */
	bool has_last, is_aborted;  /* finish or abort was called */
	bool is_running;            /* a disk thread works on it, or will */
	bool has_turn;              /* it may decide on its UID */
	bool is_claimed;            /* it stands in the pending table */
	enum sl_object_stage stage; /* disk threads */
	struct sl_job job;
	atomic_bool is_failed; /* a verdict of failure is in result */
	struct sl_turn turn;
	struct sl_elem elem;
	bool is_deflated; /* looked into at the end, not as it passes */
	struct sl_digest digest;
	uint8_t digest_bytes[SL_DIGEST_LEN];
	struct sl_record record;
	struct sl_store_file file;
	bool is_file_open; /* file was begun and not yet sealed or aborted */
	bool is_index_reserved;
	bool is_condemned; /* its verdict is known; its bytes are still taken, for quarantine/ */
	bool is_rival_durable;     /* identical bytes were found, durable, under this UID */
	uint64_t header_len;       /* bytes of the Part 10 header to come */
	uint64_t reserved;         /* bytes reserved in water, not yet settled */
	struct sl_water_wait wait; /* for the evictor to make room, or to be done with its study */
	uint64_t waiting_since_ns; /* 0 = not waiting */
};

/* Everything ingest stands on; borrowed, outlives it. */
struct sl_ingest_deps {
	const struct sl_env *env;
	struct sl_ioq *ioq;
	struct sl_store *store;
	struct sl_index *index;
	struct sl_indexer *indexer;
	struct sl_pending *pending;
	struct sl_water *water;
	struct sl_latch *latch;
	unsigned threads;  /* of ioq: one index reader each */
	uint64_t next_seq; /* above every seq in files and index */
};

SL_MUST enum sl_status sl_ingest_open(struct sl_ingest **out, const struct sl_ingest_conf *conf,
	const struct sl_ingest_deps *deps, struct sl_diag *d);
/* All objects are done (assert). */
void sl_ingest_close(struct sl_ingest *in);
void sl_ingest_configure(struct sl_ingest *in, const struct sl_ingest_conf *conf);

/* The next number of the one order of all that happens to the archive. Any thread. */
uint64_t sl_ingest_next_seq(struct sl_ingest *in);

/* Starts an object in memory of the caller's; on_part, on_done and owner are set by the caller before.
 * SL_OK; SL_E_FULL when the node refuses new objects now (o->is_failed is set with its cause: count the
 * bytes, then finish). */
SL_MUST enum sl_status sl_ingest_begin(
	struct sl_ingest *in, struct sl_object *o, const struct sl_ingest_params *params);

/* Takes a part; on_part follows. At most SL_INGEST_WINDOW in flight. */
void sl_ingest_append(struct sl_object *o, struct sl_part *p);

/* The last PDV has come in: `last` (may be NULL) is the rest; extra_bytes were dropped by the owner
 * after a failure. From here on the order of decisions on one UID is fixed. on_done follows. */
void sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes);

/* The association is gone: once for an object, and never after its on_done (which may come at any moment
 * after finish: who calls this knows that it has not). on_done follows. */
void sl_ingest_abort(struct sl_object *o);

/* True once the object can only fail: stop granting it buffers. Any thread. */
bool sl_ingest_is_failed(const struct sl_object *o);

/* True when `o` would pass as a success, i.e. what its status promises is durable. THE ONLY place that
 * decides so; see ack.c. */
bool sl_ack_gate(const struct sl_object *o);
