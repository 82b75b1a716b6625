/* XXH3-128 of a data set, streamed; the digest in the file header (DESIGN 2), in canonical form.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/p10.h"

#define SL_DIGEST_LEN SL_PROOF_DIGEST_LEN /* bytes */

struct sl_digest {
	_Alignas(64) unsigned char state[640]; /* XXH3_state_t; the size is asserted in digest.c */
};

void sl_digest_init(struct sl_digest *g);
void sl_digest_feed(struct sl_digest *g, const void *bytes, size_t n);
void sl_digest_end(const struct sl_digest *g, uint8_t out[SL_DIGEST_LEN]);

/* 64 bits of XXH3 over a few bytes. */
uint64_t sl_digest_short(const void *bytes, size_t n);
