/* Measures the LMDB index on ordinary records: index_bench FOLDER INSTANCES [BATCH]
 *
 * 1.6 studies a patient, 4 series a study, 150 instances a series, UIDs of four kinds of device, fed
 * through sl_index_put_batch() as the indexer does; prints rows/s, bytes per instance in used pages
 * and in the file, and the time of lookups. FOLDER is left for a look with mdb_stat.
 *
 * 16 series arrive at a time, one instance each in turn, as from 16 associations.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/index_lmdb.h"
#include "support/records.h"

enum { PER_SERIES = 150, SENDERS = 16, LOOKUPS = 200000 };

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The i-th to arrive: SENDERS studies side by side, each in its own order. */
static uint64_t arrival(uint64_t i)
{
	uint64_t per_study = 4 * PER_SERIES, group = SENDERS * per_study;
	uint64_t in_group = i % group;
	return i / group * group + in_group % SENDERS * per_study + in_group / SENDERS;
}

static int fail(const struct sl_diag *diag)
{
	fprintf(stderr, "index_bench: %s: %s\n", diag->where, diag->text);
	return 1;
}

static void report(struct sl_index *ix, const char *path, uint64_t n, double seconds, double cpu)
{
	struct sl_index_snapshot s;
	struct stat file = {0};
	char data[512];
	snprintf(data, sizeof(data), "%s/data.mdb", path);
	sl_index_snapshot(ix, &s);
	(void)stat(data, &file);
	printf("instances=%llu rows/s=%.0f (%.0f in CPU time) used_bytes/instance=%.1f "
	       "file_bytes/instance=%.1f "
	       "commits=%llu\n",
		(unsigned long long)n, (double)n / seconds, (double)n / cpu,
		(double)(s.pages_used * s.page_size) / (double)n, (double)file.st_size / (double)n,
		(unsigned long long)s.commits);
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void look_up(struct sl_index *ix, uint64_t n, bool exists, double *times)
{
	struct sl_index_reader *rd;
	struct sl_index_instance in;
	uint64_t seed = 99, found = 0;
	double sum = 0;
	if (sl_index_open_reader(ix, &rd, NULL) != SL_OK)
		return;
	for (int i = 0; i < LOOKUPS; i++) {
		struct sl_record r;
		rec_make(&r, arrival(rec_random(&seed) % n), PER_SERIES);
		if (!exists)
			r.sop_instance_uid.s[r.sop_instance_uid.len - 1] = 'x';
		double before = now(CLOCK_MONOTONIC);
		enum sl_status st = sl_index_locate_instance(rd, &r.sop_instance_uid, &in, NULL);
		times[i] = now(CLOCK_MONOTONIC) - before;
		sum += times[i];
		found += st == SL_OK;
	}
	qsort(times, LOOKUPS, sizeof(*times), by_double);
	printf("lookup %s: mean=%.2fus p50=%.2fus p99=%.2fus found=%llu\n",
		exists ? "there" : "absent", sum / LOOKUPS * 1e6, times[LOOKUPS / 2] * 1e6,
		times[LOOKUPS / 100 * 99] * 1e6, (unsigned long long)found);
	sl_index_close_reader(rd);
}

/* Puts all, timing the puts alone; reports at each power of ten. */
static int put_all(struct sl_index *ix, const char *path, uint64_t n, size_t batch)
{
	struct sl_record *records = calloc(batch, sizeof(*records));
	const struct sl_record **pointers = calloc(batch, sizeof(*pointers));
	struct sl_index_result *results = calloc(batch, sizeof(*results));
	struct sl_diag diag = {0};
	double seconds = 0, cpu = 0;
	uint64_t next_report = 10000;
	enum sl_status st = records && pointers && results ? SL_OK : SL_E_NOMEM;
	for (uint64_t i = 0; i < n && st == SL_OK;) {
		size_t k = 0;
		for (; k < batch && i < n; k++, i++) {
			rec_make(&records[k], arrival(i), PER_SERIES);
			records[k].seq = i + 1;
			pointers[k] = &records[k];
		}
		double before = now(CLOCK_MONOTONIC), cpu_before = now(CLOCK_THREAD_CPUTIME_ID);
		st = sl_index_put_batch(ix, pointers, k, results, &diag);
		seconds += now(CLOCK_MONOTONIC) - before;
		cpu += now(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
		if (st == SL_OK && (i >= next_report || i == n)) {
			st = sl_index_clear_stale(ix, &diag); /* counts the free pages */
			report(ix, path, i, seconds, cpu);
			next_report *= 10;
		}
	}
	free(records);
	free(pointers);
	free(results);
	return st == SL_OK ? 0 : fail(&diag);
}

int main(int argc, char **argv)
{
	struct sl_index *ix;
	struct sl_diag diag = {0};
	if (argc < 3) {
		fprintf(stderr, "usage: index_bench FOLDER INSTANCES [BATCH]\n");
		return 2;
	}
	uint64_t n = strtoull(argv[2], NULL, 10);
	size_t batch = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000;
	const struct sl_index_lmdb_options options = {.path = argv[1],
		.map_size = 64 * SL_GIB,
		.readers = 4,
		.batch_max = (uint32_t)batch,
		.create = true};
	double *times = calloc(LOOKUPS, sizeof(*times));
	if (n == 0 || times == NULL || sl_index_lmdb_open(&options, &ix, &diag) != SL_OK)
		return fail(&diag);
	int rc = put_all(ix, argv[1], n, batch);
	if (rc == 0) {
		look_up(ix, n, true, times); /* warms */
		look_up(ix, n, true, times);
		look_up(ix, n, false, times);
	}
	sl_index_close(ix);
	free(times);
	return rc;
}
