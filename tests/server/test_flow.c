/* Bytes under pressure: parts, the pool, a slow disk, spills, objects that fail, several loops.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/net.h"

static struct node node;

static void begin(uint32_t buffers, unsigned loops)
{
	struct sl_server_conf conf = node_conf();
	conf.buffers = buffers;
	conf.loops = loops;
	node_start(&node, &conf);
}

static int start(void **state)
{
	(void)state;
	begin(4, 1);
	return 0;
}

static int start_with_one_buffer(void **state)
{
	(void)state;
	begin(1, 1);
	return 0;
}

static int start_three_loops(void **state)
{
	(void)state;
	begin(2, 3);
	return 0;
}

static int end(void **state)
{
	(void)state;
	node_end(&node);
	return 0;
}

/* A whole C-STORE as bytes, to be said in pieces. */
static struct wire store_wire(uint16_t message_id, size_t n, size_t pdv_max)
{
	struct wire w = {NULL, 0};
	uint8_t *p = pattern(n, message_id + 77u);
	add_store(&w, message_id, p, n, pdv_max);
	free(p);
	return w;
}

/* ---- sizes ------------------------------------------------------------------------------------ */

static void U11_any_size_in_any_fragments_arrives_as_sent(void **state)
{
	(void)state;
	static const size_t sizes[] = {
		1, 2, 7000, 8180, 8192, 8193, 20000, 65536, 70000, 73728, 73729, 300000, 1000000};
	static const size_t pdvs[] = {65530, 16378, 4096, 1000, 126, 2};
	int fd = dial_and_associate(&node);
	unsigned n = 0;
	for (size_t i = 0; i < SL_ARRAY_N(sizes); i++)
		for (size_t k = 0; k < SL_ARRAY_N(pdvs); k++) {
			if (pdvs[k] < 100 && sizes[i] > 20000)
				continue; /* half a million PDUs prove no more */
			say_store(fd, (uint16_t)(n + 1), sizes[i], pdvs[k]);
			expect_status(fd, (uint16_t)(n + 1), 0);
			assert_kept(&node, n, (uint16_t)(n + 1), sizes[i]);
			n++;
		}
	release(fd);
}

/* DESIGN 2: an object that fits one buffer (and its area) is one disk job. */
static void an_object_that_fits_is_one_part(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	say_store(fd, 1, 60000, 16378);
	expect_status(fd, 1, 0);
	assert_int_equal(ingest_mem_at(node.ingest, 0)->parts_n, 1);
	assert_int_equal(ingest_mem_at(node.ingest, 0)->most_bufs, SL_PART_BUFS);
	say_store(fd, 2, 5000, 16378); /* fits the area: no buffer is asked for */
	expect_status(fd, 2, 0);
	assert_int_equal(ingest_mem_at(node.ingest, 1)->parts_n, 1);
	assert_int_equal(ingest_mem_at(node.ingest, 1)->most_bufs, 1);
	release(fd);
}

/* ---- a slow disk ------------------------------------------------------------------------------- */

/* Sends until the socket takes no more; how much that was. */
static size_t say_until_full(int fd, const struct wire *w)
{
	const struct timeval moment = {.tv_usec = 200000};
	const struct timeval patience = {.tv_sec = NET_PATIENCE_S};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof(moment));
	size_t at = 0;
	while (at < w->n) {
		ssize_t sent = send(fd, w->p + at, w->n - at, MSG_NOSIGNAL);
		if (sent < 0)
			break;
		at += (size_t)sent;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return at;
}

static void a_slow_disk_stops_the_sender_not_the_node(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	struct wire w = store_wire(1, 30 * SL_MIB, 16378);
	ingest_mem_hold(node.ingest, true);
	size_t sent = say_until_full(fd, &w);
	assert_true(sent < w.n);                     /* TCP pushed back */
	node_wait_used(&node, SL_INGEST_WINDOW + 1); /* in flight, and one that fills */
	int other = dial_and_associate(&node);       /* somebody else is served meanwhile */
	release(other);
	ingest_mem_hold(node.ingest, false);
	say(fd, w.p + sent, w.n - sent);
	expect_status(fd, 1, 0);
	assert_kept(&node, 0, 1, 30 * SL_MIB);
	wire_free(&w);
	release(fd);
}

static void D6_the_next_request_waits_and_both_are_answered_in_order(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	struct wire w = store_wire(1, 30000, 16378), second = store_wire(2, 100000, 16378);
	wire_add(&w, second.p, second.n); /* both at once: no peer should, some do */
	ingest_mem_hold(node.ingest, true);
	say(fd, w.p, w.n);
	ingest_mem_wait_handed(node.ingest, 1);
	assert_int_equal(ingest_mem_begun_n(node.ingest), 1);
	ingest_mem_hold(node.ingest, false);
	expect_status(fd, 1, 0);
	expect_status(fd, 2, 0);
	assert_kept(&node, 0, 1, 30000);
	assert_kept(&node, 1, 2, 100000);
	wire_free(&w);
	wire_free(&second);
	release(fd);
}

static void D2_a_message_ID_that_is_open_is_refused_after_its_data(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 5, 3000, 16378);
	ingest_mem_wait_handed(node.ingest, 1);
	say_store(fd, 5, 3000, 16378);
	expect_status(fd, 5, SL_DSTAT_DUPLICATE_INVOCATION);
	ingest_mem_hold(node.ingest, false);
	expect_status(fd, 5, 0);
	release(fd);
}

static void U2_a_release_waits_for_the_disk(void **state)
{
	(void)state;
	static struct heard h;
	int fd = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 1, 3000, 16378);
	say_text(fd, "05 00 00000004 00000000");
	ingest_mem_wait_handed(node.ingest, 1);
	ingest_mem_hold(node.ingest, false);
	expect_status(fd, 1, 0); /* AR-7 */
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_RELEASE_RP);
	close(fd);
}

/* ---- the pool ---------------------------------------------------------------------------------- */

static void a_sender_waits_for_a_buffer(void **state)
{
	(void)state;
	int a = dial_and_associate(&node), b = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(a, 1, 60000, 16378);
	ingest_mem_wait_handed(node.ingest, 1); /* the only buffer is in flight */
	struct wire w = store_wire(2, 60000, 16378);
	say(b, w.p, w.n);
	node_wait_waiters(&node, 1);
	ingest_mem_hold(node.ingest, false);
	expect_status(a, 1, 0);
	expect_status(b, 2, 0);
	assert_kept(&node, 1, 2, 60000);
	wire_free(&w);
	release(a);
	release(b);
}

static void a_quiet_holder_is_spilled_for_who_waits(void **state)
{
	(void)state;
	int quiet = dial_and_associate(&node), b = dial_and_associate(&node);
	struct wire w = store_wire(1, 60000, 16378);
	say(quiet, w.p, 40000);
	node_wait_used(&node, 1); /* the only buffer, part-filled, and then silence */
	say_store(b, 2, 60000, 16378);
	expect_status(b, 2, 0);
	assert_int_equal(sl_stats_get(&node.stats.spills), 1);
	say(quiet, w.p + 40000, w.n - 40000);
	expect_status(quiet, 1, 0);
	assert_kept(&node, 0, 1, 60000);
	assert_true(ingest_mem_at(node.ingest, 0)->parts_n > 1);
	wire_free(&w);
	release(quiet);
	release(b);
}

static void who_waits_for_a_buffer_may_leave(void **state)
{
	(void)state;
	int a = dial_and_associate(&node), b = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(a, 1, 60000, 16378);
	ingest_mem_wait_handed(node.ingest, 1);
	say_store(b, 2, 60000, 16378);
	node_wait_waiters(&node, 1);
	sl_server_stop(
		node.server, 0); /* the only way it learns of anything while it does not read */
	expect_abort(b, 0, 0);
	expect_abort(a, 0, 0);
	close(a);
	close(b);
	ingest_mem_hold(node.ingest, false);
	node_wait_stopped(&node);
	assert_true(ingest_mem_at(node.ingest, 1)->is_aborted);
}

struct sender {
	pthread_t thread;
	unsigned number;
	unsigned objects;
	size_t bytes;
};

/* On threads of their own; cmocka's assertions would not unwind there, so: counts. */
static void *send_all(void *arg)
{
	struct sender *s = arg;
	static const size_t pdvs[] = {65530, 16378, 4096, 1000};
	int fd = dial_and_associate(&node);
	for (unsigned i = 0; i < s->objects; i++) {
		uint16_t id = (uint16_t)(s->number * 100 + i + 1);
		say_store(fd, id, s->bytes + s->number, pdvs[s->number % SL_ARRAY_N(pdvs)]);
		expect_status(fd, id, 0);
	}
	release(fd);
	return NULL;
}

static void send_from(unsigned senders_n, unsigned objects, size_t bytes)
{
	struct sender senders[32];
	assert_true(senders_n <= SL_ARRAY_N(senders));
	for (unsigned i = 0; i < senders_n; i++) {
		senders[i] = (struct sender){.number = i, .objects = objects, .bytes = bytes};
		assert_int_equal(
			pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
	}
	for (unsigned i = 0; i < senders_n; i++)
		pthread_join(senders[i].thread, NULL);
	assert_int_equal(ingest_mem_begun_n(node.ingest), senders_n * objects);
	for (unsigned i = 0; i < senders_n * objects; i++) {
		const struct ingest_mem_object *o = ingest_mem_at(node.ingest, i);
		unsigned id = (unsigned)atoi(o->sop_instance_uid.s + strlen("1.2.3."));
		assert_kept(&node, i, (uint16_t)id, bytes + (id - 1) / 100);
	}
}

static void a_pool_of_one_buffer_serves_eight_senders(void **state)
{
	(void)state;
	send_from(8, 3, 300000);
	assert_true(sl_stats_get(&node.stats.pool_waits) > 0);
}

static void three_loops_share_a_small_pool(void **state)
{
	(void)state;
	send_from(18, 4, 200000);
}

/* ---- objects that fail ------------------------------------------------------------------------- */

static void D3_a_failing_object_is_drained_then_answered(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	ingest_mem_fail_parts(node.ingest, SL_VERDICT_DISK_FULL);
	struct wire w = store_wire(1, 2 * SL_MIB, 16378);
	say(fd, w.p, w.n - 10);
	/* All but ten bytes were read; nothing is answered before the last PDV. */
	node_wait(&node.stats.net_bytes_in, w.n - 10);
	assert_int_equal(sl_server_pool(node.server).used, 0); /* and nothing is held for it */
	say(fd, w.p + w.n - 10, 10);
	expect_status(fd, 1, SL_DSTAT_OUT_OF_RESOURCES);
	const struct ingest_mem_object *o = ingest_mem_at(node.ingest, 0);
	assert_int_equal(o->bytes_n + o->extra, 2 * SL_MIB);
	assert_true(o->extra > 0);
	wire_free(&w);
	ingest_mem_fail_parts(node.ingest, SL_VERDICT_STORED);
	say_store(fd, 2, 100, 16378); /* the association lives */
	expect_status(fd, 2, 0);
	release(fd);
}

static void D3_a_refused_object_takes_no_buffer(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	ingest_mem_refuse(node.ingest, SL_VERDICT_DISK_FULL);
	say_store(fd, 1, SL_MIB, 16378);
	expect_status(fd, 1, SL_DSTAT_OUT_OF_RESOURCES);
	assert_int_equal(ingest_mem_at(node.ingest, 0)->extra, SL_MIB);
	assert_int_equal(sl_server_pool(node.server).peak, 0);
	release(fd);
	assert_int_equal(sl_stats_get(&node.stats.failed_full), 1);
}

static void H14_a_peer_that_vanishes_within_an_object_leaves_nothing(void **state)
{
	(void)state;
	struct wire w = store_wire(1, 200000, 16378);
	for (size_t i = 0; i < 40; i++) {
		int fd = dial_and_associate(&node);
		uint64_t base = sl_stats_get(&node.stats.net_bytes_in);
		size_t part = 300 + i * 5000;
		say(fd, w.p, part);
		node_wait(&node.stats.net_bytes_in, base + part);
		ingest_mem_wait_begun(node.ingest, (unsigned)i + 1);
		if (i % 2 == 0)
			say_text(fd, "07 00 00000004 00000000");
		close(fd);
		ingest_mem_wait_done(node.ingest, (unsigned)i + 1);
		assert_true(ingest_mem_at(node.ingest, (unsigned)i)->is_aborted);
	}
	wire_free(&w);
}

static void an_object_that_is_complete_is_stored_though_nobody_waits(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	ingest_mem_hold(node.ingest, true);
	say_store(fd, 1, 3000, 16378);
	ingest_mem_wait_handed(node.ingest, 1);
	close(fd);
	node_wait(&node.stats.connects, 1);
	ingest_mem_hold(node.ingest, false);
	ingest_mem_wait_done(node.ingest, 1);
	assert_true(ingest_mem_at(node.ingest, 0)->is_finished);
	release(dial_and_associate(&node));
}

static void U2_a_release_within_an_object_ends_it(void **state)
{
	(void)state;
	static struct heard h;
	int fd = dial_and_associate(&node);
	struct wire w = {NULL, 0};
	const struct command c = {SL_CMD_C_STORE_RQ, 1, CT, "1.2.3.1", true};
	add_command(&w, 3, &c);
	wire_text(&w, "04 00 0000000a 00000006 0300 08000500"); /* not the last fragment */
	wire_text(&w, "05 00 00000004 00000000");
	say_wire(fd, w);
	assert_int_equal(hear_pdu(fd, &h), SL_PDU_RELEASE_RP);
	close(fd);
	ingest_mem_wait_done(node.ingest, 1);
	assert_true(ingest_mem_at(node.ingest, 0)->is_aborted);
}

/* ---- requests that no service takes ------------------------------------------------------------ */

static void D4_each_refusal_names_its_cause_after_the_last_byte(void **state)
{
	(void)state;
	static const struct {
		struct command c;
		uint8_t pcid;
		uint16_t status;
	} rows[] = {
		{{SL_CMD_C_FIND_RQ, 1, CT, NULL, true}, 3, SL_DSTAT_UNRECOGNIZED_OPERATION},
		{{SL_CMD_N_ACTION_RQ, 2, CT, NULL, false}, 3, SL_DSTAT_UNRECOGNIZED_OPERATION},
		{{0x0777, 3, CT, NULL, false}, 3, SL_DSTAT_UNRECOGNIZED_OPERATION},
		{{SL_CMD_C_STORE_RQ, 4, "1.2.840.10008.5.1.4.1.1.4", "1.2.3", true}, 3,
			SL_DSTAT_CLASS_NOT_SUPPORTED},
		{{SL_CMD_C_STORE_RQ, 5, ECHO, "1.2.3", true}, 1, SL_DSTAT_UNRECOGNIZED_OPERATION},
		{{SL_CMD_C_ECHO_RQ, 6, CT, NULL, false}, 3, SL_DSTAT_UNRECOGNIZED_OPERATION},
		{{SL_CMD_C_STORE_RQ, 7, CT, "1.2.3", false}, 3, SL_DSTAT_NO_DATA_SET},
		{{SL_CMD_C_STORE_RQ, 8, CT, "../../etc", true}, 3, SL_DSTAT_CANNOT_UNDERSTAND},
		{{SL_CMD_C_STORE_RQ, 9, CT, NULL, true}, 3, SL_DSTAT_CANNOT_UNDERSTAND},
		{{SL_CMD_C_STORE_RQ, 0, CT, "1.2.3", false}, 3, SL_DSTAT_NO_DATA_SET},
		{{SL_CMD_C_STORE_RQ, 65535, CT, "1.2.3", false}, 3, SL_DSTAT_NO_DATA_SET},
	};
	int fd = dial_and_associate(&node);
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct wire w = {NULL, 0};
		uint8_t *p = pattern(50000, 1);
		add_command(&w, rows[i].pcid, &rows[i].c);
		if (rows[i].c.has_data_set)
			add_pdvs(&w, rows[i].pcid, false, p, 50000, 16378);
		say_wire(fd, w);
		free(p);
		expect_status(fd, rows[i].c.message_id, rows[i].status);
	}
	assert_int_equal(ingest_mem_begun_n(node.ingest), 0);
	release(fd);
}

static void D2_a_private_class_is_stored_and_a_cancel_tolerated(void **state)
{
	(void)state;
	int fd = dial_and_associate(&node);
	struct wire w = {NULL, 0};
	const struct command cancel = {.field = SL_CMD_C_CANCEL_RQ};
	const struct command store = {SL_CMD_C_STORE_RQ, 4, PRIVATE, "1.2.3.4", true};
	uint8_t *p = pattern(100, 4 + 77);
	uint8_t bytes[64];
	struct sl_wbuf b = sl_wbuf_of(bytes, sizeof(bytes));
	t_el(&b, 0x0000, 4, "\x1e\0\0\0", 4);
	t_us(&b, 0x0100, cancel.field);
	t_us(&b, 0x0120, 1);
	t_us(&b, 0x0800, SL_CMD_NO_DATA_SET);
	add_pdvs(&w, 3, true, bytes, b.len, 4096);
	add_command(&w, 5, &store);
	add_pdvs(&w, 5, false, p, 100, 4096);
	say_wire(fd, w);
	expect_status(fd, 4, 0);
	assert_kept(&node, 0, 4, 100);
	free(p);
	release(fd);
}

/* ---- a peer that does not read ----------------------------------------------------------------- */

/* HOSTILE 37, F10: echoes without end, their answers never read. Our answers stay in a bounded queue. */
static void F10_a_peer_that_never_reads_is_cut_off(void **state)
{
	(void)state;
	int fd = dial(&node);
	const int small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	associate(fd);
	struct wire w = {NULL, 0};
	for (int i = 0; i < 500; i++)
		add_echo(&w, (uint16_t)i);
	while (try_say(fd, w.p, w.n))
		;
	wire_free(&w);
	close(fd);
	node_wait(&node.stats.assocs_timeout, 1);
	release(dial_and_associate(&node));
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(U11_any_size_in_any_fragments_arrives_as_sent, start),
		TEST(an_object_that_fits_is_one_part, start),
		TEST(a_slow_disk_stops_the_sender_not_the_node, start),
		TEST(D6_the_next_request_waits_and_both_are_answered_in_order, start),
		TEST(D2_a_message_ID_that_is_open_is_refused_after_its_data, start),
		TEST(U2_a_release_waits_for_the_disk, start),
		TEST(a_sender_waits_for_a_buffer, start_with_one_buffer),
		TEST(a_quiet_holder_is_spilled_for_who_waits, start_with_one_buffer),
		TEST(who_waits_for_a_buffer_may_leave, start_with_one_buffer),
		TEST(a_pool_of_one_buffer_serves_eight_senders, start_with_one_buffer),
		TEST(three_loops_share_a_small_pool, start_three_loops),
		TEST(D3_a_failing_object_is_drained_then_answered, start),
		TEST(D3_a_refused_object_takes_no_buffer, start),
		TEST(H14_a_peer_that_vanishes_within_an_object_leaves_nothing, start),
		TEST(an_object_that_is_complete_is_stored_though_nobody_waits, start),
		TEST(U2_a_release_within_an_object_ends_it, start),
		TEST(D4_each_refusal_names_its_cause_after_the_last_byte, start),
		TEST(D2_a_private_class_is_stored_and_a_cancel_tolerated, start),
		TEST(F10_a_peer_that_never_reads_is_cut_off, start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
