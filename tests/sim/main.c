/* Runs seeds: sim [--seeds N] [--first K] [--jobs J] [--covers]; one of them in full: sim --seed K [--trace].
 *
 * The first seed that breaks a promise is printed with its plan, and the exit status is 1. A run: the
 * node starts, the peers work, the plan's crashes come; when the peers are done everything is forgiven
 * (faults end, the disk is large), one last object must be stored, the node stops, starts once more and
 * stops, and its files are counted.
 *
 * --covers: each of the troubles that seeds are to bring has come about (seen.c).
 * --replays: the seeds run twice, in one process and then spread over several, and must leave the same
 * traces.
 * --fails-alike: on a disk whose fsync does nothing seeds must fail, and each twice with the same words
 * and the same trace: so what a failing seed printed is what its replay shows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim.h"

#define RUN_NS_MAX (6 * 3600 * 1000 * SIM_MS) /* simulated */
#define STEPS_MAX  3000000

struct options {
	uint64_t seeds, first, stride;
	bool is_single, is_traced, replays, covers, fails_alike;
	unsigned jobs;
};

struct totals {
	uint64_t steps, acknowledged, crashes;
	uint64_t traces; /* sum of the runs' hashes */
	uint64_t seen[SIM_SIGHT_N];
};

/* ---- one run ---- */

/* Somebody else fills the disk, and lets go again. */
static void *outsider_main(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 3; i++) {
		sim_sleep(sim_below(2000) * SIM_MS);
		sim_disk_hog(sim_plan.disk_blocks - sim_below(100));
		sim_sleep(sim_below(2000) * SIM_MS);
		sim_disk_hog(0);
	}
	return NULL;
}

/* A crash that is due, or the end of a node that has failed; then a new life. */
static void crash_if_due(unsigned *crashes, uint64_t *born, struct totals *sum)
{
	bool is_due = *crashes < sim_plan.crashes &&
		      sim_steps() - *born >= sim_plan.crash_after[*crashes];
	if (!is_due && !sim_node_wants_to_die())
		return;
	/* A file system that failed an fsync of a folder takes no more; what it had not written is lost. */
	sim_node_crash(sim_node_has_failed() || sim_plan.is_power_cut[*crashes]);
	*crashes += is_due;
	*born = sim_steps();
	sum->crashes++;
	sim_node_start();
}

static void step(const char *what)
{
	if (!sim_step())
		sim_fail("deadlock: nobody can run, while %s", what);
	if (sim_now_ns() > RUN_NS_MAX || sim_steps() > STEPS_MAX)
		sim_fail("no end after six hours, while %s", what);
}

static void stop_node(void)
{
	sim_node_order_stop();
	while (!sim_node_is_down())
		step("the node stops");
	sim_oracle_check_files();
}

static uint64_t run(uint64_t seed, struct totals *sum)
{
	unsigned crashes = 0;
	uint64_t born = 0;
	sim_threads_reset(seed);
	sim_plan_make(seed);
	sim_disk_reset();
	sim_net_reset();
	sim_index_reset();
	sim_peers_reset();
	sim_oracle_reset();
	sim_node_reset();
	sim_node_start();
	sim_peers_start();
	if (sim_plan.has_outsider)
		(void)sim_start(outsider_main, NULL, false, "outsider");
	while (!sim_peers_are_done()) {
		step("peers work");
		crash_if_due(&crashes, &born, sum);
	}
	sim_node_forgive();
	sim_peers_probe();
	while (!sim_peers_are_done() || !sim_node_is_up() || sim_node_has_failed()) {
		step("the last object is stored");
		crash_if_due(&crashes, &born, sum);
	}
	stop_node();
	sim_node_start();
	while (!sim_node_is_up())
		step("the node starts for the last time");
	stop_node();
	sum->steps += sim_steps();
	sum->acknowledged += sim_oracle_acknowledged();
	return sim_trace_hash();
}

/* ---- many ---- */

void sim_end(void)
{
	printf("  replay: sim --seed %" PRIu64 " --trace\n", sim_plan.seed);
	fflush(stdout);
	_exit(1);
}

static void run_one(const struct options *o, uint64_t seed, struct totals *sum)
{
	uint64_t hash = run(seed, sum);
	sum->traces += hash;
	if (!o->is_single)
		return;
	sim_plan_print();
	printf("  %" PRIu64 " steps, %u acknowledged, trace %016" PRIx64 "\n", sim_steps(),
		sim_oracle_acknowledged(), hash);
}

static void run_all(const struct options *o, struct totals *sum)
{
	for (uint64_t i = 0; i < o->seeds; i += o->stride)
		run_one(o, o->first + i, sum);
	memcpy(sum->seen, sim_seen, sizeof(sim_seen));
}

/* Job j of o->jobs takes every o->jobs-th seed; true when it found nothing. */
static bool run_jobs(struct options o, struct totals *sum)
{
	bool is_good = true;
	int out[2];
	if (pipe(out) != 0)
		abort();
	o.stride = o.jobs;
	for (unsigned j = 0; j < o.jobs; j++) {
		if (fork() != 0)
			continue;
		o.seeds -= j;
		o.first += j;
		run_all(&o, sum);
		_exit(write(out[1], sum, sizeof(*sum)) == (ssize_t)sizeof(*sum) ? 0 : 1);
	}
	for (unsigned j = 0; j < o.jobs; j++) {
		struct totals part;
		int status;
		if (wait(&status) < 0 || status != 0) {
			is_good = false;
			continue;
		}
		if (read(out[0], &part, sizeof(part)) != (ssize_t)sizeof(part))
			abort();
		sum->steps += part.steps;
		sum->acknowledged += part.acknowledged;
		sum->crashes += part.crashes;
		sum->traces += part.traces;
		for (unsigned s = 0; s < SIM_SIGHT_N; s++)
			sum->seen[s] += part.seen[s];
	}
	return is_good;
}

/* All of it again, in processes that have other seeds behind them. */
static bool replays(struct options o, const struct totals *once)
{
	struct totals again = {0};
	o.jobs = 3;
	if (!run_jobs(o, &again))
		return false;
	if (again.traces != once->traces)
		printf("FAILED: seeds do not replay: traces %016" PRIx64 ", then %016" PRIx64 "\n",
			once->traces, again.traces);
	return again.traces == once->traces;
}

/* ---- failing seeds ---- */

/* One seed in a process of its own, whose fsync does nothing. What it says, at most cap - 1 bytes; true
 * when it failed. */
static bool run_lying(uint64_t seed, char *said, size_t cap)
{
	struct totals sum = {0};
	size_t n = 0;
	ssize_t got;
	int out[2], status;
	if (pipe(out) != 0)
		abort();
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		dup2(out[1], STDOUT_FILENO);
		sim_disk_lie(true);
		printf("trace %016" PRIx64 "\n", run(seed, &sum));
		fflush(stdout);
		_exit(0);
	}
	close(out[1]);
	while ((got = read(out[0], said + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(out[0]);
	return waitpid(child, &status, 0) != child || status != 0;
}

static bool fail_alike(const struct options *o)
{
	static char once[8192], again[8192];
	uint64_t failed = 0;
	for (uint64_t i = 0; i < o->seeds; i++) {
		failed += run_lying(o->first + i, once, sizeof(once));
		(void)run_lying(o->first + i, again, sizeof(again));
		if (strcmp(once, again) == 0)
			continue;
		printf("FAILED: seed %" PRIu64 " does not fail twice alike:\n%s\n%s\n",
			o->first + i, once, again);
		return false;
	}
	printf("sim: on a disk that does not sync %" PRIu64 " of %" PRIu64
	       " seeds fail, each twice alike%s\n",
		failed, o->seeds, 2 * failed < o->seeds ? ": FAILED, too few" : "");
	return 2 * failed >= o->seeds;
}

/* True when everything came about. */
static bool print_seen(const struct totals *sum)
{
	bool is_covered = true;
	for (unsigned s = 0; s < SIM_SIGHT_N; s++) {
		printf("  %-42s %10" PRIu64 "\n", sim_sights[s], sum->seen[s]);
		is_covered &= sum->seen[s] > 0;
	}
	return is_covered;
}

static bool parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		uint64_t n = strtoull(value, NULL, 10);
		if (strcmp(argv[i], "--trace") == 0) {
			o->is_traced = true;
			continue;
		} else if (strcmp(argv[i], "--replays") == 0) {
			o->replays = true;
			continue;
		} else if (strcmp(argv[i], "--covers") == 0) {
			o->covers = true;
			continue;
		} else if (strcmp(argv[i], "--fails-alike") == 0) {
			o->fails_alike = true;
			continue;
		} else if (strcmp(argv[i], "--seeds") == 0) {
			o->seeds = n;
		} else if (strcmp(argv[i], "--first") == 0) {
			o->first = n;
		} else if (strcmp(argv[i], "--jobs") == 0 && n > 0) {
			o->jobs = (unsigned)n;
		} else if (strcmp(argv[i], "--seed") == 0) {
			o->first = n;
			o->seeds = 1;
			o->is_single = true;
		} else {
			return false;
		}
		if (value[0] < '0' || value[0] > '9')
			return false;
		i++;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 1000, .stride = 1, .jobs = 1};
	struct totals sum = {0};
	if (!parse(&o, argc, argv)) {
		fprintf(stderr,
			"usage: sim [--seeds N] [--first K] [--jobs J] [--covers] [--replays]\n"
			"       sim --seed K [--trace] [--replays]\n"
			"       sim --fails-alike [--seeds N] [--first K]\n");
		return 2;
	}
	sim_set_verbose(o.is_traced);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (o.fails_alike)
		return fail_alike(&o) ? 0 : 1;
	if (o.jobs == 1 || o.replays)
		run_all(&o, &sum);
	else if (!run_jobs(o, &sum))
		return 1;
	if (o.replays && !replays(o, &sum))
		return 1;
	bool is_covered = print_seen(&sum);
	printf("sim: %" PRIu64 " seeds from %" PRIu64 ": every promise held; %" PRIu64
	       " objects acknowledged, %" PRIu64 " crashes, %" PRIu64 " steps, traces %016" PRIx64
	       "\n",
		o.seeds, o.first, sum.acknowledged, sum.crashes, sum.steps, sum.traces);
	if (o.covers && !is_covered)
		printf("FAILED: what no seed brought about proves nothing, see above\n");
	return o.covers && !is_covered;
}
