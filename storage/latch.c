/* The latch: three stages that only go forward, so that readers need no lock.
 *
 * OPEN -> SETTING -> SET. Readers count SETTING as failed already: between the failure and the
 * written diagnosis no acknowledgement may slip out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/latch.h"

#include <string.h>

enum latch_stage { LATCH_OPEN, LATCH_SETTING, LATCH_SET };

void sl_latch_init(
	struct sl_latch *l, void (*on_fail)(void *arg, const struct sl_diag *cause), void *arg)
{
	memset(&l->diag, 0, sizeof(l->diag));
	atomic_init(&l->stage, LATCH_OPEN);
	l->on_fail = on_fail;
	l->arg = arg;
}

bool sl_latch_fail(struct sl_latch *l, const struct sl_diag *cause)
{
	int open = LATCH_OPEN;
	/* seq_cst: the failure is ordered against every ack gate that reads the stage, whatever
	 * other variables those threads look at. It happens once in a process' life. */
	if (!atomic_compare_exchange_strong(&l->stage, &open, LATCH_SETTING))
		return false;
	l->diag = *cause;
	/* release: pairs with the acquire in sl_latch_cause(), which then reads the whole diag. */
	atomic_store_explicit(&l->stage, LATCH_SET, memory_order_release);
	if (l->on_fail != NULL)
		l->on_fail(l->arg, &l->diag);
	return true;
}

bool sl_latch_is_failed(const struct sl_latch *l)
{
	return atomic_load(&l->stage) != LATCH_OPEN; /* seq_cst: see sl_latch_fail() */
}

const struct sl_diag *sl_latch_cause(const struct sl_latch *l)
{
	if (atomic_load_explicit(&l->stage, memory_order_acquire) != LATCH_SET)
		return NULL;
	return &l->diag;
}
