/* The gather list of one disk job. Fragments stay where the kernel put them; only crumbs move.
 *
 * Moving a crumb down is safe because the bytes between two fragments of one part are PDU and PDV
 * headers that the decoder has consumed already.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/part.h"

#include <string.h>

void sl_part_init(struct sl_part *p, struct iovec *iov, uint16_t iov_cap)
{
	sl_assert(iov_cap >= 1);
	memset(p, 0, sizeof(*p));
	sl_list_init(&p->node);
	p->iov = iov;
	p->iov_cap = iov_cap;
}

enum sl_status sl_part_hold(struct sl_part *p, struct sl_slab *s)
{
	if (p->bufs_n == SL_PART_BUFS)
		return SL_E_NOMEM;
	sl_slab_share(s);
	p->bufs[p->bufs_n++] = s;
	return SL_OK;
}

static bool is_inside(const struct sl_slab *s, const uint8_t *at, size_t n)
{
	return at >= s->base && n <= s->cap && (size_t)(at - s->base) <= s->cap - n;
}

/* The end of the last fragment, when that one lies in `s` and ends at or before `at`; else NULL. */
static uint8_t *tail_in(const struct sl_part *p, const struct sl_slab *s, const uint8_t *at)
{
	if (p->iov_n == 0)
		return NULL;
	const struct iovec *last = &p->iov[p->iov_n - 1];
	uint8_t *start = last->iov_base;
	if (!is_inside(s, start, last->iov_len) || start + last->iov_len > at)
		return NULL;
	return start + last->iov_len;
}

enum sl_status sl_part_add(struct sl_part *p, uint8_t *at, size_t n)
{
	sl_assert(p->bufs_n > 0);
	const struct sl_slab *s = p->bufs[p->bufs_n - 1];
	sl_assert(is_inside(s, at, n));
	if (n == 0)
		return SL_OK;
	uint8_t *tail = tail_in(p, s, at);
	bool is_crumb = n < SL_PART_MOVE && p->iov_n > p->iov_cap / 2;
	if (tail != NULL && (tail == at || is_crumb)) {
		if (tail != at)
			memmove(tail, at, n);
		p->iov[p->iov_n - 1].iov_len += n;
	} else if (p->iov_n < p->iov_cap) {
		p->iov[p->iov_n++] = (struct iovec){.iov_base = at, .iov_len = n};
	} else {
		return SL_E_NOMEM;
	}
	p->bytes += n;
	return SL_OK;
}

/* Nothing held, nothing listed. */
static void clear(struct sl_part *p)
{
	memset(p->bufs, 0, sizeof(p->bufs));
	p->bufs_n = 0;
	p->iov_n = 0;
	p->bytes = 0;
}

void sl_part_rehome(struct sl_part *p, struct iovec *iov, uint16_t iov_cap)
{
	sl_assert(p->iov_n <= iov_cap);
	memcpy(iov, p->iov, p->iov_n * sizeof(*iov));
	p->iov = iov;
	p->iov_cap = iov_cap;
}

void sl_part_release(struct sl_part *p)
{
	uint8_t n = p->bufs_n;
	struct sl_slab *bufs[SL_PART_BUFS];
	memcpy(bufs, p->bufs, sizeof(bufs));
	clear(p); /* first: who gets a buffer may have a part that goes with it */
	for (uint8_t i = 0; i < n; i++)
		sl_slab_put(bufs[i]);
}
