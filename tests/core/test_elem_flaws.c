/* What is broken is named, with its place, and costs no more than it must: the walk finds its way back
 * where a length or the tags show it, and what was found stays found.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/dataset.h"

#define ILE   SL_ELEM_IMPLICIT_LE
#define ELE   SL_ELEM_EXPLICIT_LE
#define EBE   SL_ELEM_EXPLICIT_BE
#define SQ    0x00081140
#define F(x)  SL_ELEM_FLAW_##x
#define INNER 16 /* bytes of inner(), with its header */

static const enum sl_elem_encoding encodings[] = {ILE, ELE, EBE};

static void inner(struct dataset *d, uint32_t element)
{
	ds_el(d, 0x00080000 | element, "UI", "1.2.3.45");
}

/* ---- broken inside a sequence: named, and back in step behind it --------------------------------- */

static void item_longer_than_its_sequence(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER);
	ds_item(d, INNER + 40);
	inner(d, 0x1150);
}

static void item_shorter_than_its_content(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + 2 * INNER + 8);
	ds_item(d, INNER);
	inner(d, 0x1150);
	inner(d, 0x1155);
	ds_item(d, 0);
}

static void item_shorter_in_an_undefined_sequence(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, INNER - 4);
	inner(d, 0x1155);
	inner(d, 0x1150);
	ds_item(d, INNER);
	inner(d, 0x1150);
	ds_seq_end(d);
}

static void item_shorter_by_an_element(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, INNER);
	inner(d, 0x1150);
	inner(d, 0x1110); /* not above the sequence's own tag: still the item's */
	ds_item_end(d);
	ds_seq_end(d);
}

static void item_longer_than_its_content(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, INNER + 100);
	inner(d, 0x1150);
	ds_item(d, INNER);
	inner(d, 0x1150);
	ds_seq_end(d);
}

static void item_without_delimiter(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	inner(d, 0x1150);
	ds_item(d, UNDEFINED);
	inner(d, 0x1150);
	ds_seq_end(d);
}

static void item_without_delimiter_in_a_defined_sequence(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER);
	ds_item(d, UNDEFINED);
	inner(d, 0x1150);
}

static void sequence_without_delimiter(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, INNER);
	inner(d, 0x1150);
}

static void sequence_without_delimiter_inside_an_item(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_head(d, 0x00081199, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	inner(d, 0x1150);
	ds_item_end(d);
	ds_item_end(d);
	ds_seq_end(d);
}

static void sequence_of_elements(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	inner(d, 0x1150);
	ds_seq_end(d);
}

static void sequence_of_garbage(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 21);
	ds_raw(d, "neither this nor that", 21);
}

static void sequence_too_short_for_an_item(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 5);
	ds_raw(d, "short", 5);
}

static void element_longer_than_its_item(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER + 8 + INNER);
	ds_item(d, INNER);
	ds_head(d, 0x00081150, "UI", 100);
	ds_raw(d, "1.2.3.45", 8);
	ds_item(d, INNER);
	inner(d, 0x1150);
}

static void item_with_a_rest(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER + 3);
	ds_item(d, INNER + 3);
	inner(d, 0x1150);
	ds_raw(d, "...", 3);
}

static void item_with_half_a_header(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER + 9);
	ds_item(d, INNER + 9);
	inner(d, 0x1150);
	size_t at = d->n;
	ds_head(d, 0x00081198, "OB", 2);
	d->n = at + 9;
}

/* A tag of group FFFE that is no delimiter of ours, where an element must be. */
static void item_with_an_unknown_delimiter(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + INNER + 8 + INNER);
	ds_item(d, INNER + 8 + INNER);
	inner(d, 0x1150);
	ds_delim(d, 0xFFFEE111, 0);
	inner(d, 0x1155);
}

static void fragments_without_delimiter(struct dataset *d)
{
	ds_head(d, 0x00080000 | 0x1199, "OB", UNDEFINED);
	ds_item(d, 0);
	ds_item(d, 10);
	ds_fill(d, 0xAA, 10);
}

static const struct {
	const char *name;
	void (*build)(struct dataset *d);
	enum sl_elem_flaw flaw;
	bool not_implicit; /* implicit VR takes the value for no sequence, or does not know it is text */
} broken[] = {
	{"item longer than its sequence", item_longer_than_its_sequence, F(ITEM_OVERRUN), false},
	{"item shorter than its content", item_shorter_than_its_content, F(NOT_AN_ITEM), false},
	{"item shorter, in undefined", item_shorter_in_an_undefined_sequence, F(ELEMENT_OVERRUN),
		false},
	{"item shorter by an element", item_shorter_by_an_element, F(NOT_AN_ITEM), false},
	{"item longer than its content", item_longer_than_its_content, F(ITEM_OVERRUN), false},
	{"item without delimiter", item_without_delimiter, F(NO_DELIMITER), false},
	{"item without delimiter, in defined", item_without_delimiter_in_a_defined_sequence,
		F(NO_DELIMITER), false},
	{"sequence without delimiter", sequence_without_delimiter, F(NO_DELIMITER), false},
	{"inner sequence without delimiter", sequence_without_delimiter_inside_an_item,
		F(NO_DELIMITER), false},
	{"sequence of elements", sequence_of_elements, F(NOT_AN_ITEM), false},
	{"sequence of garbage", sequence_of_garbage, F(NOT_AN_ITEM), true},
	{"sequence too short", sequence_too_short_for_an_item, F(NOT_AN_ELEMENT), true},
	{"element longer than its item", element_longer_than_its_item, F(ELEMENT_OVERRUN), false},
	{"item with a rest", item_with_a_rest, F(NOT_AN_ELEMENT), false},
	{"item with half a header", item_with_half_a_header, F(NOT_AN_ELEMENT), true},
	{"item with an unknown delimiter", item_with_an_unknown_delimiter, F(NOT_AN_ELEMENT),
		false},
	{"fragments without delimiter", fragments_without_delimiter, F(NO_DELIMITER), true},
};

static void a_broken_sequence_is_named_and_passed(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(broken); i++)
		for (size_t j = 0; j < SL_ARRAY_N(encodings); j++) {
			if (broken[i].not_implicit && encodings[j] == ILE)
				continue;
			struct dataset *d = ds_begin(encodings[j]);
			size_t at = d->n;
			broken[i].build(d);
			size_t end = d->n;
			ds_tail(d);
			struct walk *w = ds_walk(d, encodings[j]);
			if (w->e.flaw != broken[i].flaw)
				print_message("%s, encoding %d\n", broken[i].name, encodings[j]);
			assert_flaw(w, broken[i].flaw);
			assert_in_step(w);
			if (broken[i].flaw != F(NONE))
				assert_in_range(w->e.flaw_at, at, end);
		}
}

/* Behind fragments that end in something else, nothing is believed: no length says where they end. */
static void after_broken_fragments_nothing_more_is_found(void **state)
{
	(void)state;
	for (size_t j = 1; j < SL_ARRAY_N(encodings); j++) {
		struct dataset *d = ds_begin(encodings[j]);
		ds_head(d, 0x00081199, "OB", UNDEFINED);
		ds_item(d, 0);
		size_t at = d->n;
		ds_head(d, 0x00080060, "CS", 0);
		ds_tail(d);
		struct walk *w = ds_walk(d, encodings[j]);
		assert_flaw(w, F(NOT_AN_ITEM));
		assert_int_equal(w->e.flaw_at, at);
		assert_int_equal(w->e.uid_found[SL_ELEM_UID_INSTANCE], SL_ELEM_OK);
		assert_int_equal(w->e.uid_found[SL_ELEM_UID_STUDY], SL_ELEM_ABSENT);
		assert_int_equal(w->e.uid_found[SL_ELEM_UID_SERIES], SL_ELEM_ABSENT);
	}
}

/* What only looked like a sequence is no flaw, wherever the look ends, and its end is known. */
static void an_odd_private_value_is_passed_without_a_word(void **state)
{
	static const uint32_t odd[] = {0xFFFEE000, 0xFFFEE0DD, 0xFFFEE111};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(odd); i++) {
		struct dataset *d = ds_begin(ILE);
		ds_head(d, 0x00091001, "UN", 8 + INNER + 8 + INNER);
		ds_item(d, INNER + 8 + INNER);
		inner(d, 0x1150);
		ds_delim(d, odd[i], 0);
		ds_el(d, 0x0020000D, "UI", "9.9.9.99"); /* not the study's */
		ds_tail(d);
		struct walk *w = ds_walk(d, ILE);
		assert_flaw(w, F(NONE));
		assert_in_step(w);
	}
}

/* ---- data sets that end too early ---------------------------------------------------------------- */

/* Writes a data set of everything; borders[] gets the offsets at which it may as well end. */
static size_t build_all(struct dataset *d, size_t *borders)
{
	size_t n = 0;
	borders[n++] = 8 + strlen(CLASS);
	borders[n++] = d->n;
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	inner(d, 0x1150);
	ds_item_end(d);
	ds_seq_end(d);
	borders[n++] = d->n;
	ds_el(d, 0x0020000D, "UI", "1.2.3");
	borders[n++] = d->n;
	ds_head(d, 0x00400275, "SQ", 8 + INNER);
	ds_item(d, INNER);
	inner(d, 0x1150);
	borders[n++] = d->n;
	ds_head(d, 0x7FE00010, "OW", 32);
	ds_fill(d, 0x11, 32);
	return n;
}

static void a_cut_anywhere_is_seen_except_between_elements(void **state)
{
	(void)state;
	for (size_t j = 0; j < SL_ARRAY_N(encodings); j++) {
		struct dataset *d = ds_begin(encodings[j]);
		size_t borders[8], next = 0;
		size_t borders_n = build_all(d, borders);
		for (size_t n = 1; n < d->n; n++) {
			struct walk w;
			walk_begin(&w, d->encoding, &SL_ELEM_LIMITS_DEFAULT);
			walk_feed(&w, d->b, n);
			w.st = sl_elem_end(&w.e);
			if (next < borders_n && n == borders[next]) {
				assert_flaw(&w, F(NONE));
				next++;
				continue;
			}
			if (next > 0 && n == borders[next - 1] + 1 && d->b[n - 1] == 0)
				continue; /* the first byte of a big endian tag: padding, for all we know */
			assert_int_equal(w.st, SL_E_DATASET);
			assert_true(w.e.flaw_at <= n);
			if (n > d->n - 32)
				assert_flaw(&w, F(TRUNCATED_PIXELS));
		}
		assert_int_equal(next, borders_n);
	}
}

static const struct {
	const char *name;
	enum sl_elem_flaw flaw;
	const char *bytes; /* explicit little endian, after a whole data set */
	size_t n;
} ends[] = {
	{"value", F(TRUNCATED_VALUE),
		"\x08\x21\x01\x00LO\x10\x00"
		"ACME",
		12},
	{"pixels", F(TRUNCATED_PIXELS), "\xE0\x7F\x10\x00OW\0\0\xF0\xFF\xFF\xFFpixels", 18},
	{"fragment", F(TRUNCATED_PIXELS),
		"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\x10\0\0\0short", 25},
	{"last delimiter", F(TRUNCATED_SEQUENCE),
		"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0", 20},
	{"no fragments at all", F(TRUNCATED_SEQUENCE), "\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF",
		12},
	{"header", F(TRUNCATED_HEADER), "\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF", 11},
	{"header", F(TRUNCATED_HEADER), "\x08", 1},
	{"fragment without a length", F(BAD_FRAGMENT),
		"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\0\0", 22},
	{"no fragment", F(NOT_AN_ITEM),
		"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\x08\0\x60\0CS\2\0CT",
		30},
	{"stray item", F(STRAY_ITEM), "\xFE\xFF\0\xE0\0\0\0\0", 8},
	{"no header", F(NOT_AN_ELEMENT), "\x10\x20\x30\x40\x01\x80\xFF\xFF....", 12},
	{"zeros, then something", F(TRAILING), "\0\0\0\0\0\0\0\0\0\0\0\1", 12},
	{"text after Pixel Data", F(TRAILING), "\xE0\x7F\x10\x00OW\0\0\0\0\0\0GARBAGE GARBAGE", 27},
};

static void a_broken_end_is_named_and_what_was_found_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(ends); i++) {
		struct dataset *d = ds_begin(ELE);
		ds_tail(d);
		ds_raw(d, ends[i].bytes, ends[i].n);
		struct walk *w = ds_walk(d, ELE);
		if (w->e.flaw != ends[i].flaw)
			print_message("%s\n", ends[i].name);
		assert_flaw(w, ends[i].flaw);
		assert_in_step(w);
	}
}

static void nothing_and_noise_are_no_data_set(void **state)
{
	static const char *const texts[] = {
		"GET / HTTP/1.0\r\n\r\n", "%PDF-1.7 ....... .......", "version https://git-lfs"};
	(void)state;
	struct walk *w = walk_bytes((const uint8_t *)"", 0, ELE, &SL_ELEM_LIMITS_DEFAULT);
	assert_flaw(w, F(EMPTY));
	for (size_t i = 0; i < SL_ARRAY_N(texts); i++)
		for (unsigned encoding = 0; encoding < 4; encoding++) {
			w = walk_bytes((const uint8_t *)texts[i], strlen(texts[i]),
				(enum sl_elem_encoding)encoding, &SL_ELEM_LIMITS_DEFAULT);
			assert_int_equal(w->st, SL_E_DATASET);
			assert_false(sl_elem_has_identity(&w->e));
		}
}

/* HOSTILE 15: an indexed attribute under any VR is text, or left out; never misread as structure. */
static void vr_swap_never_puts_the_walk_out_of_step(void **state)
{
	static const char vrs[] =
		"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ "
		"SS ST SV TM UC UI UL UN UR US UT UV ZZ";
	(void)state;
	for (size_t a = 0; a < SL_ATTR_N; a++)
		for (size_t v = 0; v < sizeof(vrs) / 3; v++) {
			char vr[3] = {vrs[3 * v], vrs[3 * v + 1], 0};
			struct dataset *d = ds_begin(ELE);
			ds_el(d, sl_attrs[a].tag, vr, "12345678");
			ds_el(d, 0x0020000D, "UI", "1.2.3");
			struct walk *w = ds_walk(d, ELE);
			bool is_sq = strcmp(vr, "SQ") == 0;
			assert_flaw(w, is_sq ? F(NOT_AN_ITEM) : F(NONE));
			assert_int_equal(w->e.uid_found[SL_ELEM_UID_STUDY], SL_ELEM_OK);
			size_t n;
			(void)sl_record_get(&w->r, (enum sl_attr)a, &n);
			bool is_binary =
				strstr("AT FD FL OB OD OF OL OV OW SL SQ SS SV UL US UV", vr);
			assert_int_equal(n, is_binary ? 0 : 8);
		}
}

static void a_stopped_or_spoiled_walk_says_so(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	struct walk w;
	walk_begin(&w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	walk_feed(&w, d->b, d->n);
	walk_feed(&w, (const uint8_t *)"\x08\0\x60", 3);
	assert_false(sl_elem_is_done(&w.e));
	sl_elem_stop(&w.e);
	assert_true(sl_elem_is_done(&w.e));
	walk_feed(&w, (const uint8_t *)"anything", 8);
	assert_int_equal(sl_elem_end(&w.e), SL_OK);
	assert_int_equal(w.e.pos, d->n + 11);

	walk_begin(&w, ELE, &SL_ELEM_LIMITS_DEFAULT);
	walk_feed(&w, d->b, d->n);
	sl_elem_spoil(&w.e, F(BAD_DEFLATE));
	walk_feed(&w, (const uint8_t *)"anything", 8);
	assert_int_equal(sl_elem_end(&w.e), SL_E_DATASET);
	assert_int_equal(w.e.flaw, F(BAD_DEFLATE));
	assert_int_equal(w.e.flaw_at, d->n);
	assert_true(sl_elem_has_identity(&w.e));
}

static void every_flaw_has_words(void **state)
{
	(void)state;
	for (int f = 0; f < SL_ELEM_FLAW_N; f++) {
		assert_true(strlen(sl_elem_flaw_words((enum sl_elem_flaw)f)) > 0);
		assert_true(strlen(sl_elem_flaw_words((enum sl_elem_flaw)f)) <= 64);
	}
	assert_string_equal(sl_elem_flaw_words(SL_ELEM_FLAW_N), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_sequence_is_named_and_passed),
		cmocka_unit_test(after_broken_fragments_nothing_more_is_found),
		cmocka_unit_test(an_odd_private_value_is_passed_without_a_word),
		cmocka_unit_test(a_cut_anywhere_is_seen_except_between_elements),
		cmocka_unit_test(a_broken_end_is_named_and_what_was_found_stays),
		cmocka_unit_test(nothing_and_noise_are_no_data_set),
		cmocka_unit_test(vr_swap_never_puts_the_walk_out_of_step),
		cmocka_unit_test(a_stopped_or_spoiled_walk_says_so),
		cmocka_unit_test(every_flaw_has_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
