/* Files of the corpus as the tests need them: where they are, and the data set inside a Part 10 file.
 *
 * The splitter is the tests' own, and more forgiving than core/p10: it takes files without preamble, with
 * wrong group lengths or without any header, as the corpus has them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/elem.h"

struct p10file {
	uint8_t *bytes; /* the whole file, malloc'd; free() it */
	size_t len;
	size_t at;                /* where the data set begins */
	char transfer_syntax[72]; /* "" when the file does not say */
	enum sl_elem_encoding encoding;
	bool is_deflated;
};

/* "../shared/corpus" beside the project, or $SLUICE_CORPUS; NULL (and a line that says so) if absent. */
static inline const char *p10file_corpus(void)
{
	const char *root = getenv("SLUICE_CORPUS");
	static char path[1024];
	if (root == NULL)
		root = "../shared/corpus";
	snprintf(path, sizeof(path), "%s/MANIFEST.tsv", root);
	FILE *f = fopen(path, "r");
	if (f == NULL) {
		printf("NOT RUN: corpus absent\n");
		return NULL;
	}
	fclose(f);
	return root;
}

static inline uint32_t p10file_le(const uint8_t *b, size_t n)
{
	uint32_t v = 0;
	while (n-- > 0)
		v = v << 8 | b[n];
	return v;
}

/* Passes over group 0002, noting (0002,0010); returns where it ends. */
static inline size_t p10file_meta(struct p10file *f, size_t at)
{
	while (at + 8 <= f->len && f->bytes[at] == 2 && f->bytes[at + 1] == 0) {
		const uint8_t *b = f->bytes + at;
		bool is_long = memcmp(b + 4, "OB", 2) == 0 || memcmp(b + 4, "UN", 2) == 0;
		if (is_long && at + 12 > f->len)
			break;
		size_t head = is_long ? 12 : 8;
		size_t len = is_long ? p10file_le(b + 8, 4) : p10file_le(b + 6, 2);
		if (len > f->len - at - head)
			break;
		if (p10file_le(b + 2, 2) == 0x0010 && len < sizeof(f->transfer_syntax)) {
			memcpy(f->transfer_syntax, b + head, len);
			while (len > 0 && (f->transfer_syntax[len - 1] == ' '))
				f->transfer_syntax[--len] = '\0';
		}
		at += head + len;
	}
	return at;
}

/* Without a transfer syntax: what the first element looks like. */
static inline enum sl_elem_encoding p10file_guess(const uint8_t *b, size_t n)
{
	bool is_explicit = n >= 8 && b[4] >= 'A' && b[4] <= 'Z' && b[5] >= 'A' && b[5] <= 'Z';
	bool is_big = n >= 8 && b[0] == 0 && b[1] != 0;
	return (is_explicit ? SL_ELEM_EXPLICIT_LE : 0) | (is_big ? SL_ELEM_IMPLICIT_BE : 0);
}

/* Reads a file; false when it cannot be opened. */
static inline bool p10file_read(struct p10file *f, const char *path)
{
	memset(f, 0, sizeof(*f));
	FILE *in = fopen(path, "rb");
	if (in == NULL)
		return false;
	fseek(in, 0, SEEK_END);
	f->len = (size_t)ftell(in);
	rewind(in);
	f->bytes = malloc(f->len + 1);
	bool is_read = f->bytes != NULL && fread(f->bytes, 1, f->len, in) == f->len;
	fclose(in);
	if (!is_read)
		return false;
	if (f->len >= 132 && memcmp(f->bytes + 128, "DICM", 4) == 0)
		f->at = 132;
	f->at = p10file_meta(f, f->at);
	const char *ts = f->transfer_syntax;
	f->encoding = strcmp(ts, "1.2.840.10008.1.2") == 0     ? SL_ELEM_IMPLICIT_LE
		      : strcmp(ts, "1.2.840.10008.1.2.2") == 0 ? SL_ELEM_EXPLICIT_BE
		      : *ts != '\0'                            ? SL_ELEM_EXPLICIT_LE
				    : p10file_guess(f->bytes + f->at, f->len - f->at);
	f->is_deflated = strcmp(ts, "1.2.840.10008.1.2.1.99") == 0 ||
			 strcmp(ts, "1.2.840.10008.1.2.4.95") == 0;
	return true;
}
