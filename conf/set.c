/* --set group.key=value: one override from the command line.
 *
 * The value is TOML; what a shell has eaten the quotes of is taken as a string.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "conf/near.h"
#include "conf/scan.h"
#include "conf/value.h"

static const struct sl_conf_pos at_set = {.is_set = true};
static const struct sl_conf_pos at_bad_set = {.is_set = true, .is_bad = true};

static bool is_stringy(const struct sl_conf_key *key)
{
	return key->kind != SL_CONF_FLAG && key->kind != SL_CONF_COUNT &&
	       key->kind != SL_CONF_SIZE && key->kind != SL_CONF_RATE;
}

/* "v = " and the value, between `quote`s; the document owns what its entries borrow. Freed: doc. */
static struct sl_toml *parse_value(
	const char *value, const char *quote, struct sl_toml_error *error)
{
	char text[SL_CONF_LINE_MAX + 16];
	int n = snprintf(text, sizeof(text), "v = %s%s%s\n", quote, value, quote);
	size_t entries_n = 0;
	if (n < 0 || (size_t)n >= sizeof(text)) {
		snprintf(error->text, sizeof(error->text), "is too long");
		return NULL;
	}
	const char *why = NULL;
	struct sl_conf_pos pos;
	if (!sl_scan_text(text, (size_t)n, &pos, &why)) {
		snprintf(error->text, sizeof(error->text), "%s", why);
		return NULL;
	}
	struct sl_toml *doc = sl_toml_parse(text, (size_t)n, error);
	if (doc == NULL)
		return NULL;
	const struct sl_toml_entry *e = sl_toml_entries(doc, &entries_n);
	if (entries_n == 1 && strcmp(e->key, "v") == 0 && e->value.type != SL_TOML_TABLE)
		return doc;
	snprintf(error->text, sizeof(error->text), "is not one value");
	sl_toml_free(doc);
	return NULL;
}

static struct sl_toml *read_value(
	const struct sl_conf_key *key, const char *value, struct sl_toml_error *error)
{
	bool is_toml = strchr("\"'[", value[0]) != NULL && value[0] != '\0';
	struct sl_toml *doc = NULL;
	if (!is_stringy(key) || is_toml)
		doc = parse_value(value, "", error);
	if (doc == NULL && !is_toml)
		doc = parse_value(value, strchr(value, '\'') == NULL ? "'" : "'''", error);
	return doc;
}

static const struct sl_conf_key *find_key(const char *dotted, struct sl_conf_errors *errors)
{
	const char *dot = strchr(dotted, '.');
	const char *name = dot == NULL ? dotted : dot + 1;
	size_t group_len = dot == NULL ? 0 : (size_t)(dot - dotted);
	const struct sl_conf_key *key = sl_table_find(dotted, group_len, name);
	char group[SL_NEAR_MAX], near[2 * SL_NEAR_MAX];
	if (key != NULL && sl_table_is_peer(key)) {
		sl_conf_complain(
			errors, "", &at_set, "%s: peers are listed in the file only", dotted);
		return NULL;
	}
	if (key != NULL)
		return key;
	snprintf(group, sizeof(group), "%.*s", (int)sl_min(group_len, 60), dotted);
	sl_near_key(group, name, near, sizeof(near));
	const char *near_group = sl_near_group(group);
	if (near[0] == '\0' && near_group != NULL)
		sl_near_key(near_group, name, near, sizeof(near));
	if (near[0] != '\0')
		sl_conf_complain(
			errors, "", &at_set, "unknown key %.80s; did you mean %s?", dotted, near);
	else
		sl_conf_complain(errors, "", &at_set, "unknown key %.80s", dotted);
	return NULL;
}

enum sl_status sl_conf_set(
	struct sl_conf *conf, const char *assignment, struct sl_conf_errors *errors)
{
	char dotted[SL_NEAR_MAX];
	const char *equals = strchr(assignment, '=');
	if (equals == NULL || equals == assignment ||
		(size_t)(equals - assignment) >= sizeof(dotted)) {
		sl_conf_complain(
			errors, "", &at_set, "%.80s: write --set group.key=value", assignment);
		return SL_E_CONFIG;
	}
	size_t len = (size_t)(equals - assignment);
	while (len > 0 && assignment[len - 1] == ' ')
		len--;
	memcpy(dotted, assignment, len);
	dotted[len] = '\0';
	const struct sl_conf_key *key = find_key(dotted, errors);
	if (key == NULL)
		return SL_E_CONFIG;

	const char *value = equals + 1 + strspn(equals + 1, " ");
	struct sl_toml_error error = {0};
	struct sl_value_fault fault = {0};
	struct sl_toml *doc = read_value(key, value, &error);
	size_t n = 0;
	bool is_taken = doc != NULL && sl_value_take(key, sl_table_values(conf, key, 0),
					       &sl_toml_entries(doc, &n)->value, &fault);
	conf->at[key - sl_conf_keys] = is_taken ? at_set : at_bad_set;
	if (!is_taken)
		sl_conf_complain(errors, "", &at_set, "%s: %s", dotted,
			doc != NULL ? fault.text : error.text);
	if (doc != NULL)
		sl_toml_free(doc);
	return is_taken ? SL_OK : SL_E_CONFIG;
}
