/* The bytes of marks. Little endian; the checksum is XXH3-64 of what stands before it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/rekeep_mark.h"

#include <string.h>

#include "storage/scan.h"

enum { VERSION = 1, LEN_MIN = 4 + 1 + 2 + 4 + 8 };

static const char magic[8] = "SLUICEKP";

int sl_rekeep_fan_no(const char *fan)
{
	static const char digits[] = "0123456789abcdef";
	const char *high = fan[0] != '\0' ? strchr(digits, fan[0]) : NULL;
	const char *low = high != NULL && fan[1] != '\0' ? strchr(digits, fan[1]) : NULL;
	return low != NULL && fan[2] == '\0' ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static void put_check(struct sl_wbuf *w)
{
	sl_wbuf_le64(w, sl_digest_short(w->base, w->len));
}

void sl_rekeep_mark_put_head(struct sl_wbuf *w, const uint8_t identity[SL_DIGEST_LEN])
{
	sl_wbuf_put(w, magic, sizeof(magic));
	sl_wbuf_le32(w, VERSION);
	sl_wbuf_put(w, identity, SL_DIGEST_LEN);
	put_check(w);
}

void sl_rekeep_mark_put(struct sl_wbuf *w, const struct sl_rekeep_mark *g)
{
	sl_wbuf_le32(w, 0);
	sl_wbuf_u8(w, g->lane);
	sl_wbuf_le16(w, g->fans_n);
	sl_wbuf_le32(w, g->runs_n);
	for (size_t i = 0; i < g->fans_n; i++) {
		sl_wbuf_u8(w, g->fans[i].no);
		sl_wbuf_le64(w, g->fans[i].sum);
	}
	for (size_t i = 0; i < g->runs_n; i++) {
		const struct sl_sorter_run *run = &g->runs[i];
		sl_wbuf_le64(w, run->off);
		sl_wbuf_le64(w, run->end);
		sl_wbuf_le64(w, run->n);
		sl_wbuf_put(w, run->digest, SL_DIGEST_LEN);
	}
	sl_wbuf_patch_le32(w, 0, (uint32_t)w->len + 8);
	put_check(w);
	sl_assert(!w->bad);
}

bool sl_rekeep_mark_get(struct sl_cur *c, struct sl_rekeep_mark *g)
{
	struct sl_cur at = *c;
	uint32_t len = sl_cur_le32(&at);
	at = *c;
	struct sl_cur in = sl_cur_sub(&at, len);
	if (at.bad || len < LEN_MIN)
		return false;
	struct sl_cur sum = sl_cur_of(in.p + len - 8, 8);
	if (sl_cur_le64(&sum) != sl_digest_short(in.p, len - 8))
		return false;
	sl_cur_skip(&in, 4);
	g->lane = sl_cur_u8(&in);
	g->fans_n = sl_cur_le16(&in);
	g->runs_n = sl_cur_le32(&in);
	if (g->lane >= SL_SCAN_THREADS_MAX || g->fans_n > SL_REKEEP_FANS ||
		g->runs_n > SL_REKEEP_RUNS_MAX)
		return false;
	for (size_t i = 0; i < g->fans_n; i++) {
		g->fans[i].no = sl_cur_u8(&in);
		g->fans[i].sum = sl_cur_le64(&in);
	}
	for (size_t i = 0; i < g->runs_n; i++) {
		struct sl_sorter_run *run = &g->runs[i];
		run->off = sl_cur_le64(&in);
		run->end = sl_cur_le64(&in);
		run->n = sl_cur_le64(&in);
		const uint8_t *digest = sl_cur_take(&in, SL_DIGEST_LEN);
		if (digest != NULL)
			memcpy(run->digest, digest, SL_DIGEST_LEN);
	}
	sl_cur_skip(&in, 8);
	if (in.bad || sl_cur_left(&in) > 0)
		return false;
	*c = at;
	return true;
}
