/* What even the floor has to understand: which contexts are offered, where an object ends, its message ID.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/bench/floor.h"

size_t sl_floor_accept(uint8_t *pdu, size_t n)
{
	static const uint8_t user[] = {0x50, 0, 0, 8, 0x51, 0, 0, 4, 0, 2, 0, 0}; /* 128 KiB */
	size_t out = 74;
	for (size_t i = 74, len; i + 4 <= n; i += 4 + len) {
		uint8_t *item = pdu + i,
			*syntax = item + 12 + item[11]; /* behind the abstract one */
		len = (size_t)(item[2] << 8 | item[3]);
		if (item[0] == 0x10) {
			out += 4 + len;
		} else if (item[0] == 0x20) {
			const uint8_t head[] = {
				0x21, 0, 0, (uint8_t)(8 + syntax[3]), item[4], 0, 0, 0};
			memmove(pdu + out + 8, syntax, 4u + syntax[3]);
			memcpy(pdu + out, head, 8);
			out += 12u + syntax[3];
		}
	}
	memcpy(pdu + out, user, sizeof(user));
	out += sizeof(user);
	memcpy(pdu, (const uint8_t[]){2, 0, 0, 0, (uint8_t)((out - 6) >> 8), (uint8_t)(out - 6)},
		6);
	return out;
}

bool sl_floor_ends_object(struct sl_floor_seat *s, const uint8_t *p, const uint8_t *end)
{
	bool is_end = false;
	for (; end - p >= 6 && sl_floor_be32(p) <= (uint32_t)(end - p - 4);
		p += 4 + sl_floor_be32(p)) {
		is_end = p[5] == 2; /* PS3.8 E.2: data, last fragment */
		for (const uint8_t *e = p + 6; p[5] == 3 && end - e >= 10; e += 8 + e[4])
			if (e[2] == 0x10 && e[3] == 0x01) /* (0000,0110) */
				memcpy(s->message_id, e + 8, 2);
		s->pcid = p[4];
	}
	return is_end;
}

void sl_floor_store_rsp(const struct sl_floor_seat *s, uint8_t rsp[SL_FLOOR_RSP_LEN])
{
	/* clang-format off */
	static const uint8_t fixed[SL_FLOOR_RSP_LEN] = {
		4, 0, 0, 0, 0, 58,
		0, 0, 0, 54, 0, 3,                    /* [10] context */
		0, 0, 0, 0, 4, 0, 0, 0, 40, 0, 0, 0,
		0, 0, 0, 1, 2, 0, 0, 0, 0x01, 0x80,
		0, 0, 0x20, 1, 2, 0, 0, 0, 0, 0,      /* [42] message ID */
		0, 0, 0, 8, 2, 0, 0, 0, 0x01, 0x01,
		0, 0, 0, 9, 2, 0, 0, 0, 0x00, 0x00,
	};
	/* clang-format on */
	memcpy(rsp, fixed, sizeof(fixed));
	rsp[10] = s->pcid;
	memcpy(rsp + 42, s->message_id, sizeof(s->message_id));
}

const uint8_t sl_floor_release_rp[SL_FLOOR_RP_LEN] = {6, 0, 0, 0, 0, 4};
