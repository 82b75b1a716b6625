/* The element walker finds what is there, whatever the encoding, and is not thrown off by what devices
 * send: each oddity of issue 2 item 5 has a case, followed by elements that show the walk is in step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/dataset.h"

#define ILE SL_ELEM_IMPLICIT_LE
#define ELE SL_ELEM_EXPLICIT_LE
#define IBE SL_ELEM_IMPLICIT_BE
#define EBE SL_ELEM_EXPLICIT_BE
#define SQ  0x00081140 /* a public sequence of low tag, so that ds_tail() follows it in order */

static const enum sl_elem_encoding encodings[] = {ILE, ELE, EBE};

static void everything_is_found_in_every_encoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(encodings); i++) {
		struct dataset *d = ds_begin(encodings[i]);
		ds_el(d, 0x00080005, "CS", "ISO 2022 IR 87\\GB18030");
		ds_el(d, 0x00080060, "CS", "PT");
		ds_el(d, 0x00100010, "PN",
			"D\xF6"
			"e^J");
		ds_el(d, 0x00100020, "LO", "  id 7 ");
		ds_tail(d);
		ds_head(d, 0x00540016, "SQ", UNDEFINED);
		ds_item(d, UNDEFINED);
		ds_el(d, 0x00180031, "LO", "FDG");
		ds_item_end(d);
		ds_seq_end(d);
		ds_head(d, 0x7FE00010, "OW", 64);
		size_t at = d->n;
		ds_fill(d, 0x5A, 64);
		ds_head(d, 0xFFFCFFFC, "OB", 6);
		ds_fill(d, 0, 6);
		struct walk *w = ds_walk(d, encodings[i]);
		assert_flaw(w, SL_ELEM_FLAW_NONE);
		assert_in_step(w);
		assert_attr(w, SL_ATTR_SPECIFIC_CHARACTER_SET, "ISO 2022 IR 87\\GB18030");
		assert_attr(w, SL_ATTR_MODALITY, "PT");
		assert_attr(w, SL_ATTR_PATIENT_NAME,
			"D\xF6"
			"e^J");
		assert_attr(w, SL_ATTR_PATIENT_ID, "id 7");
		assert_attr(w, SL_ATTR_RADIOPHARMACEUTICAL, "FDG");
		assert_true(w->e.has_pixels);
		assert_int_equal(w->e.pixels_at, at);
		assert_int_equal(w->e.pixels_len, 64);
		assert_int_equal(w->e.elements, 14);
	}
}

static void only_the_top_level_describes_the_object(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(encodings); i++) {
		struct dataset *d = ds_begin(encodings[i]);
		ds_head(d, SQ, "SQ", UNDEFINED);
		ds_item(d, UNDEFINED);
		ds_el(d, 0x00080018, "UI", "9.9.9");
		ds_el(d, 0x00080060, "CS", "XX");
		ds_el(d, 0x00180031, "LO", "not the drug");
		ds_el(d, 0x0020000D, "UI", "9.9.9");
		ds_head(d, 0x7FE00010, "OW", 2); /* an icon's */
		ds_fill(d, 0, 2);
		ds_item_end(d);
		ds_seq_end(d);
		ds_tail(d);
		ds_head(d, 0x00540016, "SQ", UNDEFINED);
		ds_item(d, UNDEFINED);
		ds_head(d, SQ, "SQ", UNDEFINED);
		ds_item(d, UNDEFINED);
		ds_el(d, 0x00180031, "LO", "nor this one");
		ds_item_end(d);
		ds_seq_end(d);
		ds_item_end(d);
		ds_seq_end(d);
		struct walk *w = ds_walk(d, encodings[i]);
		assert_flaw(w, SL_ELEM_FLAW_NONE);
		assert_in_step(w);
		assert_attr(w, SL_ATTR_MODALITY, "");
		assert_attr(w, SL_ATTR_RADIOPHARMACEUTICAL, "");
		assert_false(w->e.has_pixels);
	}
}

static void uids_are_trimmed_checked_and_the_first_stays(void **state)
{
	static const struct {
		const char *value;
		size_t n;
		enum sl_elem_found found;
		const char *uid;
	} rows[] = {
		{"1.2.3\0", 6, SL_ELEM_OK, "1.2.3"},
		{"1.2.3 ", 6, SL_ELEM_OK, "1.2.3"},
		{"1.2.3\0\0 \0", 9, SL_ELEM_OK, "1.2.3"},
		{" 1.2.3", 6, SL_ELEM_OK, "1.2.3"},
		{"1.02.abc", 8, SL_ELEM_OK, "1.02.abc"},
		{"", 0, SL_ELEM_ABSENT, ""},
		{"  ", 2, SL_ELEM_ABSENT, ""},
		{"\0\0", 2, SL_ELEM_ABSENT, ""},
		{"../x", 4, SL_ELEM_INVALID, ""},
		{"1.2\\1.3", 7, SL_ELEM_INVALID, ""},
		{"1.2\n", 4, SL_ELEM_INVALID, ""},
	};
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct dataset *d = ds_begin(ELE);
		d->n = 0;
		ds_el(d, 0x00080016, "UI", CLASS);
		ds_head(d, 0x00080018, "UI", (uint32_t)rows[i].n);
		ds_raw(d, rows[i].value, rows[i].n);
		ds_el(d, 0x00080060, "CS", "CT");
		if (rows[i].found != SL_ELEM_ABSENT)
			ds_el(d, 0x00080018, "UI", "7.7.7");
		struct walk *w = ds_walk(d, ELE);
		assert_flaw(w, SL_ELEM_FLAW_NONE);
		assert_int_equal(w->e.uid_found[SL_ELEM_UID_INSTANCE], rows[i].found);
		assert_string_equal(w->e.uid[SL_ELEM_UID_INSTANCE].s, rows[i].uid);
		assert_int_equal(sl_elem_has_identity(&w->e), rows[i].found == SL_ELEM_OK);
		assert_int_equal(w->e.uid_found[SL_ELEM_UID_STUDY], SL_ELEM_ABSENT);
	}
}

/* ---- sound, though odd: one small builder per case, between ds_begin() and ds_tail() ------------- */

static void lengths_defined(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + 16 + 8);
	ds_item(d, 16);
	ds_el(d, 0x00081150, "UI", "1.2.3.45"); /* 8 + 8 in every encoding */
	ds_item(d, 0);
	ds_head(d, 0x00081150, "SQ", 0);
}

static void item_undefined_in_defined(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + 16 + 8);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
	ds_item_end(d);
}

static void delimiters_nobody_needs(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 8 + 16 + 8 + 8);
	ds_item(d, 16);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
	ds_item_end(d);
	ds_seq_end(d);
	ds_item_end(d);
	ds_seq_end(d);
}

static void delimiters_with_a_length(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
	ds_delim(d, 0xFFFEE00D, 0x0000424F); /* "OB" in the place of a VR */
	ds_delim(d, 0xFFFEE0DD, 0xFFFFFFFF);
}

static void delimiter_before_the_defined_end(struct dataset *d)
{
	ds_head(d, SQ, "SQ", 3 * 8);
	ds_item(d, 0);
	ds_seq_end(d);
	ds_item(d, 0);
}

static void item_end_after_a_defined_item(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_head(d, 0x00081199, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_item_end(d);
	ds_item(d, 16);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
	ds_item_end(d); /* nobody needs it: it does not end the item around the sequence */
	ds_item(d, 0);
	ds_seq_end(d);
	ds_item_end(d);
	ds_seq_end(d);
}

static void private_elements(struct dataset *d)
{
	ds_el(d, 0x00090010, "LO", "ACME");
	ds_el(d, 0x00091001, "UN", "whatever");
	ds_head(d, 0x00091002, "UN", UNDEFINED); /* PS3.5 6.2.2: implicit little endian inside */
	enum sl_elem_encoding e = d->encoding;
	d->encoding = ILE;
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00091003, "", "value");
	ds_head(d, 0x00091004, "", 8 + 12);
	ds_item(d, 12);
	ds_el(d, 0x00091005, "", "inne");
	ds_item_end(d);
	ds_seq_end(d);
	d->encoding = e;
}

static void private_bytes_like_an_item(struct dataset *d)
{
	ds_head(d, 0x00091001, "OB", 16);
	ds_raw(d, "\xFE\xFF\x00\xE0\xFF\x7F\x00\x00 garbage", 16);
	ds_head(d, 0x00091002, "UN", 16);
	ds_raw(d, "\xFE\xFF\x00\xE0\x08\x00\x00\x00 garbage", 16);
	ds_head(d, 0x00091003, "OB", 8);
	ds_raw(d, "\xFE\xFF\xDD\xE0\0\0\0\0", 8);
}

/* In implicit VR a private sequence is a guess, and what is missing in it nobody can know. */
static void private_sequence_without_delimiters(struct dataset *d)
{
	ds_head(d, 0x00091001, "UN", 8 + 16);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00081150, "UI", "1.2.3.45");
}

static void un_like_a_vr(struct dataset *d)
{
	ds_head(d, 0x00091002, "UN", UNDEFINED);
	enum sl_elem_encoding e = d->encoding;
	d->encoding = e == EBE ? IBE : ILE; /* some keep the byte order they are in */
	ds_item(d, UNDEFINED);
	ds_head(d, 0x00091003, "", 0x2020); /* in explicit VR: an invented one, and no length */
	ds_fill(d, 'x', 0x2020);
	ds_item_end(d);
	ds_seq_end(d);
	d->encoding = e;
}

static void item_length_like_a_vr(struct dataset *d)
{
	ds_head(d, SQ, "SQ", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_head(d, 0x00091003, "UT", 0x4144); /* implicit: "DA" in the place of a VR */
	ds_fill(d, 'x', 0x4144);
	ds_item_end(d);
	ds_seq_end(d);
}

static void odd_lengths(struct dataset *d)
{
	ds_el(d, 0x00104000, "LT", "odd");
	ds_head(d, SQ, "SQ", 8 + 15);
	ds_item(d, 15);
	ds_el(d, 0x00081150, "UI", "1.2.3.4");
	ds_el(d, 0x00090011, "SH", "x");
}

static void order_and_duplicates(struct dataset *d)
{
	ds_el(d, 0x00280010, "US", "ab");
	ds_el(d, 0x00080018, "UI", "6.6.6");
	ds_el(d, 0x00080060, "CS", "CT");
	ds_el(d, 0x00080060, "CS", "MR");
}

static void fragments(struct dataset *d)
{
	ds_head(d, 0x00880200, "SQ", UNDEFINED); /* an icon, encapsulated as well */
	ds_item(d, UNDEFINED);
	ds_head(d, 0x7FE00010, "OB", UNDEFINED);
	ds_item(d, 0);
	ds_item(d, 3);
	ds_fill(d, 0xFE, 3);
	ds_seq_end(d);
	ds_item_end(d);
	ds_seq_end(d);
	ds_head(d, 0x7FE00010, "OB", UNDEFINED);
	ds_item(d, 0);
	for (uint32_t n = 0; n <= 9; n++) {
		ds_item(d, n); /* content that looks like a delimiter */
		ds_raw(d, "\xFE\xFF\xDD\xE0\0\0\0\0\0", n);
	}
	ds_seq_end(d);
}

static void fragments_none(struct dataset *d)
{
	ds_head(d, 0x7FE00010, "OB", UNDEFINED);
	ds_seq_end(d);
}

static void items_in_ob(struct dataset *d)
{
	ds_head(d, 0x00091010, "OB", UNDEFINED);
	ds_item(d, UNDEFINED);
	ds_el(d, 0x00091011, "LO", "v");
	ds_item_end(d);
	ds_seq_end(d);
}

static void all_vrs(struct dataset *d)
{
	static const char vrs[] =
		"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ "
		"SS ST SV TM UC UI UL UN UR US UT UV ZZ";
	for (uint32_t i = 0; i < (sizeof(vrs) - 1) / 3 + 1; i++) {
		char vr[3] = {vrs[3 * i], vrs[3 * i + 1], 0};
		ds_head(d, 0x00091100 + 2 * i, vr, 0);
		if (strcmp(vr, "SQ") != 0)
			ds_el(d, 0x00091101 + 2 * i, vr, "12345678");
	}
}

static const struct {
	const char *name;
	void (*build)(struct dataset *d);
} odd[] = {
	{"lengths defined", lengths_defined},
	{"undefined item in a defined sequence", item_undefined_in_defined},
	{"delimiters nobody needs", delimiters_nobody_needs},
	{"delimiters with a length", delimiters_with_a_length},
	{"delimiter before the defined end", delimiter_before_the_defined_end},
	{"item delimiter after a defined item", item_end_after_a_defined_item},
	{"private sequence without delimiters", private_sequence_without_delimiters},
	{"UN like a VR", un_like_a_vr},
	{"item length like a VR", item_length_like_a_vr},
	{"private elements, implicit content in UN", private_elements},
	{"private bytes like an item", private_bytes_like_an_item},
	{"odd lengths", odd_lengths},
	{"order and duplicates", order_and_duplicates},
	{"fragments", fragments},
	{"no fragments", fragments_none},
	{"items in OB of undefined length", items_in_ob},
	{"all VRs", all_vrs},
};

static void odd_data_sets_are_sound_and_walked_through(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(odd); i++)
		for (size_t j = 0; j < SL_ARRAY_N(encodings); j++) {
			if (odd[i].build == items_in_ob && encodings[j] == ILE)
				continue;
			struct dataset *d = ds_begin(encodings[j]);
			odd[i].build(d);
			ds_tail(d);
			struct walk *w = ds_walk(d, encodings[j]);
			if (w->e.flaw != SL_ELEM_FLAW_NONE)
				print_message("%s, encoding %d\n", odd[i].name, encodings[j]);
			assert_flaw(w, SL_ELEM_FLAW_NONE);
			assert_in_step(w);
		}
}

static void known_attributes_are_taken_from_un(void **state)
{
	(void)state;
	struct dataset *d = ds_begin(ELE);
	ds_el(d, 0x00080060, "UN", "PT");
	ds_tail(d);
	ds_head(d, 0x00540016, "UN", 8 + 8 + 4);
	d->encoding = ILE;
	ds_item(d, 12);
	ds_el(d, 0x00180031, "", "FDG ");
	d->encoding = ELE;
	ds_el(d, 0x00540081, "US", "12");
	struct walk *w = ds_walk(d, ELE);
	assert_flaw(w, SL_ELEM_FLAW_NONE);
	assert_in_step(w);
	assert_attr(w, SL_ATTR_MODALITY, "PT");
	assert_attr(w, SL_ATTR_RADIOPHARMACEUTICAL, "FDG");
}

static void padding_after_the_last_element_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_N(encodings); i++)
		for (size_t n = 0; n < 40; n++) {
			struct dataset *d = ds_begin(encodings[i]);
			ds_tail(d);
			ds_fill(d, 0, n);
			struct walk *w = ds_walk(d, encodings[i]);
			assert_flaw(w, SL_ELEM_FLAW_NONE);
			assert_in_step(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_found_in_every_encoding),
		cmocka_unit_test(only_the_top_level_describes_the_object),
		cmocka_unit_test(uids_are_trimmed_checked_and_the_first_stays),
		cmocka_unit_test(odd_data_sets_are_sound_and_walked_through),
		cmocka_unit_test(known_attributes_are_taken_from_un),
		cmocka_unit_test(padding_after_the_last_element_is_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
