/* What the index keeps of one instance: its identity, its indexed attributes, its place in time.
 *
 * Filled by the element walker (attributes and UIDs) and by ingest (the rest); copied whole into the
 * pending table, from there read by the indexer. A plain value: no pointers, so a copy is a copy.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/uid.h"

enum sl_attr_level { SL_LEVEL_PATIENT, SL_LEVEL_STUDY, SL_LEVEL_SERIES, SL_LEVEL_INSTANCE };

enum sl_attr {
#define SL_ATTR(name, tag, level, cap, keyword) SL_ATTR_##name,
#include "core/attrs.def"
#undef SL_ATTR
	SL_ATTR_N
};

struct sl_attr_row {
	uint32_t tag;		  /* group << 16 | element */
	enum sl_attr_level level; /* the row that holds it */
	uint16_t cap;		  /* bytes kept */
	const char *keyword;	  /* PS3.6 */
};
extern const struct sl_attr_row sl_attrs[SL_ATTR_N]; /* ascending by tag */

#define SL_RECORD_TEXT_MAX 2048 /* bytes; at least the sum of all caps */

enum sl_record_flag {
	SL_RECORD_UNSOUND = 1 << 0,	/* the structure is broken: sound=no (DESIGN 7) */
	SL_RECORD_NOT_CURRENT = 1 << 1, /* a later version of the same UID is current */
	SL_RECORD_PLAIN_NAME = 1 << 2,	/* <SOPInstanceUID>.dcm; else <SOPInstanceUID>~<seq>.dcm */
};

struct sl_record {
	struct sl_uid sop_class_uid, sop_instance_uid;	       /* as in the command set */
	struct sl_uid study_instance_uid, series_instance_uid; /* len 0: the class has none */
	struct sl_uid transfer_syntax_uid;
	uint64_t seq;		 /* order of decision, grows over restarts */
	uint64_t dataset_len;	 /* bytes of the data set */
	uint64_t file_len;	 /* bytes of the Part 10 file */
	int64_t arrived_ms;	 /* Unix time of arrival [ms] */
	uint32_t flags;		 /* enum sl_record_flag */
	uint16_t text_len;	 /* bytes used of text[] */
	uint16_t at[SL_ATTR_N];	 /* where a value starts in text[] */
	uint16_t len[SL_ATTR_N]; /* its bytes; 0 = absent or empty */
	char text
		[SL_RECORD_TEXT_MAX]; /* values as sent, trimmed of padding, in the object's own charset */
};

void sl_record_init(struct sl_record *r);

/* Keeps the first sl_attrs[a].cap bytes of a value, trimmed of trailing NULs and spaces and of
 * leading spaces. The first value stays: a second call for the same attribute changes nothing. */
void sl_record_set(struct sl_record *r, enum sl_attr a, const void *bytes, size_t n);

/* The value's bytes (not terminated); *n is 0 where it is absent. Borrows from r. */
const char *sl_record_get(const struct sl_record *r, enum sl_attr a, size_t *n);

/* The attribute of a tag, or SL_ATTR_N. O(log n). */
enum sl_attr sl_attr_find(uint32_t tag);
