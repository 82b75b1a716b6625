/* Counts what the daemon's sealed threads (server/seal.h) copy and allocate: an LD_PRELOAD library.
 *
 *	SLUICE_COUNT=FILE        counters, as the enum below; the file is mapped, so a test may read it at
 *	                         any time (tests/net/counts.py)
 *	SLUICE_COUNT_POOL=BYTES  of the daemon's one big mapping: receive buffers and areas come first in it
 *	SLUICE_COUNT_ABORT=1     abort at the first allocation of a sealed thread, for its backtrace
 *
 * A copy is a call of memcpy or memmove out of or into received bytes, told apart by who calls: the daemon
 * itself or a library. The daemon is built for this with no builtin copies (sluiced_counted in
 * CMakeLists.txt). An allocation is a call of malloc and its kin, or of mmap.
 *
 * Exempt, because the daemon does not mark them: main thread, log writer, indexer (LMDB).
 * State is global because an interposer has nowhere else to keep it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAYLOAD = 512 }; /* bytes; a longer copy can only be one of payload */

enum counter {
	SEALED_THREADS,
	ALLOCS, /* of sealed threads */
	ALLOC_BYTES,
	SEALED_MAPS,
	MAPS, /* of all threads */
	OWN_COPIES,
	OWN_BYTES,
	OWN_LONGEST,
	OWN_PAYLOAD, /* copies longer than PAYLOAD */
	LIBRARY_COPIES,
	LIBRARY_BYTES,
	LIBRARY_LONGEST,
	LIBRARY_PAYLOAD,
	COUNTER_N
};

static struct {
	atomic_uint_least64_t *counters; /* shared with the test; NULL: nothing is counted */
	bool aborts;
	size_t pool_max;                /* SLUICE_COUNT_POOL */
	uintptr_t pool, pool_end;       /* receive memory */
	uintptr_t program, program_end; /* code of the daemon */
	void *(*memcpy)(void *, const void *, size_t);
	void *(*memmove)(void *, const void *, size_t);
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
} real;

static _Thread_local bool is_sealed;

/* ---- counting ----------------------------------------------------------------------------------- */

static void add(enum counter c, uint64_t n)
{
	if (real.counters != NULL)
		atomic_fetch_add_explicit(&real.counters[c], n, memory_order_relaxed);
}

static void raise_to(enum counter c, uint64_t n)
{
	if (real.counters == NULL)
		return;
	uint64_t was = atomic_load_explicit(&real.counters[c], memory_order_relaxed);
	while (was < n && !atomic_compare_exchange_weak(&real.counters[c], &was, n))
		;
}

static void note_alloc(size_t n)
{
	if (!is_sealed)
		return;
	add(ALLOCS, 1);
	add(ALLOC_BYTES, n);
	if (real.aborts)
		abort();
}

static bool is_within(uintptr_t at, uintptr_t begin, uintptr_t end)
{
	return at >= begin && at < end;
}

static void note_copy(const void *to, const void *from, size_t n, const void *caller)
{
	if (!is_sealed || !(is_within((uintptr_t)to, real.pool, real.pool_end) ||
				  is_within((uintptr_t)from, real.pool, real.pool_end)))
		return;
	bool is_own = is_within((uintptr_t)caller, real.program, real.program_end);
	enum counter first = is_own ? OWN_COPIES : LIBRARY_COPIES;
	add(first, 1);
	add(first + 1, n);
	raise_to(first + 2, n);
	if (n > PAYLOAD)
		add(first + 3, 1);
}

/* Called by the daemon on each thread that may not allocate from here on. */
__attribute__((visibility("default"))) void sl_seal_hook(void);
void sl_seal_hook(void)
{
	is_sealed = true;
	add(SEALED_THREADS, 1);
}

/* ---- copies -------------------------------------------------------------------------------------- */

static void *copy_by_bytes(void *to, const void *from, size_t n)
{
	volatile uint8_t *t = to;
	const volatile uint8_t *f = from;
	if (t <= f) {
		for (size_t i = 0; i < n; i++)
			t[i] = f[i];
	} else {
		for (size_t i = n; i-- > 0;)
			t[i] = f[i];
	}
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	note_copy(to, from, n, __builtin_return_address(0));
	return real.memcpy != NULL ? real.memcpy(to, from, n) : copy_by_bytes(to, from, n);
}

void *memmove(void *to, const void *from, size_t n)
{
	note_copy(to, from, n, __builtin_return_address(0));
	return real.memmove != NULL ? real.memmove(to, from, n) : copy_by_bytes(to, from, n);
}

/* What libraries built with _FORTIFY_SOURCE call. */
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t n, size_t room);
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t n, size_t room)
{
	if (n > room)
		abort();
	note_copy(to, from, n, __builtin_return_address(0));
	return real.memcpy != NULL ? real.memcpy(to, from, n) : copy_by_bytes(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t room);
void *__memmove_chk(void *to, const void *from, size_t n, size_t room)
{
	if (n > room)
		abort();
	note_copy(to, from, n, __builtin_return_address(0));
	return real.memmove != NULL ? real.memmove(to, from, n) : copy_by_bytes(to, from, n);
}

/* ---- memory -------------------------------------------------------------------------------------- */

/* dlsym() asks for memory before it has found calloc: a few bytes that are never given back. */
static struct {
	size_t used;
	_Alignas(16) uint8_t bytes[4096];
} early;

static void *early_calloc(size_t n)
{
	void *p = early.bytes + early.used;
	early.used += (n + 15) / 16 * 16;
	if (early.used > sizeof(early.bytes))
		abort();
	return p;
}

static void find(void *into, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);
	if (p == NULL)
		abort();
	*(void **)into = p;
}

void *malloc(size_t n)
{
	note_alloc(n);
	if (real.malloc == NULL)
		find(&real.malloc, "malloc");
	return real.malloc(n);
}

void *calloc(size_t n, size_t size)
{
	static _Thread_local bool is_finding;
	note_alloc(n * size);
	if (is_finding)
		return early_calloc(n * size);
	if (real.calloc == NULL) {
		is_finding = true;
		find(&real.calloc, "calloc");
		is_finding = false;
	}
	return real.calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	note_alloc(n);
	if (real.realloc == NULL)
		find(&real.realloc, "realloc");
	return real.realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	note_alloc(n);
	if (real.aligned_alloc == NULL)
		find(&real.aligned_alloc, "aligned_alloc");
	return real.aligned_alloc(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	note_alloc(n);
	if (real.posix_memalign == NULL)
		find(&real.posix_memalign, "posix_memalign");
	return real.posix_memalign(out, align, n);
}

/* The first anonymous mapping that can hold as much is the daemon's memory. */
static void note_map(void *at, size_t n, int flags)
{
	add(MAPS, 1);
	if (is_sealed)
		add(SEALED_MAPS, 1);
	if (real.pool == 0 && real.pool_max > 0 && (flags & MAP_ANONYMOUS) != 0 &&
		n >= real.pool_max) {
		real.pool = (uintptr_t)at;
		real.pool_end = real.pool + real.pool_max;
	}
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	void *p = (void *)syscall(SYS_mmap, at, n, prot, flags, fd, off);
	if (p != MAP_FAILED)
		note_map(p, n, flags);
	return p;
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t off)
{
	return mmap(at, n, prot, flags, fd, off);
}

/* ---- start --------------------------------------------------------------------------------------- */

/* The first object is the program; its executable segments are its code. */
static int note_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		if (ph->p_type != PT_LOAD || (ph->p_flags & PF_X) == 0)
			continue;
		real.program = info->dlpi_addr + ph->p_vaddr;
		real.program_end = real.program + ph->p_memsz;
	}
	return 1;
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("SLUICE_COUNT"), *pool = getenv("SLUICE_COUNT_POOL");
	find(&real.memcpy, "memcpy");
	find(&real.memmove, "memmove");
	real.pool_max = pool != NULL ? strtoul(pool, NULL, 10) : 0;
	real.aborts = getenv("SLUICE_COUNT_ABORT") != NULL;
	dl_iterate_phdr(note_program, NULL);
	if (path == NULL)
		return;
	size_t n = COUNTER_N * sizeof(*real.counters);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)n) != 0)
		abort();
	void *p = (void *)syscall(SYS_mmap, NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		abort();
	real.counters = p;
}
