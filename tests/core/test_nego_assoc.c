/* Negotiation of the association and of user information: PS3.8 9.3.2-9.3.4, annex D; PS3.7 annex D.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>

#include "support/request.h"

#define CT_CONTEXT CONTEXT("01", CLASS(CT) SYNTAX(EXPLICIT_LE))
#define TITLES     "SLUICE          STORESCU        "

/* Version, titles and items as they stand, without an application context of ours. */
static struct talk talk_raw(const char *version, const char *titles, const char *items)
{
	struct talk t = talk_ready();
	struct wire w = request_of(version, titles, items);
	talk_wire(&t, &w);
	wire_free(&w);
	return t;
}

static void assert_rejected(
	const struct talk *t, int result, int source, int reason, const char *why)
{
	assert_string_equal(t->decision.why, why);
	assert_int_equal(t->decision.verdict, SL_NEGO_REJECT);
	assert_int_equal(t->decision.reject.result, result);
	assert_int_equal(t->decision.reject.source, source);
	assert_int_equal(t->decision.reject.reason, reason);
}

static void U5_protocol_version_bit_0_must_be_set(void **state)
{
	(void)state;
	static const char *const refused[] = {"0000", "0002", "fffe"};
	for (size_t i = 0; i < SL_ARRAY_N(refused); i++) {
		struct talk t = talk_raw(refused[i], TITLES, APPLICATION_CONTEXT CT_CONTEXT);
		assert_rejected(&t, 1, 2, 2, "protocol-version");
	}
}

static void U5_the_application_context_must_be_dicoms(void **state)
{
	(void)state;
	static const char *const refused[] = {
		CT_CONTEXT,
		"10 00 {'1.2.840.10008.3.1.1.2'}" CT_CONTEXT,
		"10 00 {}" CT_CONTEXT,
		"10 00 {'not a uid'}" CT_CONTEXT,
		"10 00 {'1.2.840.10008.3.1.1.1.1'}" CT_CONTEXT,
	};
	for (size_t i = 0; i < SL_ARRAY_N(refused); i++) {
		struct talk t = talk_raw("0001", TITLES, refused[i]);
		assert_rejected(&t, 1, 1, 2, "application-context");
	}
	struct talk padded =
		talk_raw("0001", TITLES, "10 00 {'1.2.840.10008.3.1.1.1' 00}" CT_CONTEXT);
	assert_int_equal(padded.decision.verdict, SL_NEGO_ACCEPT);
}

static void U5_what_the_node_knows_rejects(void **state)
{
	(void)state;
	static const struct {
		struct sl_nego_node node;
		int result, source, reason;
		const char *why;
	} rows[] = {
		{{false, true, false, false, 0}, 1, 1, 3, "calling-ae"},
		{{true, false, false, false, 0}, 1, 1, 7, "called-ae"},
		{{true, true, true, false, 0}, 2, 3, 2, "limit"},
		{{true, true, false, true, 0}, 2, 3, 1, "congestion"},
		/* The first fault counts: a stranger learns nothing more. */
		{{false, false, true, true, 0}, 1, 1, 3, "calling-ae"},
		{{true, false, true, true, 0}, 1, 1, 7, "called-ae"},
		{{true, true, true, true, 0}, 2, 3, 2, "limit"},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct talk t = talk_ready();
		t.node = rows[i].node;
		talk_items(&t, CT_CONTEXT);
		assert_rejected(&t, rows[i].result, rows[i].source, rows[i].reason, rows[i].why);
	}
}

static void U5_of_several_faults_the_first_counts(void **state)
{
	(void)state;
	struct talk t = talk_raw("0000", "                                ",
		CONTEXT("02", CLASS(CT) SYNTAX(EXPLICIT_LE)));
	assert_rejected(&t, 1, 2, 2, "protocol-version");
	t = talk_raw("0001", "                                ",
		CONTEXT("02", CLASS(CT) SYNTAX(EXPLICIT_LE)));
	assert_rejected(&t, 1, 1, 2, "application-context");
	t = talk_raw("0001", "                                ",
		APPLICATION_CONTEXT CONTEXT("02", CLASS(CT) SYNTAX(EXPLICIT_LE)));
	assert_rejected(&t, 1, 1, 3, "calling-ae");
}

static void U7_titles_that_cannot_be_titles(void **state)
{
	(void)state;
	static const struct {
		const char *titles;
		int reason; /* 0: accepted */
	} rows[] = {
		{"SLUICE          STORESCU        ", 0}, {"          SLUICE        STORESCU", 0},
		{"                STORESCU        ", 7}, {"SLUICE                          ", 3},
		{"SL\\UICE         STORESCU        ", 7}, {"SLUICE          STORE\nSCU       ", 3},
		{"../secret/VICTIM/ . .           ", 0}, /* HOSTILE 4: never part of a path */
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct talk t = talk_raw("0001", rows[i].titles, APPLICATION_CONTEXT CT_CONTEXT);
		if (rows[i].reason == 0)
			assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
		else
			assert_rejected(&t, 1, 1, rows[i].reason,
				rows[i].reason == 3 ? "calling-ae" : "called-ae");
	}
}

static void U7_titles_are_trimmed_for_us_and_returned_as_they_came(void **state)
{
	(void)state;
	struct talk t = talk_raw(
		"0001", "  SLUICE           STORE SCU    ", APPLICATION_CONTEXT CT_CONTEXT);
	assert_string_equal(t.nego.called.s, "SLUICE");
	assert_string_equal(t.nego.calling.s, "STORE SCU");
	assert_answer(&t, "[__SLUICE________][___STORE_SCU____]\n");
}

static void U7_reserved_fields_and_version_bits_are_not_tested(void **state)
{
	(void)state;
	uint64_t seed = 42;
	struct talk clean = talk(CT_CONTEXT USER(MAX_LEN));
	char *expected = answer_story(&clean);
	for (int round = 0; round < 100; round++) {
		struct talk t = talk_ready();
		struct wire w = request_of("0003", TITLES, APPLICATION_CONTEXT CT_CONTEXT);
		wire_text(&w, USER(MAX_LEN));
		request_close(&w);
		w.p[1] = (uint8_t)wire_random(&seed);
		w.p[8] = (uint8_t)wire_random(&seed);
		w.p[9] = (uint8_t)wire_random(&seed);
		for (size_t i = 42; i < 74; i++)
			w.p[i] = (uint8_t)wire_random(&seed);
		size_t pctx = 74 + 4 + strlen(SL_APPLICATION_CONTEXT_UID);
		assert_int_equal(w.p[pctx], 0x20);
		w.p[75] = w.p[pctx + 1] = (uint8_t)wire_random(&seed);
		w.p[pctx + 5] = w.p[pctx + 6] = w.p[pctx + 7] = (uint8_t)wire_random(&seed);
		talk_wire(&t, &w);
		wire_free(&w);
		assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
		char *story = answer_story(&t);
		assert_string_equal(story, expected);
		free(story);
	}
	free(expected);
}

static void U9_maximum_length_of_the_peer(void **state)
{
	(void)state;
	static const struct {
		const char *items;
		uint32_t max_len;
		bool accepted;
	} rows[] = {
		{USER("51 00 {00000000}"), 0, true},
		{USER("51 00 {00000001}"), 1, false},
		{USER("51 00 {00000006}"), 6, false},
		{USER("51 00 {00000007}"), 7, true},
		{USER("51 00 {00001000}"), 4096, true},
		{USER("51 00 {ffffffff}"), UINT32_MAX, true},
		{USER(""), SL_PDU_ASSUMED_MAX_LEN, true},
		{"", SL_PDU_ASSUMED_MAX_LEN, true},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct talk t = talk_ready();
		char items[512];
		snprintf(items, sizeof(items), "%s%s", CT_CONTEXT, rows[i].items);
		talk_items(&t, items);
		assert_int_equal(t.nego.peer_max_len, rows[i].max_len);
		if (rows[i].accepted)
			assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
		else
			assert_rejected(&t, 1, 1, 1, "max-length");
	}
}

static void U9_we_declare_exactly_one_maximum_length(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT);
	char *story = answer_story(&t);
	char *at = strstr(story, "MAX_LEN 131072\n");
	assert_non_null(at);
	assert_null(strstr(at + 1, "MAX_LEN"));
	free(story);
}

static void D6_window_is_the_smaller_of_asked_and_bound(void **state)
{
	(void)state;
	static const struct {
		const char *asked;
		uint16_t bound, now; /* of the policy; what the node has left, 0: unknown */
		const char *answer;  /* NULL: none */
		uint16_t invoked;
	} rows[] = {
		{"", 1, 0, NULL, 1},
		{"", 8, 0, NULL, 1}, /* not asked: synchronous, whatever we could do */
		{"53 00 {0001 0001}", 1, 0, "ASYNC 1 1\n", 1},
		{"53 00 {0000 0000}", 1, 0, "ASYNC 1 1\n", 1}, /* any number */
		{"53 00 {0010 0001}", 1, 0, "ASYNC 1 1\n", 1},
		{"53 00 {0010 0001}", 8, 0, "ASYNC 8 1\n", 8},
		{"53 00 {0004 0004}", 8, 0, "ASYNC 4 4\n", 4},
		{"53 00 {0000 0001}", 8, 0, "ASYNC 8 1\n", 8},
		{"53 00 {ffff ffff}", 8, 0, "ASYNC 8 8\n", 8},
		{"53 00 {0010 0001}", 8, 3, "ASYNC 3 1\n", 3},
		{"53 00 {0000 0001}", 8, 1, "ASYNC 1 1\n", 1},
		{"53 00 {0002 0001}", 8, 3, "ASYNC 2 1\n", 2},
		{"53 00 {0010 0001}", 8, 9, "ASYNC 8 1\n", 8},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct talk t = talk_ready();
		char items[512];
		snprintf(
			items, sizeof(items), "%s50 00 {%s%s}", CT_CONTEXT, MAX_LEN, rows[i].asked);
		t.policy.async_max = rows[i].bound;
		t.node.async_max = rows[i].now;
		talk_items(&t, items);
		assert_int_equal(t.nego.async_invoked, rows[i].invoked);
		if (rows[i].answer != NULL)
			assert_answer(&t, rows[i].answer);
		else
			assert_no_answer(&t, "ASYNC");
	}
}

static void D7_scu_role_as_asked_scp_role_needs_get(void **state)
{
	(void)state;
	static const struct {
		const char *role, *answer, *answer_with_get;
	} rows[] = {
		{ROLE(CT, "01", "00"), "scu=1 scp=0", "scu=1 scp=0"},
		{ROLE(CT, "00", "01"), "scu=0 scp=0", "scu=0 scp=1"},
		{ROLE(CT, "01", "01"), "scu=1 scp=0", "scu=1 scp=1"},
		{ROLE(CT, "00", "00"), "scu=0 scp=0", "scu=0 scp=0"},
		{ROLE(CT, "02", "ff"), "scu=0 scp=0", "scu=0 scp=0"}, /* 0 and 1 are defined */
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		for (unsigned get = 0; get < 2; get++) {
			struct talk t = talk_ready();
			char items[1024], line[256];
			t.policy.served |= get << SL_SOP_GET;
			snprintf(items, sizeof(items), "%s50 00 {%s%s}",
				CT_CONTEXT CONTEXT("03", CLASS(GET) SYNTAX(IMPLICIT_LE)), MAX_LEN,
				rows[i].role);
			talk_items(&t, items);
			assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
			snprintf(line, sizeof(line), "ROLE [" CT "] %s\n",
				get ? rows[i].answer_with_get : rows[i].answer);
			assert_answer(&t, line);
		}
}

static void D7_a_role_is_answered_once_per_class_and_only_when_asked(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT CONTEXT("03", CLASS(CT) SYNTAX(JPEG)) CONTEXT(
		"05", CLASS(MR) SYNTAX(JPEG)) CONTEXT("07", CLASS(FIND) SYNTAX(IMPLICIT_LE))
			USER(MAX_LEN ROLE(CT, "01", "00") ROLE(FIND, "01", "00")
					ROLE("1.2.3.4", "01", "01")));
	char *story = answer_story(&t);
	char *at = strstr(story, "ROLE [" CT "] scu=1 scp=0\n");
	assert_non_null(at);
	/* Not twice, not for MR (not asked), FIND (refused), 1.2.3.4 (in no context). */
	assert_null(strstr(at + 1, "ROLE"));
	free(story);
}

static void D7_roles_for_128_classes_fit_the_answer(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	struct wire w = request_of("0001", TITLES, APPLICATION_CONTEXT);
	char text[512];
	char pad[48];
	memset(pad, '7', sizeof(pad));
	for (unsigned i = 0; i < 128; i++) { /* UIDs of 64 characters */
		snprintf(text, sizeof(text),
			"20 00 {%02x 000000 30 00 {'1.2.826.0.1.%03u.%.48s'}40 00 {'" EXPLICIT_LE
			"'}}",
			2 * i + 1, 100 + i, pad);
		wire_text(&w, text);
	}
	wire_text(&w, "50 00");
	size_t at = w.n;
	wire_be16(&w, 0);
	for (unsigned i = 0; i < 128; i++) {
		snprintf(text, sizeof(text),
			"54 00 {{'1.2.826.0.1.%03u.%.48s'}01 01} "
			"56 00 {{'1.2.826.0.1.%03u.%.48s'}020000000000}",
			100 + i, pad, 100 + i, pad);
		wire_text(&w, text);
	}
	w.p[at] = (uint8_t)((w.n - at - 2) >> 8);
	w.p[at + 1] = (uint8_t)(w.n - at - 2);
	request_close(&w);
	talk_wire(&t, &w);
	wire_free(&w);
	assert_int_equal(t.nego.accepted_n, 128);
	char *story = answer_story(&t); /* asserts that it fits SL_NEGO_AC_MAX */
	size_t roles = 0, extended = 0;
	for (const char *s = story; (s = strstr(s, "ROLE [")) != NULL; s++)
		roles++;
	for (const char *s = story; (s = strstr(s, "EXTENDED [")) != NULL; s++)
		extended++;
	assert_int_equal(roles, 128);
	assert_int_equal(extended, 128);
	free(story);
}

static void D8_user_identity_is_accepted_and_answered_when_asked(void **state)
{
	(void)state;
	static const struct {
		const char *identity;
		uint8_t type;
		bool answered;
	} rows[] = {
		{"", 0, false},
		{"58 00 {01 00 {'alice'} {}}", 1, false},
		{"58 00 {01 01 {'alice'} {}}", 1, true},
		{"58 00 {02 00 {'alice'} {'secret'}}", 2, false},
		{"58 00 {02 01 {'alice'} {'secret'}}", 2, true},
		{"58 00 {02 01 {} {}}", 2, true},
		{"58 00 {03 01 {'ticket'} {}}", 3, false}, /* no ticket of ours to send */
		{"58 00 {04 01 {'<saml/>'} {}}", 4, false},
		{"58 00 {05 01 {'ey.ey.x'} {}}", 5, false},
		{"58 00 {09 01 {'?'} {}}", 9, false},
		{"58 00 {01 02 {'alice'} {}}", 1, false},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct talk t = talk_ready();
		char items[512];
		snprintf(items, sizeof(items), "%s50 00 {%s%s}", CT_CONTEXT, MAX_LEN,
			rows[i].identity);
		talk_items(&t, items);
		assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
		assert_int_equal(t.nego.identity_type, rows[i].type);
		if (rows[i].answered)
			assert_answer(&t, "IDENTITY_REPLY 0\n");
		else
			assert_no_answer(&t, "IDENTITY_REPLY");
		/* Nothing secret is in our memory. */
		const char *bytes = (const char *)&t.nego;
		for (size_t k = 0; k + 6 <= sizeof(t.nego); k++)
			assert_true(memcmp(bytes + k, "secret", 6) != 0 &&
				    memcmp(bytes + k, "ticket", 6) != 0);
	}
}

static void D8_common_extended_negotiation_has_no_answer(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT USER(MAX_LEN "57 00 {{'" CT "'}{'1.2.840.10008.4.2'}{}}"));
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_no_answer(&t, "COMMON");
}

static void D9_implementation_of_both_sides(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT USER(
		MAX_LEN "52 00 {'1.2.276.0.7230010.3.0.3.6.7'} 55 00 {'OFFIS_DCMTK_367'}"));
	assert_string_equal(t.nego.impl_class.s, "1.2.276.0.7230010.3.0.3.6.7");
	assert_string_equal(t.nego.impl_version, "OFFIS_DCMTK_367");
	assert_answer(&t, "IMPL_CLASS [2.25.");
	assert_answer(&t, "IMPL_VERSION [SLUICE_");
}

static void D9_a_peer_without_or_with_odd_implementation_names(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT USER(MAX_LEN));
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t.nego.impl_class.len, 0);
	assert_string_equal(t.nego.impl_version, "");
	t = talk(CT_CONTEXT USER(
		MAX_LEN "52 00 {'../x'} 55 00 {'12345678901234567890'}")); /* 16 are allowed */
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t.nego.impl_class.len, 0);
	assert_string_equal(t.nego.impl_version, "1234567890123456");
}

static void S2_storage_level_2_bit_preserving_without_coercion(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT CONTEXT("03", CLASS(CT) SYNTAX(JPEG)) CONTEXT("05",
		CLASS(ECHO) SYNTAX(IMPLICIT_LE)) CONTEXT("07", CLASS(PRIVATE) SYNTAX(IMPLICIT_LE))
			USER(MAX_LEN EXTENDED(CT, "030000000200") EXTENDED(ECHO, "01")
					EXTENDED(PRIVATE, "01")));
	char *story = answer_story(&t);
	char *ct = strstr(story, "EXTENDED [" CT "] [\\02\\00\\03\\00\\00\\00]\n");
	char *private = strstr(story, "EXTENDED [" PRIVATE "] [\\02\\00\\03\\00\\00\\00]\n");
	assert_non_null(ct);
	assert_non_null(private);
	assert_null(strstr(story, "EXTENDED [" ECHO));
	assert_null(strstr(ct + 1, "EXTENDED [" CT "]"));
	free(story);
}

static void S2_not_asked_not_answered(void **state)
{
	(void)state;
	struct talk t = talk(CT_CONTEXT USER(MAX_LEN));
	assert_no_answer(&t, "EXTENDED");
	assert_no_answer(&t, "ROLE");
	assert_no_answer(&t, "ASYNC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U5_protocol_version_bit_0_must_be_set),
		cmocka_unit_test(U5_the_application_context_must_be_dicoms),
		cmocka_unit_test(U5_what_the_node_knows_rejects),
		cmocka_unit_test(U5_of_several_faults_the_first_counts),
		cmocka_unit_test(U7_titles_that_cannot_be_titles),
		cmocka_unit_test(U7_titles_are_trimmed_for_us_and_returned_as_they_came),
		cmocka_unit_test(U7_reserved_fields_and_version_bits_are_not_tested),
		cmocka_unit_test(U9_maximum_length_of_the_peer),
		cmocka_unit_test(U9_we_declare_exactly_one_maximum_length),
		cmocka_unit_test(D6_window_is_the_smaller_of_asked_and_bound),
		cmocka_unit_test(D7_scu_role_as_asked_scp_role_needs_get),
		cmocka_unit_test(D7_a_role_is_answered_once_per_class_and_only_when_asked),
		cmocka_unit_test(D7_roles_for_128_classes_fit_the_answer),
		cmocka_unit_test(D8_user_identity_is_accepted_and_answered_when_asked),
		cmocka_unit_test(D8_common_extended_negotiation_has_no_answer),
		cmocka_unit_test(D9_implementation_of_both_sides),
		cmocka_unit_test(D9_a_peer_without_or_with_odd_implementation_names),
		cmocka_unit_test(S2_storage_level_2_bit_preserving_without_coercion),
		cmocka_unit_test(S2_not_asked_not_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
