/* Lanes, runs and the merge.
 *
 * A record is packed by leaving out the unused end of its text, which is most of it. A lane is filled
 * from both ends: packed records from the front, one entry {seq, where} for each from the back. The
 * merge keeps the runs in a heap by their next record. A lane whose run could not be written keeps it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/oserr.h"

#define ALIGNMENT  8
#define PACKED_MIN offsetof(struct sl_record, text)
#define AHEAD_MAX  (32 * SL_KIB)  /* bytes of a run in memory while it is merged, few runs... */
#define AHEAD_MIN  (8 * SL_KIB)   /* ...and many */
#define PIECE      (256 * SL_KIB) /* of a run, written or read at once */
#define RUNS_STEP  64             /* runs are noted in steps of so many */

_Static_assert(AHEAD_MIN > 2 * sizeof(struct sl_record), "a record fits what is read ahead");
_Static_assert(_Alignof(struct sl_record) <= ALIGNMENT, "packed records are aligned");

/* One record of a lane. */
struct entry {
	uint64_t seq;
	uint64_t at; /* offset in the lane */
};

struct lane {
	uint8_t *base;
	size_t len;     /* bytes of packed records */
	size_t n;       /* entries, from the end downwards; ascending once sorted */
	uint64_t added; /* records ever */
	int fd;         /* of its runs; -1 = none yet */
	bool is_lent;   /* and it is the caller's */
	uint64_t file_len;
};

/* Sorted records: in a lane, or in its file. */
struct run {
	const struct lane *lane; /* in memory; else NULL */
	size_t next;             /* its next entry */
	int fd;                  /* of the file */
	uint64_t off, end;       /* in the file: what is not read yet */
	uint8_t *ahead;          /* sl_sorter.ahead_len bytes; NULL in memory */
	size_t at, filled;       /* of them */
	const uint8_t *head;     /* the run's next record, packed */
};

struct sl_sorter {
	int folder_fd;
	size_t lane_size;
	unsigned lanes_n;
	struct lane *lanes;
	struct run *runs; /* those in files, as they are written; then also the lanes */
	size_t runs_n, runs_cap;
	size_t memory, ahead_len; /* bytes: of all lanes, and read ahead of each run */
	uint64_t adopted;         /* records of runs that were here before */
	sl_sorter_on_run on_run;  /* may be NULL */
	void *arg;
	size_t *heap; /* of runs, by head */
	size_t heap_n;
	pthread_mutex_t lock; /* runs, while lanes are filled */
};

static enum sl_status no_memory(struct sl_diag *d)
{
	return sl_fail(d, SL_E_NOMEM, ENOMEM, "sorter", "no memory to sort the records");
}

/* ---- records ------------------------------------------------------------------------------------ */

static size_t packed_len(size_t text_len)
{
	return (PACKED_MIN + text_len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void unpack(const uint8_t *packed, struct sl_record *out)
{
	memcpy(out, packed, PACKED_MIN);
	sl_assert(out->text_len <= sizeof(out->text));
	memcpy(out->text, packed + PACKED_MIN, out->text_len);
}

static uint64_t seq_of(const uint8_t *packed)
{
	uint64_t seq;
	memcpy(&seq, packed + offsetof(struct sl_record, seq), sizeof(seq));
	return seq;
}

static size_t len_of(const uint8_t *packed)
{
	uint16_t text_len;
	memcpy(&text_len, packed + offsetof(struct sl_record, text_len), sizeof(text_len));
	return packed_len(text_len);
}

static int by_seq(const uint8_t *a, const uint8_t *b)
{
	const size_t uid =
		offsetof(struct sl_record, sop_instance_uid) + offsetof(struct sl_uid, s);
	uint64_t x = seq_of(a), y = seq_of(b);
	return x != y ? (x < y ? -1 : 1)
		      : memcmp(a + uid, b + uid, sizeof(((struct sl_uid *)0)->s));
}

/* ---- lanes -------------------------------------------------------------------------------------- */

static struct entry *entries_of(const struct sl_sorter *s, const struct lane *l)
{
	return (struct entry *)(void *)(l->base + s->lane_size) - l->n;
}

static int by_entry(const void *a, const void *b, void *base)
{
	const struct entry *x = a, *y = b;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return by_seq((uint8_t *)base + x->at, (uint8_t *)base + y->at);
}

static void sort_lane(const struct sl_sorter *s, struct lane *l)
{
	if (l->n > 0)
		qsort_r(entries_of(s, l), l->n, sizeof(struct entry), by_entry, l->base);
}

static enum sl_status write_all(
	int fd, const uint8_t *bytes, size_t n, uint64_t off, struct sl_diag *d)
{
	while (n > 0) {
		ssize_t w = pwrite(fd, bytes, n, (off_t)off);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return sl_oserr_fail(d, "sorter/write");
		bytes += w;
		off += (uint64_t)w;
		n -= (size_t)w;
	}
	return SL_OK;
}

static enum sl_status note_run(struct sl_sorter *s, const struct run *run, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	pthread_mutex_lock(&s->lock);
	if (s->runs_n == s->runs_cap) {
		size_t cap = s->runs_cap + RUNS_STEP;
		struct run *grown = realloc(s->runs, cap * sizeof(*grown));
		if (grown == NULL)
			st = no_memory(d);
		else
			s->runs = grown;
		s->runs_cap = grown == NULL ? s->runs_cap : cap;
	}
	if (st == SL_OK)
		s->runs[s->runs_n++] = *run;
	pthread_mutex_unlock(&s->lock);
	return st;
}

/* A file without a name; where the file system has none such, one that loses its name at once. */
static int open_unnamed(int folder_fd)
{
	static const char name[] = ".sort";
	int fd = openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	fd = openat(folder_fd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(folder_fd, name, 0);
	return fd;
}

/* Writes the lane's records, sorted, behind what its file has. */
static enum sl_status write_run(const struct sl_sorter *s, const struct lane *l,
	struct sl_sorter_run *run, struct sl_diag *d)
{
	const struct entry *entries = entries_of(s, l);
	struct sl_digest digest;
	enum sl_status st = SL_OK;
	size_t filled = 0;
	uint8_t *out = malloc(PIECE);
	if (out == NULL)
		return no_memory(d);
	*run = (struct sl_sorter_run){.off = l->file_len, .end = l->file_len, .n = l->n};
	sl_digest_init(&digest);
	for (size_t i = 0; st == SL_OK && i <= l->n; i++) {
		const uint8_t *packed = i < l->n ? l->base + entries[i].at : NULL;
		size_t n = packed != NULL ? len_of(packed) : 0;
		if (packed == NULL || filled + n > PIECE) {
			sl_digest_feed(&digest, out, filled);
			st = write_all(l->fd, out, filled, run->end, d);
			run->end += filled;
			filled = 0;
		}
		if (packed != NULL)
			memcpy(out + filled, packed, n);
		filled += n;
	}
	sl_digest_end(&digest, run->digest);
	free(out);
	return st;
}

/* Writes the lane as a run and empties it. */
static enum sl_status spill(struct sl_sorter *s, struct lane *l, struct sl_diag *d)
{
	struct sl_sorter_run run;
	if (l->fd < 0)
		l->fd = open_unnamed(s->folder_fd);
	if (l->fd < 0)
		return sl_oserr_fail(d, "sorter/create");
	sort_lane(s, l);
	enum sl_status st = write_run(s, l, &run, d);
	if (st == SL_OK)
		st = note_run(s, &(struct run){.fd = l->fd, .off = run.off, .end = run.end}, d);
	if (st != SL_OK)
		return st;
	l->file_len = run.end;
	l->len = l->n = 0;
	if (s->on_run != NULL)
		s->on_run(s->arg, (unsigned)(l - s->lanes), &run);
	return SL_OK;
}

enum sl_status sl_sorter_flush(struct sl_sorter *s, unsigned lane, struct sl_diag *d)
{
	sl_assert(lane < s->lanes_n);
	return s->lanes[lane].n > 0 ? spill(s, &s->lanes[lane], d) : SL_OK;
}

enum sl_status sl_sorter_add(
	struct sl_sorter *s, unsigned lane, const struct sl_record *r, struct sl_diag *d)
{
	sl_assert(lane < s->lanes_n);
	struct lane *l = &s->lanes[lane];
	size_t n = packed_len(r->text_len);
	if (l->len + n + (l->n + 1) * sizeof(struct entry) > s->lane_size) {
		enum sl_status st = spill(s, l, d);
		if (st != SL_OK)
			return st;
	}
	memcpy(l->base + l->len, r, PACKED_MIN + r->text_len);
	l->n++;
	*entries_of(s, l) = (struct entry){r->seq, l->len};
	l->len += n;
	l->added++;
	return SL_OK;
}

/* ---- files of the caller's ---------------------------------------------------------------------- */

void sl_sorter_use_file(struct sl_sorter *s, unsigned lane, int fd, uint64_t off)
{
	sl_assert(lane < s->lanes_n && s->lanes[lane].fd < 0);
	s->lanes[lane].fd = fd;
	s->lanes[lane].is_lent = true;
	s->lanes[lane].file_len = off;
}

void sl_sorter_tell_runs(struct sl_sorter *s, sl_sorter_on_run on_run, void *arg)
{
	s->on_run = on_run;
	s->arg = arg;
}

enum sl_status sl_sorter_prove(int fd, const struct sl_sorter_run *run, struct sl_diag *d)
{
	uint8_t found[SL_DIGEST_LEN], *piece = malloc(PIECE);
	struct sl_digest digest;
	if (piece == NULL)
		return no_memory(d);
	sl_digest_init(&digest);
	enum sl_status st = SL_OK;
	for (uint64_t off = run->off; st == SL_OK && off < run->end;) {
		ssize_t got = pread(fd, piece, (size_t)sl_min64(PIECE, run->end - off), (off_t)off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			st = sl_oserr_fail(d, "sorter/read");
		if (got == 0)
			st = sl_fail(d, SL_E_CORRUPT, 0, "sorter/read", "a run ends early");
		if (st == SL_OK)
			sl_digest_feed(&digest, piece, (size_t)got);
		off += st == SL_OK ? (uint64_t)got : 0;
	}
	sl_digest_end(&digest, found);
	free(piece);
	if (st == SL_OK && memcmp(found, run->digest, SL_DIGEST_LEN) != 0)
		st = sl_fail(d, SL_E_CORRUPT, 0, "sorter/read", "a run is damaged");
	return st;
}

enum sl_status sl_sorter_adopt(
	struct sl_sorter *s, int fd, const struct sl_sorter_run *run, struct sl_diag *d)
{
	enum sl_status st =
		note_run(s, &(struct run){.fd = fd, .off = run->off, .end = run->end}, d);
	s->adopted += st == SL_OK ? run->n : 0;
	return st;
}

/* ---- the merge ---------------------------------------------------------------------------------- */

/* Makes the bytes from r->at on whole up to `want`, as far as the run goes. */
static enum sl_status read_ahead(
	const struct sl_sorter *s, struct run *r, size_t want, struct sl_diag *d)
{
	if (r->filled - r->at >= want)
		return SL_OK;
	memmove(r->ahead, r->ahead + r->at, r->filled - r->at);
	r->filled -= r->at;
	r->at = 0;
	while (r->filled < s->ahead_len && r->off < r->end) {
		size_t n = (size_t)sl_min64(s->ahead_len - r->filled, r->end - r->off);
		ssize_t got = pread(r->fd, r->ahead + r->filled, n, (off_t)r->off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return sl_oserr_fail(d, "sorter/read");
		if (got == 0)
			return sl_fail(d, SL_E_IO, 0, "sorter/read", "a run ends early");
		r->filled += (size_t)got;
		r->off += (uint64_t)got;
	}
	return SL_OK;
}

/* Sets r->head to the run's next record, NULL at its end. */
static enum sl_status advance(const struct sl_sorter *s, struct run *r, struct sl_diag *d)
{
	if (r->lane != NULL) {
		r->head = r->next < r->lane->n ? r->lane->base + entries_of(s, r->lane)[r->next].at
					       : NULL;
		r->next++;
		return SL_OK;
	}
	if (r->head != NULL)
		r->at += len_of(r->head);
	r->head = NULL;
	enum sl_status st = read_ahead(s, r, sizeof(struct sl_record) + ALIGNMENT, d);
	if (st == SL_OK && r->filled > r->at)
		r->head = r->ahead + r->at;
	return st;
}

static bool is_before(const struct sl_sorter *s, size_t a, size_t b)
{
	return by_seq(s->runs[s->heap[a]].head, s->runs[s->heap[b]].head) < 0;
}

static void sift(struct sl_sorter *s, size_t at)
{
	for (size_t child; (child = 2 * at + 1) < s->heap_n; at = child) {
		if (child + 1 < s->heap_n && is_before(s, child + 1, child))
			child++;
		if (!is_before(s, child, at))
			return;
		size_t moved = s->heap[at];
		s->heap[at] = s->heap[child];
		s->heap[child] = moved;
	}
}

enum sl_status sl_sorter_sort(struct sl_sorter *s, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	for (unsigned i = 0; st == SL_OK && i < s->lanes_n; i++) {
		sort_lane(s, &s->lanes[i]);
		st = note_run(s, &(struct run){.lane = &s->lanes[i]}, d);
	}
	s->heap = calloc(s->runs_n + 1, sizeof(*s->heap));
	s->ahead_len = sl_min(sl_max(s->memory / (s->runs_n + 1), AHEAD_MIN), AHEAD_MAX);
	if (st == SL_OK && s->heap == NULL)
		st = no_memory(d);
	for (size_t i = 0; st == SL_OK && i < s->runs_n; i++) {
		struct run *r = &s->runs[i];
		if (r->lane == NULL && (r->ahead = malloc(s->ahead_len)) == NULL)
			st = no_memory(d);
		if (st == SL_OK)
			st = advance(s, r, d);
		if (st == SL_OK && r->head != NULL)
			s->heap[s->heap_n++] = i;
	}
	for (size_t i = s->heap_n / 2; st == SL_OK && i > 0; i--)
		sift(s, i - 1);
	return st;
}

enum sl_status sl_sorter_next(struct sl_sorter *s, struct sl_record *out, struct sl_diag *d)
{
	if (s->heap_n == 0)
		return SL_END;
	struct run *first = &s->runs[s->heap[0]];
	unpack(first->head, out);
	enum sl_status st = advance(s, first, d);
	if (first->head == NULL)
		s->heap[0] = s->heap[--s->heap_n];
	sift(s, 0);
	return st;
}

/* ---- life --------------------------------------------------------------------------------------- */

uint64_t sl_sorter_count(const struct sl_sorter *s)
{
	uint64_t n = s->adopted;
	for (unsigned i = 0; i < s->lanes_n; i++)
		n += s->lanes[i].added;
	return n;
}

enum sl_status sl_sorter_open(
	struct sl_sorter **out, int folder_fd, unsigned lanes, size_t memory, struct sl_diag *d)
{
	struct sl_sorter *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return no_memory(d);
	pthread_mutex_init(&s->lock, NULL);
	s->folder_fd = folder_fd;
	s->memory = memory;
	s->lane_size = sl_max(memory / lanes, SL_SORTER_LANE_MIN) / ALIGNMENT * ALIGNMENT;
	s->lanes = calloc(lanes, sizeof(*s->lanes));
	enum sl_status st = s->lanes == NULL ? no_memory(d) : SL_OK;
	for (; st == SL_OK && s->lanes_n < lanes; s->lanes_n++) {
		struct lane *l = &s->lanes[s->lanes_n];
		l->fd = -1;
		/* What is not reached is not there; all goes back at close. */
		void *base = mmap(NULL, s->lane_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		l->base = base == MAP_FAILED ? NULL : base;
		if (l->base == NULL)
			st = no_memory(d);
		else /* fewer faults, where there are huge pages; no matter where there are none */
			(void)madvise(base, s->lane_size, MADV_HUGEPAGE);
	}
	if (st != SL_OK) {
		sl_sorter_close(s);
		return st;
	}
	*out = s;
	return SL_OK;
}

void sl_sorter_close(struct sl_sorter *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->runs_n; i++)
		free(s->runs[i].ahead);
	for (unsigned i = 0; i < s->lanes_n; i++) {
		if (s->lanes[i].base != NULL)
			munmap(s->lanes[i].base, s->lane_size);
		if (s->lanes[i].fd >= 0 && !s->lanes[i].is_lent)
			close(s->lanes[i].fd);
	}
	free(s->runs);
	free(s->heap);
	free(s->lanes);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
