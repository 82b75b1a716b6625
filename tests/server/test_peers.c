/* Who may come: titles, networks, caps, reload.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <arpa/inet.h>
#include <string.h>

#include "server/peers.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage sa = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&sa;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else
		fail_msg("%s is not an address", text);
	return sa;
}

static struct sl_net net(const char *text, uint8_t prefix_len)
{
	uint8_t addr[16];
	if (inet_pton(AF_INET, text, addr) == 1)
		return sl_net_of(false, addr, prefix_len);
	assert_int_equal(inet_pton(AF_INET6, text, addr), 1);
	return sl_net_of(true, addr, prefix_len);
}

static bool has(const struct sl_net *n, const char *text)
{
	struct sockaddr_storage sa = address(text);
	uint8_t addr[16];
	assert_true(sl_net_addr((const struct sockaddr *)&sa, addr));
	return sl_net_has(n, addr);
}

static void networks_match_to_the_bit(void **state)
{
	(void)state;
	struct sl_net n = net("10.20.30.0", 24);
	assert_true(has(&n, "10.20.30.0"));
	assert_true(has(&n, "10.20.30.255"));
	assert_true(has(&n, "::ffff:10.20.30.7")); /* a dual stack socket's IPv4 peer */
	assert_false(has(&n, "10.20.31.0"));
	n = net("10.20.30.128", 25);
	assert_false(has(&n, "10.20.30.127"));
	assert_true(has(&n, "10.20.30.128"));
	n = net("0.0.0.0", 0);
	assert_true(has(&n, "203.0.113.9"));
	assert_false(has(&n, "2001:db8::1"));
	n = net("::", 0);
	assert_true(has(&n, "203.0.113.9"));
	n = net("2001:db8:8000::", 33);
	assert_true(has(&n, "2001:db8:ffff::1"));
	assert_false(has(&n, "2001:db8:7fff::1"));
	n = net("192.0.2.1", 32);
	assert_true(has(&n, "192.0.2.1"));
	assert_false(has(&n, "192.0.2.0"));
}

static void loopback_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *addr;
		bool is_loopback;
	} rows[] = {{"127.0.0.1", true}, {"127.255.0.9", true}, {"::1", true},
		{"::ffff:127.0.0.1", true}, {"128.0.0.1", false}, {"::2", false}};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct sockaddr_storage sa = address(rows[i].addr);
		uint8_t addr[16];
		assert_true(sl_net_addr((const struct sockaddr *)&sa, addr));
		assert_int_equal(sl_net_is_loopback(addr), rows[i].is_loopback);
	}
	struct sockaddr unix_socket = {.sa_family = AF_UNIX};
	uint8_t addr[16];
	assert_false(sl_net_addr(&unix_socket, addr));
}

static enum sl_peer_verdict ask(
	struct sl_peers *p, const char *title, const char *from, struct sl_peer_grant *grant)
{
	struct sl_peer_grant unused;
	struct sl_ae ae = sl_ae_of(title);
	struct sockaddr_storage sa = address(from);
	return sl_peers_admit(
		p, &ae, (const struct sockaddr *)&sa, grant != NULL ? grant : &unused);
}

static struct sl_peers_conf open_to(bool accepts_unknown, const struct sl_peer *peer, size_t n)
{
	return (struct sl_peers_conf){
		.accepts_unknown = accepts_unknown,
		.unlisted = {.nego = {.served = 3}, .duplicates = SL_DUP_REFUSE},
		.peer = peer,
		.peer_n = n,
	};
}

static struct sl_peers peers; /* large */

static void without_a_list_only_loopback_may_come(void **state)
{
	(void)state;
	struct sl_peers_conf conf = open_to(false, NULL, 0);
	assert_int_equal(sl_peers_init(&peers, &conf), SL_OK);
	assert_int_equal(ask(&peers, "ANY", "127.0.0.1", NULL), SL_PEER_ADMITTED);
	assert_int_equal(ask(&peers, "ANY", "10.0.0.1", NULL), SL_PEER_UNKNOWN);
	conf = open_to(true, NULL, 0);
	sl_peers_configure(&peers, &conf);
	assert_int_equal(ask(&peers, "ANY", "10.0.0.1", NULL), SL_PEER_ADMITTED);
	sl_peers_fini(&peers);
}

static void U5_listed_peers_come_from_their_addresses_only(void **state)
{
	(void)state;
	struct sl_peer list[3] = {
		{.ae_title = sl_ae_of("CT1"),
			.from = {net("10.1.0.0", 16)},
			.from_n = 1,
			.nego = {.served = 1},
			.duplicates = SL_DUP_FIRST},
		{.ae_title = sl_ae_of("CT1"),
			.from = {net("10.2.0.0", 16)},
			.from_n = 1,
			.nego = {.served = 2}},
		{.ae_title = sl_ae_of("ROAMER"), .nego = {.served = 2}},
	};
	struct sl_peers_conf conf = open_to(false, list, 3);
	assert_int_equal(sl_peers_init(&peers, &conf), SL_OK);
	struct sl_peer_grant grant;
	assert_int_equal(ask(&peers, "CT1", "10.1.2.3", &grant), SL_PEER_ADMITTED);
	assert_int_equal(grant.nego.served, 1);
	assert_int_equal(grant.duplicates, SL_DUP_FIRST);
	assert_int_equal(ask(&peers, "CT1", "10.2.2.3", &grant), SL_PEER_ADMITTED);
	assert_int_equal(grant.nego.served, 2);
	assert_int_equal(ask(&peers, "CT1", "10.3.2.3", NULL), SL_PEER_ELSEWHERE);
	assert_int_equal(ask(&peers, "ct1", "10.1.2.3", NULL), SL_PEER_UNKNOWN); /* case counts */
	assert_int_equal(ask(&peers, "ROAMER", "2001:db8::9", NULL), SL_PEER_ADMITTED);
	/* With a list, loopback has no privilege any more. */
	assert_int_equal(ask(&peers, "ANY", "127.0.0.1", NULL), SL_PEER_UNKNOWN);
	/* Welcoming the unknown does not let a listed title come from elsewhere. */
	conf = open_to(true, list, 3);
	sl_peers_configure(&peers, &conf);
	assert_int_equal(ask(&peers, "CT1", "10.3.2.3", NULL), SL_PEER_ELSEWHERE);
	assert_int_equal(ask(&peers, "ANY", "10.3.2.3", NULL), SL_PEER_ADMITTED);
	sl_peers_fini(&peers);
}

static void U5_a_peer_has_its_own_cap_also_over_a_reload(void **state)
{
	(void)state;
	struct sl_peer list[2] = {
		{.ae_title = sl_ae_of("OTHER")},
		{.ae_title = sl_ae_of("CT1"), .max_associations = 2},
	};
	struct sl_peers_conf conf = open_to(false, list, 2);
	assert_int_equal(sl_peers_init(&peers, &conf), SL_OK);
	struct sl_peer_grant a, b;
	assert_int_equal(ask(&peers, "CT1", "10.0.0.1", &a), SL_PEER_ADMITTED);
	assert_int_equal(ask(&peers, "CT1", "10.0.0.1", &b), SL_PEER_ADMITTED);
	assert_int_equal(ask(&peers, "CT1", "10.0.0.1", NULL), SL_PEER_TOO_MANY);
	conf = open_to(false, list + 1, 1); /* the entry moves to another place */
	sl_peers_configure(&peers, &conf);
	assert_int_equal(ask(&peers, "CT1", "10.0.0.1", NULL), SL_PEER_TOO_MANY);
	sl_peers_leave(&peers, &a);
	assert_int_equal(ask(&peers, "CT1", "10.0.0.1", &a), SL_PEER_ADMITTED);
	conf = open_to(false, list, 1); /* the entry is gone: leaving is harmless */
	sl_peers_configure(&peers, &conf);
	sl_peers_leave(&peers, &a);
	sl_peers_leave(&peers, &b);
	sl_peers_fini(&peers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_match_to_the_bit),
		cmocka_unit_test(loopback_is_known),
		cmocka_unit_test(without_a_list_only_loopback_may_come),
		cmocka_unit_test(U5_listed_peers_come_from_their_addresses_only),
		cmocka_unit_test(U5_a_peer_has_its_own_cap_also_over_a_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
