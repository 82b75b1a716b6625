/* The rows of params.def and choices.def as data, and the defaults they give.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/value.h"

#include <string.h>

#define SL_CHOICES(tag)                      static const struct sl_conf_choice choices_##tag[] = {
#define SL_CHOICE(tag, value, word, not_yet) {word, not_yet},
#define SL_CHOICES_END(tag) \
	}                   \
	;                   \
	_Static_assert(     \
		sizeof(enum sl_conf_##tag) == sizeof(uint32_t), "a choice is stored as uint32_t");
#include "conf/choices.def"

#define LIVE  true
#define START false

/* What all rows share; `member` is one value: the field, or the first place of a list. */
#define ROW(g, n, k, member)                                                               \
	.group = #g, .name = #n, .kind = SL_CONF_##k, .base = offsetof(struct sl_conf, g), \
	.offset = offsetof(struct sl_conf_##g, n),                                         \
	.size = sizeof(((struct sl_conf_##g *)NULL)->member)

const struct sl_conf_key sl_conf_keys[SL_CONF_KEY_N] = {
#define SL_FLAG(g, n, def, reload, t) \
	{ROW(g, n, FLAG, n), .def_number = def, .is_live = reload, .text = t},
#define SL_NUM(g, n, kind, lo, hi, def, reload, t) \
	{ROW(g, n, kind, n), .min = lo, .max = hi, .def_number = def, .is_live = reload, .text = t},
#define SL_MARK(g, n, percent, reload, t) \
	{ROW(g, n, MARK, n), .def_number = percent, .is_live = reload, .text = t},
#define SL_TEXT(g, n, kind, def, reload, t) \
	{ROW(g, n, kind, n), .def_text = def, .is_live = reload, .text = t},
#define SL_LIST(g, n, kind, count, def, reload, t)                                     \
	{ROW(g, n, kind, n[0]), .list_n = count,                                       \
		.list_n_offset = offsetof(struct sl_conf_##g, n##_n), .def_text = def, \
		.is_live = reload, .text = t},
#define SL_ONE(g, n, tag, def, reload, t)                                          \
	{ROW(g, n, ONE, n), .def_number = SL_CONF_##def, .choices = choices_##tag, \
		.choices_n = SL_ARRAY_N(choices_##tag), .is_live = reload, .text = t},
#define SL_MANY(g, n, tag, mask, reload, t)                                \
	{ROW(g, n, MANY, n), .def_number = mask, .choices = choices_##tag, \
		.choices_n = SL_ARRAY_N(choices_##tag), .is_live = reload, .text = t},
#include "conf/params.def"
};

const struct sl_table_group sl_table_groups[] = {
#define SL_GROUP(g, t) {#g, t, false},
#define SL_PEERS(t)    {"peer", t, true},
#include "conf/params.def"
};
const size_t sl_table_groups_n = SL_ARRAY_N(sl_table_groups);

const struct sl_conf_key *sl_table_find(const char *group, size_t group_len, const char *name)
{
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		if (strlen(key->group) == group_len && memcmp(key->group, group, group_len) == 0 &&
			strcmp(key->name, name) == 0)
			return key;
	}
	return NULL;
}

bool sl_table_is_peer(const struct sl_conf_key *key)
{
	return key->base == offsetof(struct sl_conf, peer);
}

void *sl_table_values(struct sl_conf *conf, const struct sl_conf_key *key, size_t peer)
{
	size_t at = key->base + (sl_table_is_peer(key) ? peer * sizeof(struct sl_conf_peer) : 0);
	return (char *)conf + at;
}

const void *sl_table_values_const(
	const struct sl_conf *conf, const struct sl_conf_key *key, size_t peer)
{
	size_t at = key->base + (sl_table_is_peer(key) ? peer * sizeof(struct sl_conf_peer) : 0);
	return (const char *)conf + at;
}

/* A list or a text from its default, which is split at spaces where it is a list. */
static void text_default(const struct sl_conf_key *key, void *values)
{
	struct sl_toml_value items[16];
	size_t n = 0;
	for (const char *p = key->def_text; *p != '\0' && n < SL_ARRAY_N(items);) {
		size_t len = key->list_n > 0 ? strcspn(p, " ") : strlen(p);
		items[n++] = (struct sl_toml_value){.type = SL_TOML_STRING, .text = p, .len = len};
		p += len;
		p += strspn(p, " ");
	}
	struct sl_toml_value list = {.type = SL_TOML_ARRAY, .items = items, .items_n = n};
	struct sl_value_fault fault;
	if (n > 0) /* none: the zeroed field is the default */
		sl_assert(sl_value_take(key, values, key->list_n > 0 ? &list : &items[0], &fault));
}

void sl_table_default(const struct sl_conf_key *key, void *values)
{
	void *field = (char *)values + key->offset;
	switch (sl_value_form(key->kind)) {
	case SL_FORM_FLAG:
		*(bool *)field = key->def_number != 0;
		break;
	case SL_FORM_NUMBER:
		*(uint64_t *)field = key->def_number;
		break;
	case SL_FORM_MARK:
		*(struct sl_conf_mark *)field =
			(struct sl_conf_mark){.hundredths = (uint32_t)(key->def_number * 100)};
		break;
	case SL_FORM_ONE:
	case SL_FORM_MANY:
		*(uint32_t *)field = (uint32_t)key->def_number;
		break;
	case SL_FORM_TEXT:
		text_default(key, values);
		break;
	}
}

void sl_conf_defaults(struct sl_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	for (size_t i = 0; i < SL_CONF_KEY_N; i++)
		if (!sl_table_is_peer(&sl_conf_keys[i]))
			sl_table_default(
				&sl_conf_keys[i], sl_table_values(conf, &sl_conf_keys[i], 0));
}
