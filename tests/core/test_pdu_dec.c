/* The decoder's engine: PDU headers, the PDUs of four bytes, P-DATA-TF.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"
#include "support/wire.h"

#define MAX_LEN 16384

static void U5_reject_is_told_with_result_source_reason(void **state)
{
	(void)state;
	assert_text_story("03 00 00000004" /* A-ASSOCIATE-RJ */
			  "00"             /* reserved */
			  "01 01 07",      /* permanent, user, called AE */
		MAX_LEN,
		"BEGIN RJ 4\n"
		"END RJ 1/1/7\n");
}

static void U6_abort_is_told_with_source_and_reason(void **state)
{
	(void)state;
	assert_text_story("07 00 00000004" /* A-ABORT */
			  "00 00"          /* reserved */
			  "02 06",         /* provider, invalid parameter value */
		MAX_LEN,
		"BEGIN ABORT 4\n"
		"END ABORT 2/6\n");
	assert_text_story("07 ff 00000004 ee dd 63 ff", MAX_LEN, /* values nobody defined */
		"BEGIN ABORT 4\n"
		"END ABORT 99/255\n");
}

static void U2_release_pdus_are_told(void **state)
{
	(void)state;
	assert_text_story("05 00 00000004 00000000"
			  "06 00 00000004 00000000",
		MAX_LEN,
		"BEGIN RELEASE_RQ 4\n"
		"END RELEASE_RQ\n"
		"BEGIN RELEASE_RP 4\n"
		"END RELEASE_RP\n");
}

static void U6_unknown_pdu_types_are_refused_as_2_1(void **state)
{
	(void)state;
	for (unsigned type = 0; type <= UINT8_MAX; type++) {
		struct wire w = {NULL, 0};
		if (type >= 1 && type <= 7)
			continue;
		wire_fill(&w, (uint8_t)type, 1);
		wire_text(&w, "00 00000004 00000000");
		assert_story(&w, MAX_LEN, "E_PDU 2/1\n");
		wire_free(&w);
	}
}

static void U6_pdus_of_four_bytes_have_four(void **state)
{
	(void)state;
	static const char *const texts[] = {"03 00 00000003 000000", "03 00 00000005 0000000000",
		"03 00 00000000", "05 00 00000000", "05 00 00000005 0000000000",
		"06 00 ffffffff 00000000", "06 00 00000003 000000", "07 00 00000000",
		"07 00 00000008 0000000000000000"};
	for (size_t i = 0; i < SL_ARRAY_N(texts); i++)
		assert_text_story(texts[i], MAX_LEN, "E_PDU 2/6\n");
}

static void H35_other_protocols_are_refused_by_their_first_bytes(void **state)
{
	(void)state;
	struct wire zeros = {NULL, 0};
	assert_text_story("'GET / HTTP/1.1' 0d0a 'Host: x' 0d0a 0d0a", MAX_LEN, "E_PDU 2/1\n");
	assert_text_story("16 03 01 00f4 01 0000f0 03 03", MAX_LEN, "E_PDU 2/1\n"); /* TLS hello */
	assert_text_story("'SSH-2.0-OpenSSH_9.2' 0d0a", MAX_LEN, "E_PDU 2/1\n");
	wire_fill(&zeros, 0, 4096);
	assert_story(&zeros, MAX_LEN, "E_PDU 2/1\n");
	wire_free(&zeros);
}

static void H28_pdu_lengths_over_the_limit_are_refused_at_the_header(void **state)
{
	(void)state;
	assert_text_story("01 00 ffffffff", MAX_LEN, "E_PDU 2/6\n");
	assert_text_story("02 00 ffffffff", MAX_LEN, "E_PDU 2/6\n");
	assert_text_story("04 00 ffffffff", MAX_LEN, "E_PDU 2/6\n");
	assert_text_story("01 00 00010001", MAX_LEN, "E_PDU 2/6\n"); /* 65537 */
	assert_text_story("01 00 00010000", MAX_LEN, "BEGIN RQ 65536\n");
	assert_text_story("01 00 00000043", MAX_LEN, "E_PDU 2/6\n"); /* 67: no room for titles */
}

static void U9_a_pdata_may_have_our_maximum_and_not_one_byte_more(void **state)
{
	(void)state;
	static const uint32_t maxima[] = {7, 4096, 16384, UINT32_MAX - 1};
	for (size_t i = 0; i < SL_ARRAY_N(maxima); i++) {
		char expected[64];
		struct wire w = wire_of("04 00");
		wire_be32(&w, maxima[i]);
		(void)snprintf(expected, sizeof(expected), "BEGIN PDATA %u\n", maxima[i]);
		assert_story(&w, maxima[i], expected);
		wire_free(&w);
		w = wire_of("04 00");
		wire_be32(&w, maxima[i] + 1);
		assert_story(&w, maxima[i], "E_PDU 2/6\n");
		wire_free(&w);
	}
	assert_text_story("04 00 ffffffff", 0, "BEGIN PDATA 4294967295\n"); /* 0: no limit */
	assert_text_story("04 00 ffffffff", UINT32_MAX, "BEGIN PDATA 4294967295\n");
}

static void U11_fragments_are_told_with_their_control_header(void **state)
{
	(void)state;
	assert_text_story("04 00 00000024"                     /* P-DATA-TF, four PDVs */
			  "00000006 01 01 00112233"            /* command, more to come */
			  "00000004 01 03 4455"                /* command, last */
			  "00000006 01 00 66778899"            /* data, more to come */
			  "00000004 ff 02 aabb"                /* data, last */
			  "04 00 00000008 00000004 03fe cdef", /* reserved bits of the header set */
		MAX_LEN,
		"BEGIN PDATA 36\n"
		"PDV 1 command n=4 00112233\n"
		"PDV 1 command last n=2 4455\n"
		"PDV 1 data n=4 66778899\n"
		"PDV 255 data last n=2 aabb\n"
		"END PDATA\n"
		"BEGIN PDATA 8\n"
		"PDV 3 data last n=2 cdef\n"
		"END PDATA\n");
}

static void U11_pdata_without_pdv_is_tolerated(void **state)
{
	(void)state;
	assert_text_story("04 00 00000000"
			  "04 00 00000006 00000002 01 02",
		MAX_LEN,
		"BEGIN PDATA 0\n"
		"END PDATA\n"
		"BEGIN PDATA 6\n"
		"PDV 1 data last n=0\n"
		"END PDATA\n");
}

static void U11_odd_fragments_are_tolerated_and_counted(void **state)
{
	(void)state;
	const char *text = "04 00 00000016"
			   "00000003 01 00 aa"
			   "00000003 01 00 bb"
			   "00000004 01 02 ccdd";
	struct wire w = wire_of(text);
	struct sl_pdu_dec dec;
	struct trace t = {0};
	sl_pdu_init(&dec, MAX_LEN);
	assert_true(trace_chunk(&t, &dec, w.p, w.n));
	assert_int_equal(dec.odd_fragments_n, 2);
	free(t.text);
	wire_free(&w);
	assert_text_story(text, MAX_LEN,
		"BEGIN PDATA 22\n"
		"PDV 1 data n=1 aa\n"
		"PDV 1 data n=1 bb\n"
		"PDV 1 data last n=2 ccdd\n"
		"END PDATA\n");
}

/* PDV lengths {0, 1, rem+1, 2^31-1, 2^31, 2^32-4, 2^32-1} in a PDU with 8 bytes after the length. */
static void U11_H9_pdv_lengths_that_lie_are_refused(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {
		0, 1, 9, INT32_MAX, (uint32_t)INT32_MAX + 1, UINT32_MAX - 3, UINT32_MAX};
	for (size_t i = 0; i < SL_ARRAY_N(lengths); i++) {
		struct wire w = wire_of("04 00 0000000c");
		wire_be32(&w, lengths[i]);
		wire_text(&w, "01 02 001122334455");
		assert_story(&w, 0, "BEGIN PDATA 12\nE_PDU 2/6\n");
		assert_story(&w, UINT32_MAX, "BEGIN PDATA 12\nE_PDU 2/6\n");
		wire_free(&w);
	}
	assert_text_story("04 00 0000000c 00000008 01 02 001122334455", 0, /* rem is right */
		"BEGIN PDATA 12\nPDV 1 data last n=6 001122334455\nEND PDATA\n");
}

static void U11_bytes_too_few_for_a_pdv_header_are_refused(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 6; n++) {
		struct wire w = wire_of("04 00");
		wire_be32(&w, n);
		wire_fill(&w, 0, n);
		char expected[64];
		(void)snprintf(expected, sizeof(expected), "BEGIN PDATA %u\nE_PDU 2/6\n", n);
		assert_story(&w, MAX_LEN, expected);
		wire_free(&w);
	}
	assert_text_story("04 00 0000000b" /* a whole PDV, then three bytes */
			  "00000004 01 02 aabb"
			  "000000",
		MAX_LEN,
		"BEGIN PDATA 11\n"
		"PDV 1 data last n=2 aabb\n"
		"E_PDU 2/6\n");
}

static void U9_a_full_pdata_is_handed_on_whole_in_any_split(void **state)
{
	(void)state;
	struct wire w = wire_of("04 00 00004000 00003ffc 0b 02");
	uint64_t seed = 42;
	for (int i = 0; i < 16384 - 6; i++)
		wire_fill(&w, (uint8_t)wire_random(&seed), 1);
	wire_text(&w, "05 00 00000004 00000000");
	char *whole = trace_run(w.p, w.n, MAX_LEN, NULL, 0);
	assert_non_null(strstr(whole, "PDV 11 data last n=16378 #"));
	assert_non_null(strstr(whole, "END PDATA\nBEGIN RELEASE_RQ 4\nEND RELEASE_RQ\n"));
	assert_story(&w, MAX_LEN, whole);
	free(whole);
	wire_free(&w);
}

/* Payload is never collected, so what has come is told even when its PDV is not complete. */
static void U11_slices_come_as_bytes_come(void **state)
{
	(void)state;
	struct wire w = wire_of("04 00 00000010 0000000c 07 03 00112233445566778899");
	struct sl_pdu_dec dec;
	struct sl_pdu_ev ev;
	sl_pdu_init(&dec, MAX_LEN);
	struct sl_cur in = sl_cur_of(w.p, 15);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_OK);
	assert_int_equal(ev.type, SL_PDU_EV_BEGIN);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_OK);
	assert_int_equal(ev.type, SL_PDU_EV_PDV);
	assert_ptr_equal(ev.pdv.p, w.p + 12);
	assert_int_equal(ev.pdv.len, 3);
	assert_int_equal(ev.pdv.left, 7);
	assert_true(ev.pdv.fragment_begin && !ev.pdv.fragment_end);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_AGAIN);
	in = sl_cur_of(w.p + 15, w.n - 15);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_OK);
	assert_int_equal(ev.pdv.len, 7);
	assert_true(!ev.pdv.fragment_begin && ev.pdv.fragment_end);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_OK);
	assert_int_equal(ev.type, SL_PDU_EV_END);
	assert_int_equal(sl_pdu_next(&dec, &in, &ev), SL_AGAIN);
	wire_free(&w);
}

static void U7_reserved_bytes_of_any_value_are_accepted(void **state)
{
	(void)state;
	for (unsigned b = 0; b <= UINT8_MAX; b++) {
		struct wire w = wire_of("05 00 00000004 00000000"
					"03 00 00000004 00 02 03 02"
					"07 00 00000004 0000 00 00");
		static const uint8_t reserved[] = {1, 6, 7, 8, 9, 11, 16, 21, 26, 27};
		for (size_t i = 0; i < SL_ARRAY_N(reserved); i++)
			w.p[reserved[i]] = (uint8_t)b;
		char *got = trace_run(w.p, w.n, MAX_LEN, NULL, 0);
		assert_string_equal(got, "BEGIN RELEASE_RQ 4\nEND RELEASE_RQ\n"
					 "BEGIN RJ 4\nEND RJ 2/3/2\n"
					 "BEGIN ABORT 4\nEND ABORT 0/0\n");
		free(got);
		wire_free(&w);
	}
}

static void every_pdu_is_the_event_of_table_9_10(void **state)
{
	(void)state;
	assert_int_equal(sl_pdu_ul_event(SL_PDU_ASSOCIATE_AC), SL_UL_EVT3);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_ASSOCIATE_RJ), SL_UL_EVT4);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_ASSOCIATE_RQ), SL_UL_EVT6);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_PDATA_TF), SL_UL_EVT10);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_RELEASE_RQ), SL_UL_EVT12);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_RELEASE_RP), SL_UL_EVT13);
	assert_int_equal(sl_pdu_ul_event(SL_PDU_ABORT), SL_UL_EVT16);
}

/* Random bytes behind a true header: any split tells the same, and the trace's own rules hold. */
static void random_streams_tell_the_same_in_any_split(void **state)
{
	(void)state;
	uint64_t seed = 20240229;
	for (int round = 0; round < 300; round++) {
		struct wire w = {NULL, 0};
		for (int pdu = 0; pdu < 4; pdu++) {
			uint32_t len = wire_random(&seed) % 64;
			wire_text(&w, "04 00");
			wire_be32(&w, len + 6);
			wire_be32(&w, wire_random(&seed) % 8 == 0 ? len : len + 2);
			for (uint32_t i = 0; i < len + 2; i++)
				wire_fill(&w, (uint8_t)wire_random(&seed), 1);
		}
		char *whole = trace_run(w.p, w.n, MAX_LEN, NULL, 0);
		assert_story(&w, MAX_LEN, whole);
		free(whole);
		wire_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U5_reject_is_told_with_result_source_reason),
		cmocka_unit_test(U6_abort_is_told_with_source_and_reason),
		cmocka_unit_test(U2_release_pdus_are_told),
		cmocka_unit_test(U6_unknown_pdu_types_are_refused_as_2_1),
		cmocka_unit_test(U6_pdus_of_four_bytes_have_four),
		cmocka_unit_test(H35_other_protocols_are_refused_by_their_first_bytes),
		cmocka_unit_test(H28_pdu_lengths_over_the_limit_are_refused_at_the_header),
		cmocka_unit_test(U9_a_pdata_may_have_our_maximum_and_not_one_byte_more),
		cmocka_unit_test(U11_fragments_are_told_with_their_control_header),
		cmocka_unit_test(U11_pdata_without_pdv_is_tolerated),
		cmocka_unit_test(U11_odd_fragments_are_tolerated_and_counted),
		cmocka_unit_test(U11_H9_pdv_lengths_that_lie_are_refused),
		cmocka_unit_test(U11_bytes_too_few_for_a_pdv_header_are_refused),
		cmocka_unit_test(U9_a_full_pdata_is_handed_on_whole_in_any_split),
		cmocka_unit_test(U11_slices_come_as_bytes_come),
		cmocka_unit_test(U7_reserved_bytes_of_any_value_are_accepted),
		cmocka_unit_test(every_pdu_is_the_event_of_table_9_10),
		cmocka_unit_test(random_streams_tell_the_same_in_any_split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
