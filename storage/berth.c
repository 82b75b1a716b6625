/* The stock of durable names in spool/, and the thread that fills it.
 *
 * Happy path: when half of the stock is gone, the thread makes as many empty files as are missing, joins
 * the shared fsync of spool/ once, and only when that has returned 0 do they come into stock, each with
 * the numbers that prove it: so a berth in stock has a durable name, always.
 *
 * The thread sleeps until it is asked, and it is asked by who takes. So a disk without room for names
 * costs one try for each object, which makes its own name then and is told what is wrong. An empty file
 * takes an inode: the stock is not filled where it would be more than a hundredth of the free ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/berth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/path.h"
#include "storage/thread.h"

#define FILE_MODE   0440 /* as all objects: store_fs.c */
#define INODE_SHARE 100  /* the stock is at most one of so many free inodes */

struct sl_berths {
	struct sl_berths_deps deps;
	pthread_mutex_t lock;
	pthread_cond_t asked;   /* there is something to do for the thread */
	pthread_cond_t synced;  /* the fsync that it waits for is over */
	struct sl_berth *stock; /* a ring of n; under lock */
	unsigned n, first, in_stock;
	bool is_asked, is_stopping;
	uint64_t taken, missed; /* for the statistics; under lock */
	uint64_t next;          /* number to give; the thread's */
	struct sl_berth *fresh; /* room for n; the thread's */
	struct sl_dirsync_wait wait;
	bool is_synced;             /* on_synced was called, with: ... under lock */
	enum sl_status sync_status; /* ... this */
	pthread_t id;
};

static void drop(const struct sl_berths *b, const struct sl_berth *berth)
{
	struct sl_path name;
	sl_path_berth(&name, berth->number);
	(void)unlinkat(b->deps.root->spool_fd, name.s, 0);
	close(berth->fd);
}

/* ---- the thread ----------------------------------------------------------------------------------- */

static bool make_one(struct sl_berths *b, struct sl_berth *out)
{
	const struct sl_root *root = b->deps.root;
	struct sl_path name;
	*out = (struct sl_berth){.number = b->next};
	sl_path_berth(&name, out->number);
	out->fd = openat(root->spool_fd, name.s, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, FILE_MODE);
	if (out->fd < 0)
		return false;
	b->next++;
	if (root->gid == (gid_t)-1 || fchown(out->fd, (uid_t)-1, root->gid) == 0)
		return true;
	drop(b, out);
	return false;
}

/* Whether so many empty files more are a small part of what the disk can still name. */
static bool has_inodes_for(const struct sl_berths *b, unsigned n)
{
	struct sl_water_fs fs;
	struct sl_diag none = {0};
	union {
		const struct sl_root *in;
		void *arg;
	} unconst = {.in = b->deps.root};
	if (sl_root_statfs_look(unconst.arg, &fs, &none) != SL_OK)
		return false;
	return fs.files == 0 || fs.files_avail / INODE_SHARE >= n;
}

static void on_synced(struct sl_dirsync_wait *w, enum sl_status st)
{
	struct sl_berths *b = sl_container_of(w, struct sl_berths, wait);
	pthread_mutex_lock(&b->lock);
	b->is_synced = true;
	b->sync_status = st;
	pthread_cond_signal(&b->synced);
	pthread_mutex_unlock(&b->lock);
}

/* The names that exist now become durable. */
static enum sl_status sync_names(struct sl_berths *b)
{
	b->is_synced = false;
	b->wait.on_synced = on_synced;
	sl_dirsync_join(b->deps.spool_sync, &b->wait);
	sl_dirsync_await(b->deps.spool_sync, &b->wait);
	pthread_mutex_lock(&b->lock);
	while (!b->is_synced)
		pthread_cond_wait(&b->synced, &b->lock);
	pthread_mutex_unlock(&b->lock);
	return b->sync_status;
}

static void latch(struct sl_berths *b, enum sl_status st)
{
	struct sl_diag d = {0};
	(void)sl_fail(&d, st, b->wait.errnum, "spool/fsync", "fsync of spool/: %s",
		strerror(b->wait.errnum));
	sl_latch_fail(b->deps.latch, &d);
}

/* Up to n more names, durable; what there is no room for is not there. Returns how many. */
static unsigned make(struct sl_berths *b, unsigned n)
{
	unsigned made = 0;
	if (sl_latch_is_failed(b->deps.latch) || !has_inodes_for(b, n))
		return 0;
	while (made < n && make_one(b, &b->fresh[made]))
		made++;
	if (made == 0)
		return 0;
	enum sl_status st = sync_names(b);
	if (st != SL_OK) {
		latch(b, st);
		while (made > 0)
			drop(b, &b->fresh[--made]);
	}
	for (unsigned i = 0; i < made; i++) {
		b->fresh[i].named_after = b->wait.named_after;
		b->fresh[i].covered_by = b->wait.covered_by;
	}
	return made;
}

static void *thread_main(void *arg)
{
	struct sl_berths *b = arg;
	if (b->deps.on_thread != NULL)
		b->deps.on_thread(b->deps.arg);
	pthread_mutex_lock(&b->lock);
	for (;;) {
		while (!b->is_asked && !b->is_stopping)
			pthread_cond_wait(&b->asked, &b->lock);
		if (b->is_stopping)
			break;
		b->is_asked = false;
		unsigned missing = b->n - b->in_stock;
		pthread_mutex_unlock(&b->lock);
		unsigned made = make(b, missing);
		pthread_mutex_lock(&b->lock);
		for (unsigned i = 0; i < made; i++)
			b->stock[(b->first + b->in_stock++) % b->n] = b->fresh[i];
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* ---- taking --------------------------------------------------------------------------------------- */

bool sl_berths_take(struct sl_berths *b, struct sl_berth *out)
{
	pthread_mutex_lock(&b->lock);
	bool is_there = b->in_stock > 0;
	if (is_there) {
		*out = b->stock[b->first];
		b->first = (b->first + 1) % b->n;
		b->in_stock--;
		b->taken++;
	} else {
		b->missed++;
	}
	if (b->in_stock <= b->n / 2 && !b->is_asked) {
		b->is_asked = true;
		pthread_cond_signal(&b->asked);
	}
	pthread_mutex_unlock(&b->lock);
	return is_there;
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void destroy(struct sl_berths *b)
{
	pthread_cond_destroy(&b->synced);
	pthread_cond_destroy(&b->asked);
	pthread_mutex_destroy(&b->lock);
	free(b->fresh);
	free(b->stock);
	free(b);
}

size_t sl_berths_memory(unsigned n)
{
	return sizeof(struct sl_berths) + 2ul * n * sizeof(struct sl_berth);
}

enum sl_status sl_berths_start(
	struct sl_berths **out, unsigned n, const struct sl_berths_deps *deps, struct sl_diag *d)
{
	sl_assert(n >= 1 && n <= SL_BERTHS_MAX);
	struct sl_berths *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "berths/start", "no memory");
	b->deps = *deps;
	b->n = n;
	b->next = sl_max64(deps->first, 1);
	b->is_asked = true; /* the first stock */
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->asked, NULL);
	pthread_cond_init(&b->synced, NULL);
	b->stock = calloc(n, sizeof(*b->stock));
	b->fresh = calloc(n, sizeof(*b->fresh));
	enum sl_status st = SL_OK;
	if (b->stock == NULL || b->fresh == NULL)
		st = sl_fail(d, SL_E_NOMEM, 0, "berths/start", "no memory");
	if (st == SL_OK)
		st = sl_thread_start(&b->id, thread_main, b, "berths/start", d);
	if (st == SL_OK)
		*out = b;
	else
		destroy(b);
	return st;
}

void sl_berths_stop(struct sl_berths *b)
{
	pthread_mutex_lock(&b->lock);
	b->is_stopping = true;
	pthread_cond_signal(&b->asked);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->id, NULL);
	for (; b->in_stock > 0; b->in_stock--) {
		drop(b, &b->stock[b->first]);
		b->first = (b->first + 1) % b->n;
	}
	destroy(b);
}

void sl_berths_stats(struct sl_berths *b, uint64_t *taken, uint64_t *missed)
{
	pthread_mutex_lock(&b->lock);
	*taken = b->taken;
	*missed = b->missed;
	pthread_mutex_unlock(&b->lock);
}
