/* An association's clocks, a tick at a time and to the byte: what counts for min_rate and for idle, and what
 * does not. No loop runs: an association that ends here would be a crash.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <string.h>

#include "server/assoc.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"

enum { WINDOW_MS = 1000, MIN_RATE = 5000, IDLE_MS = 3000, DT_MS = 100 };

struct rig {
	struct sl_server server;
	struct sl_loop loop;
	struct sl_conn conn;
	struct sl_assoc a;
};

static int setup(void **state)
{
	static struct rig r;
	memset(&r, 0, sizeof(r));
	r.loop.server = &r.server;
	r.loop.conf = (struct sl_assoc_conf){
		.idle_ms = IDLE_MS, .min_rate = MIN_RATE, .min_rate_window_ms = WINDOW_MS};
	r.conn.loop = &r.loop;
	r.a.conn = &r.conn;
	r.a.state = SL_UL_STA6;
	sl_msg_init(&r.a.msg);
	*state = &r;
	return 0;
}

static void tick(struct rig *r, uint64_t bytes, bool waits_for_peer)
{
	const struct sl_assoc_tick t = {
		.dt_ms = DT_MS, .bytes = bytes, .waits_for_peer = waits_for_peer};
	sl_assoc_tick(&r->a, &t);
	assert_int_equal(r->a.state, SL_UL_STA6);
}

static void assert_window(const struct rig *r, uint32_t ms, uint64_t bytes)
{
	assert_int_equal(r->a.rate_ms, ms);
	assert_int_equal(r->a.rate_bytes, bytes);
}

static void between_messages_the_window_rests(void **state)
{
	struct rig *r = *state;
	r->a.is_in_pdu = true;
	tick(r, 7, true);
	assert_window(r, DT_MS, 7);
	r->a.is_in_pdu = false; /* the message's end, and bytes of the next one's beginning */
	tick(r, 9, true);
	assert_window(r, 0, 0);
	r->a.is_in_pdu = true;
	tick(r, 11, true);
	assert_window(r, DT_MS, 11);
}

static void while_the_peer_waits_for_us_its_clocks_stand(void **state)
{
	struct rig *r = *state;
	r->a.is_in_pdu = true;
	for (int i = 0; i < 100; i++)
		tick(r, 0, false);
	assert_window(r, 0, 0);
	assert_int_equal(r->a.quiet_ms, 0);
	tick(r, 3, false); /* its bytes count all the same */
	assert_window(r, 0, 3);
}

static void exactly_min_rate_is_not_too_slow(void **state)
{
	struct rig *r = *state;
	r->a.is_in_pdu = true;
	for (int window = 0; window < 3; window++) {
		for (int i = 1; i < WINDOW_MS / DT_MS; i++) {
			tick(r, 1, true);
			assert_window(r, (uint32_t)(i * DT_MS), (uint64_t)i);
		}
		tick(r, MIN_RATE * WINDOW_MS / 1000 - (WINDOW_MS / DT_MS - 1), true);
		assert_window(r, 0, 0); /* each window begins anew */
	}
}

static void no_min_rate_is_any_rate(void **state)
{
	struct rig *r = *state;
	r->a.is_in_pdu = true;
	r->loop.conf.min_rate = 0;
	r->loop.conf.idle_ms = UINT32_MAX;
	for (int i = 0; i < 5 * WINDOW_MS / DT_MS; i++)
		tick(r, 0, true);
}

static void silence_is_counted_until_a_byte_comes(void **state)
{
	struct rig *r = *state;
	for (int i = 1; i < IDLE_MS / DT_MS; i++) {
		tick(r, 0, true);
		assert_int_equal(r->a.quiet_ms, i * DT_MS);
	}
	tick(r, 1, true);
	assert_int_equal(r->a.quiet_ms, 0);
	tick(r, 0, true);
	assert_int_equal(r->a.quiet_ms, DT_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(between_messages_the_window_rests, setup),
		cmocka_unit_test_setup(while_the_peer_waits_for_us_its_clocks_stand, setup),
		cmocka_unit_test_setup(exactly_min_rate_is_not_too_slow, setup),
		cmocka_unit_test_setup(no_min_rate_is_any_rate, setup),
		cmocka_unit_test_setup(silence_is_counted_until_a_byte_comes, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
