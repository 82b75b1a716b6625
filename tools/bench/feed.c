/* The wire's bytes by position.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/feed.h"

#include <string.h>

#include "core/cmd.h"
#include "core/pdu.h"

static void put_head(struct sl_wbuf *w, uint16_t element, size_t len)
{
	sl_wbuf_le16(w, 0x0000);
	sl_wbuf_le16(w, element);
	sl_wbuf_le32(w, (uint32_t)len);
}

static void put_us(struct sl_wbuf *w, uint16_t element, uint16_t v)
{
	put_head(w, element, 2);
	sl_wbuf_le16(w, v);
}

static void put_uid(struct sl_wbuf *w, uint16_t element, const struct sl_uid *uid)
{
	put_head(w, element, uid->len + (uid->len & 1u));
	sl_wbuf_put(w, uid->s, uid->len);
	sl_wbuf_fill(w, 0, uid->len & 1u);
}

/* C-STORE-RQ, PS3.7 9.3.1.1. */
static struct sl_cur put_store_rq(struct sl_wbuf *w, uint16_t message_id,
	const struct sl_uid *sop_class, const struct sl_uid *instance)
{
	put_head(w, 0x0000, 4);
	sl_wbuf_le32(w, 0);
	put_uid(w, 0x0002, sop_class);
	put_us(w, 0x0100, SL_CMD_C_STORE_RQ);
	put_us(w, 0x0110, message_id);
	put_us(w, 0x0700, 0);
	put_us(w, 0x0800, 0x0000);
	put_uid(w, 0x1000, instance);
	sl_wbuf_patch_le32(w, 8, (uint32_t)(w->len - 12));
	sl_assert(!w->bad);
	return sl_cur_of(w->base, w->len);
}

void sl_feed_begin(struct sl_feed *f, const struct sl_kind *kind, const struct sl_kind_id *id,
	const struct sl_feed_params *params, struct sl_uid *uid)
{
	uint8_t bytes[SL_FEED_COMMAND_MAX];
	f->kind = kind;
	memcpy(f->head, kind->head, kind->head_len);
	sl_kind_patch(kind, id, f->head, uid);
	struct sl_wbuf command = sl_wbuf_of(bytes, sizeof(bytes));
	struct sl_cur rq = put_store_rq(&command, params->message_id, &kind->sop_class, uid);
	struct sl_wbuf w = sl_wbuf_of(f->command, sizeof(f->command));
	enum sl_status st = sl_pdu_encode_message(&w, params->peer_max_len, params->pcid, true, rq);
	sl_assert(st == SL_OK && !w.bad);
	f->command_len = w.len;
	uint64_t len = sl_kind_len(kind), pdus = (len - 1) / params->fragment + 1;
	f->fragment = params->fragment;
	f->sent = 0;
	f->len = f->command_len + len + pdus * SL_FEED_PDU_HEAD;
	struct sl_wbuf pdu = sl_wbuf_of(f->pdu_head, sizeof(f->pdu_head));
	sl_pdu_encode_pdv_head(&pdu, params->pcid, false, false, params->fragment);
	struct sl_wbuf last = sl_wbuf_of(f->last_head, sizeof(f->last_head));
	sl_pdu_encode_pdv_head(
		&last, params->pcid, false, true, (uint32_t)(len - (pdus - 1) * params->fragment));
	sl_assert(!pdu.bad && !last.bad);
}

/* Where the wire's bytes from `at` on lie, as many as are together. */
static struct iovec bytes_at(const struct sl_feed *f, uint64_t at, size_t max)
{
	if (at < f->command_len)
		return (struct iovec){(void *)(uintptr_t)(f->command + at),
			sl_min(max, f->command_len - (size_t)at)};
	uint64_t step = (uint64_t)f->fragment + SL_FEED_PDU_HEAD;
	uint64_t k = (at - f->command_len) / step, in_pdu = (at - f->command_len) % step;
	bool is_last = f->len - f->command_len - k * step <= step;
	if (in_pdu < SL_FEED_PDU_HEAD)
		return (struct iovec){
			(void *)(uintptr_t)((is_last ? f->last_head : f->pdu_head) + in_pdu),
			sl_min(max, SL_FEED_PDU_HEAD - (size_t)in_pdu)};
	uint64_t left = sl_min64(f->len - at, step - in_pdu);
	return sl_kind_bytes(f->kind, f->head, k * f->fragment + in_pdu - SL_FEED_PDU_HEAD,
		(size_t)sl_min64(max, left));
}

int sl_feed_gather(const struct sl_feed *f, struct iovec *iov, int n, size_t max)
{
	int used = 0;
	for (uint64_t at = f->sent; at < f->len && used < n && max > 0; used++) {
		iov[used] = bytes_at(f, at, max);
		at += iov[used].iov_len;
		max -= iov[used].iov_len;
	}
	return used;
}

void sl_feed_advance(struct sl_feed *f, size_t n)
{
	sl_assert(n <= f->len - f->sent);
	f->sent += n;
}
