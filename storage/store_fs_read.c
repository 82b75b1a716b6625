/* Object files, read again: by their names, which follow from what a row says, and by their headers, which
 * prove them whole.
 *
 * Any thread that may block; the store itself is not changed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/store_fs_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/oserr.h"
#include "storage/path.h"

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

enum sl_status sl_store_fs_reread(struct sl_store_file *f, uint64_t off, void *bytes, size_t n,
	size_t *got, struct sl_diag *d)
{
	n = (size_t)sl_min64(n, off < f->written ? f->written - off : 0);
	return read_at(f->fd, f->header_len + off, bytes, n, got, d);
}

/* Objects move from spool to archive only, so looking in this order cannot miss one. */
static int open_either(struct sl_store_fs *s, const struct sl_locator *at)
{
	struct sl_path name;
	sl_store_fs_spool_name(&s->base, &name, at->seq);
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

enum sl_status sl_store_fs_open_object(struct sl_store *store, struct sl_store_reader *r,
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

enum sl_status sl_store_fs_read(struct sl_store_reader *r, uint64_t off, void *bytes, size_t n,
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

void sl_store_fs_close_reader(struct sl_store_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}
