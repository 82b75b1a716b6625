/* Messages: the input is a list of slices (context, flags, length, bytes). Data comes out as it went
 * in, in order and borrowed, and the assembler's state agrees with what it told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct sl_msg msg;
	struct sl_cur in = sl_cur_of(bytes, n);
	bool data_open = false, is_begin = true;
	uint64_t told = 0;
	sl_msg_init(&msg);
	sl_msg_accept(&msg, 1);
	sl_msg_accept(&msg, 3);
	while (sl_cur_left(&in) >= 3) {
		struct sl_pdu_pdv slice = {.pcid = sl_cur_u8(&in) & 7, .fragment_begin = is_begin};
		uint8_t flags = sl_cur_u8(&in);
		slice.is_command = (flags & 1) != 0;
		slice.is_last = (flags & 2) != 0;
		slice.fragment_end = is_begin = (flags & 4) != 0;
		slice.len = sl_cur_u8(&in);
		slice.len = (uint32_t)sl_min(slice.len, sl_cur_left(&in));
		slice.p = sl_cur_take(&in, slice.len);
		struct sl_msg_ev ev = {0};
		enum sl_status st = sl_msg_next(&msg, &slice, &ev);
		if (st == SL_E_PDU) {
			sl_assert(!sl_msg_is_open(&msg) && msg.diag.text[0] != '\0');
			continue;
		}
		if (st != SL_OK)
			continue;
		if (ev.type == SL_MSG_EV_COMMAND) {
			sl_assert(!data_open && slice.is_command);
			data_open = ev.has_data_set;
			told = 0;
			continue;
		}
		sl_assert(data_open && ev.p == slice.p && ev.len == slice.len);
		told += ev.len;
		sl_assert(msg.data_set_len == told);
		data_open = !ev.is_end;
	}
	return 0;
}
