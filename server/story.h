/* The story of one association, and how the log tells it (DESIGN 7): who, what, how much, how fast,
 * where the time went, why it ended. No patient data.
 *
 * A failure is told when it first happens, so that who tails the log sees it at once: one
 * `store.failed ... count=1` per cause (`store.unsound` for objects kept although broken). Causes that came again are told once more at the end, with
 * their number. Connections that never became an association, and associations that only echoed, are
 * counters, not lines.
 *
 * Threads: the association's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>

#include "core/nego.h"
#include "server/junk.h"
#include "server/log.h"
#include "server/stats.h"
#include "storage/ingest.h"

#define SL_STORY_CAUSES      16 /* told apart per association; more go into the last one */
#define SL_STORY_STUDIES     64 /* told apart per association; then it says 64+ */
#define SL_STORY_PROGRESS_MS 60000

/* Why an association ended; the first reason stays. */
enum sl_story_end {
	SL_STORY_GOES_ON,
	SL_STORY_RELEASE,
	SL_STORY_ABORT_PEER,
	SL_STORY_ABORT_LOCAL,
	SL_STORY_TIMEOUT,
	SL_STORY_RESET,
	SL_STORY_REFUSED,
	SL_STORY_END_N
};

struct sl_story_cause {
	const char *event; /* "store.failed", "store.unsound", "store.version" */
	uint16_t dstat;
	const char *why; /* static word */
	struct sl_uid sop_class;
	uint64_t n;
};

struct sl_story {
	struct sl_log *log;     /* borrowed */
	struct sl_stats *stats; /* borrowed */
	uint64_t id;
	uint64_t began_ms, ended_ms; /* loop time; ended 0 while it goes on */
	enum sl_story_end end;
	const char *why; /* static, with end: "idle", "calling-ae", ... */
	char note[96];   /* what exactly was wrong, where that helps; may be empty */
	bool is_told;
	uint64_t stored, failed, dup, unsound, cut, echos, others; /* messages */
	uint64_t bytes;                                            /* of data sets received */
	uint32_t unprogressed_ms; /* since the last progress line */
	uint32_t studies_n;
	uint64_t studies[SL_STORY_STUDIES]; /* hashes of Study Instance UIDs */
	uint32_t causes_n;
	struct sl_story_cause causes[SL_STORY_CAUSES];
};

/* What the association itself knows; borrowed during a call. */
struct sl_story_who {
	const struct sl_nego *nego;
	const struct sockaddr_storage *from;
	const uint64_t *waited_ms; /* [peer, disk, pool] */
	uint32_t max_pdu;          /* what we declared [bytes] */
	uint64_t now_ms;           /* loop time */
};

void sl_story_init(struct sl_story *s, struct sl_log *log, struct sl_stats *stats);

/* An association request came in. */
void sl_story_begin(struct sl_story *s, uint64_t id, uint64_t now_ms);

/* It was accepted: assoc.begin at DEBUG. */
void sl_story_accepted(struct sl_story *s, const struct sl_story_who *who);

/* An object's fate, as ingest tells it. */
void sl_story_object(struct sl_story *s, const struct sl_object *o);

/* A C-STORE that was refused before ingest saw it. */
void sl_story_refused_store(
	struct sl_story *s, uint16_t dstat, const char *why, const struct sl_uid *sop_class);

/* Why it ends; the first call counts. note may be NULL. */
void sl_story_ends(struct sl_story *s, enum sl_story_end end, const char *why, const char *note,
	uint64_t now_ms);

/* assoc.progress, when it is time for it. dt_ms after the last call. */
void sl_story_tick(struct sl_story *s, const struct sl_story_who *who, uint32_t dt_ms);

/* assoc.end and the causes, once; to be called when nothing can follow. */
void sl_story_tell(struct sl_story *s, const struct sl_story_who *who);

/* junk.on_port: n connections of a kind, the latest from there. */
void sl_story_junk(
	struct sl_log *log, enum sl_junk kind, uint64_t n, const struct sockaddr_storage *from);

/* "192.0.2.1:4711", "[2001:db8::1]:4711"; an IPv4 peer of a dual stack socket as IPv4. cap >= 64. */
void sl_story_address(char *buf, size_t cap, const struct sockaddr_storage *sa);
