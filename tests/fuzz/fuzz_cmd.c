/* Command sets: any bytes, and what was understood survives being answered.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/cmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct sl_cmd cmd, again;
	struct sl_diag d = {0};
	uint8_t rsp_bytes[SL_CMD_RSP_MAX];
	enum sl_status st = sl_cmd_decode(&cmd, bytes, n, &d);
	sl_assert(st == SL_OK || (d.status == st && d.text[0] != '\0'));
	sl_assert((cmd.has & cmd.unusable) == 0);
	for (unsigned bit = 0; bit < 32; bit++)
		sl_assert((cmd.quirks >> bit & 1) == 0 || strcmp(sl_cmd_quirk_name(bit), "?") != 0);
	if (st == SL_E_LIMIT || !sl_cmd_is_answerable(&cmd))
		return 0;
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(&cmd, sl_cmd_fault_status(&cmd), d.text);
	struct sl_wbuf w = sl_wbuf_of(rsp_bytes, sizeof(rsp_bytes));
	sl_cmd_encode_rsp(&w, &rsp);
	sl_assert(!w.bad);
	sl_assert(sl_cmd_decode(&again, w.base, w.len, NULL) == SL_OK);
	sl_assert(again.quirks == 0 && again.responded_to == cmd.message_id);
	return 0;
}
