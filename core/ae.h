/* An application entity title as a value: PS3.5 section 6.2 (VR AE), PS3.8 9.3.2.
 *
 * Peers pad the 16 bytes on the wire with spaces, some with NULs; neither means anything, so titles
 * compare after trimming. A title is shown in logs, never part of a path.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

#define SL_AE_MAX 16 /* characters, and the size of the field on the wire */

struct sl_ae {
	uint8_t len;	       /* 0 = absent */
	char s[SL_AE_MAX + 1]; /* terminated; bytes past len are 0 */
};

/* Trims spaces and NULs at both ends, then checks: 1-16 characters of the default repertoire
 * without control characters and backslash.
 *
 * bytes  the 16 bytes of the wire field, or a string from the configuration
 *
 * Returns SL_OK; SL_E_NOTFOUND when nothing is left (all spaces: "shall not be used");
 * SL_E_UNSUPPORTED when a character or the length is not allowed. out->len is 0 unless SL_OK. */
SL_MUST enum sl_status sl_ae_parse(struct sl_ae *out, const void *bytes, size_t n);

/* Case counts (PS3.5: AE has no case folding). */
bool sl_ae_equal(const struct sl_ae *a, const struct sl_ae *b);

/* The 16 bytes of a PDU's field: padded with spaces. */
void sl_ae_encode(const struct sl_ae *ae, uint8_t field[SL_AE_MAX]);

/* From a literal of our own; asserts that it parses. */
struct sl_ae sl_ae_of(const char *literal);
