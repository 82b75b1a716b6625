/* Text of a data set as UTF-8, for the index.
 *
 * The file keeps the bytes as they came; the index keeps them too, with their Specific Character Set,
 * and gives them out through here. ASCII, ISO_IR 192 and ISO_IR 100 are converted; any other byte
 * outside ASCII becomes U+FFFD: never a failure, never a byte that is not UTF-8.
 * PS3.3 C.12.1.1.2, PS3.5 6.1. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_TEXT_GROWTH 3 /* bytes out for each byte in, at most */

/* Converts n bytes of a value. Pure.
 *
 * charset  value of (0008,0005) as sent, trimmed, n 0 where it is absent
 * out      at most cap bytes, cut before a character that does not fit; not terminated
 *
 * Returns the bytes written. NUL becomes U+FFFD, so that it can separate keys. */
size_t sl_text_to_utf8(
	char *out, size_t cap, const char *bytes, size_t n, const char *charset, size_t charset_n);

/* True when the value reads the same in every character set DICOM knows: printable ASCII without the
 * two places that ISO_IR 13 gives to Yen and overline, and without the escapes of ISO 2022. */
bool sl_text_is_plain(const char *bytes, size_t n);
