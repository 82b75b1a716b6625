/* The upper layer's machine against PS3.8 table 9-10, copied here a second time in another form.
 *
 * core/ul.c holds the table as a grid of actions, and the next states with the actions. Here each
 * defined cell is a row {event, state, action, next state}, as the standard prints it, so that a slip
 * of the pen in either copy shows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <string.h>

#include "core/ul.h"

struct cell {
	int event, state;
	const char *action;
	int next, other; /* other: of AE-6 and AR-8; else 0 */
};

/* clang-format off */
static const struct cell cells[] = {
	{1, 1, "AE-1", 4, 0},
	{2, 4, "AE-2", 5, 0},

	{3, 2, "AA-1", 13, 0},
	{3, 3, "AA-8", 13, 0},
	{3, 5, "AE-3", 6, 0},
	{3, 6, "AA-8", 13, 0},
	{3, 7, "AA-8", 13, 0},
	{3, 8, "AA-8", 13, 0},
	{3, 9, "AA-8", 13, 0},
	{3, 10, "AA-8", 13, 0},
	{3, 11, "AA-8", 13, 0},
	{3, 12, "AA-8", 13, 0},
	{3, 13, "AA-6", 13, 0},

	{4, 2, "AA-1", 13, 0},
	{4, 3, "AA-8", 13, 0},
	{4, 5, "AE-4", 1, 0},
	{4, 6, "AA-8", 13, 0},
	{4, 7, "AA-8", 13, 0},
	{4, 8, "AA-8", 13, 0},
	{4, 9, "AA-8", 13, 0},
	{4, 10, "AA-8", 13, 0},
	{4, 11, "AA-8", 13, 0},
	{4, 12, "AA-8", 13, 0},
	{4, 13, "AA-6", 13, 0},

	{5, 1, "AE-5", 2, 0},

	{6, 2, "AE-6", 3, 13},
	{6, 3, "AA-8", 13, 0},
	{6, 5, "AA-8", 13, 0},
	{6, 6, "AA-8", 13, 0},
	{6, 7, "AA-8", 13, 0},
	{6, 8, "AA-8", 13, 0},
	{6, 9, "AA-8", 13, 0},
	{6, 10, "AA-8", 13, 0},
	{6, 11, "AA-8", 13, 0},
	{6, 12, "AA-8", 13, 0},
	{6, 13, "AA-7", 13, 0},

	{7, 3, "AE-7", 6, 0},
	{8, 3, "AE-8", 13, 0},
	{9, 6, "DT-1", 6, 0},
	{9, 8, "AR-7", 8, 0},

	{10, 2, "AA-1", 13, 0},
	{10, 3, "AA-8", 13, 0},
	{10, 5, "AA-8", 13, 0},
	{10, 6, "DT-2", 6, 0},
	{10, 7, "AR-6", 7, 0},
	{10, 8, "AA-8", 13, 0},
	{10, 9, "AA-8", 13, 0},
	{10, 10, "AA-8", 13, 0},
	{10, 11, "AA-8", 13, 0},
	{10, 12, "AA-8", 13, 0},
	{10, 13, "AA-6", 13, 0},

	{11, 6, "AR-1", 7, 0},

	{12, 2, "AA-1", 13, 0},
	{12, 3, "AA-8", 13, 0},
	{12, 5, "AA-8", 13, 0},
	{12, 6, "AR-2", 8, 0},
	{12, 7, "AR-8", 9, 10},
	{12, 8, "AA-8", 13, 0},
	{12, 9, "AA-8", 13, 0},
	{12, 10, "AA-8", 13, 0},
	{12, 11, "AA-8", 13, 0},
	{12, 12, "AA-8", 13, 0},
	{12, 13, "AA-6", 13, 0},

	{13, 2, "AA-1", 13, 0},
	{13, 3, "AA-8", 13, 0},
	{13, 5, "AA-8", 13, 0},
	{13, 6, "AA-8", 13, 0},
	{13, 7, "AR-3", 1, 0},
	{13, 8, "AA-8", 13, 0},
	{13, 9, "AA-8", 13, 0},
	{13, 10, "AR-10", 12, 0},
	{13, 11, "AR-3", 1, 0},
	{13, 12, "AA-8", 13, 0},
	{13, 13, "AA-6", 13, 0},

	{14, 8, "AR-4", 13, 0},
	{14, 9, "AR-9", 11, 0},
	{14, 12, "AR-4", 13, 0},

	{15, 3, "AA-1", 13, 0},
	{15, 4, "AA-2", 1, 0},
	{15, 5, "AA-1", 13, 0},
	{15, 6, "AA-1", 13, 0},
	{15, 7, "AA-1", 13, 0},
	{15, 8, "AA-1", 13, 0},
	{15, 9, "AA-1", 13, 0},
	{15, 10, "AA-1", 13, 0},
	{15, 11, "AA-1", 13, 0},
	{15, 12, "AA-1", 13, 0},

	{16, 2, "AA-2", 1, 0},
	{16, 3, "AA-3", 1, 0},
	{16, 5, "AA-3", 1, 0},
	{16, 6, "AA-3", 1, 0},
	{16, 7, "AA-3", 1, 0},
	{16, 8, "AA-3", 1, 0},
	{16, 9, "AA-3", 1, 0},
	{16, 10, "AA-3", 1, 0},
	{16, 11, "AA-3", 1, 0},
	{16, 12, "AA-3", 1, 0},
	{16, 13, "AA-2", 1, 0},

	{17, 2, "AA-5", 1, 0},
	{17, 3, "AA-4", 1, 0},
	{17, 4, "AA-4", 1, 0},
	{17, 5, "AA-4", 1, 0},
	{17, 6, "AA-4", 1, 0},
	{17, 7, "AA-4", 1, 0},
	{17, 8, "AA-4", 1, 0},
	{17, 9, "AA-4", 1, 0},
	{17, 10, "AA-4", 1, 0},
	{17, 11, "AA-4", 1, 0},
	{17, 12, "AA-4", 1, 0},
	{17, 13, "AR-5", 1, 0},

	{18, 2, "AA-2", 1, 0},
	{18, 13, "AA-2", 1, 0},

	{19, 2, "AA-1", 13, 0},
	{19, 3, "AA-8", 13, 0},
	{19, 5, "AA-8", 13, 0},
	{19, 6, "AA-8", 13, 0},
	{19, 7, "AA-8", 13, 0},
	{19, 8, "AA-8", 13, 0},
	{19, 9, "AA-8", 13, 0},
	{19, 10, "AA-8", 13, 0},
	{19, 11, "AA-8", 13, 0},
	{19, 12, "AA-8", 13, 0},
	{19, 13, "AA-7", 13, 0},
};

/* Tables 9-6 to 9-9 once more: what each action is made of, in words. */
static const struct {
	const char *action, *effects, *other;
} action_rows[] = {
	{"AE-1", "connect", ""},
	{"AE-2", "send-rq", ""},
	{"AE-3", "confirm-accept", ""},
	{"AE-4", "confirm-reject close", ""},
	{"AE-5", "artim-start", ""},
	{"AE-6", "artim-stop indicate-associate", "artim-stop send-rj artim-start"},
	{"AE-7", "send-ac", ""},
	{"AE-8", "send-rj artim-start", ""},
	{"DT-1", "send-pdata", ""},
	{"DT-2", "indicate-pdata", ""},
	{"AR-1", "send-release-rq", ""},
	{"AR-2", "indicate-release", ""},
	{"AR-3", "confirm-release close", ""},
	{"AR-4", "send-release-rp artim-start", ""},
	{"AR-5", "artim-stop", ""},
	{"AR-6", "indicate-pdata", ""},
	{"AR-7", "send-pdata", ""},
	{"AR-8", "indicate-release", "indicate-release"},
	{"AR-9", "send-release-rp", ""},
	{"AR-10", "confirm-release", ""},
	{"AA-1", "send-abort-user artim-start", ""},
	{"AA-2", "artim-stop close", ""},
	{"AA-3", "indicate-abort close", ""},
	{"AA-4", "indicate-p-abort", ""},
	{"AA-5", "artim-stop", ""},
	{"AA-6", "", ""},
	{"AA-7", "send-abort-provider", ""},
	{"AA-8", "send-abort-provider indicate-p-abort artim-start", ""},
};

static const struct {
	uint32_t bit;
	const char *word;
} words[] = {
	/* in the order in which they are performed */
	{SL_UL_ARTIM_STOP, "artim-stop"},
	{SL_UL_CONNECT, "connect"},
	{SL_UL_SEND_RQ, "send-rq"},
	{SL_UL_SEND_AC, "send-ac"},
	{SL_UL_SEND_RJ, "send-rj"},
	{SL_UL_SEND_PDATA, "send-pdata"},
	{SL_UL_SEND_RELEASE_RQ, "send-release-rq"},
	{SL_UL_SEND_RELEASE_RP, "send-release-rp"},
	{SL_UL_SEND_ABORT_USER, "send-abort-user"},
	{SL_UL_SEND_ABORT_PROVIDER, "send-abort-provider"},
	{SL_UL_INDICATE_ASSOCIATE, "indicate-associate"},
	{SL_UL_CONFIRM_ACCEPT, "confirm-accept"},
	{SL_UL_CONFIRM_REJECT, "confirm-reject"},
	{SL_UL_INDICATE_PDATA, "indicate-pdata"},
	{SL_UL_INDICATE_RELEASE, "indicate-release"},
	{SL_UL_CONFIRM_RELEASE, "confirm-release"},
	{SL_UL_INDICATE_ABORT, "indicate-abort"},
	{SL_UL_INDICATE_P_ABORT, "indicate-p-abort"},
	{SL_UL_ARTIM_START, "artim-start"},
	{SL_UL_CLOSE, "close"},
};
/* clang-format on */

static const struct cell *cell_of(int event, int state)
{
	for (size_t i = 0; i < SL_ARRAY_N(cells); i++)
		if (cells[i].event == event && cells[i].state == state)
			return &cells[i];
	return NULL;
}

static struct sl_ul_step step(int state, int event)
{
	return sl_ul_step((enum sl_ul_state)state, (enum sl_ul_event)event);
}

static void effects_in_words(uint32_t effects, char *out, size_t cap)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < SL_ARRAY_N(words); i++) {
		if (i > 0)
			assert_true(words[i].bit > words[i - 1].bit);
		if ((effects & words[i].bit) == 0)
			continue;
		n += (size_t)snprintf(out + n, cap - n, "%s%s", n > 0 ? " " : "", words[i].word);
		effects &= ~words[i].bit;
	}
	assert_int_equal(effects, 0);
}

static void U1_all_247_cells_are_those_of_table_9_10(void **state)
{
	(void)state;
	int defined = 0, blank = 0;
	for (int e = 1; e <= 19; e++) {
		for (int s = 1; s <= 13; s++) {
			const struct cell *cell = cell_of(e, s);
			struct sl_ul_step got = step(s, e);
			if (cell == NULL) {
				assert_int_equal(got.action, SL_UL_NONE);
				assert_int_equal(got.go.effects, 0);
				assert_int_equal(got.go.next, s);
				assert_int_equal(got.other.next, SL_UL_STA_NONE);
				blank++;
				continue;
			}
			assert_string_equal(sl_ul_action_name(got.action), cell->action);
			assert_int_equal(got.go.next, cell->next);
			assert_int_equal(got.other.next, cell->other);
			defined++;
		}
	}
	assert_int_equal(defined, 123);
	assert_int_equal(blank, 124);
	assert_int_equal(SL_ARRAY_N(cells), 123); /* and no row of the copy twice */
}

static void U2_every_action_has_the_effects_of_tables_9_6_to_9_9(void **state)
{
	(void)state;
	size_t seen = 0;
	assert_int_equal(SL_ARRAY_N(action_rows), SL_UL_ACTION_N - 1);
	for (size_t i = 0; i < SL_ARRAY_N(action_rows); i++) {
		bool is_used = false;
		for (int e = 1; e <= 19; e++) {
			for (int s = 1; s <= 13; s++) {
				char got[160];
				struct sl_ul_step st = step(s, e);
				if (strcmp(sl_ul_action_name(st.action), action_rows[i].action) !=
					0)
					continue;
				is_used = true;
				effects_in_words(st.go.effects, got, sizeof(got));
				assert_string_equal(got, action_rows[i].effects);
				effects_in_words(st.other.effects, got, sizeof(got));
				assert_string_equal(got, action_rows[i].other);
			}
		}
		assert_true(is_used); /* no action of the standard is out of reach */
		seen++;
	}
	assert_int_equal(seen, 28);
}

/* Walks every path from idle: a state is always entered with ARTIM as it should be. */
static void U4_artim_runs_in_Sta2_and_Sta13_and_nowhere_else(void **state)
{
	(void)state;
	bool is_reached[SL_UL_STA_N] = {[SL_UL_STA1] = true};
	for (int round = 0; round < SL_UL_STA_N; round++) {
		for (int s = 1; s <= 13; s++) {
			for (int e = 1; is_reached[s] && e <= 19; e++) {
				struct sl_ul_step st = step(s, e);
				const struct sl_ul_branch branches[] = {st.go, st.other};
				for (size_t b = 0; b < SL_ARRAY_N(branches); b++) {
					int next = (int)branches[b].next;
					bool runs = s == 2 || s == 13;
					if (next == SL_UL_STA_NONE)
						continue;
					runs = runs &&
					       (branches[b].effects & SL_UL_ARTIM_STOP) == 0;
					runs = runs ||
					       (branches[b].effects & SL_UL_ARTIM_START) != 0;
					assert_int_equal(runs, next == 2 || next == 13);
					is_reached[next] = true;
				}
			}
		}
	}
	for (int s = 1; s <= 13; s++)
		assert_true(is_reached[s]);
}

/* Whatever a peer sends, and whenever it closes, the table has an answer. */
static void U3_nothing_a_peer_does_meets_a_blank_cell(void **state)
{
	(void)state;
	static const int peer[] = {3, 4, 6, 10, 12, 13, 16, 17, 19};
	for (int s = 2; s <= 13; s++) {
		if (s == SL_UL_STA4) /* no connection yet, so no bytes */
			continue;
		for (size_t i = 0; i < SL_ARRAY_N(peer); i++)
			assert_int_not_equal(step(s, peer[i]).action, SL_UL_NONE);
	}
}

static void U3_aborts_name_the_user_in_Sta2_and_the_provider_later(void **state)
{
	(void)state;
	for (int s = 2; s <= 13; s++) {
		struct sl_ul_step st = step(s, SL_UL_EVT19);
		if (s == SL_UL_STA4)
			continue;
		assert_int_equal((st.go.effects & SL_UL_SEND_ABORT_USER) != 0, s == 2);
		assert_int_equal((st.go.effects & SL_UL_SEND_ABORT_PROVIDER) != 0, s != 2);
	}
}

static void U12_a_second_request_is_AA_8(void **state)
{
	(void)state;
	for (int s = 3; s <= 12; s++)
		if (s != SL_UL_STA4)
			assert_int_equal(step(s, SL_UL_EVT6).action, SL_UL_AA_8);
}

static void names_are_the_standards(void **state)
{
	(void)state;
	assert_string_equal(sl_ul_state_name(SL_UL_STA1), "Sta1");
	assert_string_equal(sl_ul_state_name(SL_UL_STA13), "Sta13");
	assert_string_equal(sl_ul_event_name(SL_UL_EVT19), "Evt19");
	assert_string_equal(sl_ul_event_name(SL_UL_EVT10), "Evt10");
	assert_string_equal(sl_ul_action_name(SL_UL_NONE), "-");
	for (int s = 1; s < SL_UL_STA_N; s++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "Sta%d", s);
		assert_string_equal(sl_ul_state_name((enum sl_ul_state)s), name);
	}
	for (int e = 1; e < SL_UL_EVT_N; e++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "Evt%d", e);
		assert_string_equal(sl_ul_event_name((enum sl_ul_event)e), name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U1_all_247_cells_are_those_of_table_9_10),
		cmocka_unit_test(U2_every_action_has_the_effects_of_tables_9_6_to_9_9),
		cmocka_unit_test(U4_artim_runs_in_Sta2_and_Sta13_and_nowhere_else),
		cmocka_unit_test(U3_nothing_a_peer_does_meets_a_blank_cell),
		cmocka_unit_test(U3_aborts_name_the_user_in_Sta2_and_the_provider_later),
		cmocka_unit_test(U12_a_second_request_is_AA_8),
		cmocka_unit_test(names_are_the_standards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
