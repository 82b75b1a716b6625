/* Numbers with units, addresses and networks, from text and to text. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"

#define SL_UNIT_TEXT_MAX 32 /* room for any text made here but a network's */
#define SL_UNIT_NET_MAX  (SL_CONF_ADDR_MAX + 4)

/* "1MiB", "20 GiB", "65536", "1MB" (decimal) into bytes. False when it is none or does not fit. */
SL_MUST bool sl_unit_size(const char *text, uint64_t *bytes);

/* "250ms", "30s", "5min", "12h", "7d" into ms. A bare number is none, except 0. */
SL_MUST bool sl_unit_time(const char *text, uint64_t *ms);

/* "75%", "97.5%" or "free 20GiB". */
SL_MUST bool sl_unit_mark(const char *text, struct sl_conf_mark *mark);

/* "10.0.0.0/8", "192.168.1.7", "fd00::/8". False with *why where something is wrong. */
SL_MUST bool sl_unit_net(const char *text, struct sl_conf_net *net, const char **why);

/* An IPv4 or IPv6 address; is_loopback may be NULL. */
SL_MUST bool sl_unit_addr(const char *text, bool *is_loopback);

/* The shortest exact text, in binary units; what the parsers above read back as the same value. */
void sl_unit_size_text(uint64_t bytes, char out[SL_UNIT_TEXT_MAX]);
void sl_unit_time_text(uint64_t ms, char out[SL_UNIT_TEXT_MAX]);
void sl_unit_mark_text(const struct sl_conf_mark *mark, char out[SL_UNIT_TEXT_MAX]);
void sl_unit_net_text(const struct sl_conf_net *net, char out[SL_UNIT_NET_MAX]);
