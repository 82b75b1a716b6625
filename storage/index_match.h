/* Does a value meet a condition? The one answer for every implementation of the index.
 *
 * A query is made ready once (texts folded, dates tidied), then asked per value. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index_find.h"
#include "storage/text.h"

#define SL_INDEX_FOLDED_MAX 1024 /* bytes: longer folded values are compared up to here */

enum { SL_INDEX_GROUPS = 3 }; /* of a person name */

struct sl_index_pattern {
	uint16_t len;
	char s[SL_INDEX_FOLDED_MAX];
};

/* One condition, ready. */
struct sl_index_term {
	const struct sl_index_cond *cond; /* borrowed */
	enum sl_attr_level level;         /* of its field */
	bool is_pn, is_date;
	bool has_groups; /* one pattern for each group of a name; an empty one asks nothing */
	struct sl_index_pattern
		pattern[SL_INDEX_GROUPS]; /* else the first alone; of a range, from */
	char to[32];                      /* of a range */
	size_t to_n;
};

struct sl_index_terms {
	size_t n;
	enum sl_attr_level deepest; /* level of the lowest condition */
	struct sl_index_term term[SL_INDEX_CONDS_MAX];
};

/* SL_OK; SL_E_UNSUPPORTED or SL_E_LIMIT with what is wrong in words. */
SL_MUST enum sl_status sl_index_terms_make(
	struct sl_index_terms *out, const struct sl_index_query *q, struct sl_diag *diag);

/* A value of the term's attribute in UTF-8, n 0 where it is absent. */
bool sl_index_term_meets(const struct sl_index_term *term, const char *utf8, size_t n);

/* A UID of the term's field; a number of the term's field (an instance's; an arrival). */
bool sl_index_term_meets_uid(const struct sl_index_term *term, const struct sl_uid *uid);
bool sl_index_term_meets_number(const struct sl_index_term *term, int64_t number, bool is_absent);
bool sl_index_term_meets_arrival(const struct sl_index_term *term, uint64_t seq);

/* "*" is any characters, "?" one; `pattern` and text are UTF-8. */
bool sl_index_wildcard(const char *pattern, size_t n, const char *text, size_t text_n);

/* A DA or TM value, or part of one, as it sorts: without the dots and colons of ACR-NEMA. At most cap
 * bytes; 0 when it is none. */
size_t sl_index_date(char *out, size_t cap, const char *utf8, size_t n);
