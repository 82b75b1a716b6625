/* The same ingest with three kinds of memory: the daemon's pool, malloc and free for each object, and these
 * told to give nothing back to the system.
 *
 * Many objects of mixed sizes arrive at once, piece by piece and interleaved, some of them slowly; each is
 * copied from the kernel into its memory, as recv does, and back when it is complete, as write does. The
 * pool lets an object that is larger than a buffer stream through it; malloc is told the size beforehand,
 * which a C-STORE does not say, and takes all of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

#define SL_POOL_FLIGHTS_MAX 4096 /* objects at once */
#define SL_POOL_THREADS_MAX 64

enum sl_pool_memory { SL_POOL_SLAB, SL_POOL_MALLOC, SL_POOL_MALLOC_KEEPS, SL_POOL_MEMORY_N };

struct sl_pool_params {
	uint64_t objects;  /* of all threads together */
	uint32_t flights;  /* at once, likewise */
	uint32_t threads;  /* 1 or more; at most flights */
	uint32_t buffers;  /* of the pool, at least one for a thread */
	size_t buffer_len; /* bytes */
};

/* Bytes of memory are what is resident beyond what was before the first allocation. */
struct sl_pool_result {
	uint64_t start_ns;       /* buying the pool */
	uint64_t wall_ns;        /* the ingest */
	uint64_t cpu_ns;         /* user and system; of the ingest */
	uint64_t faults;         /* page faults of the ingest */
	uint64_t objects, bytes; /* went through */
	uint64_t waits;          /* turns for which no buffer was free */
	uint64_t peak_len;       /* most resident at one time */
	uint64_t early_len;      /* resident, mean over the first tenth of the objects */
	uint64_t late_len;       /* the same over the last tenth */
	uint64_t used_len;       /* bytes of objects under way, mean over the last tenth */
	uint64_t left_len;       /* resident when all objects are gone */
};

/* Runs it in this process, whose memory it is about: call it in a child that does nothing else. */
SL_MUST enum sl_status sl_pool_run(enum sl_pool_memory memory, const struct sl_pool_params *params,
	struct sl_pool_result *result, struct sl_diag *d);

/* "pool" of the command line. 1: a run failed, 2: wrong usage. */
int sl_pool_main(int argc, char **argv);
