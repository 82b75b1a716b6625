/* Allocations that fail, beside call_preload.c, which counts and decides.
 *
 * A library of its own because a sanitizer's allocator must not be stepped in front of.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* The allocator of glibc itself: dlsym() would allocate. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

int call_fails(const char *name, const char *path) __attribute__((weak));

static int fails(const char *name)
{
	int e = call_fails != NULL ? call_fails(name, "") : 0;
	if (e > 0)
		errno = e;
	return e > 0;
}

void *malloc(size_t n)
{
	return fails("malloc") ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails("calloc") ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails("realloc") ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails("aligned_alloc") ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	if (fails("posix_memalign"))
		return ENOMEM;
	*out = __libc_memalign(align, n);
	return *out != NULL ? 0 : ENOMEM;
}
