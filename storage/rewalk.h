/* A record from a stored file alone: what recovery and rebuild put into the index.
 *
 * The same walker as at ingest runs over the file's data set, so a rebuilt row equals the lost one.
 * Indexer thread, disk threads, or the main thread before the port opens.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/elem.h"
#include "storage/charset.h"
#include "storage/digest.h"
#include "storage/store.h"

/* Work space; large, so it is the caller's. */
struct sl_rewalk {
	struct sl_elem_limits limits; /* as configured */
	uint64_t inflate_max;         /* dicom.inflate_max [bytes] */
	void *inflate_memory;         /* sl_inflate_memory() bytes */
	uint8_t *scratch;             /* scratch_len bytes */
	size_t scratch_len;
	const struct sl_charsets *charsets; /* charset.h; NULL: nothing is assumed */
	struct sl_elem elem;
	struct sl_digest digest;
};

/* Fills *out from the opened file. checks_digest: reads all of it and compares with the header;
 * otherwise reads only what the walker looks at: values that it counts, pixels, are left out.
 * SL_OK, also for an unsound object (its flag is set as it was at ingest); SL_E_CORRUPT when digest,
 * length or UIDs disagree; SL_E_IO. */
SL_MUST enum sl_status sl_rewalk_file(struct sl_rewalk *w, struct sl_store *store,
	struct sl_store_reader *reader, bool checks_digest, struct sl_record *out,
	struct sl_diag *d);

/* How the data set of a transfer syntax is written; an unknown one is explicit little endian, as all
 * since 1998 are (PS3.5 10). */
enum sl_elem_encoding sl_rewalk_encoding(
	const struct sl_uid *transfer_syntax_uid, bool *is_deflated);
