/* The port: who may knock, what else knocks, and what happens without addresses or descriptors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/net.h"

#include <sys/resource.h>

static struct node node;

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

static void H35_junk_is_closed_soon(void **state)
{
	(void)state;
	static const char *const rows[] = {"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "\x16\x03\x01\x02\x03\x01"};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		int fd = dial(&node);
		say(fd, rows[i], strlen(rows[i]));
		expect_abort(fd, 0, 0);
		expect_end(fd); /* ARTIM is 20 s here, and this does not wait for it */
		assert_int_equal(sl_stats_get(&node.stats.junk), i + 1);
	}
	static const uint8_t zeros[4096];
	int fd = dial(&node);
	say(fd, zeros, sizeof(zeros));
	expect_abort(fd, 0, 0);
	expect_end(fd);
	assert_int_equal(sl_stats_get(&node.stats.junk), 4);
}

static int start_dual_stack(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	strcpy(conf.listen.addr[0], "::");
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd < 0)
		strcpy(conf.listen.addr[0], "0.0.0.0"); /* no IPv6 here; the rest is the same */
	else
		close(fd);
	node_start(&node, &conf);
	return 0;
}

static void any_address_takes_IPv4_peers_as_loopback(void **state)
{
	(void)state;
	release(dial_and_associate(&node)); /* unlisted: only loopback may come */
}

static void a_port_in_use_is_named(void **state)
{
	(void)state;
	struct sl_server_conf conf = node_conf();
	conf.listen.port = sl_server_port(node.server);
	struct sl_peers_conf peers = node_peers();
	const struct sl_server_deps deps = {.stats = &node.stats};
	struct sl_server *second = NULL;
	struct sl_diag d = {0};
	assert_int_equal(sl_server_open(&second, &conf, &peers, &deps, &d), SL_E_IO);
	assert_non_null(strstr(d.text, "in use"));
	strcpy(conf.listen.addr[0], "192.0.2.1"); /* TEST-NET-1: nobody's address */
	d = (struct sl_diag){0};
	assert_int_equal(sl_server_open(&second, &conf, &peers, &deps, &d), SL_E_IO);
	assert_non_null(strstr(d.text, "dicom.bind"));
}

/* No descriptor is left: the peer learns at once, and the node goes on when there are some again. */
static void without_descriptors_peers_are_closed_and_nothing_breaks(void **state)
{
	(void)state;
	int spare[1024], n = 0, rounds[3];
	for (size_t i = 0; i < SL_ARRAY_N(rounds); i++)
		rounds[i] = socket(AF_INET, SOCK_STREAM, 0);
	struct rlimit before, tight;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = 512;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	while (n < 1024 && (spare[n] = dup(0)) >= 0)
		n++;
	for (size_t i = 0; i < SL_ARRAY_N(rounds); i++) {
		dial_with(&node, rounds[i]);
		expect_end(
			rounds[i]); /* closes ours: taken again below, once the node has its own */
		node_wait(&node.stats.rejected_congested, i + 1);
		spare[n++] = dup(0);
	}
	while (n > 0)
		close(spare[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	release(dial_and_associate(&node));
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(H35_junk_is_closed_soon, start),
		TEST(any_address_takes_IPv4_peers_as_loopback, start_dual_stack),
		TEST(a_port_in_use_is_named, start),
		TEST(without_descriptors_peers_are_closed_and_nothing_breaks, start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
