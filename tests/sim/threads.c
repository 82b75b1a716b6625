/* Threads as coroutines under a seeded scheduler, and the clock.
 *
 * A thread runs until a point (a lock, a wait, a system call), where chance decides who goes on. The
 * clock moves a little at each point, and to the next deadline when nobody can run. There is no
 * preemption between points; what two threads share without a lock is atomics, for which TSan stands.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/sim.h"
#include "sim/wraps.h"

#define THREADS SIM_THREADS
#define STACK   (512 * SL_KIB)

enum thread_state { THREAD_FREE, THREAD_READY, THREAD_BLOCKED, THREAD_DONE };

struct thread {
	enum thread_state state;
	bool is_node, was_woken;
	const void *channel; /* what it is blocked on */
	uint64_t until;      /* [ns] */
	void *(*main)(void *arg);
	void *arg;
	char name[16];
	void *stack; /* kept from run to run */
	void *sp;    /* while it does not run */
};

static struct {
	struct thread threads[THREADS]; /* [0] is the scheduler */
	unsigned self, n;               /* threads[n] and beyond were never used in this run */
	uint64_t now, random, hash, steps;
	bool is_verbose, is_quiet;
} world;

/* ---- chance, time, trace ---- */

uint64_t sim_hash(uint64_t a, uint64_t b)
{
	uint64_t x = (a + 0x9e3779b97f4a7c15u) ^ (b * 0xbf58476d1ce4e5b9u);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint32_t sim_below(uint32_t n)
{
	world.random += 0x9e3779b97f4a7c15u;
	return (uint32_t)((sim_hash(world.random, 0) >> 32) * n >> 32);
}

bool sim_one_in(unsigned den)
{
	return den > 0 && sim_below(den) == 0;
}

uint64_t sim_now_ns(void)
{
	return world.now;
}

void sim_set_verbose(bool is_verbose)
{
	world.is_verbose = is_verbose;
}

void sim_note(const char *what, uint64_t a, uint64_t b)
{
	uint64_t h = world.hash;
	for (const char *c = what; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 0x100000001b3u;
	world.hash = sim_hash(sim_hash(h ^ a, b), world.now ^ world.self);
	if (world.is_verbose)
		printf("%12.6f %-14s %s %" PRIu64 " %" PRIu64 "\n", (double)world.now / 1e9,
			world.threads[world.self].name, what, a, b);
}

uint64_t sim_trace_hash(void)
{
	return world.hash;
}

uint64_t sim_steps(void)
{
	return world.steps;
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;
	printf("\nFAILED after %" PRIu64 " steps, at %.6f s, in %s:\n  ", world.steps,
		(double)world.now / 1e9, world.threads[world.self].name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n  trace %016" PRIx64 "\n", world.hash);
	sim_plan_print();
	fflush(stdout);
	sim_end();
}

/* ---- switching ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 /* clang's way to say it */
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
/* AddressSanitizer wants to know which stack is in use. */
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(const volatile void *at, size_t size);

static const void *scheduler_stack;
static size_t scheduler_size;

static void announce(unsigned next, bool is_last)
{
	static void *ignored;
	__sanitizer_start_switch_fiber(is_last ? NULL : &ignored,
		next == 0 ? scheduler_stack : world.threads[next].stack,
		next == 0 ? scheduler_size : STACK);
}

static void arrived(void)
{
	const void *stack;
	size_t size;
	__sanitizer_finish_switch_fiber(NULL, &stack, &size);
	if (world.self != 0 && scheduler_stack == NULL) {
		scheduler_stack = stack;
		scheduler_size = size;
	}
}

static void clean(void *stack)
{
	__asan_unpoison_memory_region(stack, STACK);
}
#else
static void announce(unsigned next, bool is_last)
{
	(void)next;
	(void)is_last;
}

static void arrived(void)
{
}

static void clean(void *stack)
{
	(void)stack;
}
#endif

#if defined(__x86_64__)
/* Saves the callee's registers on the running stack, and goes on where `to` did the same. ucontext
 * would do, but makes a system call each time. */
void sim_switch(void **from_sp, void *to_sp);
__asm__(".text\n"
	".globl sim_switch\n"
	".type sim_switch, @function\n"
	"sim_switch:\n"
	"	endbr64\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n"
	"	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n"
	"	popq %r12\n	popq %rbx\n	popq %rbp\n"
	"	retq\n"
	".size sim_switch, .-sim_switch\n");

static void prepare(struct thread *t, void (*entry)(void))
{
	uintptr_t *top = (uintptr_t *)(void *)((char *)t->stack + STACK);
	*--top = 0; /* entry() sees the alignment of a call, and never returns */
	*--top = (uintptr_t)entry;
	for (int i = 0; i < 6; i++)
		*--top = 0;
	t->sp = top;
}

static void switch_to(struct thread *from, struct thread *to)
{
	sim_switch(&from->sp, to->sp);
}
#else
#include <ucontext.h>

static ucontext_t contexts[THREADS];

static void prepare(struct thread *t, void (*entry)(void))
{
	ucontext_t *c = &contexts[t - world.threads];
	getcontext(c);
	c->uc_stack.ss_sp = t->stack;
	c->uc_stack.ss_size = STACK;
	makecontext(c, entry, 0);
}

static void switch_to(struct thread *from, struct thread *to)
{
	swapcontext(&contexts[from - world.threads], &contexts[to - world.threads]);
}
#endif

static void run_thread(unsigned next)
{
	struct thread *was = &world.threads[world.self];
	announce(next, was->state == THREAD_DONE);
	world.self = next;
	switch_to(was, &world.threads[next]);
	arrived();
}

/* The first frame of every thread but the scheduler. */
static void thread_entry(void)
{
	arrived();
	struct thread *t = &world.threads[world.self];
	t->main(t->arg);
	t->state = THREAD_DONE;
	sim_wake(t, true);
	run_thread(0);
	abort();
}

/* ---- threads ---- */

unsigned sim_start(void *(*main)(void *arg), void *arg, bool is_node, const char *name)
{
	unsigned i = 1;
	while (i < THREADS && world.threads[i].state != THREAD_FREE)
		i++;
	if (i == THREADS)
		sim_fail("more than %d threads", THREADS - 1);
	struct thread *t = &world.threads[i];
	void *stack = t->stack;
	if (stack == NULL)
		stack = __real_mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	world.n = (unsigned)sl_max(world.n, i + 1);
	clean(stack);
	*t = (struct thread){.state = THREAD_READY,
		.is_node = is_node,
		.main = main,
		.arg = arg,
		.stack = stack};
	snprintf(t->name, sizeof(t->name), "%s", name);
	prepare(t, thread_entry);
	sim_note("start", i, is_node);
	return i;
}

void sim_threads_reset(uint64_t seed)
{
	for (unsigned i = 0; i < THREADS; i++)
		world.threads[i].state = THREAD_FREE;
	snprintf(world.threads[0].name, sizeof(world.threads[0].name), "scheduler");
	world.self = 0;
	world.n = 1;
	world.now = 1000 * SIM_MS;
	world.random = sim_hash(seed, 1);
	world.hash = seed;
	world.steps = 0;
	world.is_quiet = false;
}

void sim_kill_node(void)
{
	for (unsigned i = 1; i < THREADS; i++)
		if (world.threads[i].is_node)
			world.threads[i].state = THREAD_FREE;
}

bool sim_is_node(void)
{
	return world.threads[world.self].is_node;
}

unsigned sim_self(void)
{
	return world.self;
}

bool sim_is_over(unsigned thread)
{
	return world.threads[thread].state == THREAD_DONE;
}

void *sim_thread_channel(unsigned thread)
{
	return &world.threads[thread];
}

void sim_thread_name(unsigned thread, const char *name)
{
	snprintf(world.threads[thread].name, sizeof(world.threads[thread].name), "%s", name);
}

void sim_yield(void)
{
	if (world.self == 0 || world.is_quiet)
		return;
	world.now += 1000 * (1 + sim_below(20));
	if (sim_one_in(sim_plan.switch_den))
		run_thread(0);
}

void sim_quiet(bool is_quiet)
{
	world.is_quiet = is_quiet;
}

bool sim_is_quiet(void)
{
	return world.is_quiet;
}

bool sim_block(const void *channel, uint64_t until)
{
	struct thread *t = &world.threads[world.self];
	if (world.self == 0)
		sim_fail("the scheduler would have to wait");
	t->state = THREAD_BLOCKED;
	t->channel = channel;
	t->until = until;
	t->was_woken = false;
	run_thread(0);
	return t->was_woken;
}

void sim_sleep(uint64_t ns)
{
	(void)sim_block(NULL, world.now + ns);
}

static void make_ready(struct thread *t, bool was_woken)
{
	t->state = THREAD_READY;
	t->was_woken = was_woken;
}

void sim_wake(const void *channel, bool is_all)
{
	unsigned waiting[THREADS], n = 0;
	for (unsigned i = 1; i < world.n; i++)
		if (world.threads[i].state == THREAD_BLOCKED && world.threads[i].channel == channel)
			waiting[n++] = i;
	if (n > 0 && !is_all) {
		waiting[0] = waiting[sim_below(n)];
		n = 1;
	}
	for (unsigned i = 0; i < n; i++)
		make_ready(&world.threads[waiting[i]], true);
}

/* Who may run now; the earliest deadline of the others in *next. */
static unsigned find_ready(unsigned ready[THREADS], uint64_t *next)
{
	unsigned n = 0;
	*next = SIM_NEVER;
	for (unsigned i = 1; i < world.n; i++) {
		struct thread *t = &world.threads[i];
		if (t->state == THREAD_BLOCKED && t->until <= world.now)
			make_ready(t, false);
		if (t->state == THREAD_READY)
			ready[n++] = i;
		else if (t->state == THREAD_BLOCKED)
			*next = sl_min64(*next, t->until);
	}
	return n;
}

bool sim_step(void)
{
	unsigned ready[THREADS];
	uint64_t next;
	unsigned n = find_ready(ready, &next);
	if (n == 0 && next == SIM_NEVER)
		return false;
	if (n == 0) {
		world.now = next;
		n = find_ready(ready, &next);
	}
	unsigned chosen = ready[sim_below(n)];
	world.steps++;
	world.hash = sim_hash(world.hash, world.now ^ (uint64_t)chosen << 56);
	run_thread(chosen);
	return true;
}
