/* Counts what the process asks the allocator and the kernel for; include in one file of a program.
 *
 * Plain builds put counting functions in front of the C library's; under a sanitizer, which owns
 * malloc, its hook counts instead (and mappings are not seen).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ALLOCS_BY_HOOK
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCS_BY_HOOK
#endif

static atomic_ulong allocs_n; /* malloc, calloc, realloc, mmap, brk by malloc counted as malloc */

#ifdef ALLOCS_BY_HOOK

int __sanitizer_install_malloc_and_free_hooks(
	void (*on_malloc)(const volatile void *, size_t), void (*on_free)(const volatile void *));

static void allocs_on_malloc(const volatile void *at, size_t n)
{
	(void)at;
	(void)n;
	atomic_fetch_add(&allocs_n, 1);
}

static void allocs_on_free(const volatile void *at)
{
	(void)at;
}

static inline void allocs_init(void)
{
	assert_true(__sanitizer_install_malloc_and_free_hooks(allocs_on_malloc, allocs_on_free));
}

#else

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *at, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *at, size_t n);

void *malloc(size_t n)
{
	atomic_fetch_add(&allocs_n, 1);
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	atomic_fetch_add(&allocs_n, 1);
	return __libc_calloc(n, size);
}

void *realloc(void *at, size_t n)
{
	atomic_fetch_add(&allocs_n, 1);
	return __libc_realloc(at, n);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	atomic_fetch_add(&allocs_n, 1);
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, off);
}

static inline void allocs_init(void)
{
}

#endif
