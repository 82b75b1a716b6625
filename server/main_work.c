/* What rebuild and verify say, and with which code they end.
 *
 * Results go to standard output, progress and failures to standard error, so that either can be kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/main_work.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/env.h"
#include "storage/upkeep.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_STORAGE = 70 };

static int fail(enum sl_status st, const struct sl_diag *d)
{
	fprintf(stderr, "sluiced: %s: %s\n", d->where, d->text);
	if (st == SL_E_BUSY)
		fprintf(stderr, "sluiced: stop the node first\n");
	if (st == SL_E_CONFIG || st == SL_E_BUSY || st == SL_E_UNSUPPORTED)
		return EXIT_USAGE;
	return st == SL_E_SYNC ? EXIT_STORAGE : EXIT_BAD;
}

/* ---- rebuild ------------------------------------------------------------------------------------ */

static uint64_t per_second(uint64_t n, uint64_t ms)
{
	return n * 1000 / sl_max64(ms, 1);
}

static void on_progress(void *arg, const struct sl_rebuild_report *r)
{
	(void)arg;
	bool writes = r->phase == SL_REBUILD_WRITING;
	fprintf(stderr,
		"rebuild: %s, %u %% done: %" PRIu64 " files read, %" PRIu64 " rows written, "
		"%" PRIu64 "/s\n",
		writes ? "writing" : "reading", r->permille / 10, r->files, r->indexed,
		per_second(r->files, r->ms));
}

static int rebuild(const struct sl_storage_conf *conf)
{
	struct sl_upkeep_rebuilt m;
	struct sl_diag d = {0};
	enum sl_status st = sl_upkeep_rebuild(conf, &sl_env_system, on_progress, NULL, &m, &d);
	const struct sl_rebuild_report *r = &m.rebuild;
	if (m.tombstones > 0)
		printf("rebuild: %" PRIu64 " removals of the old index were finished first\n",
			m.tombstones);
	if (m.why_not[0] != '\0')
		printf("rebuild: the old index could not be read (%s): what it was about to "
		       "remove, if anything, is back\n",
			m.why_not);
	if (st != SL_OK) {
		fprintf(stderr, "sluiced: no new index was made%s\n",
			m.had_index ? "; the old one is as it was" : "");
		return fail(st, &d);
	}
	printf("rebuild: done: %" PRIu64 " files, %" PRIu64 " rows, %" PRIu64 " bad, %" PRIu64
	       ".%03" PRIu64 " s, %" PRIu64 " files/s\n",
		r->files, r->indexed, r->bad, r->ms / 1000, r->ms % 1000,
		per_second(r->files, r->ms));
	if (r->bad > 0)
		printf("rebuild: bad files are left alone and have no row, the first met: %s; "
		       "--verify names them all\n",
			r->first_bad);
	return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_BAD;
}

int sl_main_work(const struct sl_storage_conf *conf)
{
	return rebuild(conf);
}
