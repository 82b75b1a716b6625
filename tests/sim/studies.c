/* What must not go: a study of which something is being received, one that is pinned, one whose last
 * object is younger than evict_min_age (DESIGN 4).
 *
 * "Being received" is from when ingest has said which study an object is of until the object has failed
 * or its file is in the archive. Each side of the ledger is on the safe side: an object is in it for less
 * long than the node must count it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/sim.h"
#include "sim/wraps.h"
#include "storage/ingest_int.h"

#define OBJECTS 128 /* under way at a time */

/* An object on its way, or its entry once the object itself is over. */
struct receiving {
	const struct sl_turn *turn;
	const struct sl_pending_entry *entry;
	unsigned study;
};

static struct {
	struct receiving at[OBJECTS];
	unsigned n;
	uint64_t last_ns[SIM_STUDIES + 1]; /* arrival of its last object, in this life */
	bool is_ordered[SIM_STUDIES + 1];
	enum sim_pin pins[SIM_STUDIES + 1];
} studies;

void sim_studies_reset(void)
{
	memset(&studies, 0, sizeof(studies));
}

void sim_studies_crash(void)
{
	studies.n = 0;
	memset(studies.last_ns, 0, sizeof(studies.last_ns));
	memset(studies.is_ordered, 0, sizeof(studies.is_ordered));
}

/* All that are none of the oracle's (tests/fuzz/fuzz_dialogue.c) are one. */
static unsigned number_of(const struct sl_uid *uid)
{
	for (unsigned i = 0; i < SIM_STUDIES; i++) {
		struct sl_uid ours = sim_study_uid(i);
		if (sl_uid_equal(&ours, uid))
			return i;
	}
	return SIM_STUDIES;
}

/* ---- being received ---- */

static struct receiving *find(const struct sl_turn *t, const struct sl_pending_entry *e)
{
	for (unsigned i = 0; i < studies.n; i++)
		if ((t != NULL && studies.at[i].turn == t) ||
			(e != NULL && studies.at[i].entry == e))
			return &studies.at[i];
	return NULL;
}

static void forget(struct receiving *r)
{
	if (r != NULL)
		*r = studies.at[--studies.n];
}

enum sl_status __wrap_sl_pending_enter_study(
	struct sl_pending *p, struct sl_turn *t, const struct sl_uid *study)
{
	enum sl_status st = __real_sl_pending_enter_study(p, t, study);
	if (st != SL_OK || find(t, NULL) != NULL)
		return st;
	if (studies.n == OBJECTS)
		sim_fail("more than %d objects are under way", OBJECTS);
	studies.at[studies.n++] = (struct receiving){.turn = t, .study = number_of(study)};
	return st;
}

void sim_studies_released(const struct sl_turn *t, bool won, uint64_t arrived_ns)
{
	struct receiving *r = find(t, NULL);
	if (r == NULL)
		return;
	if (!won) {
		forget(r);
		return;
	}
	r->turn = NULL;
	r->entry = t->entry;
	studies.last_ns[r->study] = sl_max64(studies.last_ns[r->study], arrived_ns);
}

void __wrap_sl_pending_settled(struct sl_pending *p, struct sl_pending_entry *e)
{
	forget(find(NULL, e));
	__real_sl_pending_settled(p, e);
}

bool __wrap_sl_pending_close_study(struct sl_pending *p, const struct sl_uid *study)
{
	bool is_closed = __real_sl_pending_close_study(p, study);
	if (!is_closed)
		sim_saw(SIM_SAW_SPARED_BUSY);
	return is_closed;
}

/* What is decided on the strength of a study's rows needs the study to stay until it is over. */
enum sl_decision __wrap_sl_ingest_decide(
	struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch)
{
	enum sl_decision decision = __real_sl_ingest_decide(o, t, scratch);
	bool is_kept = decision == SL_DECISION_SEALED;
	bool is_identical = decision == SL_DECISION_ENDED && !sl_ingest_is_failed(o);
	if ((is_kept || is_identical) && find(&o->turn, NULL) == NULL)
		sim_fail("object %s is decided while its study may go",
			o->params.sop_instance_uid.s);
	if (is_identical)
		sim_saw(SIM_SAW_IDENTICAL);
	return decision;
}

/* ---- removals ---- */

static void check_age(unsigned study)
{
	/* By a clock of milliseconds: one of them either way. */
	uint64_t age_ms = (sim_now_ns() - studies.last_ns[study]) / SIM_MS + 1;
	if (studies.last_ns[study] != 0 && age_ms < sim_plan.min_age_ms)
		sim_fail("study %u goes %llu ms after its last object", study,
			(unsigned long long)age_ms);
}

void sim_studies_check_removal(const struct sl_uid *study)
{
	unsigned s = number_of(study);
	for (unsigned i = 0; i < studies.n; i++)
		if (studies.at[i].study == s)
			sim_fail("study %u goes while an object of it is being received", s);
	if (studies.pins[s] == SIM_PINNED)
		sim_fail("study %u goes and is pinned", s);
	if (studies.is_ordered[s]) {
		sim_saw(SIM_SAW_DELETED);
		return;
	}
	check_age(s);
	sim_saw(SIM_SAW_EVICTED);
	for (unsigned i = 0; i < SIM_STUDIES; i++)
		if (studies.pins[i] == SIM_PINNED)
			sim_saw(SIM_SAW_SPARED_PINNED);
}

/* ---- orders ---- */

void sim_studies_set_ordered(unsigned study, bool is_ordered)
{
	studies.is_ordered[study] = is_ordered;
}

void sim_studies_set_pin(unsigned study, enum sim_pin p)
{
	studies.pins[study] = p;
}

void sim_studies_check_pins(struct sl_ops *ops)
{
	for (unsigned i = 0; i < SIM_STUDIES; i++) {
		struct sl_uid uid = sim_study_uid(i);
		enum sim_pin is = sl_ops_is_pinned(ops, &uid) ? SIM_PINNED : SIM_UNPINNED;
		if (studies.pins[i] == SIM_PIN_UNKNOWN)
			studies.pins[i] = is;
		if (studies.pins[i] != is)
			sim_fail("study %u %s", i,
				is == SIM_PINNED ? "is pinned again" : "has lost its pin");
	}
}
