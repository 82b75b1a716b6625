/* Writing PDUs (PS3.8 9.3). A PDU is written in one go; lengths that are known only at the end of an
 * item are patched into its header. Reserved bytes are 0.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/pdu.h"

#define APPLICATION_CONTEXT "1.2.840.10008.3.1.1.1" /* PS3.7 annex A.2.1: the only one */
#define IMPLICIT_VR_LE	    "1.2.840.10008.1.2"
#define PROTOCOL_VERSION    0x0001
#define IMPL_VERSION_MAX    16 /* PS3.7 D.3.3.2.3 */

/* ---- Headers ---------------------------------------------------------------------------------- */

/* Begins a PDU; returns where it begins, for end_pdu(). */
static size_t begin_pdu(struct sl_wbuf *w, enum sl_pdu_type type)
{
	size_t at = w->len;
	sl_wbuf_u8(w, (uint8_t)type);
	sl_wbuf_u8(w, 0);
	sl_wbuf_be32(w, 0);
	return at;
}

static void end_pdu(struct sl_wbuf *w, size_t at)
{
	sl_wbuf_patch_be32(w, at + 2, (uint32_t)(w->len - at - SL_PDU_HEAD_LEN));
}

/* Likewise an item or sub-item, whose length has two bytes. */
static size_t begin_item(struct sl_wbuf *w, uint8_t type)
{
	size_t at = w->len;
	sl_wbuf_u8(w, type);
	sl_wbuf_u8(w, 0);
	sl_wbuf_be16(w, 0);
	return at;
}

static void end_item(struct sl_wbuf *w, size_t at)
{
	size_t len = w->bad ? 0 : w->len - at - 4;
	if (len > UINT16_MAX)
		w->bad = true;
	sl_wbuf_patch_be16(w, at + 2, (uint16_t)len);
}

static void item(struct sl_wbuf *w, uint8_t type, const void *bytes, size_t n)
{
	size_t at = begin_item(w, type);
	sl_wbuf_put(w, bytes, n);
	end_item(w, at);
}

static void uid_item(struct sl_wbuf *w, uint8_t type, const struct sl_uid *uid)
{
	item(w, type, uid->s, uid->len);
}

static void literal_item(struct sl_wbuf *w, uint8_t type, const char *s)
{
	item(w, type, s, strlen(s));
}

/* ---- A-ASSOCIATE ------------------------------------------------------------------------------ */

static size_t begin_associate(struct sl_wbuf *w, enum sl_pdu_type type, const uint8_t called_ae[16],
	const uint8_t calling_ae[16])
{
	size_t at = begin_pdu(w, type);
	sl_wbuf_be16(w, PROTOCOL_VERSION);
	sl_wbuf_be16(w, 0);
	sl_wbuf_put(w, called_ae, 16);
	sl_wbuf_put(w, calling_ae, 16);
	sl_wbuf_fill(w, 0, 32);
	literal_item(w, 0x10, APPLICATION_CONTEXT);
	return at;
}

static size_t begin_pctx(struct sl_wbuf *w, uint8_t type, uint8_t id, uint8_t result)
{
	size_t at = begin_item(w, type);
	sl_wbuf_u8(w, id);
	sl_wbuf_u8(w, 0);
	sl_wbuf_u8(w, result);
	sl_wbuf_u8(w, 0);
	return at;
}

/* 54H and 56H begin alike: a length and a UID inside the item. */
static size_t begin_class(struct sl_wbuf *w, uint8_t type, const struct sl_uid *sop_class)
{
	size_t at = begin_item(w, type);
	sl_wbuf_be16(w, sop_class->len);
	sl_wbuf_put(w, sop_class->s, sop_class->len);
	return at;
}

static void async_item(struct sl_wbuf *w, const struct sl_pdu_user *user)
{
	size_t at = begin_item(w, 0x53);
	sl_wbuf_be16(w, user->async_invoked);
	sl_wbuf_be16(w, user->async_performed);
	end_item(w, at);
}

static void role_item(struct sl_wbuf *w, const struct sl_pdu_role *role)
{
	size_t at = begin_class(w, 0x54, &role->sop_class);
	sl_wbuf_u8(w, role->scu);
	sl_wbuf_u8(w, role->scp);
	end_item(w, at);
}

static void extended_item(struct sl_wbuf *w, const struct sl_pdu_extended *ext)
{
	sl_assert(ext->info_len <= SL_PDU_EXT_INFO_MAX);
	size_t at = begin_class(w, 0x56, &ext->sop_class);
	sl_wbuf_put(w, ext->info, ext->info_len);
	end_item(w, at);
}

static void identity_reply_item(struct sl_wbuf *w, const struct sl_pdu_user *user)
{
	size_t at = begin_item(w, 0x59);
	sl_wbuf_be16(w, user->identity_reply_len);
	sl_wbuf_put(w, user->identity_reply, user->identity_reply_len);
	end_item(w, at);
}

/* The user information item: sub-items in ascending order of their types, as the standard lists them. */
static void user_item(struct sl_wbuf *w, const struct sl_pdu_user *user)
{
	size_t at = begin_item(w, 0x50);
	size_t max_at = begin_item(w, 0x51);
	sl_wbuf_be32(w, user->max_len);
	end_item(w, max_at);
	uid_item(w, 0x52, &user->impl_class_uid);
	if (user->has_async)
		async_item(w, user);
	for (size_t i = 0; i < user->roles_n; i++)
		role_item(w, &user->roles[i]);
	if (user->impl_version_name != NULL) {
		sl_assert(strlen(user->impl_version_name) <= IMPL_VERSION_MAX);
		literal_item(w, 0x55, user->impl_version_name);
	}
	for (size_t i = 0; i < user->extended_n; i++)
		extended_item(w, &user->extended[i]);
	if (user->has_identity_reply)
		identity_reply_item(w, user);
	end_item(w, at);
}

/* A refused context has a transfer syntax too; it is "not significant", but there are peers that
 * want to see a UID in it. */
static void result_item(struct sl_wbuf *w, const struct sl_pdu_pctx_result *pctx)
{
	size_t at = begin_pctx(w, 0x21, pctx->id, pctx->result);
	if (pctx->transfer_syntax.len > 0)
		uid_item(w, 0x40, &pctx->transfer_syntax);
	else
		literal_item(w, 0x40, IMPLICIT_VR_LE);
	end_item(w, at);
}

void sl_pdu_encode_ac(struct sl_wbuf *w, const struct sl_pdu_associate_ac *ac)
{
	sl_assert(ac->pctx_n <= SL_MAX_CONTEXTS);
	size_t at = begin_associate(w, SL_PDU_ASSOCIATE_AC, ac->called_ae, ac->calling_ae);
	for (size_t i = 0; i < ac->pctx_n; i++)
		result_item(w, &ac->pctx[i]);
	user_item(w, &ac->user);
	end_pdu(w, at);
}

static void proposal_item(struct sl_wbuf *w, const struct sl_pdu_pctx_proposal *pctx)
{
	size_t at = begin_pctx(w, 0x20, pctx->id, 0);
	uid_item(w, 0x30, &pctx->abstract_syntax);
	for (size_t i = 0; i < pctx->transfer_syntaxes_n; i++)
		uid_item(w, 0x40, &pctx->transfer_syntaxes[i]);
	end_item(w, at);
}

void sl_pdu_encode_rq(struct sl_wbuf *w, const struct sl_pdu_associate_rq *rq)
{
	sl_assert(rq->pctx_n <= SL_MAX_CONTEXTS);
	size_t at = begin_associate(w, SL_PDU_ASSOCIATE_RQ, rq->called_ae, rq->calling_ae);
	for (size_t i = 0; i < rq->pctx_n; i++)
		proposal_item(w, &rq->pctx[i]);
	user_item(w, &rq->user);
	end_pdu(w, at);
}

/* ---- PDUs of four bytes ------------------------------------------------------------------------ */

static void four(struct sl_wbuf *w, enum sl_pdu_type type, const uint8_t bytes[4])
{
	size_t at = begin_pdu(w, type);
	sl_wbuf_put(w, bytes, 4);
	end_pdu(w, at);
}

void sl_pdu_encode_rj(struct sl_wbuf *w, struct sl_ul_reject reject)
{
	four(w, SL_PDU_ASSOCIATE_RJ,
		(const uint8_t[4]){0, reject.result, reject.source, reject.reason});
}

void sl_pdu_encode_release_rq(struct sl_wbuf *w)
{
	four(w, SL_PDU_RELEASE_RQ, (const uint8_t[4]){0});
}

void sl_pdu_encode_release_rp(struct sl_wbuf *w)
{
	four(w, SL_PDU_RELEASE_RP, (const uint8_t[4]){0});
}

void sl_pdu_encode_abort(struct sl_wbuf *w, struct sl_ul_reason reason)
{
	four(w, SL_PDU_ABORT, (const uint8_t[4]){0, 0, reason.source, reason.reason});
}

/* ---- P-DATA-TF -------------------------------------------------------------------------------- */

uint32_t sl_pdu_fragment_max(uint32_t peer_max_len, uint32_t cap)
{
	sl_assert(cap >= 2 && cap <= UINT32_MAX - SL_PDU_PDV_HEAD_LEN);
	uint32_t n = cap;
	if (peer_max_len != 0 && peer_max_len < cap + SL_PDU_PDV_HEAD_LEN)
		n = peer_max_len > SL_PDU_PDV_HEAD_LEN ? peer_max_len - SL_PDU_PDV_HEAD_LEN : 0;
	return n <= 1 ? n : n & ~(uint32_t)1;
}

void sl_pdu_encode_pdv_head(
	struct sl_wbuf *w, uint8_t pcid, bool is_command, bool is_last, uint32_t value_len)
{
	sl_assert(value_len <= UINT32_MAX - SL_PDU_PDV_HEAD_LEN);
	sl_wbuf_u8(w, SL_PDU_PDATA_TF);
	sl_wbuf_u8(w, 0);
	sl_wbuf_be32(w, SL_PDU_PDV_HEAD_LEN + value_len);
	sl_wbuf_be32(w, 2 + value_len);
	sl_wbuf_u8(w, pcid);
	sl_wbuf_u8(w, (uint8_t)((is_command ? 1 : 0) | (is_last ? 2 : 0)));
}

enum sl_status sl_pdu_encode_message(struct sl_wbuf *w, uint32_t peer_max_len, uint8_t pcid,
	bool is_command, struct sl_cur value)
{
	uint32_t max = sl_pdu_fragment_max(peer_max_len, UINT16_MAX - 1);
	if (max == 0)
		return SL_E_LIMIT;
	do {
		uint32_t n = (uint32_t)sl_min(max, sl_cur_left(&value));
		sl_pdu_encode_pdv_head(w, pcid, is_command, n == sl_cur_left(&value), n);
		sl_wbuf_put(w, sl_cur_take(&value, n), n);
	} while (sl_cur_left(&value) > 0 && !w->bad);
	return SL_OK;
}
