/* Counting.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/tally.h"

static void add_status(struct sl_tally *t, uint16_t code, uint64_t n)
{
	size_t i = 0;
	while (i < t->statuses_n && t->statuses[i].code != code)
		i++;
	if (i == SL_TALLY_STATUSES)
		i--;
	if (i == t->statuses_n) {
		t->statuses[i].code = code;
		t->statuses_n++;
	}
	t->statuses[i].n += n;
}

void sl_tally_status(struct sl_tally *t, uint16_t code)
{
	add_status(t, code, 1);
	if (code == 0)
		t->stored++;
	else
		t->failed++;
}

void sl_tally_merge(struct sl_tally *into, const struct sl_tally *from)
{
	sl_lat_merge(&into->object, &from->object);
	sl_lat_merge(&into->answer, &from->answer);
	sl_lat_merge(&into->association, &from->association);
	sl_lat_merge(&into->sender, &from->sender);
	for (size_t i = 0; i < from->statuses_n; i++)
		add_status(into, from->statuses[i].code, from->statuses[i].n);
	into->stored += from->stored;
	into->failed += from->failed;
	into->lost += from->lost;
	into->unsent += from->unsent;
	into->stored_len += from->stored_len;
	into->wire_len += from->wire_len;
	for (size_t i = 0; i < SL_TALLY_END_N; i++)
		into->ends[i] += from->ends[i];
}

bool sl_tally_is_clean(const struct sl_tally *t)
{
	for (size_t i = 0; i < SL_TALLY_END_N; i++)
		if (i != SL_TALLY_RELEASED && t->ends[i] > 0)
			return false;
	return t->failed == 0 && t->lost == 0 && t->unsent == 0;
}

const char *sl_tally_end_name(enum sl_tally_end end)
{
	static const char *const names[SL_TALLY_END_N] = {
		[SL_TALLY_RELEASED] = "released",
		[SL_TALLY_NOT_CONNECTED] = "not-connected",
		[SL_TALLY_REJECTED] = "rejected",
		[SL_TALLY_NO_CONTEXT] = "no-context",
		[SL_TALLY_ABORTED] = "aborted",
		[SL_TALLY_CLOSED] = "closed-by-peer",
		[SL_TALLY_TIMEOUT] = "timeout",
		[SL_TALLY_BAD_PEER] = "bad-peer",
	};
	return names[end];
}
