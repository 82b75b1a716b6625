/* PS3.8 tables 9-6 to 9-10, and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/ul.h"

struct action_row {
	const char *name;
	struct sl_ul_branch go, other;
};

/* clang-format off */

/* Tables 9-6 to 9-9: what an action does, and the state it leads to. */
#define ACTION(id, name, next, effects) [SL_UL_##id] = {name, {effects, SL_UL_##next}, {0, SL_UL_STA_NONE}}
static const struct action_row actions[SL_UL_ACTION_N] = {
	[SL_UL_NONE] = {"-", {0, SL_UL_STA_NONE}, {0, SL_UL_STA_NONE}},
	/* 9-6, association establishment */
	ACTION(AE_1,  "AE-1",  STA4,  SL_UL_CONNECT),
	ACTION(AE_2,  "AE-2",  STA5,  SL_UL_SEND_RQ),
	ACTION(AE_3,  "AE-3",  STA6,  SL_UL_CONFIRM_ACCEPT),
	ACTION(AE_4,  "AE-4",  STA1,  SL_UL_CONFIRM_REJECT | SL_UL_CLOSE),
	ACTION(AE_5,  "AE-5",  STA2,  SL_UL_ARTIM_START),
	[SL_UL_AE_6] = {"AE-6",
		{SL_UL_ARTIM_STOP | SL_UL_INDICATE_ASSOCIATE, SL_UL_STA3},
		{SL_UL_ARTIM_STOP | SL_UL_SEND_RJ | SL_UL_ARTIM_START, SL_UL_STA13}},
	ACTION(AE_7,  "AE-7",  STA6,  SL_UL_SEND_AC),
	ACTION(AE_8,  "AE-8",  STA13, SL_UL_SEND_RJ | SL_UL_ARTIM_START),
	/* 9-7, data transfer */
	ACTION(DT_1,  "DT-1",  STA6,  SL_UL_SEND_PDATA),
	ACTION(DT_2,  "DT-2",  STA6,  SL_UL_INDICATE_PDATA),
	/* 9-8, release */
	ACTION(AR_1,  "AR-1",  STA7,  SL_UL_SEND_RELEASE_RQ),
	ACTION(AR_2,  "AR-2",  STA8,  SL_UL_INDICATE_RELEASE),
	ACTION(AR_3,  "AR-3",  STA1,  SL_UL_CONFIRM_RELEASE | SL_UL_CLOSE),
	ACTION(AR_4,  "AR-4",  STA13, SL_UL_SEND_RELEASE_RP | SL_UL_ARTIM_START),
	ACTION(AR_5,  "AR-5",  STA1,  SL_UL_ARTIM_STOP),
	ACTION(AR_6,  "AR-6",  STA7,  SL_UL_INDICATE_PDATA),
	ACTION(AR_7,  "AR-7",  STA8,  SL_UL_SEND_PDATA),
	[SL_UL_AR_8] = {"AR-8",
		{SL_UL_INDICATE_RELEASE, SL_UL_STA9},
		{SL_UL_INDICATE_RELEASE, SL_UL_STA10}},
	ACTION(AR_9,  "AR-9",  STA11, SL_UL_SEND_RELEASE_RP),
	ACTION(AR_10, "AR-10", STA12, SL_UL_CONFIRM_RELEASE),
	/* 9-9, abort */
	ACTION(AA_1,  "AA-1",  STA13, SL_UL_SEND_ABORT_USER | SL_UL_ARTIM_START),
	ACTION(AA_2,  "AA-2",  STA1,  SL_UL_ARTIM_STOP | SL_UL_CLOSE),
	ACTION(AA_3,  "AA-3",  STA1,  SL_UL_INDICATE_ABORT | SL_UL_CLOSE),
	ACTION(AA_4,  "AA-4",  STA1,  SL_UL_INDICATE_P_ABORT),
	ACTION(AA_5,  "AA-5",  STA1,  SL_UL_ARTIM_STOP),
	ACTION(AA_6,  "AA-6",  STA13, 0), /* ignore the PDU */
	ACTION(AA_7,  "AA-7",  STA13, SL_UL_SEND_ABORT_PROVIDER),
	ACTION(AA_8,  "AA-8",  STA13, SL_UL_SEND_ABORT_PROVIDER | SL_UL_INDICATE_P_ABORT | SL_UL_ARTIM_START),
};
#undef ACTION

/* Table 9-10: events down, states Sta1 to Sta13 across. NONE is a blank cell. */
#define ROW(e, a, b, c, d, f, g, h, i, j, k, l, m, n)                                            \
	[SL_UL_EVT##e] = {SL_UL_NONE, SL_UL_##a, SL_UL_##b, SL_UL_##c, SL_UL_##d, SL_UL_##f,     \
		SL_UL_##g, SL_UL_##h, SL_UL_##i, SL_UL_##j, SL_UL_##k, SL_UL_##l, SL_UL_##m, SL_UL_##n}
static const uint8_t sl_ul_table[SL_UL_EVT_N][SL_UL_STA_N] = {
	/*       1     2     3     4     5     6     7     8     9     10     11    12    13  */
	ROW(1,  AE_1, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(2,  NONE, NONE, NONE, AE_2, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(3,  NONE, AA_1, AA_8, NONE, AE_3, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),
	ROW(4,  NONE, AA_1, AA_8, NONE, AE_4, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),
	ROW(5,  AE_5, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(6,  NONE, AE_6, AA_8, NONE, AA_8, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_7),
	ROW(7,  NONE, NONE, AE_7, NONE, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(8,  NONE, NONE, AE_8, NONE, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(9,  NONE, NONE, NONE, NONE, NONE, DT_1, NONE, AR_7, NONE, NONE,  NONE, NONE, NONE),
	ROW(10, NONE, AA_1, AA_8, NONE, AA_8, DT_2, AR_6, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),
	ROW(11, NONE, NONE, NONE, NONE, NONE, AR_1, NONE, NONE, NONE, NONE,  NONE, NONE, NONE),
	ROW(12, NONE, AA_1, AA_8, NONE, AA_8, AR_2, AR_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),
	ROW(13, NONE, AA_1, AA_8, NONE, AA_8, AA_8, AR_3, AA_8, AA_8, AR_10, AR_3, AA_8, AA_6),
	ROW(14, NONE, NONE, NONE, NONE, NONE, NONE, NONE, AR_4, AR_9, NONE,  NONE, AR_4, NONE),
	ROW(15, NONE, NONE, AA_1, AA_2, AA_1, AA_1, AA_1, AA_1, AA_1, AA_1,  AA_1, AA_1, NONE),
	ROW(16, NONE, AA_2, AA_3, NONE, AA_3, AA_3, AA_3, AA_3, AA_3, AA_3,  AA_3, AA_3, AA_2),
	ROW(17, NONE, AA_5, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4,  AA_4, AA_4, AR_5),
	ROW(18, NONE, AA_2, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,  NONE, NONE, AA_2),
	ROW(19, NONE, AA_1, AA_8, NONE, AA_8, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_7),
};
#undef ROW

static const char *const state_names[SL_UL_STA_N] = {
	"-", "Sta1", "Sta2", "Sta3", "Sta4", "Sta5", "Sta6", "Sta7", "Sta8", "Sta9", "Sta10",
	"Sta11", "Sta12", "Sta13",
};
static const char *const event_names[SL_UL_EVT_N] = {
	"-", "Evt1", "Evt2", "Evt3", "Evt4", "Evt5", "Evt6", "Evt7", "Evt8", "Evt9", "Evt10",
	"Evt11", "Evt12", "Evt13", "Evt14", "Evt15", "Evt16", "Evt17", "Evt18", "Evt19",
};
/* clang-format on */

_Static_assert(SL_UL_STA_N == 14 && SL_UL_EVT_N == 20, "13 states and 19 events, numbered from 1");
_Static_assert(SL_UL_ACTION_N == 1 + 8 + 2 + 10 + 8, "the actions of tables 9-6 to 9-9");

struct sl_ul_step sl_ul_step(enum sl_ul_state state, enum sl_ul_event event)
{
	sl_assert(state > SL_UL_STA_NONE && state < SL_UL_STA_N);
	sl_assert(event > SL_UL_EVT_NONE && event < SL_UL_EVT_N);
	enum sl_ul_action action = (enum sl_ul_action)sl_ul_table[event][state];
	struct sl_ul_step step = {action, actions[action].go, actions[action].other};
	if (action == SL_UL_NONE)
		step.go.next = state;
	return step;
}

const char *sl_ul_state_name(enum sl_ul_state state)
{
	return state < SL_UL_STA_N ? state_names[state] : "Sta?";
}

const char *sl_ul_event_name(enum sl_ul_event event)
{
	return event < SL_UL_EVT_N ? event_names[event] : "Evt?";
}

const char *sl_ul_action_name(enum sl_ul_action action)
{
	return action < SL_UL_ACTION_N ? actions[action].name : "?";
}
