/* The seal's mark, and the arena that stands between libuv and malloc.
 *
 * The arena hands out pieces in order and never takes one back, except the last one: libuv allocates
 * a handful of tables at start and doubles one of them as descriptors rise, which a fixed sum covers.
 * It must be a global of this file, because uv_replace_allocator() has no argument to carry it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/seal.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <uv.h>

union piece {
	size_t len; /* bytes after this header */
	max_align_t align;
};

static struct {
	pthread_mutex_t lock;
	size_t used;
	_Alignas(64) uint8_t mem[SL_SEAL_ARENA];
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *arena_malloc(size_t n)
{
	union piece *piece = NULL;
	n = (n + sizeof(union piece) - 1) / sizeof(union piece) * sizeof(union piece);
	pthread_mutex_lock(&arena.lock);
	if (n + sizeof(union piece) <= sizeof(arena.mem) - arena.used) {
		piece = (union piece *)(void *)(arena.mem + arena.used);
		piece->len = n;
		arena.used += n + sizeof(union piece);
	}
	pthread_mutex_unlock(&arena.lock);
	return piece != NULL ? piece + 1 : NULL;
}

static void arena_free(void *p)
{
	if (p == NULL)
		return;
	union piece *piece = (union piece *)p - 1;
	pthread_mutex_lock(&arena.lock);
	if ((uint8_t *)p + piece->len == arena.mem + arena.used)
		arena.used -= piece->len + sizeof(union piece);
	pthread_mutex_unlock(&arena.lock);
}

static void *arena_calloc(size_t n, size_t size)
{
	uint64_t bytes;
	if (!sl_mul_ok(n, size, &bytes))
		return NULL;
	void *p = arena_malloc(bytes);
	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

static void *arena_realloc(void *p, size_t n)
{
	if (p == NULL)
		return arena_malloc(n);
	if (n == 0) {
		arena_free(p);
		return NULL;
	}
	size_t had = ((union piece *)p - 1)->len;
	if (n <= had)
		return p;
	void *grown = arena_malloc(n);
	if (grown != NULL) {
		memcpy(grown, p, had);
		arena_free(p);
	}
	return grown;
}

enum sl_status sl_seal_uv(struct sl_diag *d)
{
	if (uv_replace_allocator(arena_malloc, arena_realloc, arena_calloc, arena_free) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_CONFIG, 0, "libuv", "libuv takes no allocator of ours");
}

size_t sl_seal_uv_used(void)
{
	pthread_mutex_lock(&arena.lock);
	size_t used = arena.used;
	pthread_mutex_unlock(&arena.lock);
	return used;
}

void sl_seal_thread(void *arg)
{
	(void)arg;
	union {
		void *object;
		void (*call)(void);
	} hook = {.object = dlsym(RTLD_DEFAULT, "sl_seal_hook")};
	if (hook.object != NULL)
		hook.call();
}
