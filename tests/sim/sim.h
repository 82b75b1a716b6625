/* The node in a box: the daemon's own code under a simulated machine, driven by one number.
 *
 * What runs is core/, storage/ and server/ as they are linked into sluiced, but for main.c and the
 * index in LMDB, whose twin in memory stands behind its seam. What they stand on is simulated, by the
 * linker's --wrap, so the product has no seam for it and pays nothing:
 *
 *	threads.c  coroutines; a seeded scheduler decides at every lock, wait and call. The clock goes
 *	           on when nobody can run, so hours of timeouts cost nothing
 *	pthread.c  locks and conditions on them
 *	disk.c     files, folders, fsync; a crash keeps what was synced and any part of the rest
 *	files.c    the system calls on it, with the errors of a real one
 *	net.c      sockets; peer.c clients on them, good and bad
 *	loop.c     libuv
 *	memory.c   malloc; after start none may come
 *	index.c    the index: commits are atomic and survive
 *	node.c     the process: starts, is killed, loses its power, starts again
 *	operator.c who pins, unpins and deletes meanwhile
 *	oracle.c   the ledger of what was promised, and the invariants
 *	studies.c  likewise of what must not go: studies being received, pinned, too young
 *	plan.c     what a seed decides; seen.c what came about, so that no profile is idle
 *
 * Everything a run does follows from its seed, so a failing one is replayed by its number. One run at
 * a time in a process; the state of a module is its own and is reset by it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base.h"
#include "storage/storage.h"

#define SIM_NEVER   UINT64_MAX
#define SIM_MS      1000000ull /* nanoseconds */
#define SIM_CRASHES 3
#define SIM_PEERS   6
#define SIM_OBJECTS 8 /* of one peer */
#define SIM_THREADS 48

/* Which of the node's troubles a seed is about. */
enum sim_profile {
	SIM_ORDINARY, /* any mix, with or without faults */
	SIM_FULL,     /* the disk, its inodes or the quota fill to the mark; policy "refuse" */
	SIM_EVICTING, /* the same, and the evictor makes room while objects arrive slowly */
	SIM_LATCHING, /* an fsync fails early, while others wait */
	SIM_STALLING, /* peers stop in every state, and one clock alone can end them */
	SIM_PROFILE_N
};

/* What one seed decides; see plan.c. */
struct sim_plan {
	uint64_t seed;
	enum sim_profile profile;
	unsigned loops, threads, associations;
	unsigned window; /* operations of one association at a time */
	unsigned buffers, pending, batch, max_delay_ms;
	size_t buffer_size, recv_area;
	enum sl_duplicates duplicates;
	bool evicts;
	bool has_faults; /* calls fail, the disk fills, peers misbehave: not every answer is 0000 */
	unsigned peers, objects;          /* clients, and what each of them sends */
	unsigned uids, versions, studies; /* what they choose from */
	size_t size_max;                  /* bytes of pixel data */
	unsigned bad_peer_den;            /* one peer in so many is bad; 0: none */
	unsigned switch_den;              /* one point in so many switches to another thread */
	unsigned slow_den;                /* one disk call in so many takes time; 0: none */
	unsigned eio_den, short_den;      /* one fsync fails, one write is short; 0: none */
	unsigned enospc_den;              /* one fdatasync finds no room; 0: none */
	uint64_t disk_blocks;             /* of 4 KiB */
	bool has_outsider;                /* somebody else fills the disk for a while */
	uint64_t quota;                   /* bytes; 0: none */
	uint64_t inodes;                  /* 0: the disk does not count them */
	uint64_t min_age_ms;              /* storage.evict_min_age */
	unsigned orders;                  /* of the operator, in one life of the node */
	unsigned index_short_den; /* one removal of rows in so many finds no pages; 0: none */
	size_t piece_min;         /* of a data set, in one PDU */
	unsigned pause_den;       /* a peer rests after one PDU in so many; 0: never */
	uint32_t artim_ms, idle_ms, min_rate, rate_window_ms; /* idle: may be as long as the run */
	size_t index_capacity;                                /* rows */
	unsigned lose_den; /* one crash in so many takes the index too; 0: none */
	size_t pipe_max;   /* bytes on their way in each direction of a connection */
	unsigned names_ahead;
	unsigned crashes;
	uint64_t crash_after[SIM_CRASHES]; /* steps of the scheduler in that life */
	bool is_power_cut[SIM_CRASHES];    /* else a kill: the page cache stays */
};

extern struct sim_plan sim_plan;
void sim_plan_make(uint64_t seed);
/* The same, but nothing fails, fills or crashes, and no peer is bad. */
void sim_plan_make_sound(uint64_t seed);
void sim_plan_print(void);

/* ---- chance, time, trace (threads.c) ---- */

uint32_t sim_below(uint32_t n);            /* 0 .. n - 1; n >= 1 */
bool sim_one_in(unsigned den);             /* false when den is 0 */
uint64_t sim_hash(uint64_t a, uint64_t b); /* no state: the same in every run */
uint64_t sim_now_ns(void);

/* One line of what happened; part of the hash that two runs of a seed must agree on. */
void sim_note(const char *what, uint64_t a, uint64_t b);
uint64_t sim_trace_hash(void);
uint64_t sim_steps(void);
void sim_set_verbose(bool is_verbose);

/* A broken promise: prints it with the plan, and ends the process. */
_Noreturn void sim_fail(const char *fmt, ...) SL_PRINTF(1, 2);
/* What sim_fail() ends with: the program's own (main.c, tests/fuzz/fuzz_dialogue.c). */
_Noreturn void sim_end(void);

/* ---- what came about (seen.c) ---- */

#define SIM_SIGHTS(X)                                             \
	X(REFUSED_DISK, "A700 at the disk's mark")                \
	X(REFUSED_QUOTA, "A700 at the quota")                     \
	X(REFUSED_INODES, "A700 at the inodes' mark")             \
	X(REFUSED_INDEX, "A700 at the index")                     \
	X(ENOSPC, "calls without room")                           \
	X(EVICTED, "studies evicted")                             \
	X(SPARED_BUSY, "studies spared: being received")          \
	X(SPARED_PINNED, "evictions beside a pinned study")       \
	X(DELETED, "deletions by order")                          \
	X(REMOVAL_FULL, "removals without pages")                 \
	X(IDENTICAL, "identical re-sends")                        \
	X(LATCHED, "stores latched")                              \
	X(DECIDED_AFTER_LATCH, "objects decided after the latch") \
	X(CRASH_IN_START, "crashes during a start")               \
	X(LEFT_IN_SPOOL, "starts with files in the spool")        \
	X(STALLED, "peers that stopped")                          \
	X(REBUILT, "lost indexes rebuilt")                        \
	X(CRASH_IN_REBUILD, "crashes during a rebuild")           \
	X(RESUMED, "rebuilds that took over what was read")
enum sim_sight {
#define X(name, text) SIM_SAW_##name,
	SIM_SIGHTS(X)
#undef X
		SIM_SIGHT_N
};
void sim_saw(enum sim_sight s);
/* Since the process began: SIM_SIGHT_N counts. */
extern uint64_t sim_seen[SIM_SIGHT_N];
extern const char *const sim_sights[SIM_SIGHT_N];

/* ---- threads ---- */

void sim_threads_reset(uint64_t seed);

/* A thread of the simulated machine. is_node: it dies with the process. Returns its number. */
unsigned sim_start(void *(*main)(void *arg), void *arg, bool is_node, const char *name);
/* A point at which another thread may go on. */
void sim_yield(void);
/* While quiet nobody else goes on, unless the thread waits. */
void sim_quiet(bool is_quiet);
bool sim_is_quiet(void);
/* Waits for sim_wake() of the same channel; false: `until` [ns] came first. */
bool sim_block(const void *channel, uint64_t until);
void sim_wake(const void *channel, bool is_all);
void sim_sleep(uint64_t ns);
bool sim_is_node(void);  /* the running thread is one of the process */
unsigned sim_self(void); /* its number; 0: the scheduler */
bool sim_is_over(unsigned thread);
void *sim_thread_channel(unsigned thread); /* woken when it is over */
void sim_thread_name(unsigned thread, const char *name);
void sim_kill_node(void); /* its threads stop where they are */
/* Runs one thread to its next point. False: nobody can ever run again. */
bool sim_step(void);

/* ---- memory ---- */

void sim_memory_reset(void); /* what the process had is gone */
void sim_memory_seal(bool is_sealed);
/* The running thread may allocate all the same. */
void sim_memory_exempt(bool is_exempt);
/* Blocks that the process has and has not given back. */
unsigned sim_memory_blocks(void);
/* Between the two, allocations are the simulator's own. */
void sim_own_begin(void);
void sim_own_end(void);

/* ---- disk ---- */

void sim_disk_reset(void);
/* From now on fsync says it is done and does nothing: the oracle has to see it. */
void sim_disk_lie(bool is);
void sim_disk_crash(bool is_power_cut);
/* Bytes that an outsider keeps. */
void sim_disk_hog(uint64_t blocks);
void sim_disk_grow(void); /* nobody will ever fill it, and the outsider is gone */
uint64_t sim_disk_free_blocks(void);
uint64_t sim_disk_used_blocks(void);
/* Promise 3, after the node wrote: what is kept stays below the full mark. */
void sim_disk_check_mark(void);
/* The node is up: from now on the marks hold. */
void sim_disk_begin_marks(void);
/* Sum of the bytes of files beneath spool/ and archive/, each once. */
uint64_t sim_disk_kept(void);

/* Calls `visit` for each file beneath spool/ and archive/; durable: as a power cut now would leave
 * them at worst. */
struct sim_file {
	const uint8_t *bytes;
	size_t n;
	bool is_spooled;
};
void sim_disk_walk(bool durable, void (*visit)(void *arg, const struct sim_file *f), void *arg);
void sim_files_reset(void); /* descriptors: the process is gone */
unsigned sim_files_open(void);

/* ---- network ---- */

void sim_net_reset(void);
void sim_net_kill(void);   /* the process is gone: its sockets are reset */
int sim_net_connect(void); /* a connection, or -1: refused */
/* All of it, or false: the other side is gone. */
bool sim_net_send(int conn, const void *bytes, size_t n);
enum sim_got { SIM_GOT_BYTES, SIM_GOT_END, SIM_GOT_TIMEOUT };
enum sim_got sim_net_receive(int conn, uint64_t until); /* takes and forgets what is there */
/* The peer's window: at most n bytes of the server's are on their way. */
void sim_net_shrink(int conn, size_t n);
void sim_net_close(int conn, bool is_reset);
bool sim_net_is_open(int conn); /* the server has not closed it */
/* The server's side, for loop.c. n bytes, 0: nothing now, -1: end, -2: reset. */
long sim_net_read(int fd, void *bytes, size_t n);
long sim_net_write(int fd, const void *bytes, size_t n); /* -2: the peer is gone */
bool sim_net_is_readable(int fd);
bool sim_net_is_writable(int fd);
bool sim_net_waits(int fd); /* a listener with somebody in its queue */
void sim_net_close_fd(int fd);
bool sim_net_has(int fd); /* it is a socket */

/* ---- event loops ---- */

void sim_loops_reset(void);
void sim_loops_poke(void); /* something may be ready */

/* ---- index ---- */

struct sl_index *sim_index(void);
void sim_index_reset(void);
void sim_index_crash(void);
void sim_index_lose(void); /* while the node is down: its file goes */
void sim_index_grow(void); /* there is room now */
void sim_index_check_idle(void);

/* ---- the process ---- */

void sim_node_reset(void);
void sim_node_start(void);
void sim_node_order_stop(void);
bool sim_node_is_up(void);
bool sim_node_is_down(void); /* stopped by order */
bool sim_node_is_idle(void); /* up, without an association and what one holds */
/* The store has failed: no success may be decided from here on. */
bool sim_node_has_failed(void);
/* It has failed or could not be opened, and main.c has got so far as to leave. */
bool sim_node_wants_to_die(void);
void sim_node_crash(bool is_power_cut);
void sim_node_rebuilds(bool is_begun);
void sim_node_forgive(void); /* from now on no call fails */
bool sim_node_may_fail(void);

/* ---- peers ---- */

void sim_peers_reset(void);
void sim_peers_start(void);
bool sim_peers_are_done(void);
/* One last object: must be stored, now that nothing fails. */
void sim_peers_probe(void);

/* ---- oracle ---- */

#define SIM_STUDIES  8
#define SIM_UIDS     48
#define SIM_PROBE    (SIM_UIDS - 1) /* kept for the last object of a run */
#define SIM_VERSIONS 3
#define SIM_DATASET  (48 * SL_KIB)

void sim_oracle_reset(void);
/* The data set of version v of object u: its length. out: SIM_DATASET bytes. */
size_t sim_dataset(unsigned u, unsigned v, uint8_t *out);
struct sl_uid sim_uid(unsigned u);
void sim_oracle_sent(unsigned u, unsigned v);
/* The node has said so to the peer. */
void sim_oracle_answered(unsigned u, unsigned v, uint16_t status);
/* Around a commit that takes rows out: what loses its row is no longer promised. */
void sim_oracle_rows_before(void);
void sim_oracle_rows_after(void);
/* What only the index said of removals is not known any more. */
void sim_oracle_index_lost(void);
/* Before each start. */
void sim_oracle_look_at_spool(void);
/* After each start: whatever was promised is in index and archive. */
void sim_oracle_check_store(struct sl_storage *s);
/* At the very end: files and index agree. */
void sim_oracle_check_files(void);
unsigned sim_oracle_acknowledged(void);
unsigned sim_study_of(unsigned u);
struct sl_uid sim_study_uid(unsigned study);

/* ---- studies (studies.c) ---- */

void sim_studies_reset(void);
/* The process is gone: nothing is being received. */
void sim_studies_crash(void);
/* After each start: pins are what was ordered. */
void sim_studies_check_pins(struct sl_ops *ops);
/* The rows of this study go, now: it may. */
void sim_studies_check_removal(const struct sl_uid *study);
/* An object is over; won: kept, and now its entry stands for it. Its last PDV came at arrived_ns. */
void sim_studies_released(const struct sl_turn *t, bool won, uint64_t arrived_ns);
/* What the operator knows of a pin: while an order is out, or after it failed, nothing. */
enum sim_pin { SIM_UNPINNED, SIM_PINNED, SIM_PIN_UNKNOWN };
void sim_studies_set_pin(unsigned study, enum sim_pin p);
/* The operator wants it deleted, or no longer: its age does not count. */
void sim_studies_set_ordered(unsigned study, bool is_ordered);

/* ---- operator ---- */

/* A thread of the node; its number. */
unsigned sim_operator_start(struct sl_storage *s);
