/* A storage whose threads cannot all be started: whichever fails, the open says so and nothing of it stays.
 * And each thread that does start is handed to whoever seals it, before it does anything else.
 *
 * This program's own sl_thread_start() stands in the place of storage/thread.c: it counts, and fails when
 * told to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/storage_rig.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>

#include "storage/thread.h"

enum { DISK_THREADS = 4, THREADS = DISK_THREADS + 5 /* dirsync, berths, indexer, trash, keeper */ };

static struct {
	unsigned started, fail_at; /* of the starts from now on, this one fails; 0 = none */
	char failed[32];           /* what it would have been */
} threads;

enum sl_status sl_thread_start(pthread_t *id, void *(*thread_main)(void *arg), void *arg,
	const char *what, struct sl_diag *d)
{
	if (++threads.started == threads.fail_at) {
		snprintf(threads.failed, sizeof(threads.failed), "%s", what);
		return sl_fail(d, SL_E_NOMEM, EAGAIN, what, "no thread");
	}
	sl_assert(pthread_create(id, NULL, thread_main, arg) == 0);
	return SL_OK;
}

/* ---- who was handed over ------------------------------------------------------------------------- */

struct seen {
	pthread_mutex_t lock;
	pthread_t id[2 * THREADS];
	unsigned n;
};

static void on_thread(void *arg)
{
	struct seen *s = arg;
	pthread_mutex_lock(&s->lock);
	sl_assert(s->n < SL_ARRAY_N(s->id));
	s->id[s->n++] = pthread_self();
	pthread_mutex_unlock(&s->lock);
}

static enum sl_status open_with(struct rig *r, struct seen *seen, struct sl_diag *d)
{
	const struct sl_storage_news news = {.on_thread = on_thread, .arg = seen};
	threads.started = 0;
	*d = (struct sl_diag){0};
	return sl_storage_open(&r->storage, &r->conf, &news, &rig_env, d);
}

static size_t descriptors(void)
{
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* ---- the tests ----------------------------------------------------------------------------------- */

/* All but the indexer's, on which LMDB buys memory. All live until the close: no two have one id. */
static void each_thread_but_the_indexers_is_handed_over_once(void **state)
{
	struct rig *r = *state;
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct sl_diag d;
	assert_int_equal(open_with(r, &seen, &d), SL_OK);
	assert_int_equal(threads.started, THREADS);
	sl_storage_close(&r->storage);
	assert_int_equal(seen.n, THREADS - 1);
	for (unsigned i = 0; i < seen.n; i++)
		for (unsigned k = 0; k < i; k++)
			assert_false(pthread_equal(seen.id[i], seen.id[k]));
}

static void a_thread_that_cannot_start_leaves_nothing(void **state)
{
	struct rig *r = *state;
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct sl_diag d;
	size_t before = descriptors();
	for (unsigned at = 1; at <= THREADS; at++) {
		threads.fail_at = at;
		seen.n = 0;
		assert_int_equal(open_with(r, &seen, &d), SL_E_NOMEM);
		assert_string_equal(d.where, threads.failed);
		assert_int_equal(threads.started, at); /* none after it */
		assert_int_equal(descriptors(), before);
	}
	threads.fail_at = 0;
	assert_int_equal(open_with(r, &seen, &d), SL_OK); /* the lock and the folders are free */
	sl_storage_close(&r->storage);
	assert_int_equal(descriptors(), before);
}

static int setup(void **state)
{
	static struct rig r;
	rig_open(&r);
	sl_storage_close(&r.storage);
	r.conf.threads = DISK_THREADS;
	r.conf.names_ahead = 8;
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_close(*state);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_thread_but_the_indexers_is_handed_over_once),
		T(a_thread_that_cannot_start_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
