/* Who takes which folder, and the way down from there.
 *
 * The upper level, archive/ with its 256 folders, is read under a lock by whoever wants the next one. Below,
 * each thread reads folders by getdents64() into its own memory: a study of one file costs two openings
 * and no allocation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/digest.h"
#include "storage/oserr.h"
#include "storage/thread.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC)

enum {
	ENTRIES_BYTES = 32 * 1024, /* of one getdents64() */
	ENTRIES_MAX = ENTRIES_BYTES / 24,
};

/* Folders, by how far below archive/ they are. */
enum level { FAN, STUDY, SERIES, LEVELS };

struct scan {
	const struct sl_root *root;
	const struct sl_scan_conf *conf;
	pthread_mutex_t lock;  /* all below but has_failed */
	DIR *top;              /* archive/ */
	unsigned fans, fans_n; /* begun, of how many */
	unsigned running;      /* threads that have not ended */
	pthread_cond_t ended;  /* one did */
	enum sl_status status; /* of the first that failed */
	struct sl_diag diag;
	atomic_bool has_failed;
};

/* Entries of a folder, as many as one call gives. */
struct entries {
	struct dirent64 *sorted[ENTRIES_MAX];
	size_t n;
	_Alignas(8) char bytes[ENTRIES_BYTES];
};

struct worker {
	struct scan *scan;
	unsigned no;
	pthread_t id;
	char path[4 * (NAME_MAX + 1)]; /* beneath archive/, of what is looked at */
	uint64_t sum;                  /* of the folders of the fan so far */
	struct entries entries[LEVELS];
};

static enum sl_status fail_errno(struct sl_diag *d, const char *where, const char *path)
{
	int e = errno;
	return sl_fail(d, sl_oserr_status(e), e, where, "%.90s: %s", path, strerror(e));
}

/* Opens a folder beneath another. O_NOATIME is for owners alone. */
static int open_folder(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, FOLDER_FLAGS);
	return fd >= 0 || errno != EPERM ? fd : openat(dirfd, name, FOLDER_FLAGS & ~O_NOATIME);
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static enum sl_status tell_bad(struct worker *w, enum sl_status why, struct sl_diag *d)
{
	const struct sl_scan_conf *conf = w->scan->conf;
	return conf->on_bad(conf->arg, w->no, w->path, why, d);
}

static enum sl_status tell_stray(struct worker *w, struct sl_diag *d)
{
	return tell_bad(w, SL_E_UNSUPPORTED, d);
}

/* ---- the way down ------------------------------------------------------------------------------- */

static int by_inode(const void *a, const void *b)
{
	const struct dirent64 *x = *(struct dirent64 *const *)a, *y = *(struct dirent64 *const *)b;
	return (x->d_ino > y->d_ino) - (x->d_ino < y->d_ino);
}

/* The next entries of an open folder; e->n is 0 at its end. */
static enum sl_status read_entries(int fd, struct entries *e, const char *path, struct sl_diag *d)
{
	ssize_t got = getdents64(fd, e->bytes, sizeof(e->bytes));
	e->n = 0;
	if (got < 0 && errno == ENOENT) /* on_file() took its last file away, and it with it */
		return SL_OK;
	if (got < 0)
		return fail_errno(d, "archive/list", path);
	for (ssize_t at = 0; at < got && e->n < ENTRIES_MAX;) {
		struct dirent64 *entry = (struct dirent64 *)(void *)(e->bytes + at);
		if (!is_dot(entry->d_name))
			e->sorted[e->n++] = entry;
		at += entry->d_reclen;
	}
	if (e->n == 0 && got > 0) /* nothing but the dots */
		return read_entries(fd, e, path, d);
	if (e->n > 1)
		qsort(e->sorted, e->n, sizeof(e->sorted[0]), by_inode);
	return SL_OK;
}

/* Appends a component to the worker's path of length len. */
static void step_into(struct worker *w, size_t len, const char *name)
{
	size_t n = strlen(name);
	sl_assert(len + 1 + n < sizeof(w->path));
	if (len > 0)
		w->path[len++] = '/';
	memcpy(w->path + len, name, n + 1);
}

static enum sl_status see_file(
	struct worker *w, int folder_fd, const struct dirent64 *entry, struct sl_diag *d)
{
	const struct sl_scan_conf *conf = w->scan->conf;
	const struct sl_scan_file f = {folder_fd, entry->d_name, w->path};
	bool is_file = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
	if (!is_file || entry->d_name[0] == '.' || strlen(w->path) >= SL_PATH_MAX)
		return tell_stray(w, d);
	return conf->on_file(conf->arg, w->no, &f, d);
}

/* A folder as it is before it is read: another sum, if anything was put into it or taken out since. */
static void add_to_sum(struct worker *w, const struct stat *sb)
{
	struct {
		uint64_t inode, changed_s, changed_ns, path;
	} said = {sb->st_ino, (uint64_t)sb->st_ctim.tv_sec, (uint64_t)sb->st_ctim.tv_nsec,
		sl_digest_short(w->path, strlen(w->path))};
	w->sum += sl_digest_short(&said, sizeof(said));
}

static enum sl_status enter(
	struct worker *w, int dirfd, const char *name, enum level level, struct sl_diag *d);

/* w->path: what stands in a folder of that level. */
static enum sl_status see_entry(
	struct worker *w, int fd, const struct dirent64 *entry, enum level level, struct sl_diag *d)
{
	if (level == SERIES)
		return see_file(w, fd, entry, d);
	bool is_folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
	if (!is_folder || entry->d_name[0] == '.')
		return tell_stray(w, d);
	return enter(w, fd, entry->d_name, level + 1, d);
}

static enum sl_status see_folder(struct worker *w, int fd, enum level level, struct sl_diag *d)
{
	struct entries *e = &w->entries[level];
	size_t len = strlen(w->path);
	enum sl_status st;
	do {
		st = read_entries(fd, e, w->path, d);
		for (size_t i = 0; st == SL_OK && i < e->n; i++) {
			if (atomic_load_explicit(&w->scan->has_failed, memory_order_relaxed))
				return SL_END;
			step_into(w, len, e->sorted[i]->d_name);
			st = see_entry(w, fd, e->sorted[i], level, d);
		}
		w->path[len] = '\0';
	} while (st == SL_OK && e->n > 0);
	return st;
}

/* After a call on the folder w->path failed: told and passed over. */
static enum sl_status tell_closed(struct worker *w, struct sl_diag *d)
{
	struct sl_diag why = {0};
	if (errno == ENOTDIR || errno == ELOOP)
		return tell_stray(w, d);
	enum sl_status st = fail_errno(&why, "archive/open", w->path);
	st = tell_bad(w, st, &why);
	if (st != SL_OK)
		*d = why;
	return st;
}

/* A series of which only the folder counts. */
static enum sl_status glance(struct worker *w, int dirfd, const char *name, struct sl_diag *d)
{
	struct stat sb;
	if (fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
		return tell_closed(w, d);
	if (!S_ISDIR(sb.st_mode))
		return tell_stray(w, d);
	add_to_sum(w, &sb);
	return SL_OK;
}

/* Goes through the folder of w->path; three levels, so this ends. */
static enum sl_status enter(
	struct worker *w, int dirfd, const char *name, enum level level, struct sl_diag *d)
{
	const struct sl_scan_conf *conf = w->scan->conf;
	struct stat sb;
	if (conf->on_file == NULL && level == SERIES)
		return glance(w, dirfd, name, d);
	int fd = open_folder(dirfd, name);
	if (fd < 0)
		return tell_closed(w, d);
	enum sl_status st = SL_OK;
	if (conf->on_fan != NULL && fstat(fd, &sb) != 0)
		st = tell_closed(w, d);
	else if (conf->on_fan != NULL)
		add_to_sum(w, &sb);
	if (st == SL_OK)
		st = see_folder(w, fd, level, d);
	close(fd);
	return st;
}

/* ---- archive/ ----------------------------------------------------------------------------------- */

/* The next name of archive/ that is not a dot: SL_OK, or SL_END. */
static enum sl_status next_name(DIR *dir, struct dirent **entry, struct sl_diag *d)
{
	do {
		errno = 0;
		*entry = readdir(dir);
		if (*entry == NULL)
			return errno == 0 ? SL_END : fail_errno(d, "archive/list", "archive");
	} while (is_dot((*entry)->d_name));
	return SL_OK;
}

static enum sl_status open_top(struct scan *s, struct sl_diag *d)
{
	int fd = open_folder(s->root->archive_fd, ".");
	s->top = fd >= 0 ? fdopendir(fd) : NULL;
	if (s->top != NULL)
		return SL_OK;
	enum sl_status st = fail_errno(d, "archive/open", "archive");
	if (fd >= 0)
		close(fd);
	return st;
}

/* Sets w->path to the next folder, or to what stands in its place. SL_END: all are taken. */
static enum sl_status next_fan(struct worker *w, bool *is_stray, struct sl_diag *d)
{
	struct scan *s = w->scan;
	struct dirent *entry;
	enum sl_status st;
	pthread_mutex_lock(&s->lock);
	do {
		st = next_name(s->top, &entry, d);
		s->fans += st == SL_OK;
	} while (st == SL_OK && s->conf->wants != NULL &&
		 !s->conf->wants(s->conf->arg, entry->d_name));
	w->path[0] = '\0';
	if (st == SL_OK) {
		step_into(w, 0, entry->d_name);
		*is_stray = entry->d_name[0] == '.' ||
			    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN);
	}
	pthread_mutex_unlock(&s->lock);
	return st;
}

static enum sl_status see_fan(struct worker *w, struct sl_diag *d)
{
	const struct sl_scan_conf *conf = w->scan->conf;
	w->sum = 0;
	enum sl_status st = enter(w, w->scan->root->archive_fd, w->path, FAN, d);
	if (st != SL_OK || conf->on_fan == NULL)
		return st;
	return conf->on_fan(conf->arg, w->no, &(struct sl_scan_fan){w->path, w->sum}, d);
}

/* ---- the threads -------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct scan *s = w->scan;
	struct sl_diag d = {0};
	enum sl_status st = SL_OK;
	while (st == SL_OK && !atomic_load_explicit(&s->has_failed, memory_order_relaxed)) {
		bool is_stray = false;
		st = next_fan(w, &is_stray, &d);
		if (st == SL_OK)
			st = is_stray ? tell_stray(w, &d) : see_fan(w, &d);
	}
	pthread_mutex_lock(&s->lock);
	if (st != SL_OK && st != SL_END) {
		atomic_store_explicit(&s->has_failed, true, memory_order_relaxed);
		if (s->status == SL_OK) {
			s->status = st;
			s->diag = d;
		}
	}
	s->running--;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* How many folders archive/ has, for the share that is done. */
static enum sl_status count_fans(struct scan *s, struct sl_diag *d)
{
	struct dirent *entry;
	enum sl_status st;
	while ((st = next_name(s->top, &entry, d)) == SL_OK)
		s->fans_n++;
	rewinddir(s->top);
	return st == SL_END ? SL_OK : st;
}

static struct timespec in_ms(uint32_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

/* Until all threads have ended, with a tick now and then. */
static void wait_for_all(struct scan *s)
{
	const struct sl_scan_conf *conf = s->conf;
	bool ticks = conf->on_tick != NULL && conf->tick_ms > 0;
	struct timespec at = in_ms(conf->tick_ms);
	pthread_mutex_lock(&s->lock);
	while (s->running > 0) {
		if (!ticks) {
			pthread_cond_wait(&s->ended, &s->lock);
		} else if (pthread_cond_timedwait(&s->ended, &s->lock, &at) == ETIMEDOUT) {
			unsigned permille = s->fans_n > 0 ? s->fans * 1000 / s->fans_n : 1000;
			pthread_mutex_unlock(&s->lock);
			conf->on_tick(conf->arg, (unsigned)sl_min(permille, 999));
			at = in_ms(conf->tick_ms);
			pthread_mutex_lock(&s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* Starts up to n threads; fewer do, too. */
static enum sl_status start(
	struct scan *s, struct worker *workers, unsigned n, unsigned *started, struct sl_diag *d)
{
	struct sl_diag why = {0};
	enum sl_status st = SL_OK;
	for (*started = 0; *started < n; ++*started) {
		struct worker *w = &workers[*started];
		w->scan = s;
		w->no = *started;
		pthread_mutex_lock(&s->lock);
		s->running++;
		pthread_mutex_unlock(&s->lock);
		st = sl_thread_start(&w->id, thread_main, w, "scan", &why);
		if (st != SL_OK) {
			pthread_mutex_lock(&s->lock);
			s->running--;
			pthread_mutex_unlock(&s->lock);
			break;
		}
	}
	if (*started == 0)
		*d = why;
	return *started > 0 ? SL_OK : st;
}

enum sl_status sl_scan_archive(
	const struct sl_root *root, const struct sl_scan_conf *conf, struct sl_diag *d)
{
	sl_assert(conf->on_file != NULL || conf->on_fan != NULL);
	struct scan s = {.root = root, .conf = conf, .status = SL_OK};
	unsigned n = (unsigned)sl_min(sl_max(conf->threads, 1), SL_SCAN_THREADS_MAX), started = 0;
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s.ended, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_init(&s.lock, NULL);
	struct worker *workers = calloc(n, sizeof(*workers));
	enum sl_status st = workers != NULL ? open_top(&s, d)
					    : sl_fail(d, SL_E_NOMEM, ENOMEM, "scan", "no memory");
	if (st == SL_OK)
		st = count_fans(&s, d);
	if (st == SL_OK)
		st = start(&s, workers, n, &started, d);
	if (st == SL_OK)
		wait_for_all(&s);
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].id, NULL);
	if (st == SL_OK && s.status != SL_OK) {
		*d = s.diag;
		st = s.status;
	}
	if (s.top != NULL)
		closedir(s.top);
	free(workers);
	pthread_cond_destroy(&s.ended);
	pthread_mutex_destroy(&s.lock);
	return st;
}
