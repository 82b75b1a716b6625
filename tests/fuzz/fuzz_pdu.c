/* Any bytes, in any split: the decoder tells the same story as in one piece, and the trace's rules
 * hold (support/pdu_trace.h). The first byte chooses the Maximum Length and how the rest is cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pdu_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const uint32_t maxima[] = {0, 7, 4096, UINT32_MAX};
	if (n < 2)
		return 0;
	uint32_t max_len = maxima[bytes[0] & 3];
	size_t stride = (size_t)(bytes[0] >> 2) + 1;
	bytes++;
	n--;
	size_t cuts_n = (n - 1) / stride;
	size_t *cuts = calloc(cuts_n + 1, sizeof(*cuts));
	sl_assert(cuts != NULL);
	for (size_t i = 0; i < cuts_n; i++)
		cuts[i] = (i + 1) * stride;
	char *whole = trace_run(bytes, n, max_len, NULL, 0);
	char *cut = trace_run(bytes, n, max_len, cuts, cuts_n);
	sl_assert(strcmp(whole, cut) == 0);
	free(whole);
	free(cut);
	free(cuts);
	return 0;
}
