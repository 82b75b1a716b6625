/* SPDX-License-Identifier: Apache-2.0
 *
 * The hash covers everything behind it but the newline. */
#include "storage/ops_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/digest.h"
#include "storage/path.h"

static void hash_of(const void *text, size_t n, char out[SL_OPS_HASH + 1])
{
	struct sl_digest g;
	uint8_t digest[SL_DIGEST_LEN];
	sl_digest_init(&g);
	sl_digest_feed(&g, text, n);
	sl_digest_end(&g, digest);
	for (size_t i = 0; i < SL_OPS_HASH / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void add_text(struct sl_ops_line *line, const char *text)
{
	sl_wbuf_put(&line->w, text, strlen(text));
}

void sl_ops_line_begin(struct sl_ops_line *line, const char *verb)
{
	line->w = sl_wbuf_of(line->bytes, sizeof(line->bytes));
	sl_wbuf_fill(&line->w, '-', SL_OPS_HASH);
	add_text(line, " ");
	add_text(line, verb);
}

void sl_ops_line_uid(struct sl_ops_line *line, const struct sl_uid *uid)
{
	add_text(line, " ");
	sl_wbuf_put(&line->w, uid->s, uid->len);
}

void sl_ops_line_gone(struct sl_ops_line *line, const struct sl_uid *uid, uint64_t seq)
{
	char text[24];
	snprintf(text, sizeof(text), ":%016" PRIx64, seq);
	sl_ops_line_uid(line, uid);
	add_text(line, text);
}

void sl_ops_line_end(struct sl_ops_line *line)
{
	char hash[SL_OPS_HASH + 1];
	sl_assert(!line->w.bad);
	hash_of(line->bytes + SL_OPS_HASH + 1, line->w.len - SL_OPS_HASH - 1, hash);
	memcpy(line->bytes, hash, SL_OPS_HASH);
	sl_wbuf_u8(&line->w, '\n');
	sl_assert(!line->w.bad);
}

bool sl_ops_line_is_sound(const char *line, size_t n)
{
	char hash[SL_OPS_HASH + 1];
	if (n < SL_OPS_HASH + 2 || n > SL_OPS_LINE_MAX || line[SL_OPS_HASH] != ' ')
		return false;
	hash_of(line + SL_OPS_HASH + 1, n - SL_OPS_HASH - 1, hash);
	return memcmp(line, hash, SL_OPS_HASH) == 0;
}

bool sl_ops_line_word(const char *word, struct sl_uid *uid, uint64_t *seq)
{
	const char *colon = strchr(word, ':');
	size_t n = colon != NULL ? (size_t)(colon - word) : strlen(word);
	if ((seq != NULL) != (colon != NULL) || sl_uid_parse(uid, word, n) != SL_OK ||
		uid->len == 0)
		return false;
	return seq == NULL || sl_path_trash_seq(colon + 1, seq);
}
