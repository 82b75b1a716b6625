/* The rows of the index as values, and their bytes.
 *
 * A study has a number, a series a number within its study, an instance an ordinal within its series;
 * the three in this order are the instance's place, and the key of everything that belongs to it. None
 * is given twice. Rows hold what cannot be derived: an instance's UID is kept as what it does not
 * share with its series' UID, SOP class and transfer syntax as numbers of the dictionary.
 *
 * Texts are kept as sent with the number of their character set (text.h reads them). Decoding takes
 * any bytes: SL_E_CORRUPT for what encoding would not have written. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/cursor.h"
#include "core/wbuf.h"
#include "storage/index.h"

#define SL_INDEX_ROW_TEXT_MAX 768  /* bytes: the caps of one level */
#define SL_INDEX_ROW_KEY_MAX  500  /* bytes of a patient's key */
#define SL_INDEX_ROW_MAX      2048 /* bytes of any encoded row */

enum sl_index_row_flag {
	SL_INDEX_ROW_CONFLICT = 1 << 0,
	SL_INDEX_ROW_BEHIND = 1 << 1, /* in the bytes only: a count of rows not current follows */
};

/* Values of one level as sent. */
struct sl_index_row_text {
	uint16_t used;               /* bytes of bytes[] */
	uint16_t at[SL_ATTR_N];      /* where a value starts */
	uint16_t len[SL_ATTR_N];     /* its bytes; 0 = absent */
	uint32_t charset[SL_ATTR_N]; /* dictionary number; 0: reads the same in every set */
	char bytes[SL_INDEX_ROW_TEXT_MAX];
};

struct sl_index_row_patient {
	uint32_t flags;     /* enum sl_index_row_flag */
	uint64_t studies_n; /* studies that name this row */
	uint16_t key_len;   /* its key in the tree of patients, so that both go together */
	uint8_t key[SL_INDEX_ROW_KEY_MAX];
	struct sl_index_row_text text;
};

struct sl_index_row_study {
	uint32_t flags;
	struct sl_uid uid;
	uint64_t patient;     /* number */
	uint32_t series_n;    /* series it has */
	uint32_t next_series; /* number the next one gets */
	struct sl_index_counts counts;
	uint8_t modalities_n;
	char modalities[SL_INDEX_MODALITIES][SL_INDEX_MODALITY_MAX + 1];
	struct sl_index_row_text text;
};

struct sl_index_row_series {
	uint32_t flags;
	struct sl_uid uid;
	uint8_t volume;
	uint64_t next_ordinal; /* ordinal the next instance gets */
	struct sl_index_counts counts;
	struct sl_index_row_text text;
};

struct sl_index_row_instance {
	uint32_t flags; /* enum sl_record_flag */
	uint64_t seq;
	uint32_t sop_class, transfer_syntax; /* dictionary numbers */
	uint64_t dataset_len, file_len;      /* bytes; file_len is the larger */
	int64_t instance_number;             /* or SL_INDEX_NO_NUMBER */
	uint32_t frames;
	bool is_behind; /* another version of its UID is current */
	struct sl_uid uid;
};

/* Where an instance is: also the value of the tree of UIDs. */
struct sl_index_row_place {
	uint64_t study, series, ordinal;
};

/* One row for what concerns the whole index. */
struct sl_index_row_state {
	uint64_t next_seq, next_patient, next_study, next_word; /* from 1 */
	struct sl_index_usage usage;
};

/* Each encoder appends one row; SL_INDEX_ROW_MAX bytes hold any. */
void sl_index_row_put_place(struct sl_wbuf *w, const struct sl_index_row_place *p);
void sl_index_row_put_state(struct sl_wbuf *w, const struct sl_index_row_state *s);
void sl_index_row_put_patient(struct sl_wbuf *w, const struct sl_index_row_patient *p);
void sl_index_row_put_study(struct sl_wbuf *w, const struct sl_index_row_study *s);
void sl_index_row_put_series(struct sl_wbuf *w, const struct sl_index_row_series *s);
void sl_index_row_put_tombstone(struct sl_wbuf *w, const struct sl_index_tombstone *t);

/* series  UID of its series: shared characters are not kept */
void sl_index_row_put_instance(
	struct sl_wbuf *w, const struct sl_index_row_instance *i, const struct sl_uid *series);

/* Each decoder reads one whole row: SL_OK, or SL_E_CORRUPT and *out holds nothing to rely on. */
SL_MUST enum sl_status sl_index_row_place(struct sl_cur c, struct sl_index_row_place *out);
SL_MUST enum sl_status sl_index_row_state(struct sl_cur c, struct sl_index_row_state *out);
SL_MUST enum sl_status sl_index_row_patient(struct sl_cur c, struct sl_index_row_patient *out);
SL_MUST enum sl_status sl_index_row_study(struct sl_cur c, struct sl_index_row_study *out);
SL_MUST enum sl_status sl_index_row_series(struct sl_cur c, struct sl_index_row_series *out);
SL_MUST enum sl_status sl_index_row_tombstone(struct sl_cur c, struct sl_index_tombstone *out);
SL_MUST enum sl_status sl_index_row_instance(
	struct sl_cur c, const struct sl_uid *series, struct sl_index_row_instance *out);

/* What an instance's row is shown with: the first fields alone, for lookups. */
SL_MUST enum sl_status sl_index_row_study_uid(struct sl_cur c, struct sl_uid *uid);
SL_MUST enum sl_status sl_index_row_series_head(
	struct sl_cur c, struct sl_uid *uid, uint8_t *volume);

/* Flags and seq alone, for which the series is not needed. */
SL_MUST enum sl_status sl_index_row_instance_head(struct sl_cur c, uint32_t *flags, uint64_t *seq);

/* Marks an encoded row (not empty) as current or behind, without changing its length. */
void sl_index_row_instance_set_behind(uint8_t *row, bool is_behind);

/* Keeps a value (n > 0, at most its cap) for an attribute that has none yet. */
void sl_index_row_text_set(
	struct sl_index_row_text *t, enum sl_attr a, const char *bytes, size_t n, uint32_t charset);

/* Adds a modality to a study's row, once each; a ninth is passed over. */
void sl_index_row_add_modality(struct sl_index_row_study *s, const char *bytes, size_t n);

/* The integer of an IS value (PS3.5 6.2), or `otherwise`. */
int64_t sl_index_row_integer(const char *bytes, size_t n, int64_t otherwise);
