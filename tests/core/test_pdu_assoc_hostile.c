/* A-ASSOCIATE from peers that lie, repeat themselves, know more than we do, or ask for too much.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "support/assoc_wire.h"

/* ---- Lengths that lie --------------------------------------------------------------------------- */

static void H13_inner_lengths_never_reach_beyond_the_outer(void **state)
{
	(void)state;
	static const char *const items[] = {
		"10 00 0001",             /* application context */
		"20 00 0005 01 00 00 00", /* context beyond the PDU */
		"50 00 0001",             /* user information */
		"60 00 ffff 00",          /* unknown item */
		"10 00 0000 20",          /* 1 to 3 bytes of an item header */
		"10 00 0000 20 00",       /* */
		"10 00 0000 20 00 00",    /* */
		"20 00 {}", "20 00 {010000}", "21 00 {} 20 00 {01}", /* context too short */
		"50 00 {51}", "50 00 {51 00 00}",                    /* sub-item header too short */
		"50 00 {51 00 0004 000000}",                         /* 51H beyond the item */
		"50 00 {51 00 {000000}}", "50 00 {51 00 {}}",        /* 51H too short */
		"50 00 {52 00 0001}", "50 00 {55 00 ffff 41}",       /* */
		"50 00 {53 00 {000000}}",                            /* */
		"50 00 {54 00 {00}}", "50 00 {54 00 {0001}}",    /* role: no UID length, no UID */
		"50 00 {54 00 {0001 31 01}}",                    /* one role byte of two */
		"50 00 {54 00 {ffff 31 01 01}}",                 /* */
		"50 00 {56 00 {00}}", "50 00 {56 00 {0002 31}}", /* */
		"50 00 {56 00 {ffff 31 01}}",                    /* */
		"50 00 {58 00 {}}", "50 00 {58 00 {01}}",        /* identity: fixed part */
		"50 00 {58 00 {01 00 0001}}",                    /* primary field missing */
		"50 00 {58 00 {01 00 0001 41}}",                 /* secondary length missing */
		"50 00 {58 00 {01 00 0001 41 00}}",              /* */
		"50 00 {58 00 {01 00 ffff 41 0000}}",            /* */
		"50 00 {5a 00 0001}",                            /* unknown one beyond the item */
	};
	for (size_t i = 0; i < SL_ARRAY_N(items); i++) {
		struct wire w = assoc_begin("01");
		wire_text(&w, items[i]);
		assoc_end(&w);
		/* what follows belongs to nobody and must not be taken */
		wire_text(&w, "04 00 00000000 05 00 00000004 00000000");
		char *whole = trace_run(w.p, w.n, 0, NULL, 0);
		if (strstr(whole, "E_PDU 2/6\n") == NULL || strstr(whole, "END RQ") != NULL)
			fail_msg("%s: %s", items[i], whole);
		assert_story(&w, 0, whole);
		free(whole);
		wire_free(&w);
	}
	assert_ac("50 00 {59 00 {0002 41}}", "IDENTITY_REPLY 2\nE_PDU 2/6\n");
	assert_rq("50 00 {58 00 {02 01 {'me'} 0006 'secre'}}", /* told, then refused */
		"IDENTITY type=2 wanted=1 2+6\n"
		"E_PDU 2/6\n");
}

static void lengths_inside_57H_are_checked_at_each_level(void **state)
{
	(void)state;
	assert_rq("50 00 {57 00 {}}", "E_PDU 2/6\n");
	assert_rq("50 00 {57 00 {0002 31}}", "E_PDU 2/6\n");
	assert_rq("50 00 {57 00 {{'1'}}}", "COMMON_CLASS [1]\nE_PDU 2/6\n");
	assert_rq(
		"50 00 {57 00 {{'1'} {'2'}}}", "COMMON_CLASS [1]\nCOMMON_SERVICE [2]\nE_PDU 2/6\n");
	assert_rq("50 00 {57 00 {{'1'} {'2'} 0001}}",
		"COMMON_CLASS [1]\nCOMMON_SERVICE [2]\nE_PDU 2/6\n");
	assert_rq("50 00 {57 00 {{'1'} {'2'} {00}}}",
		"COMMON_CLASS [1]\nCOMMON_SERVICE [2]\nE_PDU 2/6\n");
	assert_rq("50 00 {57 00 {{'1'} {'2'} {0003 '3'} 'zz'}}", /* reaches out of the list */
		"COMMON_CLASS [1]\nCOMMON_SERVICE [2]\nE_PDU 2/6\n");
}

/* A later edition may make an item longer; what we know of it comes first. */
static void items_longer_than_their_fields_are_read_as_far_as_known(void **state)
{
	(void)state;
	assert_rq("50 00 {51 00 {00000010 ffff} 53 00 {0001 0002 03} 54 00 {{'1.2'} 01 00 aa}"
		  "57 00 {{'1'} {'2'} {} bb} 58 00 {01 00 {'u'} {} cc}}",
		"MAX_LEN 16\n"
		"ASYNC 1 2\n"
		"ROLE [1.2] scu=1 scp=0\n"
		"COMMON_CLASS [1]\n"
		"COMMON_SERVICE [2]\n"
		"IDENTITY type=1 wanted=0 1+0\n"
		"END RQ seen=56 pctx=0 ignored=0\n");
}

/* ---- Items that are passed over ------------------------------------------------------------------ */

static void U10_unknown_sub_items_are_ignored_at_any_length(void **state)
{
	(void)state;
	char line[96];
	struct wire w = assoc_begin("01");
	wire_text(&w, "50 00");
	wire_be16(&w, (0x100 - 0x5a) * 4 + 8);
	for (unsigned type = 0x5a; type <= 0xff; type++) {
		wire_fill(&w, (uint8_t)type, 1);
		wire_text(&w, "00 {}");
	}
	wire_text(&w, "51 00 {00001000}");
	(void)snprintf(line, sizeof(line), "MAX_LEN 4096\nEND RQ seen=06 pctx=0 ignored=%d\n",
		0x100 - 0x5a);
	assert_lines(&w, line);
	for (unsigned type = 0x5a; type <= 0xff; type++) {
		w = assoc_begin("01"); /* the content that a request of 64 KiB has room for here */
		wire_text(&w, "50 00 ffb8");
		wire_fill(&w, (uint8_t)type, 1);
		wire_text(&w, "ff ffac");
		wire_fill(&w, 0x51, 65452);
		wire_text(&w, "51 00 {00001000}");
		assoc_end(&w);
		char *got = trace_run(w.p, w.n, 0, NULL, 0);
		assert_non_null(strstr(got, "MAX_LEN 4096\nEND RQ seen=06 pctx=0 ignored=1\n"));
		free(got);
		wire_free(&w);
	}
	/* 65535 cannot fit: user information itself has 65535 at most */
	assert_rq("50 00 {ff 00 ffff}", "E_PDU 2/6\n");
}

static void U10_unknown_items_elsewhere_are_ignored_too(void **state)
{
	(void)state;
	assert_rq("11 00 {aa} 21 00 {01 00 00 00}" /* an -AC's context has no place in an -RQ */
		  "20 00 {01 00 00 00 41 00 {bb} 30 00 {'1.1'} 30 00 {'1.9'} 40 00 {'1.2'}}"
		  "20 00 {03 00 00 00 30 00 {'1.3'}} 00 00 {} 51 00 {00000001}",
		"PCTX 1 result=0\n"
		"PCTX 1 abstract [1.1]\n" /* the first one stays */
		"PCTX 1 transfer [1.2]\n"
		"PCTX 1 end\n"
		"PCTX 3 result=0\n"
		"PCTX 3 abstract [1.3]\n"
		"PCTX 3 end\n"
		"END RQ seen=00 pctx=2 ignored=6\n");
	assert_ac("20 00 {01 00 00 00} 50 00 {57 00 {} 59 00 {{}}}",
		"IDENTITY_REPLY 0\nEND AC seen=82 pctx=0 ignored=2\n");
}

/* Every sub-item twice, ten times, 256 times: the first stays where there is one only. */
static void H13_U9_repeated_sub_items_keep_the_first(void **state)
{
	(void)state;
	static const struct {
		const char *item, *line;
		bool is_once;
	} rows[] = {
		{"51 00 {00000400}", "MAX_LEN 1024\n", true},
		{"52 00 {'1.2'}", "IMPL_CLASS [1.2]\n", true},
		{"53 00 {0001 0001}", "ASYNC 1 1\n", true},
		{"54 00 {{'1.2'} 01 01}", "ROLE [1.2] scu=1 scp=1\n", false},
		{"55 00 {'V'}", "IMPL_VERSION [V]\n", true},
		{"56 00 {{'1.2'} 01}", "EXTENDED [1.2] [\\01]\n", false},
		{"57 00 {{'1'} {'2'} {}}", "COMMON_CLASS [1]\nCOMMON_SERVICE [2]\n", false},
		{"58 00 {01 00 {'user'} {}}", "IDENTITY type=1 wanted=0 4+0\n", true},
	};
	static const size_t times[] = {1, 2, 10, 256};
	for (size_t r = 0; r < SL_ARRAY_N(rows); r++) {
		for (size_t t = 0; t < SL_ARRAY_N(times); t++) {
			struct wire one = wire_of(rows[r].item), w = assoc_begin("01");
			wire_text(&w, "50 00");
			wire_be16(&w, one.n * times[t]);
			for (size_t i = 0; i < times[t]; i++)
				wire_add(&w, one.p, one.n);
			assoc_end(&w);
			char *got = trace_run(w.p, w.n, 0, NULL, 0);
			size_t told = 0;
			for (const char *s = got; (s = strstr(s, rows[r].line)) != NULL; s++)
				told++;
			assert_int_equal(told, rows[r].is_once ? 1 : times[t]);
			assert_non_null(strstr(got, "END RQ"));
			assert_story(&w, 0, got);
			free(got);
			wire_free(&w);
			wire_free(&one);
		}
	}
	assert_rq("50 00 {51 00 {00000400}} 50 00 {51 00 {00000800}} 10 00 {'1'} 10 00 {'2'}",
		"MAX_LEN 1024\nAPPLICATION_CONTEXT [1]\nEND RQ seen=07 pctx=0 ignored=2\n");
}

/* ---- Limits: at the cap, and one over ------------------------------------------------------------ */

/* A request of n contexts, the last of them with `syntaxes` transfer syntaxes. */
static struct wire with_contexts(size_t n, size_t syntaxes)
{
	struct wire w = assoc_begin("01");
	for (size_t i = 0; i < n; i++) {
		size_t here = i + 1 == n ? syntaxes : 1;
		wire_text(&w, "20 00");
		wire_be16(&w, 4 + 7 + here * 8);
		wire_fill(&w, (uint8_t)(2 * i + 1), 1);
		wire_text(&w, "00 00 00 30 00 {'1.1'}");
		for (size_t k = 0; k < here; k++)
			wire_text(&w, "40 00 {'1.22'}");
	}
	assoc_end(&w);
	return w;
}

static void assert_ends_with(struct wire w, const char *last)
{
	char *got = trace_run(w.p, w.n, 0, NULL, 0);
	size_t n = strlen(got), m = strlen(last);
	assert_true(n > m);
	assert_string_equal(got + n - m, last);
	assert_story(&w, 0, got);
	free(got);
	wire_free(&w);
}

static void U8_128_contexts_are_told_and_a_129th_is_refused(void **state)
{
	(void)state;
	assert_ends_with(with_contexts(SL_MAX_CONTEXTS, 1),
		"PCTX 255 end\nEND RQ seen=00 pctx=128 ignored=0\n");
	assert_ends_with(with_contexts(SL_MAX_CONTEXTS + 1, 1), "PCTX 255 end\nE_PDU 2/6\n");
}

static void U8_contexts_with_many_transfer_syntaxes(void **state)
{
	(void)state;
	assert_ends_with(with_contexts(3, 60), "END RQ seen=00 pctx=3 ignored=0\n");
	assert_ends_with(
		with_contexts(2, SL_MAX_TRANSFER_SYNTAXES), "END RQ seen=00 pctx=2 ignored=0\n");
	assert_ends_with(with_contexts(2, SL_MAX_TRANSFER_SYNTAXES + 1),
		"PCTX 3 transfer [1.22]\nE_PDU 2/6\n");
}

static void U8_context_ids_are_handed_on_even_or_repeated(void **state)
{
	(void)state;
	assert_rq("20 00 {02 00 00 00} 20 00 {02 00 00 00} 20 00 {00 00 00 00}",
		"PCTX 2 result=0\nPCTX 2 end\n"
		"PCTX 2 result=0\nPCTX 2 end\n"
		"PCTX 0 result=0\nPCTX 0 end\n"
		"END RQ seen=00 pctx=3 ignored=0\n");
}

static struct wire with_sub_items(size_t n)
{
	struct wire w = assoc_begin("01");
	wire_text(&w, "50 00");
	wire_be16(&w, n * 4);
	for (size_t i = 0; i < n; i++)
		wire_text(&w, "7f 00 {}");
	assoc_end(&w);
	return w;
}

static void H13_sub_items_are_limited(void **state)
{
	(void)state;
	assert_ends_with(with_sub_items(SL_MAX_SUB_ITEMS), "END RQ seen=02 pctx=0 ignored=512\n");
	assert_ends_with(with_sub_items(SL_MAX_SUB_ITEMS + 1), "E_PDU 2/6\n");
}

/* ---- Everything at once -------------------------------------------------------------------------- */

/* A sound request with a few bytes changed: whatever follows, it does not depend on the split. */
static void mutated_requests_tell_the_same_in_any_split(void **state)
{
	(void)state;
	struct wire sound = assoc_begin("01");
	uint64_t seed = 4711;
	wire_text(&sound, "10 00 {'1.2.840.10008.3.1.1.1'}"
			  "20 00 {01 00 00 00 30 00 {'1.1'} 40 00 {'1.2'} 40 00 {'1.2.1'}}"
			  "50 00 {51 00 {00004000} 52 00 {'1.2.3'} 53 00 {0001 0001}"
			  "54 00 {{'1.4'} 01 01} 55 00 {'V'} 56 00 {{'1.4'} 02 00}"
			  "57 00 {{'1.5'} {'1.6'} {{'1.7'}}} 58 00 {02 01 {'u'} {'p'}}}");
	assoc_end(&sound);
	for (int round = 0; round < 150; round++) {
		struct wire w = {NULL, 0};
		wire_add(&w, sound.p, sound.n);
		for (uint32_t k = wire_random(&seed) % 3 + 1; k > 0; k--)
			w.p[74 + wire_random(&seed) % (w.n - 74)] = (uint8_t)wire_random(&seed);
		char *whole = trace_run(w.p, w.n, 0, NULL, 0);
		assert_story(&w, 0, whole);
		free(whole);
		wire_free(&w);
	}
	wire_free(&sound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(H13_inner_lengths_never_reach_beyond_the_outer),
		cmocka_unit_test(lengths_inside_57H_are_checked_at_each_level),
		cmocka_unit_test(items_longer_than_their_fields_are_read_as_far_as_known),
		cmocka_unit_test(U10_unknown_sub_items_are_ignored_at_any_length),
		cmocka_unit_test(U10_unknown_items_elsewhere_are_ignored_too),
		cmocka_unit_test(H13_U9_repeated_sub_items_keep_the_first),
		cmocka_unit_test(U8_128_contexts_are_told_and_a_129th_is_refused),
		cmocka_unit_test(U8_contexts_with_many_transfer_syntaxes),
		cmocka_unit_test(U8_context_ids_are_handed_on_even_or_repeated),
		cmocka_unit_test(H13_sub_items_are_limited),
		cmocka_unit_test(mutated_requests_tell_the_same_in_any_split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
