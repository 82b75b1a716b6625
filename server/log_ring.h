/* The inside of the log, shared by log.c (ring, writer) and log_line.c (lines); nobody else's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core/sip.h"
#include "server/log.h"

#define SL_LOG_BATCH (32 * SL_KIB) /* bytes formatted and written at a time */

struct sl_log {
	struct sl_log_conf conf;
	uint8_t key[SL_SIP_KEY_LEN]; /* for UIDs; new at every start */
	_Atomic int level;
	pthread_t writer;

	pthread_mutex_t lock; /* of the members up to the blank line; held for a memcpy at most */
	pthread_cond_t work;  /* for the writer */
	pthread_cond_t idle;  /* for those who flush */
	uint8_t *ring;        /* size bytes; record = struct sl_log_record, text */
	size_t size;
	uint64_t head, tail; /* bytes ever put in, ever taken out */
	uint64_t done;       /* bytes of them that were written, or given up */
	uint64_t dropped;    /* lines that found no room or could not be written */
	uint64_t reported;   /* of them named in a log.dropped line */
	bool is_stopping, is_reopening, is_waiting;

	uint64_t taken; /* writer thread only, as all that follows: its own view of tail */
	int fd;
	bool is_file;   /* a regular file takes any length at once */
	bool is_torn;   /* the last write ended inside a line */
	bool is_failed; /* the last write failed */
	int64_t time_s; /* the second that time_text shows; -1: none yet */
	char time_text[24], zone_text[8];
	size_t batch_len, batch_n; /* bytes, lines */
	char batch[SL_LOG_BATCH];
};

/* What stands before a line's text in the ring. */
struct sl_log_record {
	int64_t wall_ms;
	uint16_t len; /* of the text */
	uint8_t level;
};

/* Copies a finished text into the ring; false when there is no room (counted). Any thread. */
bool sl_log_push(struct sl_log *log, enum sl_log_level level, const char *text, size_t len);

/* Begins a line whatever the level; for the log's own lines. */
void sl_log_begin_always(
	struct sl_log_line *l, struct sl_log *log, enum sl_log_level level, const char *event);
