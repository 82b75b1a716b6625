/* Command sets as a peer would send them, and elements by hand where a peer would not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "core/wbuf.h"

#define T_CT_CLASS "1.2.840.10008.5.1.4.1.1.2"
#define T_VERIFY   "1.2.840.10008.1.1"

/* One element of group 0000 with any value and any stated length. */
static inline void t_el(struct sl_wbuf *w, uint16_t element, uint32_t len, const void *v, size_t n)
{
	sl_wbuf_le16(w, 0x0000);
	sl_wbuf_le16(w, element);
	sl_wbuf_le32(w, len);
	sl_wbuf_put(w, v, n);
}

static inline void t_us(struct sl_wbuf *w, uint16_t element, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
	t_el(w, element, 2, b, 2);
}

/* Text padded to even length with NUL. */
static inline void t_ui(struct sl_wbuf *w, uint16_t element, const char *s)
{
	size_t n = strlen(s);
	t_el(w, element, (uint32_t)(n + (n & 1)), s, n + (n & 1));
}

/* Room for (0000,0000); t_end() fills it in. */
static inline void t_begin(struct sl_wbuf *w)
{
	t_el(w, 0x0000, 4, "\0\0\0\0", 4);
}

static inline void t_end(struct sl_wbuf *w)
{
	sl_wbuf_patch_le32(w, 8, (uint32_t)(w->len - 12));
}

/* C-STORE-RQ; instance NULL leaves (0000,1000) out. */
static inline void t_store_rq(
	struct sl_wbuf *w, uint16_t message_id, const char *instance, uint16_t data_set_type)
{
	t_begin(w);
	t_ui(w, 0x0002, T_CT_CLASS);
	t_us(w, 0x0100, 0x0001);
	t_us(w, 0x0110, message_id);
	t_us(w, 0x0700, 0);
	t_us(w, 0x0800, data_set_type);
	if (instance != NULL)
		t_ui(w, 0x1000, instance);
	t_end(w);
}

static inline void t_echo_rq(struct sl_wbuf *w, uint16_t message_id)
{
	t_begin(w);
	t_ui(w, 0x0002, T_VERIFY);
	t_us(w, 0x0100, 0x0030);
	t_us(w, 0x0110, message_id);
	t_us(w, 0x0800, 0x0101);
	t_end(w);
}
