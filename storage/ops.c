/* The file of operations: read whole at open, then only appended to, or written anew.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/ops_line.h"
#include "storage/oserr.h"
#include "storage/path.h"

#define TITLE    "sluice-ops 1\n"
#define AHEAD    (64 * SL_KIB)  /* room kept for lines to come */
#define LONG     (256 * SL_KIB) /* written anew when it is longer... */
#define WORTH    4              /* ...and that many times what would be left */
#define FILE_MAX SL_GIB

/* Something that was taken out. */
struct gone {
	struct sl_uid uid;
	uint64_t seq; /* a study: what is below it; an object: itself */
	bool is_study;
};

struct sl_ops {
	const struct sl_root *root;
	struct gone *gone; /* as it was at open, by UID */
	size_t gone_n, gone_cap;
	pthread_mutex_t lock; /* everything below */
	int fd;
	off_t len, room;     /* of the file; up to where blocks are kept for it */
	struct sl_uid *pins; /* ascending */
	size_t pins_n, pins_cap;
};

/* ---- pins --------------------------------------------------------------------------------------- */

static int by_uid(const void *a, const void *b)
{
	const struct sl_uid *x = a, *y = b;
	return strcmp(x->s, y->s);
}

/* Where the study is in the list, or would be. */
static size_t place_of(const struct sl_ops *ops, const struct sl_uid *study, bool *is_there)
{
	size_t lo = 0, hi = ops->pins_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (by_uid(&ops->pins[mid], study) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*is_there = lo < ops->pins_n && by_uid(&ops->pins[lo], study) == 0;
	return lo;
}

/* Room for one more. */
static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	size_t wanted = *cap == 0 ? 64 : *cap * 2;
	void *grown = realloc(*items, wanted * size);
	if (grown == NULL)
		return false;
	*items = grown;
	*cap = wanted;
	return true;
}

static bool grow_pins(struct sl_ops *ops)
{
	return grow((void **)&ops->pins, ops->pins_n, &ops->pins_cap, sizeof(ops->pins[0]));
}

/* With room for one. */
static void set_pin(struct sl_ops *ops, const struct sl_uid *study, bool is_pinned)
{
	bool is_there;
	size_t at = place_of(ops, study, &is_there);
	struct sl_uid *place = ops->pins + at;
	if (is_there == is_pinned)
		return;
	size_t behind = (ops->pins_n - at - is_there) * sizeof(*place);
	if (is_pinned) {
		memmove(place + 1, place, behind);
		*place = *study;
		ops->pins_n++;
	} else {
		memmove(place, place + 1, behind);
		ops->pins_n--;
	}
}

/* ---- the file, read ----------------------------------------------------------------------------- */

/* Does what the words of a sound line say. SL_E_CORRUPT: they say nothing. */
static enum sl_status apply(struct sl_ops *ops, char *words)
{
	char *rest = NULL;
	const char *verb = strtok_r(words, " ", &rest);
	bool is_study = verb != NULL && strcmp(verb, "gone-studies") == 0;
	bool is_gone = is_study || (verb != NULL && strcmp(verb, "gone-object") == 0);
	bool is_pinned = verb != NULL && strcmp(verb, "pin") == 0;
	if (verb == NULL || (!is_gone && !is_pinned && strcmp(verb, "unpin") != 0))
		return SL_E_CORRUPT;
	for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;) {
		struct gone g = {.is_study = is_study};
		if (!sl_ops_line_word(word, &g.uid, is_gone ? &g.seq : NULL))
			return SL_E_CORRUPT;
		if (!grow_pins(ops) || !grow((void **)&ops->gone, ops->gone_n, &ops->gone_cap,
					       sizeof(ops->gone[0])))
			return SL_E_NOMEM;
		if (is_gone)
			ops->gone[ops->gone_n++] = g;
		else
			set_pin(ops, &g.uid, is_pinned);
	}
	return SL_OK;
}

static enum sl_status damaged(const struct sl_ops *ops, size_t line, struct sl_diag *d)
{
	return sl_fail(d, SL_E_CORRUPT, 0, "journal/ops",
		"%.70s/" SL_PATH_JOURNAL "/" SL_PATH_OPS
		" line %zu is damaged: mend it or remove the line",
		ops->root->path, line);
}

/* Applies every line of text[n]; *good is where the last sound one ends. */
static enum sl_status read_lines(
	struct sl_ops *ops, char *text, size_t n, size_t *good, struct sl_diag *d)
{
	size_t bad_line = 0;
	*good = strlen(TITLE);
	for (size_t at = *good, line = 2; at < n; line++) {
		char *end = memchr(text + at, '\n', n - at);
		size_t len = end != NULL ? (size_t)(end - (text + at)) : n - at;
		if (end == NULL || !sl_ops_line_is_sound(text + at, len)) {
			bad_line = bad_line == 0 ? line : bad_line;
		} else if (bad_line != 0) {
			return damaged(ops, bad_line, d);
		} else {
			*end = '\0';
			enum sl_status st = apply(ops, text + at + SL_OPS_HASH + 1);
			if (st == SL_E_NOMEM)
				return sl_fail(d, st, 0, "journal/ops", "no memory");
			if (st != SL_OK)
				return damaged(ops, line, d);
			*good = at + len + 1;
		}
		at += len + 1;
	}
	return SL_OK;
}

static enum sl_status sync_fd(
	const struct sl_ops *ops, int fd, const char *where, struct sl_diag *d)
{
	if (!ops->root->is_durable || fsync(fd) == 0)
		return SL_OK;
	return sl_fail(d, SL_E_SYNC, errno, where, "fsync of the journal: %s", strerror(errno));
}

/* Keeps room for what is to come, as long as there is some: a full disk is when it will be needed. */
static void keep_room(struct sl_ops *ops)
{
	if (ops->len + (off_t)SL_OPS_LINE_MAX <= ops->room)
		return;
	if (fallocate(ops->fd, FALLOC_FL_KEEP_SIZE, ops->len, AHEAD) == 0)
		ops->room = ops->len + (off_t)AHEAD;
}

static enum sl_status read_file(struct sl_ops *ops, size_t n, struct sl_diag *d)
{
	size_t good = n, title = strlen(TITLE);
	char *text = malloc(n + 1);
	if (text == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "journal/ops", "no memory");
	enum sl_status st = SL_OK;
	ssize_t got = pread(ops->fd, text, n, 0);
	if (got < 0 || (size_t)got != n)
		st = sl_fail(d, SL_E_IO, errno, "journal/read", "cannot read the journal");
	else if (memcmp(text, TITLE, title) != 0)
		st = sl_fail(d, SL_E_UNSUPPORTED, 0, "journal/ops",
			"%.90s/" SL_PATH_JOURNAL "/" SL_PATH_OPS
			" is none of this program's: run the newer one",
			ops->root->path);
	else
		st = read_lines(ops, text, n, &good, d);
	free(text);
	if (st == SL_OK && good < n && ftruncate(ops->fd, (off_t)good) != 0)
		st = sl_oserr_fail(d, "journal/truncate");
	ops->len = st == SL_OK ? (off_t)good : 0;
	return st;
}

/* ---- the file, written -------------------------------------------------------------------------- */

/* All of w at the end; or, where there is no room, nothing. */
static enum sl_status append(struct sl_ops *ops, const struct sl_wbuf *w, struct sl_diag *d)
{
	size_t done = 0;
	while (done < w->len) {
		ssize_t n = pwrite(ops->fd, w->base + done, w->len - done, ops->len + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			enum sl_status st = sl_oserr_fail(d, "journal/write");
			if (ftruncate(ops->fd, ops->len) != 0)
				return SL_E_IO;
			return st;
		}
		done += (size_t)n;
	}
	ops->len += (off_t)w->len;
	return SL_OK;
}

/* Title and pins into a file that is empty. */
static enum sl_status write_pins(struct sl_ops *fresh, struct sl_diag *d)
{
	uint8_t title[] = TITLE;
	const struct sl_wbuf w = {title, sizeof(title) - 1, sizeof(title) - 1, false};
	enum sl_status st = append(fresh, &w, d);
	for (size_t i = 0; i < fresh->pins_n && st == SL_OK; i++) {
		struct sl_ops_line line;
		sl_ops_line_begin(&line, "pin");
		sl_ops_line_uid(&line, &fresh->pins[i]);
		sl_ops_line_end(&line);
		st = append(fresh, &line.w, d);
	}
	return st == SL_OK ? sync_fd(fresh, fresh->fd, "journal/fsync", d) : st;
}

/* A new file with title and pins takes the place of the old one, durably. SL_E_FULL: all is as it was. */
static enum sl_status write_anew(struct sl_ops *ops, struct sl_diag *d)
{
	int dir = ops->root->journal_fd;
	struct sl_ops fresh = *ops;
	fresh.len = fresh.room = 0;
	fresh.fd = sl_root_openat(dir, SL_PATH_OPS_NEW, O_CREAT | O_TRUNC | O_RDWR, 0640);
	if (fresh.fd < 0)
		return sl_oserr_fail(d, "journal/create");
	enum sl_status st = write_pins(&fresh, d);
	if (st == SL_OK && renameat(dir, SL_PATH_OPS_NEW, dir, SL_PATH_OPS) != 0)
		st = sl_oserr_fail(d, "journal/rename");
	if (st != SL_OK) {
		(void)unlinkat(dir, SL_PATH_OPS_NEW, 0);
		close(fresh.fd);
		return st;
	}
	if (ops->fd >= 0)
		close(ops->fd);
	ops->fd = fresh.fd;
	ops->len = fresh.len;
	ops->room = 0;
	keep_room(ops);
	return sync_fd(ops, dir, "journal/fsync", d);
}

/* One line, durable. */
static enum sl_status add_line(
	struct sl_ops *ops, const struct sl_ops_line *line, struct sl_diag *d)
{
	enum sl_status st = ops->fd < 0 ? write_anew(ops, d) : SL_OK;
	if (st == SL_OK)
		st = append(ops, &line->w, d);
	if (st == SL_OK)
		st = sync_fd(ops, ops->fd, "journal/fsync", d);
	if (st == SL_OK)
		keep_room(ops);
	return st;
}

/* ---- operations --------------------------------------------------------------------------------- */

enum sl_status sl_ops_pin(
	struct sl_ops *ops, const struct sl_uid *study, bool is_pinned, struct sl_diag *d)
{
	struct sl_ops_line line;
	bool is_there;
	enum sl_status st = SL_OK;
	sl_assert(study->len > 0);
	sl_ops_line_begin(&line, is_pinned ? "pin" : "unpin");
	sl_ops_line_uid(&line, study);
	sl_ops_line_end(&line);
	pthread_mutex_lock(&ops->lock);
	(void)place_of(ops, study, &is_there);
	if (is_there != is_pinned && !grow_pins(ops))
		st = sl_fail(d, SL_E_NOMEM, 0, "journal/ops", "no memory");
	else if (is_there != is_pinned)
		st = add_line(ops, &line, d);
	if (st == SL_OK && is_there != is_pinned)
		set_pin(ops, study, is_pinned);
	pthread_mutex_unlock(&ops->lock);
	return st;
}

bool sl_ops_is_pinned(struct sl_ops *ops, const struct sl_uid *study)
{
	bool is_there;
	pthread_mutex_lock(&ops->lock);
	(void)place_of(ops, study, &is_there);
	pthread_mutex_unlock(&ops->lock);
	return is_there;
}

bool sl_ops_pinned(struct sl_ops *ops, size_t i, struct sl_uid *out)
{
	pthread_mutex_lock(&ops->lock);
	bool is_there = i < ops->pins_n;
	if (is_there)
		*out = ops->pins[i];
	pthread_mutex_unlock(&ops->lock);
	return is_there;
}

size_t sl_ops_pins(struct sl_ops *ops)
{
	pthread_mutex_lock(&ops->lock);
	size_t n = ops->pins_n;
	pthread_mutex_unlock(&ops->lock);
	return n;
}

enum sl_status sl_ops_gone(
	struct sl_ops *ops, const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d)
{
	struct sl_ops_line line;
	bool is_study = tombs[0].kind == SL_INDEX_TOMB_STUDY;
	sl_assert(n > 0 && n <= (is_study ? SL_TRASH_BATCH : 1));
	sl_ops_line_begin(&line, is_study ? "gone-studies" : "gone-object");
	for (size_t i = 0; i < n; i++)
		sl_ops_line_gone(&line,
			is_study ? &tombs[i].study_instance_uid : &tombs[i].sop_instance_uid,
			is_study ? tombs[i].seq : tombs[i].object_seq);
	sl_ops_line_end(&line);
	pthread_mutex_lock(&ops->lock);
	enum sl_status st = add_line(ops, &line, d);
	pthread_mutex_unlock(&ops->lock);
	return st;
}

/* True when a removal of that UID covers seq. */
static bool covers(const struct sl_ops *ops, const struct sl_uid *uid, bool is_study, uint64_t seq)
{
	size_t lo = 0, hi = ops->gone_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (by_uid(&ops->gone[mid].uid, uid) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < ops->gone_n && by_uid(&ops->gone[lo].uid, uid) == 0; lo++) {
		const struct gone *g = &ops->gone[lo];
		if (g->is_study == is_study && (is_study ? seq < g->seq : seq == g->seq))
			return true;
	}
	return false;
}

bool sl_ops_is_gone(const struct sl_ops *ops, const struct sl_record *r)
{
	return covers(ops, &r->study_instance_uid, true, r->seq) ||
	       covers(ops, &r->sop_instance_uid, false, r->seq);
}

bool sl_ops_has_gone(const struct sl_ops *ops)
{
	return ops->gone_n > 0;
}

enum sl_status sl_ops_tidy(struct sl_ops *ops, bool always, struct sl_diag *d)
{
	struct sl_diag why = {0};
	enum sl_status st = SL_OK;
	pthread_mutex_lock(&ops->lock);
	size_t left = strlen(TITLE) + ops->pins_n * (SL_OPS_HASH + 6 + SL_UID_MAX);
	if (always || (ops->len > (off_t)LONG && (size_t)ops->len / WORTH > left))
		st = write_anew(ops, &why);
	pthread_mutex_unlock(&ops->lock);
	if (st == SL_OK || st == SL_E_FULL)
		return SL_OK;
	return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

/* ---- life --------------------------------------------------------------------------------------- */

static enum sl_status open_file(struct sl_ops *ops, struct sl_diag *d)
{
	struct stat sb;
	ops->fd = sl_root_openat(ops->root->journal_fd, SL_PATH_OPS, O_RDWR, 0);
	if (ops->fd < 0 && errno != ENOENT)
		return sl_oserr_fail(d, "journal/open");
	if (ops->fd < 0) {
		struct sl_diag why = {0};
		enum sl_status made = write_anew(ops, &why);
		/* A full disk is no reason not to start: it is begun with its first line. */
		if (made == SL_OK || made == SL_E_FULL)
			return SL_OK;
		return sl_fail(d, made, why.errnum, why.where, "%s", why.text);
	}
	if (fstat(ops->fd, &sb) != 0 || sb.st_size > (off_t)FILE_MAX)
		return sl_fail(d, SL_E_IO, errno, "journal/open", "the journal is unreadable");
	/* Renamed to its name when it was whole, so it has its title. */
	enum sl_status st = sb.st_size < (off_t)strlen(TITLE)
				    ? damaged(ops, 1, d)
				    : read_file(ops, (size_t)sb.st_size, d);
	if (st == SL_OK && ops->gone_n > 0)
		qsort(ops->gone, ops->gone_n, sizeof(ops->gone[0]), by_uid); /* uid is first */
	if (st == SL_OK)
		keep_room(ops);
	return st;
}

enum sl_status sl_ops_open(struct sl_ops **out, const struct sl_root *root, struct sl_diag *d)
{
	struct sl_ops *ops = calloc(1, sizeof(*ops));
	*out = NULL;
	if (ops == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "journal/ops", "no memory");
	ops->root = root;
	ops->fd = -1;
	pthread_mutex_init(&ops->lock, NULL);
	enum sl_status st = open_file(ops, d);
	if (st != SL_OK) {
		sl_ops_close(ops);
		return st;
	}
	*out = ops;
	return SL_OK;
}

void sl_ops_close(struct sl_ops *ops)
{
	if (ops == NULL)
		return;
	if (ops->fd >= 0)
		close(ops->fd);
	pthread_mutex_destroy(&ops->lock);
	free(ops->gone);
	free(ops->pins);
	free(ops);
}
