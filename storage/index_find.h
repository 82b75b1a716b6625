/* Finding rows of the index by what they say: conditions in, pages of rows out. No DIMSE in it: a
 * C-FIND, a tool and a rule are each a list of conditions.
 *
 * What answers. An instance (the current version of its UID) with its series, its study and its patient is a path; a path answers when
 * it meets every condition; a row answers when a path goes through it that does. So "studies with
 * modality CT from maker X" are those in which one series is both, and a condition may stand on any
 * level, above or below the rows that are asked for.
 *
 * How texts compare. Folded (text.h): without case, accents and forms of width, so that "muller" finds
 * "Müller"; as_is compares the characters as they are, for a caller that must tell "a1" from "A1". A
 * person name is met when one of its groups is (alphabetic, ideographic, phonetic); a condition with
 * "=" gives each group its own. Spaces at the ends are no part of values nor conditions. UIDs always compare as they are. An absent value is an empty one: only
 * an empty exact or prefix condition, and "*", meet it.
 *
 * Pages. The cursor is a value of the caller's and pins nothing: every call is one short look at the
 * last commit. A row that stays while the index is written is seen exactly once as long as the values
 * that make it answer stay: rows that come and go meanwhile may be seen or not. Only those found by
 * SL_FIELD_ARRIVAL move on their own, and are seen again when more of them arrived. The order is that of
 * the key that was walked, which is chosen on the first page and kept by the cursor.
 * DESIGN 5. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"

#define SL_INDEX_CONDS_MAX 16  /* conditions of one query */
#define SL_INDEX_COND_TEXT 768 /* bytes of UTF-8 in one condition: the longest value kept */

/* What a condition speaks of: an attribute (enum sl_attr, but not the character set), or one of these. */
enum sl_index_field {
	SL_FIELD_STUDY_UID = SL_ATTR_N,
	SL_FIELD_SERIES_UID,
	SL_FIELD_SOP_UID,
	SL_FIELD_SOP_CLASS_UID,
	SL_FIELD_TRANSFER_SYNTAX_UID,
	SL_FIELD_ARRIVAL, /* seq of a study's last instance */
	SL_FIELD_N
};

enum sl_index_match {
	SL_MATCH_EXACT,
	SL_MATCH_PREFIX,
	SL_MATCH_WILDCARD, /* "*" any characters, "?" one */
	SL_MATCH_RANGE,    /* of a date or a time; of arrival, by from_seq and to_seq */
	SL_MATCH_UIDS,     /* one of a list; UID fields alone */
};

struct sl_index_cond {
	unsigned field; /* enum sl_attr or enum sl_index_field */
	enum sl_index_match match;
	bool as_is; /* compare the characters as they are, not folded */

	/* UTF-8, borrowed. Of a range: from here, inclusive, n 0 for open; "to" may be less precise than
	 * the value ("2023" takes in all of that year). */
	const char *text;
	size_t n;
	const char *to;
	size_t to_n;

	uint64_t from_seq, to_seq; /* of arrival, both inclusive; to_seq 0 for open */

	const struct sl_uid *uids; /* of a list; borrowed */
	size_t uids_n;
};

/* All of them are to be met; n 0: every row answers. */
struct sl_index_query {
	const struct sl_index_cond *conds; /* borrowed */
	size_t n;                          /* at most SL_INDEX_CONDS_MAX */
};

/* The ordered keys (DESIGN 5). Those up to SL_KEY_TREE_N are stored as such: numbers stay. */
enum sl_index_key {
	SL_KEY_NONE = 0, /* every row is looked at */
	SL_KEY_PATIENT_NAME = 1,
	SL_KEY_PATIENT_ID = 2,
	SL_KEY_PATIENT_STUDY = 3,
	SL_KEY_STUDY_DATE = 4,
	SL_KEY_ACCESSION_NUMBER = 5,
	SL_KEY_DATE_MODALITY = 6,
	SL_KEY_MODALITY = 7,
	SL_KEY_MANUFACTURER = 8,
	SL_KEY_RADIOPHARMACEUTICAL = 9,
	SL_KEY_INSTITUTION = 10,
	SL_KEY_TREE_N,
	SL_KEY_STUDY_UID = SL_KEY_TREE_N,
	SL_KEY_SERIES_UID,
	SL_KEY_SOP_UID,
	SL_KEY_ARRIVAL,
	SL_KEY_N
};

/* What the planner chose, and what it cost so far. */
struct sl_index_plan {
	enum sl_index_key key;
	unsigned cond; /* the condition whose key it is; without one, the number of conditions */
	uint32_t candidates; /* rows that the key leads to, counted up to SL_INDEX_PROBE */
	uint64_t steps;      /* rows and keys this call has read */
};

#define SL_INDEX_PROBE 32 /* rows after which the planner stops counting */

struct sl_index_patient {
	uint64_t patient; /* its number; struct sl_index_study names it */
	uint64_t studies_n;
	bool is_conflict;
	struct sl_index_text text; /* PATIENT attributes */
};

/* Pages of answers. *n holds the places of out[] and then how many are filled; SL_OK with at least one,
 * SL_END with none: there is nothing further. `at` is zeroed before the first page, then passed back as
 * it is with the same query. plan may be NULL.
 *
 * SL_E_UNSUPPORTED  a condition that its field does not have
 * SL_E_LIMIT        more conditions or longer ones than above
 * SL_E_CORRUPT      the index is damaged, or `at` is no cursor of this query
 * SL_E_IO. Readers, like all of index.h's. */
SL_MUST enum sl_status sl_index_find_patients(struct sl_index_reader *rd,
	const struct sl_index_query *q, struct sl_index_cursor *at, struct sl_index_patient *out,
	size_t *n, struct sl_index_plan *plan, struct sl_diag *diag);
SL_MUST enum sl_status sl_index_find_studies(struct sl_index_reader *rd,
	const struct sl_index_query *q, struct sl_index_cursor *at, struct sl_index_study *out,
	size_t *n, struct sl_index_plan *plan, struct sl_diag *diag);
SL_MUST enum sl_status sl_index_find_series(struct sl_index_reader *rd,
	const struct sl_index_query *q, struct sl_index_cursor *at, struct sl_index_series *out,
	size_t *n, struct sl_index_plan *plan, struct sl_diag *diag);
SL_MUST enum sl_status sl_index_find_instances(struct sl_index_reader *rd,
	const struct sl_index_query *q, struct sl_index_cursor *at, struct sl_index_instance *out,
	size_t *n, struct sl_index_plan *plan, struct sl_diag *diag);

/* Which key a first page of such rows would use, without reading any. */
SL_MUST enum sl_status sl_index_explain(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_plan *plan, struct sl_diag *diag);

/* "patient.name", "date.modality", "none", ... for logs and tools. */
const char *sl_index_key_name(enum sl_index_key key);
