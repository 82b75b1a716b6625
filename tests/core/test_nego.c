/* Negotiation of contexts and transfer syntaxes: PS3.8 9.3.2.2, 9.3.3.2; DESIGN, contract of names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>

#include "support/request.h"

/* One context, ID 1, of this class and these syntaxes. */
static const struct sl_nego_context *one(
	struct talk *t, const char *class_uid, const char *const *syntaxes, size_t n)
{
	static char items[16384];
	int len = snprintf(items, sizeof(items), "20 00 {01 000000 30 00 {'%s'}", class_uid);
	for (size_t i = 0; i < n; i++)
		len += snprintf(
			items + len, sizeof(items) - (size_t)len, "40 00 {'%s'}", syntaxes[i]);
	snprintf(items + len, sizeof(items) - (size_t)len, "}");
	talk_items(t, items);
	assert_int_equal(t->decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t->nego.contexts_n, 1);
	const struct sl_nego_context *c = sl_nego_context(&t->nego, 1);
	assert_true((c != NULL) == (t->nego.accepted_n == 1));
	return &t->nego.contexts[0];
}

static const char *chosen(struct talk *t, const char *class_uid, const char *const *ts, size_t n)
{
	const struct sl_nego_context *c = one(t, class_uid, ts, n);
	return c->ts == SL_REGISTRY_NONE ? "none" : sl_registry_ts_at(c->ts)->uid;
}

/* One or two of each rank, best first. */
static const char *const by_rank[][2] = {
	{EXPLICIT_LE, EXPLICIT_LE},
	{IMPLICIT_LE, IMPLICIT_LE},
	{EXPLICIT_BE, "1.2.840.113619.5.2"},
	{DEFLATED, DEFLATED},
	{RLE, J2K_LL},
	{JPEG, J2K},
	{JPIP, "1.2.840.10008.1.2.7.1"},
};

static void U8_of_any_two_ranks_the_better_is_chosen(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	for (size_t a = 0; a < SL_ARRAY_N(by_rank); a++)
		for (size_t b = a + 1; b < SL_ARRAY_N(by_rank); b++)
			for (size_t k = 0; k < 4; k++) {
				const char *better = by_rank[a][k & 1], *worse = by_rank[b][k >> 1];
				assert_string_equal(
					chosen(&t, CT, (const char *[]){better, worse}, 2), better);
				assert_string_equal(
					chosen(&t, CT, (const char *[]){worse, better}, 2), better);
			}
}

static void U8_within_a_rank_the_requestor_decides(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	for (size_t i = 0; i < SL_ARRAY_N(by_rank); i++)
		for (size_t k = 0; k < 2; k++)
			assert_string_equal(
				chosen(&t, CT, (const char *[]){by_rank[i][k], by_rank[i][1 - k]},
					2),
				by_rank[i][k]);
}

static void U8_every_transfer_syntax_of_the_registry_is_taken_alone(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	size_t n, refused = 0;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&n);
	for (size_t i = 0; i < n; i++) {
		const struct sl_nego_context *c = one(&t, CT, &rows[i].uid, 1);
		if (rows[i].rank == SL_TS_NOT_A_DATA_SET) {
			assert_int_equal(c->result, SL_PDU_PCTX_TRANSFER_SYNTAX);
			refused++;
		} else {
			assert_int_equal(c->result, SL_PDU_PCTX_ACCEPTED);
			assert_int_equal(c->ts, i);
		}
	}
	assert_int_equal(refused, 2); /* XML, Papyrus */
}

static void U8_one_context_with_more_than_60_transfer_syntaxes(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	const char *uids[SL_REGISTRY_TS_MAX];
	size_t n;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&n);
	assert_true(n > 60);
	for (size_t i = 0; i < n; i++)
		uids[i] = rows[n - 1 - i].uid;
	assert_string_equal(chosen(&t, CT, uids, n), EXPLICIT_LE);
	for (size_t i = 0; i < n; i++)
		uids[i] = rows[i].uid;
	assert_string_equal(chosen(&t, CT, uids, n), EXPLICIT_LE);
}

static void U8_unknown_transfer_syntaxes_are_passed_over(void **state)
{
	(void)state;
	static const struct {
		const char *offered[3];
		size_t n;
		const char *chosen;
		enum sl_pdu_pctx_code result;
	} rows[] = {
		{{"1.2.3.4", EXPLICIT_LE}, 2, EXPLICIT_LE, SL_PDU_PCTX_ACCEPTED},
		{{"1.2.3.4", JPEG, "1.2.3.5"}, 3, JPEG, SL_PDU_PCTX_ACCEPTED},
		{{"1.2.3.4", "1.2.840.10008.1.2.1."}, 2, "none", SL_PDU_PCTX_TRANSFER_SYNTAX},
		{{XML}, 1, "none", SL_PDU_PCTX_TRANSFER_SYNTAX},
		{{"..", "/etc", ""}, 3, "none", SL_PDU_PCTX_TRANSFER_SYNTAX},
		{{" 1.2.840.10008.1.2.1 "}, 1, EXPLICIT_LE, SL_PDU_PCTX_ACCEPTED},
		{{NULL}, 0, "none", SL_PDU_PCTX_TRANSFER_SYNTAX},
	};
	struct talk t = talk_ready();
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		assert_string_equal(chosen(&t, CT, rows[i].offered, rows[i].n), rows[i].chosen);
		assert_int_equal(t.nego.contexts[0].result, rows[i].result);
	}
}

static void U8_prefer_goes_before_ranks(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	struct sl_uid prefer[] = {sl_uid_of(J2K), sl_uid_of(RLE), sl_uid_of(IMPLICIT_LE)};
	size_t bad = 99;
	assert_int_equal(sl_nego_policy_prefer(&t.policy, prefer, SL_ARRAY_N(prefer), &bad), SL_OK);
	assert_string_equal(
		chosen(&t, CT, (const char *[]){EXPLICIT_LE, IMPLICIT_LE, RLE, J2K}, 4), J2K);
	assert_string_equal(
		chosen(&t, CT, (const char *[]){EXPLICIT_LE, IMPLICIT_LE, RLE}, 3), RLE);
	assert_string_equal(
		chosen(&t, CT, (const char *[]){EXPLICIT_LE, IMPLICIT_LE}, 2), IMPLICIT_LE);
	assert_string_equal(chosen(&t, CT, (const char *[]){JPEG, EXPLICIT_LE}, 2), EXPLICIT_LE);
	/* An echo has no pixels to prefer anything for. */
	assert_string_equal(
		chosen(&t, ECHO, (const char *[]){J2K, IMPLICIT_LE, EXPLICIT_LE}, 3), EXPLICIT_LE);
	assert_string_equal(chosen(&t, ECHO, (const char *[]){J2K, IMPLICIT_LE}, 2), IMPLICIT_LE);
}

static void U8_prefer_must_name_what_could_be_taken_and_once(void **state)
{
	(void)state;
	struct sl_nego_policy policy, before;
	sl_nego_policy_init(&policy);
	before = policy;
	size_t bad = 99;
	struct sl_uid unknown[] = {sl_uid_of(RLE), sl_uid_of("1.2.3")};
	assert_int_equal(sl_nego_policy_prefer(&policy, unknown, 2, &bad), SL_E_NOTFOUND);
	assert_int_equal(bad, 1);
	struct sl_uid xml[] = {sl_uid_of(XML)};
	assert_int_equal(sl_nego_policy_prefer(&policy, xml, 1, &bad), SL_E_NOTFOUND);
	assert_int_equal(bad, 0);
	struct sl_uid twice[] = {sl_uid_of(RLE), sl_uid_of(J2K), sl_uid_of(RLE)};
	assert_int_equal(sl_nego_policy_prefer(&policy, twice, 3, &bad), SL_E_EXISTS);
	assert_int_equal(bad, 2);
	assert_memory_equal(&policy, &before, sizeof(policy));
}

static void U8_every_storage_class_of_the_registry_is_taken(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	size_t n, stored = 0;
	const struct sl_sop_row *rows = sl_registry_sop_classes(&n);
	t.policy.accept_unknown_classes = false;
	for (size_t i = 0; i < n; i++) {
		const struct sl_nego_context *c =
			one(&t, rows[i].uid, (const char *[]){IMPLICIT_LE}, 1);
		bool served = rows[i].kind == SL_SOP_STORAGE || rows[i].kind == SL_SOP_VERIFICATION;
		assert_int_equal(c->sop, i);
		assert_int_equal(
			c->result, served ? SL_PDU_PCTX_ACCEPTED : SL_PDU_PCTX_ABSTRACT_SYNTAX);
		stored += rows[i].kind == SL_SOP_STORAGE;
	}
	assert_true(stored > 200);
}

static void U8_private_and_dicos_classes_by_their_switch(void **state)
{
	(void)state;
	static const struct {
		const char *uid;
		bool with_unknown, without;
	} rows[] = {
		{CT, true, true},
		{DICOS_CT, true, true},
		{"1.2.840.10008.5.1.4.1.1.601.1", true, true}, /* DICONDE */
		{"1.3.12.2.1107.5.9.1", true, true},           /* private, but in the registry */
		{PRIVATE, true, false},
		{"1.2.840.10008.5.1.4.1.1.9999", true, false}, /* of a later standard */
		{FIND, false, false},
		{GET, false, false},
		{"1.2.840.10008.5.1.4.31", false, false},  /* worklist */
		{"1.2.840.10008.5.1.1.9", false, false},   /* print */
		{"1.2.840.10008.1.20.1", false, false},    /* commitment */
		{"1.2.840.10008.3.1.2.3.3", false, false}, /* MPPS */
		{"1.2.840.10008.1.3.10", false, false},    /* DICOMDIR */
		{"../../x", false, false},
		{"", false, false},
	};
	struct talk t = talk_ready();
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		for (int with = 0; with < 2; with++) {
			t.policy.accept_unknown_classes = with != 0;
			bool taken = with ? rows[i].with_unknown : rows[i].without;
			const struct sl_nego_context *c =
				one(&t, rows[i].uid, (const char *[]){EXPLICIT_LE}, 1);
			assert_int_equal(c->result,
				taken ? SL_PDU_PCTX_ACCEPTED : SL_PDU_PCTX_ABSTRACT_SYNTAX);
		}
}

static void U8_services_are_taken_by_the_policy(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	t.policy.served = 1u << SL_SOP_VERIFICATION | 1u << SL_SOP_FIND;
	const char *const ts[] = {EXPLICIT_LE};
	assert_int_equal(one(&t, FIND, ts, 1)->result, SL_PDU_PCTX_ACCEPTED);
	assert_int_equal(one(&t, CT, ts, 1)->result, SL_PDU_PCTX_ABSTRACT_SYNTAX);
	assert_int_equal(one(&t, PRIVATE, ts, 1)->result, SL_PDU_PCTX_ABSTRACT_SYNTAX);
}

/* 128 contexts of alternating classes: IDs 1, 3 ... 255. */
static struct wire many(size_t n, size_t twice)
{
	struct wire w = request_of("0001", "SLUICE          STORESCU        ", APPLICATION_CONTEXT);
	for (size_t i = 0; i < n; i++) {
		char item[256];
		snprintf(item, sizeof(item), "20 00 {%02zx 000000 30 00 {'%s'}40 00 {'%s'}}",
			i == twice ? (size_t)1 : (2 * i + 1) & 0xff,
			i % 3 == 2 ? FIND : (i % 3 == 1 ? MR : CT),
			i % 4 == 3 ? "1.2.3.4" : EXPLICIT_LE);
		wire_text(&w, item);
	}
	request_close(&w);
	return w;
}

static void U8_128_contexts_are_answered_one_by_one_in_their_order(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	struct wire w = many(128, 999);
	talk_wire(&t, &w);
	wire_free(&w);
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t.nego.contexts_n, 128);
	size_t accepted = 0;
	for (size_t i = 0; i < 128; i++) {
		uint8_t id = (uint8_t)(2 * i + 1);
		const struct sl_nego_context *c = sl_nego_context(&t.nego, id);
		uint8_t expected = i % 3 == 2   ? SL_PDU_PCTX_ABSTRACT_SYNTAX
				   : i % 4 == 3 ? SL_PDU_PCTX_TRANSFER_SYNTAX
						: SL_PDU_PCTX_ACCEPTED;
		assert_int_equal(t.nego.contexts[i].result, expected);
		assert_true((c != NULL) == (expected == SL_PDU_PCTX_ACCEPTED));
		accepted += c != NULL;
		assert_null(sl_nego_context(&t.nego, (uint8_t)(2 * i)));
	}
	assert_int_equal(t.nego.accepted_n, accepted);
	assert_answer(&t, "PCTX 253 result=0\n"
			  "PCTX 253 transfer [1.2.840.10008.1.2.1]\n"
			  "PCTX 253 end\n"
			  "PCTX 255 result=4\n");
	assert_answer(&t, "pctx=128 ignored=0\n");
}

static void U8_bad_context_ids_abort(void **state)
{
	(void)state;
	static const char *const bad[] = {
		CONTEXT("02", CLASS(CT) SYNTAX(EXPLICIT_LE)),
		CONTEXT("00", CLASS(CT) SYNTAX(EXPLICIT_LE)),
		CONTEXT("fe", CLASS(CT) SYNTAX(EXPLICIT_LE)),
		CONTEXT("01", CLASS(CT) SYNTAX(EXPLICIT_LE))
			CONTEXT("01", CLASS(MR) SYNTAX(EXPLICIT_LE)),
		CONTEXT("01", CLASS(FIND) SYNTAX(EXPLICIT_LE)) CONTEXT("03",
			CLASS(CT) SYNTAX(EXPLICIT_LE)) CONTEXT("01", CLASS(CT) SYNTAX(EXPLICIT_LE)),
	};
	for (size_t i = 0; i < SL_ARRAY_N(bad); i++) {
		struct talk t = talk(bad[i]);
		assert_int_equal(t.decision.verdict, SL_NEGO_ABORT);
		assert_int_equal(t.decision.abort.source, SL_UL_SOURCE_PROVIDER);
		assert_int_equal(t.decision.abort.reason, SL_UL_ABORT_INVALID_PARAMETER);
		assert_string_equal(t.decision.why, "context-id");
	}
}

static void U8_a_second_context_of_an_id_changes_nothing_of_the_first(void **state)
{
	(void)state;
	struct talk t = talk(CONTEXT("01", CLASS(CT) SYNTAX(EXPLICIT_LE))
			CONTEXT("01", CLASS(FIND) SYNTAX(JPEG)));
	assert_int_equal(t.nego.contexts_n, 1);
	assert_string_equal(t.nego.contexts[0].abstract_syntax.s, CT);
	assert_int_equal(t.nego.contexts[0].result, SL_PDU_PCTX_ACCEPTED);
}

static void U8_129th_context_is_one_of_the_bad_ids(void **state)
{
	(void)state;
	struct talk t = talk_ready();
	struct wire w = many(128, 127); /* the last has ID 1 again */
	talk_wire(&t, &w);
	wire_free(&w);
	assert_int_equal(t.decision.verdict, SL_NEGO_ABORT);
	/* Past the decoder too: it may refuse a 129th on its own. */
	w = many(128, 999);
	talk_wire(&t, &w);
	wire_free(&w);
	struct sl_pdu_ev ev = {.type = SL_PDU_EV_PCTX_BEGIN, .pdu = SL_PDU_ASSOCIATE_RQ};
	for (unsigned id = 0; id < 256; id++) {
		ev.pctx.id = (uint8_t)id;
		sl_nego_feed(&t.nego, &t.policy, &ev);
	}
	assert_int_equal(t.nego.contexts_n, 128);
	assert_int_equal(sl_nego_decide(&t.nego, &t.policy, &t.node).verdict, SL_NEGO_ABORT);
}

static void U8_no_contexts_are_rejected(void **state)
{
	(void)state;
	struct talk t = talk(USER(MAX_LEN));
	assert_int_equal(t.decision.verdict, SL_NEGO_REJECT);
	assert_int_equal(t.decision.reject.result, 1);
	assert_int_equal(t.decision.reject.source, 1);
	assert_int_equal(t.decision.reject.reason, 1);
	assert_string_equal(t.decision.why, "no-contexts");
}

static void U8_an_association_may_have_no_acceptable_context(void **state)
{
	(void)state;
	struct talk t = talk(CONTEXT("05", CLASS(FIND) SYNTAX(EXPLICIT_LE))
			CONTEXT("03", CLASS(CT) SYNTAX("1.2.3")) USER(MAX_LEN));
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t.nego.accepted_n, 0);
	assert_answer(&t, "PCTX 5 result=3\n");
	assert_answer(&t, "PCTX 3 result=4\n");
}

static void U8_items_in_another_order_or_missing(void **state)
{
	(void)state;
	/* Syntaxes before the class, a second class, user information before contexts. */
	struct talk t = talk(USER("51 00 {00000800}")
			CONTEXT("01", SYNTAX(JPEG) SYNTAX(IMPLICIT_LE) CLASS(CT) CLASS(FIND))
				CONTEXT("03", SYNTAX(EXPLICIT_LE)));
	assert_int_equal(t.decision.verdict, SL_NEGO_ACCEPT);
	assert_int_equal(t.nego.peer_max_len, 0x800);
	assert_answer(&t, "PCTX 1 result=0\n"
			  "PCTX 1 transfer [1.2.840.10008.1.2]\n");
	assert_answer(&t, "PCTX 3 result=3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U8_of_any_two_ranks_the_better_is_chosen),
		cmocka_unit_test(U8_within_a_rank_the_requestor_decides),
		cmocka_unit_test(U8_every_transfer_syntax_of_the_registry_is_taken_alone),
		cmocka_unit_test(U8_one_context_with_more_than_60_transfer_syntaxes),
		cmocka_unit_test(U8_unknown_transfer_syntaxes_are_passed_over),
		cmocka_unit_test(U8_prefer_goes_before_ranks),
		cmocka_unit_test(U8_prefer_must_name_what_could_be_taken_and_once),
		cmocka_unit_test(U8_every_storage_class_of_the_registry_is_taken),
		cmocka_unit_test(U8_private_and_dicos_classes_by_their_switch),
		cmocka_unit_test(U8_services_are_taken_by_the_policy),
		cmocka_unit_test(U8_128_contexts_are_answered_one_by_one_in_their_order),
		cmocka_unit_test(U8_bad_context_ids_abort),
		cmocka_unit_test(U8_a_second_context_of_an_id_changes_nothing_of_the_first),
		cmocka_unit_test(U8_129th_context_is_one_of_the_bad_ids),
		cmocka_unit_test(U8_no_contexts_are_rejected),
		cmocka_unit_test(U8_an_association_may_have_no_acceptable_context),
		cmocka_unit_test(U8_items_in_another_order_or_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
