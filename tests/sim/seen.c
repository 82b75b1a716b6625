/* What came about, over all seeds: a scenario that no seed brings any more proves nothing (main.c,
 * --covers). SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/sim.h"
#include "sim/wraps.h"

uint64_t sim_seen[SIM_SIGHT_N];

const char *const sim_sights[SIM_SIGHT_N] = {
#define X(name, text) [SIM_SAW_##name] = text,
	SIM_SIGHTS(X)
#undef X
};

void sim_saw(enum sim_sight s)
{
	sim_seen[s]++;
}

/* ---- refusals, by what was short ---- */

static void saw_refusal(const char *gauge)
{
	static const struct {
		const char *gauge;
		enum sim_sight sight;
	} rows[] = {{"disk", SIM_SAW_REFUSED_DISK}, {"quota", SIM_SAW_REFUSED_QUOTA},
		{"inodes", SIM_SAW_REFUSED_INODES}};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		if (strncmp(gauge, rows[i].gauge, strlen(rows[i].gauge)) == 0)
			sim_saw(rows[i].sight);
}

bool __wrap_sl_water_may_begin(struct sl_water *w)
{
	bool may = __real_sl_water_may_begin(w);
	if (!may)
		saw_refusal(sl_water_now(w).why);
	return may;
}

enum sl_status __wrap_sl_water_reserve(struct sl_water *w, uint64_t bytes, struct sl_diag *d)
{
	enum sl_status st = __real_sl_water_reserve(w, bytes, d);
	if (st == SL_E_FULL)
		saw_refusal(d->text);
	return st;
}

enum sl_status __wrap_sl_water_reserve_first(struct sl_water *w, uint64_t bytes, struct sl_diag *d)
{
	enum sl_status st = __real_sl_water_reserve_first(w, bytes, d);
	if (st == SL_E_FULL)
		saw_refusal(d->text);
	return st;
}
