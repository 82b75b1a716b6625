/* sluice-bench pool: command line, a child for each run, the table.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/unit.h"
#include "tools/bench/pool.h"

#define ROUNDS_MAX 99

static const char usage[] = "usage: sluice-bench pool [options]\n"
			    "\n"
			    "The same ingest of objects of mixed sizes (1 KiB to 16 MiB, mean "
			    "about 220 KiB) into the daemon's\n"
			    "pool, into malloc and free for each object, and into a malloc that "
			    "gives nothing back to the\n"
			    "system; in turn, each run in a process of its own.\n"
			    "\n"
			    "  -m, --objects N       of a run (1000000)\n"
			    "  -n, --associations N  objects at once (64)\n"
			    "  -t, --threads N       (2)\n"
			    "      --buffers N       of the pool (64)\n"
			    "      --buffer-size SIZE  (1MiB)\n"
			    "      --rounds N        the medians of so many are told (3)\n"
			    "      --json FILE       \"-\": instead of the table\n";

enum { BUFFERS = 1000, BUFFER_SIZE, ROUNDS, JSON };

static const struct option options[] = {
	{"objects", required_argument, NULL, 'm'},
	{"associations", required_argument, NULL, 'n'},
	{"threads", required_argument, NULL, 't'},
	{"buffers", required_argument, NULL, BUFFERS},
	{"buffer-size", required_argument, NULL, BUFFER_SIZE},
	{"rounds", required_argument, NULL, ROUNDS},
	{"json", required_argument, NULL, JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char *const names[SL_POOL_MEMORY_N] = {"pool", "malloc", "malloc-keeps"};

struct comparison {
	struct sl_pool_params params;
	uint32_t rounds;
	const char *json; /* NULL: none */
	struct sl_pool_result runs[SL_POOL_MEMORY_N][ROUNDS_MAX];
};

static bool read_number(const char *text, uint64_t most, uint64_t *out)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	*out = n;
	return end != text && *end == '\0' && *text != '-' && n > 0 && n <= most;
}

static bool read_number32(const char *text, uint64_t most, uint32_t *out)
{
	uint64_t n;
	bool is_good = read_number(text, most, &n);
	*out = (uint32_t)n;
	return is_good;
}

static bool read_option(struct comparison *c, int option)
{
	uint64_t len;
	switch (option) {
	case 'm':
		return read_number(optarg, UINT64_MAX / 1024, &c->params.objects);
	case 'n':
		return read_number32(optarg, SL_POOL_FLIGHTS_MAX, &c->params.flights);
	case 't':
		return read_number32(optarg, SL_POOL_THREADS_MAX, &c->params.threads);
	case BUFFERS:
		return read_number32(optarg, 1000000, &c->params.buffers);
	case BUFFER_SIZE:
		if (!sl_unit_size(optarg, &len) || len < SL_KIB || len > SL_GIB)
			return false;
		c->params.buffer_len = (size_t)len;
		return true;
	case ROUNDS:
		return read_number32(optarg, ROUNDS_MAX, &c->rounds);
	case JSON:
		c->json = optarg;
		return true;
	default:
		return false;
	}
}

/* ---- a run ------------------------------------------------------------------------------------- */

/* In the child: the result into the pipe. */
static int run_child(enum sl_pool_memory memory, const struct sl_pool_params *params, int out)
{
	struct sl_diag d = {.status = SL_OK};
	struct sl_pool_result result;
	if (sl_pool_run(memory, params, &result, &d) != SL_OK) {
		fprintf(stderr, "sluice-bench: %s\n", d.text);
		return 1;
	}
	return write(out, &result, sizeof(result)) == sizeof(result) ? 0 : 1;
}

static bool run_apart(enum sl_pool_memory memory, const struct sl_pool_params *params,
	struct sl_pool_result *result)
{
	int ends[2], status = -1;
	if (pipe(ends) != 0)
		return false;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		exit(run_child(memory, params, ends[1]));
	}
	close(ends[1]);
	bool is_good = child > 0 && read(ends[0], result, sizeof(*result)) == sizeof(*result);
	close(ends[0]);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0 && is_good;
}

/* ---- the table --------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* The median over the rounds of the number at `offset` in a result. */
static double median(const struct comparison *c, int memory, size_t offset)
{
	uint64_t n[ROUNDS_MAX];
	for (uint32_t i = 0; i < c->rounds; i++)
		memcpy(&n[i], (const char *)&c->runs[memory][i] + offset, sizeof(n[i]));
	qsort(n, c->rounds, sizeof(n[0]), compare_numbers);
	return ((double)n[(c->rounds - 1) / 2] + (double)n[c->rounds / 2]) / 2;
}

#define MEDIAN(field) median(c, i, offsetof(struct sl_pool_result, field))
#define MIB(field)    (MEDIAN(field) / (double)SL_MIB)

static void print_table(const struct comparison *c)
{
	const struct sl_pool_params *p = &c->params;
	printf("%" PRIu64
	       " objects, %u at once, %u threads; pool of %u x %zu KiB; medians of %u rounds\n\n",
		p->objects, p->flights, p->threads, p->buffers, p->buffer_len / SL_KIB, c->rounds);
	printf("| %-12s | start s | ingest s | CPU s/1000 | faults/object | peak MiB | first tenth "
	       "MiB | "
	       "last tenth MiB | in use MiB | left MiB | waits |\n",
		"memory");
	printf("|-%.12s-|--------:|---------:|-----------:|--------------:|---------:|-------------"
	       "---:|"
	       "---------------:|-----------:|---------:|------:|\n",
		"--------------");
	for (int i = 0; i < SL_POOL_MEMORY_N; i++)
		printf("| %-12s | %7.3f | %8.2f | %10.4f | %13.2f | %8.1f | %15.1f | %14.1f | "
		       "%10.1f | "
		       "%8.1f | %5.0f |\n",
			names[i], MEDIAN(start_ns) * 1e-9, MEDIAN(wall_ns) * 1e-9,
			MEDIAN(cpu_ns) * 1e-6 / MEDIAN(objects), MEDIAN(faults) / MEDIAN(objects),
			MIB(peak_len), MIB(early_len), MIB(late_len), MIB(used_len), MIB(left_len),
			MEDIAN(waits));
	printf("\nMemory is what is resident beyond the program itself: at its peak, on average "
	       "over the "
	       "first and\nthe last tenth of the objects, when all are gone. In use: bytes of "
	       "objects under "
	       "way in the last tenth\n(whole ones, of which the pool holds a buffer at most).\n");
}

static void print_run(FILE *out, const char *name, const struct sl_pool_result *r)
{
	fprintf(out,
		"{\"memory\": \"%s\", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64
		", \"start_s\": %.6f, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"faults\": "
		"%" PRIu64 ", \"peak\": %" PRIu64 ", \"first_tenth\": %" PRIu64
		", \"last_tenth\": %" PRIu64 ", \"in_use\": %" PRIu64 ", \"left\": %" PRIu64
		", \"waits\": %" PRIu64 "}",
		name, r->objects, r->bytes, (double)r->start_ns * 1e-9, (double)r->wall_ns * 1e-9,
		(double)r->cpu_ns * 1e-9, r->faults, r->peak_len, r->early_len, r->late_len,
		r->used_len, r->left_len, r->waits);
}

static bool write_json(const struct comparison *c)
{
	bool is_instead = strcmp(c->json, "-") == 0;
	FILE *out = is_instead ? stdout : fopen(c->json, "we");
	if (out == NULL)
		return false;
	for (uint32_t round = 0; round < c->rounds; round++) {
		for (int i = 0; i < SL_POOL_MEMORY_N; i++) {
			fputs(round == 0 && i == 0 ? "[" : ",\n ", out);
			print_run(out, names[i], &c->runs[i][round]);
		}
	}
	fputs("]\n", out);
	return is_instead ? fflush(out) == 0 : fclose(out) == 0;
}

/* ---- main -------------------------------------------------------------------------------------- */

static int compare(struct comparison *c)
{
	for (uint32_t round = 0; round < c->rounds; round++) {
		for (int i = 0; i < SL_POOL_MEMORY_N; i++) {
			if (run_apart((enum sl_pool_memory)i, &c->params, &c->runs[i][round]))
				continue;
			fprintf(stderr, "sluice-bench: pool: the run with %s failed\n", names[i]);
			return 1;
		}
	}
	if (c->json == NULL || strcmp(c->json, "-") != 0)
		print_table(c);
	if (c->json != NULL && !write_json(c)) {
		perror(c->json);
		return 1;
	}
	return 0;
}

int sl_pool_main(int argc, char **argv)
{
	struct comparison *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return 1;
	c->params = (struct sl_pool_params){.objects = 1000000,
		.flights = 64,
		.threads = 2,
		.buffers = 64,
		.buffer_len = SL_MIB};
	c->rounds = 3;
	int code = -1;
	for (int option;
		code < 0 && (option = getopt_long(argc, argv, "m:n:t:h", options, NULL)) != -1;) {
		if (option == 'h')
			code = 0;
		else if (!read_option(c, option))
			code = 2;
	}
	if (code < 0 && (argc != optind || c->params.threads > c->params.flights ||
				c->params.threads > c->params.buffers))
		code = 2;
	if (code >= 0)
		fputs(usage, code == 0 ? stdout : stderr);
	else
		code = compare(c);
	free(c);
	return code;
}
