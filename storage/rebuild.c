/* Reading, sorting, writing (rebuild_write.c), and the rename (rebuild_place.c).
 *
 * Reading: each thread has a walker and a lane of the sorter.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rebuild.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index_lmdb.h"
#include "storage/inflate.h"
#include "storage/oserr.h"
#include "storage/path.h"
#include "storage/rebuild_priv.h"
#include "storage/rekeep.h"
#include "storage/rewalk.h"
#include "storage/berth.h"
#include "storage/scan.h"
#include "storage/sorter.h"
#include "storage/store_fs.h"

#define SCRATCH (64 * SL_KIB)
#define MEMORY  (64 * SL_MIB)
#define TICK_MS 1000

/* One thread's. */
struct lane {
	struct sl_rewalk walk;
	struct sl_record record;
	uint8_t head[SL_STORE_FS_HEAD];
};

struct rebuild {
	const struct sl_rebuild_conf *conf;
	struct sl_store *store;
	struct sl_sorter *sorter;
	struct sl_rekeep *keep;
	struct sl_rekeep_found kept; /* of an earlier one */
	struct lane *lanes;
	uint64_t begun_ns;
	atomic_uint_fast64_t files, bad; /* sums of their own: relaxed */
	pthread_mutex_t lock;            /* of first_bad */
	char first_bad[96];

	/* writing */
	struct sl_index *index;
	uint64_t read, put; /* records sorted, and given to the index */
	uint64_t gone;      /* and not given: on their way out */
	uint64_t told_ns;   /* when it last said how far it is */
};

/* ---- what it says of itself --------------------------------------------------------------------- */

static struct sl_rebuild_report report_of(
	struct rebuild *rb, enum sl_rebuild_phase phase, unsigned permille)
{
	struct sl_rebuild_report r = {
		.phase = phase,
		.permille = permille,
		.ms = (sl_env_now_ns(rb->conf->env) - rb->begun_ns) / 1000000u,
		.files = atomic_load_explicit(&rb->files, memory_order_relaxed),
		.bad = atomic_load_explicit(&rb->bad, memory_order_relaxed),
		.gone = rb->gone,
		.kept_fans = rb->kept.fans,
		.kept_files = rb->kept.files,
		.dropped_fans = rb->kept.dropped,
	};
	if (rb->index != NULL) {
		struct sl_index_snapshot snap;
		sl_index_snapshot(rb->index, &snap);
		r.indexed = snap.usage.versions;
	}
	pthread_mutex_lock(&rb->lock);
	memcpy(r.first_bad, rb->first_bad, sizeof(r.first_bad));
	memcpy(r.why_not, rb->kept.why_not, sizeof(r.why_not));
	pthread_mutex_unlock(&rb->lock);
	return r;
}

static void tell(struct rebuild *rb, enum sl_rebuild_phase phase, unsigned permille)
{
	if (rb->conf->on_progress == NULL)
		return;
	const struct sl_rebuild_report r = report_of(rb, phase, permille);
	rb->conf->on_progress(rb->conf->arg, &r);
}

static void on_tick(void *arg, unsigned permille)
{
	tell(arg, SL_REBUILD_READING, permille);
}

static void count_bad(struct rebuild *rb, const char *path)
{
	size_t len = strlen(path), cap = sizeof(rb->first_bad) - 1;
	atomic_fetch_add_explicit(&rb->bad, 1, memory_order_relaxed);
	pthread_mutex_lock(&rb->lock);
	if (rb->first_bad[0] == '\0')
		snprintf(rb->first_bad, sizeof(rb->first_bad), "%s",
			path + (len > cap ? len - cap : 0));
	pthread_mutex_unlock(&rb->lock);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static void path_of(const struct sl_record *r, struct sl_path *out)
{
	sl_path_instance(out, &r->study_instance_uid, &r->series_instance_uid, &r->sop_instance_uid,
		(r->flags & SL_RECORD_PLAIN_NAME) != 0 ? 0 : r->seq);
}

/* Reads one file into the lane's record. spool_seq: of a file in spool/; 0: it is in the archive, where
 * its UIDs put it. SL_E_CORRUPT, SL_E_IO: the file is bad, other files may not be. */
static enum sl_status read_file(struct rebuild *rb, struct lane *l, int folder_fd, const char *name,
	const char *path, uint64_t spool_seq, struct sl_diag *d)
{
	struct sl_store_reader reader;
	struct sl_path own;
	enum sl_status st = sl_store_fs_open_in(&reader, folder_fd, name, l->head, d);
	if (st != SL_OK)
		return st;
	/* As recovery does: a name in spool/ may be older than the bytes. */
	st = sl_rewalk_file(&l->walk, rb->store, &reader, spool_seq != 0, &l->record, d);
	rb->store->ops->close(&reader);
	if (st != SL_OK)
		return st;
	if (spool_seq != 0)
		return l->record.seq == spool_seq ? SL_OK : SL_E_CORRUPT;
	path_of(&l->record, &own);
	return l->record.seq > 0 && strcmp(own.s, path) == 0 ? SL_OK : SL_E_CORRUPT;
}

static enum sl_status on_file(
	void *arg, unsigned thread, const struct sl_scan_file *f, struct sl_diag *d)
{
	struct rebuild *rb = arg;
	struct lane *l = &rb->lanes[thread];
	struct sl_diag why = {0};
	atomic_fetch_add_explicit(&rb->files, 1, memory_order_relaxed);
	enum sl_status st = read_file(rb, l, f->folder_fd, f->name, f->path, 0, &why);
	if (st == SL_OK)
		return sl_sorter_add(rb->sorter, thread, &l->record, d);
	if (st != SL_E_CORRUPT && st != SL_E_IO)
		return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
	count_bad(rb, f->path);
	sl_rekeep_spoil(rb->keep, thread);
	return SL_OK;
}

/* A folder that cannot be opened may hold a whole study: that is for the operator to see to first. */
static enum sl_status on_bad(
	void *arg, unsigned thread, const char *path, enum sl_status why, struct sl_diag *d)
{
	struct rebuild *rb = arg;
	(void)d;
	count_bad(rb, path);
	sl_rekeep_spoil(rb->keep, thread);
	return why == SL_E_UNSUPPORTED ? SL_OK : why;
}

static bool wants(void *arg, const char *fan)
{
	const struct rebuild *rb = arg;
	return !sl_rekeep_has(rb->keep, fan);
}

static enum sl_status on_fan(
	void *arg, unsigned thread, const struct sl_scan_fan *fan, struct sl_diag *d)
{
	struct rebuild *rb = arg;
	return sl_rekeep_fan(rb->keep, thread, fan, d);
}

/* SL_OK: an object of this seq has the name, as far as the name or the file's header can say. SL_END: no
 * object of ours. */
static enum sl_status ask_name(const struct rebuild *rb, const char *name, uint64_t *seq)
{
	uint64_t number;
	struct sl_diag none = {0};
	enum sl_berth_what what = SL_BERTH_UNKNOWN;
	bool is_ours = sl_path_spool_seq(name, seq);
	if (sl_path_berth_number(name, &number)) /* one that cannot be read is recovery's too */
		is_ours = sl_berth_look(rb->conf->root, name, &what, seq, &none) == SL_OK &&
			  what == SL_BERTH_OBJECT;
	return is_ours && *seq != 0 ? SL_OK : SL_END;
}

/* What is not sound there is left to recovery, which sets it aside. */
static enum sl_status read_spooled(
	struct rebuild *rb, int folder, const char *name, uint64_t seq, struct sl_diag *d)
{
	struct lane *l = &rb->lanes[0];
	struct sl_diag why = {0};
	enum sl_status st = read_file(rb, l, folder, name, name, seq, &why);
	if (st == SL_OK) {
		atomic_fetch_add_explicit(&rb->files, 1, memory_order_relaxed);
		return sl_sorter_add(rb->sorter, 0, &l->record, d);
	}
	if (st == SL_E_CORRUPT || st == SL_E_IO)
		return SL_OK;
	return sl_fail(d, st, why.errnum, why.where, "%s", why.text);
}

/* What came last. */
static enum sl_status read_spool(struct rebuild *rb, struct sl_diag *d)
{
	struct dirent *entry;
	uint64_t seq;
	DIR *dir;
	enum sl_status st = sl_rebuild_folder(rb->conf->root->root_fd, SL_PATH_SPOOL, &dir, d);
	if (st != SL_OK)
		return st;
	while (st == SL_OK && (entry = readdir(dir)) != NULL) {
		st = ask_name(rb, entry->d_name, &seq);
		if (st == SL_OK)
			st = read_spooled(rb, dirfd(dir), entry->d_name, seq, d);
		else if (st == SL_END)
			st = SL_OK;
	}
	closedir(dir);
	return st;
}

static enum sl_status read_all(struct rebuild *rb, struct sl_diag *d)
{
	const struct sl_scan_conf scan = {
		.threads = rb->conf->threads,
		.wants = wants,
		.on_file = on_file,
		.on_bad = on_bad,
		.on_fan = on_fan,
		.on_tick = on_tick,
		.tick_ms = TICK_MS,
		.arg = rb,
	};
	/* No row before its file is sure to stay (recover.c). */
	enum sl_status st = sl_root_sync(rb->conf->root, d);
	if (st == SL_OK)
		st = sl_scan_archive(rb->conf->root, &scan, d);
	if (st == SL_OK)
		st = sl_rekeep_end(rb->keep, d);
	if (st == SL_OK) /* not kept: it is read each time */
		st = read_spool(rb, d);
	return st == SL_OK ? sl_sorter_sort(rb->sorter, d) : st;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void on_refused(void *arg, const struct sl_record *r)
{
	struct sl_path path;
	path_of(r, &path);
	count_bad(arg, path.s);
}

static void on_batch(void *arg, size_t put, uint64_t gone)
{
	struct rebuild *rb = arg;
	rb->put += put;
	rb->gone += gone;
	uint64_t now_ns = sl_env_now_ns(rb->conf->env);
	if (now_ns - rb->told_ns <= TICK_MS * 1000000ull)
		return;
	tell(rb, SL_REBUILD_WRITING, (unsigned)(rb->put * 1000 / sl_max64(rb->read, 1)));
	rb->told_ns = now_ns;
}

static enum sl_status write_all(struct rebuild *rb, struct sl_diag *d)
{
	const struct sl_rebuild_writing w = {
		.root = rb->conf->root,
		.sorter = rb->sorter,
		.ops = rb->conf->ops,
		.index = rb->index,
		.on_bad = on_refused,
		.on_batch = on_batch,
		.arg = rb,
	};
	rb->read = sl_sorter_count(rb->sorter);
	rb->told_ns = sl_env_now_ns(rb->conf->env);
	return sl_rebuild_write(&w, d);
}

static enum sl_status open_draft(struct rebuild *rb, struct sl_diag *d)
{
	const struct sl_root *root = rb->conf->root;
	char path[SL_ROOT_PATH_MAX + sizeof(SL_REBUILD_DRAFT) + 1];
	snprintf(path, sizeof(path), "%s/%s", root->index_path, SL_REBUILD_DRAFT);
	struct sl_index_lmdb_options options = {
		.path = path,
		.map_size = rb->conf->map_size,
		.readers = 1,
		.batch_max = SL_REBUILD_BATCH,
		.create = true,
		.is_draft = true,
		.next_seq = rb->conf->next_seq,
	};
	enum sl_status st = sl_rebuild_seq_after_quarantine(root, &options.next_seq, d);
	return st == SL_OK ? sl_index_lmdb_open(&options, &rb->index, d) : st;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static enum sl_status no_memory(struct sl_diag *d)
{
	return sl_fail(d, SL_E_NOMEM, ENOMEM, "rebuild", "no memory");
}

/* Of all but the files that decides what their records are. */
static void identify(const struct rebuild *rb, uint8_t out[SL_DIGEST_LEN])
{
	const struct sl_rebuild_conf *conf = rb->conf;
	const struct sl_charsets *charsets = conf->charsets;
	struct stat archive = {0};
	(void)fstat(conf->root->archive_fd, &archive);
	const uint64_t numbers[] = {sizeof(struct sl_record), archive.st_ino, conf->limits.depth,
		conf->limits.elements, conf->limits.value_len, conf->inflate_max};
	struct sl_digest g;
	sl_digest_init(&g);
	sl_digest_feed(&g, SL_VERSION, sizeof(SL_VERSION));
	sl_digest_feed(&g, numbers, sizeof(numbers));
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		const uint32_t row[] = {sl_attrs[a].tag, sl_attrs[a].level, sl_attrs[a].cap};
		sl_digest_feed(&g, row, sizeof(row));
	}
	for (size_t i = 0; charsets != NULL && i < charsets->n; i++) {
		const struct sl_charset_rule *rule = &charsets->rules[i];
		sl_digest_feed(&g, rule->calling.s, strlen(rule->calling.s) + 1);
		sl_digest_feed(&g, rule->term, strlen(rule->term) + 1);
	}
	if (charsets != NULL)
		sl_digest_feed(&g, charsets->other, strlen(charsets->other));
	sl_digest_end(&g, out);
}

/* The sorter, with what an earlier rebuild kept in it. */
static enum sl_status open_sorter(struct rebuild *rb, struct sl_diag *d)
{
	const struct sl_rebuild_conf *conf = rb->conf;
	bool had_some;
	enum sl_status st = sl_sorter_open(&rb->sorter, conf->root->index_fd, conf->threads,
		conf->memory > 0 ? conf->memory : MEMORY, d);
	if (st == SL_OK)
		st = sl_rebuild_clear(conf->root, false, &had_some, d);
	if (st != SL_OK)
		return st;
	struct sl_rekeep_conf keep = {
		.root = conf->root,
		.env = conf->env,
		.sorter = rb->sorter,
		.threads = conf->threads,
		.interval_ms = conf->keep_ms,
	};
	identify(rb, keep.identity);
	st = sl_rekeep_open(&rb->keep, &keep, &rb->kept, d);
	if (st == SL_OK && (rb->kept.fans > 0 || rb->kept.why_not[0] != '\0'))
		tell(rb, SL_REBUILD_RESUMED, 0);
	atomic_fetch_add_explicit(&rb->files, rb->kept.files, memory_order_relaxed);
	return st;
}

static enum sl_status prepare(struct rebuild *rb, struct sl_diag *d)
{
	const struct sl_rebuild_conf *conf = rb->conf;
	rb->lanes = calloc(conf->threads, sizeof(*rb->lanes));
	if (rb->lanes == NULL)
		return no_memory(d);
	for (unsigned i = 0; i < conf->threads; i++) {
		struct sl_rewalk *w = &rb->lanes[i].walk;
		w->limits = conf->limits;
		w->charsets = conf->charsets;
		w->inflate_max = conf->inflate_max;
		w->scratch = malloc(SCRATCH);
		w->scratch_len = SCRATCH;
		w->inflate_memory = aligned_alloc(64, (sl_inflate_memory() + 63) / 64 * 64);
		if (w->scratch == NULL || w->inflate_memory == NULL)
			return no_memory(d);
	}
	enum sl_status st = sl_store_fs_open(&rb->store, conf->root, d);
	return st == SL_OK ? open_sorter(rb, d) : st;
}

static void release(struct rebuild *rb)
{
	for (unsigned i = 0; rb->lanes != NULL && i < rb->conf->threads; i++) {
		free(rb->lanes[i].walk.scratch);
		free(rb->lanes[i].walk.inflate_memory);
	}
	free(rb->lanes);
	sl_index_close(rb->index);
	sl_sorter_close(rb->sorter);
	sl_rekeep_close(rb->keep);
	sl_store_fs_close(rb->store);
	pthread_mutex_destroy(&rb->lock);
	free(rb);
}

enum sl_status sl_rebuild(
	const struct sl_rebuild_conf *conf, struct sl_rebuild_report *out, struct sl_diag *d)
{
	*out = (struct sl_rebuild_report){0};
	struct rebuild *rb = calloc(1, sizeof(*rb));
	struct sl_rebuild_conf own = *conf;
	if (rb == NULL)
		return no_memory(d);
	own.threads = (unsigned)sl_min(sl_max(conf->threads, 1), SL_SCAN_THREADS_MAX);
	rb->conf = &own;
	rb->begun_ns = sl_env_now_ns(conf->env);
	pthread_mutex_init(&rb->lock, NULL);
	enum sl_status st = prepare(rb, d);
	if (st == SL_OK)
		st = read_all(rb, d);
	if (st == SL_OK)
		st = open_draft(rb, d);
	if (st == SL_OK)
		st = write_all(rb, d);
	*out = report_of(rb, st == SL_OK ? SL_REBUILD_DONE : SL_REBUILD_READING, 1000);
	sl_index_close(rb->index);
	rb->index = NULL;
	if (st == SL_OK)
		st = sl_rebuild_take_place(conf->root, d);
	release(rb);
	return st;
}
