/* From the file and the overrides to the option structs.
 *
 * The parser gives a flat list of entries (toml.h); each one finds its row in params.def, or the
 * nearest name is offered; its value is checked and stored (value.h). Nothing stops at the first
 * error but the TOML syntax itself. Cross-checks come last and pass over keys that were refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/near.h"
#include "conf/scan.h"
#include "conf/value.h"

struct load {
	struct sl_conf *conf;
	const char *name; /* of the file */
	struct sl_conf_errors *errors;
	char unknown[SL_NEAR_MAX]; /* the group last complained of: its keys are passed over */
};

static struct sl_conf_pos entry_pos(const struct sl_toml_entry *e)
{
	return (struct sl_conf_pos){.line = e->line, .column = e->column};
}

static const struct sl_table_group *find_group(const char *name)
{
	for (size_t i = 0; i < sl_table_groups_n; i++)
		if (strcmp(sl_table_groups[i].name, name) == 0)
			return &sl_table_groups[i];
	return NULL;
}

static void unknown_group(struct load *l, const struct sl_toml_entry *e)
{
	struct sl_conf_pos pos = entry_pos(e);
	const char *near = sl_near_group(e->key);
	snprintf(l->unknown, sizeof(l->unknown), "%s", e->key);
	if (strcmp(e->key, "tls") == 0)
		sl_conf_complain(l->errors, l->name, &pos,
			"[tls]: TLS is not built yet; remove the group, or put a TLS proxy before "
			"the port");
	else if (near != NULL)
		sl_conf_complain(l->errors, l->name, &pos,
			"unknown group [%.80s]; did you mean [%s]?", e->key, near);
	else
		sl_conf_complain(l->errors, l->name, &pos, "unknown group [%.80s]", e->key);
}

/* A [group] or one [[peer]]. */
static void on_table(struct load *l, const struct sl_toml_entry *e)
{
	struct sl_conf_pos pos = entry_pos(e);
	const struct sl_table_group *group = find_group(e->key);
	if (strchr(e->key, '.') != NULL) {
		sl_conf_complain(l->errors, l->name, &pos, "unknown group [%.80s]", e->key);
		snprintf(l->unknown, sizeof(l->unknown), "%s", e->key);
	} else if (group == NULL) {
		if (e->table_i == SL_TOML_NO_TABLE || e->table_i == 0)
			unknown_group(l, e);
	} else if (group->is_peers != (e->table_i != SL_TOML_NO_TABLE)) {
		snprintf(l->unknown, sizeof(l->unknown), "%s", e->key);
		if (e->table_i == SL_TOML_NO_TABLE || e->table_i == 0)
			sl_conf_complain(l->errors, l->name, &pos,
				group->is_peers
					? "write [[%s]], with two brackets: there may be several"
					: "write [%s], with one bracket: there is only one",
				e->key);
	} else if (group->is_peers && e->table_i >= SL_CONF_PEERS) {
		if (e->table_i == SL_CONF_PEERS)
			sl_conf_complain(l->errors, l->name, &pos, "more than %d [[peer]] tables",
				SL_CONF_PEERS);
	} else if (group->is_peers) {
		l->conf->peer_at[e->table_i] = pos;
		l->conf->peer_n = e->table_i + 1;
		for (size_t i = 0; i < SL_CONF_KEY_N; i++)
			if (sl_table_is_peer(&sl_conf_keys[i]))
				sl_table_default(&sl_conf_keys[i], &l->conf->peer[e->table_i]);
	}
}

/* True for what stands in a group that was complained of. */
static bool is_in_unknown(const struct load *l, const char *key)
{
	size_t len = strlen(l->unknown);
	return len > 0 && strncmp(key, l->unknown, len) == 0 &&
	       (key[len] == '.' || key[len] == '\0');
}

static void unknown_key(struct load *l, const struct sl_toml_entry *e, const char *name)
{
	char group[SL_NEAR_MAX] = "", near[2 * SL_NEAR_MAX];
	struct sl_conf_pos pos = entry_pos(e);
	size_t group_len = (size_t)(name - e->key);
	if (group_len > 0)
		snprintf(group, sizeof(group), "%.*s", (int)sl_min(group_len - 1, 60), e->key);
	sl_near_key(group, name, near, sizeof(near));
	if (near[0] != '\0')
		sl_conf_complain(l->errors, l->name, &pos, "unknown key %.80s; did you mean %s?",
			e->key, near);
	else
		sl_conf_complain(l->errors, l->name, &pos, "unknown key %.80s", e->key);
}

static void on_value(struct load *l, const struct sl_toml_entry *e)
{
	const char *dot = strrchr(e->key, '.');
	const char *name = dot == NULL ? e->key : dot + 1;
	size_t group_len = dot == NULL ? 0 : (size_t)(dot - e->key);
	const struct sl_conf_key *key = sl_table_find(e->key, group_len, name);
	if (is_in_unknown(l, e->key))
		return;
	if (key == NULL) {
		unknown_key(l, e, name);
		return;
	}
	if (sl_table_is_peer(key) && e->table_i >= SL_CONF_PEERS)
		return;
	size_t peer = sl_table_is_peer(key) ? e->table_i : 0;
	struct sl_value_fault fault;
	bool is_taken = sl_value_take(key, sl_table_values(l->conf, key, peer), &e->value, &fault);
	struct sl_conf_pos pos = {
		.line = e->value.line, .column = e->value.column, .is_bad = !is_taken};
	if (sl_table_is_peer(key))
		l->conf->peer_at[peer].is_bad |= !is_taken;
	else
		l->conf->at[key - sl_conf_keys] = pos;
	if (!is_taken) {
		pos.line = fault.line;
		pos.column = fault.column;
		sl_conf_complain(
			l->errors, l->name, &pos, "%s.%s: %s", key->group, key->name, fault.text);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct sl_toml_entry *x = *(const struct sl_toml_entry *const *)a;
	const struct sl_toml_entry *y = *(const struct sl_toml_entry *const *)b;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x < y ? -1 : x > y; /* a table stands before its members in the parser's list */
}

/* Everything the file says, in the order in which it stands there. */
static void take_entries(struct load *l, const struct sl_toml *doc)
{
	size_t n = 0;
	const struct sl_toml_entry *entries = sl_toml_entries(doc, &n);
	const struct sl_toml_entry **order = calloc(n + 1, sizeof(const struct sl_toml_entry *));
	if (order == NULL) {
		sl_conf_complain(l->errors, l->name, NULL, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++)
		order[i] = &entries[i];
	qsort(order, n, sizeof(*order), by_place);
	for (size_t i = 0; i < n; i++)
		if (order[i]->value.type == SL_TOML_TABLE)
			on_table(l, order[i]);
		else
			on_value(l, order[i]);
	free(order);
}

static void parse(struct sl_conf *conf, const char *name, const char *text, size_t n,
	struct sl_conf_errors *errors)
{
	struct load l = {.conf = conf, .name = name, .errors = errors};
	struct sl_conf_pos pos;
	const char *why = NULL;
	struct sl_toml_error error;
	if (n > SL_CONF_FILE_MAX) {
		sl_conf_complain(
			errors, name, NULL, "is longer than %zu bytes", (size_t)SL_CONF_FILE_MAX);
		return;
	}
	if (!sl_scan_text(text, n, &pos, &why)) {
		sl_conf_complain(errors, name, &pos, "%s", why);
		return;
	}
	struct sl_toml *doc = sl_toml_parse(text, n, &error);
	if (doc == NULL) {
		pos = (struct sl_conf_pos){.line = error.line, .column = error.column};
		sl_conf_complain(errors, name, &pos, "%s", error.text);
		return;
	}
	take_entries(&l, doc);
	sl_toml_free(doc);
}

/* The whole file into *text, which the caller frees. False: complained. */
static bool read_file(const char *path, char **text, size_t *n, struct sl_conf_errors *errors)
{
	FILE *in = fopen(path, "re");
	*text = malloc(SL_CONF_FILE_MAX + 1);
	bool is_ok = in != NULL && *text != NULL;
	if (is_ok) {
		*n = fread(*text, 1, SL_CONF_FILE_MAX + 1, in);
		is_ok = !ferror(in);
	}
	if (!is_ok)
		sl_conf_complain(errors, path, NULL, "cannot be read: %s", strerror(errno));
	if (in != NULL)
		fclose(in);
	return is_ok;
}

enum sl_status sl_conf_load(struct sl_conf *conf, const char *path, const char *const *sets,
	size_t sets_n, struct sl_conf_errors *errors)
{
	char *text = NULL;
	size_t n = 0, errors_before = errors->n;
	sl_conf_defaults(conf);
	if (path != NULL && read_file(path, &text, &n, errors))
		parse(conf, path, text, n, errors);
	free(text);
	bool is_ok = true;
	for (size_t i = 0; i < sets_n; i++)
		is_ok = sl_conf_set(conf, sets[i], errors) == SL_OK && is_ok;
	is_ok = sl_conf_check(conf, path == NULL ? "configuration" : path, errors) == SL_OK &&
		is_ok;
	return is_ok && errors->n == errors_before ? SL_OK : SL_E_CONFIG;
}

enum sl_status sl_conf_parse(struct sl_conf *conf, const char *name, const char *text, size_t n,
	struct sl_conf_errors *errors)
{
	size_t errors_before = errors->n;
	sl_conf_defaults(conf);
	parse(conf, name, text, n, errors);
	enum sl_status st = sl_conf_check(conf, name, errors);
	return st == SL_OK && errors->n > errors_before ? SL_E_CONFIG : st;
}
