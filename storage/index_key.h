/* Entries of the tree of ordered keys: which key, the text it sorts by, the row it leads to.
 *
 *   name, id        key, text, 0, patient              date        key, date, 0, study
 *   patient.study   key, patient, study                accession   key, text, 0, study
 *   date.modality   key, date, 0, text, 0, study, series
 *   modality, manufacturer, radiopharmaceutical, institution       key, text, 0, study, series
 *
 * Texts are folded and cut (SL_TEXT_KEY_MAX), so an entry says where to look and the row decides. Every
 * entry follows from the row it leads to and, for date.modality, its study's date: they come and go in
 * the row's own transaction and can be made anew at any time. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/wbuf.h"
#include "storage/index_find.h"
#include "storage/lmdb_key.h"
#include "storage/text.h"

#define SL_INDEX_KEY_DATE     32 /* bytes of a date in a key */
#define SL_INDEX_KEY_MODALITY 48 /* bytes of a folded modality beside a date */
#define SL_INDEX_KEY_MAX      (1 + SL_TEXT_KEY_MAX + 1 + 2 * SL_LMDB_KEY_UINT_MAX)
_Static_assert(1 + SL_INDEX_KEY_DATE + 1 + SL_INDEX_KEY_MODALITY + 1 + 2 * SL_LMDB_KEY_UINT_MAX <=
		       SL_INDEX_KEY_MAX,
	"the key of two texts is not longer than one of the longest text");

struct sl_index_key_text {
	uint8_t len;
	char s[SL_TEXT_KEY_MAX];
};

struct sl_index_key_entry {
	enum sl_index_key key;
	struct sl_index_key_text text;   /* len 0: the key has none */
	struct sl_index_key_text with;   /* the modality beside a date */
	uint64_t patient, study, series; /* those the key has; else 0 */
};

/* The level of the rows that a key leads to. */
enum sl_attr_level sl_index_key_level(enum sl_index_key key);

/* Appends an entry; one without its text (or the date's modality) is a programming error. */
void sl_index_key_put(struct sl_wbuf *w, const struct sl_index_key_entry *e);

/* Reads one whole entry: SL_OK, or SL_E_CORRUPT and *out holds nothing to rely on. Any bytes. */
SL_MUST enum sl_status sl_index_key_get(struct sl_cur c, struct sl_index_key_entry *out);

/* The text of an entry, of a value in UTF-8; len 0: the value has no place in such a key. */
void sl_index_key_fold(struct sl_index_key_text *out, const char *utf8, size_t n);
void sl_index_key_fold_pn(
	struct sl_index_key_text *out, const char *utf8, size_t n, enum sl_text_pn_group group);
void sl_index_key_fold_date(struct sl_index_key_text *out, const char *utf8, size_t n);
void sl_index_key_fold_modality(struct sl_index_key_text *out, const char *utf8, size_t n);
