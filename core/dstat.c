/* The status table, written out from dstat.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dstat.h"

enum {
	STORE = SL_DSTAT_FOR_STORE,
	ECHO = SL_DSTAT_FOR_ECHO,
	FIND = SL_DSTAT_FOR_FIND,
	MOVE = SL_DSTAT_FOR_MOVE,
	GET = SL_DSTAT_FOR_GET,
	COMMIT = SL_DSTAT_FOR_COMMIT,
	ANY = SL_DSTAT_FOR_ANY
};
_Static_assert((STORE | ECHO | FIND | MOVE | GET | COMMIT) == ANY, "ANY is every service");

static const struct sl_dstat_row rows[] = {
#define SL_DSTAT(name, code, kind, services, meaning, sent_when) \
	{SL_DSTAT_##name, SL_DSTAT_KIND_##kind, (unsigned)(services), #name, meaning, sent_when},
#include "core/dstat.def"
#undef SL_DSTAT
};

const struct sl_dstat_row *sl_dstat_rows(size_t *n)
{
	*n = SL_ARRAY_N(rows);
	return rows;
}

const struct sl_dstat_row *sl_dstat_find(uint16_t code, enum sl_dstat_service service)
{
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		if ((unsigned)rows[i].code == code && (rows[i].services & (unsigned)service) != 0)
			return &rows[i];
	return NULL;
}

enum sl_dstat_kind sl_dstat_kind_of(uint16_t code)
{
	if (code == SL_DSTAT_SUCCESS)
		return SL_DSTAT_KIND_SUCCESS;
	if (code == SL_DSTAT_CANCELLED)
		return SL_DSTAT_KIND_CANCEL;
	if (code == SL_DSTAT_PENDING || code == SL_DSTAT_PENDING_OPTIONAL)
		return SL_DSTAT_KIND_PENDING;
	if (code == 0x0001 || code == SL_DSTAT_ATTRIBUTE_LIST_ERROR ||
		code == SL_DSTAT_VALUE_OUT_OF_RANGE || (code & 0xF000) == 0xB000)
		return SL_DSTAT_KIND_WARNING;
	return SL_DSTAT_KIND_FAILURE;
}

const char *sl_dstat_kind_name(enum sl_dstat_kind kind)
{
	switch (kind) {
	case SL_DSTAT_KIND_SUCCESS:
		return "success";
	case SL_DSTAT_KIND_WARNING:
		return "warning";
	case SL_DSTAT_KIND_FAILURE:
		return "failure";
	case SL_DSTAT_KIND_CANCEL:
		return "cancel";
	case SL_DSTAT_KIND_PENDING:
		return "pending";
	}
	return "?";
}
