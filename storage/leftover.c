/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/leftover.h"

#include <stdlib.h>
#include <string.h>

struct sl_leftover {
	struct sl_leftover *next;
	struct sl_leftovers *all;
	struct sl_turn turn;
	struct sl_record record;
	uint8_t digest[SL_DIGEST_LEN];
};

enum sl_status sl_leftovers_add(struct sl_leftovers *l, const struct sl_record *r,
	const uint8_t digest[SL_DIGEST_LEN], struct sl_diag *d)
{
	struct sl_leftover *one = calloc(1, sizeof(*one));
	if (one == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "recover", "no memory for what does not fit");
	one->record = *r;
	memcpy(one->digest, digest, sizeof(one->digest));
	one->all = l;
	if (l->last != NULL)
		l->last->next = one;
	else
		l->first = one;
	l->last = one;
	return SL_OK;
}

/* Its UID is its own now; unless an earlier version of it is not settled yet. */
static void on_turn(struct sl_turn *t)
{
	struct sl_leftover *one = sl_container_of(t, struct sl_leftover, turn);
	struct sl_leftovers *l = one->all;
	struct sl_pending_entry *entry = t->entry;
	if (sl_pending_park(l->pending, t))
		return;
	entry->record = one->record;
	memcpy(entry->digest, one->digest, sizeof(entry->digest));
	sl_index_owe(l->index, 1);
	sl_pending_release(l->pending, t, true);
	sl_indexer_push(l->indexer, entry);
}

void sl_leftovers_hand_over(struct sl_leftovers *l, struct sl_pending *pending,
	struct sl_index *index, struct sl_indexer *indexer)
{
	l->pending = pending;
	l->index = index;
	l->indexer = indexer;
	for (struct sl_leftover *one = l->first; one != NULL; one = one->next) {
		one->turn.uid = &one->record.sop_instance_uid;
		one->turn.on_turn = on_turn;
		/* Nothing is evicted yet, so no study is closed. */
		(void)!sl_pending_enter_study(pending, &one->turn, &one->record.study_instance_uid);
		if (sl_pending_claim(pending, &one->turn))
			on_turn(&one->turn);
	}
}

void sl_leftovers_free(struct sl_leftovers *l)
{
	while (l->first != NULL) {
		struct sl_leftover *one = l->first;
		l->first = one->next;
		free(one);
	}
}
