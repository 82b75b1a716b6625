/* Object files, from an unnamed file in spool/ to a durable name there; and reading them again.
 *
 * Happy path: O_TMPFILE in spool/, data written behind room for the header, at the end header and
 * rest in one write, link to spool/<seq>.dcm; then fdatasync, while the folder's fsync, shared with
 * whoever needs it at that moment, is under way on its own thread. So a name may outlive a power cut
 * that its bytes do not: recovery believes no file in spool/ before it has seen its digest. Moving on to
 * the archive is in store_fs_settle.c.
 *
 * Failure: before the link nothing has a name and closing the descriptor removes it (where the file
 * system has no O_TMPFILE, the temporary name is unlinked); where fdatasync fails, the name goes again.
 * ENOSPC and EDQUOT are SL_E_FULL, also from fdatasync, because nobody was told of the file; any other
 * failure of fdatasync is SL_E_SYNC and the descriptor is never synced again.
 *
 * Disk threads; the store itself is constant after open, but for one counter.
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

static enum sl_status fs_begin(
	struct sl_store *store, struct sl_store_file *f, uint64_t header_len, struct sl_diag *d)
{
	struct sl_store_fs *s = sl_store_fs_of(store);
	*f = (struct sl_store_file){.store = store, .fd = -1, .header_len = header_len};
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
		close(f->fd);
		f->fd = -1;
		return st;
	}
	return SL_OK;
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

static void fs_abort(struct sl_store_file *f)
{
	unlink_temp(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
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

static enum sl_status fs_seal(struct sl_store_file *f, const void *header, const struct iovec *iov,
	int iov_n, uint64_t seq, enum sl_store_place place, struct sl_diag *d)
{
	enum sl_status st = write_rest(f, header, iov, iov_n, d);
	if (st == SL_OK && place == SL_STORE_SPOOL) {
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
	sl_dirsync_await(sl_store_fs_of(f->store)->spool_sync, &f->sync);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum sl_status read_at(
	int fd, uint64_t off, void *bytes, size_t n, size_t *got, struct sl_diag *d)
{
	*got = 0;
	while (*got < n) {
		ssize_t r = pread(fd, (char *)bytes + *got, n - *got, (off_t)(off + *got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return sl_oserr_fail(d, "store/read");
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return SL_OK;
}

/* One call: of a file, less than n is all there is. */
static enum sl_status read_once(int fd, void *bytes, size_t n, size_t *got, struct sl_diag *d)
{
	ssize_t r;
	do
		r = pread(fd, bytes, n, 0);
	while (r < 0 && errno == EINTR);
	*got = r > 0 ? (size_t)r : 0;
	return r < 0 ? sl_oserr_fail(d, "store/read") : SL_OK;
}

static enum sl_status fs_reread(struct sl_store_file *f, uint64_t off, void *bytes, size_t n,
	size_t *got, struct sl_diag *d)
{
	n = (size_t)sl_min64(n, off < f->written ? f->written - off : 0);
	return read_at(f->fd, f->header_len + off, bytes, n, got, d);
}

/* Objects move from spool to archive only, so looking in this order cannot miss one. */
static int open_either(struct sl_store_fs *s, const struct sl_locator *at)
{
	struct sl_path name;
	sl_path_spool(&name, at->seq);
	int fd = sl_root_openat(s->root->spool_fd, name.s, O_RDONLY, 0);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	sl_path_instance(&name, &at->study_instance_uid, &at->series_instance_uid,
		&at->sop_instance_uid, at->has_plain_name ? 0 : at->seq);
	return sl_root_openat(s->root->archive_fd, name.s, O_RDONLY, 0);
}

/* Reads the first n bytes, and says how long the file is. One that ends within them is not asked. */
static enum sl_status read_head(
	int fd, void *head, size_t n, size_t *got, uint64_t *file_len, struct sl_diag *d)
{
	struct stat sb;
	enum sl_status st = read_once(fd, head, n, got, d);
	*file_len = *got;
	if (st != SL_OK || *got < n)
		return st;
	if (fstat(fd, &sb) != 0)
		return sl_oserr_fail(d, "store/stat");
	*file_len = (uint64_t)sb.st_size;
	return S_ISREG(sb.st_mode) ? SL_OK
				   : sl_fail(d, SL_E_CORRUPT, 0, "store/open", "not a file");
}

/* Takes a descriptor (-1: errno says why) and proves that the file is whole, by its first n bytes, which
 * stay in head; n is at least SL_P10_HEADER_MAX. */
static enum sl_status open_head(
	struct sl_store_reader *r, int fd, uint8_t *head, size_t n, struct sl_diag *d)
{
	size_t got = 0, header_len;
	uint64_t file_len = 0;
	*r = (struct sl_store_reader){.fd = fd};
	if (fd < 0)
		return sl_oserr_fail(d, "store/open");
	enum sl_status st = read_head(fd, head, n, &got, &file_len, d);
	if (st == SL_OK && sl_p10_decode(head, got, &r->p10, &header_len) != SL_OK)
		st = sl_fail(d, SL_E_CORRUPT, 0, "store/open", "stored file has no sound header");
	if (st == SL_OK) {
		r->header_len = header_len;
		r->dataset_len = r->p10.proof.dataset_len;
		if (file_len != r->header_len + r->dataset_len)
			st = sl_fail(d, SL_E_CORRUPT, 0, "store/open",
				"stored file has not the length its header says");
	}
	if (st != SL_OK) {
		close(fd);
		r->fd = -1;
	}
	r->head = head;
	r->head_len = got;
	return st;
}

static enum sl_status open_fd(struct sl_store_reader *r, int fd, struct sl_diag *d)
{
	uint8_t head[SL_P10_HEADER_MAX];
	enum sl_status st = open_head(r, fd, head, sizeof(head), d);
	r->head = NULL; /* it ends here */
	r->head_len = 0;
	return st;
}

static enum sl_status fs_open(struct sl_store *store, struct sl_store_reader *r,
	const struct sl_locator *at, struct sl_diag *d)
{
	enum sl_status st = open_fd(r, open_either(sl_store_fs_of(store), at), d);
	if (st != SL_OK || sl_uid_equal(&r->p10.sop_instance_uid, &at->sop_instance_uid))
		return st;
	close(r->fd);
	r->fd = -1;
	return sl_fail(d, SL_E_CORRUPT, 0, "store/open", "stored file is not what its name says");
}

enum sl_status sl_store_fs_open_in(struct sl_store_reader *r, int folder_fd, const char *name,
	uint8_t *head, struct sl_diag *d)
{
	/* Not to wait for the other end of a pipe that somebody put there. */
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(folder_fd, name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM) /* for owners alone */
		fd = openat(folder_fd, name, flags);
	return open_head(r, fd, head, SL_STORE_FS_HEAD, d);
}

static enum sl_status fs_read(struct sl_store_reader *r, uint64_t off, void *bytes, size_t n,
	size_t *got, struct sl_diag *d)
{
	uint64_t at = r->header_len + off;
	size_t held = at < r->head_len ? sl_min(n, r->head_len - (size_t)at) : 0;
	if (held > 0)
		memcpy(bytes, r->head + at, held);
	*got = held;
	if (held == n || at + held == r->header_len + r->dataset_len)
		return SL_OK;
	enum sl_status st = read_at(r->fd, at + held, (char *)bytes + held, n - held, got, d);
	*got += held;
	return st;
}

static void fs_close_reader(struct sl_store_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* ---- life --------------------------------------------------------------------------------------- */

static const struct sl_store_ops fs_ops = {
	.begin = fs_begin,
	.append = fs_append,
	.reread = fs_reread,
	.seal = fs_seal,
	.name_durably = fs_name_durably,
	.abort = fs_abort,
	.open = fs_open,
	.read = fs_read,
	.close = fs_close_reader,
	.settle = sl_store_fs_settle,
	.remove = sl_store_fs_remove,
};

enum sl_status sl_store_fs_open(
	struct sl_store **out, const struct sl_root *root, struct sl_diag *d)
{
	struct sl_store_fs *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "store", "no memory");
	s->base.ops = &fs_ops;
	s->root = root;
	atomic_init(&s->next_temp, 1);
	*out = &s->base;
	return SL_OK;
}

void sl_store_fs_set_dirsync(struct sl_store *store, struct sl_dirsync *spool_sync)
{
	sl_store_fs_of(store)->spool_sync = spool_sync;
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

void sl_store_fs_close(struct sl_store *store)
{
	if (store != NULL)
		free(sl_store_fs_of(store));
}
