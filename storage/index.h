/* The index seam: which patients, studies, series and instances we keep, and where they are.
 *
 * What a caller sees is DICOM: records go in by batches, UIDs are looked up, children are listed in
 * pages, things are removed behind a tombstone. No transaction, no key, no memory of the index comes
 * out: every answer is a copy in the caller's memory. Behind it stand storage/index_lmdb*.c, the
 * in-memory twin of the tests, and one day a server elsewhere; so every call may block.
 *
 * Threads: "writer" calls come from the indexer thread alone (one writer, ever). Calls on a reader
 * come from the thread that owns the reader (one per disk thread, opened at start: a lookup does not
 * allocate). sl_index_reserve(), _unreserve() and _snapshot() may come from any thread, loop threads
 * too; everything else never runs on a loop thread.
 *
 * Failures: SL_E_FULL leaves the index as it was and usable (nothing of the batch is in); the caller
 * keeps the objects in the spool and tries again. SL_E_IO and SL_E_CORRUPT from a writer call mean
 * that the index cannot be trusted in this process: latch FAILED and leave (DESIGN 2).
 * DESIGN 5 (entities, budget, conflicts), DESIGN 2 (order of commit, link and eviction).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/record.h"

#define SL_INDEX_TEXT_MAX \
	3072 /* bytes: each value of a patient and a study, 3 bytes for each sent */
#define SL_INDEX_REPORT_LINES 64        /* findings of a recount that are told one by one */
#define SL_INDEX_CURSOR_MAX   192       /* bytes of a page cursor */
#define SL_INDEX_MODALITIES   8         /* distinct modalities a study row names */
#define SL_INDEX_MODALITY_MAX 16        /* bytes of one; PS3.3 C.7.3.1.1.1 */
#define SL_INDEX_NO_NUMBER    INT64_MIN /* instance_number absent or not an integer */

/* Attribute values of one row in UTF-8; bytes that are not in their character set are U+FFFD. */
struct sl_index_text {
	uint16_t used;           /* bytes of utf8[] */
	uint16_t at[SL_ATTR_N];  /* where a value starts */
	uint16_t len[SL_ATTR_N]; /* its bytes; 0 = absent */
	char utf8[SL_INDEX_TEXT_MAX];
};

/* Where one object is and what it is; enough to name its file (DESIGN 7, "On disk"). */
struct sl_index_instance {
	struct sl_uid study_instance_uid, series_instance_uid; /* len 0: the class has none ("_") */
	struct sl_uid sop_instance_uid, sop_class_uid, transfer_syntax_uid;
	uint64_t seq;            /* order of decision */
	uint64_t dataset_len;    /* bytes */
	uint64_t file_len;       /* bytes of the Part 10 file */
	int64_t instance_number; /* (0020,0013), or SL_INDEX_NO_NUMBER */
	uint32_t frames;         /* (0028,0008); 0 = absent */
	uint32_t flags;          /* enum sl_record_flag, as its file says */
	uint8_t volume;          /* of its series */
	bool is_current;         /* the version of its UID that a query means */
};

/* What the instances below a row add up to; kept as they come and go, never summed by scanning. */
struct sl_index_counts {
	uint64_t instances; /* SOP Instance UIDs whose current version is here */
	uint64_t versions;  /* all of them, each with a row and a file */
	uint64_t bytes;     /* of the Part 10 files of all versions */
	uint64_t first_seq; /* lowest and highest seq that ever came in */
	uint64_t last_seq;
	int64_t first_ms, last_ms; /* their arrival times, Unix [ms] */
};

struct sl_index_series {
	struct sl_uid study_instance_uid, series_instance_uid;
	struct sl_index_counts counts;
	uint8_t volume;   /* the disk its files are on; 0 = storage.root */
	bool is_conflict; /* instances disagree on a series attribute; the first value stayed */
	struct sl_index_text text; /* SERIES attributes */
};

struct sl_index_study {
	struct sl_uid study_instance_uid;
	struct sl_index_counts counts;
	uint32_t series_n;
	uint8_t modalities_n; /* rows used of modalities[]; a ninth one is not named */
	char modalities[SL_INDEX_MODALITIES][SL_INDEX_MODALITY_MAX + 1];
	bool is_conflict;          /* instances disagree on a study or patient attribute */
	uint64_t patient;          /* number of the patient row; equal for studies of one patient */
	struct sl_index_text text; /* STUDY and PATIENT attributes */
};

/* What became of one record of a batch. */
struct sl_index_result {
	enum sl_status
		status;     /* SL_OK; SL_E_EXISTS: another object has the plain name of that UID;
				* SL_E_LIMIT: a number of ours is used up; else not in at all */
	uint32_t conflicts; /* bit a: the value of enum sl_attr a disagrees with the row's, which
				* stayed; to be logged by name, never by value */
};
_Static_assert(SL_ATTR_N <= 32, "one bit of `conflicts` for each attribute");

enum sl_index_tombstone_kind { SL_INDEX_TOMB_STUDY = 1, SL_INDEX_TOMB_INSTANCE = 2 };

/* "These files have no rows any more and must leave the archive": committed together with the rows'
 * removal, dropped when the rename to trash/<seq> is durable (DESIGN 2, evicting and deleting). */
struct sl_index_tombstone {
	uint64_t seq; /* its identity and the name in trash/; from the same counter as objects */
	enum sl_index_tombstone_kind kind;
	uint8_t volume;
	struct sl_uid study_instance_uid, series_instance_uid;
	struct sl_uid sop_instance_uid; /* len 0 for a study */
	uint64_t object_seq; /* an instance's own seq: its file is <uid>~<seq>.dcm unless... */
	bool is_plain_name;  /* ...it has the plain name <uid>.dcm */
};

/* A study in the order of its last arrival: what the evictor goes by. */
struct sl_index_arrival {
	struct sl_uid study_instance_uid;
	struct sl_index_counts counts;
};

/* What a removal took out. */
struct sl_index_removed {
	uint64_t instances; /* SOP Instance UIDs of which no version is left */
	uint64_t versions;  /* rows, and files to go with them */
	uint64_t bytes;     /* of their Part 10 files */
	bool study_gone;    /* that was the last row of its study */
	bool series_gone;   /* that was the last row of its series */
};

/* A study that is to go: what it is called by, and what became of it. */
struct sl_index_removal {
	struct sl_uid study_instance_uid;
	uint64_t tombstone_seq; /* 0: no tombstone (the files are gone already) */
	enum sl_status status;  /* SL_OK; SL_E_NOTFOUND: there is no such study */
	struct sl_index_removed removed;
};

/* Where the next page begins. A value of the caller's: zeroed before the first page, then passed back
 * as it is. Nothing is pinned between pages: rows that come or go meanwhile are seen or not, a row
 * that stays is seen exactly once. */
struct sl_index_cursor {
	uint8_t len; /* 0 = from the beginning */
	uint8_t key[SL_INDEX_CURSOR_MAX];
};

/* Totals, as of the last commit. */
struct sl_index_usage {
	uint64_t patients, studies, series;
	uint64_t instances; /* SOP Instance UIDs */
	uint64_t versions;  /* instance rows: one for each file */
	uint64_t bytes;     /* of those Part 10 files */
	uint64_t conflicts; /* patient, study and series rows marked `conflict` */
};

/* For the heartbeat and the ingest: a copy made at the last commit. */
struct sl_index_snapshot {
	struct sl_index_usage usage;
	uint64_t next_seq;      /* above every seq that was ever in the index; 1 in an empty one */
	uint64_t commits;       /* since open */
	uint64_t map_size;      /* bytes of address space */
	uint64_t map_used;      /* bytes of it that the file reaches */
	uint64_t pages_used;    /* pages that hold rows */
	uint64_t pages_free;    /* pages within map_used that are free */
	uint32_t page_size;     /* bytes */
	uint32_t readers_max;   /* reader slots */
	uint32_t readers_used;  /* slots taken, also by other processes */
	uint64_t readers_stale; /* slots of dead processes cleared since open */
	uint64_t reader_commit; /* the commit that the oldest reader is at; 0 = nobody reads... */
	uint64_t last_commit;   /* ...and the last one, both when they were last counted */
	uint64_t reserved;      /* objects that hold a reservation now */
	uint64_t room;          /* objects that may hold one */
};

/* What a full recount found (sl_index_check). */
struct sl_index_report {
	struct sl_index_usage counted;
	uint64_t wrong; /* rows, keys or counters that disagree */
	char first
		[160]; /* the first of them: names the row by its UID or number, no patient data */
	char lines[SL_INDEX_REPORT_LINES][160]; /* the first so many, each like it */
};

struct sl_index_query; /* index_find.h */
struct sl_index_plan;

struct sl_index;        /* the first member of an implementation's own struct */
struct sl_index_reader; /* one per reading thread; likewise */

struct sl_index_ops {
	void (*close)(struct sl_index *ix);

	/* writer */
	enum sl_status (*put_batch)(struct sl_index *ix, const struct sl_record *const *records,
		size_t n, struct sl_index_result *results, struct sl_diag *diag);
	enum sl_status (*remove_instance)(struct sl_index *ix,
		const struct sl_uid *sop_instance_uid, uint64_t tombstone_seq,
		struct sl_index_removed *removed, struct sl_diag *diag);
	enum sl_status (*remove_studies)(struct sl_index *ix, struct sl_index_removal *removals,
		size_t n, struct sl_diag *diag);
	enum sl_status (*drop_tombstones)(
		struct sl_index *ix, const uint64_t *seqs, size_t n, struct sl_diag *diag);
	enum sl_status (*clear_stale)(struct sl_index *ix, struct sl_diag *diag);
	enum sl_status (*check)(
		struct sl_index *ix, struct sl_index_report *report, struct sl_diag *diag);

	/* any thread */
	enum sl_status (*reserve)(struct sl_index *ix, size_t objects);
	void (*owe)(struct sl_index *ix, size_t objects);
	void (*unreserve)(struct sl_index *ix, size_t objects);
	void (*snapshot)(struct sl_index *ix, struct sl_index_snapshot *out);

	/* readers */
	enum sl_status (*open_reader)(
		struct sl_index *ix, struct sl_index_reader **out, struct sl_diag *diag);
	void (*close_reader)(struct sl_index_reader *rd);
	enum sl_status (*locate_instance)(struct sl_index_reader *rd, const struct sl_uid *uid,
		struct sl_index_instance *out, struct sl_diag *diag);
	enum sl_status (*locate_series)(struct sl_index_reader *rd, const struct sl_uid *study,
		const struct sl_uid *series, struct sl_index_series *out, struct sl_diag *diag);
	enum sl_status (*locate_study)(struct sl_index_reader *rd, const struct sl_uid *uid,
		struct sl_index_study *out, struct sl_diag *diag);
	enum sl_status (*list_studies)(struct sl_index_reader *rd, struct sl_index_cursor *at,
		struct sl_index_study *out, size_t *n, struct sl_diag *diag);
	enum sl_status (*list_series)(struct sl_index_reader *rd, const struct sl_uid *study,
		struct sl_index_cursor *at, struct sl_index_series *out, size_t *n,
		struct sl_diag *diag);
	enum sl_status (*list_instances)(struct sl_index_reader *rd, const struct sl_uid *study,
		const struct sl_uid *series, struct sl_index_cursor *at,
		struct sl_index_instance *out, size_t *n, struct sl_diag *diag);
	enum sl_status (*list_versions)(struct sl_index_reader *rd, const struct sl_uid *uid,
		uint64_t *after_seq, struct sl_index_instance *out, size_t *n,
		struct sl_diag *diag);
	enum sl_status (*list_arrivals)(struct sl_index_reader *rd, uint64_t *after_seq,
		struct sl_index_arrival *out, size_t *n, struct sl_diag *diag);
	enum sl_status (*list_tombstones)(struct sl_index_reader *rd, uint64_t *after_seq,
		struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag);
	/* index_find.h; out: *n rows of the level, *n 0: the plan alone */
	enum sl_status (*find)(struct sl_index_reader *rd, enum sl_attr_level level,
		const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
		struct sl_index_plan *plan, struct sl_diag *diag);
};

struct sl_index {
	const struct sl_index_ops *ops;
};

struct sl_index_reader {
	struct sl_index *index;
};

/* ---- life -------------------------------------------------------------------------------------- */

/* Frees the index; its readers are closed already. NULL is allowed. */
static inline void sl_index_close(struct sl_index *ix)
{
	if (ix != NULL)
		ix->ops->close(ix);
}

/* ---- writer ------------------------------------------------------------------------------------ */

/* Puts n records, in one commit: durable when it returns SL_OK.
 *
 * records  borrowed; any order, at most the implementation's batch size (sl_index_lmdb_options)
 * results  n of them, filled on SL_OK
 *
 * A record whose SOP Instance UID has a row with the same seq is SL_OK and changes nothing (recovery
 * puts again what a crash left in the spool). With another seq it is a version of its own, wherever it
 * says it belongs, and the current one of a UID follows from the records alone, in whatever order they
 * come: of those that took over on arrival (no SL_RECORD_NOT_CURRENT) the one with the highest seq; if
 * there is none such, the one with the lowest. Only one version has the plain name: a second one's
 * result is SL_E_EXISTS, and the rest of the batch goes in. Rows of patient, study and series are made as needed; a value that is absent
 * is filled in by the first instance that has one, a value that differs is reported in `conflicts`.
 *
 * Returns SL_OK; SL_E_FULL, and then nothing of the batch is in; SL_E_IO, SL_E_CORRUPT. */
SL_MUST static inline enum sl_status sl_index_put_batch(struct sl_index *ix,
	const struct sl_record *const *records, size_t n, struct sl_index_result *results,
	struct sl_diag *diag)
{
	return ix->ops->put_batch(ix, records, n, results, diag);
}

/* Takes the row of a UID's current version out and puts its tombstone in, in one commit; of the
 * versions left the next one becomes current (to remove them all, call until SL_E_NOTFOUND). Series,
 * study and patient rows go with their last row below. tombstone_seq 0: no tombstone (the file is gone already).
 * SL_E_NOTFOUND when there is no such row. */
SL_MUST static inline enum sl_status sl_index_remove_instance(struct sl_index *ix,
	const struct sl_uid *sop_instance_uid, uint64_t tombstone_seq,
	struct sl_index_removed *removed, struct sl_diag *diag)
{
	return ix->ops->remove_instance(ix, sop_instance_uid, tombstone_seq, removed, diag);
}

/* The same for studies with every version in them, all in one commit. A UID that has versions in other
 * studies lives on there. One that is not there says so in its status, and the others go; anything but
 * SL_OK from the call: none went. */
SL_MUST static inline enum sl_status sl_index_remove_studies(struct sl_index *ix,
	struct sl_index_removal *removals, size_t n, struct sl_diag *diag)
{
	return ix->ops->remove_studies(ix, removals, n, diag);
}

/* One of them; its status is returned. */
SL_MUST enum sl_status sl_index_remove_study(struct sl_index *ix,
	const struct sl_uid *study_instance_uid, uint64_t tombstone_seq,
	struct sl_index_removed *removed, struct sl_diag *diag);

/* The files are durably out of the archive; one commit. Dropping what is not there is SL_OK: a recovery
 * that crashed may come twice. */
SL_MUST static inline enum sl_status sl_index_drop_tombstones(
	struct sl_index *ix, const uint64_t *seqs, size_t n, struct sl_diag *diag)
{
	return ix->ops->drop_tombstones(ix, seqs, n, diag);
}

SL_MUST static inline enum sl_status sl_index_drop_tombstone(
	struct sl_index *ix, uint64_t seq, struct sl_diag *diag)
{
	return sl_index_drop_tombstones(ix, &seq, 1, diag);
}

/* Frees reader slots of processes that died; at start and on a timer. Renews what the snapshot says of
 * readers and pages. */
SL_MUST static inline enum sl_status sl_index_clear_stale(struct sl_index *ix, struct sl_diag *diag)
{
	return ix->ops->clear_stale(ix, diag);
}

/* Reads every row and counts anew; SL_OK also when it found something wrong (report->wrong). Takes
 * as long as the index is large: for --verify and tests, not beside a running node. */
SL_MUST static inline enum sl_status sl_index_check(
	struct sl_index *ix, struct sl_index_report *report, struct sl_diag *diag)
{
	return ix->ops->check(ix, report, diag);
}

/* ---- any thread -------------------------------------------------------------------------------- */

/* Promises index space for so many objects before they are acknowledged. SL_E_FULL: refuse the
 * store (A700). Never blocks; an estimate from the last commit on the safe side. */
SL_MUST static inline enum sl_status sl_index_reserve(struct sl_index *ix, size_t objects)
{
	return ix->ops->reserve(ix, objects);
}

/* The same for objects that are acknowledged already, whether there is room or not. */
static inline void sl_index_owe(struct sl_index *ix, size_t objects)
{
	ix->ops->owe(ix, objects);
}

/* Gives the promise back: the row is committed, or the object failed. */
static inline void sl_index_unreserve(struct sl_index *ix, size_t objects)
{
	ix->ops->unreserve(ix, objects);
}

static inline void sl_index_snapshot(struct sl_index *ix, struct sl_index_snapshot *out)
{
	ix->ops->snapshot(ix, out);
}

/* ---- readers ----------------------------------------------------------------------------------- */

/* *out is returned owned; close it before the index. SL_E_NOMEM: no reader slot is left. */
SL_MUST static inline enum sl_status sl_index_open_reader(
	struct sl_index *ix, struct sl_index_reader **out, struct sl_diag *diag)
{
	return ix->ops->open_reader(ix, out, diag);
}

static inline void sl_index_close_reader(struct sl_index_reader *rd)
{
	if (rd != NULL)
		rd->index->ops->close_reader(rd);
}

/* Each sees the last commit that ended before the call. SL_OK; SL_E_NOTFOUND (no diag: it is an
 * answer, not a failure); SL_E_IO, SL_E_CORRUPT. A duplicate check is locate_instance: one get where
 * there is no such row. */
SL_MUST static inline enum sl_status sl_index_locate_instance(struct sl_index_reader *rd,
	const struct sl_uid *uid, struct sl_index_instance *out, struct sl_diag *diag)
{
	return rd->index->ops->locate_instance(rd, uid, out, diag);
}

/* study may be NULL: the first study (in order of arrival) that has a series of that UID. */
SL_MUST static inline enum sl_status sl_index_locate_series(struct sl_index_reader *rd,
	const struct sl_uid *study, const struct sl_uid *series, struct sl_index_series *out,
	struct sl_diag *diag)
{
	return rd->index->ops->locate_series(rd, study, series, out, diag);
}

SL_MUST static inline enum sl_status sl_index_locate_study(struct sl_index_reader *rd,
	const struct sl_uid *uid, struct sl_index_study *out, struct sl_diag *diag)
{
	return rd->index->ops->locate_study(rd, uid, out, diag);
}

/* Pages. *n holds the places of out[] and then how many are filled; SL_OK with at least one, SL_END
 * with none: there is nothing further. Studies, series and instances come in the order in which
 * their rows were made; arrivals and tombstones by seq, *after_seq 0 at first. SL_E_NOTFOUND: no such parent. */
SL_MUST static inline enum sl_status sl_index_list_studies(struct sl_index_reader *rd,
	struct sl_index_cursor *at, struct sl_index_study *out, size_t *n, struct sl_diag *diag)
{
	return rd->index->ops->list_studies(rd, at, out, n, diag);
}

SL_MUST static inline enum sl_status sl_index_list_series(struct sl_index_reader *rd,
	const struct sl_uid *study, struct sl_index_cursor *at, struct sl_index_series *out,
	size_t *n, struct sl_diag *diag)
{
	return rd->index->ops->list_series(rd, study, at, out, n, diag);
}

SL_MUST static inline enum sl_status sl_index_list_instances(struct sl_index_reader *rd,
	const struct sl_uid *study, const struct sl_uid *series, struct sl_index_cursor *at,
	struct sl_index_instance *out, size_t *n, struct sl_diag *diag)
{
	return rd->index->ops->list_instances(rd, study, series, at, out, n, diag);
}

/* Every version of a UID, in order of seq; *after_seq as in list_tombstones. SL_E_NOTFOUND: no such
 * UID. */
SL_MUST static inline enum sl_status sl_index_list_versions(struct sl_index_reader *rd,
	const struct sl_uid *uid, uint64_t *after_seq, struct sl_index_instance *out, size_t *n,
	struct sl_diag *diag)
{
	return rd->index->ops->list_versions(rd, uid, after_seq, out, n, diag);
}

/* The study whose last instance came longest ago comes first (by counts.last_seq, never by a clock). */
SL_MUST static inline enum sl_status sl_index_list_arrivals(struct sl_index_reader *rd,
	uint64_t *after_seq, struct sl_index_arrival *out, size_t *n, struct sl_diag *diag)
{
	return rd->index->ops->list_arrivals(rd, after_seq, out, n, diag);
}

SL_MUST static inline enum sl_status sl_index_list_tombstones(struct sl_index_reader *rd,
	uint64_t *after_seq, struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag)
{
	return rd->index->ops->list_tombstones(rd, after_seq, out, n, diag);
}

/* The value's bytes (UTF-8, not terminated); *n is 0 where it is absent. Borrows from t. */
const char *sl_index_text_get(const struct sl_index_text *t, enum sl_attr a, size_t *n);
