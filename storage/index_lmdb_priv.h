/* What the files of the LMDB index share: its trees, its transactions, its rows.
 *
 *   index_lmdb.c         the vtable, open and close, the one translator of LMDB's errors
 *   index_lmdb_env.c     the environment: file system, folder, lock, schema, page counts
 *   index_lmdb_grow.c    the file, longer than it has to be
 *   index_lmdb_rows.c    rows in and out of the trees, the dictionary, texts in UTF-8
 *   index_lmdb_write.c   batches of records
 *   index_lmdb_order.c   the order in which they are put
 *   index_lmdb_merge.c   what they say of patient, study and series
 *   index_lmdb_version.c which version of a UID is current
 *   index_lmdb_remove.c  removals and tombstones
 *   index_lmdb_read.c    readers: lookups
 *   index_lmdb_list.c    readers: pages
 *   index_lmdb_keys.c    the ordered keys of rows
 *   index_lmdb_plan.c    which key a query is answered by
 *   index_lmdb_entry.c   stepping through that key
 *   index_lmdb_load.c    the rows it leads to
 *   index_lmdb_find.c    looking at them, filling pages
 *   index_lmdb_check.c   the full recount
 *   index_lmdb_compact.c a copy without free pages
 * Only these include lmdb.h. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "storage/index_key.h"
#include "storage/index_lmdb.h"
#include "storage/index_match.h"
#include "storage/index_row.h"
#include "storage/lmdb_key.h"

#define SL_INDEX_LMDB_SCHEMA \
	4 /* 1: without SL_TREE_ARRIVAL; 2: without SL_TREE_VERSION; 3: without SL_TREE_KEY */
#define SL_INDEX_VALUE_MAX 768 /* bytes of one value in UTF-8 */

/* key -> value. "place" is study number, series number, ordinal (index_row.h). */
enum sl_index_lmdb_tree {
	SL_TREE_META,        /* "schema" -> be32, "state" -> state row */
	SL_TREE_DICT,        /* 1, number -> word; 2, word -> number */
	SL_TREE_PATIENT,     /* number -> patient row */
	SL_TREE_PATIENT_KEY, /* 1, PatientID, 0, issuer | 2, study number -> number */
	SL_TREE_STUDY,       /* study -> study row: in order of arrival */
	SL_TREE_STUDY_UID,   /* UID, end mark -> study */
	SL_TREE_SERIES,      /* study, series -> series row */
	SL_TREE_SERIES_UID,  /* UID, end mark, study -> series: one UID may be in two studies */
	SL_TREE_INSTANCE,    /* place -> instance row: a study's rows lie together */
	SL_TREE_UID,         /* UID -> place of its current version */
	SL_TREE_TOMBSTONE,   /* seq -> tombstone row */
	SL_TREE_ARRIVAL,     /* last seq of a study -> study: the order of eviction */
	SL_TREE_VERSION,     /* UID, end mark, seq -> place of a version that is not current */
	SL_TREE_KEY,         /* entries of index_key.h -> nothing */
	SL_TREE_N
};

/* A record of a batch by its turn: the first to arrive has turn 0. What is said of a group or a study is
 * kept with its first turn. */
struct sl_index_lmdb_turn {
	uint32_t record;  /* its index in the batch */
	uint32_t group;   /* an earlier turn of those that are put together, or its own */
	uint32_t start;   /* of a group: where it begins in the order of putting */
	uint32_t kin;     /* of a study: the first study of its patient */
	bool is_mixed;    /* of a study: not all that is said of its patient is the same */
	uint64_t patient; /* of a study: what stands for its patient; 0: nobody else's */
};

/* What one batch works on; allocated at open, lives between begin and end of a put. */
struct sl_index_lmdb_batch {
	uint32_t *
		order; /* indices of records, in the order in which they are put; batch_max of them */
	struct sl_index_lmdb_turn *turns; /* likewise */
	uint32_t *slots;                  /* for finding what is alike: four times as many */
	MDB_cursor *by_uid,
		*by_place; /* of SL_TREE_UID and SL_TREE_INSTANCE: where the last row went in */
	const struct sl_record *said; /* merged into the loaded rows last, or NULL... */
	uint32_t said_conflicts;      /* ...with these conflicts */
	bool has_study, has_series;   /* the rows below are loaded... */
	bool is_patient_dirty, is_study_dirty, is_series_dirty; /* ...and differ from the tree's */
	uint64_t study_no, series_no;
	bool is_new[SL_LEVEL_INSTANCE];      /* by level: values came in that may have keys */
	bool is_date_late;                   /* the study's date came after a series was made */
	uint64_t arrival;                    /* the study's key in SL_TREE_ARRIVAL; 0 = none yet */
	struct sl_index_row_patient patient; /* of the study's patient number */
	struct sl_index_row_study study;
	struct sl_index_row_series series;
	struct sl_uid sop_class, transfer_syntax; /* the last words looked up, and their numbers */
	uint32_t sop_class_no, transfer_syntax_no;
	char charset[128]; /* likewise */
	size_t charset_len;
	uint32_t charset_no;
};

/* The file's growth ahead of LMDB. */
struct sl_index_lmdb_grow {
	int fd;          /* LMDB's; -1: left alone */
	uint64_t len;    /* of the file [bytes], as far as is known */
	uint64_t mapped; /* of it, from here on nothing was mapped in advance */
	uint8_t *map;    /* where it is mapped; NULL: unknown */
};

struct sl_index_lmdb {
	struct sl_index base;
	MDB_env *env;
	MDB_dbi tree[SL_TREE_N];
	int lock_fd; /* flock on the folder; -1 = none */
	uint32_t batch_max, page_size;
	uint64_t map_pages;      /* pages of the map */
	uint64_t headroom_pages; /* of them kept for removals */

	/* writer only */
	struct sl_index_row_state state; /* as committed */
	struct sl_index_lmdb_batch batch;
	struct sl_index_lmdb_grow grow;
	MDB_txn *counting;     /* read transaction of the page counts; reset between */
	MDB_cursor *free_list; /* likewise */

	/* any thread: how many objects may hold a reservation, how many do. Each is a sum of its own;
	 * nothing else is read on the strength of it, so relaxed order is enough. */
	atomic_llong room, reserved;
	pthread_mutex_t snapshot_lock;
	struct sl_index_snapshot snapshot; /* under snapshot_lock */
};

/* A word of the dictionary that a reader looked up. A number means the same for ever. */
struct sl_index_lmdb_word {
	uint32_t no; /* 0: the empty word */
	struct sl_uid uid;
};

enum { SL_INDEX_LMDB_WORDS = 16 }; /* most archives have a few SOP classes and transfer syntaxes */

/* A transaction under way and where its failures are told. */
struct sl_index_txn {
	struct sl_index_lmdb *ix;
	MDB_txn *txn;
	struct sl_index_lmdb_word *words; /* readers: SL_INDEX_LMDB_WORDS of them */
	struct sl_diag *diag;             /* may be NULL */
	struct sl_index_row_state state;  /* write transactions: becomes ix->state by the commit */
};

/* One read transaction, kept and renewed, and a cursor for each tree that is walked. */
struct sl_index_lmdb_reader {
	struct sl_index_reader base;
	MDB_txn *txn; /* reset between calls */
	MDB_cursor *cursor[SL_TREE_N];
	struct sl_index_lmdb_finder *finder;                  /* what one find works on */
	struct sl_index_lmdb_word words[SL_INDEX_LMDB_WORDS]; /* number n at n modulo that */
};

static inline struct sl_index_lmdb_reader *sl_index_lmdb_reader_of(struct sl_index_reader *base)
{
	return sl_container_of(base, struct sl_index_lmdb_reader, base);
}

static inline struct sl_index_lmdb *sl_index_lmdb_of(struct sl_index *ix)
{
	return sl_container_of(ix, struct sl_index_lmdb, base);
}

/* True for a key that begins with prefix (which may be empty) and goes on. */
static inline bool sl_index_lmdb_is_below(const MDB_val *key, const struct sl_wbuf *prefix)
{
	return key->mv_size > prefix->len &&
	       (prefix->len == 0 || memcmp(key->mv_data, prefix->base, prefix->len) == 0);
}

/* ---- index_lmdb.c */

/* MDB_* and errno to ours: MDB_MAP_FULL, ENOSPC and EDQUOT are SL_E_FULL (the transaction is gone, the
 * environment is as it was), damage is SL_E_CORRUPT, MDB_READERS_FULL and ENOMEM are SL_E_NOMEM, an
 * absent key is SL_E_NOTFOUND without a diag; anything else SL_E_IO. */
SL_MUST enum sl_status sl_index_lmdb_error(int rc, const char *where, struct sl_diag *diag);

/* SL_E_CORRUPT with a diag that names the place. */
SL_MUST enum sl_status sl_index_lmdb_corrupt(const char *where, struct sl_diag *diag);

/* Rows that another row names are there, or the index is damaged. */
SL_MUST static inline enum sl_status sl_index_lmdb_must(
	struct sl_index_txn *t, enum sl_status st, const char *where)
{
	return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt(where, t->diag) : st;
}

/* Commits; LMDB frees the transaction either way. SL_E_FULL: nothing was committed, the same may be tried
 * again. */
SL_MUST enum sl_status sl_index_lmdb_commit(
	struct sl_index_lmdb *ix, MDB_txn *txn, struct sl_diag *diag);

/* Begins a write transaction; commits and publishes, or aborts. `st` is what the work came to: on
 * anything but SL_OK the transaction is aborted and st returned. */
SL_MUST enum sl_status sl_index_lmdb_begin(
	struct sl_index_lmdb *ix, struct sl_index_txn *t, struct sl_diag *diag);
SL_MUST enum sl_status sl_index_lmdb_end(struct sl_index_txn *t, enum sl_status st);

/* ---- index_lmdb_env.c */
SL_MUST enum sl_status sl_index_lmdb_env_open(struct sl_index_lmdb *ix,
	const struct sl_index_lmdb_options *options, struct sl_diag *diag);
void sl_index_lmdb_env_close(struct sl_index_lmdb *ix);

/* Renews snapshot and room from the committed state. Counts the free pages when told to, or when the
 * map gets short of untouched ones. */
SL_MUST enum sl_status sl_index_lmdb_publish(
	struct sl_index_lmdb *ix, bool count_free, struct sl_diag *diag);

/* ---- index_lmdb_grow.c */
void sl_index_lmdb_grow_open(struct sl_index_lmdb *ix);

/* Lengthens the file when what LMDB has `reached` [bytes] comes near its end. Writer. */
void sl_index_lmdb_grow(struct sl_index_lmdb *ix, uint64_t reached);

/* ---- index_lmdb_rows.c: SL_OK, SL_E_NOTFOUND (get, del), or a failure told in t->diag */
SL_MUST enum sl_status sl_index_lmdb_get(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, struct sl_cur *value);
SL_MUST enum sl_status sl_index_lmdb_put(struct sl_index_txn *t, enum sl_index_lmdb_tree tree,
	const struct sl_wbuf *key, const struct sl_wbuf *value);
/* Puts a new row near the cursor's: the tree is walked only where the last key's page is left.
 * SL_E_EXISTS, without a diag, when there is a row of that key, which stays as it is. */
SL_MUST enum sl_status sl_index_lmdb_put_near(struct sl_index_txn *t, MDB_cursor *cursor,
	const struct sl_wbuf *key, const struct sl_wbuf *value);
SL_MUST enum sl_status sl_index_lmdb_del(
	struct sl_index_txn *t, enum sl_index_lmdb_tree tree, const struct sl_wbuf *key);

/* A value that is one number; SL_E_CORRUPT when it is something else. */
SL_MUST enum sl_status sl_index_lmdb_get_number(struct sl_index_txn *t,
	enum sl_index_lmdb_tree tree, const struct sl_wbuf *key, uint64_t *out);
SL_MUST enum sl_status sl_index_lmdb_put_number(struct sl_index_txn *t,
	enum sl_index_lmdb_tree tree, const struct sl_wbuf *key, uint64_t value);

/* Typed rows. A row that another row names and that is not there is damage: those that may be absent
 * say SL_E_NOTFOUND, the caller decides. */
SL_MUST enum sl_status sl_index_lmdb_get_state(
	struct sl_index_txn *t, struct sl_index_row_state *out);
SL_MUST enum sl_status sl_index_lmdb_put_state(
	struct sl_index_txn *t, const struct sl_index_row_state *state);
SL_MUST enum sl_status sl_index_lmdb_get_patient(
	struct sl_index_txn *t, uint64_t no, struct sl_index_row_patient *out);
SL_MUST enum sl_status sl_index_lmdb_put_patient(
	struct sl_index_txn *t, uint64_t no, const struct sl_index_row_patient *row);
SL_MUST enum sl_status sl_index_lmdb_get_study(
	struct sl_index_txn *t, uint64_t no, struct sl_index_row_study *out);
SL_MUST enum sl_status sl_index_lmdb_put_study(
	struct sl_index_txn *t, uint64_t no, const struct sl_index_row_study *row);
SL_MUST enum sl_status sl_index_lmdb_get_series(
	struct sl_index_txn *t, uint64_t study, uint64_t series, struct sl_index_row_series *out);
SL_MUST enum sl_status sl_index_lmdb_put_series(struct sl_index_txn *t, uint64_t study,
	uint64_t series, const struct sl_index_row_series *row);
SL_MUST enum sl_status sl_index_lmdb_get_study_uid(
	struct sl_index_txn *t, uint64_t no, struct sl_uid *out);
SL_MUST enum sl_status sl_index_lmdb_get_series_head(struct sl_index_txn *t, uint64_t study,
	uint64_t series, struct sl_uid *uid, uint8_t *volume);
SL_MUST enum sl_status sl_index_lmdb_get_place(
	struct sl_index_txn *t, const struct sl_uid *uid, struct sl_index_row_place *out);
SL_MUST enum sl_status sl_index_lmdb_find_study(
	struct sl_index_txn *t, const struct sl_uid *uid, uint64_t *no);
SL_MUST enum sl_status sl_index_lmdb_find_series(
	struct sl_index_txn *t, uint64_t study, const struct sl_uid *uid, uint64_t *series);

/* The study's place in the order of arrival: from the seq it stands at (0: nowhere) to that of its
 * last instance (0: it goes). */
SL_MUST enum sl_status sl_index_lmdb_move_arrival(
	struct sl_index_txn *t, uint64_t study, uint64_t from_seq, uint64_t to_seq);

/* ---- index_lmdb_merge.c */

/* The key of the record's patient: PatientID and issuer, in UTF-8; a study without PatientID has a
 * patient of its own, by its number. */
void sl_index_lmdb_patient_key(struct sl_wbuf *w, const struct sl_record *r, uint64_t study);

/* Merges the record's values into the loaded rows of patient, study and series; `conflicts` gets the
 * bits of those that differ. Objects of classes without a study share rows that say nothing about
 * them: only a value of a level that has a UID can disagree. */
SL_MUST enum sl_status sl_index_lmdb_merge(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	const struct sl_record *r, uint32_t *conflicts);

/* True when both say the same, byte for byte, of everything from the patient down to `lowest`. */
bool sl_index_lmdb_says_same(
	const struct sl_record *a, const struct sl_record *b, enum sl_attr_level lowest);

/* ---- index_lmdb_order.c: fills b->order for n records */
SL_MUST enum sl_status sl_index_lmdb_order(struct sl_index_txn *t, struct sl_index_lmdb_batch *b,
	size_t n, const struct sl_record *const *records);

/* ---- index_lmdb_version.c */

/* A version of a UID: where its row is, and what decides which of them is current. */
struct sl_index_lmdb_version {
	struct sl_index_row_place place;
	uint64_t seq;
	uint32_t flags; /* enum sl_record_flag */
};

/* True when a is current rather than b: see sl_index_put_batch(). */
bool sl_index_lmdb_is_ahead(
	const struct sl_index_lmdb_version *a, const struct sl_index_lmdb_version *b);

/* The version whose row is at out->place; a row that is not there is damage. */
SL_MUST enum sl_status sl_index_lmdb_get_version(
	struct sl_index_txn *t, struct sl_index_lmdb_version *out);

/* The best of a UID's versions that are behind, but for those in study number `except` (0: none). */
SL_MUST enum sl_status sl_index_lmdb_best_behind(struct sl_index_txn *t, const struct sl_uid *uid,
	uint64_t except, struct sl_index_lmdb_version *out);

/* True in *found when a version behind has the plain name. */
SL_MUST enum sl_status sl_index_lmdb_has_plain_behind(
	struct sl_index_txn *t, const struct sl_uid *uid, bool *found);

/* Makes v (which has a row) the current version of its UID, or lets it fall behind: its row's mark,
 * the trees of UIDs and versions, all counters. b: rows of a batch that are loaded, or NULL. */
SL_MUST enum sl_status sl_index_lmdb_set_current(struct sl_index_txn *t,
	struct sl_index_lmdb_batch *b, const struct sl_uid *uid,
	const struct sl_index_lmdb_version *v, bool is_current);

void sl_index_lmdb_key_version(struct sl_wbuf *w, const struct sl_uid *uid, uint64_t seq);

/* Keys, for those who walk. */
void sl_index_lmdb_key_series_uid(struct sl_wbuf *w, const struct sl_uid *uid, uint64_t study);

enum { SL_INDEX_LMDB_WORD_BY_NUMBER = 1 }; /* first byte of such entries of the dictionary */

/* The dictionary. find says which number a word has. put gives a word (at most 128 bytes) its number, 0 for the empty word; get reads it
 * into out[cap] and is SL_E_CORRUPT for a number that was never given. */
SL_MUST enum sl_status sl_index_lmdb_find_word(
	struct sl_index_txn *t, const char *word, size_t n, uint32_t *no);
SL_MUST enum sl_status sl_index_lmdb_put_word(
	struct sl_index_txn *t, const char *word, size_t n, uint32_t *no);
SL_MUST enum sl_status sl_index_lmdb_get_word(
	struct sl_index_txn *t, uint32_t no, char *out, size_t cap, size_t *n);

/* Puts an entry of SL_TREE_KEY; one that is there stays. */
SL_MUST enum sl_status sl_index_lmdb_put_key(struct sl_index_txn *t, const struct sl_wbuf *key);

/* One of a row's values, which is there, in UTF-8: appended to *w. */
SL_MUST enum sl_status sl_index_lmdb_read_value(struct sl_index_txn *t,
	const struct sl_index_row_text *row, enum sl_attr a, struct sl_wbuf *w);

/* A row's texts in UTF-8, appended to *out. */
SL_MUST enum sl_status sl_index_lmdb_read_text(
	struct sl_index_txn *t, const struct sl_index_row_text *row, struct sl_index_text *out);

/* ---- index_lmdb_keys.c */
enum sl_index_lmdb_keys_what {
	SL_INDEX_LMDB_KEYS_PUT, /* those that are there stay */
	SL_INDEX_LMDB_KEYS_DEL, /* one that is not there is damage */
	SL_INDEX_LMDB_KEYS_CHECK
};

/* What to do with the entries of rows, and how many there were. */
struct sl_index_lmdb_keys {
	struct sl_index_txn *t;
	enum sl_index_lmdb_keys_what what;
	uint64_t entries, missing;
};

SL_MUST enum sl_status sl_index_lmdb_keys_of_patient(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_patient *row);
SL_MUST enum sl_status sl_index_lmdb_keys_of_study(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_study *row);
SL_MUST enum sl_status sl_index_lmdb_keys_of_series(struct sl_index_lmdb_keys *k, uint64_t study_no,
	uint64_t series_no, const struct sl_index_row_study *study,
	const struct sl_index_row_series *row);

/* Of all series of a study, as they are in the tree. */
SL_MUST enum sl_status sl_index_lmdb_keys_below(
	struct sl_index_lmdb_keys *k, uint64_t no, const struct sl_index_row_study *study);

/* Puts the entries of all rows: the upgrade of an index that has none. */
SL_MUST enum sl_status sl_index_lmdb_add_keys(struct sl_index_txn *t);

/* The texts under which a name is found, each once; how many. */
size_t sl_index_lmdb_name_texts(
	const char *utf8, size_t n, struct sl_index_key_text out[SL_INDEX_GROUPS]);

/* ---- index_lmdb_find.c: freed by free(); NULL without memory */
struct sl_index_lmdb_finder *sl_index_lmdb_finder_new(void);

/* ---- index_lmdb_read.c: a reader's transaction; rows as the seam shows them */
SL_MUST enum sl_status sl_index_lmdb_read_begin(
	struct sl_index_lmdb_reader *rd, struct sl_index_txn *t, struct sl_diag *diag);
enum sl_status sl_index_lmdb_read_end(struct sl_index_lmdb_reader *rd, enum sl_status st);
/* An instance's row from its bytes, or from its place; volume: its series' */
SL_MUST enum sl_status sl_index_lmdb_show_row(struct sl_index_txn *t, struct sl_cur c,
	const struct sl_uid *study, const struct sl_uid *series, uint8_t volume,
	struct sl_index_instance *out);
SL_MUST enum sl_status sl_index_lmdb_show_place(struct sl_index_txn *t,
	const struct sl_index_row_place *place, struct sl_index_instance *out);
SL_MUST enum sl_status sl_index_lmdb_show_instance(struct sl_index_txn *t,
	const struct sl_index_row_instance *row, const struct sl_uid *study,
	const struct sl_uid *series, uint8_t volume, struct sl_index_instance *out);
SL_MUST enum sl_status sl_index_lmdb_show_series(struct sl_index_txn *t, const struct sl_uid *study,
	const struct sl_index_row_series *row, struct sl_index_series *out);
SL_MUST enum sl_status sl_index_lmdb_show_study(
	struct sl_index_txn *t, const struct sl_index_row_study *row, struct sl_index_study *out);

/* ---- the seam's functions, by file */
enum sl_status sl_index_lmdb_put_batch(struct sl_index *base,
	const struct sl_record *const *records, size_t n, struct sl_index_result *results,
	struct sl_diag *diag);
enum sl_status sl_index_lmdb_remove_instance(struct sl_index *base, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *diag);
enum sl_status sl_index_lmdb_remove_studies(
	struct sl_index *base, struct sl_index_removal *removals, size_t n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_drop_tombstones(
	struct sl_index *base, const uint64_t *seqs, size_t n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_clear_stale(struct sl_index *base, struct sl_diag *diag);
enum sl_status sl_index_lmdb_check(
	struct sl_index *base, struct sl_index_report *report, struct sl_diag *diag);
enum sl_status sl_index_lmdb_open_reader(
	struct sl_index *base, struct sl_index_reader **out, struct sl_diag *diag);
void sl_index_lmdb_close_reader(struct sl_index_reader *base);
enum sl_status sl_index_lmdb_locate_instance(struct sl_index_reader *base, const struct sl_uid *uid,
	struct sl_index_instance *out, struct sl_diag *diag);
enum sl_status sl_index_lmdb_locate_series(struct sl_index_reader *base, const struct sl_uid *study,
	const struct sl_uid *series, struct sl_index_series *out, struct sl_diag *diag);
enum sl_status sl_index_lmdb_locate_study(struct sl_index_reader *base, const struct sl_uid *uid,
	struct sl_index_study *out, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_studies(struct sl_index_reader *base, struct sl_index_cursor *at,
	struct sl_index_study *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_series(struct sl_index_reader *base, const struct sl_uid *study,
	struct sl_index_cursor *at, struct sl_index_series *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_instances(struct sl_index_reader *base,
	const struct sl_uid *study, const struct sl_uid *series, struct sl_index_cursor *at,
	struct sl_index_instance *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_versions(struct sl_index_reader *base, const struct sl_uid *uid,
	uint64_t *after_seq, struct sl_index_instance *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_arrivals(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_arrival *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_list_tombstones(struct sl_index_reader *base, uint64_t *after_seq,
	struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag);
enum sl_status sl_index_lmdb_find(struct sl_index_reader *base, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag);
