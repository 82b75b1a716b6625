/* Our header is the bytes we say it is, any change of it is noticed, and anybody's is read in bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdlib.h>
#include <string.h>

#include "core/impl.h"
#include "core/p10.h"

static uint8_t space[2048];

static struct sl_p10 sample(void)
{
	return (struct sl_p10){
		.sop_class_uid = sl_uid_of("1.2.840.10008.5.1.4.1.1.2"),
		.sop_instance_uid = sl_uid_of("1.2.3.4"),
		.transfer_syntax_uid = sl_uid_of("1.2.840.10008.1.2.1"),
		.source = sl_ae_of("SLUICE"),
		.sending = sl_ae_of("SCANNER_1"),
		.receiving = sl_ae_of("SLUICE"),
		.proof = {.layout = SL_PROOF_LAYOUT,
			.flags = SL_PROOF_PLAIN_NAME,
			.seq = 0x0102030405060708,
			.arrived_ms = 1700000000123,
			.dataset_len = 0x1122334455,
			.digest = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
	};
}

static size_t encode(const struct sl_p10 *h)
{
	struct sl_wbuf w = sl_wbuf_of(space, sizeof(space));
	sl_p10_encode(&w, h);
	assert_false(w.bad);
	assert_int_equal(w.len, sl_p10_header_len(h));
	return w.len;
}

/* Decodes from a heap copy of exactly n bytes, so that ASan sees a read past the end. */
static enum sl_status decode(const void *bytes, size_t n, struct sl_p10 *out, size_t *len)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, n);
	enum sl_status st = sl_p10_decode(copy, n, out, len);
	free(copy);
	if (st != SL_OK)
		assert_int_equal(out->proof.layout, 0);
	return st;
}

/* Any CRC-32C, one bit at a time: not the implementation under test. */
static uint32_t crc_slowly(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		crc ^= (uint32_t)(p[bit / 8] >> (bit % 8) & 1);
		crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
	}
	return ~crc;
}

static size_t put(uint8_t *at, const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return n;
}

static void header_is_byte_exact(void **state)
{
	(void)state;
	uint8_t g[1024] = {0};
	size_t n = 128;
	n += put(g + n, "DICM\2\0\0\0UL\4\0\x52\1\0\0", 16); /* 338 */
	n += put(g + n, "\2\0\1\0OB\0\0\2\0\0\0\0\1", 14);
	n += put(g + n,
		"\2\0\2\0UI\x1A\0"
		"1.2.840.10008.5.1.4.1.1.2\0",
		34);
	n += put(g + n,
		"\2\0\3\0UI\x8\0"
		"1.2.3.4\0",
		16);
	n += put(g + n,
		"\2\0\x10\0UI\x14\0"
		"1.2.840.10008.1.2.1\0",
		28);
	n += put(g + n, "\2\0\x12\0UI\x2C\0" SL_IMPL_CLASS_UID, 52);
	n += put(g + n, "\2\0\x13\0SH\xC\0" SL_IMPL_VERSION_NAME, 20);
	n += put(g + n, "\2\0\x16\0AE\6\0SLUICE", 14);
	n += put(g + n, "\2\0\x17\0AE\xA\0SCANNER_1 ", 18);
	n += put(g + n, "\2\0\x18\0AE\6\0SLUICE", 14);
	n += put(g + n, "\2\0\0\1UI\x2C\0" SL_PRIVATE_CREATOR_UID, 52);
	n += put(g + n, "\2\0\2\1OB\0\0\x40\0\0\0", 12);
	n += put(g + n, "\1\0\0\0\4\0\0\0\x8\7\6\5\4\3\2\1", 16);
	n += put(g + n, "\x7B\x68\xE5\xCF\x8B\1\0\0\x55\x44\x33\x22\x11\0\0\0", 16);
	n += put(g + n, "\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\xD\xE\xF\x10", 16);
	n += 12;
	uint32_t crc = crc_slowly(g, n);
	for (size_t i = 0; i < 4; i++)
		g[n++] = (uint8_t)(crc >> 8 * i);
	assert_int_equal(crc_slowly((const uint8_t *)"123456789", 9), 0xE3069283);

	struct sl_p10 h = sample();
	assert_int_equal(encode(&h), n);
	assert_int_equal(n, 128 + 4 + 12 + 338);
	assert_memory_equal(space, g, n);
}

/* Field by field: the padding of a struct is nobody's. */
static void assert_same(const struct sl_p10 *a, const struct sl_p10 *b)
{
	assert_true(sl_uid_equal(&a->sop_class_uid, &b->sop_class_uid));
	assert_true(sl_uid_equal(&a->sop_instance_uid, &b->sop_instance_uid));
	assert_true(sl_uid_equal(&a->transfer_syntax_uid, &b->transfer_syntax_uid));
	assert_true(sl_ae_equal(&a->source, &b->source));
	assert_true(sl_ae_equal(&a->sending, &b->sending));
	assert_true(sl_ae_equal(&a->receiving, &b->receiving));
	assert_int_equal(a->proof.layout, b->proof.layout);
	assert_int_equal(a->proof.flags, b->proof.flags);
	assert_int_equal(a->proof.seq, b->proof.seq);
	assert_int_equal(a->proof.arrived_ms, b->proof.arrived_ms);
	assert_int_equal(a->proof.dataset_len, b->proof.dataset_len);
	assert_memory_equal(a->proof.digest, b->proof.digest, SL_PROOF_DIGEST_LEN);
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len = 0;
	assert_int_equal(decode(space, n, &r, &len), SL_OK);
	assert_int_equal(len, n);
	assert_same(&r, &h);
	assert_int_equal(decode(space, sizeof(space), &r, &len), SL_OK); /* a data set behind it */
	assert_int_equal(len, n);
	h.source.len = h.sending.len = h.receiving.len = 0;
	n = encode(&h);
	assert_int_equal(decode(space, n, &r, &len), SL_OK);
	assert_int_equal(len, n);
	assert_int_equal(r.sending.len, 0);
}

static void length_does_not_depend_on_the_proof_and_the_longest_fits(void **state)
{
	(void)state;
	char uid[SL_UID_MAX + 1];
	memset(uid, '9', SL_UID_MAX);
	uid[SL_UID_MAX] = 0;
	struct sl_p10 h = sample();
	size_t n = sl_p10_header_len(&h);
	memset(&h.proof, 0, sizeof(h.proof));
	assert_int_equal(sl_p10_header_len(&h), n);
	assert_int_equal(encode(&h), n);
	h.sop_class_uid = h.sop_instance_uid = h.transfer_syntax_uid = sl_uid_of(uid);
	h.source = h.sending = h.receiving = sl_ae_of("ABCDEFGHIJKLMNOP");
	n = encode(&h);
	assert_true(n <= SL_P10_HEADER_MAX);
	for (size_t cap = 0; cap < n; cap++) {
		struct sl_wbuf small = sl_wbuf_of(space, cap);
		sl_p10_encode(&small, &h);
		assert_true(small.bad);
	}
}

/* A header cut by a crash: at every byte, with nothing or with a hole of zeros behind it. */
static void a_torn_header_is_never_believed(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len;
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(decode(space, cut, &r, &len), SL_E_CORRUPT);
	for (size_t cut = n; cut-- > 0;) {
		space[cut] = 0;
		assert_int_equal(decode(space, sizeof(space), &r, &len), SL_E_CORRUPT);
	}
}

static void any_flipped_bit_is_noticed(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		space[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(decode(space, sizeof(space), &r, &len), SL_OK);
		space[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(decode(space, n, &r, &len), SL_OK);
}

static void a_placeholder_proof_is_invalid(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len;
	memset(space + n - SL_PROOF_LEN, 0, SL_PROOF_LEN);
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
	uint32_t crc = crc_slowly(space, n - 4); /* even with a checksum that holds */
	for (size_t i = 0; i < 4; i++)
		space[n - 4 + i] = (uint8_t)(crc >> 8 * i);
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
}

static void our_header_without_its_proof_is_not_a_strangers(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len;
	memcpy(space + n - SL_PROOF_LEN - 12, "\x8\0\5\0CS\0\0", 8); /* the data set, too early */
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
}

static void a_newer_layout_is_told_apart_from_damage(void **state)
{
	(void)state;
	struct sl_p10 h = sample(), r;
	size_t n = encode(&h), len;
	space[n - SL_PROOF_LEN] = SL_PROOF_LAYOUT + 1;
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
	uint32_t crc = crc_slowly(space, n - 4);
	for (size_t i = 0; i < 4; i++)
		space[n - 4 + i] = (uint8_t)(crc >> 8 * i);
	assert_int_equal(decode(space, n, &r, &len), SL_E_UNSUPPORTED);
}

/* A header as DCMTK writes it, then the first tag of a data set. Returns its length with that tag. */
static size_t foreign(uint32_t group_length)
{
	struct sl_wbuf w = sl_wbuf_of(space, sizeof(space));
	sl_wbuf_fill(&w, 'p', 128);
	sl_wbuf_put(&w, "DICM\2\0\0\0UL\4\0", 12);
	sl_wbuf_le32(&w, group_length);
	sl_wbuf_put(&w, "\2\0\1\0OB\0\0\2\0\0\0\0\1", 14);
	sl_wbuf_put(&w,
		"\2\0\2\0UI\6\0"
		"1.2.3\0",
		14);
	sl_wbuf_put(&w,
		"\2\0\3\0UI\6\0"
		"1.2.4\0",
		14);
	sl_wbuf_put(&w,
		"\2\0\x10\0UI\x12\0"
		"1.2.840.10008.1.2\0",
		26);
	sl_wbuf_put(&w,
		"\2\0\x12\0UI\4\0"
		"1.9\0",
		12);
	sl_wbuf_put(&w, "\2\0\x16\0AE\6\0OTHER ", 14);
	sl_wbuf_put(&w,
		"\2\0\0\1UI\4\0"
		"1.8\0",
		12);
	sl_wbuf_put(&w, "\2\0\2\1OB\0\0\4\0\0\0abcd", 16);
	sl_wbuf_put(&w, "\x8\0\5\0", 4);
	return w.len;
}

/* HOSTILE 26: the group length lies; the elements do not. */
static void foreign_headers_are_read_whatever_their_group_length(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {122, 121, 123, 0, 1, 4, 0x7FFFFFFF, 0xFFFFFFFF};
	struct sl_p10 r;
	size_t len = 0;
	for (size_t i = 0; i < SL_ARRAY_N(lengths); i++) {
		size_t n = foreign(lengths[i]);
		assert_int_equal(n, 144 + 122 + 4);
		assert_int_equal(decode(space, n, &r, &len), SL_E_NOTFOUND);
		assert_int_equal(len, n - 4);
		assert_string_equal(r.sop_class_uid.s, "1.2.3");
		assert_string_equal(r.sop_instance_uid.s, "1.2.4");
		assert_string_equal(r.transfer_syntax_uid.s, "1.2.840.10008.1.2");
		assert_string_equal(r.source.s, "OTHER");
	}
	size_t n = foreign(122);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(decode(space, cut, &r, &len), SL_E_CORRUPT);
}

/* HOSTILE 25, 26, 31: each two and four bytes of a header replaced by lengths that lie. */
static void lengths_that_lie_stay_inside(void **state)
{
	(void)state;
	static const uint32_t lies[] = {
		0, 1, 3, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF};
	struct sl_p10 r;
	size_t len = 0, n = foreign(122);
	for (size_t at = 128; at + 4 <= n; at++) {
		for (size_t i = 0; i < SL_ARRAY_N(lies); i++) {
			uint8_t kept[4];
			memcpy(kept, space + at, 4);
			for (size_t k = 0; k < 4; k++)
				space[at + k] = (uint8_t)(lies[i] >> 8 * k);
			enum sl_status st = decode(space, n, &r, &len);
			assert_true(st == SL_E_CORRUPT || st == SL_E_NOTFOUND);
			memcpy(space + at, kept, 4);
		}
	}
}

static void headers_without_what_a_reader_needs_are_corrupt(void **state)
{
	(void)state;
	struct sl_p10 r;
	size_t len, n = foreign(122);
	space[144 + 14 + 14 + 14 + 2] = 0x11; /* the transfer syntax becomes (0002,0011) */
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
	n = foreign(122);
	memcpy(space + 144 + 14 + 8, "../..", 5); /* a class that is no UID */
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
	n = foreign(122);
	memcpy(space + 128, "MCID", 4);
	assert_int_equal(decode(space, n, &r, &len), SL_E_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_byte_exact),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(length_does_not_depend_on_the_proof_and_the_longest_fits),
		cmocka_unit_test(a_torn_header_is_never_believed),
		cmocka_unit_test(any_flipped_bit_is_noticed),
		cmocka_unit_test(a_placeholder_proof_is_invalid),
		cmocka_unit_test(our_header_without_its_proof_is_not_a_strangers),
		cmocka_unit_test(a_newer_layout_is_told_apart_from_damage),
		cmocka_unit_test(foreign_headers_are_read_whatever_their_group_length),
		cmocka_unit_test(lengths_that_lie_stay_inside),
		cmocka_unit_test(headers_without_what_a_reader_needs_are_corrupt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
