/* The items of A-ASSOCIATE-RQ and -AC: what each tells.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/assoc_wire.h"

/* ---- Whole PDUs --------------------------------------------------------------------------------- */

static void U8_a_request_is_told_item_by_item(void **state)
{
	(void)state;
	assert_text_story(ECHOSCU_RQ, 0,
		"BEGIN RQ 205\n"
		"AE_TITLES v=0001 [ANY-SCP_________][STORESCU________]\n"
		"APPLICATION_CONTEXT [1.2.840.10008.3.1.1.1]\n"
		"PCTX 1 result=0\n"
		"PCTX 1 abstract [1.2.840.10008.1.1]\n"
		"PCTX 1 transfer [1.2.840.10008.1.2]\n"
		"PCTX 1 end\n"
		"MAX_LEN 16384\n"
		"IMPL_CLASS [1.2.276.0.7230010.3.0.3.6.7]\n"
		"IMPL_VERSION [OFFIS_DCMTK_367]\n"
		"END RQ seen=2f pctx=1 ignored=0\n");
}

static void U8_an_acceptance_is_told_with_results(void **state)
{
	(void)state;
	assert_ac("10 00 {'1.2.840.10008.3.1.1.1'}"
		  "21 00 {01 00 00 00 40 00 {'1.2.840.10008.1.2.1'}}" /* accepted */
		  "21 00 {03 00 03 00 40 00 {}}"                      /* abstract syntax refused */
		  "21 00 {05 00 04 00}"                               /* no sub-item at all */
		  "21 00 {07 00 01 00 aabbcc}" /* not significant, so not read */
		  "50 00 {51 00 {00000000} 52 00 {'1.2.3'}}",
		"APPLICATION_CONTEXT [1.2.840.10008.3.1.1.1]\n"
		"PCTX 1 result=0\n"
		"PCTX 1 transfer [1.2.840.10008.1.2.1]\n"
		"PCTX 1 end\n"
		"PCTX 3 result=3\n"
		"PCTX 3 end\n"
		"PCTX 5 result=4\n"
		"PCTX 5 end\n"
		"PCTX 7 result=1\n"
		"PCTX 7 end\n"
		"MAX_LEN 0\n"
		"IMPL_CLASS [1.2.3]\n"
		"END AC seen=0f pctx=4 ignored=0\n");
}

static void U12_two_requests_in_one_stream_begin_anew(void **state)
{
	(void)state;
	struct wire w = wire_of(ECHOSCU_RQ ECHOSCU_RQ "04 00 00000000");
	char *whole = trace_run(w.p, w.n, 0, NULL, 0);
	const char *second = strstr(whole + 1, "BEGIN RQ");
	assert_non_null(second);
	assert_memory_equal(whole, second, (size_t)(second - whole));
	assert_string_equal(second + (second - whole), "BEGIN PDATA 0\nEND PDATA\n");
	assert_story(&w, 0, whole);
	free(whole);
	wire_free(&w);
}

static void U7_reserved_bytes_and_versions_of_any_value_are_accepted(void **state)
{
	(void)state;
	/* in the PDU header; after the version; of the 32 after the titles; in each item header; three
	 * after the context ID (the second of which is the result in an -AC) */
	static const size_t reserved[] = {
		1, 8, 9, 42, 43, 58, 73, 75, 100, 104, 105, 106, 108, 129, 150, 154, 162, 193};
	struct wire w = wire_of(ECHOSCU_RQ);
	uint64_t seed = 7;
	char *expected = trace_run(w.p, w.n, 0, NULL, 0);
	for (int round = 0; round < 64; round++) {
		for (size_t i = 0; i < SL_ARRAY_N(reserved); i++)
			w.p[reserved[i]] = (uint8_t)wire_random(&seed);
		assert_same_story(&w, 0, NULL, 0, expected);
	}
	w.p[6] = 0xff; /* the version is handed on whole: bit 0 is for the caller to test */
	w.p[7] = 0x03;
	char *got = trace_run(w.p, w.n, 0, NULL, 0);
	assert_non_null(strstr(got, "AE_TITLES v=ff03"));
	free(got);
	free(expected);
	wire_free(&w);
}

static void a_request_with_nothing_is_complete_and_says_so(void **state)
{
	(void)state;
	assert_rq("", SEEN_NONE);
	assert_rq("50 00 {}", "END RQ seen=02 pctx=0 ignored=0\n");
}

static void items_in_another_order_are_told_as_they_come(void **state)
{
	(void)state;
	assert_rq("50 00 {55 00 {'V'} 51 00 {00000007}}"
		  "20 00 {01 00 00 00 40 00 {'1.2'} 30 00 {'1.1'}}"
		  "10 00 {'1'}",
		"IMPL_VERSION [V]\n"
		"MAX_LEN 7\n"
		"PCTX 1 result=0\n"
		"PCTX 1 transfer [1.2]\n"
		"PCTX 1 abstract [1.1]\n"
		"PCTX 1 end\n"
		"APPLICATION_CONTEXT [1]\n"
		"END RQ seen=27 pctx=1 ignored=0\n");
}

/* A prefix of a request tells a prefix of its story, and never an error. */
static void a_request_truncated_at_every_byte_waits_for_more(void **state)
{
	(void)state;
	struct wire w = wire_of(ECHOSCU_RQ);
	char *whole = trace_run(w.p, w.n, 0, NULL, 0);
	for (size_t n = 0; n < w.n; n++) {
		char *part = trace_run(w.p, n, 0, NULL, 0);
		assert_true(strlen(part) < strlen(whole));
		assert_memory_equal(part, whole, strlen(part));
		free(part);
	}
	free(whole);
	wire_free(&w);
}

/* The same, where the PDU's length says that this is all: refused, unless it ends where an item does. */
static void a_request_that_ends_at_any_byte_is_refused_between_items(void **state)
{
	(void)state;
	struct wire w = wire_of(ECHOSCU_RQ);
	size_t whole = w.n, complete_n = 0;
	for (w.n = SL_PDU_HEAD_LEN + 68; w.n < whole; w.n++) {
		assoc_end(&w);
		char *got = trace_run(w.p, w.n, 0, NULL, 0);
		bool is_refused = strstr(got, "E_PDU 2/6\n") != NULL;
		bool is_complete = strstr(got, "END RQ") != NULL;
		assert_true(is_refused != is_complete);
		complete_n += is_complete ? 1 : 0;
		assert_int_equal(is_complete, w.n == 74 || w.n == 99 || w.n == 149);
		free(got);
	}
	assert_int_equal(
		complete_n, 3); /* after the titles, the application context, the context */
	w.n = whole;
	wire_free(&w);
}

/* ---- Values ------------------------------------------------------------------------------------- */

static void H40_application_context_names_of_any_content_are_handed_on(void **state)
{
	(void)state;
	assert_rq("10 00 {}", "APPLICATION_CONTEXT []\nEND RQ seen=01 pctx=0 ignored=0\n");
	assert_rq("10 00 {'a' 00 1b '[2J' ff}",
		"APPLICATION_CONTEXT [a\\00\\1b[2J\\ff]\nEND RQ seen=01 pctx=0 ignored=0\n");
	struct wire w = assoc_begin("01");
	wire_text(&w, "10 00");
	wire_be16(&w, 65464); /* as long as the PDU allows: 65536 - 68 - 4 */
	wire_fill(&w, 'x', 65464);
	assert_int_equal(w.n - SL_PDU_HEAD_LEN, SL_PDU_MAX_ASSOC_LEN);
	assert_lines(&w, "APPLICATION_CONTEXT (65464 not kept)\n"
			 "END RQ seen=01 pctx=0 ignored=0\n");
}

static void values_are_kept_up_to_the_cap_and_not_one_byte_more(void **state)
{
	(void)state;
	char line[160] = "APPLICATION_CONTEXT [", x[SL_PDU_FIELD_MAX + 1];
	struct wire w = assoc_begin("01");
	memset(x, 'x', SL_PDU_FIELD_MAX);
	x[SL_PDU_FIELD_MAX] = '\0';
	strcat(line, x);
	strcat(line, "]\nEND RQ seen=01 pctx=0 ignored=0\n");
	wire_text(&w, "10 00");
	wire_be16(&w, SL_PDU_FIELD_MAX);
	wire_fill(&w, 'x', SL_PDU_FIELD_MAX);
	assert_lines(&w, line);
	w = assoc_begin("01");
	wire_text(&w, "10 00");
	wire_be16(&w, SL_PDU_FIELD_MAX + 1);
	wire_fill(&w, 'x', SL_PDU_FIELD_MAX + 1);
	assert_lines(&w, "APPLICATION_CONTEXT (81 not kept)\n"
			 "END RQ seen=01 pctx=0 ignored=0\n");
}

static void U8_syntaxes_of_any_length_are_handed_on(void **state)
{
	(void)state;
	struct wire w = assoc_begin("01");
	wire_text(&w, "20 00");
	wire_be16(&w, 4 + 4 + 100 + 4 + 200 + 4);
	wire_text(&w, "01 00 00 00 30 00 0064");
	wire_fill(&w, '1', 100);
	wire_text(&w, "40 00 00c8");
	wire_fill(&w, '2', 200);
	wire_text(&w, "40 00 {}");
	assert_lines(&w, "PCTX 1 result=0\n"
			 "PCTX 1 abstract (100 not kept)\n"
			 "PCTX 1 transfer (200 not kept)\n"
			 "PCTX 1 transfer []\n"
			 "PCTX 1 end\n"
			 "END RQ seen=00 pctx=1 ignored=0\n");
}

static void D6_async_window_is_told(void **state)
{
	(void)state;
	assert_rq(
		"50 00 {53 00 0004 0000 ffff}", "ASYNC 0 65535\nEND RQ seen=12 pctx=0 ignored=0\n");
}

static void D7_roles_are_told(void **state)
{
	(void)state;
	assert_rq("50 00 {54 00 {{'1.2.840.10008.5.1.4.1.1.2'} 00 01}" /* */
		  "54 00 {{'1.2.840.10008.5.1.4.1.1.4' 00} 01 ff}"     /* padded, odd value */
		  "54 00 {{} 01 01}}",
		"ROLE [1.2.840.10008.5.1.4.1.1.2] scu=0 scp=1\n"
		"ROLE [1.2.840.10008.5.1.4.1.1.4\\00] scu=1 scp=255\n"
		"ROLE [] scu=1 scp=1\n"
		"END RQ seen=02 pctx=0 ignored=0\n");
	struct wire w = assoc_begin(
		"01"); /* a class name of 79 bytes, one more than is kept with the roles */
	wire_text(&w, "50 00 0057 54 00 0053 004f");
	wire_fill(&w, '1', 79);
	wire_text(&w, "01 01");
	assert_lines(&w, "END RQ seen=02 pctx=0 ignored=1\n");
}

static void D8_extended_negotiation_is_told_with_its_information(void **state)
{
	(void)state;
	assert_rq("50 00 {56 00 {{'1.2.840.10008.5.1.4.1.1.2'} 02 00 00 00 01 00}"
		  "56 00 {{'1.2'}}}",
		"EXTENDED [1.2.840.10008.5.1.4.1.1.2] [\\02\\00\\00\\00\\01\\00]\n"
		"EXTENDED [1.2] []\n"
		"END RQ seen=02 pctx=0 ignored=0\n");
	struct wire w = assoc_begin("01"); /* the longest UID and information that is kept */
	char line[256] = "EXTENDED [";
	wire_text(&w, "50 00 0056 56 00 0052 0040");
	wire_fill(&w, '7', 64);
	wire_text(&w, "'0123456789abcdef'");
	memset(line + 10, '7', 64);
	strcpy(line + 74, "] [0123456789abcdef]\nEND RQ seen=02 pctx=0 ignored=0\n");
	assert_lines(&w, line);
	w = assoc_begin("01"); /* information of 65000 bytes: the class is kept, it is not */
	wire_text(&w, "50 00 fdf5 56 00 fdf1 0007 '1.2.840'");
	wire_fill(&w, 1, 65000);
	assert_lines(&w, "EXTENDED [1.2.840] (65000 not kept)\n"
			 "END RQ seen=02 pctx=0 ignored=0\n");
	w = assoc_begin("01"); /* a class of 81 bytes: neither is */
	wire_text(&w, "50 00 0059 56 00 0055 0051");
	wire_fill(&w, '1', 81);
	wire_text(&w, "0102");
	assert_lines(&w, "EXTENDED (81 not kept) (2 not kept)\n"
			 "END RQ seen=02 pctx=0 ignored=0\n");
}

static void D8_common_extended_negotiation_is_told(void **state)
{
	(void)state;
	assert_rq("50 00 {57 00 {{'1.3.6.1.4.1.9.1'} {'1.2.840.10008.4.2'}"
		  "{{'1.2.840.10008.5.1.4.1.1.2'} {'1.2.840.10008.5.1.4.1.1.4'}}}"
		  "51 00 {00000400}}",
		"COMMON_CLASS [1.3.6.1.4.1.9.1]\n"
		"COMMON_SERVICE [1.2.840.10008.4.2]\n"
		"COMMON_RELATED [1.2.840.10008.5.1.4.1.1.2]\n"
		"COMMON_RELATED [1.2.840.10008.5.1.4.1.1.4]\n"
		"MAX_LEN 1024\n"
		"END RQ seen=06 pctx=0 ignored=0\n");
}

/* Each identity type with fields of 0, 1 and as many bytes as fit. */
static void D8_user_identity_is_told_by_type_and_lengths(void **state)
{
	(void)state;
	static const size_t lens[] = {0, 1, 65535 - 4 - 4 - 2 - 1000};
	for (uint8_t type = 0; type < 7; type++) {
		for (size_t i = 0; i < SL_ARRAY_N(lens); i++) {
			char line[128];
			struct wire w = assoc_begin("01");
			wire_text(&w, "50 00");
			wire_be16(&w, 4 + 4 + lens[i] + 2 + 5);
			wire_text(&w, "58 00");
			wire_be16(&w, 4 + lens[i] + 2 + 5);
			wire_add(&w, (const uint8_t[2]){type, type & 1}, 2);
			wire_be16(&w, lens[i]);
			wire_fill(&w, 'S', lens[i]);
			wire_text(&w, "{'token'}");
			(void)snprintf(line, sizeof(line),
				"IDENTITY type=%u wanted=%u %zu+5\n"
				"END RQ seen=42 pctx=0 ignored=0\n",
				type, type & 1, lens[i]);
			assert_lines(&w, line);
		}
	}
	assert_ac("50 00 {59 00 {{'ticket'}} 58 00 {01 00 {} {}}}",
		"IDENTITY_REPLY 6\nEND AC seen=82 pctx=0 ignored=1\n");
}

/* The decoder never holds a byte of a secret, wherever the stream is cut. */
static void D8_no_secret_enters_the_decoder(void **state)
{
	(void)state;
	struct wire w = assoc_begin("01");
	wire_text(&w, "50 00 {58 00 {02 01 {'ZZCANARYZZ'} {'ZZCANARYZZ'}}}");
	assoc_end(&w);
	for (size_t cut = 0; cut <= w.n; cut++) {
		struct sl_pdu_dec dec;
		struct sl_pdu_ev ev;
		sl_pdu_init(&dec, 0);
		for (int half = 0; half < 2; half++) {
			struct sl_cur in =
				half == 0 ? sl_cur_of(w.p, cut) : sl_cur_of(w.p + cut, w.n - cut);
			while (sl_pdu_next(&dec, &in, &ev) == SL_OK)
				;
			for (size_t i = 0; i + 2 <= sizeof(dec); i++)
				assert_memory_not_equal((const uint8_t *)&dec + i, "ZZ", 2);
		}
	}
	wire_free(&w);
}

static void D9_implementation_names_are_handed_on_raw(void **state)
{
	(void)state;
	assert_rq("50 00 {52 00 {'1.2.3' 00} 55 00 {'A name over sixteen characters' 0a}}",
		"IMPL_CLASS [1.2.3\\00]\n"
		"IMPL_VERSION [A_name_over_sixteen_characters\\0a]\n"
		"END RQ seen=2a pctx=0 ignored=0\n");
	assert_rq("50 00 {52 00 {} 55 00 {}}", "IMPL_CLASS []\nIMPL_VERSION []\n"
					       "END RQ seen=2a pctx=0 ignored=0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U8_a_request_is_told_item_by_item),
		cmocka_unit_test(U8_an_acceptance_is_told_with_results),
		cmocka_unit_test(U12_two_requests_in_one_stream_begin_anew),
		cmocka_unit_test(U7_reserved_bytes_and_versions_of_any_value_are_accepted),
		cmocka_unit_test(a_request_with_nothing_is_complete_and_says_so),
		cmocka_unit_test(items_in_another_order_are_told_as_they_come),
		cmocka_unit_test(a_request_truncated_at_every_byte_waits_for_more),
		cmocka_unit_test(a_request_that_ends_at_any_byte_is_refused_between_items),
		cmocka_unit_test(H40_application_context_names_of_any_content_are_handed_on),
		cmocka_unit_test(values_are_kept_up_to_the_cap_and_not_one_byte_more),
		cmocka_unit_test(U8_syntaxes_of_any_length_are_handed_on),
		cmocka_unit_test(D6_async_window_is_told),
		cmocka_unit_test(D7_roles_are_told),
		cmocka_unit_test(D8_extended_negotiation_is_told_with_its_information),
		cmocka_unit_test(D8_common_extended_negotiation_is_told),
		cmocka_unit_test(D8_user_identity_is_told_by_type_and_lengths),
		cmocka_unit_test(D8_no_secret_enters_the_decoder),
		cmocka_unit_test(D9_implementation_names_are_handed_on_raw),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
