/* The LMDB environment: where it may live, how it is opened, how full it is.
 *
 * One process at a time: an flock on the folder. A file shorter than its meta page says (a copy cut
 * short) is made as long as it should be, with holes: reading a missing page then is "damaged", where
 * it would have been SIGBUS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	PATH_MAX_LEN = 4096,
	SPARE_READERS =
		16, /* slots for tools that look in from another process, and for ourselves */
	HEADROOM_PAGES = 16384, /* kept for removals: 64 MiB, or an eighth of a small map... */
	META_PAGE = 4096,       /* LMDB's two first pages, at the least; neither... */
	META_HEAD = 64,         /* ...begins with that many zeros once it was written */
	HEADROOM_MIN = 112,     /* ...but what one removal copies, twice */
	PAGES_AN_OBJECT =
		3, /* what a reservation promises: rows of a new patient, study and series at
		    * their caps, with their keys, fit in three pages; an ordinary instance takes
		    * 1/30 of one */
};

static const char *const tree_names[SL_TREE_N] = {
	[SL_TREE_META] = "meta",
	[SL_TREE_DICT] = "dict",
	[SL_TREE_PATIENT] = "patient",
	[SL_TREE_PATIENT_KEY] = "patient.key",
	[SL_TREE_STUDY] = "study",
	[SL_TREE_STUDY_UID] = "study.uid",
	[SL_TREE_SERIES] = "series",
	[SL_TREE_SERIES_UID] = "series.uid",
	[SL_TREE_INSTANCE] = "instance",
	[SL_TREE_UID] = "uid",
	[SL_TREE_TOMBSTONE] = "tombstone",
	[SL_TREE_ARRIVAL] = "arrival",
	[SL_TREE_VERSION] = "version",
	[SL_TREE_KEY] = "key",
};

const char *sl_index_lmdb_unsafe_fs(unsigned long statfs_type)
{
	/* Numbers of linux/magic.h, and of file systems that do not have theirs there. */
	static const struct {
		unsigned long type;
		const char *name;
	} unsafe[] = {
		{0x6969, "NFS"}, {0x517B, "SMB"}, {0xFE534D42, "SMB2"}, {0xFF534D42, "CIFS"},
		{0x01021997, "9p"}, {0x00C36400, "Ceph"}, {0x5346414F, "AFS"}, {0x6B414653, "AFS"},
		{0x73757245, "Coda"}, {0x7461636F, "OCFS2"}, {0x01161970, "GFS2"},
		{0x0BD00BD0, "Lustre"}, {0x786F4256, "VirtualBox shared folders"},
		{0x794C7630, "overlay"}, {0x61756673, "aufs"},
		{0x65735546, "FUSE"}, /* sshfs, GlusterFS, virtiofs: which one, nobody can tell */
	};
	for (size_t i = 0; i < SL_ARRAY_N(unsafe); i++)
		if (unsafe[i].type == (statfs_type & 0xFFFFFFFF))
			return unsafe[i].name;
	return NULL;
}

/* ---- the folder -------------------------------------------------------------------------------- */

/* fsync of the folder that names `path`. */
static enum sl_status sync_parent(const char *path, struct sl_diag *diag)
{
	char parent[PATH_MAX_LEN];
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	snprintf(parent, sizeof(parent), "%.*s", (int)n, n == 0 ? "." : path);
	int fd = open(n == 0 ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) != 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (err == 0)
		return SL_OK;
	return sl_fail(diag, SL_E_IO, err, "index/sync", "cannot sync the folder of %s: %s", path,
		strerror(err));
}

static enum sl_status make_folder(const char *path, struct sl_diag *diag)
{
	if (mkdir(path, 0750) == 0)
		return sync_parent(path, diag);
	if (errno == EEXIST)
		return SL_OK;
	int err = errno;
	return sl_fail(diag, err == ENOSPC || err == EDQUOT ? SL_E_FULL : SL_E_IO, err,
		"index/mkdir", "cannot make %s: %s", path, strerror(err));
}

/* True for a data.mdb without LMDB's first two pages. Until its first commit nothing of them is synced:
 * a first start that was cut short leaves a file that is too short, or as long as it should be and full
 * of zeros. LMDB calls either invalid. After a commit neither page is ever empty again; what cannot be
 * read is not called empty. */
static bool is_unwritten(int dirfd)
{
	static const char zeros[META_HEAD];
	char head[META_HEAD];
	struct stat data;
	int fd = openat(dirfd, "data.mdb", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool is = fstat(fd, &data) == 0 && data.st_size < 2 * META_PAGE;
	for (int page = 0; !is && page < 2; page++)
		is = pread(fd, head, sizeof(head), (off_t)page * META_PAGE) ==
			     (ssize_t)sizeof(head) &&
		     memcmp(head, zeros, sizeof(head)) == 0;
	close(fd);
	return is;
}

/* Opens and locks the folder, and looks whether LMDB is safe and whether there is an index. */
static enum sl_status enter_folder(struct sl_index_lmdb *ix,
	const struct sl_index_lmdb_options *options, bool *exists, struct sl_diag *diag)
{
	struct statfs fs;
	struct stat data;
	enum sl_status st = options->create ? make_folder(options->path, diag) : SL_OK;
	if (st != SL_OK)
		return st;
	int fd = open(options->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return sl_fail(diag, SL_E_NOTFOUND, ENOENT, "index/open", "there is no index in %s",
			options->path);
	if (fd < 0 || fstatfs(fd, &fs) != 0) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		return sl_fail(diag, SL_E_IO, err, "index/open", "cannot open %s: %s",
			options->path, strerror(err));
	}
	ix->lock_fd = fd;
	const char *unsafe = sl_index_lmdb_unsafe_fs((unsigned long)fs.f_type);
	if (unsafe != NULL)
		return sl_fail(diag, SL_E_UNSUPPORTED, 0, "index/open",
			"%s is on a file system (%s) on which LMDB is not safe: set index.path to "
			"a local disk",
			options->path, unsafe);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return sl_fail(diag, SL_E_BUSY, errno, "index/lock",
			"another process has the index in %s open", options->path);
	bool has_file = fstatat(fd, "data.mdb", &data, 0) == 0;
	*exists = has_file && !is_unwritten(fd);
	if (has_file && !*exists && options->create && unlinkat(fd, "data.mdb", 0) != 0)
		return sl_fail(diag, SL_E_IO, errno, "index/open", "cannot remove %s/data.mdb: %s",
			options->path, strerror(errno));
	if (!*exists && !options->create)
		return sl_fail(diag, SL_E_NOTFOUND, ENOENT, "index/open", "there is no index in %s",
			options->path);
	return SL_OK;
}

/* The folder's entries and its own name are durable before the first commit counts. */
static enum sl_status sync_folder(struct sl_index_lmdb *ix, const char *path, struct sl_diag *diag)
{
	if (fsync(ix->lock_fd) != 0)
		return sl_fail(diag, SL_E_IO, errno, "index/sync", "cannot sync %s: %s", path,
			strerror(errno));
	return sync_parent(path, diag);
}

/* ---- the environment --------------------------------------------------------------------------- */

/* LMDB opens its data file for children too (it does so for none of the others). */
static int close_on_exec(MDB_env *env)
{
	mdb_filehandle_t fd;
	int rc = mdb_env_get_fd(env, &fd);
	if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		rc = errno;
	return rc;
}

static enum sl_status open_env(
	struct sl_index_lmdb *ix, const struct sl_index_lmdb_options *options, struct sl_diag *diag)
{
	int rc = mdb_env_create(&ix->env);
	if (rc == 0)
		rc = mdb_env_set_mapsize(ix->env, (size_t)options->map_size);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(ix->env, SL_TREE_N);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(ix->env, options->readers + SPARE_READERS);
	if (rc == 0)
		rc = mdb_env_open(ix->env, options->path,
			MDB_NOTLS | MDB_NORDAHEAD | (options->is_draft ? MDB_NOSYNC : 0), 0640);
	if (rc == 0)
		rc = close_on_exec(ix->env);
	return sl_index_lmdb_error(rc, "lmdb/open", diag);
}

static enum sl_status fill_holes(struct sl_index_lmdb *ix, struct sl_diag *diag)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat file;
	mdb_filehandle_t fd;
	int rc = mdb_env_info(ix->env, &info);
	if (rc == 0)
		rc = mdb_env_stat(ix->env, &stat);
	if (rc == 0)
		rc = mdb_env_get_fd(ix->env, &fd);
	if (rc != 0)
		return sl_index_lmdb_error(rc, "lmdb/info", diag);
	ix->page_size = stat.ms_psize;
	ix->map_pages = info.me_mapsize / stat.ms_psize;
	ix->headroom_pages = sl_max64(HEADROOM_MIN, sl_min64(HEADROOM_PAGES, ix->map_pages / 8));
	off_t needed = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
	if (fstat(fd, &file) != 0 || (file.st_size < needed && ftruncate(fd, needed) != 0))
		return sl_index_lmdb_error(errno, "lmdb/extend", diag);
	return SL_OK;
}

/* Schema 1 had no order of arrival: it is made from the studies. */
static enum sl_status upgrade_from_1(struct sl_index_txn *t)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	int rc = mdb_cursor_open(t->txn, t->ix->tree[SL_TREE_STUDY], &cursor);
	if (rc == 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	enum sl_status st = SL_OK;
	while (rc == 0 && st == SL_OK) {
		struct sl_index_row_study row;
		struct sl_cur number = sl_cur_of(key.mv_data, key.mv_size);
		uint64_t no = sl_lmdb_key_uint(&number);
		if (sl_index_row_study(sl_cur_of(value.mv_data, value.mv_size), &row) != SL_OK)
			st = sl_index_lmdb_corrupt("index/study", t->diag);
		else
			st = sl_index_lmdb_move_arrival(t, no, 0, row.counts.last_seq);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	if (st == SL_OK && rc != MDB_NOTFOUND)
		st = sl_index_lmdb_error(rc, "lmdb/upgrade", t->diag);
	return st;
}

/* Schema 2 had no versions: every row is current, and the state counts none that is not. */
static enum sl_status upgrade_from_2(struct sl_index_txn *t)
{
	struct sl_cur older;
	uint8_t row[SL_INDEX_ROW_MAX], name[] = {'s', 't', 'a', 't', 'e'};
	struct sl_wbuf key = {name, sizeof(name), sizeof(name), false};
	struct sl_wbuf w = sl_wbuf_of(row, sizeof(row));
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_META, &key, &older);
	if (st != SL_OK)
		return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt("index/state", t->diag) : st;
	size_t n = sl_cur_left(&older);
	if (n > SL_INDEX_ROW_MAX / 2)
		return sl_index_lmdb_corrupt("index/state", t->diag);
	sl_wbuf_put(&w, sl_cur_take(&older, n), n);
	sl_lmdb_key_put_uint(&w, 0);
	return sl_index_lmdb_put(t, SL_TREE_META, &key, &w);
}

/* In the one transaction of opening: a crash leaves the older schema or the newer one. */
static enum sl_status upgrade(struct sl_index_txn *t, uint32_t schema)
{
	enum sl_status st = schema < 2 ? upgrade_from_1(t) : SL_OK;
	if (st == SL_OK && schema < 3)
		st = upgrade_from_2(t);
	return st == SL_OK && schema < 4 ? sl_index_lmdb_add_keys(t) : st;
}

static enum sl_status put_schema(struct sl_index_txn *t, const struct sl_wbuf *key)
{
	uint8_t bytes[4];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_wbuf_be32(&w, SL_INDEX_LMDB_SCHEMA);
	return sl_index_lmdb_put(t, SL_TREE_META, key, &w);
}

/* Reads the schema of an index that is there, and upgrades it; writes it into one that is new. The
 * caller's one commit covers all of it. */
static enum sl_status agree_schema(struct sl_index_txn *t, bool exists, const char *path)
{
	struct sl_cur value;
	struct sl_wbuf key = sl_wbuf_of((uint8_t[]){"schema"}, 6);
	key.len = 6;
	enum sl_status st = sl_index_lmdb_get(t, SL_TREE_META, &key, &value);
	if (st == SL_E_NOTFOUND && !exists) {
		t->state = (struct sl_index_row_state){
			.next_seq = 1, .next_patient = 1, .next_study = 1, .next_word = 1};
		st = put_schema(t, &key);
		return st == SL_OK ? sl_index_lmdb_put_state(t, &t->state) : st;
	}
	if (st != SL_OK)
		return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt("index/schema", t->diag) : st;
	uint32_t schema = sl_cur_be32(&value);
	if (value.bad || schema == 0)
		return sl_index_lmdb_corrupt("index/schema", t->diag);
	if (schema > SL_INDEX_LMDB_SCHEMA)
		return sl_fail(t->diag, SL_E_UNSUPPORTED, 0, "index/schema",
			"the index in %.60s has schema %u, this program knows up to %u: run the "
			"newer program",
			path, schema, (unsigned)SL_INDEX_LMDB_SCHEMA);
	if (schema < SL_INDEX_LMDB_SCHEMA) {
		st = upgrade(t, schema);
		if (st == SL_OK)
			st = put_schema(t, &key);
		if (st != SL_OK)
			return st;
	}
	st = sl_index_lmdb_get_state(t, &t->state);
	return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt("index/state", t->diag) : st;
}

/* A first commit that was cut short leaves a file without trees: as new as an empty folder. */
static enum sl_status open_trees(
	struct sl_index_lmdb *ix, const struct sl_index_lmdb_options *options, struct sl_diag *diag)
{
	const char *path = options->path;
	struct sl_index_txn t;
	MDB_stat main_tree;
	enum sl_status st = sl_index_lmdb_begin(ix, &t, diag);
	if (st != SL_OK)
		return st;
	int rc = mdb_env_stat(ix->env, &main_tree);
	bool exists = rc == 0 && main_tree.ms_entries > 0;
	for (int i = 0; i < SL_TREE_N && rc == 0; i++) {
		bool may_be_new = !exists || i >= SL_TREE_ARRIVAL; /* younger than schema 1 */
		rc = mdb_dbi_open(t.txn, tree_names[i], may_be_new ? MDB_CREATE : 0, &ix->tree[i]);
	}
	if (rc == 0 && !exists && !options->create)
		st = sl_fail(
			diag, SL_E_NOTFOUND, 0, "lmdb/trees", "the index in %.80s is empty", path);
	else if (rc == MDB_NOTFOUND)
		st = sl_fail(diag, SL_E_CORRUPT, 0, "lmdb/trees",
			"the file in %.80s is not an index of ours", path);
	else
		st = sl_index_lmdb_error(rc, "lmdb/trees", diag);
	if (st == SL_OK)
		st = agree_schema(&t, exists, path);
	if (st == SL_OK && t.state.next_seq < options->next_seq) {
		t.state.next_seq = options->next_seq;
		st = sl_index_lmdb_put_state(&t, &t.state);
	}
	if (st != SL_OK) {
		mdb_txn_abort(t.txn);
		return st;
	}
	ix->state = t.state;
	return sl_index_lmdb_commit(ix, t.txn, diag);
}

/* The transaction that counts pages is made once: publishing does not allocate. */
static enum sl_status open_counting(struct sl_index_lmdb *ix, struct sl_diag *diag)
{
	int rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &ix->counting);
	if (rc == 0) {
		rc = mdb_cursor_open(ix->counting, 0, &ix->free_list); /* 0: LMDB's free list */
		mdb_txn_reset(ix->counting);
	}
	return sl_index_lmdb_error(rc, "lmdb/counting", diag);
}

enum sl_status sl_index_lmdb_env_open(
	struct sl_index_lmdb *ix, const struct sl_index_lmdb_options *options, struct sl_diag *diag)
{
	bool exists = false;
	enum sl_status st = enter_folder(ix, options, &exists, diag);
	if (st == SL_OK)
		st = open_env(ix, options, diag);
	if (st == SL_OK && !exists)
		st = sync_folder(ix, options->path, diag);
	if (st == SL_OK)
		st = fill_holes(ix, diag);
	if (st == SL_OK)
		st = open_trees(ix, options, diag);
	if (st == SL_OK)
		st = open_counting(ix, diag);
	return st == SL_OK ? sl_index_lmdb_clear_stale(&ix->base, diag) : st;
}

void sl_index_lmdb_env_close(struct sl_index_lmdb *ix)
{
	if (ix->free_list != NULL)
		mdb_cursor_close(ix->free_list);
	if (ix->counting != NULL)
		mdb_txn_abort(ix->counting);
	if (ix->env != NULL)
		mdb_env_close(ix->env);
	if (ix->lock_fd >= 0)
		close(ix->lock_fd);
}

/* ---- how full it is ---------------------------------------------------------------------------- */

/* Sums LMDB's free list: each entry begins with how many pages it holds. */
static int count_free_pages(struct sl_index_lmdb *ix, uint64_t *out)
{
	MDB_val key, value;
	uint64_t sum = 0;
	int rc = mdb_txn_renew(ix->counting);
	if (rc != 0)
		return rc;
	rc = mdb_cursor_renew(ix->counting, ix->free_list);
	if (rc == 0)
		rc = mdb_cursor_get(ix->free_list, &key, &value, MDB_FIRST);
	while (rc == 0) {
		size_t pages = 0;
		if (value.mv_size >= sizeof(pages))
			memcpy(&pages, value.mv_data, sizeof(pages));
		sum += pages;
		rc = mdb_cursor_get(ix->free_list, &key, &value, MDB_NEXT);
	}
	mdb_txn_reset(ix->counting);
	*out = sum;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* What the table of readers says. */
struct readers {
	uint32_t used;
	uint64_t oldest; /* transaction; 0 = none is open */
};

/* "pid thread txnid" for each slot taken, after a title; "-" is a reader between two transactions. */
static int on_reader_line(const char *line, void *arg)
{
	struct readers *r = arg;
	long pid;
	char thread[32], at[32];
	if (sscanf(line, "%ld %31s %31s", &pid, thread, at) != 3)
		return 0;
	r->used++;
	uint64_t txnid = strtoull(at, NULL, 10);
	if (txnid > 0 && (r->oldest == 0 || txnid < r->oldest))
		r->oldest = txnid;
	return 0;
}

enum sl_status sl_index_lmdb_publish(
	struct sl_index_lmdb *ix, bool count_free, struct sl_diag *diag)
{
	MDB_envinfo info;
	int rc = mdb_env_info(ix->env, &info);
	if (rc != 0)
		return sl_index_lmdb_error(rc, "lmdb/info", diag);
	uint64_t reached = (uint64_t)info.me_last_pgno + 1;
	uint64_t untouched = ix->map_pages > reached ? ix->map_pages - reached : 0;
	uint64_t free_pages = ix->snapshot.pages_free; /* the writer alone writes it */
	if (count_free || untouched < ix->map_pages / 4)
		rc = count_free_pages(ix, &free_pages);
	if (rc != 0)
		return sl_index_lmdb_error(rc, "lmdb/free", diag);
	free_pages = sl_min64(free_pages, reached);
	uint64_t left = untouched + free_pages;
	uint64_t room =
		left > ix->headroom_pages ? (left - ix->headroom_pages) / PAGES_AN_OBJECT : 0;
	atomic_store_explicit(&ix->room, (long long)room, memory_order_relaxed);
	pthread_mutex_lock(&ix->snapshot_lock);
	struct sl_index_snapshot *s = &ix->snapshot;
	s->usage = ix->state.usage;
	s->next_seq = ix->state.next_seq;
	s->map_size = ix->map_pages * ix->page_size;
	s->map_used = reached * ix->page_size;
	s->pages_free = free_pages;
	s->pages_used = reached - free_pages;
	s->page_size = ix->page_size;
	s->readers_max = info.me_maxreaders;
	pthread_mutex_unlock(&ix->snapshot_lock);
	return SL_OK;
}

enum sl_status sl_index_lmdb_clear_stale(struct sl_index *base, struct sl_diag *diag)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	int dead = 0;
	struct readers readers = {0};
	MDB_envinfo info;
	int rc = mdb_reader_check(ix->env, &dead);
	if (rc == 0)
		rc = mdb_env_info(ix->env, &info);
	if (rc == 0 && mdb_reader_list(ix->env, on_reader_line, &readers) < 0)
		rc = EIO;
	if (rc != 0)
		return sl_index_lmdb_error(rc, "lmdb/readers", diag);
	pthread_mutex_lock(&ix->snapshot_lock);
	ix->snapshot.readers_stale += (uint64_t)(dead > 0 ? dead : 0);
	ix->snapshot.readers_used = readers.used;
	ix->snapshot.reader_commit = readers.oldest;
	ix->snapshot.last_commit = info.me_last_txnid;
	pthread_mutex_unlock(&ix->snapshot_lock);
	return sl_index_lmdb_publish(ix, true, diag);
}
