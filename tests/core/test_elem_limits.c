/* Every limit of the walker at its value and one past it, and the bombs that made them (HOSTILE 8, 15, 21,
 * 27, 31, 32, 38, 39): a defined answer, no time, no memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/dataset.h"

#define ILE     SL_ELEM_IMPLICIT_LE
#define ELE     SL_ELEM_EXPLICIT_LE
#define EBE     SL_ELEM_EXPLICIT_BE
#define SQ      0x00081140
#define SQ_PRIV 0x00091002
#define F(x)    SL_ELEM_FLAW_##x

static const enum sl_elem_encoding encodings[] = {ILE, ELE, EBE};

/* `depth` sequences inside each other, of undefined length, closed. */
static void nest_undefined(struct dataset *d, uint32_t tag, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++) {
		ds_head(d, tag, "SQ", UNDEFINED);
		ds_item(d, UNDEFINED);
	}
	for (unsigned i = 0; i < depth; i++) {
		ds_item_end(d);
		ds_seq_end(d);
	}
}

/* The same of defined length, the innermost item empty. */
static void nest_defined(struct dataset *d, uint32_t tag, unsigned depth)
{
	uint32_t head = d->encoding & SL_ELEM_EXPLICIT_LE ? 12 : 8;
	for (unsigned i = 0; i < depth; i++) {
		uint32_t inside = (depth - 1 - i) * (head + 8);
		ds_head(d, tag, "SQ", inside + 8);
		ds_item(d, inside);
	}
}

static void depth_at_the_limit_and_one_past_it(void **state)
{
	static const uint32_t tags[] = {SQ, SQ_PRIV};
	(void)state;
	for (size_t j = 0; j < SL_ARRAY_N(encodings); j++)
		for (unsigned how = 0; how < 4; how++)
			for (uint32_t max = 1; max <= SL_ELEM_DEPTH_MAX; max *= 2)
				for (uint32_t depth = max; depth <= max + 1; depth++) {
					struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
					limits.depth = max;
					struct dataset *d = ds_begin(encodings[j]);
					(how & 1 ? nest_defined : nest_undefined)(
						d, tags[how / 2], depth);
					ds_tail(d);
					struct walk *w =
						walk_bytes(d->b, d->n, encodings[j], &limits);
					if (depth <= max) {
						assert_flaw(w, F(NONE));
						assert_in_step(w);
					} else {
						assert_limit(w, F(TOO_DEEP));
						assert_true(sl_elem_has_identity(&w->e));
					}
				}
}

static void nest_33_to_50000_is_refused(void **state)
{
	static const unsigned depths[] = {33, 64, 1100, 6000, 50000};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(depths); i++)
		for (size_t j = 0; j < SL_ARRAY_N(encodings); j++)
			for (unsigned how = 0; how < 3; how++) {
				struct dataset *d = ds_begin(encodings[j]);
				if (how == 0)
					nest_defined(d, SQ, depths[i]);
				else if (how == 1)
					nest_undefined(
						d, SQ, depths[i] < 30000 ? depths[i] : 30000);
				else /* never closed */
					for (unsigned k = 0; k < depths[i]; k++) {
						ds_head(d, SQ, "SQ", UNDEFINED);
						ds_item(d, UNDEFINED);
					}
				struct walk *w;
				if (d->n < 30000) {
					w = ds_walk(d, encodings[j]);
				} else { /* cut everywhere above already: here in a few pieces */
					static struct walk once;
					walk_begin(&once, encodings[j], &SL_ELEM_LIMITS_DEFAULT);
					for (size_t at = 0; at < d->n; at += 16381)
						walk_feed(
							&once, d->b + at, sl_min(16381, d->n - at));
					once.st = sl_elem_end(&once.e);
					w = &once;
				}
				assert_limit(w, F(TOO_DEEP));
				assert_true(w->e.elements < 100); /* it stopped looking */
			}
}

static void a_value_that_looks_like_a_sequence_is_not_too_deep(void **state)
{
	(void)state;
	struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
	limits.depth = 1;
	struct dataset *d = ds_begin(ILE);
	ds_head(d, SQ, "", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00081150, "", "as long as a header"); /* a guess at the deepest place */
	ds_item_end(d);
	ds_seq_end(d);
	ds_tail(d);
	struct walk *w = walk_bytes(d->b, d->n, ILE, &limits);
	assert_flaw(w, F(NONE));
	assert_in_step(w);
}

static void elements_at_the_limit_and_one_past_it(void **state)
{
	(void)state;
	for (uint32_t extra = 0; extra < 2; extra++)
		for (unsigned how = 0; how < 3; how++) {
			struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
			limits.elements = 50;
			struct dataset *d = ds_begin(ELE); /* 2 */
			uint32_t n = 45 + extra;           /* and 3 in the tail */
			ds_tail(d);
			if (how == 0) {
				for (uint32_t i = 0; i < n; i++)
					ds_el(d, 0x00091000 + i, "LO", "");
			} else if (how == 1) { /* items count */
				ds_head(d, SQ, "SQ", (n - 1) * 8);
				for (uint32_t i = 0; i < n - 1; i++)
					ds_item(d, 0);
			} else { /* and so do elements in them */
				ds_head(d, SQ, "SQ", UNDEFINED);
				ds_item(d, UNDEFINED);
				for (uint32_t i = 0; i < n - 2; i++)
					ds_el(d, 0x00091000 + i, "LO", "");
				ds_item_end(d);
				ds_seq_end(d);
			}
			struct walk *w = walk_bytes(d->b, d->n, ELE, &limits);
			if (extra == 0) {
				assert_flaw(w, F(NONE));
				assert_in_step(w);
				assert_int_equal(w->e.elements, 50);
			} else {
				assert_limit(w, F(TOO_MANY));
				assert_int_equal(w->e.elements, 51);
			}
		}
}

static void fragments_are_not_counted(void **state)
{
	(void)state;
	struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
	limits.elements = 6;
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	ds_head(d, 0x7FE00010, "OB", UNDEFINED);
	for (unsigned i = 0; i < 1000; i++)
		ds_item(d, 0);
	ds_seq_end(d);
	assert_flaw(walk_bytes(d->b, d->n, ELE, &limits), F(NONE));
}

static void a_value_at_the_limit_and_one_past_it(void **state)
{
	(void)state;
	for (uint32_t extra = 0; extra < 2; extra++) {
		struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
		limits.value_len = 5000;
		struct dataset *d = ds_begin(ELE);
		ds_head(d, 0x00104000, "UT", 5000 + extra);
		ds_fill(d, 'x', 5000 + extra);
		ds_tail(d);
		struct walk *w = walk_bytes(d->b, d->n, ELE, &limits);
		if (extra == 0) {
			assert_flaw(w, F(NONE));
			assert_in_step(w);
		} else {
			assert_limit(w, F(TOO_LARGE));
		}
	}
}

/* HOSTILE 31: a huge length under every VR, in a known and a private element. Bulk may be that large, so
 * it is a data set that ends too early; text may not. Nothing is ever bought for it. */
static void vl_huge_for_every_vr(void **state)
{
	static const char is_long[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ZZ";
	static const char is_text[] = "SV UC UR UT UV";
	static const uint32_t tags[] = {0x00104000, 0x00091001, 0x00100010};
	static const uint32_t lens[] = {
		0xFFFFFFFE, 0xFFFFFFF0, 0x80000000, 0x7FFFFFFF, 16 * SL_MIB + 1};
	(void)state;
	for (size_t v = 0; v < sizeof(is_long) / 3; v++)
		for (size_t t = 0; t < SL_ARRAY_N(tags); t++)
			for (size_t l = 0; l < SL_ARRAY_N(lens); l++) {
				char vr[3] = {is_long[3 * v], is_long[3 * v + 1], 0};
				struct dataset *d = ds_begin(ELE);
				ds_head(d, tags[t], vr, lens[l]);
				ds_fill(d, 'x', 100);
				struct walk *w = ds_walk(d, ELE);
				bool is_name = strcmp(vr, "ZZ") == 0 && tags[t] == 0x00100010;
				if (strstr(is_text, vr) != NULL || is_name) {
					assert_limit(w, F(TOO_LARGE));
				} else {
					bool is_sq = strcmp(vr, "SQ") == 0;
					assert_flaw(w, is_sq ? F(NOT_AN_ITEM) : F(TRUNCATED_VALUE));
				}
				assert_true(sl_elem_has_identity(&w->e));
			}
}

static void vl_huge_of_an_implicit_text_is_refused(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ILE);
	ds_head(d, 0x00100010, "", 16 * SL_MIB + 1);
	ds_fill(d, 'x', 100);
	assert_limit(ds_walk(d, ILE), F(TOO_LARGE));
}

static void lo_of_65000_is_kept_up_to_its_cap(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_head(d, 0x00100020, "LO", 65000);
	ds_fill(d, ' ', 1000);
	ds_fill(d, 'x', 64000);
	ds_tail(d);
	struct walk *w = ds_walk(d, ELE);
	assert_flaw(w, F(NONE));
	assert_in_step(w);
	assert_int_equal(w->r.len[SL_ATTR_PATIENT_ID], sl_attrs[SL_ATTR_PATIENT_ID].cap);
}

/* HOSTILE 21: a data set beyond 4 GiB; positions do not wrap. The bytes are not real: skipping does not
 * look at them. */
static void dims_overflow_beyond_4_gib(void **state)
{
	static uint8_t mib[1 << 20];
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_head(d, 0x7FE00010, "OW", 0xFFFFFFFE);
	static struct walk w;
	walk_begin(&w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	walk_feed(&w, d->b, d->n);
	for (unsigned i = 0; i < 4095; i++)
		assert_int_equal(sl_elem_feed(&w.e, mib, sizeof(mib)), SL_OK);
	assert_int_equal(sl_elem_feed(&w.e, mib, sizeof(mib) - 2), SL_OK);
	uint64_t n = d->n;
	d->n = 0;
	ds_tail(d);
	walk_feed(&w, d->b, d->n);
	w.st = sl_elem_end(&w.e);
	assert_flaw(&w, F(NONE));
	assert_in_step(&w);
	assert_int_equal(w.e.pos, n + 0xFFFFFFFE + d->n);
	assert_int_equal(w.e.pixels_len, 0xFFFFFFFE);
}

/* HOSTILE 38: a feed of nothing is nothing. */
static void an_empty_slice_changes_nothing(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	static struct walk w;
	walk_begin(&w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	for (size_t i = 0; i < d->n; i++) {
		assert_int_equal(sl_elem_feed(&w.e, NULL, 0), SL_OK);
		walk_feed(&w, d->b + i, 1);
	}
	w.st = sl_elem_end(&w.e);
	assert_flaw(&w, F(NONE));
	assert_in_step(&w);
}

static void limits_out_of_range_are_brought_into_it(void **state)
{
	(void)state;
	for (uint32_t depth = 0; depth < 200; depth += 99) {
		struct sl_elem_limits limits = SL_ELEM_LIMITS_DEFAULT;
		limits.depth = depth;
		struct dataset *d = ds_begin(ELE);
		nest_undefined(d, SQ, depth == 0 ? 2 : SL_ELEM_DEPTH_MAX + 1);
		assert_limit(walk_bytes(d->b, d->n, ELE, &limits), F(TOO_DEEP));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_at_the_limit_and_one_past_it),
		cmocka_unit_test(nest_33_to_50000_is_refused),
		cmocka_unit_test(a_value_that_looks_like_a_sequence_is_not_too_deep),
		cmocka_unit_test(elements_at_the_limit_and_one_past_it),
		cmocka_unit_test(fragments_are_not_counted),
		cmocka_unit_test(a_value_at_the_limit_and_one_past_it),
		cmocka_unit_test(vl_huge_for_every_vr),
		cmocka_unit_test(vl_huge_of_an_implicit_text_is_refused),
		cmocka_unit_test(lo_of_65000_is_kept_up_to_its_cap),
		cmocka_unit_test(dims_overflow_beyond_4_gib),
		cmocka_unit_test(an_empty_slice_changes_nothing),
		cmocka_unit_test(limits_out_of_range_are_brought_into_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
