/* Records as scanners would make them: deterministic, with the shapes of real UIDs.
 *
 * Instance i of the whole belongs to series i / per_series, and so on up: 150 instances a series, 4
 * series a study, 1.6 studies a patient are an ordinary archive.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/record.h"

/* xorshift64*: the same numbers on every machine. */
static inline uint64_t rec_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* One number of a thing, spread: the same for the same (thing, salt). */
static inline uint64_t rec_mix(uint64_t thing, uint64_t salt)
{
	uint64_t s = (thing + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ (salt << 32 | 0x5bd1e995);
	(void)rec_random(&s);
	return rec_random(&s);
}

static inline void rec_set(struct sl_record *r, enum sl_attr a, const char *text)
{
	sl_record_set(r, a, text, strlen(text));
}

SL_PRINTF(2, 3) static inline void rec_uid(struct sl_uid *u, const char *fmt, ...)
{
	va_list ap;
	memset(u, 0, sizeof(*u));
	va_start(ap, fmt);
	int n = vsnprintf(u->s, sizeof(u->s), fmt, ap);
	va_end(ap);
	sl_assert(n > 0 && n <= SL_UID_MAX);
	u->len = (uint8_t)n;
}

/* UIDs of four kinds of device; the kind is the study's. */
static inline void rec_uids(struct sl_record *r, uint64_t study, uint64_t series, uint64_t i)
{
	unsigned a = (unsigned)(rec_mix(study, 1) % 90000 + 10000);
	unsigned long long t = 1700000000ull + study * 977;
	unsigned long long x = rec_mix(study, 2) % 1000000000000000ull;
	switch (rec_mix(study, 3) % 4) {
	case 0: /* a shared stem, counters at the end */
		rec_uid(&r->study_instance_uid, "1.2.840.113619.2.55.3.28311%u.781.%llu.%u", a, t,
			a % 1000);
		rec_uid(&r->series_instance_uid, "1.2.840.113619.2.55.3.28311%u.781.%llu.%u.%u", a,
			t, a % 1000, (unsigned)(series + 3));
		rec_uid(&r->sop_instance_uid, "1.2.840.113619.2.55.3.28311%u.781.%llu.%u.%u.%u", a,
			t, a % 1000, (unsigned)(series + 3), (unsigned)(i + 1));
		break;
	case 1: /* date and running number */
		rec_uid(&r->study_instance_uid, "1.3.12.2.1107.5.1.4.%u.30000023%016llu", a, x);
		rec_uid(&r->series_instance_uid, "1.3.12.2.1107.5.1.4.%u.30000023%016llu", a,
			x + 1 + series * 1000);
		rec_uid(&r->sop_instance_uid, "1.3.12.2.1107.5.1.4.%u.30000023%016llu", a,
			x + 2 + series * 1000 + i);
		break;
	case 2: /* study, series and image as components */
		rec_uid(&r->study_instance_uid, "1.2.392.200036.9116.2.6.1.48.12%u.%llu.%u", a, t,
			a % 997);
		rec_uid(&r->series_instance_uid, "1.2.392.200036.9116.2.6.1.48.12%u.%llu.%u", a,
			t + series, a % 991);
		rec_uid(&r->sop_instance_uid, "1.2.392.200036.9116.2.6.1.48.12%u.%llu.%u", a,
			t + series, (unsigned)(a % 991 * 1000 + i));
		break;
	default: /* random numbers of a generator (PS3.5 B.2) */
		rec_uid(&r->study_instance_uid, "2.25.%llu%019llu", 10 + x % 20,
			(unsigned long long)(rec_mix(study, 4) >> 1));
		rec_uid(&r->series_instance_uid, "2.25.%llu%019llu", 10 + x % 20,
			(unsigned long long)(rec_mix(study * 64 + series, 5) >> 1));
		rec_uid(&r->sop_instance_uid, "2.25.%llu%019llu", 10 + x % 20,
			(unsigned long long)(rec_mix((study * 64 + series) * 4096 + i, 6) >> 1));
		break;
	}
}

static inline void rec_values(struct sl_record *r, uint64_t study, uint64_t series, uint64_t i)
{
	static const char *const modalities[] = {"CT", "MR", "PT", "US", "CR"};
	static const char *const descriptions[] = {
		"Thorax mit KM", "Head routine", "ABDOMEN W/O", "Knee left t2 tse"};
	char text[64];
	uint64_t patient = study * 10 / 16;
	unsigned m = (unsigned)(rec_mix(study, 7) % SL_ARRAY_N(modalities));
	snprintf(text, sizeof(text), "P%07llu", (unsigned long long)patient);
	rec_set(r, SL_ATTR_PATIENT_ID, text);
	snprintf(text, sizeof(text), "Family%llu^Given%llu", (unsigned long long)patient % 9000,
		(unsigned long long)patient % 700);
	rec_set(r, SL_ATTR_PATIENT_NAME, text);
	rec_set(r, SL_ATTR_PATIENT_BIRTH_DATE, "19600704");
	rec_set(r, SL_ATTR_PATIENT_SEX, patient % 2 ? "F" : "M");
	snprintf(text, sizeof(text), "2023%02u%02u", (unsigned)(study % 12 + 1),
		(unsigned)(study % 28 + 1));
	rec_set(r, SL_ATTR_STUDY_DATE, text);
	rec_set(r, SL_ATTR_STUDY_TIME, "101530.000");
	snprintf(text, sizeof(text), "A%llu", (unsigned long long)(9000000 + study));
	rec_set(r, SL_ATTR_ACCESSION_NUMBER, text);
	rec_set(r, SL_ATTR_STUDY_ID, text + 1);
	rec_set(r, SL_ATTR_STUDY_DESCRIPTION, descriptions[study % 4]);
	rec_set(r, SL_ATTR_REFERRING_PHYSICIAN, "Referrer^Anna^^Dr.");
	rec_set(r, SL_ATTR_MODALITY, modalities[(m + (series == 3 && m == 2 ? 3 : 0)) % 5]);
	rec_set(r, SL_ATTR_MANUFACTURER, "ACME MEDICAL SYSTEMS");
	rec_set(r, SL_ATTR_INSTITUTION_NAME, "General Hospital");
	rec_set(r, SL_ATTR_SERIES_DESCRIPTION, descriptions[(study + series) % 4]);
	rec_set(r, SL_ATTR_BODY_PART_EXAMINED, "CHEST");
	rec_set(r, SL_ATTR_PROTOCOL_NAME, "5.1 Routine");
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(series + 1));
	rec_set(r, SL_ATTR_SERIES_NUMBER, text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(i + 1));
	rec_set(r, SL_ATTR_INSTANCE_NUMBER, text);
}

/* Instance `no` of an archive with 4 series of `per_series` in each study; seq is no + 1. */
static inline void rec_make(struct sl_record *r, uint64_t no, uint64_t per_series)
{
	static const char *const classes[] = {"1.2.840.10008.5.1.4.1.1.2",
		"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"};
	uint64_t study = no / per_series / 4, series = no / per_series % 4, i = no % per_series;
	sl_record_init(r);
	rec_uids(r, study, series, i);
	rec_uid(&r->sop_class_uid, "%s", classes[rec_mix(study, 7) % 3]);
	rec_uid(&r->transfer_syntax_uid, "1.2.840.10008.1.2.%u", study % 5 ? 1 : 2);
	rec_values(r, study, series, i);
	r->seq = no + 1;
	r->dataset_len = 526000 + rec_mix(no, 8) % 4000;
	r->file_len = r->dataset_len + 600 + no % 16 * 2;
	r->arrived_ms = 1700000000000 + (int64_t)no * 40;
	r->flags = SL_RECORD_PLAIN_NAME;
}
