/* Part 10 headers: any bytes; what one says can be written again, and reads back the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/p10.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* With these values we would write what reads back the same; a bit of it changed does not pass. */
static void written(struct sl_p10 h)
{
	uint8_t bytes[SL_P10_HEADER_MAX + 2];
	struct sl_wbuf w = sl_wbuf_of(bytes, SL_P10_HEADER_MAX);
	struct sl_p10 again;
	size_t header_len = 0;
	if (h.sop_class_uid.len == 0 || h.sop_instance_uid.len == 0)
		return;
	h.proof.layout = SL_PROOF_LAYOUT;
	sl_p10_encode(&w, &h);
	sl_assert(!w.bad && w.len == sl_p10_header_len(&h));
	sl_assert(sl_p10_decode(bytes, w.len, &again, &header_len) == SL_OK && header_len == w.len);
	sl_assert(sl_uid_equal(&h.sop_instance_uid, &again.sop_instance_uid));
	sl_assert(sl_uid_equal(&h.transfer_syntax_uid, &again.transfer_syntax_uid));
	sl_assert(h.proof.seq == again.proof.seq && h.proof.dataset_len == again.proof.dataset_len);
	bytes[w.len - 30] ^= 1;
	sl_assert(sl_p10_decode(bytes, w.len, &again, &header_len) != SL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct sl_p10 h;
	size_t header_len = 0;
	enum sl_status st = sl_p10_decode(bytes, n, &h, &header_len);
	sl_assert(st == SL_OK || h.proof.layout == 0);
	if (st != SL_OK && st != SL_E_NOTFOUND)
		return 0;
	sl_assert(header_len > 132 && header_len <= n && h.transfer_syntax_uid.len > 0);
	written(h);
	return 0;
}
