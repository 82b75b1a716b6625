/* The parts of the index seam that every implementation shares.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index.h"

const char *sl_index_text_get(const struct sl_index_text *t, enum sl_attr a, size_t *n)
{
	sl_assert(a < SL_ATTR_N);
	*n = t->len[a];
	return t->utf8 + t->at[a];
}

enum sl_status sl_index_remove_study(struct sl_index *ix, const struct sl_uid *study_instance_uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *diag)
{
	struct sl_index_removal one = {
		.study_instance_uid = *study_instance_uid, .tombstone_seq = tombstone_seq};
	enum sl_status st = sl_index_remove_studies(ix, &one, 1, diag);
	*removed = one.removed;
	return st == SL_OK ? one.status : st;
}
