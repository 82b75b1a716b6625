/* Keeping what is read, and taking over what was.
 *
 *	kept      marks (rekeep_mark.h)
 *	runs.<n>  of thread n: runs of the sorter, one behind the other, also of several rebuilds
 *
 * A mark is written behind its runs and after they are durable, so whatever of either a crash leaves, what
 * a whole mark says is there. At open the marks that hold are written anew and what follows them is gone;
 * the bytes of dropped runs stay until the sweep.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rekeep.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/rekeep_mark.h"

static const char marks_name[] = "new/kept", marks_new[] = "new/kept.new";

struct lane {
	int fd;
	uint64_t since_ns;           /* the last mark */
	bool is_spoilt;              /* the hh under way */
	bool is_lost;                /* more runs than a mark can say */
	struct sl_rekeep_mark group; /* since then: what the next one will say */
};

struct sl_rekeep {
	struct sl_rekeep_conf conf;
	int folder_fd; /* index/new/ */
	uint64_t begun_ns;
	struct lane *lanes;               /* conf.threads */
	int runs_fd[SL_SCAN_THREADS_MAX]; /* of lanes that were; -1 = none */
	bool done[SL_REKEEP_FANS];        /* true: kept by an earlier rebuild */
	pthread_mutex_t lock;             /* all below */
	int marks_fd;
	uint64_t marks_len; /* bytes of what holds */
	uint64_t marks_n;
	bool is_off;                       /* no room to keep more */
	uint8_t bytes[SL_REKEEP_MARK_MAX]; /* a mark on its way */
};

static enum sl_status no_memory(struct sl_diag *d)
{
	return sl_fail(d, SL_E_NOMEM, ENOMEM, "rebuild", "no memory");
}

static enum sl_status sync_fd(const struct sl_rekeep *k, int fd, struct sl_diag *d)
{
	if (!k->conf.root->is_durable || fdatasync(fd) == 0)
		return SL_OK;
	if (errno == ENOSPC || errno == EDQUOT)
		return sl_oserr_fail(d, "rebuild/keep");
	return sl_fail(d, SL_E_SYNC, errno, "rebuild/keep", "fdatasync: %s", strerror(errno));
}

static enum sl_status write_at(int fd, const void *bytes, size_t n, uint64_t off, struct sl_diag *d)
{
	const uint8_t *at = bytes;
	while (n > 0) {
		ssize_t w = pwrite(fd, at, n, (off_t)off);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return sl_oserr_fail(d, "rebuild/keep");
		at += w;
		off += (uint64_t)w;
		n -= (size_t)w;
	}
	return SL_OK;
}

/* ---- keeping ------------------------------------------------------------------------------------ */

static void on_run(void *arg, unsigned lane, const struct sl_sorter_run *run)
{
	struct sl_rekeep *k = arg;
	struct lane *l = &k->lanes[lane];
	l->is_lost = l->is_lost || l->group.runs_n == SL_REKEEP_RUNS_MAX;
	if (!l->is_lost)
		l->group.runs[l->group.runs_n++] = *run;
}

static void begin_group(struct sl_rekeep *k, struct lane *l)
{
	l->group.fans_n = 0;
	l->group.runs_n = 0;
	l->is_lost = false;
	l->since_ns = sl_env_now_ns(k->conf.env);
}

/* Under the lock: the group's mark, durably, behind the others. */
static enum sl_status append(struct sl_rekeep *k, const struct sl_rekeep_mark *g, struct sl_diag *d)
{
	struct sl_wbuf w = sl_wbuf_of(k->bytes, sizeof(k->bytes));
	enum sl_status st = SL_OK;
	if (k->marks_n == 0) /* the files' names, and that of their folder */
		st = sync_fd(k, k->folder_fd, d);
	if (st == SL_OK && k->marks_n == 0)
		st = sync_fd(k, k->conf.root->index_fd, d);
	sl_rekeep_mark_put(&w, g);
	if (st == SL_OK)
		st = write_at(k->marks_fd, w.base, w.len, k->marks_len, d);
	if (st == SL_OK)
		st = sync_fd(k, k->marks_fd, d);
	if (st != SL_OK)
		return st;
	k->marks_len += w.len;
	k->marks_n++;
	return SL_OK;
}

/* What the lane has added since its last mark is a run now, and kept if it can be. */
static enum sl_status end_group(struct sl_rekeep *k, unsigned thread, bool keeps, struct sl_diag *d)
{
	struct lane *l = &k->lanes[thread];
	enum sl_status st = sl_sorter_flush(k->conf.sorter, thread, d);
	bool has_mark = keeps && !l->is_lost && l->group.fans_n > 0;
	if (st == SL_OK && has_mark)
		st = sync_fd(k, l->fd, d);
	pthread_mutex_lock(&k->lock);
	if (st == SL_OK && has_mark && !k->is_off)
		st = append(k, &l->group, d);
	k->is_off = k->is_off || st == SL_E_FULL;
	pthread_mutex_unlock(&k->lock);
	begin_group(k, l);
	return st == SL_E_FULL ? SL_OK : st;
}

void sl_rekeep_spoil(struct sl_rekeep *k, unsigned thread)
{
	k->lanes[thread].is_spoilt = true;
}

enum sl_status sl_rekeep_fan(
	struct sl_rekeep *k, unsigned thread, const struct sl_scan_fan *fan, struct sl_diag *d)
{
	struct lane *l = &k->lanes[thread];
	int no = sl_rekeep_fan_no(fan->name);
	bool is_spoilt = l->is_spoilt || no < 0;
	l->is_spoilt = false;
	if (is_spoilt) /* its records are among those of the others */
		return end_group(k, thread, false, d);
	l->group.fans[l->group.fans_n++] = (struct sl_rekeep_fan_sum){(uint8_t)no, fan->sum};
	uint64_t now_ns = sl_env_now_ns(k->conf.env);
	if (now_ns - l->since_ns < k->conf.interval_ms * 1000000u)
		return SL_OK;
	return end_group(k, thread, true, d);
}

enum sl_status sl_rekeep_end(struct sl_rekeep *k, struct sl_diag *d)
{
	uint64_t passed_ns = sl_env_now_ns(k->conf.env) - k->begun_ns;
	enum sl_status st = SL_OK;
	if (k->marks_n == 0 && passed_ns < k->conf.interval_ms * 1000000u)
		return SL_OK;
	for (unsigned i = 0; st == SL_OK && i < k->conf.threads; i++)
		st = end_group(k, i, true, d);
	return st;
}

/* ---- taking over -------------------------------------------------------------------------------- */

/* What was kept, while it is looked at. Each hh is in one group at most, so there are not more. */
struct old {
	struct sl_rekeep_mark groups[SL_REKEEP_FANS];
	bool holds[SL_REKEEP_FANS]; /* of each: is true */
	size_t n;
	size_t len;                                /* bytes of kept; 0: there is none */
	uint64_t sums[SL_REKEEP_FANS];             /* of each hh, now; 0 with something bad in it */
	struct sl_rekeep_mark *of[SL_REKEEP_FANS]; /* the group that has it; NULL: none */
	int bad_now[SL_SCAN_THREADS_MAX];          /* on that thread, since its last hh */
};

/* No more than we ever write: what is behind that is none of ours, and no mark. */
static enum sl_status read_whole(int fd, uint8_t **out, size_t *len, struct sl_diag *d)
{
	struct stat sb;
	if (fstat(fd, &sb) != 0)
		return sl_oserr_fail(d, "rebuild/kept");
	*len = (size_t)sl_min64((uint64_t)sb.st_size, SL_REKEEP_KEPT_MAX + 1);
	*out = malloc(*len + 1);
	if (*out == NULL)
		return no_memory(d);
	for (size_t at = 0; at < *len;) {
		ssize_t got = pread(fd, *out + at, *len - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return sl_oserr_fail(d, "rebuild/kept");
		if (got == 0)
			*len = at;
		at += (size_t)got;
	}
	return SL_OK;
}

/* The marks, as far as they are whole. False: something is behind them. */
static bool parse(struct old *o, struct sl_cur c)
{
	while (sl_cur_left(&c) > 0 && o->n < SL_REKEEP_FANS &&
		sl_rekeep_mark_get(&c, &o->groups[o->n])) {
		struct sl_rekeep_mark *g = &o->groups[o->n];
		bool is_new = g->fans_n > 0;
		for (size_t i = 0; i < g->fans_n; i++)
			is_new = is_new && o->of[g->fans[i].no] == NULL;
		for (size_t i = 0; is_new && i < g->fans_n; i++)
			o->of[g->fans[i].no] = g;
		o->holds[o->n++] = is_new;
	}
	return sl_cur_left(&c) == 0;
}

static bool wants(void *arg, const char *fan)
{
	const struct old *o = arg;
	int no = sl_rekeep_fan_no(fan);
	return no >= 0 && o->of[no] != NULL;
}

static enum sl_status on_bad(
	void *arg, unsigned thread, const char *path, enum sl_status why, struct sl_diag *d)
{
	struct old *o = arg;
	(void)path;
	(void)why;
	*d = (struct sl_diag){0};
	o->bad_now[thread]++;
	return SL_OK;
}

static enum sl_status on_fan(
	void *arg, unsigned thread, const struct sl_scan_fan *fan, struct sl_diag *d)
{
	struct old *o = arg;
	int no = sl_rekeep_fan_no(fan->name);
	(void)d;
	if (o->bad_now[thread] == 0)
		o->sums[no] = fan->sum;
	o->bad_now[thread] = 0;
	return SL_OK;
}

/* Drops the groups of which a folder is not as it was, or a run. */
static enum sl_status check(struct sl_rekeep *k, struct old *o, const char **why, struct sl_diag *d)
{
	const struct sl_scan_conf scan = {
		.threads = k->conf.threads,
		.wants = wants,
		.on_bad = on_bad,
		.on_fan = on_fan,
		.arg = o,
	};
	enum sl_status st = sl_scan_archive(k->conf.root, &scan, d);
	for (size_t i = 0; st == SL_OK && i < o->n; i++) {
		const struct sl_rekeep_mark *g = &o->groups[i];
		for (size_t f = 0; f < g->fans_n; f++)
			if (o->sums[g->fans[f].no] != g->fans[f].sum)
				o->holds[i] = false;
		if (!o->holds[i])
			*why = "folders of it have changed since";
		for (size_t r = 0; o->holds[i] && st == SL_OK && r < g->runs_n; r++) {
			struct sl_diag none = {0};
			int fd = k->runs_fd[g->lane];
			st = fd >= 0 ? sl_sorter_prove(fd, &g->runs[r], &none) : SL_E_CORRUPT;
			if (st == SL_OK)
				continue;
			o->holds[i] = false;
			*why = "records of it are damaged";
			st = st == SL_E_NOMEM ? st : SL_OK;
		}
	}
	return st;
}

/* Hands the runs of what holds to the sorter. */
static enum sl_status adopt(
	struct sl_rekeep *k, const struct old *o, struct sl_rekeep_found *found, struct sl_diag *d)
{
	enum sl_status st = SL_OK;
	for (size_t i = 0; st == SL_OK && i < o->n; i++) {
		const struct sl_rekeep_mark *g = &o->groups[i];
		if (!o->holds[i]) {
			found->dropped += g->fans_n;
			continue;
		}
		found->fans += g->fans_n;
		for (size_t f = 0; f < g->fans_n; f++)
			k->done[g->fans[f].no] = true;
		for (size_t r = 0; st == SL_OK && r < g->runs_n; r++) {
			st = sl_sorter_adopt(k->conf.sorter, k->runs_fd[g->lane], &g->runs[r], d);
			found->files += g->runs[r].n;
		}
	}
	return st;
}

/* Everything that was kept holds: it goes on behind it. */
static enum sl_status go_on(struct sl_rekeep *k, const struct old *o, struct sl_diag *d)
{
	k->marks_fd = openat(k->conf.root->index_fd, marks_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (k->marks_fd < 0)
		return sl_oserr_fail(d, "rebuild/keep");
	k->marks_len = o->len;
	k->marks_n = o->n;
	return SL_OK;
}

/* The marks that hold, in a file of their own until it is whole. */
static enum sl_status write_marks(struct sl_rekeep *k, const struct old *o, struct sl_diag *d)
{
	const int index_fd = k->conf.root->index_fd;
	const int flags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
	struct sl_wbuf w = sl_wbuf_of(k->bytes, sizeof(k->bytes));
	k->marks_fd = openat(index_fd, marks_new, flags, 0640);
	if (k->marks_fd < 0)
		return sl_oserr_fail(d, "rebuild/keep");
	sl_rekeep_mark_put_head(&w, k->conf.identity);
	enum sl_status st = write_at(k->marks_fd, w.base, w.len, 0, d);
	k->marks_len = w.len;
	for (size_t i = 0; st == SL_OK && i < o->n; i++) {
		w = sl_wbuf_of(k->bytes, sizeof(k->bytes));
		if (!o->holds[i])
			continue;
		sl_rekeep_mark_put(&w, &o->groups[i]);
		st = write_at(k->marks_fd, w.base, w.len, k->marks_len, d);
		k->marks_len += w.len;
		k->marks_n++;
	}
	if (st == SL_OK && k->marks_n > 0)
		st = sync_fd(k, k->marks_fd, d);
	if (st == SL_OK && renameat(index_fd, marks_new, index_fd, marks_name) != 0)
		st = sl_oserr_fail(d, "rebuild/keep");
	if (st == SL_OK && k->marks_n > 0)
		st = sync_fd(k, k->folder_fd, d);
	return st;
}

/* Reads the marks that are there and says which of them hold. */
static enum sl_status look_back(
	struct sl_rekeep *k, struct old *o, const char **why, struct sl_diag *d)
{
	uint8_t head[SL_REKEEP_HEAD_LEN], *bytes = NULL;
	struct sl_wbuf w = sl_wbuf_of(head, sizeof(head));
	size_t len = 0;
	int fd = openat(k->conf.root->index_fd, marks_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? SL_OK : sl_oserr_fail(d, "rebuild/kept");
	enum sl_status st = read_whole(fd, &bytes, &len, d);
	close(fd);
	sl_rekeep_mark_put_head(&w, k->conf.identity);
	if (st == SL_OK &&
		(len < SL_REKEEP_HEAD_LEN || memcmp(bytes, head, SL_REKEEP_HEAD_LEN) != 0))
		*why = "it is of another program, configuration or archive";
	else if (st == SL_OK &&
		 !parse(o, sl_cur_of(bytes + SL_REKEEP_HEAD_LEN, len - SL_REKEEP_HEAD_LEN)))
		*why = "its end is torn";
	free(bytes);
	o->len = len;
	return st == SL_OK && o->n > 0 ? check(k, o, why, d) : st;
}

/* ---- life --------------------------------------------------------------------------------------- */

/* Opens the lanes' files: those that were, and one for each thread. */
static enum sl_status open_runs(struct sl_rekeep *k, struct sl_diag *d)
{
	for (unsigned i = 0; i < SL_SCAN_THREADS_MAX; i++) {
		int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
		char name[16];
		snprintf(name, sizeof(name), "runs.%u", i);
		k->runs_fd[i] = openat(
			k->folder_fd, name, flags | (i < k->conf.threads ? O_CREAT : 0), 0640);
		if (k->runs_fd[i] < 0 && (errno != ENOENT || i < k->conf.threads))
			return sl_oserr_fail(d, "rebuild/keep");
	}
	return SL_OK;
}

/* New runs go behind the old ones; where none is needed any more, in their place. */
static enum sl_status begin(struct sl_rekeep *k, struct sl_diag *d)
{
	for (unsigned i = 0; i < k->conf.threads; i++) {
		struct lane *l = &k->lanes[i];
		struct stat sb;
		l->fd = k->runs_fd[i];
		l->group.lane = (uint8_t)i;
		if ((k->marks_n == 0 && ftruncate(l->fd, 0) != 0) || fstat(l->fd, &sb) != 0)
			return sl_oserr_fail(d, "rebuild/keep");
		sl_sorter_use_file(k->conf.sorter, i, l->fd, (uint64_t)(sb.st_size + 7) / 8 * 8);
		begin_group(k, l);
	}
	sl_sorter_tell_runs(k->conf.sorter, on_run, k);
	return SL_OK;
}

enum sl_status sl_rekeep_open(struct sl_rekeep **out, const struct sl_rekeep_conf *conf,
	struct sl_rekeep_found *found, struct sl_diag *d)
{
	const char *why = "";
	struct sl_rekeep *k = calloc(1, sizeof(*k));
	*found = (struct sl_rekeep_found){0};
	if (k == NULL)
		return no_memory(d);
	*k = (struct sl_rekeep){.conf = *conf, .marks_fd = -1, .folder_fd = -1};
	memset(k->runs_fd, 0xff, sizeof(k->runs_fd));
	pthread_mutex_init(&k->lock, NULL);
	k->begun_ns = sl_env_now_ns(conf->env);
	struct old *o = calloc(1, sizeof(*o));
	k->lanes = calloc(conf->threads, sizeof(*k->lanes));
	enum sl_status st = k->lanes != NULL && o != NULL ? SL_OK : no_memory(d);
	if (st == SL_OK)
		st = sl_root_folder(conf->root, conf->root->index_fd, "new", SL_ROOT_SYNC_NONE,
			&k->folder_fd, d);
	if (st == SL_OK)
		st = open_runs(k, d);
	if (st == SL_OK)
		st = look_back(k, o, &why, d);
	if (st == SL_OK)
		st = adopt(k, o, found, d);
	if (st == SL_OK)
		st = o->len > 0 && why[0] == '\0' ? go_on(k, o, d) : write_marks(k, o, d);
	if (st == SL_OK)
		st = begin(k, d);
	snprintf(found->why_not, sizeof(found->why_not), "%s", why);
	free(o);
	if (st != SL_OK)
		sl_rekeep_close(k);
	else
		*out = k;
	return st;
}

bool sl_rekeep_has(const struct sl_rekeep *k, const char *fan)
{
	int no = sl_rekeep_fan_no(fan);
	return no >= 0 && k->done[no];
}

void sl_rekeep_close(struct sl_rekeep *k)
{
	if (k == NULL)
		return;
	for (unsigned i = 0; i < SL_SCAN_THREADS_MAX; i++)
		if (k->runs_fd[i] >= 0)
			close(k->runs_fd[i]);
	if (k->folder_fd >= 0)
		close(k->folder_fd);
	if (k->marks_fd >= 0)
		close(k->marks_fd);
	pthread_mutex_destroy(&k->lock);
	free(k->lanes);
	free(k);
}
