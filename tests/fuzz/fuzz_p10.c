/* Part 10 headers: any bytes; one that passes as ours is the one we would write.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/p10.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct sl_p10 h;
	size_t header_len = 0;
	enum sl_status st = sl_p10_decode(bytes, n, &h, &header_len);
	sl_assert(st == SL_OK || h.proof.layout == 0);
	if (st == SL_OK || st == SL_E_NOTFOUND)
		sl_assert(header_len > 132 && header_len <= n && h.transfer_syntax_uid.len > 0);
	return 0;
}
