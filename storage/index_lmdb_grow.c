/* Growing the file ahead of LMDB, by many pages at a time.
 *
 * LMDB lengthens the file with each commit that needs a page more. Then each fdatasync has a new length
 * and new blocks to write into the file system's journal; the kernel keeps what was appended in one
 * call as one large piece (a folio), which each later write of one page in it walks through; and a
 * reader's first look at each page is a fault. So the writer appends zeros, page by page, some MiB at a
 * time, and has them mapped: of the next thousand pages none costs any of that.
 *
 * The zeros lie beyond what the meta page reaches: nobody reads them, the next commit's fdatasync covers
 * them, and a crash leaves a file that is longer or not. Failure: there is no failure; what the file
 * does not have LMDB appends as before. A small index and a disk that is nearly full are left alone.
 * Writer. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ \
	22 /* Linux 5.14; older ones say EINVAL, and pages are faulted in singly */
#endif

enum {
	PAGE = 4096,      /* bytes of one write: small folios */
	STEP_SHARE = 16,  /* of the file: what it grows by, at the most... */
	DISK_SHARE = 256, /* ...and of the steps that the disk has room for */
};
#define STEP_MIN (128 * SL_KIB)
#define STEP_MAX (4 * SL_MIB)

/* Where the file is mapped, from the kernel's list of mappings: LMDB does not tell. NULL: unknown. */
static uint8_t *find_map(const struct stat *file)
{
	char line[512];
	uint8_t *found = NULL;
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps != NULL && found == NULL && fgets(line, sizeof(line), maps) != NULL) {
		uint64_t from, to, offset, inode;
		unsigned major_no, minor_no;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64, &from,
			    &to, &offset, &major_no, &minor_no, &inode) == 6 &&
			inode == file->st_ino && offset == 0 && major_no == major(file->st_dev) &&
			minor_no == minor(file->st_dev))
			found = (uint8_t *)(uintptr_t)from;
	}
	if (maps != NULL)
		(void)fclose(maps);
	return found;
}

/* A small file is mapped from its beginning; a large one may lie on the disk and is not read for it. */
void sl_index_lmdb_grow_open(struct sl_index_lmdb *ix)
{
	struct stat file;
	mdb_filehandle_t fd;
	ix->grow = (struct sl_index_lmdb_grow){.fd = -1};
	if (mdb_env_get_fd(ix->env, &fd) != 0 || fstat(fd, &file) != 0)
		return;
	ix->grow.fd = fd;
	ix->grow.len = (uint64_t)file.st_size;
	ix->grow.mapped = ix->grow.len > STEP_MAX ? ix->grow.len : 0;
	ix->grow.map = find_map(&file);
}

/* Appends zeros up to `to`; as far as they go. */
static uint64_t append(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[PAGE];
	uint64_t at = from;
	while (at < to && pwrite(fd, zeros, PAGE, (off_t)at) == PAGE)
		at += PAGE;
	return at;
}

void sl_index_lmdb_grow(struct sl_index_lmdb *ix, uint64_t reached)
{
	struct sl_index_lmdb_grow *g = &ix->grow;
	uint64_t step = sl_min64(reached / STEP_SHARE, STEP_MAX) / PAGE * PAGE;
	uint64_t from = sl_max64(g->len, reached);
	uint64_t to = sl_min64(reached + step, ix->map_pages * ix->page_size);
	struct statvfs fs;
	if (g->fd < 0 || step < STEP_MIN || to <= from || reached + step / 2 <= g->len)
		return;
	if (fstatvfs(g->fd, &fs) != 0 || fs.f_bavail / DISK_SHARE * fs.f_frsize < step)
		return;
	g->len = append(g->fd, from, to);
	if (g->len < to && ftruncate(g->fd, (off_t)from) == 0)
		g->len = from;
	if (g->map != NULL && g->len > g->mapped)
		(void)madvise(g->map + g->mapped, g->len - g->mapped, MADV_POPULATE_READ);
	g->mapped = sl_max64(g->mapped, g->len);
}
