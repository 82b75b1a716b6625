/* The decoder's engine, PDU headers, P-DATA-TF and the PDUs of four bytes. See pdu_dec.h for how
 * fields and levels work; the items of A-ASSOCIATE are in pdu_assoc.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/pdu_dec.h"

#define CONTROL_COMMAND 0x01 /* message control header, E.2: other bits are reserved */
#define CONTROL_LAST	0x02
#define AE_TITLES_LEN	68 /* version, two titles, reserved: 9.3.2 */

_Static_assert(SL_ARRAY_N(((struct sl_pdu_dec *)0)->left) == SL_PDU_LEVEL_N, "one per level");
_Static_assert(SL_PDU_FIELD_MAX >= AE_TITLES_LEN, "the longest fixed field is kept whole");
_Static_assert(SL_PDU_FIELD_MAX >= SL_UID_MAX + SL_PDU_EXT_INFO_MAX, "a whole 56H is kept");

/* ---- Fields and levels ------------------------------------------------------------------------ */

void sl_pdu_refuse(struct sl_pdu_dec *dec, enum sl_ul_abort reason)
{
	dec->state = SL_PDU_ST_DEAD;
	dec->reason = (struct sl_ul_reason){SL_UL_SOURCE_PROVIDER, (uint8_t)reason};
}

/* Takes n bytes out of the innermost level; false (and refused) when it has fewer. */
static bool reserve(struct sl_pdu_dec *dec, uint32_t n)
{
	if (dec->state == SL_PDU_ST_DEAD)
		return false;
	if (n > dec->left[dec->level]) {
		sl_pdu_refuse(dec, SL_UL_ABORT_INVALID_PARAMETER);
		return false;
	}
	dec->left[dec->level] -= n;
	return true;
}

void sl_pdu_pass(struct sl_pdu_dec *dec, uint32_t n)
{
	if (reserve(dec, n))
		dec->skip += n;
}

void sl_pdu_enter(struct sl_pdu_dec *dec, enum sl_pdu_state state, uint32_t n)
{
	if (!reserve(dec, n))
		return;
	bool is_kept = n <= SL_PDU_FIELD_MAX;
	dec->state = (uint8_t)state;
	dec->stated_len = (uint16_t)n;
	dec->want = is_kept ? (uint16_t)n : 0;
	dec->have = 0;
	if (!is_kept)
		dec->skip += n;
}

void sl_pdu_open(struct sl_pdu_dec *dec, uint32_t n)
{
	if (!reserve(dec, n))
		return;
	sl_assert(dec->level + 1 < SL_PDU_LEVEL_N);
	dec->left[++dec->level] = n;
}

void sl_pdu_close(struct sl_pdu_dec *dec)
{
	if (dec->state == SL_PDU_ST_DEAD)
		return;
	sl_assert(dec->level > 0);
	dec->skip += dec->left[dec->level];
	dec->left[dec->level--] = 0;
}

bool sl_pdu_say(const struct sl_pdu_dec *dec, struct sl_pdu_ev *ev, enum sl_pdu_ev_type type)
{
	*ev = (struct sl_pdu_ev){
		.type = type, .pdu = (enum sl_pdu_type)dec->type, .pdu_len = dec->pdu_len};
	return true;
}

/* The dec->want bytes of the next field, or NULL when `in` has been used up before. In one piece
 * they are not copied. */
static const uint8_t *collect(struct sl_pdu_dec *dec, struct sl_cur *in)
{
	size_t n = sl_min(dec->skip, sl_cur_left(in));
	sl_cur_skip(in, n);
	dec->skip -= (uint32_t)n;
	if (dec->skip > 0)
		return NULL;
	if (dec->want == 0)
		return dec->field;
	if (dec->have == 0 && sl_cur_left(in) >= dec->want)
		return sl_cur_take(in, dec->want);
	n = sl_min((size_t)(dec->want - dec->have), sl_cur_left(in));
	if (n > 0)
		memcpy(dec->field + dec->have, sl_cur_take(in, n), n);
	dec->have = (uint16_t)(dec->have + n);
	return dec->have == dec->want ? dec->field : NULL;
}

/* ---- PDUs ------------------------------------------------------------------------------------- */

static void await_head(struct sl_pdu_dec *dec)
{
	dec->level = SL_PDU_LEVEL_PDU;
	dec->left[SL_PDU_LEVEL_PDU] = SL_PDU_HEAD_LEN;
	sl_pdu_enter(dec, SL_PDU_ST_HEAD, SL_PDU_HEAD_LEN);
}

static void next_pdv(struct sl_pdu_dec *dec)
{
	if (dec->left[SL_PDU_LEVEL_PDU] > 0)
		sl_pdu_enter(dec, SL_PDU_ST_PDV_HEAD, SL_PDU_PDV_HEAD_LEN);
	else /* also a P-DATA-TF without any PDV, which some peers send */
		sl_pdu_enter(dec, SL_PDU_ST_END, 0);
}

/* Whether a PDU of this type may have this length. */
static bool is_length_allowed(const struct sl_pdu_dec *dec, enum sl_pdu_type type, uint32_t len)
{
	switch (type) {
	case SL_PDU_ASSOCIATE_RQ:
	case SL_PDU_ASSOCIATE_AC:
		return len >= AE_TITLES_LEN && len <= SL_PDU_MAX_ASSOC_LEN;
	case SL_PDU_PDATA_TF:
		return dec->max_len == 0 || len <= dec->max_len;
	case SL_PDU_ASSOCIATE_RJ:
	case SL_PDU_RELEASE_RQ:
	case SL_PDU_RELEASE_RP:
	case SL_PDU_ABORT:
		return len == 4;
	}
	return false;
}

static bool on_head(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	struct sl_cur c = sl_cur_of(field, SL_PDU_HEAD_LEN);
	dec->type = sl_cur_u8(&c);
	sl_cur_skip(&c, 1);
	dec->pdu_len = sl_cur_be32(&c);
	if (dec->type < SL_PDU_ASSOCIATE_RQ || dec->type > SL_PDU_ABORT) {
		sl_pdu_refuse(dec, SL_UL_ABORT_UNRECOGNIZED_PDU);
		return false;
	}
	enum sl_pdu_type type = (enum sl_pdu_type)dec->type;
	if (!is_length_allowed(dec, type, dec->pdu_len)) {
		sl_pdu_refuse(dec, SL_UL_ABORT_INVALID_PARAMETER);
		return false;
	}
	dec->left[SL_PDU_LEVEL_PDU] = dec->pdu_len;
	if (type == SL_PDU_PDATA_TF)
		next_pdv(dec);
	else if (type == SL_PDU_ASSOCIATE_RQ || type == SL_PDU_ASSOCIATE_AC)
		sl_pdu_assoc_begin(dec);
	else
		sl_pdu_enter(dec, SL_PDU_ST_FOUR, 4);
	return sl_pdu_say(dec, ev, SL_PDU_EV_BEGIN);
}

static bool on_four(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_END);
	if (dec->type == SL_PDU_ASSOCIATE_RJ)
		ev->reject = (struct sl_ul_reject){field[1], field[2], field[3]};
	else if (dec->type == SL_PDU_ABORT)
		ev->reason = (struct sl_ul_reason){field[2], field[3]};
	await_head(dec);
	return true;
}

/* The length of a PDV counts its context ID and control header, so 0 and 1 are not lengths. */
static bool on_pdv_head(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	struct sl_cur c = sl_cur_of(field, SL_PDU_PDV_HEAD_LEN);
	uint32_t len = sl_cur_be32(&c);
	dec->kept[0] = sl_cur_u8(&c);
	dec->kept[1] = sl_cur_u8(&c);
	if (len < 2) {
		sl_pdu_refuse(dec, SL_UL_ABORT_INVALID_PARAMETER);
		return false;
	}
	dec->odd_fragments_n += len & 1;
	dec->in_fragment = false;
	sl_pdu_open(dec, len - 2);
	sl_pdu_enter(dec, SL_PDU_ST_PDV, 0);
	return false;
}

/* As much of the open fragment as there is; false when that is nothing yet. */
static bool slice(struct sl_pdu_dec *dec, struct sl_cur *in, struct sl_pdu_ev *ev)
{
	uint32_t left = dec->left[SL_PDU_LEVEL_ITEM];
	uint32_t n = (uint32_t)sl_min(left, sl_cur_left(in));
	if (n == 0 && left > 0)
		return false;
	sl_pdu_say(dec, ev, SL_PDU_EV_PDV);
	ev->pdv = (struct sl_pdu_pdv){
		.p = sl_cur_take(in, n),
		.len = n,
		.left = left - n,
		.pcid = dec->kept[0],
		.is_command = (dec->kept[1] & CONTROL_COMMAND) != 0,
		.is_last = (dec->kept[1] & CONTROL_LAST) != 0,
		.fragment_begin = !dec->in_fragment,
		.fragment_end = n == left,
	};
	dec->in_fragment = true;
	dec->left[SL_PDU_LEVEL_ITEM] -= n;
	if (n == left) {
		sl_pdu_close(dec);
		next_pdv(dec);
	}
	return true;
}

static bool on_end(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)field;
	sl_pdu_say(dec, ev, SL_PDU_EV_END);
	if (dec->type != SL_PDU_PDATA_TF) {
		ev->assoc.seen = dec->seen;
		ev->assoc.pctx_n = dec->pctx_n;
		ev->assoc.ignored_n = dec->ignored_n;
	}
	await_head(dec);
	return true;
}

static bool step(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	static sl_pdu_step_fn *const steps[SL_PDU_ST_ITEM] = {
		[SL_PDU_ST_HEAD] = on_head,
		[SL_PDU_ST_FOUR] = on_four,
		[SL_PDU_ST_PDV_HEAD] = on_pdv_head,
		[SL_PDU_ST_END] = on_end,
	};
	if (dec->state >= SL_PDU_ST_ITEM)
		return sl_pdu_assoc_step(dec, field, ev);
	sl_assert(steps[dec->state] != NULL);
	return steps[dec->state](dec, field, ev);
}

/* ---- The public face ------------------------------------------------------------------------- */

void sl_pdu_init(struct sl_pdu_dec *dec, uint32_t max_len)
{
	*dec = (struct sl_pdu_dec){.max_len = max_len};
	await_head(dec);
}

enum sl_status sl_pdu_next(struct sl_pdu_dec *dec, struct sl_cur *in, struct sl_pdu_ev *ev)
{
	while (dec->state != SL_PDU_ST_DEAD) {
		if (dec->state == SL_PDU_ST_PDV)
			return slice(dec, in, ev) ? SL_OK : SL_AGAIN;
		const uint8_t *field = collect(dec, in);
		if (field == NULL)
			return SL_AGAIN;
		if (step(dec, field, ev))
			return SL_OK;
	}
	sl_cur_skip(in, sl_cur_left(in));
	return SL_E_PDU;
}

enum sl_ul_event sl_pdu_ul_event(enum sl_pdu_type type)
{
	switch (type) {
	case SL_PDU_ASSOCIATE_RQ:
		return SL_UL_EVT6;
	case SL_PDU_ASSOCIATE_AC:
		return SL_UL_EVT3;
	case SL_PDU_ASSOCIATE_RJ:
		return SL_UL_EVT4;
	case SL_PDU_PDATA_TF:
		return SL_UL_EVT10;
	case SL_PDU_RELEASE_RQ:
		return SL_UL_EVT12;
	case SL_PDU_RELEASE_RP:
		return SL_UL_EVT13;
	case SL_PDU_ABORT:
		return SL_UL_EVT16;
	}
	return SL_UL_EVT19;
}
