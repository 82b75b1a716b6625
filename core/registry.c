/* Looking up the registry: two sorted tables, searched by halves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"

#include <string.h>

/* Written by tools/registry_gen.cc: sop_rows[] and ts_rows[], ascending by strcmp(). */
#include "registry_tables.inc"

_Static_assert(SL_ARRAY_N(ts_rows) < SL_REGISTRY_TS_MAX, "tables by number are this long");
_Static_assert(SL_ARRAY_N(sop_rows) < SL_REGISTRY_NONE, "a number must name every row");

const struct sl_sop_row *sl_registry_sop_class(const struct sl_uid *uid)
{
	size_t lo = 0, hi = SL_ARRAY_N(sop_rows);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(sop_rows[mid].uid, uid->s);
		if (order == 0)
			return &sop_rows[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sl_ts_row *sl_registry_ts(const struct sl_uid *uid)
{
	size_t lo = 0, hi = SL_ARRAY_N(ts_rows);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(ts_rows[mid].uid, uid->s);
		if (order == 0)
			return &ts_rows[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sl_sop_row *sl_registry_sop_classes(size_t *n)
{
	*n = SL_ARRAY_N(sop_rows);
	return sop_rows;
}

const struct sl_ts_row *sl_registry_transfer_syntaxes(size_t *n)
{
	*n = SL_ARRAY_N(ts_rows);
	return ts_rows;
}

uint16_t sl_registry_sop_number(const struct sl_sop_row *row)
{
	return row == NULL ? SL_REGISTRY_NONE : (uint16_t)(row - sop_rows);
}

uint16_t sl_registry_ts_number(const struct sl_ts_row *row)
{
	return row == NULL ? SL_REGISTRY_NONE : (uint16_t)(row - ts_rows);
}

const struct sl_sop_row *sl_registry_sop_at(uint16_t number)
{
	if (number == SL_REGISTRY_NONE)
		return NULL;
	sl_assert(number < SL_ARRAY_N(sop_rows));
	return &sop_rows[number];
}

const struct sl_ts_row *sl_registry_ts_at(uint16_t number)
{
	if (number == SL_REGISTRY_NONE)
		return NULL;
	sl_assert(number < SL_ARRAY_N(ts_rows));
	return &ts_rows[number];
}

const char *sl_registry_sop_kind_name(enum sl_sop_kind kind)
{
	switch (kind) {
	case SL_SOP_STORAGE:
		return "storage";
	case SL_SOP_VERIFICATION:
		return "verification";
	case SL_SOP_FIND:
		return "find";
	case SL_SOP_MOVE:
		return "move";
	case SL_SOP_GET:
		return "get";
	case SL_SOP_COMMITMENT:
		return "commitment";
	case SL_SOP_OTHER:
		return "other";
	case SL_SOP_KIND_N:
		break;
	}
	return "?";
}

const char *sl_registry_ts_rank_name(enum sl_ts_rank rank)
{
	switch (rank) {
	case SL_TS_EXPLICIT_LE:
		return "explicit-le";
	case SL_TS_IMPLICIT_LE:
		return "implicit-le";
	case SL_TS_BIG_ENDIAN:
		return "big-endian";
	case SL_TS_DEFLATED:
		return "deflated";
	case SL_TS_LOSSLESS:
		return "lossless";
	case SL_TS_LOSSY:
		return "lossy";
	case SL_TS_REFERENCED:
		return "referenced";
	case SL_TS_NOT_A_DATA_SET:
		return "not-a-data-set";
	case SL_TS_RANK_N:
		break;
	}
	return "?";
}
