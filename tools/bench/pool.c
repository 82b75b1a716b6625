/* The ingest, by as many threads as wanted; the first one also looks at the memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/slab.h"
#include "tools/bench/worker.h"

#define PIECE_LEN  (64 * SL_KIB) /* that arrive together */
#define OBJECT_MAX (16 * SL_MIB)
#define SLOW_EVERY 16   /* one object in so many is slow ... */
#define SLOW_TURNS 64   /* ... and takes one of so many turns */
#define SAMPLES_N  2000 /* looks at the memory in a run */

/* An object under way. */
struct flight {
	uint8_t *bytes; /* NULL: not begun */
	struct sl_slab *slab;
	size_t len, have; /* of the object */
	size_t cap, held; /* of its memory; held: not written yet */
	bool is_slow;
};

struct ingest;

struct thread {
	struct ingest *in;
	pthread_t id;
	uint32_t number;
	uint64_t objects, begun, ended; /* to do, and done */
	uint64_t waits, bytes;
	uint64_t random; /* state; never 0 */
	struct flight *flights;
	uint32_t flights_n;
	bool is_failed;
};

struct ingest {
	enum sl_pool_memory memory;
	const struct sl_pool_params *params;
	struct sl_slab_pool pool;
	int source, sink; /* files in memory: the kernel's side */
	atomic_uint_fast64_t
		used;        /* bytes of objects under way; relaxed: a figure, it orders nothing */
	uint64_t before_len; /* resident before the first allocation */
	struct sl_pool_result sum; /* by the first thread: memory */
	uint64_t early_n, late_n;  /* samples */
	struct thread threads[SL_POOL_THREADS_MAX];
};

/* ---- chance ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x) /* SplitMix64 */
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t next_random(struct thread *t)
{
	return mix(t->random += 0x9e3779b97f4a7c15u);
}

/* The size of the n-th object of a thread, whatever memory is tried: mean about 220 KiB. */
static size_t size_of(const struct thread *t, uint64_t n)
{
	static const struct {
		uint32_t share; /* of 1000 */
		size_t least, most;
	} kinds[] = {
		{600, SL_KIB, 32 * SL_KIB},       /* reports, presentation states, small slices */
		{300, 40 * SL_KIB, 600 * SL_KIB}, /* MR, PET, CT */
		{95, 512 * SL_KIB, SL_MIB},       /* CT with a matrix of 768 and the like */
		{5, SL_MIB, OBJECT_MAX},          /* projection images */
	};
	uint64_t x = mix(n * SL_POOL_THREADS_MAX + t->number + 1), share = x % 1000;
	size_t i = 0;
	while (share >= kinds[i].share)
		share -= kinds[i++].share;
	return kinds[i].least + (size_t)((x >> 10) % (kinds[i].most - kinds[i].least));
}

/* ---- memory ------------------------------------------------------------------------------------ */

static uint64_t resident_len(void)
{
	unsigned long all = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f != NULL && fscanf(f, "%lu %lu", &all, &resident) != 2)
		resident = 0;
	if (f != NULL)
		fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool take_memory(struct ingest *in, struct flight *f)
{
	if (in->memory != SL_POOL_SLAB) {
		f->bytes = malloc(f->len);
		f->cap = f->len;
		return f->bytes != NULL;
	}
	f->slab = sl_slab_get(&in->pool);
	if (f->slab == NULL)
		return false;
	f->bytes = f->slab->base;
	f->cap = f->slab->cap;
	return true;
}

static void give_memory(struct ingest *in, struct flight *f)
{
	if (in->memory == SL_POOL_SLAB)
		sl_slab_put(f->slab);
	else
		free(f->bytes);
	f->bytes = NULL;
}

/* Resident and used bytes, in the first and in the last tenth of the run. */
static void look_at_memory(struct thread *t)
{
	struct ingest *in = t->in;
	bool is_early = t->ended * 10 < t->objects, is_late = t->ended * 10 >= t->objects * 9;
	uint64_t now = resident_len(), len = now - sl_min64(now, in->before_len);
	in->sum.peak_len = sl_max64(in->sum.peak_len, len);
	if (is_early) {
		in->sum.early_len += len;
		in->early_n++;
	} else if (is_late && t->begun < t->objects) { /* while no place is empty */
		in->sum.late_len += len;
		in->sum.used_len += atomic_load_explicit(&in->used, memory_order_relaxed);
		in->late_n++;
	}
}

/* ---- objects ----------------------------------------------------------------------------------- */

/* False: there is no memory now. */
static bool begin_object(struct thread *t, struct flight *f)
{
	f->len = size_of(t, t->begun);
	if (!take_memory(t->in, f)) {
		t->waits++;
		return false;
	}
	f->have = f->held = 0;
	f->is_slow = t->begun++ % SLOW_EVERY == 0;
	atomic_fetch_add_explicit(&t->in->used, f->len, memory_order_relaxed);
	return true;
}

static void end_object(struct thread *t, struct flight *f)
{
	give_memory(t->in, f);
	atomic_fetch_sub_explicit(&t->in->used, f->len, memory_order_relaxed);
	t->bytes += f->len;
	t->ended++;
	uint64_t every = sl_max64(1, t->objects / SAMPLES_N);
	if (t->number == 0 && t->ended % every == 0)
		look_at_memory(t);
}

/* A piece arrives; what is full or complete is written. */
static void go_on(struct thread *t, struct flight *f)
{
	size_t n = sl_min(sl_min(PIECE_LEN, f->len - f->have), f->cap - f->held);
	t->is_failed |= pread(t->in->source, f->bytes + f->held, n, 0) != (ssize_t)n;
	f->have += n;
	f->held += n;
	if (f->held == f->cap || f->have == f->len) {
		t->is_failed |= pwrite(t->in->sink, f->bytes, f->held, 0) != (ssize_t)f->held;
		f->held = 0;
	}
	if (f->have == f->len)
		end_object(t, f);
}

static void *run_thread(void *thread)
{
	struct thread *t = thread;
	while (t->ended < t->objects && !t->is_failed) {
		uint64_t x = next_random(t);
		struct flight *f = &t->flights[x % t->flights_n];
		if (f->bytes == NULL && (t->begun == t->objects || !begin_object(t, f)))
			continue;
		if (!f->is_slow || (x >> 32) % SLOW_TURNS == 0)
			go_on(t, f);
	}
	return NULL;
}

/* ---- a run ------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(const struct rusage *u)
{
	return ((uint64_t)u->ru_utime.tv_sec + (uint64_t)u->ru_stime.tv_sec) * 1000000000u +
	       ((uint64_t)u->ru_utime.tv_usec + (uint64_t)u->ru_stime.tv_usec) * 1000u;
}

/* The pool as the daemon has it: one mapping, every page there from the start. */
static bool buy_pool(struct ingest *in)
{
	const struct sl_pool_params *p = in->params;
	struct sl_slab *slots = calloc(p->buffers, sizeof(*slots));
	void *mem = mmap(NULL, p->buffers * p->buffer_len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (slots == NULL || mem == MAP_FAILED)
		return false;
	sl_slab_pool_init(&in->pool, slots, mem, p->buffer_len, p->buffers);
	return true;
}

/* Files in memory, their pages there from the start. */
static bool open_files(struct ingest *in)
{
	in->source = memfd_create("source", MFD_CLOEXEC);
	in->sink = memfd_create("sink", MFD_CLOEXEC);
	return in->source >= 0 && in->sink >= 0 &&
	       posix_fallocate(in->source, 0, (off_t)PIECE_LEN) == 0 &&
	       posix_fallocate(in->sink, 0, (off_t)OBJECT_MAX) == 0;
}

static bool prepare(struct ingest *in)
{
	const struct sl_pool_params *p = in->params;
	for (uint32_t i = 0; i < p->threads; i++) {
		struct thread *t = &in->threads[i];
		*t = (struct thread){.in = in, .number = i, .random = i + 1};
		t->objects = p->objects / p->threads + (i < p->objects % p->threads);
		t->flights_n = p->flights / p->threads + (i < p->flights % p->threads);
		t->flights = calloc(t->flights_n, sizeof(*t->flights));
		if (t->flights == NULL)
			return false;
	}
	if (in->memory == SL_POOL_MALLOC_KEEPS &&
		(mallopt(M_MMAP_MAX, 0) != 1 || mallopt(M_TRIM_THRESHOLD, INT_MAX) != 1))
		return false;
	return open_files(in);
}

static bool run_threads(struct ingest *in)
{
	uint32_t started_n = 0;
	bool is_good = true;
	while (started_n < in->params->threads && is_good) {
		struct thread *t = &in->threads[started_n];
		is_good = pthread_create(&t->id, NULL, run_thread, t) == 0;
		started_n += is_good ? 1 : 0;
	}
	for (uint32_t i = 0; i < started_n; i++) {
		pthread_join(in->threads[i].id, NULL);
		is_good &= !in->threads[i].is_failed;
	}
	return is_good;
}

/* Adds up what the threads have seen. */
static void settle(struct ingest *in, struct sl_pool_result *r)
{
	uint64_t now = resident_len();
	*r = in->sum;
	r->left_len = now - sl_min64(now, in->before_len);
	r->early_len /= sl_max64(1, in->early_n);
	r->late_len /= sl_max64(1, in->late_n);
	r->used_len /= sl_max64(1, in->late_n);
	for (uint32_t i = 0; i < in->params->threads; i++) {
		r->objects += in->threads[i].ended;
		r->bytes += in->threads[i].bytes;
		r->waits += in->threads[i].waits;
	}
}

static enum sl_status measure(struct ingest *in, struct sl_pool_result *r, struct sl_diag *d)
{
	struct rusage before, after;
	if (!prepare(in))
		return sl_fail(d, SL_E_NOMEM, errno, "pool", "cannot prepare");
	in->before_len = resident_len();
	uint64_t began_ns = sl_worker_clock();
	if (in->memory == SL_POOL_SLAB && !buy_pool(in))
		return sl_fail(d, SL_E_NOMEM, errno, "pool", "no memory for the pool");
	uint64_t bought_ns = sl_worker_clock();
	getrusage(RUSAGE_SELF, &before);
	if (!run_threads(in))
		return sl_fail(d, SL_E_IO, 0, "pool", "a thread or a copy failed");
	getrusage(RUSAGE_SELF, &after);
	in->sum.wall_ns = sl_worker_clock() - bought_ns;
	in->sum.start_ns = bought_ns - began_ns;
	in->sum.cpu_ns = cpu_ns(&after) - cpu_ns(&before);
	in->sum.faults =
		(uint64_t)(after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt);
	settle(in, r);
	return SL_OK;
}

enum sl_status sl_pool_run(enum sl_pool_memory memory, const struct sl_pool_params *params,
	struct sl_pool_result *result, struct sl_diag *d)
{
	struct ingest *in = calloc(1, sizeof(*in));
	if (in == NULL)
		return sl_fail(d, SL_E_NOMEM, errno, "pool", "cannot prepare");
	in->memory = memory;
	in->params = params;
	in->source = in->sink = -1;
	enum sl_status st = measure(in, result, d);
	for (uint32_t i = 0; i < params->threads; i++)
		free(in->threads[i].flights);
	if (in->source >= 0)
		close(in->source);
	if (in->sink >= 0)
		close(in->sink);
	if (in->pool.mem != NULL)
		munmap(in->pool.mem, params->buffers * params->buffer_len);
	free(in->pool.slots);
	free(in);
	return st;
}
