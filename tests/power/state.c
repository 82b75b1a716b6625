/* Choosing and writing out.
 *
 * Objects never change, so one that is whole on the disk is written once, to work/cache, and linked into
 * each state that has it; what may be written to (the index) is a copy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define PAGE   4096
#define ALWAYS 256 /* odds are of 256 */

const char *const state_family_names[STATE_FAMILIES] = {
	"nothing", "everything", "names", "bytes", "all-but-one", "one", "random", "torn", "last"};

/* A folder as chosen. */
struct view {
	struct disk_entry *entries;
	size_t n, cap;
};

/* A file as written out. */
struct written {
	uint64_t cached; /* version that lies in work/cache, plus 1; 0 = none */
	size_t in_state; /* state for which it lies in work/stage */
};

struct state {
	const struct disk *disk;
	int work_fd, cache_fd, stage_fd;
	/* The choice: */
	unsigned names_odds, bytes_odds;
	uint64_t grain;              /* bytes that go together; UINT64_MAX = a write */
	const struct disk_op *alone; /* of all-but-one and one */
	bool is_long;                /* lengths are on the disk before their bytes */
	uint64_t seed, print;
	/* Made from it: */
	size_t number;           /* of the state */
	struct view *views;      /* by number of the node */
	struct written *written; /* likewise */
	bool *is_blocked;        /* by place: a change before was dropped */
	uint8_t *bytes;
	uint64_t bytes_cap;
};

/* ---- the choice --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15u;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
	x = (x ^ x >> 27) * 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

/* One of all changes that are not durable; NULL when there are none. */
static const struct disk_op *pick(const struct disk *d, uint64_t seed)
{
	size_t n = d->names_n, i;
	for (i = 0; i < d->nodes_n; i++)
		n += d->nodes[i]->pending_n;
	if (n == 0)
		return NULL;
	size_t at = seed % n;
	if (at < d->names_n)
		return d->names[at];
	at -= d->names_n;
	for (i = 0; at >= d->nodes[i]->pending_n; i++)
		at -= d->nodes[i]->pending_n;
	return d->nodes[i]->pending[at];
}

/* The change asked for last. */
static const struct disk_op *pick_last(const struct disk *d)
{
	const struct disk_op *last = d->names_n > 0 ? d->names[d->names_n - 1] : NULL;
	for (size_t i = 0; i < d->nodes_n; i++) {
		const struct disk_node *f = d->nodes[i];
		const struct disk_op *op = f->pending_n > 0 ? f->pending[f->pending_n - 1] : NULL;
		if (op != NULL && (last == NULL || op->number > last->number))
			last = op;
	}
	return last;
}

static void set_odds(struct state *s, enum state_family family, uint64_t seed)
{
	static const unsigned odds[] = {0, 16, 64, 128, 192, 240, ALWAYS};
	unsigned some = odds[mix(seed ^ 1) % 7], others = odds[mix(seed ^ 2) % 7];
	bool is_some = family == STATE_RANDOM || family == STATE_TORN;
	bool has_names =
		family == STATE_EVERYTHING || family == STATE_NAMES || family == STATE_ALL_BUT_ONE;
	bool has_bytes =
		family == STATE_EVERYTHING || family == STATE_BYTES || family == STATE_ALL_BUT_ONE;
	s->names_odds = is_some ? some : has_names ? ALWAYS : 0;
	s->bytes_odds = is_some ? others : has_bytes ? ALWAYS : 0;
	if (family == STATE_TORN && (s->bytes_odds == 0 || s->bytes_odds == ALWAYS))
		s->bytes_odds = 128;
	s->grain = family != STATE_TORN ? UINT64_MAX : mix(seed ^ 3) % 3 != 0 ? SECTOR : PAGE;
	s->is_long = family == STATE_NAMES || (is_some && mix(seed ^ 4) % 2 == 0);
}

/* Whether this part of a change is on the disk. Counted into the print. */
static bool is_chosen(struct state *s, const struct disk_op *op, uint64_t part, unsigned odds)
{
	bool is = mix(s->seed ^ mix(op->number * 65537 + part)) % ALWAYS < odds;
	if (op == s->alone)
		is = odds == 0;
	if (is)
		s->print += mix(op->number * 1000003 + part * 7 + 5);
	return is;
}

static void choose_names(struct state *s)
{
	const struct disk *d = s->disk;
	for (size_t i = 0; i < d->nodes_n; i++) {
		const struct disk_node *node = d->nodes[i];
		struct view *v = &s->views[i];
		if (v->cap < node->entries_n) {
			v->cap = node->entries_n * 2;
			v->entries = disk_grow(v->entries, v->cap * sizeof(*v->entries));
		}
		v->n = node->entries_n;
		if (v->n > 0)
			memcpy(v->entries, node->entries, v->n * sizeof(*v->entries));
	}
	memset(s->is_blocked, 0, d->places_n * sizeof(*s->is_blocked));
	for (size_t i = 0; i < d->names_n; i++) {
		const struct disk_op *op = d->names[i];
		struct view *v = &s->views[op->folder->number];
		bool is_move = op->kind == RECORD_RENAME;
		bool is = !s->is_blocked[op->place] && (!is_move || !s->is_blocked[op->to_place]) &&
			  is_chosen(s, op, 0, s->names_odds);
		if (!is) {
			s->is_blocked[op->place] = true;
			if (is_move)
				s->is_blocked[op->to_place] = true;
			continue;
		}
		disk_apply_name(op, op->folder, &v->entries, &v->n, &v->cap);
		if (is_move && op->to_folder != op->folder) {
			v = &s->views[op->to_folder->number];
			disk_apply_name(op, op->to_folder, &v->entries, &v->n, &v->cap);
		}
	}
}

/* One part of a write, with what was written there before it: a sector is written as it stood. */
static void apply_part(struct state *s, const struct disk_node *f, size_t i, uint64_t from,
	uint64_t to, uint64_t *len)
{
	for (size_t j = 0; j <= i; j++)
		if (f->pending[j]->kind == RECORD_WRITE)
			disk_apply_bytes(f->pending[j], from, to, &s->bytes, len, &s->bytes_cap);
}

static void choose_write(struct state *s, const struct disk_node *f, size_t i, uint64_t *len)
{
	const struct disk_op *op = f->pending[i];
	uint64_t end = op->offset + op->n;
	if (op->kind == RECORD_RESIZE || s->grain == UINT64_MAX) {
		if (!is_chosen(s, op, 0, s->bytes_odds))
			return;
		if (op->kind == RECORD_RESIZE)
			disk_apply_bytes(op, 0, 0, &s->bytes, len, &s->bytes_cap);
		else
			apply_part(s, f, i, op->offset, end, len);
		return;
	}
	for (uint64_t at = op->offset / s->grain * s->grain; at < end; at += s->grain)
		if (is_chosen(s, op, 1 + at / s->grain, s->bytes_odds))
			apply_part(s, f, i, at, at + s->grain, len);
}

/* The bytes of a file, into s->bytes. */
static uint64_t choose_bytes(struct state *s, const struct disk_node *f)
{
	uint64_t len = f->len, most = f->len;
	if (s->bytes_cap < len) {
		s->bytes_cap = len * 2;
		s->bytes = disk_grow(s->bytes, s->bytes_cap);
	}
	if (len > 0)
		memcpy(s->bytes, f->bytes, len);
	for (size_t i = 0; i < f->pending_n; i++) {
		const struct disk_op *op = f->pending[i];
		choose_write(s, f, i, &len);
		if (op->kind == RECORD_WRITE && op->offset + op->n > most)
			most = op->offset + op->n;
	}
	if (s->is_long && f->pending_n > 0 && most > len) {
		const struct disk_op longer = {.kind = RECORD_RESIZE, .offset = most};
		disk_apply_bytes(&longer, 0, 0, &s->bytes, &len, &s->bytes_cap);
	}
	return len;
}

uint64_t state_choose(struct state *s, enum state_family family, uint64_t seed)
{
	uint64_t len = 0;
	s->seed = mix(seed);
	s->alone = NULL;
	if (family == STATE_ALL_BUT_ONE || family == STATE_ONE)
		s->alone = pick(s->disk, s->seed);
	else if (family == STATE_LAST)
		s->alone = pick_last(s->disk);
	set_odds(s, family, s->seed);
	s->print = mix(s->disk->settled_n) + s->is_long;
	s->number++;
	choose_names(s);
	/* The bytes are chosen again when they are written, in the same way; here for the print. */
	for (size_t i = 0; i < s->disk->nodes_n; i++)
		if (s->disk->nodes[i]->pending_n > 0)
			len += choose_bytes(s, s->disk->nodes[i]);
	return mix(s->print) ^ len;
}

/* ---- writing it --------------------------------------------------------------------------------- */

static bool complain(const char *what, const char *name)
{
	fprintf(stderr, "power: %s %s: %s\n", what, name, strerror(errno));
	return false;
}

static bool write_file(int dirfd, const char *name, const uint8_t *bytes, uint64_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return complain("open", name);
	bool is_good = len == 0 || write(fd, bytes, len) == (ssize_t)len;
	close(fd);
	return is_good || complain("write", name);
}

/* Objects never change (DESIGN 7); everything else may. */
static bool is_object(const char *name)
{
	size_t n = strlen(name);
	return n > 4 && strcmp(name + n - 4, ".dcm") == 0;
}

static bool put_file(struct state *s, int dirfd, const char *name, const struct disk_node *f)
{
	char own[64];
	struct written *w = &s->written[f->number];
	bool is_whole = f->pending_n == 0 && is_object(name);
	int from = is_whole ? s->cache_fd : s->stage_fd;
	if (!is_object(name)) {
		uint64_t len = choose_bytes(s, f);
		return write_file(dirfd, name, s->bytes, len);
	}
	snprintf(own, sizeof(own), "%zu.%llu", f->number,
		is_whole ? (unsigned long long)f->version : ULLONG_MAX);
	if (is_whole ? w->cached != f->version + 1 : w->in_state != s->number) {
		const uint64_t len = choose_bytes(s, f);
		if (!write_file(from, own, s->bytes, len))
			return false;
		if (is_whole)
			w->cached = f->version + 1;
		else
			w->in_state = s->number;
	}
	return linkat(from, own, dirfd, name, 0) == 0 || complain("link", name);
}

static bool put_folder(struct state *s, int parent, const char *name, const struct disk_node *node);

static bool put_entries(struct state *s, int fd, const struct view *v)
{
	bool is_good = true;
	for (size_t i = 0; is_good && i < v->n; i++) {
		const struct disk_entry *e = &v->entries[i];
		is_good = e->node->is_folder ? put_folder(s, fd, e->name, e->node)
					     : put_file(s, fd, e->name, e->node);
	}
	return is_good;
}

static bool put_folder(struct state *s, int parent, const char *name, const struct disk_node *node)
{
	if (mkdirat(parent, name, 0750) != 0)
		return complain("mkdir", name);
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return complain("open", name);
	bool is_good = put_entries(s, fd, &s->views[node->number]);
	close(fd);
	return is_good;
}

bool state_write(struct state *s)
{
	return put_folder(s, s->work_fd, "root", s->disk->root);
}

/* ---- and away ----------------------------------------------------------------------------------- */

static bool remove_tree(int parent, const char *name, bool keeps_itself)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool is_good = true;
	if (dir == NULL)
		return complain("open", name);
	while (is_good && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_DIR)
			is_good = remove_tree(fd, e->d_name, false);
		else if (unlinkat(fd, e->d_name, 0) != 0)
			is_good = complain("unlink", e->d_name);
	}
	closedir(dir);
	if (is_good && !keeps_itself && unlinkat(parent, name, AT_REMOVEDIR) != 0)
		return complain("rmdir", name);
	return is_good;
}

bool state_remove(struct state *s)
{
	return remove_tree(s->work_fd, "root", false) && remove_tree(s->work_fd, "stage", true);
}

/* ---- life --------------------------------------------------------------------------------------- */

static int make_folder(int parent, const char *name)
{
	if (mkdirat(parent, name, 0750) != 0 && errno != EEXIST)
		return -1;
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void *zeros(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);
	if (p == NULL)
		abort();
	return p;
}

struct state *state_open(const struct disk *d, const char *work)
{
	struct state *s = zeros(1, sizeof(*s));
	s->disk = d;
	s->views = zeros(d->nodes_n, sizeof(*s->views));
	s->written = zeros(d->nodes_n, sizeof(*s->written));
	s->is_blocked = zeros(d->places_n, sizeof(*s->is_blocked));
	s->work_fd = make_folder(AT_FDCWD, work);
	s->cache_fd = s->work_fd >= 0 ? make_folder(s->work_fd, "cache") : -1;
	s->stage_fd = s->work_fd >= 0 ? make_folder(s->work_fd, "stage") : -1;
	if (s->cache_fd < 0 || s->stage_fd < 0) {
		complain("mkdir", work);
		exit(2);
	}
	return s;
}

void state_close(struct state *s)
{
	(void)remove_tree(s->work_fd, "cache", false);
	(void)remove_tree(s->work_fd, "stage", false);
	close(s->cache_fd);
	close(s->stage_fd);
	close(s->work_fd);
	for (size_t i = 0; i < s->disk->nodes_n; i++)
		free(s->views[i].entries);
	free(s->views);
	free(s->written);
	free(s->is_blocked);
	free(s->bytes);
	free(s);
}
