/* What the files of ingest share: ingest.c (life of an object), ingest_part.c (a part's way to the
 * file), ingest_decide.c (duplicates and the winner's file), ack.c (the gate).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/p10.h"
#include "storage/index.h"
#include "storage/indexer.h"
#include "storage/inflate.h"
#include "storage/ingest.h"
#include "storage/latch.h"
#include "storage/water.h"

/* What each disk thread has for ingest's work. */
struct sl_ingest_thread {
	struct sl_index_reader *reader;
	void *inflate_memory;   /* sl_inflate_memory() bytes, bought at open */
	struct sl_record rival; /* of the object under the same UID */
	uint8_t header[SL_P10_HEADER_MAX];
};

struct sl_ingest {
	struct sl_ingest_deps deps;
	pthread_mutex_t conf_lock;
	struct sl_ingest_conf conf; /* under conf_lock; objects copy it when they begin */
	atomic_uint_fast64_t next_seq;
	struct sl_ingest_thread *threads; /* deps.threads of them */
};

/* Prepares walker, record and header length of a new object. */
void sl_ingest_prepare(struct sl_object *o);

/* What the file's header says of who sent what to whom; its proof is left empty. */
struct sl_p10 sl_ingest_header(const struct sl_object *o);

/* The first cause of failure stays. */
void sl_ingest_fail(struct sl_object *o, enum sl_verdict v);

/* A verdict of failure for the object's content: at once, or with storage.quarantine after its bytes
 * were set aside. */
void sl_ingest_condemn(struct sl_object *o, enum sl_verdict v);

/* Seals a condemned object in quarantine/ and fails it by its verdict. */
void sl_ingest_set_aside(struct sl_object *o, struct sl_ingest_thread *t);

/* The verdict of a failed storage call, with its diagnosis; latches the store on SL_E_SYNC. */
void sl_ingest_fail_io(struct sl_object *o, enum sl_status st);

/* Disk space for `bytes` more, before they are written; a step at a time unless they are the last.
 * SL_AGAIN: the evictor is making room, wait. */
SL_MUST enum sl_status sl_ingest_room(struct sl_object *o, uint64_t bytes, bool is_last);

/* Begins the object's file unless it is begun. is_whole: all its bytes come now, for the spool. */
SL_MUST enum sl_status sl_ingest_open_file(struct sl_object *o, bool is_whole);

/* Appends a part's bytes to the file, for which there is room; the object fails where that fails. */
void sl_ingest_write(struct sl_object *o, const struct sl_part *p);

/* Walks, hashes and writes one part; the last one (is_last) is walked and hashed only. Nothing when
 * the object has failed. SL_AGAIN: not taken, the object has to wait (never for the last one). */
SL_MUST enum sl_status sl_ingest_part(struct sl_object *o, struct sl_part *p, bool is_last);

/* All bytes were seen: soundness, UIDs, agreement with the command; a verdict of failure or none. */
void sl_ingest_judge(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch);

enum sl_decision {
	SL_DECISION_ENDED,  /* it is identical to one we have, refused, or failed */
	SL_DECISION_SEALED, /* its file is sealed under a new seq; its name must be made durable */
	SL_DECISION_WAITS,  /* for room, or for the end of its study's eviction; then decide anew */
	SL_DECISION_LATER,  /* it is a version of what is not settled yet; then decide anew */
};

/* It is the object's turn on its UID. */
SL_MUST enum sl_decision sl_ingest_decide(
	struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch);

/* What a kept object is called: stored, or stored though unsound. */
enum sl_verdict sl_ingest_kept_verdict(const struct sl_object *o);

/* Sets the verdict v of success if the object has not failed and the gate opens; else a failure. True:
 * the success may be answered. The only caller of sl_ack_gate(). */
SL_MUST bool sl_ack_answer(struct sl_object *o, enum sl_verdict v);
