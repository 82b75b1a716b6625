/* The list of everything that is wrong with a configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/value.h"

#include <stdarg.h>

void sl_conf_complain(struct sl_conf_errors *errors, const char *name,
	const struct sl_conf_pos *pos, const char *fmt, ...)
{
	if (errors->n == SL_CONF_ERRORS_MAX) {
		errors->more_n++;
		return;
	}
	struct sl_conf_error *e = &errors->items[errors->n++];
	int len = 0;
	if (pos != NULL && pos->line > 0)
		len = snprintf(
			e->text, sizeof(e->text), "%.120s:%u:%u: ", name, pos->line, pos->column);
	else
		len = snprintf(e->text, sizeof(e->text),
			"%.120s: ", pos != NULL && pos->is_set ? "--set" : name);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text + len, sizeof(e->text) - (size_t)len, fmt, ap);
	va_end(ap);
	for (char *p = e->text; *p != '\0'; p++) /* a file may hold what a terminal obeys */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

void sl_conf_errors_print(const struct sl_conf_errors *errors, FILE *out)
{
	for (size_t i = 0; i < errors->n; i++)
		fprintf(out, "%s\n", errors->items[i].text);
	if (errors->more_n > 0)
		fprintf(out, "and %zu more\n", errors->more_n);
}
