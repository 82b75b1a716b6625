/* The memory of the simulated process: an arena that is empty again when the process is gone.
 *
 * Sealed (from the moment the port is open until the stop) the daemon may not allocate at all: promise
 * 2. The simulator's own allocations, and the index twin's, go to the C library.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/sim.h"
#include "sim/wraps.h"

#define ARENA (256 * SL_MIB) /* address space */
#define PAGE  4096u
#define LARGE (16 * SL_MIB)
#define ALIGN 64u /* also of the header before each block: its size */

static struct {
	uint8_t *base;
	size_t used;
	unsigned own[SIM_THREADS]; /* depth of sim_own_begin(), by thread */
	unsigned blocks;           /* taken and not given back */
	bool is_exempt[SIM_THREADS];
	bool is_sealed;
} arena;

void sim_own_begin(void)
{
	arena.own[sim_self()]++;
}

void sim_own_end(void)
{
	arena.own[sim_self()]--;
}

void sim_memory_reset(void)
{
	arena.used = 0;
	arena.blocks = 0;
	memset(arena.own, 0, sizeof(arena.own));
	memset(arena.is_exempt, 0, sizeof(arena.is_exempt));
	arena.is_sealed = false;
}

void sim_memory_seal(bool is_sealed)
{
	arena.is_sealed = is_sealed;
}

void sim_memory_exempt(bool is_exempt)
{
	arena.is_exempt[sim_self()] = is_exempt;
}

unsigned sim_memory_blocks(void)
{
	return arena.blocks;
}

static bool is_ours(const void *p)
{
	return (const uint8_t *)p >= arena.base && (const uint8_t *)p < arena.base + ARENA;
}

static bool is_for_node(void)
{
	return arena.own[sim_self()] == 0 && sim_is_node();
}

static void *take(size_t n, size_t align)
{
	if (arena.is_sealed && !arena.is_exempt[sim_self()])
		sim_fail("%zu bytes are allocated after the start", n);
	if (arena.base == NULL)
		arena.base = __real_mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t at = (arena.used + ALIGN + align - 1) / align * align;
	if (n > ARENA - at)
		sim_fail("the process needs more than %zu MiB", (size_t)(ARENA / SL_MIB));
	memcpy(arena.base + at - sizeof(n), &n, sizeof(n));
	arena.used = at + n;
	arena.blocks++;
	return arena.base + at;
}

void *__wrap_malloc(size_t n)
{
	return is_for_node() ? take(n, ALIGN) : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (!is_for_node())
		return __real_calloc(n, size);
	void *p = take(n * size, ALIGN);
	memset(p, 0, n * size);
	return p;
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return is_for_node() ? take(n, sl_max(align, ALIGN)) : __real_aligned_alloc(align, n);
}

void __wrap_free(void *p)
{
	if (!is_ours(p))
		__real_free(p);
	else
		arena.blocks--;
}

void *__wrap_realloc(void *p, size_t n)
{
	if (!is_for_node() && !is_ours(p))
		return __real_realloc(p, n);
	void *grown = take(n, ALIGN);
	if (p != NULL) {
		size_t had;
		memcpy(&had, (uint8_t *)p - sizeof(had), sizeof(had));
		memcpy(grown, p, sl_min(had, n));
		arena.blocks--;
	}
	return grown;
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, long off)
{
	if (!is_for_node())
		return __real_mmap(at, n, prot, flags, fd, off);
	uint8_t *p = take(n, PAGE);
	size_t whole = n / PAGE * PAGE;
	/* What is large is mostly not touched. */
	if (n >= LARGE)
		(void)__real_madvise(p, whole, MADV_DONTNEED);
	memset(n >= LARGE ? p + whole : p, 0, n >= LARGE ? n - whole : n);
	return p;
}

int __wrap_munmap(void *at, size_t n)
{
	if (!is_ours(at))
		return __real_munmap(at, n);
	arena.blocks--;
	return 0;
}

int __wrap_madvise(void *at, size_t n, int advice)
{
	(void)at;
	(void)n;
	(void)advice;
	return 0;
}
