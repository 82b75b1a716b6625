/* The encoder: golden bytes, round trips through the decoder, and the peer's Maximum Length obeyed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"
#include "support/wire.h"

static struct sl_uid uid(const char *s)
{
	struct sl_uid u = {0};
	u.len = (uint8_t)strlen(s);
	memcpy(u.s, s, u.len);
	return u;
}

static struct sl_uid longest_uid(void)
{
	struct sl_uid u = {.len = SL_UID_MAX};
	memset(u.s, '1', SL_UID_MAX);
	return u;
}

static void assert_bytes(const struct sl_wbuf *w, const char *text)
{
	struct wire expected = wire_of(text);
	assert_false(w->bad);
	assert_int_equal(w->len, expected.n);
	assert_memory_equal(w->base, expected.p, expected.n);
	wire_free(&expected);
}

/* What the decoder makes of it, in every split. */
static void assert_told(const struct sl_wbuf *w, const char *story)
{
	struct wire wire = {w->base, w->len};
	assert_false(w->bad);
	assert_story(&wire, 0, story);
}

/* Encoding into a buffer of any smaller size sets `bad` and keeps to the buffer. */
#define assert_bounded(whole, call)                                                 \
	do {                                                                        \
		for (size_t cap = 0; cap < (whole)->len; cap++) {                   \
			uint8_t *exact = malloc(cap + (cap == 0));                  \
			assert_non_null(exact);                                     \
			struct sl_wbuf small = sl_wbuf_of(exact, cap), *w = &small; \
			call;                                                       \
			assert_true(w->bad);                                        \
			free(exact);                                                \
		}                                                                   \
	} while (0)

static void U5_every_rejection_has_its_bytes(void **state)
{
	(void)state;
	static const struct {
		struct sl_ul_reject reject;
		const char *bytes;
	} rows[] = {
		{SL_UL_RJ_NO_REASON, "03 00 00000004 00 01 01 01"},
		{SL_UL_RJ_APPLICATION_CONTEXT, "03 00 00000004 00 01 01 02"},
		{SL_UL_RJ_CALLING_AE, "03 00 00000004 00 01 01 03"},
		{SL_UL_RJ_CALLED_AE, "03 00 00000004 00 01 01 07"},
		{SL_UL_RJ_PROTOCOL_VERSION, "03 00 00000004 00 01 02 02"},
		{SL_UL_RJ_CONGESTION, "03 00 00000004 00 02 03 01"},
		{SL_UL_RJ_LIMIT, "03 00 00000004 00 02 03 02"},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		uint8_t bytes[16];
		struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
		sl_pdu_encode_rj(&w, rows[i].reject);
		assert_bytes(&w, rows[i].bytes);
	}
}

static void U6_abort_and_release_have_their_bytes(void **state)
{
	(void)state;
	uint8_t bytes[64];
	struct sl_wbuf out = sl_wbuf_of(bytes, sizeof(bytes));
	const struct sl_ul_reason reason = {SL_UL_SOURCE_PROVIDER, SL_UL_ABORT_UNEXPECTED_PDU};
	sl_pdu_encode_release_rq(&out);
	sl_pdu_encode_release_rp(&out);
	sl_pdu_encode_abort(&out, reason);
	assert_bytes(&out, "05 00 00000004 00000000"
			   "06 00 00000004 00000000"
			   "07 00 00000004 00 00 02 02");
	assert_told(&out, "BEGIN RELEASE_RQ 4\nEND RELEASE_RQ\n"
			  "BEGIN RELEASE_RP 4\nEND RELEASE_RP\n"
			  "BEGIN ABORT 4\nEND ABORT 2/2\n");
	out.len = 10;
	assert_bounded(&out, sl_pdu_encode_abort(w, reason));
}

static const struct sl_pdu_pctx_result results[] = {
	{1, SL_PDU_PCTX_ACCEPTED, {19, "1.2.840.10008.1.2.1"}},
	{3, SL_PDU_PCTX_ABSTRACT_SYNTAX, {0, ""}},
};
static const struct sl_pdu_role roles[] = {{{3, "1.4"}, 1, 0}};
static const struct sl_pdu_extended extended[] = {{{3, "1.4"}, 6, {2, 0, 0, 0, 0, 0}}};

static struct sl_pdu_associate_ac full_ac(void)
{
	struct sl_pdu_associate_ac ac = {
		.pctx = results,
		.pctx_n = SL_ARRAY_N(results),
		.user = {.max_len = 131072,
			.impl_class_uid = uid("1.2.3.4"),
			.impl_version_name = "SLUICE_1",
			.has_async = true,
			.async_invoked = 1,
			.async_performed = 1,
			.roles = roles,
			.roles_n = 1,
			.extended = extended,
			.extended_n = 1,
			.has_identity_reply = true},
	};
	memcpy(ac.called_ae, "SLUICE          ", 16);
	memcpy(ac.calling_ae, " CT1            ", 16);
	return ac;
}

static void U8_acceptance_has_its_bytes(void **state)
{
	(void)state;
	uint8_t bytes[1024];
	struct sl_wbuf out = sl_wbuf_of(bytes, sizeof(bytes));
	const struct sl_pdu_associate_ac ac = full_ac();
	sl_pdu_encode_ac(&out, &ac);
	assert_bytes(&out, "02 00 000000e4"     /* A-ASSOCIATE-AC */
			   "0001 0000"          /* protocol version, reserved */
			   "'SLUICE          '" /* called, as it came */
			   "' CT1            '" /* calling, as it came */
			   "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
			   "10 00 0015 '1.2.840.10008.3.1.1.1'" /* application context */
			   "21 00 001b 01 00 00 00"             /* context 1, accepted */
			   "40 00 0013 '1.2.840.10008.1.2.1'"   /* its transfer syntax */
			   "21 00 0019 03 00 03 00"             /* context 3, abstract syntax */
			   "40 00 0011 '1.2.840.10008.1.2'"     /* not significant */
			   "50 00 0047"                         /* user information */
			   "51 00 0004 00020000"                /* maximum length 131072 */
			   "52 00 0007 '1.2.3.4'"               /* implementation class */
			   "53 00 0004 0001 0001"               /* async window 1, 1 */
			   "54 00 0007 0003 '1.4' 01 00"        /* role */
			   "55 00 0008 'SLUICE_1'"              /* version name */
			   "56 00 000b 0003 '1.4' 02 00 00 00 00 00" /* extended negotiation */
			   "59 00 0002 0000");                       /* identity: empty response */
	assert_told(&out, "BEGIN AC 228\n"
			  "AE_TITLES v=0001 [SLUICE__________][_CT1____________]\n"
			  "APPLICATION_CONTEXT [1.2.840.10008.3.1.1.1]\n"
			  "PCTX 1 result=0\n"
			  "PCTX 1 transfer [1.2.840.10008.1.2.1]\n"
			  "PCTX 1 end\n"
			  "PCTX 3 result=3\n"
			  "PCTX 3 end\n"
			  "MAX_LEN 131072\n"
			  "IMPL_CLASS [1.2.3.4]\n"
			  "ASYNC 1 1\n"
			  "ROLE [1.4] scu=1 scp=0\n"
			  "IMPL_VERSION [SLUICE_1]\n"
			  "EXTENDED [1.4] [\\02\\00\\00\\00\\00\\00]\n"
			  "IDENTITY_REPLY 0\n"
			  "END AC seen=bf pctx=2 ignored=0\n");
	assert_bounded(&out, sl_pdu_encode_ac(w, &ac));
}

static void D6_D8_D9_optional_sub_items_are_sent_only_when_given(void **state)
{
	(void)state;
	uint8_t bytes[512];
	struct sl_wbuf out = sl_wbuf_of(bytes, sizeof(bytes));
	struct sl_pdu_associate_ac ac = full_ac();
	ac.pctx_n = 0;
	ac.user =
		(struct sl_pdu_user){.impl_class_uid = uid("1.2"), .impl_version_name = "SLUICE_1"};
	sl_pdu_encode_ac(&out, &ac);
	assert_told(&out, "BEGIN AC 124\n"
			  "AE_TITLES v=0001 [SLUICE__________][_CT1____________]\n"
			  "APPLICATION_CONTEXT [1.2.840.10008.3.1.1.1]\n"
			  "MAX_LEN 0\n"
			  "IMPL_CLASS [1.2]\n"
			  "IMPL_VERSION [SLUICE_1]\n"
			  "END AC seen=2f pctx=0 ignored=0\n");
}

static void U8_the_largest_acceptance_fits_its_constant(void **state)
{
	(void)state;
	static struct sl_pdu_pctx_result pctx[SL_MAX_CONTEXTS];
	static struct sl_pdu_role r[SL_MAX_CONTEXTS];
	static struct sl_pdu_extended e[SL_MAX_CONTEXTS];
	static uint8_t bytes[SL_PDU_AC_MAX(SL_MAX_CONTEXTS, SL_MAX_CONTEXTS)];
	_Static_assert(sizeof(bytes) <= SL_PDU_MAX_ASSOC_LEN, "and every peer's");
	for (size_t i = 0; i < SL_MAX_CONTEXTS; i++) {
		pctx[i] = (struct sl_pdu_pctx_result){(uint8_t)(2 * i + 1), 0, longest_uid()};
		r[i] = (struct sl_pdu_role){longest_uid(), 1, 1};
		e[i] = (struct sl_pdu_extended){longest_uid(), SL_PDU_EXT_INFO_MAX, {0}};
	}
	struct sl_pdu_associate_ac ac = full_ac();
	ac.pctx = pctx;
	ac.user.impl_class_uid = longest_uid();
	ac.user.impl_version_name = "SIXTEEN_LETTERS_";
	ac.user.roles = r;
	ac.user.extended = e;
	ac.pctx_n = ac.user.roles_n = ac.user.extended_n = SL_MAX_CONTEXTS;
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_pdu_encode_ac(&w, &ac);
	assert_false(w.bad);
	/* the application context of 21 characters, where the constant counts 64 */
	assert_int_equal(w.len, sizeof(bytes) - (SL_UID_MAX - 21));
	struct wire wire = {w.base, w.len};
	char *got = trace_run(wire.p, wire.n, 0, NULL, 0);
	assert_non_null(strstr(got, "END AC seen=bf pctx=128 ignored=0\n"));
	free(got);
}

static void D8_an_item_over_64_KiB_is_not_written(void **state)
{
	(void)state;
	static uint8_t bytes[4 * 65536], reply[UINT16_MAX];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	struct sl_pdu_associate_ac ac = full_ac();
	ac.user.identity_reply = reply;
	ac.user.identity_reply_len = UINT16_MAX - 71; /* 50H is then full */
	sl_pdu_encode_ac(&w, &ac);
	assert_false(w.bad);
	ac.user.identity_reply_len++;
	w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_pdu_encode_ac(&w, &ac);
	assert_true(w.bad);
}

static void U8_request_round_trips(void **state)
{
	(void)state;
	const struct sl_uid syntaxes[] = {uid("1.2.840.10008.1.2.1"), uid("1.2.840.10008.1.2")};
	const struct sl_pdu_pctx_proposal pctx[] = {
		{1, uid("1.2.840.10008.1.1"), syntaxes, 2}, {255, uid("1.1"), syntaxes, 0}};
	struct sl_pdu_associate_rq rq = {.pctx = pctx, .pctx_n = 2};
	uint8_t bytes[1024];
	struct sl_wbuf out = sl_wbuf_of(bytes, sizeof(bytes));
	memcpy(rq.called_ae, "ANY-SCP         ", 16);
	memcpy(rq.calling_ae, "SLUICE          ", 16);
	rq.user = (struct sl_pdu_user){.max_len = 16384, .impl_class_uid = uid("1.2")};
	sl_pdu_encode_rq(&out, &rq);
	assert_told(&out, "BEGIN RQ 200\n"
			  "AE_TITLES v=0001 [ANY-SCP_________][SLUICE__________]\n"
			  "APPLICATION_CONTEXT [1.2.840.10008.3.1.1.1]\n"
			  "PCTX 1 result=0\n"
			  "PCTX 1 abstract [1.2.840.10008.1.1]\n"
			  "PCTX 1 transfer [1.2.840.10008.1.2.1]\n"
			  "PCTX 1 transfer [1.2.840.10008.1.2]\n"
			  "PCTX 1 end\n"
			  "PCTX 255 result=0\n"
			  "PCTX 255 abstract [1.1]\n"
			  "PCTX 255 end\n"
			  "MAX_LEN 16384\n"
			  "IMPL_CLASS [1.2]\n"
			  "END RQ seen=0f pctx=2 ignored=0\n");
	assert_bounded(&out, sl_pdu_encode_rq(w, &rq));
}

static void U9_fragments_obey_the_peers_maximum(void **state)
{
	(void)state;
	static const struct {
		uint32_t peer_max_len, cap, n;
	} rows[] = {
		{0, 1024, 1024},
		{0, 1023, 1022}, /* any: our own bound */
		{1, 1024, 0},
		{6, 1024, 0}, /* no room for a byte */
		{7, 1024, 1}, /* odd, there is no other way */
		{8, 1024, 2},
		{9, 1024, 2},
		{10, 1024, 4}, /* even from here on */
		{4096, 65534, 4090},
		{4096, 1024, 1024},
		{1030, 1024, 1024},
		{1029, 1024, 1022},
		{UINT32_MAX, 65534, 65534},
		{UINT32_MAX, UINT32_MAX - 6, UINT32_MAX - 7},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		assert_int_equal(sl_pdu_fragment_max(rows[i].peer_max_len, rows[i].cap), rows[i].n);
}

static void U11_pdv_header_has_its_bytes(void **state)
{
	(void)state;
	uint8_t bytes[64];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_pdu_encode_pdv_head(&w, 1, true, true, 0x102);
	sl_pdu_encode_pdv_head(&w, 3, false, false, 0);
	sl_pdu_encode_pdv_head(&w, 5, true, false, 2);
	sl_pdu_encode_pdv_head(&w, 255, false, true, 4);
	assert_bytes(&w, "04 00 00000108 00000104 01 03"
			 "04 00 00000006 00000002 03 00"
			 "04 00 00000008 00000004 05 01"
			 "04 00 0000000a 00000006 ff 02");
}

/* The peer declares 0, 1, 7, 8, 4096 and more; a command set of 68 bytes must reach it whole. */
static void U9_a_command_set_is_cut_for_the_peer_and_arrives_whole(void **state)
{
	(void)state;
	static const uint32_t maxima[] = {0, 7, 8, 9, 64, 73, 74, 75, 4096, UINT32_MAX};
	uint8_t value[68], bytes[68 * 13 + 64];
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(i * 7);
	for (size_t m = 0; m < SL_ARRAY_N(maxima); m++) {
		struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
		struct sl_cur cur = sl_cur_of(value, sizeof(value));
		assert_int_equal(sl_pdu_encode_message(&w, maxima[m], 9, true, cur), SL_OK);
		assert_false(w.bad);
		struct sl_pdu_dec dec;
		struct sl_pdu_ev ev;
		struct sl_cur in = sl_cur_of(bytes, w.len);
		uint8_t got[68];
		size_t got_n = 0, lasts = 0, largest = 0;
		sl_pdu_init(&dec, maxima[m]); /* refuses what is larger */
		enum sl_status st;
		while ((st = sl_pdu_next(&dec, &in, &ev)) == SL_OK) {
			largest = sl_max(largest, ev.pdu_len);
			if (ev.type != SL_PDU_EV_PDV)
				continue;
			assert_true(ev.pdv.is_command && ev.pdv.pcid == 9);
			assert_int_equal(lasts, 0);
			assert_true(got_n + ev.pdv.len <= sizeof(got));
			memcpy(got + got_n, ev.pdv.p, ev.pdv.len);
			got_n += ev.pdv.len;
			lasts += ev.pdv.is_last ? 1 : 0;
		}
		assert_int_equal(st, SL_AGAIN);
		assert_int_equal(got_n, sizeof(value));
		assert_int_equal(lasts, 1);
		assert_memory_equal(got, value, sizeof(value));
		assert_true(maxima[m] == 0 || largest <= maxima[m]);
		assert_true(maxima[m] == 7 || dec.odd_fragments_n == 0);
	}
}

static void U9_a_peer_that_takes_nothing_is_sent_nothing(void **state)
{
	(void)state;
	uint8_t bytes[256] = {0};
	for (uint32_t max = 1; max < 7; max++) {
		struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
		assert_int_equal(
			sl_pdu_encode_message(&w, max, 1, true, sl_cur_of(bytes, 2)), SL_E_LIMIT);
		assert_int_equal(w.len, 0);
	}
}

static void U11_an_empty_message_is_one_last_fragment(void **state)
{
	(void)state;
	uint8_t bytes[64];
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	assert_int_equal(sl_pdu_encode_message(&w, 0, 1, false, sl_cur_of(NULL, 0)), SL_OK);
	assert_bytes(&w, "04 00 00000006 00000002 01 02");
	struct sl_wbuf tiny = sl_wbuf_of(bytes, 11); /* no room: bad, and it ends */
	assert_int_equal(sl_pdu_encode_message(&tiny, 7, 1, true, sl_cur_of(bytes, 60)), SL_OK);
	assert_true(tiny.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U5_every_rejection_has_its_bytes),
		cmocka_unit_test(U6_abort_and_release_have_their_bytes),
		cmocka_unit_test(U8_acceptance_has_its_bytes),
		cmocka_unit_test(D6_D8_D9_optional_sub_items_are_sent_only_when_given),
		cmocka_unit_test(U8_the_largest_acceptance_fits_its_constant),
		cmocka_unit_test(D8_an_item_over_64_KiB_is_not_written),
		cmocka_unit_test(U8_request_round_trips),
		cmocka_unit_test(U9_fragments_obey_the_peers_maximum),
		cmocka_unit_test(U11_pdv_header_has_its_bytes),
		cmocka_unit_test(U9_a_command_set_is_cut_for_the_peer_and_arrives_whole),
		cmocka_unit_test(U9_a_peer_that_takes_nothing_is_sent_nothing),
		cmocka_unit_test(U11_an_empty_message_is_one_last_fragment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
