/* A kind of object that sluice-bench sends: a synthetic data set of a modality, as large as wanted.
 *
 * A data set is three stretches: a *head*, every element up to the pixels, of which each association
 * has its own copy and patches UIDs and numbers in place; a *body*, one shared block of pixels over and
 * over; a *tail*, empty or the delimiter of encapsulated frames. So 4 GiB take no more memory than 4 KiB.
 * Explicit VR Little Endian; pixels that no 32-bit length can hold are Encapsulated Uncompressed, one
 * fragment a frame (PS3.5 A.4.11).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "core/status.h"
#include "core/uid.h"

#define SL_KIND_MAX      8    /* kinds in one mix */
#define SL_KIND_HEAD_MAX 2048 /* bytes */
#define SL_KIND_SERIES_N 4    /* series of a study */

/* What a patch writes into a head; texts of fixed width. */
enum sl_kind_place {
	SL_KIND_PLACE_NONE,
	SL_KIND_PLACE_INSTANCE_UID,
	SL_KIND_PLACE_STUDY_UID,
	SL_KIND_PLACE_SERIES_UID,
	SL_KIND_PLACE_FRAME_UID,
	SL_KIND_PLACE_STUDY_DATE,
	SL_KIND_PLACE_ACCESSION,
	SL_KIND_PLACE_PATIENT_NAME,
	SL_KIND_PLACE_PATIENT_ID,
	SL_KIND_PLACE_SERIES_NUMBER,
	SL_KIND_PLACE_INSTANCE_NUMBER,
	SL_KIND_PLACE_SLICE_LOCATION,
	SL_KIND_PLACE_N
};

struct sl_kind {
	const char *name; /* "ct"; static */
	uint32_t weight;  /* objects of this kind in a round of the mix */
	struct sl_uid sop_class, transfer_syntax;
	uint16_t rows, columns;
	uint32_t frames;
	uint32_t series_len; /* objects of one series */
	uint64_t body_len;   /* bytes of body */
	size_t block_len;    /* bytes of block */
	uint8_t *block;      /* owned; pixels, before each frame its item header if encapsulated */
	size_t tail_len;
	uint8_t tail[8];
	size_t head_len;
	uint8_t head[SL_KIND_HEAD_MAX];   /* the template */
	uint16_t places[SL_KIND_PLACE_N]; /* where in the head; 0: the kind has none */
};

/* Which object: all numbers count from 0. */
struct sl_kind_id {
	uint64_t run;    /* tells one run of sluice-bench from another; below 10^9 */
	uint32_t sender; /* below 9000 */
	uint32_t kind;   /* index in the mix, below SL_KIND_MAX */
	uint64_t n;      /* of this sender and kind */
};

/* Makes a kind from "ct", "mr:40KB" or "dx:10MB*3": modality, bytes of pixels, weight. SL_E_CONFIG:
 * *d says what is wrong. sl_kind_fini() gives the block back. */
SL_MUST enum sl_status sl_kind_init(
	struct sl_kind *k, const char *text, uint32_t series_len, struct sl_diag *d);
void sl_kind_fini(struct sl_kind *k);

static inline uint64_t sl_kind_len(const struct sl_kind *k)
{
	return k->head_len + k->body_len + k->tail_len;
}

/* Writes what is the object's own into a copy of k's head, and its SOP Instance UID into *uid. */
void sl_kind_patch(
	const struct sl_kind *k, const struct sl_kind_id *id, uint8_t *head, struct sl_uid *uid);

/* Where the bytes of the data set from `at` on lie, as many as are together, at most max. */
struct iovec sl_kind_bytes(const struct sl_kind *k, const uint8_t *head, uint64_t at, size_t max);
