/* Configurations in tests: one of each on the heap, text in, errors and text out.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "support/t.h"

#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

struct conf_fixture {
	struct sl_conf conf, other;
	struct sl_conf_errors errors;
	char *text; /* what was printed last */
	size_t text_len;
};

static inline int conf_setup(void **state)
{
	struct conf_fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	sl_conf_defaults(&f->conf);
	*state = f;
	return 0;
}

static inline int conf_teardown(void **state)
{
	struct conf_fixture *f = *state;
	free(f->text);
	free(f);
	return 0;
}

static inline enum sl_status conf_parse(struct conf_fixture *f, const char *text)
{
	memset(&f->errors, 0, sizeof(f->errors));
	return sl_conf_parse(&f->conf, "f", text, strlen(text), &f->errors);
}

/* group.key=value on the defaults. */
static inline enum sl_status conf_set(struct conf_fixture *f, const char *assignment)
{
	memset(&f->errors, 0, sizeof(f->errors));
	return sl_conf_set(&f->conf, assignment, &f->errors);
}

static inline void conf_assert_error(const struct conf_fixture *f, size_t i, const char *want)
{
	assert_true(i < f->errors.n);
	assert_string_equal(f->errors.items[i].text, want);
}

/* What `print` writes; valid until the next call. */
static inline const char *conf_text(
	struct conf_fixture *f, void (*print)(const struct sl_conf *conf, FILE *out))
{
	free(f->text);
	FILE *out = open_memstream(&f->text, &f->text_len);
	assert_non_null(out);
	print(&f->conf, out);
	fclose(out);
	return f->text;
}

#define CONF_TEST(name) cmocka_unit_test_setup_teardown(name, conf_setup, conf_teardown)
