/* Measures the LMDB index as it grows, on ordinary studies, through sl_index_put_batch() as the indexer
 * calls it:
 *
 *   index_bench [--batch N] [--per-series N] [--quick] [--json FILE] FOLDER INSTANCES
 *
 * 1.6 studies a patient, 4 series a study, 150 instances a series, UIDs of four kinds of device; 16 studies
 * arrive side by side. A row for each power of ten, and for each class that operators know (to 1,000
 * studies, 10,000, 100,000, beyond), with the rate since the row of its kind before it. With --per-series 10
 * 10^7 instances reach the last class. FOLDER, empty or of a node that has stored nothing, keeps the index.
 *
 * A second thread asks while the batches go in: between two commits it looks up UIDs that are there,
 * UIDs that are not (the duplicate check of a new object) and the first page of studies of a date and
 * a modality. A row has its last answers; then the same is asked of the index at rest.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/index_find.h"
#include "storage/index_lmdb.h"
#include "support/records.h"

enum {
	SERIES = 4,      /* of a study */
	SENDERS = 16,    /* studies side by side */
	BATCH = 2048,    /* index.batch's default */
	KEPT = 1 << 14,  /* answers of a kind that a row is made of, at most */
	PAGE = 25,       /* rows of a study list */
	PER_COMMIT = 16, /* lookups of a kind between two commits; one page */
	QUIET = 20000,   /* lookups of a kind at rest */
	QUIET_PAGES = 1000,
	ROWS_MAX = 32,
};

enum question { Q_THERE, Q_ABSENT, Q_PAGE, Q_N };

static const char *const question_names[Q_N] = {"lookup", "duplicate_check", "study_page"};

/* The answers' times of one kind, in seconds: the last KEPT of them. */
struct times {
	double s[KEPT];
	uint64_t n;
};

struct quantiles {
	double p50, p99; /* seconds */
};

/* One who asks: its reader and what it has seen. Of one thread at a time. */
struct asker {
	struct sl_index_reader *rd;
	uint64_t seed, per_series, wrong;
	struct times times[Q_N];
	struct sl_index_study page[PAGE];
};

/* Rows of one kind: since the last of them. */
struct span {
	uint64_t n;          /* instances */
	double seconds, cpu; /* of put_batch */
};

struct row {
	char label[40];
	bool is_class;
	struct sl_index_snapshot index;
	uint64_t file_bytes, anon_bytes, mapped_bytes;
	double rate, cpu_rate; /* instances/s since the row before of its kind */
	struct quantiles busy[Q_N], quiet[Q_N];
};

struct bench {
	const char *folder, *json;
	uint64_t total, per_series;
	size_t batch;
	bool is_quick;
	struct sl_index *ix;
	uint64_t done; /* instances committed */
	struct span sum, by_size, by_class;
	struct asker *busy, *quiet;
	struct row rows[ROWS_MAX];
	size_t rows_n;

	pthread_t thread; /* asks while batches go in */
	pthread_mutex_t lock;
	pthread_cond_t news;
	uint64_t committed; /* under lock: what the thread may ask for */
	bool is_asked,
		is_over; /* under lock: a round of questions is under way; there are no more */
};

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The i-th to arrive: SENDERS studies side by side, each in its own order. */
static uint64_t arrival(uint64_t i, uint64_t per_series)
{
	uint64_t per_study = SERIES * per_series, group = SENDERS * per_study;
	uint64_t in_group = i % group;
	return i / group * group + in_group % SENDERS * per_study + in_group / SENDERS;
}

/* ---- questions --------------------------------------------------------------------------------- */

static void keep(struct times *t, double seconds)
{
	t->s[t->n++ % KEPT] = seconds;
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Empties it. */
static struct quantiles take(struct times *t)
{
	size_t n = t->n < KEPT ? (size_t)t->n : KEPT;
	struct quantiles q = {0};
	if (n > 0) {
		qsort(t->s, n, sizeof(*t->s), by_double);
		q = (struct quantiles){t->s[n / 2], t->s[n * 99 / 100]};
	}
	t->n = 0;
	return q;
}

/* Looks up one of the first n to arrive, or a UID beside it that nobody has. */
static void ask_uid(struct asker *a, uint64_t n, enum question what)
{
	struct sl_record r;
	struct sl_index_instance in;
	rec_make(&r, arrival(rec_random(&a->seed) % n, a->per_series), a->per_series);
	if (what == Q_ABSENT)
		r.sop_instance_uid.s[r.sop_instance_uid.len - 1] = 'x';
	double before = now(CLOCK_MONOTONIC);
	enum sl_status st = sl_index_locate_instance(a->rd, &r.sop_instance_uid, &in, NULL);
	keep(&a->times[what], now(CLOCK_MONOTONIC) - before);
	a->wrong += st != (what == Q_ABSENT ? SL_E_NOTFOUND : SL_OK);
}

/* The first page of the studies that have a study's date and modality. */
static void ask_page(struct asker *a, uint64_t n)
{
	struct sl_record r;
	struct sl_index_cursor at = {0};
	struct sl_index_cond conds[2] = {
		{.field = SL_ATTR_STUDY_DATE, .match = SL_MATCH_EXACT},
		{.field = SL_ATTR_MODALITY, .match = SL_MATCH_EXACT},
	};
	const struct sl_index_query query = {.conds = conds, .n = SL_ARRAY_N(conds)};
	size_t rows = PAGE;
	rec_make(&r, arrival(rec_random(&a->seed) % n, a->per_series), a->per_series);
	for (size_t i = 0; i < SL_ARRAY_N(conds); i++)
		conds[i].text = sl_record_get(&r, (enum sl_attr)conds[i].field, &conds[i].n);
	double before = now(CLOCK_MONOTONIC);
	enum sl_status st = sl_index_find_studies(a->rd, &query, &at, a->page, &rows, NULL, NULL);
	keep(&a->times[Q_PAGE], now(CLOCK_MONOTONIC) - before);
	a->wrong += st != SL_OK;
}

static void ask(struct asker *a, uint64_t n, size_t lookups, size_t pages)
{
	for (size_t i = 0; i < lookups; i++) {
		ask_uid(a, n, Q_THERE);
		ask_uid(a, n, Q_ABSENT);
	}
	for (size_t i = 0; i < pages; i++)
		ask_page(a, n);
}

static struct asker *open_asker(const struct bench *b, uint64_t seed, struct sl_diag *diag)
{
	struct asker *a = calloc(1, sizeof(*a));
	if (a == NULL || sl_index_open_reader(b->ix, &a->rd, diag) != SL_OK) {
		free(a);
		return NULL;
	}
	a->seed = seed;
	a->per_series = b->per_series;
	return a;
}

static void close_asker(struct asker *a)
{
	if (a != NULL)
		sl_index_close_reader(a->rd);
	free(a);
}

/* Its thread: a round of questions whenever there is a commit. */
static void *keep_asking(void *arg)
{
	struct bench *b = arg;
	pthread_mutex_lock(&b->lock);
	while (!b->is_over) {
		if (!b->is_asked) {
			pthread_cond_wait(&b->news, &b->lock);
			continue;
		}
		uint64_t n = b->committed;
		pthread_mutex_unlock(&b->lock);
		ask(b->busy, n, PER_COMMIT, 1);
		pthread_mutex_lock(&b->lock);
		b->is_asked = false;
		pthread_cond_broadcast(&b->news);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* Lets the thread ask of what is committed, beside the next batch. A round that still goes on is enough. */
static void let_ask(struct bench *b)
{
	pthread_mutex_lock(&b->lock);
	b->committed = b->done;
	b->is_asked = true;
	pthread_cond_broadcast(&b->news);
	pthread_mutex_unlock(&b->lock);
}

static void wait_answered(struct bench *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->is_asked)
		pthread_cond_wait(&b->news, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

/* ---- rows -------------------------------------------------------------------------------------- */

/* Bytes of one "Rss...:" line of this process. */
static uint64_t resident(const char *field)
{
	char line[128];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtoull(line + strlen(field), NULL, 10);
	if (f != NULL)
		(void)fclose(f);
	return kib * 1024;
}

static void print_row(const struct bench *b, const struct row *r)
{
	double n = (double)r->index.usage.versions;
	if (b->rows_n == 1)
		printf("%-22s %10s %9s %9s %9s %6s %6s  %-15s %-15s %-15s %-15s %-13s %-13s %8s\n",
			"up to", "instances", "studies", "rows/s", "by CPU", "B used", "B file",
			"lookup [us]", "absent [us]", "lookup quiet", "absent quiet", "page [us]",
			"page quiet", "RssAnon");
	printf("%-22s %10" PRIu64 " %9" PRIu64 " %9.0f %9.0f %6.1f %6.1f  ", r->label,
		r->index.usage.instances, r->index.usage.studies, r->rate, r->cpu_rate,
		(double)(r->index.pages_used * r->index.page_size) / n, (double)r->file_bytes / n);
	for (size_t i = 0; i < 2 * Q_PAGE; i++) {
		const struct quantiles *q = &(i < Q_PAGE ? r->busy : r->quiet)[i % Q_PAGE];
		printf("%6.2f /%7.2f ", q->p50 * 1e6, q->p99 * 1e6);
	}
	printf("%5.0f /%6.0f %5.0f /%6.0f %4.0f MiB\n", r->busy[Q_PAGE].p50 * 1e6,
		r->busy[Q_PAGE].p99 * 1e6, r->quiet[Q_PAGE].p50 * 1e6, r->quiet[Q_PAGE].p99 * 1e6,
		(double)r->anon_bytes / SL_MIB);
	(void)fflush(stdout);
}

/* What was answered while the index grew to this size, and what is at rest. */
static void answer_row(struct bench *b, struct row *r)
{
	ask(b->quiet, b->done, b->is_quick ? 100 : QUIET, b->is_quick ? 10 : QUIET_PAGES);
	for (size_t i = 0; i < Q_N; i++) {
		r->busy[i] = take(&b->busy->times[i]);
		r->quiet[i] = take(&b->quiet->times[i]);
	}
}

/* Ends a span with a row: what was seen while it grew, and the same at rest. */
static enum sl_status add_row(
	struct bench *b, struct span *from, const char *label, struct sl_diag *diag)
{
	struct row *r = &b->rows[b->rows_n];
	struct stat file = {0};
	char data[512];
	sl_assert(b->rows_n < ROWS_MAX);
	wait_answered(b);
	enum sl_status st = sl_index_clear_stale(b->ix, diag); /* counts the free pages */
	if (st != SL_OK)
		return st;
	*r = (struct row){.is_class = from == &b->by_class,
		.rate = (double)(b->sum.n - from->n) / (b->sum.seconds - from->seconds),
		.cpu_rate = (double)(b->sum.n - from->n) / (b->sum.cpu - from->cpu)};
	snprintf(r->label, sizeof(r->label), "%s", label);
	snprintf(data, sizeof(data), "%s/data.mdb", b->folder);
	(void)stat(data, &file);
	r->file_bytes = (uint64_t)file.st_size;
	sl_index_snapshot(b->ix, &r->index);
	if (b->rows_n > 0 && r[-1].index.usage.instances == r->index.usage.instances) {
		memcpy(r->busy, r[-1].busy, sizeof(r->busy)); /* both kinds of row end here */
		memcpy(r->quiet, r[-1].quiet, sizeof(r->quiet));
	} else {
		answer_row(b, r);
	}
	r->anon_bytes = resident("RssAnon:");
	r->mapped_bytes = resident("RssFile:");
	*from = b->sum;
	b->rows_n++;
	print_row(b, r);
	return SL_OK;
}

/* The rows that are due, now that so many are in. */
static enum sl_status add_rows(struct bench *b, uint64_t before, struct sl_diag *diag)
{
	static const char *const classes[] = {
		"class 1: 1,000 st.", "class 2: 10,000 st.", "class 3: 100,000 st."};
	char label[40];
	uint64_t size = 10000, studies = 1000, per_study = SERIES * b->per_series;
	enum sl_status st = SL_OK;
	for (; size <= b->done && st == SL_OK; size *= 10) {
		snprintf(label, sizeof(label), "%" PRIu64, size);
		if (size > before)
			st = add_row(b, &b->by_size, label, diag);
	}
	for (size_t i = 0; i < SL_ARRAY_N(classes) && st == SL_OK; i++, studies *= 10)
		if (before < studies * per_study && studies * per_study <= b->done)
			st = add_row(b, &b->by_class, classes[i], diag);
	if (st == SL_OK && b->done == b->total && b->by_size.n < b->total)
		st = add_row(b, &b->by_size, "end", diag);
	if (st == SL_OK && b->done == b->total && b->by_class.n < b->total)
		st = add_row(b, &b->by_class, "end, in its class", diag);
	return st;
}

static void json_row(FILE *out, const struct row *r)
{
	fprintf(out,
		"{\"label\": \"%s\", \"kind\": \"%s\", \"instances\": %" PRIu64
		", \"studies\": %" PRIu64
		", \"rate\": %.0f, \"cpu_rate\": %.0f, \"used_bytes\": %" PRIu64
		", \"file_bytes\": %" PRIu64 ", \"rss_anon\": %" PRIu64 ", \"rss_file\": %" PRIu64,
		r->label, r->is_class ? "class" : "size", r->index.usage.instances,
		r->index.usage.studies, r->rate, r->cpu_rate,
		r->index.pages_used * r->index.page_size, r->file_bytes, r->anon_bytes,
		r->mapped_bytes);
	for (size_t i = 0; i < Q_N; i++)
		fprintf(out,
			",\n  \"%s\": {\"p50_us\": %.2f, \"p99_us\": %.2f, "
			"\"quiet_p50_us\": %.2f, \"quiet_p99_us\": %.2f}",
			question_names[i], r->busy[i].p50 * 1e6, r->busy[i].p99 * 1e6,
			r->quiet[i].p50 * 1e6, r->quiet[i].p99 * 1e6);
	fprintf(out, "}");
}

static int write_json(const struct bench *b)
{
	FILE *out = fopen(b->json, "w");
	if (out == NULL) {
		perror(b->json);
		return 1;
	}
	fprintf(out, "{\"batch\": %zu, \"per_series\": %" PRIu64 ", \"rows\": [\n", b->batch,
		b->per_series);
	for (size_t i = 0; i < b->rows_n; i++) {
		fprintf(out, i > 0 ? ",\n " : " ");
		json_row(out, &b->rows[i]);
	}
	fprintf(out, "]}\n");
	return fclose(out) == 0 ? 0 : 1;
}

/* ---- growing ----------------------------------------------------------------------------------- */

/* Puts all; only the puts are timed. */
static enum sl_status put_all(struct bench *b, struct sl_diag *diag)
{
	struct sl_record *records = calloc(b->batch, sizeof(*records));
	const struct sl_record **pointers = calloc(b->batch, sizeof(*pointers));
	struct sl_index_result *results = calloc(b->batch, sizeof(*results));
	enum sl_status st = records && pointers && results ? SL_OK : SL_E_NOMEM;
	while (b->done < b->total && st == SL_OK) {
		uint64_t before = b->done;
		size_t n = 0;
		for (; n < b->batch && before + n < b->total; n++) {
			rec_make(&records[n], arrival(before + n, b->per_series), b->per_series);
			records[n].seq = before + n + 1;
			pointers[n] = &records[n];
		}
		double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID);
		st = sl_index_put_batch(b->ix, pointers, n, results, diag);
		b->sum.seconds += now(CLOCK_MONOTONIC) - wall;
		b->sum.cpu += now(CLOCK_THREAD_CPUTIME_ID) - cpu;
		if (st == SL_OK) {
			b->done = b->sum.n = before + n;
			let_ask(b);
			st = add_rows(b, before, diag);
		}
	}
	free(records);
	free(pointers);
	free(results);
	return st;
}

/* Grows the index beside the thread that asks. */
static enum sl_status run(struct bench *b, struct sl_diag *diag)
{
	b->busy = open_asker(b, 99, diag);
	b->quiet = open_asker(b, 77, diag);
	if (b->busy == NULL || b->quiet == NULL)
		return SL_E_NOMEM;
	if (pthread_create(&b->thread, NULL, keep_asking, b) != 0)
		return sl_fail(diag, SL_E_NOMEM, 0, "index_bench", "no thread");
	enum sl_status st = put_all(b, diag);
	pthread_mutex_lock(&b->lock);
	b->is_over = true;
	pthread_cond_broadcast(&b->news);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	if (st == SL_OK && b->busy->wrong + b->quiet->wrong > 0)
		st = sl_fail(diag, SL_E_CORRUPT, 0, "index_bench", "answers were wrong");
	return st;
}

static bool parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {{"batch", required_argument, NULL, 'b'},
		{"per-series", required_argument, NULL, 'p'}, {"quick", no_argument, NULL, 'q'},
		{"json", required_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (c) {
		case 'b':
			b->batch = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			b->per_series = strtoull(optarg, NULL, 10);
			break;
		case 'q':
			b->is_quick = true;
			break;
		case 'j':
			b->json = optarg;
			break;
		default:
			return false;
		}
	if (argc - optind != 2)
		return false;
	b->folder = argv[optind];
	b->total = strtoull(argv[optind + 1], NULL, 10);
	return b->total > 0 && b->batch > 0 && b->per_series > 0 && b->batch <= 65536;
}

int main(int argc, char **argv)
{
	struct sl_diag diag = {0};
	struct bench *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return 1;
	b->batch = BATCH;
	b->per_series = 150;
	if (!parse(b, argc, argv)) {
		fprintf(stderr, "usage: index_bench [--batch N] [--per-series N] [--quick] "
				"[--json FILE] FOLDER INSTANCES\n");
		free(b);
		return 2;
	}
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->news, NULL);
	const struct sl_index_lmdb_options options = {.path = b->folder,
		.map_size = SL_GIB + b->total * SL_KIB, /* valgrind cannot reserve what a node does */
		.readers = 4,
		.batch_max = (uint32_t)b->batch,
		.create = true};
	enum sl_status st = sl_index_lmdb_open(&options, &b->ix, &diag);
	if (st == SL_OK)
		st = run(b, &diag);
	if (st != SL_OK)
		fprintf(stderr, "index_bench: %s: %s\n", diag.where, diag.text);
	int rc = st != SL_OK ? 1 : b->json != NULL ? write_json(b) : 0;
	close_asker(b->busy);
	close_asker(b->quiet);
	sl_index_close(b->ix);
	pthread_cond_destroy(&b->news);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return rc;
}
