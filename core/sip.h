/* SipHash-2-4: a keyed hash of short strings, so that a log can name the same UID twice without
 * telling which one it is. Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/base.h"

#define SL_SIP_KEY_LEN 16 /* bytes */

uint64_t sl_sip_hash(const uint8_t key[SL_SIP_KEY_LEN], const void *bytes, size_t n);
