/* Out of the archive by rename, out of the world by unlink.
 *
 * Folders are read by getdents64() into a buffer on the stack: no allocation on the thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"
#include "storage/thread.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define DEPTH_MAX    4    /* trash/, study, series, file */
#define NAMES        4096 /* bytes of names read at a time */

struct sl_trash {
	const struct sl_root *root;
	int spool_fd; /* our own descriptor: a failed fsync is told to each only once */
	struct sl_water *water;
	void (*on_freed)(void *arg);
	void *freed_arg;
	void (*on_thread)(void *arg);
	void *thread_arg;
	pthread_t thread;
	bool is_started;
	uint64_t next_seq;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t wake;
	bool is_stopping;
	uint64_t added; /* calls of add */
	struct sl_trash_stats stats;
};

/* ---- walking a tree ---- */

/* What is done with each file and folder found. */
struct walk {
	bool removes;           /* else it only counts */
	struct sl_trash *trash; /* whose counters follow; NULL: nobody's */
	uint64_t bytes, files, failures;
};

static bool is_stopping(struct sl_trash *t)
{
	pthread_mutex_lock(&t->lock);
	bool is = t->is_stopping;
	pthread_mutex_unlock(&t->lock);
	return is;
}

static void count_freed(struct walk *w, uint64_t bytes)
{
	struct sl_trash *t = w->trash;
	if (t == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	t->stats.freed_bytes += bytes;
	t->stats.freed_files++;
	t->stats.bytes -= sl_min64(t->stats.bytes, bytes);
	t->stats.files -= sl_min64(t->stats.files, 1);
	pthread_mutex_unlock(&t->lock);
	sl_water_removed(t->water, bytes);
}

static void visit_file(struct walk *w, int dirfd, const char *name, const struct stat *sb)
{
	uint64_t bytes = S_ISREG(sb->st_mode) ? (uint64_t)sb->st_size : 0;
	if (w->removes && unlinkat(dirfd, name, 0) != 0) {
		w->failures += errno != ENOENT;
		return;
	}
	w->bytes += bytes;
	w->files++;
	if (w->removes)
		count_freed(w, bytes);
}

static void visit_folder(struct walk *w, int dirfd, const char *name, int depth);

static void visit(struct walk *w, int dirfd, const char *name, int depth)
{
	struct stat sb;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	if (fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0) {
		w->failures += errno != ENOENT;
	} else if (S_ISDIR(sb.st_mode)) {
		visit_folder(w, dirfd, name, depth);
		if (w->removes && unlinkat(dirfd, name, AT_REMOVEDIR) != 0)
			w->failures += errno != ENOENT;
	} else {
		visit_file(w, dirfd, name, &sb);
	}
}

/* Everything in a folder; true when names were found. */
static bool visit_names(struct walk *w, int fd, int depth)
{
	_Alignas(struct dirent64) char names[NAMES];
	bool found = false;
	for (;;) {
		ssize_t n = getdents64(fd, names, sizeof(names));
		if (n <= 0) {
			w->failures += n < 0;
			return found;
		}
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(names + at);
			if (w->trash != NULL && is_stopping(w->trash))
				return found;
			found |=
				strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
			visit(w, fd, entry->d_name, depth);
			at += entry->d_reclen;
		}
	}
}

static void visit_folder(struct walk *w, int dirfd, const char *name, int depth)
{
	int fd = depth < DEPTH_MAX ? openat(dirfd, name, FOLDER_FLAGS) : -1;
	if (fd < 0) {
		w->failures++;
		return;
	}
	(void)visit_names(w, fd, depth + 1);
	close(fd);
}

/* ---- out of the archive ---- */

static enum sl_status sync_folder(const struct sl_root *root, int fd, struct sl_diag *d)
{
	if (!root->is_durable || fsync(fd) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_SYNC, errno, "trash/fsync",
		"fsync of a folder that a study or file leaves: %s", strerror(errno));
}

/* The folder that holds what is to go, and its name in there. */
static void name_doomed(const struct sl_index_tombstone *tomb, struct sl_path *folder,
	struct sl_path *leaf, struct sl_path *study)
{
	sl_path_study(study, &tomb->study_instance_uid);
	if (tomb->kind == SL_INDEX_TOMB_STUDY) {
		sl_path_fan(folder, &tomb->study_instance_uid);
		size_t fan = strlen(folder->s) + 1;
		memcpy(leaf->s, study->s + fan, strlen(study->s + fan) + 1);
	} else {
		sl_path_series(folder, &tomb->study_instance_uid, &tomb->series_instance_uid);
		sl_path_leaf(
			leaf, &tomb->sop_instance_uid, tomb->is_plain_name ? 0 : tomb->object_seq);
	}
}

/* Folders that an instance was the last in go too; one that is not empty stays. */
static void drop_empty_folders(
	const struct sl_root *root, const struct sl_path *series, const struct sl_path *study)
{
	if (unlinkat(root->archive_fd, series->s, AT_REMOVEDIR) == 0)
		(void)unlinkat(root->archive_fd, study->s, AT_REMOVEDIR);
}

static enum sl_status rename_or_unlink(
	const struct sl_root *root, int fd, const char *leaf, uint64_t seq, struct sl_diag *d)
{
	struct sl_path name;
	sl_path_trash(&name, seq);
	if (renameat(fd, leaf, root->trash_fd, name.s) == 0 || errno == ENOENT)
		return SL_OK;
	if (errno != ENOSPC && errno != EDQUOT)
		return sl_oserr_fail(d, "trash/rename");
	struct walk w = {.removes = true};
	visit(&w, fd, leaf, 1);
	return w.failures == 0
		       ? SL_OK
		       : sl_fail(d, SL_E_FULL, ENOSPC, "trash/rename",
				 "no room to move a study to trash/, nor could it be unlinked");
}

/* The folders that files leave, each open once: their fsyncs follow the last rename. */
struct sources {
	int fd[SL_TRASH_BATCH];
	ino_t inode[SL_TRASH_BATCH]; /* of one file system: archive/ is no mount */
	size_t n;
};

/* Opens `folder` of the archive, or finds it open. -1 and errno. */
static int open_source(struct sources *s, const struct sl_root *root, const char *folder)
{
	struct stat sb;
	int fd = sl_root_openat(root->archive_fd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return -1;
	if (fstat(fd, &sb) != 0) {
		int err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->inode[i] == sb.st_ino) {
			close(fd);
			return s->fd[i];
		}
	}
	s->inode[s->n] = sb.st_ino;
	s->fd[s->n] = fd;
	return s->fd[s->n++];
}

static enum sl_status move_one(const struct sl_root *root, struct sources *s,
	const struct sl_index_tombstone *tomb, struct sl_diag *d)
{
	struct sl_path folder, leaf, study;
	name_doomed(tomb, &folder, &leaf, &study);
	int fd = open_source(s, root, folder.s);
	if (fd < 0)
		return errno == ENOENT ? SL_OK : sl_oserr_fail(d, "trash/open");
	return rename_or_unlink(root, fd, leaf.s, tomb->seq, d);
}

enum sl_status sl_trash_move(const struct sl_root *root, const struct sl_index_tombstone *tombs,
	size_t n, struct sl_diag *d)
{
	struct sources from = {.n = 0};
	enum sl_status st = SL_OK;
	sl_assert(n <= SL_TRASH_BATCH);
	for (size_t i = 0; i < n && st == SL_OK; i++)
		st = move_one(root, &from, &tombs[i], d);
	if (st == SL_OK && from.n > 0)
		st = sync_folder(root, root->trash_fd, d);
	for (size_t i = 0; i < from.n; i++) {
		if (st == SL_OK)
			st = sync_folder(root, from.fd[i], d);
		close(from.fd[i]);
	}
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		struct sl_path folder, leaf, study;
		name_doomed(&tombs[i], &folder, &leaf, &study);
		if (tombs[i].kind == SL_INDEX_TOMB_INSTANCE)
			drop_empty_folders(root, &folder, &study);
	}
	return st;
}

void sl_trash_empty(const struct sl_root *root)
{
	struct walk w = {.removes = true};
	int fd = openat(root->trash_fd, ".", FOLDER_FLAGS);
	if (fd < 0)
		return;
	(void)visit_names(&w, fd, 1);
	close(fd);
}

enum sl_status sl_trash_sync_spool(struct sl_trash *t, struct sl_diag *d)
{
	if (!t->root->is_durable || fsync(t->spool_fd) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_SYNC, errno, "trash/spool", "fsync of spool/: %s", strerror(errno));
}

/* ---- the thread ---- */

/* One pass over trash/. True when it found anything. */
static bool empty_once(struct sl_trash *t)
{
	struct walk w = {.removes = true, .trash = t};
	int fd = openat(t->root->trash_fd, ".", FOLDER_FLAGS);
	bool found = fd >= 0 && visit_names(&w, fd, 1);
	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&t->lock);
	t->stats.failures += w.failures + (fd < 0);
	pthread_mutex_unlock(&t->lock);
	/* What only fails is not tried in a circle: it waits for more to come. */
	return found && w.files > 0;
}

static void empty(struct sl_trash *t, uint64_t added)
{
	struct sl_diag d = {0};
	while (!is_stopping(t) && empty_once(t))
		continue;
	pthread_mutex_lock(&t->lock);
	/* Nothing is left, so nothing is owed: sizes told and sizes found may differ. */
	if (t->added == added && !t->is_stopping)
		t->stats.bytes = t->stats.files = 0;
	pthread_mutex_unlock(&t->lock);
	(void)!sl_water_look(t->water, &d); /* one that fails is made again by the keeper */
	t->on_freed(t->freed_arg);
}

static void *thread_main(void *arg)
{
	struct sl_trash *t = arg;
	uint64_t seen = UINT64_MAX; /* the first pass is for what was left */
	if (t->on_thread != NULL)
		t->on_thread(t->thread_arg);
	for (;;) {
		pthread_mutex_lock(&t->lock);
		while (!t->is_stopping && t->added == seen)
			pthread_cond_wait(&t->wake, &t->lock);
		bool is_over = t->is_stopping;
		seen = t->added;
		pthread_mutex_unlock(&t->lock);
		if (is_over)
			return NULL;
		empty(t, seen);
	}
}

void sl_trash_add(struct sl_trash *t, uint64_t bytes, uint64_t files)
{
	pthread_mutex_lock(&t->lock);
	t->stats.bytes += bytes;
	t->stats.files += files;
	t->added++;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

struct sl_trash_stats sl_trash_stats(struct sl_trash *t)
{
	pthread_mutex_lock(&t->lock);
	struct sl_trash_stats stats = t->stats;
	pthread_mutex_unlock(&t->lock);
	return stats;
}

/* ---- life ---- */

/* Sizes and the highest <seq> of what an earlier run left. */
static enum sl_status measure(struct sl_trash *t, struct sl_diag *d)
{
	struct walk w = {0};
	uint64_t seq;
	int fd = openat(t->root->trash_fd, ".", FOLDER_FLAGS);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return sl_oserr_fail(d, "trash/list");
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		visit(&w, fd, entry->d_name, 1);
		if (sl_path_trash_seq(entry->d_name, &seq))
			t->next_seq = sl_max64(t->next_seq, seq + 1);
	}
	closedir(dir);
	t->stats.bytes = w.bytes;
	t->stats.files = w.files;
	return SL_OK;
}

enum sl_status sl_trash_open(struct sl_trash **out, const struct sl_root *root, struct sl_diag *d)
{
	struct sl_trash *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "trash", "no memory");
	t->root = root;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	t->spool_fd = openat(root->spool_fd, ".", FOLDER_FLAGS);
	enum sl_status st = t->spool_fd >= 0 ? measure(t, d) : sl_oserr_fail(d, "trash/spool");
	if (st != SL_OK) {
		sl_trash_close(t);
		return st;
	}
	*out = t;
	return SL_OK;
}

uint64_t sl_trash_next_seq(const struct sl_trash *t)
{
	return t->next_seq;
}

enum sl_status sl_trash_start(struct sl_trash *t, struct sl_water *water,
	void (*on_freed)(void *arg), void *freed_arg, void (*on_thread)(void *arg),
	void *thread_arg, struct sl_diag *d)
{
	t->water = water;
	t->on_freed = on_freed;
	t->freed_arg = freed_arg;
	t->on_thread = on_thread;
	t->thread_arg = thread_arg;
	enum sl_status st = sl_thread_start(&t->thread, thread_main, t, "trash/start", d);
	t->is_started = st == SL_OK;
	return st;
}

void sl_trash_stop(struct sl_trash *t)
{
	if (!t->is_started)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	t->is_started = false;
}

void sl_trash_close(struct sl_trash *t)
{
	if (t == NULL)
		return;
	if (t->spool_fd >= 0)
		close(t->spool_fd);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
