/* Keys keep the order of what they encode, come back as they went in, and take any bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "storage/lmdb_key.h"
#include "support/records.h"

static const uint64_t edges[] = {0, 1, 239, 240, 241, 2286, 2287, 2288, 67822, 67823, 67824,
	UINT64_C(0xFFFFFF), UINT64_C(0x1000000), UINT32_MAX, UINT64_C(1) << 32,
	(UINT64_C(1) << 40) - 1, UINT64_C(1) << 48, UINT64_C(1) << 56, UINT64_MAX - 1, UINT64_MAX};

static int order_of(const struct sl_wbuf *a, const struct sl_wbuf *b)
{
	/* As LMDB compares: bytes, then length. */
	int order = memcmp(a->base, b->base, sl_min(a->len, b->len));
	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void check_numbers(uint64_t a, uint64_t b)
{
	uint8_t ab[16], bb[16];
	struct sl_wbuf aw = sl_wbuf_of(ab, sizeof(ab)), bw = sl_wbuf_of(bb, sizeof(bb));
	sl_lmdb_key_put_uint(&aw, a);
	sl_lmdb_key_put_uint(&bw, b);
	assert_true(aw.len <= SL_LMDB_KEY_UINT_MAX);
	assert_int_equal(sign(order_of(&aw, &bw)), (a > b) - (a < b));
	struct sl_cur c = sl_cur_of(ab, aw.len);
	assert_true(sl_lmdb_key_uint(&c) == a);
	assert_false(c.bad);
	assert_int_equal(sl_cur_left(&c), 0);
	for (size_t cut = 0; cut < aw.len; cut++) {
		c = sl_cur_of(ab, cut);
		(void)sl_lmdb_key_uint(&c);
		assert_true(c.bad);
	}
}

static void numbers_keep_their_order(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (size_t i = 0; i < SL_ARRAY_N(edges); i++)
		for (size_t j = 0; j < SL_ARRAY_N(edges); j++)
			check_numbers(edges[i], edges[j]);
	for (int i = 0; i < 200000; i++) {
		uint64_t a = rec_random(&seed) >> (rec_random(&seed) % 64);
		uint64_t b = rec_random(&seed) >> (rec_random(&seed) % 64);
		check_numbers(a, b);
	}
}

static void numbers_have_one_form(void **state)
{
	(void)state;
	/* 67823 in the form of longer numbers, and leading zero bytes. */
	static const uint8_t longer[][9] = {{250, 1, 8, 0xEF}, {251, 0, 2, 0, 0}, {255, 0, 1}};
	for (size_t i = 0; i < SL_ARRAY_N(longer); i++) {
		struct sl_cur c = sl_cur_of(longer[i], sizeof(longer[i]));
		(void)sl_lmdb_key_uint(&c);
		assert_true(c.bad);
	}
}

static void signed_numbers_come_back(void **state)
{
	(void)state;
	static const int64_t values[] = {0, 1, -1, 119, -120, 120, INT32_MAX, INT64_MAX, INT64_MIN};
	for (size_t i = 0; i < SL_ARRAY_N(values); i++) {
		uint8_t bytes[16];
		struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
		sl_lmdb_key_put_int(&w, values[i]);
		struct sl_cur c = sl_cur_of(bytes, w.len);
		assert_true(sl_lmdb_key_int(&c) == values[i]);
		assert_false(c.bad);
	}
}

/* A UID of random length; few different characters, so that long beginnings are shared. */
static struct sl_uid random_uid(uint64_t *seed, const char *chars, bool may_be_empty)
{
	struct sl_uid u = {0};
	size_t n = rec_random(seed) % (SL_UID_MAX + 1);
	if (rec_random(seed) % 4 != 0)
		n = n % 6;
	if (n == 0 && !may_be_empty)
		n = 1;
	for (size_t i = 0; i < n; i++)
		u.s[i] = chars[rec_random(seed) % strlen(chars)];
	u.len = (uint8_t)n;
	return u;
}

static void check_uids(const struct sl_uid *a, const struct sl_uid *b)
{
	uint8_t ab[2][SL_LMDB_KEY_UID_MAX], bb[2][SL_LMDB_KEY_UID_MAX];
	int expected = sign(strcmp(a->s, b->s));
	for (int with_end = 0; with_end < 2; with_end++) {
		struct sl_wbuf aw = sl_wbuf_of(ab[with_end], sizeof(ab[0]));
		struct sl_wbuf bw = sl_wbuf_of(bb[with_end], sizeof(bb[0]));
		void (*put)(struct sl_wbuf *, const char *, size_t) =
			with_end ? sl_lmdb_key_put_uid_end : sl_lmdb_key_put_uid;
		put(&aw, a->s, a->len);
		put(&bw, b->s, b->len);
		assert_false(aw.bad || bw.bad);
		assert_int_equal(sign(order_of(&aw, &bw)), expected);
		if (with_end) /* what follows the end mark does not change the order */
			assert_true(expected == 0 ||
				    memcmp(aw.base, bw.base, sl_min(aw.len, bw.len)) != 0);
		struct sl_uid back = {0};
		struct sl_cur c = sl_cur_of(aw.base, aw.len);
		sl_lmdb_key_uid(&c, &back);
		assert_false(c.bad);
		assert_int_equal(sl_cur_left(&c), 0);
		assert_memory_equal(&back, a, sizeof(back));
	}
}

static void uids_keep_their_order_and_come_back(void **state)
{
	(void)state;
	static const char *const alphabets[] = {"0123456789.", "12.", "-.09AZaz",
		"-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"};
	uint64_t seed = 11;
	for (size_t k = 0; k < SL_ARRAY_N(alphabets); k++)
		for (int i = 0; i < 50000; i++) {
			struct sl_uid a = random_uid(&seed, alphabets[k], true);
			struct sl_uid b = random_uid(&seed, alphabets[k], true);
			check_uids(&a, &b);
			b = a; /* and a near neighbour */
			if (b.len > 1)
				b.s[--b.len] = '\0';
			check_uids(&a, &b);
			check_uids(&b, &a);
		}
}

static void ordinary_uids_take_half_a_byte_each(void **state)
{
	(void)state;
	uint8_t bytes[SL_LMDB_KEY_UID_MAX];
	struct sl_uid u = sl_uid_of("1.2.840.113619.2.55.3.2831164355.781.1399876543.123.45");
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_lmdb_key_put_uid(&w, u.s, u.len);
	assert_int_equal(w.len, (u.len + 1) / 2);
}

static void pieces_join(void **state)
{
	(void)state;
	struct sl_uid u = sl_uid_of("1.2.840.10008"), back = {0};
	uint8_t bytes[SL_LMDB_KEY_UID_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_lmdb_key_put_uid(&w, u.s + 5, (size_t)(u.len - 5));
	memcpy(back.s, u.s, 5);
	back.len = 5;
	struct sl_cur c = sl_cur_of(bytes, w.len);
	sl_lmdb_key_uid(&c, &back);
	assert_false(c.bad);
	assert_memory_equal(&back, &u, sizeof(u));
}

static void any_bytes_are_read_safely(void **state)
{
	(void)state;
	uint64_t seed = 5;
	for (int i = 0; i < 200000; i++) {
		uint8_t bytes[120], again[SL_LMDB_KEY_UID_MAX];
		size_t n = rec_random(&seed) % sizeof(bytes);
		for (size_t j = 0; j < n; j++)
			bytes[j] = (uint8_t)rec_random(&seed);
		struct sl_uid u = {0};
		struct sl_cur c = sl_cur_of(bytes, n);
		sl_lmdb_key_uid(&c, &u);
		assert_true(u.len <= SL_UID_MAX);
		if (c.bad)
			continue;
		/* What was read and had its end mark is written back as the same bytes. */
		size_t used = (size_t)(c.p - bytes);
		struct sl_wbuf w = sl_wbuf_of(again, sizeof(again));
		sl_lmdb_key_put_uid_end(&w, u.s, u.len);
		if (used == w.len)
			assert_memory_equal(bytes, again, used);
		else
			assert_int_equal(
				sl_cur_left(&c), 0); /* ended with its bytes, without mark */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_keep_their_order),
		cmocka_unit_test(numbers_have_one_form),
		cmocka_unit_test(signed_numbers_come_back),
		cmocka_unit_test(uids_keep_their_order_and_come_back),
		cmocka_unit_test(ordinary_uids_take_half_a_byte_each),
		cmocka_unit_test(pieces_join),
		cmocka_unit_test(any_bytes_are_read_safely),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
