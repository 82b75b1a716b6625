/* The table of keys as the sample file, the effective configuration, help text and manual.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "conf/value.h"

#define COMMENT_WIDTH 96 /* columns of a comment line, with its "# " */

static size_t words(const struct sl_conf_key *key, char *buf, size_t cap)
{
	size_t len = 0;
	for (size_t i = 0; i < key->choices_n && len < cap; i++) {
		if (key->choices[i].not_yet != NULL)
			continue;
		int n = snprintf(buf + len, cap - len, "%s\"%s\"", len > 0 ? ", " : "",
			key->choices[i].word);
		len += (size_t)n;
	}
	return len;
}

/* What a text of a kind looks like. */
static const char *text_form(enum sl_conf_kind kind)
{
	switch (kind) {
	case SL_CONF_AE:
		return "an AE title of 1 to 16 characters, no backslash";
	case SL_CONF_PATH:
		return "a path";
	case SL_CONF_HOST:
		return "a host name or address";
	case SL_CONF_WORD:
		return "a name of letters, digits, blanks and . - _";
	case SL_CONF_ADDR:
		return "an IPv4 or IPv6 address";
	case SL_CONF_NET:
		return "a network as 10.0.0.0/8 or fd00::/8";
	case SL_CONF_SYNTAX:
		return "a transfer syntax UID";
	default:
		return "";
	}
}

void sl_conf_allowed(const struct sl_conf_key *key, char *buf, size_t cap)
{
	char min[SL_UNIT_TEXT_MAX], max[SL_UNIT_TEXT_MAX], list[128];
	switch (sl_value_form(key->kind)) {
	case SL_FORM_FLAG:
		snprintf(buf, cap, "true or false");
		return;
	case SL_FORM_NUMBER:
		sl_value_number_text(key->kind, key->min, min);
		sl_value_number_text(key->kind, key->max, max);
		if (key->min == key->max)
			snprintf(buf, cap, "only %s for now", min);
		else
			snprintf(buf, cap, "%s to %s%s", min, max,
				key->kind == SL_CONF_RATE ? " per second" : "");
		return;
	case SL_FORM_MARK:
		snprintf(buf, cap, "a share as \"75%%\", or \"free 20GiB\"");
		return;
	case SL_FORM_ONE:
	case SL_FORM_MANY:
		words(key, list, sizeof(list));
		snprintf(buf, cap, "%s%s", key->kind == SL_CONF_MANY ? "a list of " : "", list);
		return;
	case SL_FORM_TEXT:
		if (key->list_n > 0)
			snprintf(buf, cap, "a list of up to %zu, each %s", key->list_n,
				text_form(key->kind));
		else
			snprintf(buf, cap, "%s", text_form(key->kind));
		return;
	}
}

/* Text in comment lines, broken at spaces. */
static void print_comment(const char *text, FILE *out)
{
	while (*text != '\0') {
		size_t len = strlen(text);
		if (len > COMMENT_WIDTH - 2) {
			len = COMMENT_WIDTH - 2;
			while (len > 1 && text[len] != ' ')
				len--;
		}
		fprintf(out, "# %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

/* key = value lines of one group; explained: with what each means and allows. `mark` stands before. */
static void print_group(const struct sl_table_group *group, const void *values, bool is_explained,
	const char *mark, FILE *out)
{
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		char text[512], allowed[160];
		if (strcmp(key->group, group->name) != 0)
			continue;
		if (is_explained) {
			sl_conf_allowed(key, allowed, sizeof(allowed));
			snprintf(text, sizeof(text), "%s (%s; %s)", key->text, allowed,
				key->is_live ? "live" : "restart");
			fputs("\n", out);
			print_comment(text, out);
		}
		fprintf(out, "%s%s = ", mark, key->name);
		sl_value_print(key, values, out);
		fputs("\n", out);
	}
}

static const struct sl_conf_key *first_key(const struct sl_table_group *group)
{
	const struct sl_conf_key *key = sl_conf_keys;
	while (strcmp(key->group, group->name) != 0)
		key++;
	return key;
}

void sl_conf_print(const struct sl_conf *conf, FILE *out)
{
	for (size_t g = 0; g < sl_table_groups_n; g++) {
		const struct sl_table_group *group = &sl_table_groups[g];
		size_t n = group->is_peers ? conf->peer_n : 1;
		for (size_t i = 0; i < n; i++) {
			fprintf(out, group->is_peers ? "%s[[%s]]\n" : "%s[%s]\n", g > 0 ? "\n" : "",
				group->name);
			print_group(group, sl_table_values_const(conf, first_key(group), i), false,
				"", out);
		}
	}
}

/* A peer as an example shows it. */
static void example_peer(struct sl_conf_peer *p)
{
	for (size_t i = 0; i < SL_CONF_KEY_N; i++)
		if (sl_table_is_peer(&sl_conf_keys[i]))
			sl_table_default(&sl_conf_keys[i], p);
	snprintf(p->ae_title, sizeof(p->ae_title), "CT1");
	snprintf(p->host, sizeof(p->host), "192.168.1.10");
	p->port = 11112;
	p->from[0] = (struct sl_conf_net){.prefix_len = 32, .addr = {192, 168, 1, 10}};
	p->from_n = 1;
}

void sl_conf_sample(FILE *out)
{
	struct sl_conf *conf = calloc(1, sizeof(*conf));
	sl_assert(conf != NULL);
	sl_conf_defaults(conf);
	example_peer(&conf->peer[0]);
	fputs("# Configuration of sluiced. Every key stands here with its default; leave out what "
	      "you do\n"
	      "# not change. Sizes: bytes, KiB, MiB, GiB, TiB. Times: ms, s, min, h, d. In "
	      "brackets what is\n"
	      "# allowed, and when a change counts: live = at SIGHUP, restart = at the next "
	      "start.\n"
	      "# Check a change before it counts: sluiced --config FILE --check-config\n",
		out);
	for (size_t g = 0; g < sl_table_groups_n; g++) {
		const struct sl_table_group *group = &sl_table_groups[g];
		const void *values = sl_table_values_const(conf, first_key(group), 0);
		fputs("\n", out);
		print_comment(group->text, out);
		fprintf(out, group->is_peers ? "# [[%s]]\n" : "[%s]\n", group->name);
		print_group(group, values, true, group->is_peers ? "# " : "", out);
	}
	free(conf);
}

void sl_conf_help(FILE *out)
{
	struct sl_conf *conf = calloc(1, sizeof(*conf));
	sl_assert(conf != NULL);
	sl_conf_defaults(conf);
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		char allowed[160];
		sl_conf_allowed(key, allowed, sizeof(allowed));
		fprintf(out, "  %s.%s = ", key->group, key->name);
		if (sl_table_is_peer(key))
			sl_table_default(key, &conf->peer[0]);
		sl_value_print(key, sl_table_values_const(conf, key, 0), out);
		fprintf(out, "\n      %s (%s)\n", key->text, allowed);
	}
	free(conf);
}

void sl_conf_manual(FILE *out)
{
	struct sl_conf *conf = calloc(1, sizeof(*conf));
	sl_assert(conf != NULL);
	sl_conf_defaults(conf);
	for (size_t i = 0; i < SL_CONF_KEY_N; i++)
		if (sl_table_is_peer(&sl_conf_keys[i]))
			sl_table_default(&sl_conf_keys[i], &conf->peer[0]);
	fputs("# Configuration\n\nOne TOML file, named by `--config`; `--set group.key=value` "
	      "overrides one key. "
	      "Sizes are bytes or carry\nKiB, MiB, GiB, TiB; times carry ms, s, min, h, d. A "
	      "change counts at "
	      "SIGHUP (live) or at the next start\n(restart). This page, `conf/sluice.toml` and "
	      "`--help` are "
	      "made from `conf/params.def`.\n\n",
		out);
	for (size_t g = 0; g < sl_table_groups_n; g++) {
		const struct sl_table_group *group = &sl_table_groups[g];
		fprintf(out, group->is_peers ? "%s## [[%s]]\n\n" : "%s## [%s]\n\n",
			g > 0 ? "\n" : "", group->name);
		fprintf(out,
			"%s\n\n| key | default | allowed | change | meaning "
			"|\n|---|---|---|---|---|\n",
			group->text);
		for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
			const struct sl_conf_key *key = &sl_conf_keys[i];
			char allowed[160];
			if (strcmp(key->group, group->name) != 0)
				continue;
			sl_conf_allowed(key, allowed, sizeof(allowed));
			fprintf(out, "| `%s` | `", key->name);
			sl_value_print(key, sl_table_values_const(conf, key, 0), out);
			fprintf(out, "` | %s | %s | %s |\n", allowed,
				key->is_live ? "live" : "restart", key->text);
		}
	}
	free(conf);
}
