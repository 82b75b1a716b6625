/* The header of a Part 10 file, with the proof that the file behind it is whole (DESIGN 2; PS3.10 7.1).
 *
 * Our own files carry, as the last element of group 0002, 64 bytes of private information: when and in
 * which order the object came, how long its data set is, its digest, and a checksum over the whole
 * header. So a header that was torn by a crash, or never written, is recognised, and a header that is
 * sound says what must follow it. The length of a header follows from its UIDs and AE titles alone: a
 * streamed object leaves room for it and gets it last, at offset 0.
 *
 * Pure. The digest is computed elsewhere (XXH3-128, storage/digest.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/ae.h"
#include "core/cursor.h"
#include "core/status.h"
#include "core/uid.h"
#include "core/wbuf.h"

#define SL_P10_HEADER_MAX   704 /* longest header sl_p10_encode() writes [bytes] */
#define SL_P10_PREAMBLE     128 /* zero bytes before "DICM": nothing executable (PS3.10 7.1) */
#define SL_PROOF_LEN        64  /* bytes of (0002,0102) */
#define SL_PROOF_LAYOUT     1   /* the layout this program writes */
#define SL_PROOF_DIGEST_LEN 16  /* XXH3-128, canonical (big endian) byte order */

/* Bits of sl_proof.flags. On disk for ever: never renumber. The first three equal those of enum
 * sl_record_flag. */
enum sl_proof_flag {
	SL_PROOF_UNSOUND = 1 << 0,     /* the data set's structure is broken, kept as it came */
	SL_PROOF_NOT_CURRENT = 1 << 1, /* did not take over from an earlier version on arrival */
	SL_PROOF_PLAIN_NAME = 1 << 2,  /* <SOPInstanceUID>.dcm; else <SOPInstanceUID>~<seq>.dcm */
	SL_PROOF_UNSYNCED = 1 << 3,    /* written under durability "none": check the digest */
};

/* What (0002,0102) holds. On disk little endian: layout u16, reserved u16, flags u32, seq u64,
 * arrived_ms i64, dataset_len u64, digest, 12 reserved zeros, and CRC-32C of all header bytes before
 * it u32. */
struct sl_proof {
	uint16_t layout;                     /* 0 = no proof; else SL_PROOF_LAYOUT */
	uint32_t flags;                      /* enum sl_proof_flag bits */
	uint64_t seq;                        /* order of decision, grows over restarts */
	int64_t arrived_ms;                  /* Unix time of arrival [ms] */
	uint64_t dataset_len;                /* bytes that follow the header */
	uint8_t digest[SL_PROOF_DIGEST_LEN]; /* of those bytes */
};

/* A header as values. */
struct sl_p10 {
	struct sl_uid sop_class_uid;       /* (0002,0002) */
	struct sl_uid sop_instance_uid;    /* (0002,0003) */
	struct sl_uid transfer_syntax_uid; /* (0002,0010) */
	struct sl_ae source;               /* (0002,0016): wrote the content; absent = left out */
	struct sl_ae sending;              /* (0002,0017): the calling AE; likewise */
	struct sl_ae receiving;            /* (0002,0018): the AE it called; likewise */
	struct sl_proof proof;
};

/* Bytes of the header that sl_p10_encode() writes for these UIDs and titles; the proof changes nothing.
 * At most SL_P10_HEADER_MAX. */
size_t sl_p10_header_len(const struct sl_p10 *h);

/* Appends preamble, "DICM" and group 0002, with proof and checksum; proof.layout is taken to be
 * SL_PROOF_LAYOUT. The UIDs are present (assert). w->bad when it does not fit. */
void sl_p10_encode(struct sl_wbuf *w, const struct sl_p10 *h);

/* Reads the first n bytes of a file: SL_P10_HEADER_MAX of them hold any header of ours.
 *
 * out         filled as far as the bytes could be read; proof.layout is 0 unless SL_OK
 * header_len  where the data set begins; set on SL_OK and SL_E_NOTFOUND
 *
 * Returns SL_OK: ours, and the checksum holds. SL_E_NOTFOUND: a sound Part 10 header of somebody else,
 * and a data set begins behind it. SL_E_UNSUPPORTED: ours, of a newer layout. SL_E_CORRUPT: anything
 * else: not Part 10, cut, a hole behind it, without a transfer syntax, or ours with a proof that is
 * missing or does not hold (also one of all zeros). The group length is not believed; the elements say
 * where the group ends. */
SL_MUST enum sl_status sl_p10_decode(
	const void *bytes, size_t n, struct sl_p10 *out, size_t *header_len);
