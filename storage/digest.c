/* The one file that includes xxhash.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/digest.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t as a complete type, and XXH3_INITSTATE */
#include <xxhash.h>

_Static_assert(sizeof(struct sl_digest) >= sizeof(XXH3_state_t), "room for the state");
_Static_assert(sizeof(XXH128_canonical_t) == SL_DIGEST_LEN, "canonical digest");

static XXH3_state_t *state_of(struct sl_digest *g)
{
	return (XXH3_state_t *)(void *)g->state;
}

void sl_digest_init(struct sl_digest *g)
{
	XXH3_INITSTATE(state_of(g));
	if (XXH3_128bits_reset(state_of(g)) != XXH_OK)
		sl_assert(false);
}

void sl_digest_feed(struct sl_digest *g, const void *bytes, size_t n)
{
	if (n > 0 && XXH3_128bits_update(state_of(g), bytes, n) != XXH_OK)
		sl_assert(false);
}

void sl_digest_end(const struct sl_digest *g, uint8_t out[SL_DIGEST_LEN])
{
	XXH128_canonical_t c;
	XXH128_canonicalFromHash(
		&c, XXH3_128bits_digest((const XXH3_state_t *)(const void *)g->state));
	memcpy(out, c.digest, SL_DIGEST_LEN);
}

uint64_t sl_digest_short(const void *bytes, size_t n)
{
	return XXH3_64bits(bytes, n);
}
