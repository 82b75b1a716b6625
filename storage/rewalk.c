/* Reading a stored file again, in chunks, into the walker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rewalk.h"

#include <string.h>

#include "core/registry.h"
#include "storage/inflate.h"

#define FIRST_PIECE (8 * SL_KIB) /* most headers end within; then twice as much each time */

enum sl_elem_encoding sl_rewalk_encoding(
	const struct sl_uid *transfer_syntax_uid, bool *is_deflated)
{
	const struct sl_ts_row *ts = sl_registry_ts(transfer_syntax_uid);
	*is_deflated = ts != NULL && ts->deflated;
	if (ts != NULL && !ts->explicit_vr)
		return SL_ELEM_IMPLICIT_LE;
	return ts != NULL && ts->big_endian ? SL_ELEM_EXPLICIT_BE : SL_ELEM_EXPLICIT_LE;
}

/* One chunk into the walker, the inflater before it, and the digest. */
static enum sl_status feed(struct sl_rewalk *w, struct sl_inflate *inf, bool hashes, size_t n)
{
	if (hashes)
		sl_digest_feed(&w->digest, w->scratch, n);
	if (inf != NULL)
		return sl_inflate_feed(inf, &w->elem, w->scratch, n);
	return sl_elem_feed(&w->elem, w->scratch, n);
}

/* Reads and walks the data set. What the walker would only count is not read, unless the digest wants
 * it: pixels most of all. Attributes may stand behind them, so that is not the end. */
static enum sl_status walk(struct sl_rewalk *w, struct sl_store *store,
	struct sl_store_reader *reader, struct sl_inflate *inf, bool checks_digest,
	struct sl_diag *d)
{
	size_t piece = checks_digest ? w->scratch_len : sl_min(w->scratch_len, FIRST_PIECE);
	for (uint64_t off = 0; off < reader->dataset_len;) {
		uint64_t left = reader->dataset_len - off;
		size_t got = 0;
		if (!checks_digest && inf == NULL && (got = sl_elem_pass(&w->elem, left)) > 0) {
			off += got;
			if (got > piece)
				piece = sl_min(piece, FIRST_PIECE);
			continue;
		}
		if (!checks_digest && sl_elem_is_done(&w->elem))
			break;
		/* First what was read with the header, alone: most often that is enough. */
		uint64_t at = reader->header_len + off, held = reader->head_len;
		size_t want = (size_t)sl_min64(piece, at < held ? held - at : left);
		enum sl_status st = store->ops->read(
			reader, off, w->scratch, (size_t)sl_min64(want, left), &got, d);
		if (st == SL_OK && got == 0)
			st = sl_fail(d, SL_E_CORRUPT, 0, "store/read", "file ends early");
		if (st != SL_OK)
			return st;
		/* Past a limit at ingest it would not have been kept; limits may be lower now. */
		(void)feed(w, inf, checks_digest, got);
		off += got;
		piece = sl_min(2 * piece, w->scratch_len);
	}
	return SL_OK;
}

enum sl_status sl_rewalk_file(struct sl_rewalk *w, struct sl_store *store,
	struct sl_store_reader *reader, bool checks_digest, struct sl_record *out,
	struct sl_diag *d)
{
	const struct sl_p10 *p10 = &reader->p10;
	bool is_deflated;
	enum sl_status st;
	sl_record_init(out);
	enum sl_elem_encoding encoding =
		sl_rewalk_encoding(&p10->transfer_syntax_uid, &is_deflated);
	sl_elem_init(&w->elem, &w->limits, encoding, out);
	struct sl_inflate *inf =
		is_deflated ? sl_inflate_init(w->inflate_memory, w->inflate_max) : NULL;
	sl_digest_init(&w->digest);
	st = walk(w, store, reader, inf, checks_digest, d);
	if (st != SL_OK)
		return st;
	if (checks_digest) {
		uint8_t digest[SL_DIGEST_LEN];
		sl_digest_end(&w->digest, digest);
		if (memcmp(digest, p10->proof.digest, SL_DIGEST_LEN) != 0)
			return sl_fail(d, SL_E_CORRUPT, 0, "store/digest",
				"the bytes are not those of the header's digest");
	}
	out->sop_class_uid = p10->sop_class_uid;
	out->sop_instance_uid = p10->sop_instance_uid;
	out->transfer_syntax_uid = p10->transfer_syntax_uid;
	out->study_instance_uid = w->elem.uid[SL_ELEM_UID_STUDY];
	out->series_instance_uid = w->elem.uid[SL_ELEM_UID_SERIES];
	out->seq = p10->proof.seq;
	out->arrived_ms = p10->proof.arrived_ms;
	out->dataset_len = p10->proof.dataset_len;
	out->file_len = reader->header_len + reader->dataset_len;
	out->flags = p10->proof.flags &
		     (SL_RECORD_UNSOUND | SL_RECORD_NOT_CURRENT | SL_RECORD_PLAIN_NAME);
	if (w->charsets != NULL)
		sl_charset_assume(out, sl_charsets_of(w->charsets, &p10->source));
	return SL_OK;
}
