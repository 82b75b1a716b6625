/* What the files of verify share: verify.c (files), verify_index.c (rows, and all of it).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "storage/rewalk.h"
#include "storage/scan.h"
#include "storage/store_fs.h"
#include "storage/verify.h"

/* One thread's. */
struct sl_verify_lane {
	struct sl_rewalk walk;
	struct sl_record record;        /* of the file that is looked at */
	struct sl_index_reader *reader; /* NULL: no index */
	struct sl_index_instance row;   /* the file's */
	bool has_above;                 /* the rows above it are loaded: */
	struct sl_index_study study;
	struct sl_index_series series;
	uint64_t bytes; /* of data sets read */
	uint8_t head[SL_STORE_FS_HEAD];
};

struct sl_verify {
	const struct sl_verify_conf *conf;
	unsigned threads;
	struct sl_index *index; /* NULL: cannot be read */
	struct sl_store *store;
	struct sl_verify_lane lanes[SL_SCAN_THREADS_MAX];
	uint64_t begun_ns;
	struct sl_index_tombstone
		*doomed; /* removals under way: their files have no row any more */
	size_t doomed_n;
	uint64_t *berthed; /* seqs of the objects that lie in a berth, ascending */
	size_t berthed_n;
	atomic_uint_fast64_t files; /* a sum of its own: relaxed */
	pthread_mutex_t lock;       /* of on_finding() and the report */
	struct sl_verify_report report;
};

/* Tells and counts a finding. folder and name: joined by a slash; "" for none. Any thread. */
SL_PRINTF(5, 6)
void sl_verify_tell(struct sl_verify *v, enum sl_verify_kind kind, const char *folder,
	const char *name, const char *fmt, ...);

void sl_verify_progress(struct sl_verify *v, unsigned permille);

/* Beneath archive/, where a row says that its file is. */
void sl_verify_path(struct sl_path *out, const struct sl_index_instance *row);

/* True when a removal that is under way takes that file with it. */
bool sl_verify_is_doomed(const struct sl_verify *v, const char *path, const struct sl_record *r);

/* Goes through the files. */
SL_MUST enum sl_status sl_verify_scan(struct sl_verify *v, struct sl_diag *d);
