/* How a header is written is found out from the header and its place: explicit, implicit, in either byte
 * order, with VRs of the standard, of the future and of nobody.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/dataset.h"

#define ILE SL_ELEM_IMPLICIT_LE
#define ELE SL_ELEM_EXPLICIT_LE
#define IBE SL_ELEM_IMPLICIT_BE
#define EBE SL_ELEM_EXPLICIT_BE
#define SQ  0x00081140

static const enum sl_elem_encoding encodings[] = {ILE, ELE, EBE};

static void the_first_element_shows_the_encoding(void **state)
{
	(void)state;
	for (unsigned said = 0; said < 4; said++)
		for (unsigned is = 0; is < 4; is++) {
			struct dataset *d = ds_begin((enum sl_elem_encoding)is);
			ds_head(d, SQ, "SQ", UNDEFINED);
			ds_item(d, UNDEFINED);
			ds_el(d, 0x00081150, "UI", "1.2.3.45");
			ds_item_end(d);
			ds_seq_end(d);
			ds_tail(d);
			struct walk *w = ds_walk(d, (enum sl_elem_encoding)said);
			assert_in_step(w);
			assert_flaw(
				w, (said ^ is) & IBE ? SL_ELEM_FLAW_BYTE_ORDER : SL_ELEM_FLAW_NONE);
		}
}

static void an_item_may_be_written_in_another_way(void **state)
{
	(void)state;
	for (unsigned outer = 0; outer < 2; outer++)
		for (unsigned undefined = 0; undefined < 2; undefined++) {
			struct dataset *d = ds_begin(outer ? ELE : ILE);
			ds_head(d, 0x00540016, "SQ", UNDEFINED);
			d->encoding = outer ? ILE : ELE;
			size_t at = d->n;
			ds_item(d, UNDEFINED);
			ds_el(d, 0x00180031, "LO", "FDG ");
			ds_el(d, 0x00181072, "TM", "1200");
			if (undefined)
				ds_item_end(d);
			else
				d->b[at + 4] = (uint8_t)(d->n - at - 8),
					  memset(d->b + at + 5, 0, 3);
			ds_seq_end(d);
			d->encoding = outer ? ELE : ILE;
			ds_tail(d);
			struct walk *w = ds_walk(d, d->encoding);
			assert_flaw(w, SL_ELEM_FLAW_NONE);
			assert_in_step(w);
			assert_attr(w, SL_ATTR_RADIOPHARMACEUTICAL, "FDG");
		}
}

static void one_element_may_be_implicit_among_explicit_ones(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	d->encoding = ILE;
	ds_el(d, 0x00080060, "CS", "CT");
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
	ds_item_end(d);
	ds_seq_end(d);
	ds_el(d, 0x00091001, "", "private");
	d->encoding = ELE;
	ds_tail(d);
	struct walk *w = ds_walk(d, ELE);
	assert_flaw(w, SL_ELEM_FLAW_NONE);
	assert_in_step(w);
	assert_attr(w, SL_ATTR_MODALITY, "CT");
}

static void one_element_may_be_explicit_among_implicit_ones(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ILE);
	d->encoding = ELE;
	ds_el(d, 0x00080060, "CS", "CT"); /* an odd length, were it one */
	d->encoding = ILE;
	ds_head(d, SQ, "SQ", 8 + 16 + 16);
	ds_item(d, 32);
	ds_el(d, 0x00081150, "", "1.2.3.45");
	d->encoding = ELE;
	ds_el(d, 0x00081155, "LO", "1.2.3.45"); /* longer than the item, were it a length */
	d->encoding = ILE;
	ds_tail(d);
	struct walk *w = ds_walk(d, ILE);
	assert_flaw(w, SL_ELEM_FLAW_NONE);
	assert_in_step(w);
	assert_attr(w, SL_ATTR_MODALITY, "CT");
}

static void implicit_pixel_data_among_explicit_elements(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_tail(d);
	d->encoding = ILE;
	ds_head(d, 0x7FE00010, "",
		0x00020000); /* two zeros in the place of a VR, and a length of 2 */
	ds_fill(d, 0x11, 0x00020000);
	struct walk *w = ds_walk(d, ELE);
	assert_flaw(w, SL_ELEM_FLAW_NONE);
	assert_in_step(w);
	assert_int_equal(w->e.pixels_len, 0x00020000);
}

static void invented_vrs_have_short_lengths(void **state)
{
	static const char vrs[][3] = {"??", "--", "  ", "cs", "\0\0", "A1", "1."};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(vrs); i++) {
		struct dataset *d = ds_begin(ELE);
		ds_u32(d, 0x00600008); /* (0008,0060) */
		ds_raw(d, vrs[i], 2);
		ds_u16(d, 2);
		ds_raw(d, "CT", 2);
		ds_tail(d);
		struct walk *w = ds_walk(d, ELE);
		assert_flaw(w, SL_ELEM_FLAW_NONE);
		assert_in_step(w);
		assert_attr(w, SL_ATTR_MODALITY, "CT");
	}
}

static void vrs_to_come_have_long_lengths_unless_they_show_a_short_one(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_el(d, 0x00091001, "ZZ", "long form");
	ds_u32(d, 0x10020009);
	ds_raw(d, "XY\x06\0short!", 10);
	ds_u32(d, 0x10030009); /* reserved bytes in disorder */
	ds_raw(d, "UT\xAB\xCD\x05\0\0\0value", 13);
	ds_tail(d);
	struct walk *w = ds_walk(d, ELE);
	assert_flaw(w, SL_ELEM_FLAW_NONE);
	assert_in_step(w);
}

static void group_0002_in_the_data_set_is_explicit_wherever_it_stands(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(encodings); i++) {
		struct dataset *d = ds_begin(ELE);
		d->n = 0;
		ds_head(d, 0x00020000, "UL", 4);
		ds_u32(d, 64);
		ds_el(d, 0x00020002, "UI", "9.9.9");
		ds_head(d, 0x00020001, "OB", 2);
		ds_u16(d, 0x0100);
		d->encoding = encodings[i];
		ds_el(d, 0x00080016, "UI", CLASS);
		ds_el(d, 0x00080018, "UI", "1.2.3.4");
		d->encoding = ELE;
		ds_el(d, 0x00020010, "UI", "1.2.840"); /* behind the beginning as well */
		d->encoding = encodings[i];
		ds_tail(d);
		struct walk *w = ds_walk(d, encodings[i]);
		assert_flaw(w, SL_ELEM_FLAW_NONE);
		assert_in_step(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_element_shows_the_encoding),
		cmocka_unit_test(an_item_may_be_written_in_another_way),
		cmocka_unit_test(one_element_may_be_implicit_among_explicit_ones),
		cmocka_unit_test(one_element_may_be_explicit_among_implicit_ones),
		cmocka_unit_test(implicit_pixel_data_among_explicit_elements),
		cmocka_unit_test(invented_vrs_have_short_lengths),
		cmocka_unit_test(vrs_to_come_have_long_lengths_unless_they_show_a_short_one),
		cmocka_unit_test(group_0002_in_the_data_set_is_explicit_wherever_it_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
