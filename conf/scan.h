/* A look over a configuration file before the TOML parser sees it. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"

/* False with *pos and *why (a static string) at the first line longer than SL_CONF_LINE_MAX, or the
 * first byte beyond ASCII outside of strings and comments: TOML allows none there, and toml++ 3.3
 * runs into undefined behaviour on some. What is no TOML at all is left to the parser. */
SL_MUST bool sl_scan_text(const char *text, size_t n, struct sl_conf_pos *pos, const char **why);
