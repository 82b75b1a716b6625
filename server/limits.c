/* Descriptors and memory, checked at start.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

void sl_limits_sum(struct sl_limits_memory *m, uint64_t pool, uint64_t max_associations)
{
	m->pool = pool;
	m->ceiling = pool + SL_LIMITS_FIXED + max_associations * SL_LIMITS_PER_ASSOC;
}

enum sl_status sl_limits_descriptors(uint64_t needed, struct sl_diag *d)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return sl_fail(d, SL_E_IO, 0, "descriptors", "getrlimit failed");
	if (lim.rlim_cur >= needed)
		return SL_OK;
	if (lim.rlim_max != RLIM_INFINITY && lim.rlim_max < needed)
		return sl_fail(d, SL_E_CONFIG, 0, "descriptors",
			"%" PRIu64 " open files are needed, %" PRIu64
			" are allowed: raise ulimit -n "
			"(LimitNOFILE=) or lower dicom.max_associations",
			needed, (uint64_t)lim.rlim_max);
	lim.rlim_cur = needed;
	if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
		return sl_fail(d, SL_E_CONFIG, 0, "descriptors",
			"cannot raise open files to %" PRIu64 ": raise ulimit -n", needed);
	return SL_OK;
}

/* The number in a file, or UINT64_MAX ("max", or no such file). */
static uint64_t read_limit(const char *path)
{
	char line[64];
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return UINT64_MAX;
	uint64_t v = UINT64_MAX;
	if (fgets(line, sizeof(line), f) != NULL && line[0] >= '0' && line[0] <= '9')
		v = strtoull(line, NULL, 10);
	fclose(f);
	return v;
}

uint64_t sl_limits_cgroup(const char *root, const char *group)
{
	char at[1024], path[2200];
	uint64_t least = UINT64_MAX;
	snprintf(at, sizeof(at), "%s", group);
	for (;;) {
		snprintf(path, sizeof(path), "%s%s/memory.max", root, at);
		least = sl_min64(least, read_limit(path));
		char *slash = strrchr(at, '/');
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

/* Our group of the unified hierarchy, "" where there is none. */
static void own_group(char *out, size_t cap)
{
	char line[1024];
	out[0] = '\0';
	FILE *f = fopen("/proc/self/cgroup", "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, cap, "%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
	}
	fclose(f);
}

enum sl_status sl_limits_check_memory(const struct sl_limits_memory *m, struct sl_diag *d)
{
	char group[1024];
	struct sysinfo info;
	own_group(group, sizeof(group));
	uint64_t limit = sl_limits_cgroup("/sys/fs/cgroup", group);
	const char *whose = "the control group's memory.max";
	if (sysinfo(&info) == 0 && (uint64_t)info.totalram * info.mem_unit < limit) {
		limit = (uint64_t)info.totalram * info.mem_unit;
		whose = "the machine's memory";
	}
	if (m->ceiling <= limit)
		return SL_OK;
	return sl_fail(d, SL_E_CONFIG, 0, "memory",
		"%" PRIu64 " MiB may be needed, %s is %" PRIu64
		" MiB: lower pool.buffers or dicom.max_associations",
		m->ceiling / SL_MIB, whose, limit / SL_MIB);
}
