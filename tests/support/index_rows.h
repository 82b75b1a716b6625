/* Rows of the index compared field by field: what lies between the fields is nobody's value.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "storage/index_row.h"

static inline bool same_counts(const struct sl_index_counts *a, const struct sl_index_counts *b)
{
	return a->instances == b->instances && a->versions == b->versions && a->bytes == b->bytes &&
	       a->first_seq == b->first_seq && a->last_seq == b->last_seq &&
	       a->first_ms == b->first_ms && a->last_ms == b->last_ms;
}

static inline bool same_text(const struct sl_index_row_text *a, const struct sl_index_row_text *b)
{
	for (enum sl_attr i = 0; i < SL_ATTR_N; i++)
		if (a->len[i] != b->len[i] || a->charset[i] != b->charset[i] ||
			memcmp(a->bytes + a->at[i], b->bytes + b->at[i], a->len[i]) != 0)
			return false;
	return a->used == b->used;
}

static inline bool same_patient(
	const struct sl_index_row_patient *a, const struct sl_index_row_patient *b)
{
	return a->flags == b->flags && a->studies_n == b->studies_n && a->key_len == b->key_len &&
	       memcmp(a->key, b->key, a->key_len) == 0 && same_text(&a->text, &b->text);
}

static inline bool same_study(
	const struct sl_index_row_study *a, const struct sl_index_row_study *b)
{
	return a->flags == b->flags && sl_uid_equal(&a->uid, &b->uid) && a->patient == b->patient &&
	       a->series_n == b->series_n && a->next_series == b->next_series &&
	       same_counts(&a->counts, &b->counts) && a->modalities_n == b->modalities_n &&
	       memcmp(a->modalities, b->modalities, sizeof(a->modalities)) == 0 &&
	       same_text(&a->text, &b->text);
}

static inline bool same_series(
	const struct sl_index_row_series *a, const struct sl_index_row_series *b)
{
	return a->flags == b->flags && sl_uid_equal(&a->uid, &b->uid) && a->volume == b->volume &&
	       a->next_ordinal == b->next_ordinal && same_counts(&a->counts, &b->counts) &&
	       same_text(&a->text, &b->text);
}

static inline bool same_instance(
	const struct sl_index_row_instance *a, const struct sl_index_row_instance *b)
{
	return a->flags == b->flags && a->seq == b->seq && a->sop_class == b->sop_class &&
	       a->transfer_syntax == b->transfer_syntax && a->dataset_len == b->dataset_len &&
	       a->file_len == b->file_len && a->instance_number == b->instance_number &&
	       a->frames == b->frames && a->is_behind == b->is_behind &&
	       sl_uid_equal(&a->uid, &b->uid);
}
