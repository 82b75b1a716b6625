/* The upper layer's machine driven by a million random histories (FAULTS F13).
 *
 * What may happen next is not asked of the table but of three models that know only what they were told:
 * a transport that is closed, opening or open; a service user that keeps to PS3.8 section 7 (it answers
 * what was indicated, sends while it may, is over when it was told so); and a timer that was started or
 * stopped. The peer may send any PDU while the transport is open. So a blank cell, a PDU out of place, a
 * second end told to the user, or a timer that runs where it should not, shows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdio.h>
#include <string.h>

#include "core/ul.h"

enum { WALKS = 1000000, LONGEST = 24 };

enum transport { CLOSED, OPENING, OPEN };

/* The service user, by what it said and was told. */
enum user {
	QUIET,    /* nothing was asked of it, nothing by it */
	ASKED,    /* A-ASSOCIATE request issued */
	ASKED_OF, /* A-ASSOCIATE indication: owes a response */
	ESTABLISHED,
	RELEASING,   /* A-RELEASE request issued */
	RELEASED_BY, /* A-RELEASE indication: owes a response */
	COLLIDING, /* both: as requestor owes a response, as acceptor waits for the confirmation */
	COLLIDED_RQ, /* requestor: responded, waits for the confirmation */
	COLLIDED_AC, /* acceptor: confirmed, owes a response */
	OVER,
};

struct walk {
	uint64_t random;
	enum sl_ul_state state;
	enum transport transport;
	enum user user;
	bool is_requestor, runs_artim;
	bool has_answered; /* an AC or RJ went out */
	bool is_silent;    /* after RJ, RELEASE-RP or ABORT only an ABORT may follow */
	char past[LONGEST * 8 + 64];
};

static bool visited[SL_UL_STA_N][SL_UL_EVT_N];

static uint32_t chance(struct walk *w, uint32_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 33) % n;
}

/* ---- what may happen next ----------------------------------------------------------------------- */

/* What the user may say now. */
static size_t user_events(const struct walk *w, enum sl_ul_event *out)
{
	size_t n = 0;
	bool owes_release = w->user == RELEASED_BY || w->user == COLLIDED_AC ||
			    (w->user == COLLIDING && w->is_requestor);
	if (w->user == QUIET && w->is_requestor)
		out[n++] = SL_UL_EVT1;
	if (w->user == ASKED_OF) {
		out[n++] = SL_UL_EVT7;
		out[n++] = SL_UL_EVT8;
	}
	if (w->user == ESTABLISHED || w->user == RELEASED_BY)
		out[n++] = SL_UL_EVT9;
	if (w->user == ESTABLISHED)
		out[n++] = SL_UL_EVT11;
	if (owes_release)
		out[n++] = SL_UL_EVT14;
	if (w->user != QUIET && w->user != OVER)
		out[n++] = SL_UL_EVT15;
	return n;
}

/* Everything that may happen now; a peer's PDUs come oftenest. */
static size_t events(const struct walk *w, enum sl_ul_event *out)
{
	static const enum sl_ul_event pdus[] = {SL_UL_EVT3, SL_UL_EVT4, SL_UL_EVT6, SL_UL_EVT10,
		SL_UL_EVT12, SL_UL_EVT13, SL_UL_EVT16, SL_UL_EVT19};
	size_t n = user_events(w, out);
	if (w->past[0] == '\0' && !w->is_requestor)
		out[n++] = SL_UL_EVT5;
	if (w->transport == OPENING)
		out[n++] = SL_UL_EVT2;
	if (w->transport == OPEN)
		for (size_t i = 0; i < SL_ARRAY_N(pdus); i++)
			out[n++] = pdus[i];
	if (w->transport != CLOSED)
		out[n++] = SL_UL_EVT17;
	if (w->runs_artim)
		out[n++] = SL_UL_EVT18;
	return n;
}

/* One of them; every other time one that does not end the association, so that histories grow old. */
static enum sl_ul_event pick(struct walk *w, const enum sl_ul_event *from, size_t n)
{
	enum sl_ul_event friendly[SL_UL_EVT_N];
	size_t friendly_n = 0;
	for (size_t i = 0; i < n; i++) {
		enum sl_ul_state after = sl_ul_step(w->state, from[i]).go.next;
		if (after != SL_UL_STA1 && after != SL_UL_STA13)
			friendly[friendly_n++] = from[i];
	}
	if (friendly_n > 0 && chance(w, 2) == 0)
		return friendly[chance(w, (uint32_t)friendly_n)];
	return from[chance(w, (uint32_t)n)];
}

/* ---- what the models make of it ----------------------------------------------------------------- */

#define CHECK(w, what)                                                    \
	do {                                                              \
		if (!(what))                                              \
			fail_msg("%s; after%s, now %s", #what, (w)->past, \
				sl_ul_state_name((w)->state));            \
	} while (0)

/* The user has said something. */
static void user_says(struct walk *w, enum sl_ul_event event)
{
	switch (event) {
	case SL_UL_EVT1:
		w->user = ASKED;
		break;
	case SL_UL_EVT7:
		w->user = ESTABLISHED;
		break;
	case SL_UL_EVT11:
		w->user = RELEASING;
		break;
	case SL_UL_EVT14:
		w->user = w->user == COLLIDING ? COLLIDED_RQ : OVER;
		break;
	case SL_UL_EVT8:
	case SL_UL_EVT15:
		w->user = OVER;
		break;
	default:
		break;
	}
}

/* The user is told something that it can expect. */
static void user_hears(struct walk *w, uint32_t effect)
{
	switch (effect) {
	case SL_UL_INDICATE_ASSOCIATE:
		CHECK(w, w->user == QUIET && !w->is_requestor);
		w->user = ASKED_OF;
		break;
	case SL_UL_CONFIRM_ACCEPT:
		CHECK(w, w->user == ASKED);
		w->user = ESTABLISHED;
		break;
	case SL_UL_CONFIRM_REJECT:
		CHECK(w, w->user == ASKED);
		w->user = OVER;
		break;
	case SL_UL_INDICATE_PDATA:
		CHECK(w, w->user == ESTABLISHED || w->user == RELEASING);
		break;
	case SL_UL_INDICATE_RELEASE:
		CHECK(w, w->user == ESTABLISHED || w->user == RELEASING);
		w->user = w->user == ESTABLISHED ? RELEASED_BY : COLLIDING;
		break;
	case SL_UL_CONFIRM_RELEASE:
		CHECK(w, w->user == RELEASING || w->user == COLLIDING || w->user == COLLIDED_RQ);
		w->user = w->user == COLLIDING ? COLLIDED_AC : OVER;
		break;
	case SL_UL_INDICATE_ABORT:
	case SL_UL_INDICATE_P_ABORT:
		CHECK(w, w->user != OVER && w->user != QUIET);
		w->user = OVER;
		break;
	default:
		break;
	}
}

/* A PDU goes out, or the transport or the timer is told something. */
static void perform(struct walk *w, uint32_t effect)
{
	const uint32_t answers = SL_UL_SEND_AC | SL_UL_SEND_RJ;
	const uint32_t aborts = SL_UL_SEND_ABORT_USER | SL_UL_SEND_ABORT_PROVIDER;
	const uint32_t sends = answers | aborts | SL_UL_SEND_RQ | SL_UL_SEND_PDATA |
			       SL_UL_SEND_RELEASE_RQ | SL_UL_SEND_RELEASE_RP;
	if ((effect & sends) != 0)
		CHECK(w, w->transport == OPEN);
	if ((effect & sends & ~aborts) != 0)
		CHECK(w, !w->is_silent);
	if ((effect & answers) != 0) {
		CHECK(w, !w->is_requestor && !w->has_answered);
		w->has_answered = true;
	}
	if ((effect & (aborts | SL_UL_SEND_RJ)) != 0)
		w->is_silent = true;
	if (effect == SL_UL_SEND_RELEASE_RP && w->user != COLLIDED_RQ)
		w->is_silent = true;
	if (effect == SL_UL_CONNECT)
		w->transport = OPENING;
	if (effect == SL_UL_CLOSE) {
		CHECK(w, w->transport != CLOSED);
		w->transport = CLOSED;
	}
	if (effect == SL_UL_ARTIM_START)
		w->runs_artim = true;
	if (effect == SL_UL_ARTIM_STOP)
		w->runs_artim = false;
	user_hears(w, effect);
}

static void happens(struct walk *w, enum sl_ul_event event)
{
	struct sl_ul_step step = sl_ul_step(w->state, event);
	size_t len = strlen(w->past);
	(void)snprintf(w->past + len, sizeof(w->past) - len, " %s", sl_ul_event_name(event));
	CHECK(w, step.action != SL_UL_NONE);
	visited[w->state][event] = true;
	if (event == SL_UL_EVT2 || event == SL_UL_EVT5)
		w->transport = OPEN;
	if (event == SL_UL_EVT17)
		w->transport = CLOSED;
	if (event == SL_UL_EVT18)
		w->runs_artim = false;
	user_says(w, event);
	struct sl_ul_branch branch = step.go;
	if (step.action == SL_UL_AE_6 && chance(w, 4) == 0)
		branch = step.other;
	if (step.action == SL_UL_AR_8 && !w->is_requestor)
		branch = step.other;
	for (uint32_t left = branch.effects; left != 0; left &= left - 1)
		perform(w, left & (~left + 1));
	w->state = branch.next;
	CHECK(w, w->runs_artim == (w->state == SL_UL_STA2 || w->state == SL_UL_STA13));
	CHECK(w, (w->transport == CLOSED) == (w->state == SL_UL_STA1));
	CHECK(w, w->state != SL_UL_STA1 || w->user == OVER || w->user == QUIET);
}

/* ---- the tests ---------------------------------------------------------------------------------- */

static void U1_U4_a_million_random_histories(void **state)
{
	(void)state;
	struct walk w = {.random = 20261121};
	for (int i = 0; i < WALKS; i++) {
		uint64_t random = w.random;
		w = (struct walk){
			.random = random, .state = SL_UL_STA1, .is_requestor = (i & 1) != 0};
		enum sl_ul_event next[SL_UL_EVT_N];
		size_t n;
		for (int k = 0; k < LONGEST && (n = events(&w, next)) > 0; k++)
			happens(&w, pick(&w, next, n));
		if (w.transport != CLOSED) /* wherever it is, a lost connection is the end of it */
			happens(&w, SL_UL_EVT17);
		CHECK(&w, w.state == SL_UL_STA1);
	}
	int n = 0;
	for (int s = 0; s < SL_UL_STA_N; s++)
		for (int e = 0; e < SL_UL_EVT_N; e++)
			n += visited[s][e];
	print_message("%d cells of table 9-10 met\n", n);
	assert_int_equal(n, 123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(U1_U4_a_million_random_histories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
