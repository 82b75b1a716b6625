/* The checked state machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/sm.h"

#include <stdio.h>
#include <string.h>

void sl_sm_init(struct sl_sm *sm, const struct sl_sm_conf *conf)
{
	sl_assert(conf->rows_n > 0 && conf->rows_n <= SL_SM_STATES_MAX);
	for (uint8_t i = 0; i < conf->rows_n; i++) {
		sl_assert(conf->rows[i].name != NULL);
		sl_assert((uint64_t)conf->rows[i].next >> conf->rows_n == 0);
	}
	*sm = (struct sl_sm){.conf = conf};
}

bool sl_sm_may(const struct sl_sm *sm, uint8_t to)
{
	return to < sm->conf->rows_n && (sm->conf->rows[sm->state].next & SL_SM_TO(to)) != 0;
}

static const char *name_of(const struct sl_sm *sm, uint8_t state)
{
	return state < sm->conf->rows_n ? sm->conf->rows[state].name : "?";
}

/* Says which edge was asked for and which states led to it, and aborts. */
_Noreturn static void refuse(const struct sl_sm *sm, uint8_t to)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s: %s -> %s is not an edge; by", sm->conf->name,
		name_of(sm, sm->state), name_of(sm, to));
	for (uint8_t i = 0; i < sm->trail_n && n > 0 && (size_t)n < sizeof(text); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s", name_of(sm, sm->trail[i]));
	sl_assert_failed(text, __FILE__, __LINE__);
}

void sl_sm_move(struct sl_sm *sm, uint8_t to)
{
	if (!sl_sm_may(sm, to))
		refuse(sm, to);
	if (sm->trail_n == SL_SM_TRAIL_N)
		memmove(sm->trail, sm->trail + 1, SL_SM_TRAIL_N - 1);
	else
		sm->trail_n++;
	sm->trail[sm->trail_n - 1] = sm->state;
	sm->state = to;
}

const char *sl_sm_state_name(const struct sl_sm *sm)
{
	return name_of(sm, sm->state);
}
