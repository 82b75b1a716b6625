/* Configuration files: any bytes; what was accepted prints to what is accepted, the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Freed by the caller. */
static char *printed(const struct sl_conf *conf, size_t *n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, n);
	sl_assert(out != NULL);
	sl_conf_print(conf, out);
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct sl_conf conf;
	static struct sl_conf_errors errors;
	size_t first_n = 0, again_n = 0;
	memset(&errors, 0, sizeof(errors));
	enum sl_status st = sl_conf_parse(&conf, "f", (const char *)bytes, n, &errors);
	sl_assert((st == SL_OK) == (errors.n == 0));
	if (st != SL_OK)
		return 0;
	char *first = printed(&conf, &first_n);
	sl_assert(sl_conf_parse(&conf, "f", first, first_n, &errors) == SL_OK);
	char *again = printed(&conf, &again_n);
	sl_assert(strcmp(first, again) == 0);
	free(first);
	free(again);
	return 0;
}
