/* sluice-bench: a load generator for Storage SCPs.
 *
 * It must never be the bottleneck: each object is a gather list of places in memory that never change but
 * for a few UIDs, written without a copy of ours; a thread serves thousands of associations. What it says
 * is measured at the sockets: an object's time begins when its first byte goes to the kernel and ends when
 * its response was read.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/bench/floor.h"
#include "tools/bench/pool.h"
#include "tools/bench/report.h"
#include "tools/bench/worker.h"

#define SPARE_DESCRIPTORS 64

static uint64_t cpu_ns(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000ull +
	       ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000ull;
}

/* A descriptor for each association. */
static bool raise_descriptors(const struct sl_opts *o)
{
	struct rlimit lim;
	rlim_t needed = o->associations + SPARE_DESCRIPTORS;
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return false;
	if (lim.rlim_cur >= needed)
		return true;
	lim.rlim_cur = needed;
	return (lim.rlim_max == RLIM_INFINITY || lim.rlim_max >= needed) &&
	       setrlimit(RLIMIT_NOFILE, &lim) == 0;
}

/* Starts all workers and waits for them; the sums into *tally. */
static enum sl_status run(
	const struct sl_opts *o, int ledger, struct sl_tally *tally, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	uint32_t ready_n = 0, started_n = 0;
	struct sl_worker *workers = calloc(o->threads, sizeof(*workers));
	if (workers == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "worker", "no memory for the threads");
	while (st == SL_OK && ready_n < o->threads) {
		st = sl_worker_init(&workers[ready_n], o, ready_n, ledger, d);
		ready_n += st == SL_OK ? 1 : 0;
	}
	while (st == SL_OK && started_n < o->threads) {
		struct sl_worker *w = &workers[started_n];
		int error = pthread_create(&w->thread, NULL, sl_worker_run, w);
		if (error != 0)
			st = sl_fail(d, SL_E_NOMEM, error, "worker", "cannot start a thread");
		else
			started_n++;
	}
	for (uint32_t i = 0; i < started_n; i++) {
		pthread_join(workers[i].thread, NULL);
		sl_tally_merge(tally, &workers[i].tally);
	}
	for (uint32_t i = 0; i < ready_n; i++)
		sl_worker_fini(&workers[i]);
	free(workers);
	return st;
}

static bool report(const struct sl_report *r)
{
	const char *json = r->opts->json;
	bool is_instead = json != NULL && strcmp(json, "-") == 0;
	if (!r->opts->is_quiet && !is_instead)
		sl_report_text(r, stdout);
	if (json == NULL)
		return true;
	FILE *out = is_instead ? stdout : fopen(json, "we");
	if (out == NULL)
		return false;
	sl_report_json(r, out);
	return is_instead ? fflush(out) == 0 : fclose(out) == 0;
}

static int bench(const struct sl_opts *o, int ledger)
{
	struct sl_diag d = {.status = SL_OK};
	struct sl_tally *tally = calloc(1, sizeof(*tally));
	uint64_t began_ns = sl_worker_clock();
	if (tally == NULL || run(o, ledger, tally, &d) != SL_OK) {
		fprintf(stderr, "sluice-bench: %s\n", tally == NULL ? "no memory" : d.text);
		free(tally);
		return 1;
	}
	const struct sl_report r = {o, tally, sl_worker_clock() - began_ns, cpu_ns()};
	bool is_told = report(&r);
	if (!is_told)
		fprintf(stderr, "sluice-bench: %s: %s\n", o->json, strerror(errno));
	bool is_good = o->expects_failures || sl_tally_is_clean(tally);
	free(tally);
	return is_told && is_good ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct sl_opts o;
	if (argc > 1 && strcmp(argv[1], "floor") == 0)
		return sl_floor_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "pool") == 0)
		return sl_pool_main(argc - 1, argv + 1);
	enum sl_opts_verdict verdict = sl_opts_parse(&o, argc, argv);
	if (verdict != SL_OPTS_RUN) {
		sl_opts_fini(&o);
		return verdict == SL_OPTS_HELP ? 0 : 2;
	}
	int ledger = -1, code = 1;
	if (o.ledger != NULL)
		ledger = open(o.ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (o.ledger != NULL && ledger < 0)
		fprintf(stderr, "sluice-bench: %s: %s\n", o.ledger, strerror(errno));
	else if (!raise_descriptors(&o))
		fprintf(stderr,
			"sluice-bench: %u associations need as many open files: ulimit -n\n",
			o.associations);
	else
		code = bench(&o, ledger);
	if (ledger >= 0)
		close(ledger);
	sl_opts_fini(&o);
	return code;
}
