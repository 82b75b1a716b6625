/* What a crash left in a name made ahead (berth.h): an object, or what nobody was told of.
 *
 * A berth that is empty was in stock. One that is shorter than its header says was being written: its
 * answer would have followed the fdatasync of all of it, so nobody was told; it goes. Written with
 * durability "none" it may have been told of: then it counts as an object, and as it is not whole it will
 * be set aside, as is what has no header of ours. Whether an object is whole its digest says, later.
 *
 * Main thread, before anything else runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/p10.h"
#include "storage/berth.h"
#include "storage/oserr.h"

/* By length and first bytes of an ordinary file. */
static enum sl_berth_what judge(const void *head, size_t n, uint64_t file_len, uint64_t *seq)
{
	struct sl_p10 p10;
	size_t header_len;
	if (file_len == 0)
		return SL_BERTH_EMPTY;
	if (sl_p10_decode(head, n, &p10, &header_len) != SL_OK)
		return SL_BERTH_UNKNOWN;
	*seq = p10.proof.seq;
	bool is_whole = file_len >= header_len && file_len - header_len >= p10.proof.dataset_len;
	bool was_synced = (p10.proof.flags & SL_PROOF_UNSYNCED) == 0;
	return is_whole || !was_synced ? SL_BERTH_OBJECT : SL_BERTH_UNFINISHED;
}

enum sl_status sl_berth_look(const struct sl_root *root, const char *name, enum sl_berth_what *what,
	uint64_t *seq, struct sl_diag *d)
{
	uint8_t head[SL_P10_HEADER_MAX];
	struct stat sb;
	ssize_t got = 0;
	enum sl_status st = SL_OK;
	*what = SL_BERTH_UNKNOWN;
	int fd = sl_root_openat(root->spool_fd, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return errno == ELOOP ? SL_OK : sl_oserr_fail(d, "spool/open");
	if (fstat(fd, &sb) != 0)
		st = sl_oserr_fail(d, "spool/stat");
	else if (S_ISREG(sb.st_mode) && (got = pread(fd, head, sizeof(head), 0)) < 0)
		st = sl_oserr_fail(d, "spool/read");
	if (st == SL_OK && S_ISREG(sb.st_mode))
		*what = judge(head, (size_t)got, (uint64_t)sb.st_size, seq);
	close(fd);
	return st;
}
