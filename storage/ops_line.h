/* A line of journal/ops: "<hash> <verb> <UID> ...", made and looked at (ops.h says what they mean).
 * Pure. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/uid.h"
#include "core/wbuf.h"
#include "storage/trash.h"

#define SL_OPS_HASH 16 /* hex digits */
#define SL_OPS_LINE_MAX \
	((size_t)SL_OPS_HASH + 16 + SL_TRASH_BATCH * (SL_UID_MAX + 2 + 16) + 2) /* bytes */

struct sl_ops_line {
	struct sl_wbuf w; /* of bytes */
	uint8_t bytes[SL_OPS_LINE_MAX];
};

/* In order: the verb, then UIDs (with or without a seq), then the end with the hash. */
void sl_ops_line_begin(struct sl_ops_line *line, const char *verb);
void sl_ops_line_uid(struct sl_ops_line *line, const struct sl_uid *uid);
void sl_ops_line_gone(struct sl_ops_line *line, const struct sl_uid *uid, uint64_t seq);
void sl_ops_line_end(struct sl_ops_line *line);

/* True when the n bytes, without the newline, are as sl_ops_line_end() left them; the words begin at
 * SL_OPS_HASH + 1. */
SL_MUST bool sl_ops_line_is_sound(const char *line, size_t n);

/* Reads "<uid>", or with seq "<uid>:<seq>". */
SL_MUST bool sl_ops_line_word(const char *word, struct sl_uid *uid, uint64_t *seq);
