/* The upper layer's clocks over real sockets: ARTIM, silence, dribble, and slots that the silent hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/net.h"

static struct node node;
static struct heard heard;

static int end(void **state)
{
	(void)state;
	node_end(&node);
	return 0;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static int start_for_two(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	conf.max_associations = 2;
	conf.assoc.artim_ms = 300;
	node_start(&node, &conf);
	return 0;
}

static void U5_the_cap_answers_2_3_2_and_recovers(void **state)
{
	(void)state;
	int a = dial_and_associate(&node), b = dial_and_associate(&node);
	int c = dial(&node);
	say_wire(c, rq_to("SLUICE"));
	expect_reject(c, 2, 3, 2);
	expect_end(c); /* by ARTIM: we do not close */
	release(a);
	a = dial_and_associate(&node);
	release(a);
	release(b);
}

static int start_for_one_of_a_peer(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	struct sl_peers_conf peers = node_peers();
	struct sl_peer peer = {.ae_title = sl_ae_of("PEER"), .max_associations = 1};
	sl_nego_policy_init(&peer.nego);
	peers.peer = &peer;
	peers.peer_n = 1;
	node_start_with(&node, &conf, &peers);
	return 0;
}

/* However an association ends, its peer may have another. */
static void U5_a_peers_own_cap_counts_only_what_is_open(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = dial_and_associate(&node), second = dial(&node);
		say_wire(second, rq_to("SLUICE"));
		expect_reject(second, 2, 3, 2);
		close(second);
		if (i == 1) {
			say_text(fd, "08 00 00000004 00000000");
			expect_abort(fd, 2, 1);
			close(fd);
		} else {
			release(fd);
		}
	}
	int fd = dial_and_associate(&node);
	say_text(fd, "07 00 00000004 00000000");
	expect_end(fd);
	release(dial_and_associate(&node));
}

/* HOSTILE 36: silent clients beyond all slots; ARTIM gives the slots back. */
static void H36_dead_peers_are_recovered(void **state)
{
	(void)state;
	int silent[2 + SL_SERVER_SPARE];
	for (size_t i = 0; i < SL_ARRAY_N(silent); i++)
		silent[i] = dial(&node);
	node_wait(&node.stats.connects, SL_ARRAY_N(silent));
	int late = dial(&node); /* no slot is left: closed at once */
	expect_end(late);
	for (size_t i = 0; i < SL_ARRAY_N(silent); i++)
		expect_end(silent[i]);
	release(dial_until_associated(&node));
}

static int start_for_two_patient(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	conf.max_associations = 2;
	conf.assoc.artim_ms = 3600000;
	node_start(&node, &conf);
	return 0;
}

/* More silent clients than slots do not keep others out, though ARTIM is an hour here. */
static void F8_silent_clients_make_room(void **state)
{
	(void)state;
	int silent[2 + SL_SERVER_SPARE];
	int established = dial_and_associate(&node);
	for (size_t i = 0; i < SL_ARRAY_N(silent); i++)
		silent[i] = dial(&node);
	expect_end(silent[0]); /* the oldest */
	release(dial_until_associated(&node));
	release(established); /* it was let alone */
	for (size_t i = 1; i < SL_ARRAY_N(silent); i++)
		close(silent[i]);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static int start_impatient(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	conf.assoc.artim_ms = 200;
	conf.assoc.idle_ms = 400;
	conf.assoc.min_rate = 1000000;
	conf.assoc.min_rate_window_ms = 300;
	node_start(&node, &conf);
	return 0;
}

static void U4_silence_in_Sta2_ends_by_ARTIM(void **state)
{
	(void)state;
	int silent = dial(&node), dribbling = dial(&node);
	say_text(dribbling, "01 00 00000100 0001");
	expect_end(silent);
	expect_end(dribbling);
}

static void U4_a_peer_that_never_closes_is_closed_by_ARTIM(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	say_text(fd, "05 00 00000004 00000000");
	assert_int_equal(hear_pdu(fd, &heard), SL_PDU_RELEASE_RP);
	expect_end(fd);
	fd = dial_and_associate(&node);
	say_text(fd, "08 00 00000004 00000000");
	expect_abort(fd, 2, 1);
	expect_end(fd);
}

static void F9_an_idle_association_is_aborted(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	expect_abort(fd, 0, 0);
	expect_end(fd);
	node_wait(&node.stats.assocs_timeout, 1);
}

static void F8_a_message_that_dribbles_is_aborted(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	struct wire w = {NULL, 0};
	uint8_t *p = pattern(60000, 1);
	add_store(&w, 1, p, 60000, 100);
	free(p);
	/* A fragment at a time, each when the last was read: never idle, always too slow. */
	uint64_t base = sl_stats_get(&node.stats.net_bytes_in);
	size_t sent = 0;
	while (sent < w.n && sl_stats_get(&node.stats.assocs_timeout) == 0) {
		if (!try_say(fd, w.p + sent, 1))
			break;
		sent++;
		while (sl_stats_get(&node.stats.net_bytes_in) < base + sent &&
			sl_stats_get(&node.stats.assocs_timeout) == 0)
			sched_yield();
	}
	assert_true(sent < w.n);
	wire_free(&w);
	expect_abort(fd, 0, 0);
	expect_end(fd);
	ingest_mem_wait_done(node.ingest, 1);
	assert_true(ingest_mem_at(node.ingest, 0)->is_aborted);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(U5_the_cap_answers_2_3_2_and_recovers, start_for_two),
		TEST(U5_a_peers_own_cap_counts_only_what_is_open, start_for_one_of_a_peer),
		TEST(H36_dead_peers_are_recovered, start_for_two),
		TEST(F8_silent_clients_make_room, start_for_two_patient),
		TEST(U4_silence_in_Sta2_ends_by_ARTIM, start_impatient),
		TEST(U4_a_peer_that_never_closes_is_closed_by_ARTIM, start_impatient),
		TEST(F9_an_idle_association_is_aborted, start_impatient),
		TEST(F8_a_message_that_dribbles_is_aborted, start_impatient),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
