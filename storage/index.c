/* The parts of the index seam that every implementation shares.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index.h"

const char *sl_index_text_get(const struct sl_index_text *t, enum sl_attr a, size_t *n)
{
	sl_assert(a < SL_ATTR_N);
	*n = t->len[a];
	return t->utf8 + t->at[a];
}
