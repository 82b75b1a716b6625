/* The index in LMDB: opening it. Everything else is struct sl_index (index.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"

struct sl_index_lmdb_options {
	const char *path;   /* folder of its own (index.path); made, 0750, if `create`; borrowed */
	uint64_t map_size;  /* address space [bytes], at least 1 MiB (index.map_size); sparse */
	uint32_t readers;   /* sl_index_open_reader() calls to allow */
	uint32_t batch_max; /* records of one sl_index_put_batch() */
	bool create;        /* make an empty index where there is none */
	bool is_draft; /* nothing is durable until sl_index_lmdb_finish(): for an index that gets its
			* place only when it is whole (rebuild.h), never for one that is in use */
	uint64_t next_seq; /* the least that next_seq becomes */
};

/* Opens (or makes) the index and clears stale reader slots. *out is returned owned; one per path and
 * process. May allocate and block: called at start.
 *
 * SL_E_NOTFOUND    there is none and `create` is false: a new root, or a lost index to rebuild
 * SL_E_UNSUPPORTED written by a newer program, or the path is on a network, overlay or FUSE file
 *                  system, where LMDB's shared map is not safe
 * SL_E_BUSY        another process has it open
 * SL_E_CORRUPT     it is not an index, or damaged
 * SL_E_CONFIG      map_size, readers or batch_max out of range
 * SL_E_FULL, SL_E_IO, SL_E_NOMEM
 * `diag` says which, in words for the operator. */
SL_MUST enum sl_status sl_index_lmdb_open(
	const struct sl_index_lmdb_options *options, struct sl_index **out, struct sl_diag *diag);

/* Makes a draft durable. SL_E_FULL, SL_E_IO. */
SL_MUST enum sl_status sl_index_lmdb_finish(struct sl_index *ix, struct sl_diag *diag);

/* Why LMDB must not live on a file system of this statfs type, or NULL where it may: "NFS",
 * "overlay", ... */
const char *sl_index_lmdb_unsafe_fs(unsigned long statfs_type);

/* What compacting came to. */
struct sl_index_compacted {
	uint64_t before, after; /* bytes of the file */
};

/* Replaces the index by a copy without free pages, checked row by row, durably; a crash leaves the one or
 * the other. Nobody else has it open; needs as much room as the copy takes. SL_E_FULL, SL_E_CORRUPT (the
 * index is damaged: it stays as it is), SL_E_SYNC, and as sl_index_lmdb_open(). */
SL_MUST enum sl_status sl_index_lmdb_compact(const struct sl_index_lmdb_options *options,
	struct sl_index_compacted *out, struct sl_diag *diag);

/* Removes what a compacting that was cut short left in the index's folder. */
void sl_index_lmdb_forget_copy(int folder_fd);
