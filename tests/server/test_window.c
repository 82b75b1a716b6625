/* The operations that are lent: how many one association gets, and that they come back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include "server/window.h"

#define SPARES 32

static struct sl_svc_store spares[SPARES];

static unsigned count(const struct sl_list *list)
{
	unsigned n = 0;
	sl_list_for_each (node, list)
		n++;
	return n;
}

static void give_all_back(struct sl_window *w, struct sl_list *list)
{
	struct sl_list *node;
	while ((node = sl_list_pop(list)) != NULL)
		sl_window_give_back(w, sl_container_of(node, struct sl_svc_store, node));
}

static void one_gets_a_share_of_what_is_free(void **state)
{
	(void)state;
	static const struct {
		uint32_t wanted, buffers, gets;
	} rows[] = {
		{0, 1000, 0}, {1, 1000, 1}, {7, 1000, 7}, {100, 1000, 8}, /* 32 spares are free */
		{7, 16, 4}, {7, 4, 1}, {7, 3, 0}, {7, 0, 0},              /* fewer buffers */
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		struct sl_window w;
		struct sl_list mine;
		sl_list_init(&mine);
		sl_window_init(&w, spares, SPARES);
		assert_int_equal(
			sl_window_borrow(&w, &mine, rows[i].wanted, rows[i].buffers), rows[i].gets);
		assert_int_equal(count(&mine), rows[i].gets);
		give_all_back(&w, &mine);
		assert_int_equal(w.free_n, SPARES);
		sl_window_fini(&w);
	}
}

static void no_operation_is_lent_twice(void **state)
{
	(void)state;
	struct sl_window w;
	struct sl_list mine, yours;
	sl_list_init(&mine);
	sl_list_init(&yours);
	sl_window_init(&w, spares, SPARES);
	uint32_t n = 0, more;
	do { /* each time a quarter of what is left */
		more = sl_window_borrow(&w, n % 2 == 0 ? &mine : &yours, SPARES, SPARES);
		n += more;
	} while (more > 0);
	assert_int_equal(n + w.free_n, SPARES);
	assert_true(w.free_n < SL_WINDOW_SHARE);
	assert_int_equal(count(&mine) + count(&yours), n);
	sl_list_for_each (a, &mine)
		sl_list_for_each (b, &yours)
			assert_ptr_not_equal(a, b);
	give_all_back(&w, &mine);
	give_all_back(&w, &yours);
	assert_int_equal(w.free_n, SPARES);
	assert_int_equal(count(&w.free), SPARES);
	sl_window_fini(&w);
}

static void a_node_without_windows_lends_nothing(void **state)
{
	(void)state;
	struct sl_window w;
	struct sl_list mine;
	sl_list_init(&mine);
	sl_window_init(&w, NULL, 0);
	assert_int_equal(sl_window_borrow(&w, &mine, 7, 1000), 0);
	assert_true(sl_list_is_empty(&mine));
	sl_window_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_gets_a_share_of_what_is_free),
		cmocka_unit_test(no_operation_is_lent_twice),
		cmocka_unit_test(a_node_without_windows_lends_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
