/* The few words every file uses: attributes, assertions, array sizes, checked arithmetic.
 *
 * sl_assert() is always on and means "our own code is wrong": it prints where and aborts. A peer's
 * fault is never an assertion, it is an enum sl_status (status.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_MUST		__attribute__((warn_unused_result))
#define SL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SL_ARRAY_N(a)	(sizeof(a) / sizeof((a)[0]))
#define SL_KIB		((size_t)1024)
#define SL_MIB		(1024 * SL_KIB)
#define SL_GIB		(1024 * SL_MIB)

/* The struct that contains `member` at `ptr`. */
#define sl_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Aborts with file:line when `e` is false: a programming error, in every build type. */
#define sl_assert(e) ((e) ? (void)0 : sl_assert_failed(#e, __FILE__, __LINE__))
_Noreturn void sl_assert_failed(const char *expr, const char *file, int line);

static inline size_t sl_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t sl_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static inline uint64_t sl_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t sl_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* a + b and a * b into *out; false (and *out unspecified) when the result does not fit. */
SL_MUST static inline bool sl_add_ok(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

SL_MUST static inline bool sl_mul_ok(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}
