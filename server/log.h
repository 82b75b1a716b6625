/* The log: one line for each event, `time LEVEL event key=value ...`, or the same as JSON.
 *
 * Happy path: a thread builds a line in a struct on its stack, sl_log_end() copies it into a fixed
 * ring under a short lock, and the writer thread adds the time, batches the lines and writes them to
 * standard error or a file. Nothing is allocated after open, and no caller ever waits for the disk or
 * a terminal. Ring full (a stuck pipe, a slow disk): the line is dropped and counted, and a
 * `log.dropped n=` line says how many as soon as there is room. On close what is in the ring is
 * written, for at most SL_LOG_FLUSH_MS.
 *
 * Strings of peers pass core/esc.h and a length cap, whichever function takes them. UIDs go through
 * sl_log_uid() only, which obeys log.identifiers. No patient data: nothing here takes any.
 * Threads: begin .. end on any thread (the line is the caller's); open and close on the main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "core/env.h"
#include "core/status.h"

#define SL_LOG_LINE_MAX 2048 /* bytes of a line without its time; longer ones end in cut=yes */
#define SL_LOG_RING     (512 * SL_KIB)
#define SL_LOG_FLUSH_MS 1000 /* longest that close and flush wait for a stuck reader */

enum sl_log_level { SL_LOG_DEBUG, SL_LOG_INFO, SL_LOG_WARN, SL_LOG_ERROR };

/* What sl_log_uid() writes: nothing, a keyed hash (the key is new at every start), the UID. */
enum sl_log_identifiers { SL_LOG_ID_NONE, SL_LOG_ID_HASH, SL_LOG_ID_UID };

struct sl_log_conf {
	enum sl_log_level level;
	enum sl_log_identifiers identifiers;
	bool is_json;
	bool is_utc;              /* else local time with its offset */
	const char *path;         /* NULL or "": standard error; borrowed while the log is open */
	size_t ring_size;         /* bytes, a power of two; 0: SL_LOG_RING */
	const struct sl_env *env; /* borrowed while the log is open */
};

struct sl_log;

/* Opens the file, buys the ring, starts the writer. Returns owned; SL_E_IO with *d otherwise. */
SL_MUST enum sl_status sl_log_open(
	struct sl_log **out, const struct sl_log_conf *conf, struct sl_diag *d);

/* Writes what is in the ring, ends the writer, frees. No line may be under way. NULL is allowed. */
void sl_log_close(struct sl_log *log);

/* Waits until the lines ended before are written (before _exit, or when the order on a terminal
 * matters). Not for loop or disk threads. */
void sl_log_flush(struct sl_log *log);

/* SIGUSR1: the writer opens the file again before its next line. Does not wait. Any thread. */
void sl_log_reopen(struct sl_log *log);

/* SIGHUP. Any thread. */
void sl_log_set_level(struct sl_log *log, enum sl_log_level level);
bool sl_log_is_on(const struct sl_log *log, enum sl_log_level level);

/* Lines dropped since open: ring full, or the write failed. Any thread. */
uint64_t sl_log_dropped(struct sl_log *log);

/* A line being built. On the stack; lives from begin to end. */
struct sl_log_line {
	struct sl_log *log; /* NULL: the level is off, every call is a no-op */
	enum sl_log_level level;
	bool is_json;
	bool is_cut;  /* a field did not fit; the later ones are left out too */
	uint16_t len; /* bytes of text[] */
	char text[SL_LOG_LINE_MAX];
};

/* `event` and every key: literals of ours, of [a-z0-9_.]. log NULL is allowed (tests): nothing is
 * written. */
void sl_log_begin(
	struct sl_log_line *l, struct sl_log *log, enum sl_log_level level, const char *event);
void sl_log_end(struct sl_log_line *l);

/* A word of our own that needs no quotes: end=release. */
void sl_log_word(struct sl_log_line *l, const char *key, const char *word);
/* Any text, ours or a peer's: escaped, quoted where needed, cut after SL_ESC_TEXT_MAX. NULL: as "". */
void sl_log_str(struct sl_log_line *l, const char *key, const char *text);
/* The same for n bytes. */
void sl_log_bytes(struct sl_log_line *l, const char *key, const void *bytes, size_t n);
/* printf of our own making; the result passes the escaper like any text. */
void sl_log_fmt(struct sl_log_line *l, const char *key, const char *fmt, ...) SL_PRINTF(3, 4);
/* An AE title: trimmed of spaces and NULs at both ends, escaped, cut after SL_ESC_ID_MAX. */
void sl_log_ae(struct sl_log_line *l, const char *key, const void *title, size_t n);
/* A UID, by log.identifiers; "none" leaves the field out. A hash looks like ~9f86d081884c7d65. */
void sl_log_uid(struct sl_log_line *l, const char *key, const void *uid, size_t n);
void sl_log_uint(struct sl_log_line *l, const char *key, uint64_t v);
void sl_log_int(struct sl_log_line *l, const char *key, int64_t v);
/* Hexadecimal with at least `digits` digits, as statuses are written: status=A700. */
void sl_log_hex(struct sl_log_line *l, const char *key, uint64_t v, int digits);
/* yes or no (JSON: true, false). */
void sl_log_flag(struct sl_log_line *l, const char *key, bool v);
/* a/b, as in ctx=12/14. */
void sl_log_of(struct sl_log_line *l, const char *key, uint64_t a, uint64_t b);
/* A duration in milliseconds from nanoseconds, a bare number: ms=1234. */
void sl_log_ms(struct sl_log_line *l, const char *key, uint64_t ns);
/* A share in percent with one decimal, a bare number: disk=71.4. */
void sl_log_percent(struct sl_log_line *l, const char *key, double percent);
/* bytes in ns as rate=112MB/s (SI, three digits; JSON: bytes per second as a number); left out when
 * ns is 0. */
void sl_log_rate(struct sl_log_line *l, const char *key, uint64_t bytes, uint64_t ns);
/* why= errno= at= of a diagnosis; nothing when it holds none. */
void sl_log_diag(struct sl_log_line *l, const struct sl_diag *d);

/* Something that may happen a thousand times a second and is worth one line a minute. Owned by one
 * thread; zeroed at first. */
struct sl_log_limit {
	uint64_t next_ns; /* before this nothing passes */
	uint64_t quiet_n; /* that did not pass since */
};

/* True when this one may be logged, with *quiet_n the number swallowed since the last that passed. */
SL_MUST bool sl_log_limit_pass(
	struct sl_log_limit *limit, uint64_t now_ns, uint64_t period_ns, uint64_t *quiet_n);
