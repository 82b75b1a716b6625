/* power LOG PLAN WORK [--states N] [--seed S] [--jobs J] [--only POSITION:FAMILY:SEED]
 *
 * Cuts the power of a recorded run at N moments, each time with another choice of what the disk had
 * taken (disk.h, state.h), lets the storage recover in this process, and judges what is there
 * (judge.h). The last line is JSON. Exit 0 when every state was good, 1 when one was not: its line
 * says how to see it again with --only, which leaves it in WORK/0/root. 2: it could not run.
 *
 * A worker is a process of its own, so that one that dies is a verdict too.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/power/judge.h"
#include "tests/power/state.h"

enum { JOBS_MAX = 64, BAD_MOST = 5, TRIES = 4 };

/* What a worker tells; in memory shared with the parent. */
struct told {
	uint64_t states, distinct, files, quarantined, bad;
	size_t position; /* of the state in work */
	enum state_family family;
	uint64_t seed;
};

struct run {
	const char *log, *plan, *work;
	uint64_t states, seed;
	unsigned jobs;
	bool is_only;
	struct told only;
	struct told *told; /* one for each job */
};

struct worker {
	const struct run *run;
	struct told *told;
	struct disk disk;
	struct judge *judge;
	struct state *state;
	char root[4096];
	uint64_t *prints; /* of one position: choices that were tried */
	size_t prints_n, prints_cap, prints_at;
};

/* ---- the storage -------------------------------------------------------------------------------- */

static uint64_t now_ns(void *arg)
{
	struct timespec ts;
	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL) * 1000;
}

static void no_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 0x5a, n);
}

static void on_fail(void *arg, const struct sl_diag *cause)
{
	struct sl_diag *out = arg;
	*out = *cause;
}

static enum sl_status open_storage(
	struct sl_storage *s, const char *root, struct sl_diag *failed, struct sl_diag *d)
{
	static const struct sl_env env = {now_ns, wall_ms, no_random, NULL};
	const struct sl_storage_news news = {.on_fail = on_fail, .arg = failed};
	const struct sl_storage_conf conf = {
		.root = root,
		.index_path = "",
		.group = "",
		.is_durable = true,
		.threads = 1,
		.map_size = 64 * SL_MIB,
		.water = {.low = {.share = 99.7},
			.high = {.share = 99.8},
			.full = {.share = 99.9},
			.reserve_step = SL_MIB,
			.reserve_max = SL_GIB},
		.ingest = {.is_durable = true,
			.max_object = SL_GIB,
			.inflate_max = SL_MIB,
			.elem = SL_ELEM_LIMITS_DEFAULT},
		.indexer = {.batch = 64, .max_delay_ms = 5},
	};
	return sl_storage_open(s, &conf, &news, &env, d);
}

/* NULL: good. */
static const char *recover_and_judge(struct worker *w, size_t position)
{
	static char text[512];
	struct sl_storage s;
	struct sl_diag d = {0}, failed = {0};
	enum sl_status st = open_storage(&s, w->root, &failed, &d);
	if (st != SL_OK) {
		snprintf(text, sizeof(text), "it does not start: %s: %s", d.where, d.text);
		return text;
	}
	const char *complaint = judge_complaint(w->judge, position, &s);
	w->told->files += s.recovered.found;
	w->told->quarantined += s.recovered.quarantined;
	sl_storage_close(&s);
	if (complaint == NULL && failed.status != SL_OK) {
		snprintf(
			text, sizeof(text), "the store latched: %s: %s", failed.where, failed.text);
		return text;
	}
	return complaint;
}

/* ---- a worker ----------------------------------------------------------------------------------- */

static bool was_tried(struct worker *w, uint64_t print)
{
	if (w->prints_at != w->disk.at)
		w->prints_n = 0;
	w->prints_at = w->disk.at;
	for (size_t i = 0; i < w->prints_n; i++)
		if (w->prints[i] == print)
			return true;
	if (w->prints_n == w->prints_cap) {
		w->prints_cap = w->prints_cap * 2 + 64;
		w->prints = disk_grow(w->prints, w->prints_cap * sizeof(*w->prints));
	}
	w->prints[w->prints_n++] = print;
	return false;
}

/* One state of the disk as it stands. False: it was bad. */
static bool try_state(struct worker *w, enum state_family family, uint64_t seed)
{
	struct told *t = w->told;
	t->position = w->disk.at;
	t->family = family;
	t->seed = seed;
	if (!state_write(w->state))
		exit(2);
	const char *complaint = recover_and_judge(w, w->disk.at);
	t->states++;
	if (complaint != NULL) {
		t->bad++;
		printf("BAD --only %zu:%d:%" PRIu64 " (%s): %s\n", t->position, (int)family, seed,
			state_family_names[family], complaint);
		fflush(stdout);
	}
	if (!w->run->is_only && !state_remove(w->state))
		exit(2);
	return complaint == NULL;
}

/* Chooses until it is a state not seen at this moment, or gives up: there may be only one. */
static void try_new_state(struct worker *w, uint64_t number)
{
	for (int tries = 0; tries < TRIES; tries++) {
		uint64_t seed = w->run->seed * 1000003 + number * TRIES + (uint64_t)tries;
		enum state_family family = (enum state_family)(
			(number + (uint64_t)tries * 3 + number / STATE_LAST) % STATE_LAST);
		uint64_t print = state_choose(w->state, family, seed);
		bool is_new = !was_tried(w, print);
		if (!is_new && tries + 1 < TRIES)
			continue;
		w->told->distinct += is_new;
		(void)try_state(w, family, seed);
		return;
	}
}

/* The worst that can be at a moment that matters: something is told to a peer, and the disk has nothing
 * that it need not have; a name goes, or LMDB's first page is written, and of all changes that one alone
 * is on the disk. False: no such moment. */
static bool is_crucial(const struct disk_op *op, size_t at, enum state_family *family)
{
	*family = op->kind == RECORD_SEND ? STATE_NOTHING : STATE_LAST;
	return op->begin == at &&
	       (op->kind == RECORD_SEND || op->kind == RECORD_UNLINK || op->kind == RECORD_RENAME ||
		       (op->kind == RECORD_WRITE && op->is_dsync));
}

static size_t count_crucial(const struct disk *d)
{
	enum state_family family;
	size_t n = 0;
	for (size_t i = 0; i < d->records_n; i++)
		n += is_crucial(d->by_record[i], i, &family);
	return n;
}

static void try_crucial(struct worker *w, enum state_family family)
{
	uint64_t print = state_choose(w->state, family, w->run->seed);
	w->told->distinct += !was_tried(w, print);
	(void)try_state(w, family, w->run->seed);
}

/* Half of the states, or fewer if there are not so many, are those of crucial moments; the rest is
 * spread evenly over the log, whatever its length. */
static void work_through(struct worker *w, unsigned job)
{
	const struct run *run = w->run;
	const uint64_t crucial_n = count_crucial(&w->disk);
	const uint64_t sure = sl_min64(crucial_n, run->states / 2), rest = run->states - sure;
	uint64_t number = 0, crucial = 0, taken = 0;
	while (w->disk.at < w->disk.records_n && w->told->bad < BAD_MOST) {
		enum state_family family;
		size_t at = w->disk.at;
		disk_step(&w->disk);
		if (is_crucial(w->disk.by_record[at], at, &family) &&
			sure * ++crucial / crucial_n > taken && taken++ % run->jobs == job)
			try_crucial(w, family);
		uint64_t until = rest * w->disk.at / w->disk.records_n;
		for (; number < until && w->told->bad < BAD_MOST; number++)
			if (number % run->jobs == job)
				try_new_state(w, number);
	}
}

static int work(const struct run *run, unsigned job)
{
	struct worker w = {.run = run, .told = &run->told[job]};
	char folder[4000];
	snprintf(folder, sizeof(folder), "%s/%u", run->work, job);
	snprintf(w.root, sizeof(w.root), "%s/root", folder);
	w.judge = judge_open(run->plan);
	if (w.judge == NULL || !disk_open(&w.disk, run->log, judge_root(w.judge)))
		return 2;
	w.state = state_open(&w.disk, folder);
	if (run->is_only) {
		while (w.disk.at < run->only.position && w.disk.at < w.disk.records_n)
			disk_step(&w.disk);
		state_choose(w.state, run->only.family, run->only.seed);
		(void)try_state(&w, run->only.family, run->only.seed);
	} else {
		work_through(&w, job);
		state_close(w.state);
		(void)rmdir(folder);
	}
	free(w.prints);
	disk_close(&w.disk);
	judge_close(w.judge);
	return w.told->bad > 0;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static int wait_for(const struct run *run, unsigned job, pid_t pid)
{
	int status;
	const struct told *t = &run->told[job];
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("BAD --only %zu:%d:%" PRIu64 " (%s): the recovery died by signal %d\n", t->position,
		(int)t->family, t->seed, state_family_names[t->family], WTERMSIG(status));
	return 1;
}

static int run_all(struct run *run)
{
	pid_t pids[JOBS_MAX];
	struct told sum = {0};
	int worst = 0;
	uint64_t begun = now_ns(NULL);
	fflush(stdout);
	for (unsigned i = 0; i < run->jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(work(run, i));
	}
	for (unsigned i = 0; i < run->jobs; i++) {
		int code = wait_for(run, i, pids[i]);
		worst = code > worst ? code : worst;
		sum.states += run->told[i].states;
		sum.distinct += run->told[i].distinct;
		sum.files += run->told[i].files;
		sum.quarantined += run->told[i].quarantined;
		sum.bad += run->told[i].bad;
	}
	double s = (double)(now_ns(NULL) - begun) / 1e9;
	printf("{\"states\": %" PRIu64 ", \"distinct\": %" PRIu64 ", \"bad\": %" PRIu64
	       ", \"spool_names\": %" PRIu64 ", \"quarantined\": %" PRIu64
	       ", \"seconds\": %.1f, \"states_per_s\": %.0f}\n",
		sum.states, sum.distinct, sum.bad, sum.files, sum.quarantined, s,
		(double)sum.states / (s > 0 ? s : 1));
	return worst;
}

static bool read_options(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {{"states", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'}, {"jobs", required_argument, NULL, 'j'},
		{"only", required_argument, NULL, 'o'}, {0}};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int family = 0;
		if (c == 'n')
			run->states = strtoull(optarg, NULL, 10);
		else if (c == 's')
			run->seed = strtoull(optarg, NULL, 10);
		else if (c == 'j')
			run->jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c != 'o' || sscanf(optarg, "%zu:%d:%" SCNu64, &run->only.position, &family,
					     &run->only.seed) != 3)
			return false;
		run->only.family = (enum state_family)family;
		run->is_only |= c == 'o';
	}
	if (argc - optind != 3 || run->jobs == 0 || run->jobs > JOBS_MAX ||
		run->only.family >= STATE_FAMILIES)
		return false;
	run->log = argv[optind];
	run->plan = argv[optind + 1];
	run->work = argv[optind + 2];
	return true;
}

int main(int argc, char **argv)
{
	struct run run = {.states = 500, .seed = 1, .jobs = 1};
	if (!read_options(&run, argc, argv)) {
		fprintf(stderr, "usage: power LOG PLAN WORK [--states N] [--seed S] [--jobs J] "
				"[--only POSITION:FAMILY:SEED]\n");
		return 2;
	}
	run.told = mmap(NULL, run.jobs * sizeof(*run.told), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.told == MAP_FAILED)
		return 2;
	return run_all(&run);
}
