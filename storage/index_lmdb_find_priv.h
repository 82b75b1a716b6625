/* Inside finding: what one find works on, shared by the planner and the walker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index_lmdb_priv.h"

enum { SL_INDEX_LMDB_LEVELS = SL_LEVEL_INSTANCE + 1 };

/* The part of one key that a condition allows: entries from lo on whose first bytes are not above hi. */
struct sl_index_lmdb_range {
	enum sl_index_key key;
	unsigned cond;                 /* the condition; SL_KEY_NONE: the number of conditions */
	enum sl_index_lmdb_tree tree;  /* walked, but for lists of UIDs */
	const struct sl_uid *uids;     /* of a list; borrowed from the query or `one` */
	size_t uids_n;                 /* else 0 */
	struct sl_uid one;             /* a list of one */
	struct sl_index_key_text want; /* modality in a range of dates; len 0: any entry */
	uint8_t lo[SL_INDEX_KEY_MAX], hi[SL_INDEX_KEY_MAX];
	size_t lo_n, hi_n;
	uint32_t candidates;
};

/* Where the walk stands: the bytes of an entry, which a cursor carries. */
struct sl_index_lmdb_entry {
	size_t n; /* 0: before the first */
	uint8_t bytes[SL_INDEX_KEY_MAX];
};

struct sl_index_lmdb_finder {
	struct sl_index_lmdb_reader *rd;
	struct sl_index_txn *t;
	struct sl_index_terms terms;
	struct sl_index_lmdb_range range, other; /* chosen, and the planner's next */
	struct sl_index_lmdb_entry entry;
	uint64_t steps;    /* rows and keys read by this call */
	uint64_t steps_at; /* of them, before this transaction */

	/* The rows the walk is at, by level. no[]: their numbers; is_loaded: in this transaction. */
	uint64_t no[SL_INDEX_LMDB_LEVELS];
	bool is_loaded[SL_INDEX_LMDB_LEVELS];
	struct sl_index_row_patient patient;
	struct sl_index_row_study study;
	struct sl_index_row_series series;
	struct sl_index_row_instance instance;

	/* The page. */
	enum sl_attr_level level;
	void *out;
	size_t filled, want;
	bool has_sub; /* within an entry that leads to several rows: the last one looked at */
	uint64_t sub[SL_INDEX_LMDB_LEVELS];
};

/* ---- index_lmdb_plan.c */

/* Chooses the range of the first page: of the narrowest key. */
SL_MUST enum sl_status sl_index_lmdb_plan(struct sl_index_lmdb_finder *f);

/* The range of a later page: the key and condition its cursor names. SL_E_CORRUPT: they are not of
 * this query. */
SL_MUST enum sl_status sl_index_lmdb_plan_again(
	struct sl_index_lmdb_finder *f, enum sl_index_key key, unsigned cond);

/* ---- index_lmdb_entry.c */

/* The first key of a tree from `from` on (n 0: of all); `after`: not that key itself. SL_END: none. */
SL_MUST enum sl_status sl_index_lmdb_seek(struct sl_index_lmdb_finder *f,
	enum sl_index_lmdb_tree tree, const void *from, size_t n, bool after, MDB_val *key,
	MDB_val *value);

/* Moves f->entry to the first entry of the range behind it (or, `again`, to itself if it is still
 * there). SL_OK, SL_END, or a failure. */
SL_MUST enum sl_status sl_index_lmdb_next_entry(
	struct sl_index_lmdb_finder *f, const struct sl_index_lmdb_range *r, bool again);

/* The place in the list, and the study, of the entry of a list. False: it is none. */
bool sl_index_lmdb_list_entry(const struct sl_index_lmdb_finder *f, uint64_t *i, uint64_t *study);

/* ---- index_lmdb_load.c */

/* Loads the rows the entry leads to, whose key is of `level`. SL_END: none, or another entry stands for
 * them. */
SL_MUST enum sl_status sl_index_lmdb_load(struct sl_index_lmdb_finder *f, enum sl_attr_level level);

/* Loads the first child, from number `from` on, of the loaded row above `level`. SL_END: there is none. */
SL_MUST enum sl_status sl_index_lmdb_next_child(
	struct sl_index_lmdb_finder *f, enum sl_attr_level level, uint64_t from);
