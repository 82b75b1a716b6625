/* Nearest names by edit distance (optimal string alignment).
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/near.h"

#include <string.h>

#include "conf/value.h"

size_t sl_near_distance(const char *a, const char *b)
{
	size_t n = strnlen(a, SL_NEAR_MAX), m = strnlen(b, SL_NEAR_MAX);
	size_t rows[3][SL_NEAR_MAX + 1]; /* the row in work and the two before it */
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *row = rows[i % 3];
		const size_t *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = sl_min(replace, sl_min(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = sl_min(row[j], before[j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}

/* How far a guess may be off: a third of what was written, at least two. */
static size_t reach(const char *written)
{
	return sl_max(2, strnlen(written, SL_NEAR_MAX) / 3);
}

void sl_near_key(const char *group, const char *name, char *out, size_t cap)
{
	size_t best = reach(name) + 1;
	out[0] = '\0';
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		bool is_here = strcmp(key->group, group) == 0;
		size_t distance = sl_near_distance(name, key->name);
		if (!is_here && distance > 0)
			continue; /* elsewhere only the very name is a good guess */
		distance += is_here ? 0 : 1;
		if (distance < best) {
			best = distance;
			snprintf(out, cap, "%s.%s", key->group, key->name);
		}
	}
}

const char *sl_near_group(const char *group)
{
	size_t best = reach(group) + 1;
	const char *found = NULL;
	for (size_t i = 0; i < sl_table_groups_n; i++) {
		size_t distance = sl_near_distance(group, sl_table_groups[i].name);
		if (distance < best) {
			best = distance;
			found = sl_table_groups[i].name;
		}
	}
	return found;
}
