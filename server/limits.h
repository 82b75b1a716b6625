/* What the machine must allow before we promise anything: descriptors, memory. Each refusal says what
 * to do about it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

/* The printed sum: what the process will hold at most (RssAnon + RssShmem, DESIGN promise 2). */
struct sl_limits_memory {
	uint64_t pool;         /* pool.buffers * pool.buffer_size [bytes] */
	uint64_t associations; /* slots, areas, output of all connections [bytes] */
	uint64_t tables;       /* pending table, log ring, disk threads' space [bytes] */
	uint64_t ceiling;      /* pool + 48 MiB + 64 KiB for each allowed association [bytes] */
};

#define SL_LIMITS_FIXED     (48 * SL_MIB)
#define SL_LIMITS_PER_ASSOC (64 * SL_KIB)

/* Fills ceiling from pool and max_associations. */
void sl_limits_sum(struct sl_limits_memory *m, uint64_t pool, uint64_t max_associations);

/* Raises the soft limit of open descriptors to what is needed. SL_E_CONFIG when the hard limit is lower:
 * the text names both numbers and how to raise it. */
SL_MUST enum sl_status sl_limits_descriptors(uint64_t needed, struct sl_diag *d);

/* SL_E_CONFIG when a memory limit of our control group, or the machine's memory, is below the ceiling. */
SL_MUST enum sl_status sl_limits_check_memory(const struct sl_limits_memory *m, struct sl_diag *d);

/* The smallest limit of a control group's files (memory.max of each group up to the root), or
 * UINT64_MAX. `root` is where cgroup2 is mounted, `group` our line of /proc/self/cgroup. */
uint64_t sl_limits_cgroup(const char *root, const char *group);
