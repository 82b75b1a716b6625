/* The one way a string from a peer reaches a log line, an error text or a terminal.
 *
 * Bytes outside 0x20-0x7E, the quote and the backslash become \xHH, so a peer can neither begin a line
 * of its own, move the cursor, end a quoted value nor forge an escape. Pure, bounded, one pass.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_ESC_ID_MAX   64  /* bytes shown of an AE title, a UID, a version name */
#define SL_ESC_TEXT_MAX 160 /* bytes shown of any other text of a peer */
#define SL_ESC_CAP(n)   (4 * (size_t)(n) + 3) /* room for n bytes at their worst, mark and NUL */

/* Writes the first `limit` of n bytes, escaped, then ".." if there were more or they did not fit in
 * cap (which counts the NUL; at least 3). Never cuts inside an escape; always terminates.
 * Returns the length without the NUL. */
size_t sl_esc_put(char *out, size_t cap, const void *bytes, size_t n, size_t limit);
