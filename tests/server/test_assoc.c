/* The upper layer over real sockets: every way in and out of an association.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/net.h"

static struct node node;
static struct heard heard;

static int start(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	node_start(&node, &conf);
	return 0;
}

static int end(void **state)
{
	(void)state;
	node_end(&node);
	return 0;
}

/* ---- the happy path -------------------------------------------------------------------------- */

static void U2_echo_and_release(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	struct wire w = {NULL, 0};
	add_echo(&w, 7);
	say_wire(fd, w);
	struct sl_cmd rsp = expect_response(fd);
	assert_int_equal(rsp.field, SL_CMD_C_ECHO_RQ | SL_CMD_RSP_BIT);
	assert_int_equal(rsp.responded_to, 7);
	assert_int_equal(rsp.status, 0);
	say_text(fd, "05 00 00000004 00000000");
	assert_int_equal(hear_pdu(fd, &heard), SL_PDU_RELEASE_RP);
	shutdown(fd, SHUT_WR); /* AR-5: our close ends Sta13 */
	expect_end(fd);
	node_wait(&node.stats.assocs_released, 1);
}

static void D2_store_is_answered_when_it_is_stored(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 9, 1000, 16384);
	ingest_mem_wait_handed(node.ingest, 1);
	ingest_mem_hold(node.ingest, false);
	expect_status(fd, 9, 0x0000);
	assert_kept(&node, 0, 9, 1000);
	release(fd);
}

/* ---- F12: any split ---------------------------------------------------------------------------- */

/* RQ, echo, three stores of odd shapes, release. */
static struct wire dialogue(void)
{
	struct wire w = rq_to("SLUICE");
	uint8_t *p = pattern(700, 5);
	add_echo(&w, 1);
	add_store(&w, 2, p, 300, 64);
	add_store(&w, 3, p, 1, 64);
	add_store(&w, 4, p, 700, 4096);
	wire_text(&w, "05 00 00000004 00000000");
	free(p);
	return w;
}

/* All that is answered until the server has released and we have closed. */
static size_t answers(int fd, uint8_t *to, size_t cap)
{
	size_t n = 0;
	for (bool is_over = false; !is_over;) {
		is_over = hear_pdu(fd, &heard) == SL_PDU_RELEASE_RP;
		assert_int_not_equal(heard.type, 0);
		assert_true(n + heard.len + 1 <= cap);
		to[n++] = heard.type;
		memcpy(to + n, heard.body, heard.len);
		n += heard.len;
	}
	close(fd);
	return n;
}

/* Each piece is sent when the server has read the one before. */
static size_t converse(
	const struct wire *w, const size_t *cuts, size_t cuts_n, uint8_t *to, size_t cap)
{
	int fd = dial(&node);
	uint64_t base = sl_stats_get(&node.stats.net_bytes_in);
	size_t at = 0;
	for (size_t i = 0; i <= cuts_n; i++) {
		size_t until = i < cuts_n ? cuts[i] : w->n;
		say(fd, w->p + at, until - at);
		at = until;
		if (i < cuts_n)
			node_wait(&node.stats.net_bytes_in, base + at);
	}
	return answers(fd, to, cap);
}

static void F12_answers_do_not_depend_on_the_split(void **state)
{
	(void)state;
	static uint8_t whole[16384], other[16384];
	struct wire w = dialogue();
	size_t n = converse(&w, NULL, 0, whole, sizeof(whole));
	size_t *each = calloc(w.n, sizeof(*each));
	assert_non_null(each);
	for (size_t i = 0; i + 1 < w.n; i++)
		each[i] = i + 1;
	assert_int_equal(converse(&w, each, w.n - 1, other, sizeof(other)), n);
	assert_memory_equal(whole, other, n);
	for (size_t cut = 1; cut < w.n; cut++) {
		assert_int_equal(converse(&w, &cut, 1, other, sizeof(other)), n);
		assert_memory_equal(whole, other, n);
	}
	free(each);
	/* What was stored does not depend on it either. */
	unsigned objects = ingest_mem_begun_n(node.ingest);
	assert_int_equal(objects, 3 * (w.n + 1));
	for (unsigned i = 3; i < objects; i++) {
		const struct ingest_mem_object *a = ingest_mem_at(node.ingest, i % 3),
					       *b = ingest_mem_at(node.ingest, i);
		assert_int_equal(a->bytes_n, b->bytes_n);
		assert_memory_equal(a->bytes, b->bytes, a->bytes_n);
	}
	wire_free(&w);
}

/* ---- rejections ------------------------------------------------------------------------------ */

static void U5_each_tuple(void **state)
{
	(void)state;
	static const struct {
		const char *version, *titles, *items;
		unsigned result, source, reason;
	} rows[] = {
		{"0001", "SLUICE          PEER            ",
			"10 00 {'1.2.840.10008.3.1.1.2'}" CONTEXT(
				"01", CLASS(ECHO) SYNTAX(IMPLICIT_LE)) USER(MAX_LEN),
			1, 1, 2},
		{"0002", "SLUICE          PEER            ",
			APPLICATION_CONTEXT CONTEXT("01", CLASS(ECHO) SYNTAX(IMPLICIT_LE))
				USER(MAX_LEN),
			1, 2, 2},
		{"0001", "SLUICE                          ",
			APPLICATION_CONTEXT CONTEXT("01", CLASS(ECHO) SYNTAX(IMPLICIT_LE))
				USER(MAX_LEN),
			1, 1, 3},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		int fd = dial(&node);
		say_wire(fd, request_of(rows[i].version, rows[i].titles, rows[i].items));
		expect_reject(fd, rows[i].result, rows[i].source, rows[i].reason);
		shutdown(fd, SHUT_WR);
		expect_end(fd);
	}
}

static void U5_unknown_and_wrong_peers_look_the_same(void **state)
{
	(void)state;
	const uint8_t elsewhere[4] = {192, 0, 2, 1};
	struct sl_peer list[2] = {
		{.ae_title = sl_ae_of("PEER"), .from_n = 1, .duplicates = SL_DUP_REFUSE},
		{.ae_title = sl_ae_of("OTHER"), .duplicates = SL_DUP_REFUSE},
	};
	list[0].from[0] = sl_net_of(false, elsewhere, 32);
	struct sl_peers_conf peers = node_peers();
	peers.peer = list;
	peers.peer_n = 2; /* PEER, from elsewhere */
	struct sl_server_conf conf = node_conf();
	conf.assoc.checks_called_ae = true;
	sl_server_configure(node.server, &conf.assoc, &peers);
	int fd = dial(&node);
	say_wire(fd, rq_to("SLUICE"));
	expect_reject(fd, 1, 1, 3);
	close(fd);
	peers.peer = list + 1; /* PEER is unknown */
	peers.peer_n = 1;
	sl_server_configure(node.server, &conf.assoc, &peers);
	fd = dial(&node);
	say_wire(fd, rq_to("SLUICE"));
	expect_reject(fd, 1, 1, 3);
	close(fd);
	peers.peer_n = 0;
	sl_server_configure(node.server, &conf.assoc, &peers);
	fd = dial(&node);
	say_wire(fd, rq_to("OTHERNODE"));
	expect_reject(fd, 1, 1, 7);
	close(fd);
	conf.assoc.ae_aliases[conf.assoc.ae_aliases_n++] = sl_ae_of("OTHERNODE");
	sl_server_configure(node.server, &conf.assoc, &peers);
	fd = dial(&node);
	say_wire(fd, rq_to("OTHERNODE"));
	assert_int_equal(hear_pdu(fd, &heard), SL_PDU_ASSOCIATE_AC);
	close(fd);
}

/* ---- aborts ---------------------------------------------------------------------------------- */

static void U3_everything_but_a_request_in_Sta2_is_AA_1(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"02 00 00000044",                    /* A-ASSOCIATE-AC */
		"03 00 00000004 00 01 01 01",        /* A-ASSOCIATE-RJ */
		"04 00 00000008 00000004 0103 0000", /* P-DATA-TF */
		"05 00 00000004 00000000",           /* A-RELEASE-RQ */
		"06 00 00000004 00000000",           /* A-RELEASE-RP */
		"00 00 00000004 00000000",
		"08 00 00000004 00000000",
		"ff 00 00000004 00000000",
		"01 00 00010001", /* a request over 64 KiB */
		"01 00 ffffffff",
		"04 00 ffffffff",
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		int fd = dial(&node);
		say_text(fd, rows[i]);
		expect_abort(fd, 0, 0);
		shutdown(fd, SHUT_WR);
		expect_end(fd);
	}
}

static void U3_abort_in_Sta2_just_closes(void **state)
{
	(void)state;
	int fd = dial(&node);
	say_text(fd, "07 00 00000004 00000000");
	expect_end(fd);
}

static void U6_each_reason_in_Sta6(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		unsigned source, reason;
	} rows[] = {
		{"08 00 00000004 00000000", 2, 1},
		{"00 00 00000004 00000000", 2, 1},
		{"ff 00 00000004 00000000", 2, 1},
		{"01 00 00000044", 2, 2}, /* U12: a second request on the connection */
		{"02 00 00000044", 2, 2},
		{"03 00 00000004 00 01 01 01", 2, 2},
		{"06 00 00000004 00000000", 2, 2},
		{"04 00 00010001", 2, 6}, /* U9: M + 1 */
		{"04 00 7fffffff", 2, 6},
		{"04 00 ffffffff", 2, 6},
		{"04 00 00000008 00000004 0703 0000", 2, 6}, /* no such context */
		{"04 00 00000008 00000004 0002 0000", 2, 6}, /* context 0 */
		{"04 00 00000008 00000004 0302 0000", 2, 6}, /* data before a command */
		{"04 00 00000008 00000005 0103 0000", 2, 6}, /* H9: beyond its PDU */
		{"04 00 00000008 00000000 0103 0000", 2, 6},
		{"04 00 00000008 00000001 0103 0000", 2, 6},
		{"04 00 00000008 7fffffff 0103 0000", 2, 6},
		{"04 00 00000008 80000000 0103 0000", 2, 6},
		{"04 00 00000008 fffffffc 0103 0000", 2, 6},
		{"04 00 00000008 ffffffff 0103 0000", 2, 6},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		int fd = dial_and_associate(&node);
		say_text(fd, rows[i].bytes);
		expect_abort(fd, rows[i].source, rows[i].reason);
		say_text(fd, "04 00 00000008 00000004 0103 0000"); /* AA-6: ignored */
		shutdown(fd, SHUT_WR);
		expect_end(fd);
	}
}

static void H38_an_empty_P_DATA_is_passed_over(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	say_text(fd, "04 00 00000000");
	struct wire w = {NULL, 0};
	add_echo(&w, 3);
	say_wire(fd, w);
	expect_status(fd, 3, 0);
	release(fd);
}

static void U2_abort_by_the_peer_closes(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	say_text(fd, "07 00 00000004 00000000");
	expect_end(fd);
	node_wait(&node.stats.assocs_aborted_peer, 1);
}

static void U3_Sta13_ignores_P_DATA_and_release_but_answers_a_request(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	say_text(fd, "05 00 00000004 00000000");
	assert_int_equal(hear_pdu(fd, &heard), SL_PDU_RELEASE_RP);
	say_text(fd, "05 00 00000004 00000000"); /* AA-6 */
	say_text(fd, "04 00 00000008 00000004 0103 0000");
	say_wire(fd, rq_to("SLUICE")); /* AA-7 */
	expect_abort(fd, 2, 2);
	say_text(fd, "07 00 00000004 00000000"); /* AA-2 */
	expect_end(fd);
}

/* Sta8: the peer has asked for release, and the disk still has its object. */
static void U3_whatever_follows_a_release_request_is_AA_8(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		unsigned reason;
	} rows[] = {
		{"01 00 00000044", 2},
		{"02 00 00000044", 2},
		{"03 00 00000004 00 01 01 01", 2},
		{"04 00 00000008 00000004 0103 0000", 2},
		{"05 00 00000004 00000000", 2},
		{"06 00 00000004 00000000", 2},
		{"08 00 00000004 00000000", 1},
	};
	unsigned n = 0;
	for (size_t i = 0; i <= SL_ARRAY_N(rows); i++) {
		int fd = dial_and_associate(&node);
		ingest_mem_hold(node.ingest, true);
		say_store(fd, 1, 1000, 16384);
		say_text(fd, "05 00 00000004 00000000");
		ingest_mem_wait_handed(node.ingest, ++n);
		if (i < SL_ARRAY_N(rows)) {
			say_text(fd, rows[i].bytes);
			expect_abort(fd, 2, rows[i].reason);
			shutdown(fd, SHUT_WR);
		} else {
			say_text(fd, "07 00 00000004 00000000"); /* AA-3 */
		}
		expect_end(fd);
		ingest_mem_hold(node.ingest, false);
		ingest_mem_wait_done(node.ingest, n);
		assert_true(ingest_mem_at(node.ingest, n - 1)->is_finished); /* kept all the same */
	}
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void F_stop_lets_a_running_object_finish(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node), idle = dial_and_associate(&node), bare = dial(&node);
	node_wait(&node.stats.connects, 3);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 1, 5000, 16384);
	ingest_mem_wait_handed(node.ingest, 1);
	sl_server_stop(node.server, 20000);
	expect_end(bare);
	expect_abort(idle, 0, 0);
	expect_end(idle);
	ingest_mem_hold(node.ingest, false);
	expect_status(fd, 1, 0);
	release(fd);
	node_wait_stopped(&node);
}

static void F_stop_at_once_aborts_but_keeps_what_is_complete(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node), half = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 1, 5000, 16384);
	ingest_mem_wait_handed(node.ingest, 1);
	struct wire w = {NULL, 0};
	uint8_t *p = pattern(5000, 1);
	add_store(&w, 2, p, 5000, 16384);
	say(half, w.p, w.n - 1000);
	ingest_mem_wait_begun(node.ingest, 2);
	free(p);
	wire_free(&w);
	sl_server_stop(node.server, 20000);
	sl_server_stop(node.server, 0);
	expect_abort(fd, 0, 0);
	expect_abort(half, 0, 0);
	expect_end(fd);
	expect_end(half);
	ingest_mem_hold(node.ingest, false);
	node_wait_stopped(&node);
	assert_true(ingest_mem_at(node.ingest, 0)->is_finished);
	assert_true(ingest_mem_at(node.ingest, 1)->is_aborted);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(U2_echo_and_release, start),
		TEST(D2_store_is_answered_when_it_is_stored, start),
		TEST(F12_answers_do_not_depend_on_the_split, start),
		TEST(U5_each_tuple, start),
		TEST(U5_unknown_and_wrong_peers_look_the_same, start),
		TEST(U3_everything_but_a_request_in_Sta2_is_AA_1, start),
		TEST(U3_abort_in_Sta2_just_closes, start),
		TEST(U6_each_reason_in_Sta6, start),
		TEST(H38_an_empty_P_DATA_is_passed_over, start),
		TEST(U2_abort_by_the_peer_closes, start),
		TEST(U3_Sta13_ignores_P_DATA_and_release_but_answers_a_request, start),
		TEST(U3_whatever_follows_a_release_request_is_AA_8, start),
		TEST(F_stop_lets_a_running_object_finish, start),
		TEST(F_stop_at_once_aborts_but_keeps_what_is_complete, start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
