/* One value of the file into one field of an option struct, and back; inside conf/ only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"
#include "conf/toml.h"
#include "conf/unit.h"

/* table.c: the rows of params.def. */
struct sl_table_group {
	const char *name, *text;
	bool is_peers; /* [[peer]] */
};
extern const struct sl_table_group sl_table_groups[];
extern const size_t sl_table_groups_n;

/* The row of group.name, or NULL. */
const struct sl_conf_key *sl_table_find(const char *group, size_t group_len, const char *name);
bool sl_table_is_peer(const struct sl_conf_key *key);
/* The group's struct a key lives in; `peer` counts for keys of [[peer]] only. */
void *sl_table_values(struct sl_conf *conf, const struct sl_conf_key *key, size_t peer);
const void *sl_table_values_const(
	const struct sl_conf *conf, const struct sl_conf_key *key, size_t peer);
/* Sets the (zeroed) field to its default. */
void sl_table_default(const struct sl_conf_key *key, void *values);

/* value.c. What a field of a kind holds: kinds that differ only in what they allow share one. */
enum sl_value_form {
	SL_FORM_FLAG,   /* bool */
	SL_FORM_NUMBER, /* uint64_t */
	SL_FORM_MARK,   /* struct sl_conf_mark */
	SL_FORM_ONE,    /* uint32_t, the choice */
	SL_FORM_MANY,   /* uint32_t, a bit for each choice */
	SL_FORM_TEXT,   /* characters with their NUL; of SL_CONF_NET struct sl_conf_net */
};
enum sl_value_form sl_value_form(enum sl_conf_kind kind);

/* Why a value was refused, and where (0: where the value begins). */
struct sl_value_fault {
	uint32_t line, column;
	char text[256];
};

/* Checks and stores. False with *fault, and the field as it was. `values` is the group's struct. */
SL_MUST bool sl_value_take(const struct sl_conf_key *key, void *values,
	const struct sl_toml_value *v, struct sl_value_fault *fault);

/* A number as a kind writes it. */
void sl_value_number_text(enum sl_conf_kind kind, uint64_t number, char out[SL_UNIT_TEXT_MAX]);

/* The field as TOML. */
void sl_value_print(const struct sl_conf_key *key, const void *values, FILE *out);

/* True when both hold the same. */
bool sl_value_equal(const struct sl_conf_key *key, const void *a, const void *b);

/* errors.c. Appends "name:line:column: text", "--set: text" or "name: text", as *pos says. */
void sl_conf_complain(struct sl_conf_errors *errors, const char *name,
	const struct sl_conf_pos *pos, const char *fmt, ...) SL_PRINTF(4, 5);
