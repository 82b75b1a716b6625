/* A TOML document as a flat list of entries: the only thing the rest of conf/ sees of the parser.
 *
 * `[dicom] port = 1` gives the entries "dicom" (a table) and "dicom.port"; the second [[peer]] gives
 * "peer" and "peer.host" with table_i 1. Entries come in the order of the document's names, each with
 * the place where it stands. Memory belongs to the document.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_TOML_NO_TABLE  SIZE_MAX
#define SL_TOML_DEPTH_MAX 8 /* tables in tables; deeper is an error */

enum sl_toml_type {
	SL_TOML_STRING,
	SL_TOML_INT,
	SL_TOML_FLOAT,
	SL_TOML_BOOL,
	SL_TOML_ARRAY, /* of scalars */
	SL_TOML_TABLE, /* its members are entries of their own */
	SL_TOML_OTHER, /* dates, times, arrays in arrays, arrays of mixed things */
};

struct sl_toml_value {
	enum sl_toml_type type;
	uint32_t line, column; /* of the value, from 1 */
	const char *text;      /* STRING: UTF-8, terminated, may hold NULs */
	size_t len;            /* of text */
	int64_t integer;
	double real;
	bool is_true;
	const struct sl_toml_value *items; /* ARRAY */
	size_t items_n;
};

struct sl_toml_entry {
	const char *key;       /* dotted; a part that is not a bare key stands in quotes */
	uint32_t line, column; /* of the key, from 1 */
	size_t table_i;        /* which element of an array of tables, or SL_TOML_NO_TABLE */
	struct sl_toml_value value;
};

struct sl_toml_error {
	uint32_t line, column;
	char text[160];
};

struct sl_toml;

/* Parses n bytes. Returns owned; NULL with *error filled (also when memory runs out). */
struct sl_toml *sl_toml_parse(const char *text, size_t n, struct sl_toml_error *error);
void sl_toml_free(struct sl_toml *doc);

/* Borrows from doc. */
const struct sl_toml_entry *sl_toml_entries(const struct sl_toml *doc, size_t *n);

#ifdef __cplusplus
}
#endif
