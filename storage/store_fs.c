/* Object files, from an empty file in spool/ to a durable one with a durable name there; reading them again
 * is in store_fs_read.c.
 *
 * Happy path of an object that comes in one piece: a berth, whose name is durable already (berth.h),
 * header and data in one write, fdatasync. Of one that streams, or where no berth is in stock: O_TMPFILE
 * in spool/, data written behind room for the header, at the end header and rest in one write, link to
 * spool/<seq>.dcm; then fdatasync, while the folder's fsync, shared with whoever needs it at that moment,
 * is under way on its own thread. So a name may outlive a power cut that its bytes do not: recovery
 * believes no file in spool/ before it has seen its digest. Moving on to the archive is in
 * store_fs_settle.c.
 *
 * Failure: an unnamed file is gone when its descriptor is closed (where the file system has no
 * O_TMPFILE, the temporary name is unlinked); a berth, or a name whose fdatasync fails, is unlinked.
 * ENOSPC and EDQUOT are SL_E_FULL, also from fdatasync, because nobody was told of the file; any other
 * failure of fdatasync is SL_E_SYNC and the descriptor is never synced again.
 *
 * Disk threads; the store itself is constant after open, but for one counter and the table of berths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/store_fs_int.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"

#define FILE_MODE 0440 /* files never change (DESIGN 7) */

/* ---- writing ------------------------------------------------------------------------------------ */

static bool take_berth(struct sl_store_fs *s, struct sl_store_file *f)
{
	struct sl_berth berth;
	if (s->berths == NULL || !sl_berths_take(s->berths, &berth))
		return false;
	f->fd = berth.fd;
	f->berth = berth.number;
	f->sync.named_after = berth.named_after;
	f->sync.covered_by = berth.covered_by;
	return true;
}

static void unlink_temp(struct sl_store_file *f)
{
	struct sl_store_fs *s = sl_store_fs_of(f->store);
	struct sl_path temp;
	if (!f->is_temp_named)
		return;
	sl_path_temp(&temp, f->seq);
	(void)unlinkat(s->root->spool_fd, temp.s, 0);
	f->is_temp_named = false;
}

static void leave_berth(struct sl_store_file *f)
{
	struct sl_store_fs *s = sl_store_fs_of(f->store);
	struct sl_path name;
	if (f->berth == 0 || f->is_named)
		return;
	sl_path_berth(&name, f->berth);
	(void)unlinkat(s->root->spool_fd, name.s, 0);
	f->berth = 0;
}

static void fs_abort(struct sl_store_file *f)
{
	unlink_temp(f);
	leave_berth(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static enum sl_status fs_begin(struct sl_store *store, struct sl_store_file *f, uint64_t header_len,
	bool is_whole, struct sl_diag *d)
{
	struct sl_store_fs *s = sl_store_fs_of(store);
	*f = (struct sl_store_file){.store = store, .fd = -1, .header_len = header_len};
	if (is_whole && take_berth(s, f))
		return SL_OK;
	if (s->root->has_tmpfile) {
		f->fd = openat(s->root->spool_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
	} else {
		struct sl_path temp;
		f->seq = atomic_fetch_add(&s->next_temp, 1);
		sl_path_temp(&temp, f->seq);
		f->fd = sl_root_openat(
			s->root->spool_fd, temp.s, O_CREAT | O_EXCL | O_RDWR, FILE_MODE);
		f->is_temp_named = f->fd >= 0;
	}
	if (f->fd < 0)
		return sl_oserr_fail(d, "spool/create");
	if (s->root->gid != (gid_t)-1 && fchown(f->fd, (uid_t)-1, s->root->gid) != 0) {
		enum sl_status st = sl_oserr_fail(d, "spool/chown");
		fs_abort(f);
		return st;
	}
	return SL_OK;
}

/* All of iov at `off`; continues after short writes. iov is a copy and is consumed. */
static enum sl_status write_all(
	int fd, struct iovec *iov, int iov_n, uint64_t off, struct sl_diag *d)
{
	while (iov_n > 0) {
		ssize_t n = pwritev(fd, iov, iov_n, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sl_oserr_fail(d, "spool/write");
		off += (uint64_t)n;
		while (iov_n > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			iov_n--;
		}
		if (iov_n > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return SL_OK;
}

static uint64_t sum_of(const struct iovec *iov, int iov_n)
{
	uint64_t sum = 0;
	for (int i = 0; i < iov_n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static enum sl_status fs_append(
	struct sl_store_file *f, const struct iovec *iov, int iov_n, struct sl_diag *d)
{
	struct iovec copy[SL_PART_IOV];
	sl_assert(iov_n >= 0 && (size_t)iov_n <= SL_ARRAY_N(copy));
	if (iov_n == 0)
		return SL_OK;
	memcpy(copy, iov, (size_t)iov_n * sizeof(*iov));
	uint64_t bytes = sum_of(iov, iov_n);
	enum sl_status st = write_all(f->fd, copy, iov_n, f->header_len + f->written, d);
	if (st == SL_OK)
		f->written += bytes;
	return st;
}

/* Header and rest: side by side in the file and one write, unless data lies between them. */
static enum sl_status write_rest(struct sl_store_file *f, const void *header,
	const struct iovec *iov, int iov_n, struct sl_diag *d)
{
	struct iovec copy[SL_PART_IOV + 1];
	union {
		const void *in;
		void *out;
	} unconst = {.in = header};
	struct iovec head = {unconst.out, f->header_len};
	if (f->written == 0) {
		sl_assert(iov_n >= 0 && (size_t)iov_n < SL_ARRAY_N(copy));
		copy[0] = head;
		if (iov_n > 0)
			memcpy(copy + 1, iov, (size_t)iov_n * sizeof(*iov));
		f->written = sum_of(iov, iov_n);
		return write_all(f->fd, copy, iov_n + 1, 0, d);
	}
	enum sl_status st = fs_append(f, iov, iov_n, d);
	if (st != SL_OK)
		return st;
	return write_all(f->fd, &head, 1, 0, d);
}

/* The one fdatasync of an object's bytes. */
static enum sl_status sync_data(struct sl_store_file *f, struct sl_diag *d)
{
	struct sl_store_fs *s = sl_store_fs_of(f->store);
	if (!s->root->is_durable)
		return SL_OK;
	if (fdatasync(f->fd) == 0) {
		f->is_data_synced = true;
		return SL_OK;
	}
	int e = errno;
	if (e == ENOSPC || e == EDQUOT)
		return sl_fail(d, SL_E_FULL, e, "spool/fdatasync", "fdatasync: %s", strerror(e));
	return sl_fail(d, SL_E_SYNC, e, "spool/fdatasync", "fdatasync: %s", strerror(e));
}

/* Gives the file its name in the folder dirfd. */
static enum sl_status name_it(struct sl_store_file *f, int dirfd, uint64_t seq, struct sl_diag *d)
{
	struct sl_store_fs *s = sl_store_fs_of(f->store);
	struct sl_path name;
	int rc;
	sl_path_spool(&name, seq);
	if (f->is_temp_named) {
		struct sl_path temp;
		sl_path_temp(&temp, f->seq);
		rc = linkat(s->root->spool_fd, temp.s, dirfd, name.s, 0);
	} else {
		char self[32];
		snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
		rc = linkat(AT_FDCWD, self, dirfd, name.s, AT_SYMLINK_FOLLOW);
	}
	if (rc != 0)
		return sl_oserr_fail(d, "store/link");
	unlink_temp(f);
	f->seq = seq;
	f->is_named = true;
	return SL_OK;
}

/* Rare, so the folder is opened each time and synced at once. */
static enum sl_status set_aside(struct sl_store_file *f, uint64_t seq, struct sl_diag *d)
{
	const struct sl_root *root = sl_store_fs_of(f->store)->root;
	int fd = -1;
	enum sl_status st = sl_root_folder(root, root->root_fd, SL_PATH_QUARANTINE,
		root->is_durable ? SL_ROOT_SYNC_NEW : SL_ROOT_SYNC_NONE, &fd, d);
	if (st != SL_OK)
		return st;
	st = name_it(f, fd, seq, d);
	if (st == SL_OK && root->is_durable && fsync(fd) != 0)
		st = sl_fail(d, SL_E_SYNC, errno, "quarantine/fsync", "%s", strerror(errno));
	close(fd);
	return st;
}

static void on_synced(struct sl_dirsync_wait *w, enum sl_status st)
{
	struct sl_store_file *f = sl_container_of(w, struct sl_store_file, sync);
	f->on_named(f, st);
}

/* The name first, so that its fsync and that of the bytes run at the same time. */
static enum sl_status name_in_spool(struct sl_store_file *f, uint64_t seq, struct sl_diag *d)
{
	struct sl_store_fs *s = sl_store_fs_of(f->store);
	struct sl_path name;
	enum sl_status st = name_it(f, s->root->spool_fd, seq, d);
	if (st != SL_OK)
		return st;
	f->sync.on_synced = on_synced;
	sl_dirsync_join(s->spool_sync, &f->sync);
	st = sync_data(f, d);
	if (st == SL_OK)
		return SL_OK;
	sl_dirsync_leave(s->spool_sync, &f->sync);
	sl_path_spool(&name, seq);
	(void)unlinkat(s->root->spool_fd, name.s, 0);
	f->is_named = false;
	return st;
}

/* The name was durable before; who asks for the object by its seq is told of it from here on. */
static enum sl_status seal_berth(struct sl_store_file *f, uint64_t seq, struct sl_diag *d)
{
	enum sl_status st = sync_data(f, d);
	if (st != SL_OK)
		return st;
	bool is_new = sl_berth_map_put(sl_store_fs_of(f->store)->lying, seq, f->berth);
	sl_assert(is_new);
	f->seq = seq;
	f->is_named = true;
	return SL_OK;
}

static enum sl_status fs_seal(struct sl_store_file *f, const void *header, const struct iovec *iov,
	int iov_n, uint64_t seq, enum sl_store_place place, struct sl_diag *d)
{
	enum sl_status st = write_rest(f, header, iov, iov_n, d);
	if (st == SL_OK && f->berth != 0) {
		sl_assert(place == SL_STORE_SPOOL);
		st = seal_berth(f, seq, d);
	} else if (st == SL_OK && place == SL_STORE_SPOOL) {
		st = name_in_spool(f, seq, d);
	} else if (st == SL_OK) {
		st = sync_data(f, d);
		if (st == SL_OK)
			st = set_aside(f, seq, d);
	}
	fs_abort(f); /* closes; what has its name keeps it */
	return st;
}

static void fs_name_durably(struct sl_store_file *f)
{
	if (f->berth != 0) /* it was so before */
		f->on_named(f, SL_OK);
	else
		sl_dirsync_await(sl_store_fs_of(f->store)->spool_sync, &f->sync);
}

/* ---- life --------------------------------------------------------------------------------------- */

static const struct sl_store_ops fs_ops = {
	.begin = fs_begin,
	.append = fs_append,
	.reread = sl_store_fs_reread,
	.seal = fs_seal,
	.name_durably = fs_name_durably,
	.abort = fs_abort,
	.open = sl_store_fs_open_object,
	.read = sl_store_fs_read,
	.close = sl_store_fs_close_reader,
	.settle = sl_store_fs_settle,
	.remove = sl_store_fs_remove,
};

enum sl_status sl_store_fs_open(
	struct sl_store **out, const struct sl_root *root, struct sl_diag *d)
{
	struct sl_store_fs *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "store", "no memory");
	s->lying = sl_berth_map_open(SL_STORE_FS_LYING);
	if (s->lying == NULL) {
		free(s);
		return sl_fail(d, SL_E_NOMEM, 0, "store", "no memory");
	}
	s->base.ops = &fs_ops;
	s->root = root;
	atomic_init(&s->next_temp, 1);
	*out = &s->base;
	return SL_OK;
}

void sl_store_fs_set_names(
	struct sl_store *store, struct sl_dirsync *spool_sync, struct sl_berths *berths)
{
	struct sl_store_fs *s = sl_store_fs_of(store);
	s->spool_sync = spool_sync;
	s->berths = berths;
}

void sl_store_fs_on_set_aside(
	struct sl_store *store, void (*on_set_aside)(void *arg, const char *name), void *arg)
{
	struct sl_store_fs *s = sl_store_fs_of(store);
	s->on_set_aside = on_set_aside;
	s->aside_arg = arg;
}

void sl_store_fs_set_recovering(struct sl_store *store, bool is_recovering)
{
	sl_store_fs_of(store)->is_recovering = is_recovering;
}

void sl_store_fs_spool_name(struct sl_store *store, struct sl_path *out, uint64_t seq)
{
	uint64_t berth = sl_berth_map_find(sl_store_fs_of(store)->lying, seq);
	if (berth != 0)
		sl_path_berth(out, berth);
	else
		sl_path_spool(out, seq);
}

enum sl_status sl_store_fs_found(struct sl_store *store, uint64_t seq, uint64_t number)
{
	struct sl_berth_map *lying = sl_store_fs_of(store)->lying;
	/* And for those that will come while it waits to be moved. */
	enum sl_status st = sl_berth_map_reserve(lying, SL_STORE_FS_LYING + 1);
	if (st != SL_OK)
		return st;
	return sl_berth_map_put(lying, seq, number) ? SL_OK : SL_E_EXISTS;
}

void sl_store_fs_lost(struct sl_store *store, uint64_t seq)
{
	sl_berth_map_drop(sl_store_fs_of(store)->lying, seq);
}

void sl_store_fs_close(struct sl_store *store)
{
	if (store == NULL)
		return;
	struct sl_store_fs *s = sl_store_fs_of(store);
	sl_berth_map_close(s->lying);
	free(s);
}
