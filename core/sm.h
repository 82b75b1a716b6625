/* A small checked state machine: the graph is a const table, and moving along an edge that is not in
 * it is a programming error, told with the path that led there.
 *
 *	enum { JOB_NEW, JOB_RUNNING, JOB_DONE, JOB_N };
 *	static const struct sl_sm_row job_rows[] = {
 *		[JOB_NEW]     = {"NEW",     SL_SM_TO(JOB_RUNNING) | SL_SM_TO(JOB_DONE)},
 *		[JOB_RUNNING] = {"RUNNING", SL_SM_TO(JOB_DONE)},
 *		[JOB_DONE]    = {"DONE",    0},
 *	};
 *	static const struct sl_sm_conf job_conf = {"job", job_rows, JOB_N};
 *
 * The first state is where it begins; a state without a next one is final. For lifetimes with more
 * than two stages, in place of booleans (`closing`, `closed`). The owner of the struct that embeds it
 * is the only one to move it. PS3.8's own machine is a table of another kind: ul.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_SM_STATES_MAX 32 /* bits of sl_sm_row.next */
#define SL_SM_TRAIL_N	 7  /* states remembered for the message of a forbidden move */

#define SL_SM_TO(state) (UINT32_C(1) << (state))

struct sl_sm_row {
	const char *name;
	uint32_t next; /* SL_SM_TO() of each state that may follow */
};

struct sl_sm_conf {
	const char *name;	      /* of the machine, for messages */
	const struct sl_sm_row *rows; /* [rows_n] */
	uint8_t rows_n;
};

struct sl_sm {
	const struct sl_sm_conf *conf;
	uint8_t state;
	uint8_t trail_n;	      /* of trail[], filled */
	uint8_t trail[SL_SM_TRAIL_N]; /* states left, the latest last */
};

/* Into state 0. Asserts that the table is sound: names everywhere, no edge that leads outside. */
void sl_sm_init(struct sl_sm *sm, const struct sl_sm_conf *conf);

static inline uint8_t sl_sm_state(const struct sl_sm *sm)
{
	return sm->state;
}

/* True in any state of the mask: sl_sm_is_in(sm, SL_SM_TO(JOB_NEW) | SL_SM_TO(JOB_DONE)). */
static inline bool sl_sm_is_in(const struct sl_sm *sm, uint32_t mask)
{
	return (mask & SL_SM_TO(sm->state)) != 0;
}

/* True where no state may follow. */
static inline bool sl_sm_is_final(const struct sl_sm *sm)
{
	return sm->conf->rows[sm->state].next == 0;
}

/* True when sl_sm_move() to that state is allowed. */
bool sl_sm_may(const struct sl_sm *sm, uint8_t to);

/* Moves; asserts that the edge is in the table ("job: DONE -> RUNNING, by NEW RUNNING"). */
void sl_sm_move(struct sl_sm *sm, uint8_t to);

/* The name of the present state, for logs. */
const char *sl_sm_state_name(const struct sl_sm *sm);
