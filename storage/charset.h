/* Which character set is meant where a data set does not say so.
 *
 * A sender that leaves (0008,0005) out, or writes a term nobody knows, and sends bytes outside ASCII means
 * something by them: what, the operator knows ([[peer]] charset, dicom.charset). The file keeps the bytes
 * and what it said; the index takes the configured term for its own. The rule goes by the calling AE title,
 * which the file carries (0002,0016): so a rebuild reads what the same configuration reads at arrival.
 *
 * Pure. PS3.3 C.12.1.1.2. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/ae.h"
#include "core/record.h"

#define SL_CHARSET_TERM_MAX 64 /* bytes of a configured term, with the NUL */

struct sl_charset_rule {
	struct sl_ae calling;
	char term[SL_CHARSET_TERM_MAX];
};

struct sl_charsets {
	const struct sl_charset_rule *rules; /* borrowed; the first of an AE title counts */
	size_t n;
	char other[SL_CHARSET_TERM_MAX]; /* of whom no rule names; "" = nothing is assumed */
};

/* The term for a calling AE title, or "". */
const char *sl_charsets_of(const struct sl_charsets *c, const struct sl_ae *calling);

/* Gives the record the term for its Specific Character Set, where it has none of its own that says what
 * its bytes outside ASCII are, and has such bytes. */
void sl_charset_assume(struct sl_record *r, const char *term);

/* True for a term that says something of bytes outside ASCII. */
SL_MUST bool sl_charset_is_term(const char *term);
