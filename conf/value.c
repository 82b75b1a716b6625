/* One value of the file into one field of an option struct, and back.
 *
 * A value is taken in two steps: into a copy of the right type, then into the field, so that a refused
 * value changes nothing. Every refusal says what would be allowed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum sl_value_form sl_value_form(enum sl_conf_kind kind)
{
	switch (kind) {
	case SL_CONF_FLAG:
		return SL_FORM_FLAG;
	case SL_CONF_COUNT:
	case SL_CONF_SIZE:
	case SL_CONF_RATE:
	case SL_CONF_TIME:
		return SL_FORM_NUMBER;
	case SL_CONF_MARK:
		return SL_FORM_MARK;
	case SL_CONF_ONE:
		return SL_FORM_ONE;
	case SL_CONF_MANY:
		return SL_FORM_MANY;
	case SL_CONF_AE:
	case SL_CONF_PATH:
	case SL_CONF_HOST:
	case SL_CONF_WORD:
	case SL_CONF_ADDR:
	case SL_CONF_NET:
	case SL_CONF_SYNTAX:
		break;
	}
	return SL_FORM_TEXT;
}

static const char *type_name(enum sl_toml_type type)
{
	static const char *const names[] = {"a string", "a number", "a fraction", "true or false",
		"a list", "a table", "a date or a list of lists"};
	return names[type];
}

/* Fills *fault and returns false, so that `return refuse(...)` reads well. */
static bool refuse(struct sl_value_fault *fault, const struct sl_toml_value *v, const char *fmt,
	...) SL_PRINTF(3, 4);
static bool refuse(
	struct sl_value_fault *fault, const struct sl_toml_value *v, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	fault->line = v->line;
	fault->column = v->column;
	return false;
}

static bool refuse_type(
	struct sl_value_fault *fault, const struct sl_toml_value *v, const struct sl_conf_key *key)
{
	char allowed[160];
	sl_conf_allowed(key, allowed, sizeof(allowed));
	return refuse(fault, v, "is %s; allowed: %s", type_name(v->type), allowed);
}

static bool refuse_text(
	struct sl_value_fault *fault, const struct sl_toml_value *v, const struct sl_conf_key *key)
{
	char allowed[160];
	sl_conf_allowed(key, allowed, sizeof(allowed));
	return refuse(fault, v, "\"%.*s\" is not allowed; allowed: %s", (int)sl_min(v->len, 60),
		v->text, allowed);
}

static bool take_number(const struct sl_conf_key *key, uint64_t *field,
	const struct sl_toml_value *v, struct sl_value_fault *fault)
{
	char allowed[160], shown[80];
	uint64_t number = 0;
	sl_conf_allowed(key, allowed, sizeof(allowed));
	if (v->type == SL_TOML_INT) {
		snprintf(shown, sizeof(shown), "%" PRId64, v->integer);
		if (v->integer < 0)
			return refuse(fault, v, "%s is out of range; allowed: %s", shown, allowed);
		if (key->kind == SL_CONF_TIME && v->integer != 0)
			return refuse(fault, v, "%s needs a unit, as in \"%ss\"; allowed: %s",
				shown, shown, allowed);
		number = (uint64_t)v->integer;
	} else if (v->type == SL_TOML_STRING && key->kind != SL_CONF_COUNT) {
		snprintf(shown, sizeof(shown), "\"%.*s\"", (int)sl_min(v->len, 60), v->text);
		bool is_read = key->kind == SL_CONF_TIME ? sl_unit_time(v->text, &number)
							 : sl_unit_size(v->text, &number);
		if (!is_read || strlen(v->text) != v->len)
			return refuse(fault, v, "%s is no %s; allowed: %s", shown,
				key->kind == SL_CONF_TIME ? "duration (ms, s, min, h, d)"
							  : "size (bytes, KiB, MiB, GiB, TiB)",
				allowed);
	} else {
		return refuse_type(fault, v, key);
	}
	if (number < key->min || number > key->max)
		return refuse(fault, v, "%s is out of range; allowed: %s", shown, allowed);
	*field = number;
	return true;
}

/* Which characters a text of a kind may hold. */
static bool is_char_ok(enum sl_conf_kind kind, char c)
{
	bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
	switch (kind) {
	case SL_CONF_AE: /* PS3.5 6.2: the default repertoire without backslash and controls */
		return c >= 0x20 && c <= 0x7e && c != '\\';
	case SL_CONF_PATH:
		return (unsigned char)c >= 0x20 && c != 0x7f;
	case SL_CONF_HOST:
		return is_alnum || strchr(".:-_", c) != NULL;
	case SL_CONF_WORD:
		return is_alnum || strchr(".-_ ", c) != NULL;
	case SL_CONF_SYNTAX:
		return (c >= '0' && c <= '9') || c == '.';
	default:
		return true; /* read by a parser of their own */
	}
}

/* One text into one place of key->size bytes (zeroed first). */
static bool take_text(const struct sl_conf_key *key, char *place, const struct sl_toml_value *v,
	struct sl_value_fault *fault)
{
	if (v->type != SL_TOML_STRING)
		return refuse_type(fault, v, key);
	const char *text = v->text;
	size_t len = v->len;
	if (key->kind == SL_CONF_AE) { /* outer spaces are not significant, PS3.8 9.3.2 */
		for (; len > 0 && *text == ' '; text++)
			len--;
		while (len > 0 && text[len - 1] == ' ')
			len--;
	}
	bool may_be_empty =
		key->kind == SL_CONF_PATH || key->kind == SL_CONF_HOST || key->kind == SL_CONF_WORD;
	if (len >= key->size || (len == 0 && !may_be_empty))
		return refuse_text(fault, v, key);
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0' || !is_char_ok(key->kind, text[i]))
			return refuse_text(fault, v, key);
	if (key->kind == SL_CONF_SYNTAX && (text[0] == '.' || text[len - 1] == '.'))
		return refuse_text(fault, v, key);
	if (key->kind == SL_CONF_ADDR && (strlen(text) != len || !sl_unit_addr(text, NULL)))
		return refuse_text(fault, v, key);
	memset(place, 0, key->size);
	memcpy(place, text, len);
	return true;
}

static bool take_net(const struct sl_conf_key *key, struct sl_conf_net *place,
	const struct sl_toml_value *v, struct sl_value_fault *fault)
{
	const char *why = NULL;
	struct sl_conf_net net;
	if (v->type != SL_TOML_STRING)
		return refuse_type(fault, v, key);
	if (strlen(v->text) != v->len || !sl_unit_net(v->text, &net, &why))
		return refuse(fault, v, "\"%.60s\" %s; write 10.0.0.0/8, 192.168.1.7 or fd00::/8",
			v->text, why == NULL ? "is no network" : why);
	*place = net;
	return true;
}

/* The number of a word, into *choice. */
static bool take_choice(const struct sl_conf_key *key, uint32_t *choice,
	const struct sl_toml_value *v, struct sl_value_fault *fault)
{
	if (v->type != SL_TOML_STRING)
		return refuse_type(fault, v, key);
	for (uint32_t i = 0; i < key->choices_n; i++) {
		const struct sl_conf_choice *c = &key->choices[i];
		if (strlen(c->word) != v->len || memcmp(c->word, v->text, v->len) != 0)
			continue;
		if (c->not_yet != NULL)
			return refuse(fault, v, "\"%s\": %s", c->word, c->not_yet);
		*choice = i;
		return true;
	}
	return refuse_text(fault, v, key);
}

static bool take_many(const struct sl_conf_key *key, uint32_t *field,
	const struct sl_toml_value *items, size_t n, struct sl_value_fault *fault)
{
	uint32_t mask = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t choice = 0;
		if (!take_choice(key, &choice, &items[i], fault))
			return false;
		mask |= 1U << choice;
	}
	*field = mask;
	return true;
}

static bool take_list(const struct sl_conf_key *key, char *values, const struct sl_toml_value *v,
	const struct sl_toml_value *items, size_t n, struct sl_value_fault *fault)
{
	/* Room for the longest list there is; take_text and take_net write one place each. */
	char places[16 * SL_CONF_SYNTAX_MAX + 16 * sizeof(struct sl_conf_net)] = {0};
	_Alignas(struct sl_conf_net) char one[SL_CONF_SYNTAX_MAX + sizeof(struct sl_conf_net)];
	sl_assert(key->list_n * key->size <= sizeof(places) && key->size <= sizeof(one));
	if (n > key->list_n)
		return refuse(fault, v, "has %zu values; at most %zu are allowed", n, key->list_n);
	for (size_t i = 0; i < n; i++) {
		bool is_taken =
			key->kind == SL_CONF_NET
				? take_net(key, (struct sl_conf_net *)(void *)one, &items[i], fault)
				: take_text(key, one, &items[i], fault);
		if (!is_taken)
			return false;
		memcpy(places + i * key->size, one, key->size);
	}
	memcpy(values + key->offset, places, key->list_n * key->size);
	*(size_t *)(void *)(values + key->list_n_offset) = n;
	return true;
}

bool sl_value_take(const struct sl_conf_key *key, void *values, const struct sl_toml_value *v,
	struct sl_value_fault *fault)
{
	void *field = (char *)values + key->offset;
	bool is_array = v->type == SL_TOML_ARRAY;
	const struct sl_toml_value *items =
		is_array ? v->items : v; /* one value is a list of one */
	size_t n = is_array ? v->items_n : 1;
	if (key->list_n > 0)
		return take_list(key, values, v, items, n, fault);
	switch (sl_value_form(key->kind)) {
	case SL_FORM_FLAG:
		if (v->type != SL_TOML_BOOL)
			return refuse_type(fault, v, key);
		*(bool *)field = v->is_true;
		return true;
	case SL_FORM_NUMBER:
		return take_number(key, field, v, fault);
	case SL_FORM_MARK: {
		struct sl_conf_mark mark;
		if (v->type != SL_TOML_STRING)
			return refuse_type(fault, v, key);
		if (strlen(v->text) != v->len || !sl_unit_mark(v->text, &mark))
			return refuse_text(fault, v, key);
		*(struct sl_conf_mark *)field = mark;
		return true;
	}
	case SL_FORM_ONE:
		return take_choice(key, field, v, fault);
	case SL_FORM_MANY:
		return take_many(key, field, items, n, fault);
	case SL_FORM_TEXT:
		return take_text(key, field, v, fault);
	}
	return false;
}

/* A TOML basic string. */
static void print_text(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void print_list(const struct sl_conf_key *key, const char *values, FILE *out)
{
	size_t n = 0;
	memcpy(&n, values + key->list_n_offset, sizeof(n));
	fputc('[', out);
	for (size_t i = 0; i < n; i++) {
		const char *place = values + key->offset + i * key->size;
		char net[SL_UNIT_NET_MAX];
		if (key->kind == SL_CONF_NET)
			sl_unit_net_text((const void *)place, net);
		fputs(i > 0 ? ", " : "", out);
		print_text(key->kind == SL_CONF_NET ? net : place, out);
	}
	fputc(']', out);
}

static void print_many(const struct sl_conf_key *key, uint32_t mask, FILE *out)
{
	const char *between = "";
	fputc('[', out);
	for (size_t i = 0; i < key->choices_n; i++) {
		if ((mask >> i & 1) == 0)
			continue;
		fprintf(out, "%s\"%s\"", between, key->choices[i].word);
		between = ", ";
	}
	fputc(']', out);
}

void sl_value_number_text(enum sl_conf_kind kind, uint64_t number, char out[SL_UNIT_TEXT_MAX])
{
	if (kind == SL_CONF_COUNT)
		snprintf(out, SL_UNIT_TEXT_MAX, "%" PRIu64, number);
	else if (kind == SL_CONF_TIME)
		sl_unit_time_text(number, out);
	else
		sl_unit_size_text(number, out);
}

void sl_value_print(const struct sl_conf_key *key, const void *values, FILE *out)
{
	const void *field = (const char *)values + key->offset;
	char text[SL_UNIT_TEXT_MAX];
	if (key->list_n > 0) {
		print_list(key, values, out);
		return;
	}
	switch (sl_value_form(key->kind)) {
	case SL_FORM_FLAG:
		fputs(*(const bool *)field ? "true" : "false", out);
		break;
	case SL_FORM_NUMBER:
		sl_value_number_text(key->kind, *(const uint64_t *)field, text);
		if (key->kind != SL_CONF_TIME && text[strspn(text, "0123456789")] == '\0')
			fputs(text, out); /* without a unit there is nothing to quote */
		else
			print_text(text, out);
		break;
	case SL_FORM_MARK:
		sl_unit_mark_text(field, text);
		print_text(text, out);
		break;
	case SL_FORM_ONE:
		print_text(key->choices[*(const uint32_t *)field].word, out);
		break;
	case SL_FORM_MANY:
		print_many(key, *(const uint32_t *)field, out);
		break;
	case SL_FORM_TEXT:
		print_text(field, out);
		break;
	}
}

bool sl_value_equal(const struct sl_conf_key *key, const void *a, const void *b)
{
	const char *x = a, *y = b;
	size_t places = key->list_n > 0 ? key->list_n : 1;
	if (key->list_n > 0 &&
		memcmp(x + key->list_n_offset, y + key->list_n_offset, sizeof(size_t)) != 0)
		return false;
	if (key->kind == SL_CONF_MARK) { /* the one type with padding */
		char tx[SL_UNIT_TEXT_MAX], ty[SL_UNIT_TEXT_MAX];
		sl_unit_mark_text((const void *)(x + key->offset), tx);
		sl_unit_mark_text((const void *)(y + key->offset), ty);
		return strcmp(tx, ty) == 0;
	}
	return memcmp(x + key->offset, y + key->offset, places * key->size) == 0;
}
