/* The one way to stop on our own mistake: say where, then abort.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void sl_assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "sluice: programming error at %s:%d: %s\n", file, line, expr);
	abort();
}
