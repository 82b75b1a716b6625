/* The operator: pins, unpins and deletes while objects come, by the evictor's orders.
 *
 * What an order that was answered promises holds from then on, over crashes too. One that was not may
 * have been carried out or not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"
#include "sim/wraps.h"

static void pin(struct sl_evict *ev, unsigned study, bool is_pinned)
{
	struct sl_uid uid = sim_study_uid(study);
	sim_studies_set_pin(study, SIM_PIN_UNKNOWN);
	enum sl_status st = sl_evict_pin(ev, &uid, is_pinned);
	sim_note(is_pinned ? "pinned" : "unpinned", study, (uint64_t)st);
	if (st == SL_OK)
		sim_studies_set_pin(study, is_pinned ? SIM_PINNED : SIM_UNPINNED);
}

static void take_out(struct sl_evict *ev, unsigned study, bool is_study)
{
	struct sl_uid uid = is_study ? sim_study_uid(study) : sim_uid(sim_below(sim_plan.uids));
	struct sl_index_removed removed;
	for (unsigned i = 0; i < SIM_STUDIES; i++)
		sim_studies_set_ordered(i, !is_study || i == study);
	enum sl_status st = is_study ? sl_evict_study(ev, &uid, &removed)
				     : sl_evict_instance(ev, &uid, &removed);
	for (unsigned i = 0; i < SIM_STUDIES; i++)
		sim_studies_set_ordered(i, false);
	sim_note(is_study ? "study deleted" : "object deleted", study, (uint64_t)st);
}

static void *operator_main(void *arg)
{
	struct sl_storage *s = arg;
	for (unsigned i = 0; i < sim_plan.orders && !sim_node_has_failed(); i++) {
		sim_sleep((1 + sim_below(1500)) * SIM_MS);
		unsigned study = sim_below(sim_plan.studies);
		if (sim_one_in(2))
			pin(s->evict, study, !sim_one_in(3));
		else
			take_out(s->evict, study, sim_one_in(2));
	}
	return NULL;
}

unsigned sim_operator_start(struct sl_storage *s)
{
	return sim_start(operator_main, s, true, "operator");
}

/* Pins are ordered of a stopped node, which may allocate. */
enum sl_status __wrap_sl_ops_pin(
	struct sl_ops *ops, const struct sl_uid *study, bool is_pinned, struct sl_diag *d)
{
	sim_memory_exempt(true);
	enum sl_status st = __real_sl_ops_pin(ops, study, is_pinned, d);
	sim_memory_exempt(false);
	return st;
}
