/* The watermarks: how full the disk is, who may still write, when it will be full (DESIGN 4).
 *
 * Used = the larger of (used / (used + available to us), as df says) and (bytes we keep + reserved)
 * / quota. An object reserves before its bytes are written and returns what it did not need; what was
 * written since the last look at the file system is added to what that look said, so a burst cannot
 * run past `full` between two looks. At `full` the state turns REFUSING and stays so until used is
 * below `high` (hysteresis): a reservation refused at the mark turns it too, so that small objects do
 * not slip in where large ones are refused. Inodes count like bytes. The keeper thread looks every
 * SL_WATER_PERIOD_MS; sl_water_look() does the same by hand (tests).
 *
 * Any thread may call any function; each takes a short lock, and only look() calls the system.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "core/env.h"
#include "core/list.h"
#include "core/status.h"

#define SL_WATER_PERIOD_MS 250

/* A mark as configured: a share of the disk or an absolute amount that stays free. */
struct sl_water_mark {
	bool is_free_bytes; /* true: `free_bytes` stay free; false: `share` percent used */
	double share;       /* percent, 0 .. 100 */
	uint64_t free_bytes;
};

struct sl_water_conf {
	struct sl_water_mark low, high, full;
	uint64_t quota;        /* bytes we may keep; 0 = no quota */
	uint64_t reserve_step; /* storage.reserve_step [bytes] */
	/* storage.reserve_max [bytes]: a share leaves at most this unused; at `high` three quarters of
	 * it, at `full` half, so that the marks stay apart on a large disk. */
	uint64_t reserve_max;
};

/* What the file system says; statvfs in production, a script in tests. */
struct sl_water_fs {
	uint64_t total, used, avail; /* bytes; avail is what an ordinary user may still write */
	uint64_t files, files_avail; /* inodes; files 0 = the file system does not count them */
};

enum sl_water_state { SL_WATER_OK, SL_WATER_HIGH, SL_WATER_REFUSING };

struct sl_water_now {
	enum sl_water_state state;
	const char *why;         /* static: "disk", "inodes", "quota", "enospc", or "" */
	double used_share;       /* percent, by the larger of the two measures */
	uint64_t used, avail;    /* bytes, as the file system says */
	uint64_t refuse_below;   /* bytes available below which we refuse (the full mark) */
	uint64_t accept_above;   /* bytes available above which we accept again (the high mark) */
	uint64_t reserved, kept; /* bytes */
	int64_t full_in_s; /* forecast [s] at the rate of the last minutes; -1 = not filling */
	uint64_t refusals; /* reservations refused since start */
	bool is_relieved;  /* the evictor makes room: who finds none waits */
	uint32_t waiting;  /* who waits for room */
};

/* What has to go of one measure. */
struct sl_water_need {
	bool is_high;    /* at or past `high`, or somebody waits for room in it */
	uint64_t excess; /* above `low`: bytes, or inodes */
};

struct sl_water_excess {
	struct sl_water_need disk, quota, inodes;
};

/* Who waits for room; embedded by the one who waits. */
struct sl_water_wait {
	struct sl_list node;
	void (*on_news)(struct sl_water_wait *wait); /* it may be worth trying again */
};

struct sl_water;

/* `look` fills *fs (returns SL_E_IO with *d when it cannot); arg is its own. Kept = bytes the index
 * counts at start. Takes the first look, so the state is true from the start; starts no thread.
 * SL_E_NOMEM, or what look returned. Returns owned. */
SL_MUST enum sl_status sl_water_open(struct sl_water **out, const struct sl_water_conf *conf,
	const struct sl_env *env,
	enum sl_status (*look)(void *arg, struct sl_water_fs *fs, struct sl_diag *d), void *arg,
	uint64_t kept, struct sl_diag *d);
void sl_water_close(struct sl_water *w);

/* Marks and quota anew (SIGHUP); the state follows at once. */
void sl_water_configure(struct sl_water *w, const struct sl_water_conf *conf);

/* One look at the file system now; moves the state. A look that fails changes nothing: what was known
 * stays, and bytes settled since are still added. */
SL_MUST enum sl_status sl_water_look(struct sl_water *w, struct sl_diag *d);

/* ---- while somebody makes room (policy = "evict") ----
 *
 * Relieved, a gauge past its mark is no reason to refuse but to wait: a new object while `high` is
 * passed, one that is begun only at `full`, because its room comes back when it ends. So what is kept
 * stays below `high` but for what is under way, and between `high` and `full` is the room for that. */

/* Whether somebody makes room. Those who wait are told of a change. on_short(arg) is called, on any
 * thread, when a reservation finds no room; set once, before the first one. */
void sl_water_set_relief(struct sl_water *w, bool is_relieved);
void sl_water_on_short(struct sl_water *w, void (*on_short)(void *arg), void *arg);

struct sl_water_excess sl_water_excess(struct sl_water *w);

/* on_news follows, once, from another call on any thread: after the next look, or when relief ends. */
void sl_water_wait(struct sl_water *w, struct sl_water_wait *wait);

/* ---- objects ---- */

/* True when a new object may begin: the state is not REFUSING, or it may wait for room. */
bool sl_water_may_begin(struct sl_water *w);

/* `bytes` more, before they are written; goes back by settle. SL_OK, or SL_E_FULL with *d (names disk,
 * inodes, quota; errnum 0). An object already begun may go on while the state is REFUSING, as long as
 * it stays below `full`. Relieved: SL_AGAIN in place of SL_E_FULL (no *d). */
SL_MUST enum sl_status sl_water_reserve(struct sl_water *w, uint64_t bytes, struct sl_diag *d);

/* The same for an object's first bytes: it waits (SL_AGAIN) already at `high`, and behind those who
 * wait. */
SL_MUST enum sl_status sl_water_reserve_first(
	struct sl_water *w, uint64_t bytes, struct sl_diag *d);

/* The step a streamed object reserves at a time: reserve_step, less on small disks. */
uint64_t sl_water_step(struct sl_water *w);

/* An object is over: `reserved` bytes go back, `kept` were written and stay. After its last write, or
 * after its file is gone. */
void sl_water_settle(struct sl_water *w, uint64_t reserved, uint64_t kept);

/* Bytes that we kept are gone (removed object). */
void sl_water_removed(struct sl_water *w, uint64_t bytes);

/* A write said ENOSPC or EDQUOT though we had reserved: somebody else fills the disk. Refuses until a
 * look finds room again. */
void sl_water_enospc(struct sl_water *w);

struct sl_water_now sl_water_now(struct sl_water *w);
