/* The store seam: object bytes in, object bytes out, in verbs of the domain.
 *
 * No descriptor, no path and no seek in it, so that an object store can stand behind it. Verbs without
 * a callback may block and are called on disk threads or the indexer thread only; name_durably is
 * asynchronous, because the durability of names is shared between objects. store_fs.c is the archive of DICOM
 * files; tests/support/store_mem.c is its twin in memory.
 *
 * A file is unnamed, or empty under a name that was made ahead (berth.h), until seal: whoever aborts or
 * crashes before leaves nothing behind.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "core/p10.h"
#include "core/record.h"
#include "storage/dirsync.h"

struct sl_store;

/* Where a sealed file gets its name: the journal, or aside with what was refused for its content. */
enum sl_store_place { SL_STORE_SPOOL, SL_STORE_QUARANTINE };

/* A file being written; embedded by the caller, one owner at a time. */
struct sl_store_file {
	struct sl_store *store;
	int fd;              /* store_fs's own; -1 when closed */
	uint64_t header_len; /* bytes kept free at the start */
	uint64_t written;    /* data set bytes in the file */
	uint64_t seq;        /* given by seal */
	uint64_t berth;      /* store_fs's own: number of the name made ahead that it has; 0 = none */
	bool is_temp_named;  /* store_fs's own: no O_TMPFILE here */
	/* The proof that sl_ack_gate() looks at. */
	bool is_data_synced;         /* fdatasync of this file returned 0 after its last byte */
	bool is_named;               /* complete under its name in spool/ */
	struct sl_dirsync_wait sync; /* the folder fsync that covers the name */
	/* Set by the caller before name_durably. */
	void (*on_named)(struct sl_store_file *f, enum sl_status st);
};

/* A stored object: where it is now follows from these (spool first, then archive). */
struct sl_locator {
	struct sl_uid study_instance_uid, series_instance_uid, sop_instance_uid;
	uint64_t seq;
	bool has_plain_name; /* <SOPInstanceUID>.dcm; else <SOPInstanceUID>~<seq>.dcm */
};

static inline struct sl_locator sl_locator_of(const struct sl_record *r)
{
	return (struct sl_locator){
		.study_instance_uid = r->study_instance_uid,
		.series_instance_uid = r->series_instance_uid,
		.sop_instance_uid = r->sop_instance_uid,
		.seq = r->seq,
		.has_plain_name = (r->flags & SL_RECORD_PLAIN_NAME) != 0,
	};
}

/* A stored object opened for reading; embedded by the caller. */
struct sl_store_reader {
	int fd;            /* store_fs's own */
	struct sl_p10 p10; /* header as decoded */
	uint64_t header_len, dataset_len;
	const uint8_t *head; /* the file's first bytes, read already; borrowed; NULL: none */
	size_t head_len;
};

struct sl_store_ops {
	/* A file that keeps header_len bytes free. is_whole: all its bytes come with seal, which puts it
	 * into the spool. SL_E_FULL, SL_E_IO. */
	enum sl_status (*begin)(struct sl_store *s, struct sl_store_file *f, uint64_t header_len,
		bool is_whole, struct sl_diag *d);
	/* Data set bytes behind those already there. SL_E_FULL: nothing further can be written. */
	enum sl_status (*append)(
		struct sl_store_file *f, const struct iovec *iov, int iov_n, struct sl_diag *d);
	/* Reads back what was appended: data set bytes from `off`; *got < n only at the end. */
	enum sl_status (*reread)(struct sl_store_file *f, uint64_t off, void *bytes, size_t n,
		size_t *got, struct sl_diag *d);
	/* Header and last bytes (one write when nothing was appended before), then the name of `seq`
	 * in its place unless it has one already, and the bytes made durable. In quarantine/ the name
	 * is durable too, and nobody waits for that name_durably. On failure nothing of the file stays: SL_E_FULL,
	 * SL_E_IO; SL_E_SYNC: the bytes cannot be trusted, latch. */
	enum sl_status (*seal)(struct sl_store_file *f, const void *header, const struct iovec *iov,
		int iov_n, uint64_t seq, enum sl_store_place place, struct sl_diag *d);
	/* After seal: f->on_named follows when the name is durable, on another thread or inside the
	 * call. */
	void (*name_durably)(struct sl_store_file *f);
	/* Gives the file up; nothing of it stays. */
	void (*abort)(struct sl_store_file *f);
	/* Opens spool name or archive name, whichever is there. SL_E_NOTFOUND, SL_E_CORRUPT, SL_E_IO. */
	enum sl_status (*open)(struct sl_store *s, struct sl_store_reader *r,
		const struct sl_locator *at, struct sl_diag *d);
	/* Data set bytes from `off`; *got < n only at the end. */
	enum sl_status (*read)(struct sl_store_reader *r, uint64_t off, void *bytes, size_t n,
		size_t *got, struct sl_diag *d);
	void (*close)(struct sl_store_reader *r);
	/* Moves objects from the spool to their archive names, durably: folders, links, folder
	 * fsyncs, only then the spool names go. Indexer thread. Idempotent. */
	enum sl_status (*settle)(
		struct sl_store *s, const struct sl_locator *at, size_t n, struct sl_diag *d);
	/* Removes an object's names. SL_OK also when there was none. Indexer thread. */
	enum sl_status (*remove)(
		struct sl_store *s, const struct sl_locator *at, struct sl_diag *d);
};

struct sl_store {
	const struct sl_store_ops *ops;
};
