/* The checked state machine: edges are taken as the table draws them, and no others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sm.h"

enum { NEW, RUNNING, PAUSED, DONE, N };
static const struct sl_sm_row rows[N] = {
	[NEW] = {"NEW", SL_SM_TO(RUNNING) | SL_SM_TO(DONE)},
	[RUNNING] = {"RUNNING", SL_SM_TO(PAUSED) | SL_SM_TO(DONE)},
	[PAUSED] = {"PAUSED", SL_SM_TO(RUNNING)},
	[DONE] = {"DONE", 0},
};
static const struct sl_sm_conf conf = {"job", rows, N};

/* What a child that runs fn says on stderr before it aborts; fails when it does not abort. */
static void assert_aborts(void (*fn)(void), const char *message)
{
	int fds[2], status = 0;
	char said[1024] = "";
	size_t n = 0;
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL); /* cmocka's is the parent's */
		(void)dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	(void)close(fds[1]);
	for (ssize_t got; (got = read(fds[0], said + n, sizeof(said) - 1 - n)) > 0;)
		n += (size_t)got;
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (strstr(said, message) == NULL)
		fail_msg("said: %s", said);
}

static void edges_of_the_table_are_taken(void **state)
{
	(void)state;
	struct sl_sm sm;
	sl_sm_init(&sm, &conf);
	assert_int_equal(sl_sm_state(&sm), NEW);
	assert_string_equal(sl_sm_state_name(&sm), "NEW");
	sl_sm_move(&sm, RUNNING);
	for (int i = 0; i < 100; i++) { /* the trail is a window */
		sl_sm_move(&sm, PAUSED);
		assert_true(sl_sm_is_in(&sm, SL_SM_TO(PAUSED) | SL_SM_TO(DONE)));
		sl_sm_move(&sm, RUNNING);
		assert_false(sl_sm_is_in(&sm, SL_SM_TO(PAUSED) | SL_SM_TO(DONE)));
	}
	assert_false(sl_sm_is_final(&sm));
	sl_sm_move(&sm, DONE);
	assert_true(sl_sm_is_final(&sm));
	assert_string_equal(sl_sm_state_name(&sm), "DONE");
}

static void may_answers_for_every_pair_of_states(void **state)
{
	(void)state;
	static const bool edges[N][N] = {
		/* to        NEW    RUNNING PAUSED DONE */
		[NEW] = {false, true, false, true},
		[RUNNING] = {false, false, true, true},
		[PAUSED] = {false, true, false, false},
		[DONE] = {false, false, false, false},
	};
	for (uint8_t from = 0; from < N; from++) {
		struct sl_sm sm = {.conf = &conf, .state = from};
		for (uint8_t to = 0; to < N; to++)
			assert_int_equal(sl_sm_may(&sm, to), edges[from][to]);
		assert_false(sl_sm_may(&sm, N));
		assert_false(sl_sm_may(&sm, UINT8_MAX));
	}
}

static void run_after_done(void)
{
	struct sl_sm sm;
	sl_sm_init(&sm, &conf);
	sl_sm_move(&sm, RUNNING);
	sl_sm_move(&sm, DONE);
	sl_sm_move(&sm, RUNNING);
}

static void run_after_a_long_life(void)
{
	struct sl_sm sm;
	sl_sm_init(&sm, &conf);
	sl_sm_move(&sm, RUNNING);
	for (int i = 0; i < 20; i++) {
		sl_sm_move(&sm, PAUSED);
		sl_sm_move(&sm, RUNNING);
	}
	sl_sm_move(&sm, DONE);
	sl_sm_move(&sm, NEW);
}

static void move_outside(void)
{
	struct sl_sm sm;
	sl_sm_init(&sm, &conf);
	sl_sm_move(&sm, 77);
}

static void a_forbidden_edge_aborts_and_tells_the_path(void **state)
{
	(void)state;
	assert_aborts(run_after_done, "job: DONE -> RUNNING is not an edge; by NEW RUNNING");
	assert_aborts(run_after_a_long_life,
		"job: DONE -> NEW is not an edge; by"
		" RUNNING PAUSED RUNNING PAUSED RUNNING PAUSED RUNNING\n"); /* the last seven */
	assert_aborts(move_outside, "job: NEW -> ? is not an edge; by");
}

static void edge_that_leads_nowhere(void)
{
	static const struct sl_sm_row bad[] = {{"A", SL_SM_TO(1)}};
	static const struct sl_sm_conf bad_conf = {"bad", bad, 1};
	struct sl_sm sm;
	sl_sm_init(&sm, &bad_conf);
}

static void state_without_name(void)
{
	static const struct sl_sm_row bad[2] = {{"A", SL_SM_TO(1)}};
	static const struct sl_sm_conf bad_conf = {"bad", bad, 2};
	struct sl_sm sm;
	sl_sm_init(&sm, &bad_conf);
}

static void an_unsound_table_aborts_at_once(void **state)
{
	(void)state;
	assert_aborts(edge_that_leads_nowhere, "next");
	assert_aborts(state_without_name, "name");
}

static void a_table_may_have_32_states(void **state)
{
	(void)state;
	struct sl_sm_row ring[SL_SM_STATES_MAX];
	for (unsigned i = 0; i < SL_SM_STATES_MAX; i++)
		ring[i] = (struct sl_sm_row){"S", SL_SM_TO((i + 1) % SL_SM_STATES_MAX)};
	const struct sl_sm_conf ring_conf = {"ring", ring, SL_SM_STATES_MAX};
	struct sl_sm sm;
	sl_sm_init(&sm, &ring_conf);
	for (uint8_t i = 1; i <= SL_SM_STATES_MAX; i++)
		sl_sm_move(&sm, i % SL_SM_STATES_MAX);
	assert_int_equal(sl_sm_state(&sm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_of_the_table_are_taken),
		cmocka_unit_test(may_answers_for_every_pair_of_states),
		cmocka_unit_test(a_forbidden_edge_aborts_and_tells_the_path),
		cmocka_unit_test(an_unsound_table_aborts_at_once),
		cmocka_unit_test(a_table_may_have_32_states),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
