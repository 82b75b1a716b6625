/* Part 10 headers: group 0002 written in a fixed order, and read from anybody.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/p10.h"

#include "core/crc32c.h"
#include "core/impl.h"
#include "core/record.h"

#define MAGIC            "DICM"
#define PREFIX_LEN       (SL_P10_PREAMBLE + 4)
#define GROUP_LENGTH_LEN 12                  /* (0002,0000) with its value */
#define VERSION_LEN      14                  /* (0002,0001) with its value */
#define PROOF_EL_LEN     (12 + SL_PROOF_LEN) /* (0002,0102) with its value */
#define CRC_AT           (SL_PROOF_LEN - 4)

/* Elements of group 0002 that we write or read, PS3.10 table 7.1-1. */
enum {
	EL_GROUP_LENGTH = 0x0000,
	EL_VERSION = 0x0001,
	EL_SOP_CLASS = 0x0002,
	EL_SOP_INSTANCE = 0x0003,
	EL_TRANSFER_SYNTAX = 0x0010,
	EL_IMPL_CLASS = 0x0012,
	EL_IMPL_VERSION = 0x0013,
	EL_SOURCE_AE = 0x0016,
	EL_SENDING_AE = 0x0017,
	EL_RECEIVING_AE = 0x0018,
	EL_PRIVATE_CREATOR = 0x0100,
	EL_PRIVATE = 0x0102,
};

_Static_assert(SL_P10_HEADER_MAX >= PREFIX_LEN + GROUP_LENGTH_LEN + VERSION_LEN +
					    5 * (8 + SL_UID_MAX) + 4 * (8 + SL_AE_MAX) +
					    PROOF_EL_LEN,
	"the longest header fits: five UIDs, a version name and three titles");
_Static_assert((int)SL_PROOF_UNSOUND == SL_RECORD_UNSOUND &&
		       (int)SL_PROOF_NOT_CURRENT == SL_RECORD_NOT_CURRENT &&
		       (int)SL_PROOF_PLAIN_NAME == SL_RECORD_PLAIN_NAME,
	"a record's flags go into the file as they are");

/* ---- Writing --------------------------------------------------------------------------------- */

static size_t even(size_t n)
{
	return n + (n & 1);
}

/* Bytes of an element with a short VR; an empty value is left out. */
static size_t element_len(size_t value_len)
{
	return value_len > 0 ? 8 + even(value_len) : 0;
}

size_t sl_p10_header_len(const struct sl_p10 *h)
{
	return PREFIX_LEN + GROUP_LENGTH_LEN + VERSION_LEN + element_len(h->sop_class_uid.len) +
	       element_len(h->sop_instance_uid.len) + element_len(h->transfer_syntax_uid.len) +
	       element_len(strlen(SL_IMPL_CLASS_UID)) + element_len(strlen(SL_IMPL_VERSION_NAME)) +
	       element_len(h->source.len) + element_len(h->sending.len) +
	       element_len(h->receiving.len) + element_len(strlen(SL_PRIVATE_CREATOR_UID)) +
	       PROOF_EL_LEN;
}

static void put_head(struct sl_wbuf *w, uint16_t element, const char vr[2])
{
	sl_wbuf_le16(w, 0x0002);
	sl_wbuf_le16(w, element);
	sl_wbuf_put(w, vr, 2);
}

static void put_padded(
	struct sl_wbuf *w, uint16_t element, const char vr[2], const char *s, size_t n)
{
	if (n == 0)
		return;
	put_head(w, element, vr);
	sl_wbuf_le16(w, (uint16_t)even(n));
	sl_wbuf_put(w, s, n);
	sl_wbuf_fill(w, vr[0] == 'U' ? '\0' : ' ', n & 1); /* UI: NUL; AE and SH: space */
}

static void put_uid(struct sl_wbuf *w, uint16_t element, const struct sl_uid *uid)
{
	sl_assert(uid->len > 0);
	put_padded(w, element, "UI", uid->s, uid->len);
}

static void put_ae(struct sl_wbuf *w, uint16_t element, const struct sl_ae *ae)
{
	put_padded(w, element, "AE", ae->s, ae->len);
}

/* Head of an element whose VR has a 32-bit length (OB). */
static void put_ob_head(struct sl_wbuf *w, uint16_t element, uint32_t len)
{
	put_head(w, element, "OB");
	sl_wbuf_le16(w, 0);
	sl_wbuf_le32(w, len);
}

/* (0002,0102), the last element; its checksum covers everything from `begin` on. */
static void put_proof(struct sl_wbuf *w, size_t begin, const struct sl_proof *proof)
{
	put_ob_head(w, EL_PRIVATE, SL_PROOF_LEN);
	sl_wbuf_le16(w, SL_PROOF_LAYOUT);
	sl_wbuf_le16(w, 0);
	sl_wbuf_le32(w, proof->flags);
	sl_wbuf_le64(w, proof->seq);
	sl_wbuf_le64(w, (uint64_t)proof->arrived_ms);
	sl_wbuf_le64(w, proof->dataset_len);
	sl_wbuf_put(w, proof->digest, sizeof(proof->digest));
	sl_wbuf_fill(w, 0, CRC_AT - 32 - SL_PROOF_DIGEST_LEN);
	if (!w->bad)
		sl_wbuf_le32(w, sl_crc32c(w->base + begin, w->len - begin));
}

void sl_p10_encode(struct sl_wbuf *w, const struct sl_p10 *h)
{
	size_t begin = w->len;
	sl_wbuf_fill(w, 0, SL_P10_PREAMBLE);
	sl_wbuf_put(w, MAGIC, 4);
	put_head(w, EL_GROUP_LENGTH, "UL");
	sl_wbuf_le16(w, 4);
	sl_wbuf_le32(w, (uint32_t)(sl_p10_header_len(h) - PREFIX_LEN - GROUP_LENGTH_LEN));
	put_ob_head(w, EL_VERSION, 2);
	sl_wbuf_put(w, "\0\1", 2);
	put_uid(w, EL_SOP_CLASS, &h->sop_class_uid);
	put_uid(w, EL_SOP_INSTANCE, &h->sop_instance_uid);
	put_uid(w, EL_TRANSFER_SYNTAX, &h->transfer_syntax_uid);
	put_padded(w, EL_IMPL_CLASS, "UI", SL_IMPL_CLASS_UID, strlen(SL_IMPL_CLASS_UID));
	put_padded(w, EL_IMPL_VERSION, "SH", SL_IMPL_VERSION_NAME, strlen(SL_IMPL_VERSION_NAME));
	put_ae(w, EL_SOURCE_AE, &h->source);
	put_ae(w, EL_SENDING_AE, &h->sending);
	put_ae(w, EL_RECEIVING_AE, &h->receiving);
	put_padded(w, EL_PRIVATE_CREATOR, "UI", SL_PRIVATE_CREATOR_UID,
		strlen(SL_PRIVATE_CREATOR_UID));
	put_proof(w, begin, &h->proof);
	sl_assert(w->bad || w->len - begin == sl_p10_header_len(h));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* One element of group 0002. */
struct element {
	uint16_t number;
	struct sl_cur value;
};

/* The next element of an Explicit VR Little Endian group 0002. SL_END at the first byte of another
 * group, left unread; SL_E_CORRUPT when the bytes end first, or when a hole of zeros begins: a header
 * without what follows it. */
static enum sl_status next_element(struct sl_cur *in, struct element *el)
{
	static const char long_vrs[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";
	struct sl_cur at = *in;
	uint16_t group = sl_cur_le16(&at);
	el->number = sl_cur_le16(&at);
	if (at.bad || (group == 0 && el->number == 0))
		return SL_E_CORRUPT;
	if (group != 0x0002)
		return SL_END;
	const uint8_t *vr = sl_cur_take(&at, 2);
	if (vr == NULL)
		return SL_E_CORRUPT;
	const char key[4] = {(char)vr[0], (char)vr[1], ' ', '\0'};
	bool is_long = vr[0] > ' ' && vr[1] > ' ' && strstr(long_vrs, key) != NULL;
	if (is_long)
		sl_cur_skip(&at, 2);
	uint32_t len = is_long ? sl_cur_le32(&at) : sl_cur_le16(&at);
	el->value = sl_cur_sub(&at, len);
	if (at.bad)
		return SL_E_CORRUPT;
	*in = at;
	return SL_OK;
}

/* Keeps a value of ours; false when a UID is not one. An AE title that is not one is only dropped. */
static bool keep(struct sl_p10 *h, const struct element *el)
{
	const uint8_t *p = el->value.p;
	size_t n = sl_cur_left(&el->value);
	struct sl_ae *ae = NULL;
	switch (el->number) {
	case EL_SOP_CLASS:
		return sl_uid_parse(&h->sop_class_uid, p, n) != SL_E_DATASET;
	case EL_SOP_INSTANCE:
		return sl_uid_parse(&h->sop_instance_uid, p, n) != SL_E_DATASET;
	case EL_TRANSFER_SYNTAX:
		return sl_uid_parse(&h->transfer_syntax_uid, p, n) == SL_OK;
	case EL_SOURCE_AE:
		ae = &h->source;
		break;
	case EL_SENDING_AE:
		ae = &h->sending;
		break;
	case EL_RECEIVING_AE:
		ae = &h->receiving;
		break;
	default:
		return true;
	}
	(void)!sl_ae_parse(ae, p, n);
	return true;
}

/* True for an element that only our own headers have. */
static bool is_our_mark(const struct element *el)
{
	struct sl_uid uid;
	if (el->number != EL_IMPL_CLASS && el->number != EL_PRIVATE_CREATOR)
		return false;
	const char *ours = el->number == EL_IMPL_CLASS ? SL_IMPL_CLASS_UID : SL_PRIVATE_CREATOR_UID;
	return sl_uid_parse(&uid, el->value.p, sl_cur_left(&el->value)) == SL_OK &&
	       strcmp(uid.s, ours) == 0;
}

/* Reads our private information, which ends the header that begins at `begin`. */
static enum sl_status read_proof(struct sl_proof *out, const uint8_t *begin, struct sl_cur value)
{
	struct sl_proof proof = {0};
	size_t covered = (size_t)(value.end - begin) - 4;
	if (sl_cur_left(&value) != SL_PROOF_LEN)
		return SL_E_CORRUPT;
	proof.layout = sl_cur_le16(&value);
	sl_cur_skip(&value, 2);
	proof.flags = sl_cur_le32(&value);
	proof.seq = sl_cur_le64(&value);
	proof.arrived_ms = (int64_t)sl_cur_le64(&value);
	proof.dataset_len = sl_cur_le64(&value);
	memcpy(proof.digest, sl_cur_take(&value, sizeof(proof.digest)), sizeof(proof.digest));
	sl_cur_skip(&value, CRC_AT - 32 - SL_PROOF_DIGEST_LEN);
	if (proof.layout == 0 || sl_cur_le32(&value) != sl_crc32c(begin, covered))
		return SL_E_CORRUPT;
	if (proof.layout != SL_PROOF_LAYOUT)
		return SL_E_UNSUPPORTED;
	*out = proof;
	return SL_OK;
}

enum sl_status sl_p10_decode(const void *bytes, size_t n, struct sl_p10 *out, size_t *header_len)
{
	const uint8_t *begin = bytes;
	struct sl_cur in = sl_cur_of(bytes, n);
	bool is_ours = false;
	struct element el;
	enum sl_status st;
	memset(out, 0, sizeof(*out));
	sl_cur_skip(&in, SL_P10_PREAMBLE);
	const uint8_t *magic = sl_cur_take(&in, 4);
	if (magic == NULL || memcmp(magic, MAGIC, 4) != 0)
		return SL_E_CORRUPT;
	while ((st = next_element(&in, &el)) == SL_OK) {
		if (!keep(out, &el))
			return SL_E_CORRUPT;
		is_ours = is_ours || is_our_mark(&el);
		if (is_ours && el.number == EL_PRIVATE) {
			*header_len = (size_t)(in.p - begin);
			return read_proof(&out->proof, begin, el.value);
		}
	}
	if (st != SL_END || is_ours || out->transfer_syntax_uid.len == 0)
		return SL_E_CORRUPT;
	*header_len = (size_t)(in.p - begin);
	return SL_E_NOTFOUND;
}
