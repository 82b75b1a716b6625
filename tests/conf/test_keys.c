/* Every row of the table: its default, its smallest, its largest, and one step beyond.
 *
 * The tests walk sl_conf_keys, so a new key is tested the moment it is written down.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/conf.h"

#include <inttypes.h>

#include "conf/unit.h"
#include "conf/value.h"

static bool is_number(const struct sl_conf_key *key)
{
	return key->kind == SL_CONF_COUNT || key->kind == SL_CONF_SIZE ||
	       key->kind == SL_CONF_RATE || key->kind == SL_CONF_TIME;
}

/* One key of a configuration that is otherwise good. True when it was taken. */
static bool try_value(struct conf_fixture *f, const struct sl_conf_key *key, const char *value)
{
	char text[8192];
	struct sl_value_fault fault;
	struct sl_toml_error error;
	size_t n = 0;
	int len = snprintf(text, sizeof(text), "v = %s\n", value);
	assert_true(len > 0 && (size_t)len < sizeof(text));
	struct sl_toml *doc = sl_toml_parse(text, (size_t)len, &error);
	assert_non_null(doc);
	memset(&fault, 0, sizeof(fault));
	bool is_taken = sl_value_take(
		key, sl_table_values(&f->conf, key, 0), &sl_toml_entries(doc, &n)->value, &fault);
	sl_toml_free(doc);
	if (!is_taken) { /* a refusal names the place and says what to write */
		assert_int_equal(fault.line, 1);
		assert_true(fault.column >= 5);
		assert_true(strstr(fault.text, "allowed") != NULL ||
			    strstr(fault.text, "write ") != NULL);
	}
	return is_taken;
}

static uint64_t number_of(struct conf_fixture *f, const struct sl_conf_key *key)
{
	const char *values = sl_table_values(&f->conf, key, 0);
	uint64_t v;
	memcpy(&v, values + key->offset, sizeof(v));
	return v;
}

/* A number as the file would have it; times need a unit. */
static const char *as_text(const struct sl_conf_key *key, uint64_t v, char buf[64])
{
	if (key->kind == SL_CONF_TIME)
		snprintf(buf, 64, "\"%" PRIu64 "ms\"", v);
	else if (v > INT64_MAX)
		snprintf(buf, 64, "\"%" PRIu64 "\"", v);
	else
		snprintf(buf, 64, "%" PRIu64, v);
	return buf;
}

static void numbers_take_their_limits_and_nothing_beyond(void **state)
{
	struct conf_fixture *f = *state;
	char buf[64];
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		if (!is_number(key))
			continue;
		assert_true(key->min <= key->def_number && key->def_number <= key->max);
		assert_true(try_value(f, key, as_text(key, key->min, buf)));
		assert_true(number_of(f, key) == key->min);
		assert_true(try_value(f, key, as_text(key, key->max, buf)));
		assert_true(number_of(f, key) == key->max);
		assert_false(try_value(f, key, as_text(key, key->max + 1, buf)));
		if (key->min > 0)
			assert_false(try_value(f, key, as_text(key, key->min - 1, buf)));
		assert_false(try_value(f, key, "-1"));
		assert_false(try_value(f, key, "true"));
		assert_false(try_value(f, key, "1.5"));
		assert_false(try_value(f, key, "[1]"));
		assert_false(try_value(f, key, "\"5 apples\""));
		assert_true(number_of(f, key) == key->max); /* refused values change nothing */
	}
}

static void flags_take_true_and_false_only(void **state)
{
	struct conf_fixture *f = *state;
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		if (key->kind != SL_CONF_FLAG)
			continue;
		const char *values = sl_table_values(&f->conf, key, 0);
		assert_true(try_value(f, key, "true"));
		assert_int_equal(values[key->offset], 1);
		assert_true(try_value(f, key, "false"));
		assert_int_equal(values[key->offset], 0);
		assert_false(try_value(f, key, "1"));
		assert_false(try_value(f, key, "\"true\""));
	}
}

static void choices_take_every_word_that_is_built(void **state)
{
	struct conf_fixture *f = *state;
	char buf[128];
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		bool is_many = key->kind == SL_CONF_MANY;
		if (key->kind != SL_CONF_ONE && !is_many)
			continue;
		const char *values = sl_table_values(&f->conf, key, 0);
		for (uint32_t c = 0; c < key->choices_n; c++) {
			uint32_t got;
			snprintf(buf, sizeof(buf), "\"%s\"", key->choices[c].word);
			assert_int_equal(try_value(f, key, buf), key->choices[c].not_yet == NULL);
			memcpy(&got, values + key->offset, sizeof(got));
			if (key->choices[c].not_yet == NULL)
				assert_int_equal(got, is_many ? 1U << c : c);
		}
		assert_false(try_value(f, key, "\"\""));
		assert_false(try_value(f, key, "\"Fsync\""));
		assert_false(try_value(f, key, "0"));
		assert_int_equal(try_value(f, key, "[]"), is_many);
	}
}

/* A good value of a text kind with `n` characters (n of its own choosing where that is fixed). */
static void text_of(enum sl_conf_kind kind, size_t n, char *buf)
{
	const char *fixed = kind == SL_CONF_ADDR  ? "127.0.0.1"
			    : kind == SL_CONF_NET ? "10.0.0.0/8"
						  : NULL;
	if (fixed != NULL) {
		memcpy(buf, fixed, strlen(fixed) + 1);
		return;
	}
	memset(buf, kind == SL_CONF_SYNTAX ? '1' : 'A', n);
	buf[n] = '\0';
}

static void texts_take_their_longest_and_nothing_longer(void **state)
{
	struct conf_fixture *f = *state;
	static char text[6000], value[6100];
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		bool is_text = key->kind >= SL_CONF_AE && key->kind <= SL_CONF_SYNTAX;
		if (!is_text || key->kind == SL_CONF_ADDR || key->kind == SL_CONF_NET)
			continue;
		text_of(key->kind, key->size - 1, text);
		snprintf(value, sizeof(value), "\"%s\"", text);
		assert_true(try_value(f, key, value));
		text_of(key->kind, key->size, text);
		snprintf(value, sizeof(value), "\"%s\"", text);
		assert_false(try_value(f, key, value));
		assert_false(try_value(f, key, "\"a\\u0000b\""));
		assert_false(try_value(f, key, "\"a\\u0007b\""));
		assert_false(try_value(f, key, "1"));
	}
}

static void lists_take_as_many_as_there_are_places(void **state)
{
	struct conf_fixture *f = *state;
	static char value[8000], text[128];
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		if (key->list_n == 0)
			continue;
		for (size_t n = 0; n <= key->list_n + 1; n++) {
			size_t got, len = 0;
			text_of(key->kind, 3, text);
			len += (size_t)snprintf(value, sizeof(value), "[");
			for (size_t k = 0; k < n; k++)
				len += (size_t)snprintf(
					value + len, sizeof(value) - len, "\"%s\",", text);
			snprintf(value + len, sizeof(value) - len, "]");
			assert_int_equal(try_value(f, key, value), n <= key->list_n);
			memcpy(&got, (char *)sl_table_values(&f->conf, key, 0) + key->list_n_offset,
				sizeof(got));
			assert_int_equal(got, sl_min(n, key->list_n));
		}
		snprintf(value, sizeof(value), "\"%s\"", text);
		assert_true(try_value(f, key, value)); /* one alone is a list of one */
		assert_false(try_value(f, key, "[1]"));
		assert_false(try_value(f, key, "[[\"x\"]]"));
		assert_false(try_value(f, key, "[\"\"]"));
	}
}

static void marks_take_shares_and_free_space(void **state)
{
	struct conf_fixture *f = *state;
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		if (key->kind != SL_CONF_MARK)
			continue;
		assert_true(try_value(f, key, "\"50%\""));
		assert_true(try_value(f, key, "\"free 1TiB\""));
		assert_false(try_value(f, key, "50"));
		assert_false(try_value(f, key, "0.5"));
		assert_false(try_value(f, key, "\"101%\""));
		assert_false(try_value(f, key, "\"50%\\u0000\""));
	}
}

static void ae_titles_lose_outer_spaces_and_take_no_backslash(void **state)
{
	struct conf_fixture *f = *state;
	const struct sl_conf_key *key = &sl_conf_keys[SL_CONF_dicom_ae_title];
	assert_true(try_value(f, key, "\"  MY NODE        \""));
	assert_string_equal(f->conf.dicom.ae_title, "MY NODE");
	assert_false(try_value(f, key, "\"\""));
	assert_false(try_value(f, key, "\"    \""));
	assert_false(try_value(f, key, "'A\\B'"));
	assert_false(try_value(f, key, "\"\\u00c4\""));
	assert_string_equal(f->conf.dicom.ae_title, "MY NODE");
}

static void every_key_is_explained_and_named_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
		const struct sl_conf_key *key = &sl_conf_keys[i];
		char allowed[160] = "";
		sl_conf_allowed(key, allowed, sizeof(allowed));
		assert_true(strlen(allowed) > 0 && strlen(allowed) < sizeof(allowed) - 1);
		assert_true(strlen(key->text) > 0 && key->text[strlen(key->text) - 1] == '.');
		assert_ptr_equal(sl_table_find(key->group, strlen(key->group), key->name), key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(numbers_take_their_limits_and_nothing_beyond),
		CONF_TEST(flags_take_true_and_false_only),
		CONF_TEST(choices_take_every_word_that_is_built),
		CONF_TEST(texts_take_their_longest_and_nothing_longer),
		CONF_TEST(lists_take_as_many_as_there_are_places),
		CONF_TEST(marks_take_shares_and_free_space),
		CONF_TEST(ae_titles_lose_outer_spaces_and_take_no_backslash),
		CONF_TEST(every_key_is_explained_and_named_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
