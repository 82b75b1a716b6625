/* Command sets: element by element through a cursor, then held against what the command requires.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/cmd.h"

#include <stdio.h>

#define HEAD_LEN         8  /* tag and length of an Implicit VR element */
#define GROUP_LENGTH_LEN 12 /* (0000,0000) with its value */

enum vr { VR_US, VR_UL, VR_AT, VR_UI, VR_AE, VR_LO };

struct el_row {
	uint16_t element;
	enum vr vr;
	size_t offset; /* of the member in struct sl_cmd */
	const char *keyword;
};

static const struct el_row els[SL_CMD_EL_N] = {
#define SL_CMD_EL(name, element, vr, member, keyword) \
	{element, VR_##vr, offsetof(struct sl_cmd, member), keyword},
#include "core/cmd.def"
#undef SL_CMD_EL
};
_Static_assert(SL_CMD_EL_N <= 32, "an element is a bit of sl_cmd.has");

/* The members have the types that their VRs are read into. */
#define SIZE_US sizeof(uint16_t)
#define SIZE_UL sizeof(uint32_t)
#define SIZE_AT sizeof(uint32_t)
#define SIZE_UI sizeof(struct sl_uid)
#define SIZE_AE sizeof(struct sl_ae)
#define SIZE_LO (SL_CMD_COMMENT_MAX + 1)
#define SL_CMD_EL(name, element, vr, member, keyword) \
	_Static_assert(sizeof(((struct sl_cmd *)0)->member) == SIZE_##vr, keyword);
#include "core/cmd.def"
#undef SL_CMD_EL

#define HAS(name)  (UINT32_C(1) << SL_CMD_EL_##name)
#define ANSWERABLE (HAS(FIELD) | HAS(MESSAGE_ID) | HAS(DATA_SET_TYPE))
#define RESPONSE   (HAS(FIELD) | HAS(RESPONDED_TO) | HAS(DATA_SET_TYPE) | HAS(STATUS))
#define AFFECTED   (HAS(AFFECTED_CLASS) | HAS(AFFECTED_INSTANCE))
#define REQUESTED  (HAS(REQUESTED_CLASS) | HAS(REQUESTED_INSTANCE))

struct field_row {
	uint16_t field;
	uint32_t required; /* of the request: PS3.7 9.3 and 10.3 */
	const char *rq_name, *rsp_name;
};

/* Priority is required as well, but nothing depends on it: its absence is a quirk. A C-CANCEL without
 * the Message ID it means cancels nothing and is not worth an association. */
static const struct field_row fields[] = {
#define ROW(field, name, required)                       \
	{                                                \
		field, required, name "-RQ", name "-RSP" \
	}
	ROW(SL_CMD_C_STORE_RQ, "C-STORE", ANSWERABLE | AFFECTED),
	ROW(SL_CMD_C_GET_RQ, "C-GET", ANSWERABLE | HAS(AFFECTED_CLASS)),
	ROW(SL_CMD_C_FIND_RQ, "C-FIND", ANSWERABLE | HAS(AFFECTED_CLASS)),
	ROW(SL_CMD_C_MOVE_RQ, "C-MOVE", ANSWERABLE | HAS(AFFECTED_CLASS) | HAS(MOVE_DESTINATION)),
	ROW(SL_CMD_C_ECHO_RQ, "C-ECHO", ANSWERABLE | HAS(AFFECTED_CLASS)),
	ROW(SL_CMD_N_EVENT_REPORT_RQ, "N-EVENT-REPORT", ANSWERABLE | AFFECTED | HAS(EVENT_TYPE_ID)),
	ROW(SL_CMD_N_GET_RQ, "N-GET", ANSWERABLE | REQUESTED),
	ROW(SL_CMD_N_SET_RQ, "N-SET", ANSWERABLE | REQUESTED),
	ROW(SL_CMD_N_ACTION_RQ, "N-ACTION", ANSWERABLE | REQUESTED | HAS(ACTION_TYPE_ID)),
	ROW(SL_CMD_N_CREATE_RQ, "N-CREATE", ANSWERABLE | HAS(AFFECTED_CLASS)),
	ROW(SL_CMD_N_DELETE_RQ, "N-DELETE", ANSWERABLE | REQUESTED),
	ROW(SL_CMD_C_CANCEL_RQ, "C-CANCEL", HAS(FIELD) | HAS(DATA_SET_TYPE)),
#undef ROW
};

static const struct field_row *find_field(uint16_t field)
{
	for (size_t i = 0; i < SL_ARRAY_N(fields); i++)
		if (fields[i].field == (field & ~SL_CMD_RSP_BIT))
			return &fields[i];
	return NULL;
}

const char *sl_cmd_field_name(uint16_t field)
{
	const struct field_row *row = find_field(field);
	if (row == NULL || field == (SL_CMD_C_CANCEL_RQ | SL_CMD_RSP_BIT))
		return "unknown";
	return (field & SL_CMD_RSP_BIT) != 0 ? row->rsp_name : row->rq_name;
}

const char *sl_cmd_el_name(enum sl_cmd_el el)
{
	return (unsigned)el < SL_CMD_EL_N ? els[el].keyword : "?";
}

const char *sl_cmd_quirk_name(unsigned bit)
{
	static const char *const names[SL_CMD_QUIRK_N] = {"wrong group length", "unsorted elements",
		"duplicate elements", "odd lengths", "elements of other groups", "no priority"};
	return bit < SL_CMD_QUIRK_N ? names[bit] : "?";
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Keeps a text up to its first NUL, cut, without trailing spaces. False when nothing is left. */
static bool read_text(char *out, size_t cap, const struct sl_cur *value)
{
	size_t n = strnlen((const char *)value->p, sl_min(sl_cur_left(value), cap));
	while (n > 0 && value->p[n - 1] == ' ')
		n--;
	memcpy(out, value->p, n);
	return n > 0;
}

/* Reads a value into its member; false when it is unusable. More values than one: the first counts. */
static bool read_value(const struct el_row *row, void *member, struct sl_cur *value)
{
	switch (row->vr) {
	case VR_US: {
		uint16_t v = sl_cur_le16(value);
		memcpy(member, &v, sizeof(v));
		return !value->bad;
	}
	case VR_UL: {
		uint32_t v = sl_cur_le32(value);
		memcpy(member, &v, sizeof(v));
		return !value->bad;
	}
	case VR_AT: {
		uint32_t group = sl_cur_le16(value);
		uint32_t v = group << 16 | sl_cur_le16(value);
		memcpy(member, &v, sizeof(v));
		return !value->bad;
	}
	case VR_UI:
		return sl_uid_parse(member, value->p, sl_cur_left(value)) == SL_OK;
	case VR_AE:
		return sl_ae_parse(member, value->p, sl_cur_left(value)) == SL_OK;
	case VR_LO:
		return sl_cur_left(value) > 0 && read_text(member, SL_CMD_COMMENT_MAX, value);
	}
	return false;
}

/* Keeps one element of group 0000, if it is known and the first of its kind. */
static void keep_element(struct sl_cmd *cmd, uint16_t element, struct sl_cur *value)
{
	for (size_t el = 0; el < SL_CMD_EL_N; el++) {
		if (els[el].element != element)
			continue;
		uint32_t bit = UINT32_C(1) << el;
		if (((cmd->has | cmd->unusable) & bit) != 0)
			cmd->quirks |= SL_CMD_QUIRK_DUPLICATE;
		else if (read_value(&els[el], (char *)cmd + els[el].offset, value))
			cmd->has |= bit;
		else
			cmd->unusable |= bit;
		return;
	}
}

/* Walks all elements. SL_E_COMMAND when one reaches beyond the end. */
static enum sl_status read_elements(struct sl_cmd *cmd, struct sl_cur in, struct sl_diag *d)
{
	uint32_t previous = 0;
	while (sl_cur_left(&in) > 0) {
		uint32_t group = sl_cur_le16(&in);
		uint32_t tag = group << 16 | sl_cur_le16(&in);
		uint32_t len = sl_cur_le32(&in);
		if (in.bad)
			return sl_fail(d, SL_E_COMMAND, 0, "cmd/read",
				"the command set ends inside the head of an element");
		struct sl_cur value = sl_cur_sub(&in, len);
		if (in.bad)
			return sl_fail(d, SL_E_COMMAND, 0, "cmd/read",
				"element (%04x,%04x) runs past the end of the command set", group,
				tag & 0xFFFF);
		if (tag < previous)
			cmd->quirks |= SL_CMD_QUIRK_UNSORTED;
		if ((len & 1) != 0)
			cmd->quirks |= SL_CMD_QUIRK_ODD_LENGTH;
		if (group == 0)
			keep_element(cmd, (uint16_t)tag, &value);
		else
			cmd->quirks |= SL_CMD_QUIRK_FOREIGN_GROUP;
		previous = tag;
	}
	return SL_OK;
}

/* Required elements that cannot be used, as bits. */
static uint32_t lacking(const struct sl_cmd *cmd)
{
	const struct field_row *row = find_field(cmd->field);
	uint32_t required = row != NULL ? row->required : ANSWERABLE;
	if ((cmd->field & SL_CMD_RSP_BIT) != 0)
		required = RESPONSE;
	if (!sl_cmd_has(cmd, SL_CMD_EL_FIELD))
		required = ANSWERABLE;
	return required & ~cmd->has;
}

/* Says which required elements are missing and which are unusable. */
static enum sl_status check_required(const struct sl_cmd *cmd, struct sl_diag *d)
{
	uint32_t bits = lacking(cmd);
	if (bits == 0)
		return SL_OK;
	char list[sizeof(d->text)];
	size_t at = 0;
	for (size_t el = 0; el < SL_CMD_EL_N; el++) {
		if ((bits >> el & 1) == 0)
			continue;
		bool is_unusable = (cmd->unusable >> el & 1) != 0;
		int n = snprintf(list + at, sizeof(list) - at, "%s%s %s", at > 0 ? ", " : "",
			is_unusable ? "unusable" : "missing", els[el].keyword);
		at = sl_min(at + (size_t)n, sizeof(list) - 1);
	}
	return sl_fail(d, SL_E_COMMAND, 0, "cmd/check", "%s", list);
}

enum sl_status sl_cmd_decode(struct sl_cmd *cmd, const void *bytes, size_t n, struct sl_diag *d)
{
	memset(cmd, 0, sizeof(*cmd));
	if (n > SL_CMD_MAX)
		return sl_fail(d, SL_E_LIMIT, 0, "cmd/read", "a command set of %zu bytes", n);
	enum sl_status st = read_elements(cmd, sl_cur_of(bytes, n), d);
	if (!sl_cmd_has(cmd, SL_CMD_EL_GROUP_LENGTH) ||
		(uint64_t)cmd->group_length + GROUP_LENGTH_LEN != n)
		cmd->quirks |= SL_CMD_QUIRK_GROUP_LENGTH;
	if (cmd->field == SL_CMD_C_STORE_RQ && !sl_cmd_has(cmd, SL_CMD_EL_PRIORITY))
		cmd->quirks |= SL_CMD_QUIRK_NO_PRIORITY;
	return st == SL_OK ? check_required(cmd, d) : st;
}

bool sl_cmd_is_answerable(const struct sl_cmd *cmd)
{
	return (cmd->has & ANSWERABLE) == ANSWERABLE && (cmd->field & SL_CMD_RSP_BIT) == 0 &&
	       cmd->field != SL_CMD_C_CANCEL_RQ;
}

enum sl_dstat sl_cmd_fault_status(const struct sl_cmd *cmd)
{
	return cmd->field == SL_CMD_C_STORE_RQ ? SL_DSTAT_CANNOT_UNDERSTAND
					       : SL_DSTAT_MISTYPED_ARGUMENT;
}

size_t sl_cmd_offenders(const struct sl_cmd *cmd, uint32_t tags[SL_CMD_OFFENDERS_MAX])
{
	uint32_t bits = lacking(cmd);
	size_t n = 0;
	for (size_t el = 0; el < SL_CMD_EL_N && n < SL_CMD_OFFENDERS_MAX; el++)
		if ((bits >> el & 1) != 0)
			tags[n++] = els[el].element;
	return n;
}

/* ---- Writing --------------------------------------------------------------------------------- */

struct sl_cmd_rsp sl_cmd_rsp_to(const struct sl_cmd *rq, enum sl_dstat status, const char *comment)
{
	struct sl_cmd_rsp rsp = {
		.field = rq->field,
		.responded_to = rq->message_id,
		.status = (uint16_t)status,
		.affected_class =
			rq->affected_class.len > 0 ? rq->affected_class : rq->requested_class,
		.affected_instance = rq->affected_instance.len > 0 ? rq->affected_instance
								   : rq->requested_instance,
		.comment = comment,
	};
	rsp.offenders_n = sl_cmd_offenders(rq, rsp.offenders);
	return rsp;
}

static void put_head(struct sl_wbuf *w, enum sl_cmd_el el, size_t len)
{
	sl_wbuf_le16(w, 0x0000);
	sl_wbuf_le16(w, els[el].element);
	sl_wbuf_le32(w, (uint32_t)len);
}

static void put_us(struct sl_wbuf *w, enum sl_cmd_el el, uint16_t v)
{
	put_head(w, el, 2);
	sl_wbuf_le16(w, v);
}

/* A UID is padded with NUL (PS3.5 9.1); an absent one is left out. */
static void put_uid(struct sl_wbuf *w, enum sl_cmd_el el, const struct sl_uid *uid)
{
	if (uid->len == 0)
		return;
	put_head(w, el, uid->len + (uid->len & 1u));
	sl_wbuf_put(w, uid->s, uid->len);
	sl_wbuf_fill(w, 0, uid->len & 1u);
}

static void put_offenders(struct sl_wbuf *w, const struct sl_cmd_rsp *rsp)
{
	sl_assert(rsp->offenders_n <= SL_CMD_OFFENDERS_MAX);
	if (rsp->offenders_n == 0)
		return;
	put_head(w, SL_CMD_EL_OFFENDING_ELEMENT, 4 * rsp->offenders_n);
	for (size_t i = 0; i < rsp->offenders_n; i++) {
		sl_wbuf_le16(w, (uint16_t)(rsp->offenders[i] >> 16));
		sl_wbuf_le16(w, (uint16_t)rsp->offenders[i]);
	}
}

/* LO: no control characters, and no backslash, which would divide values (PS3.5 6.2). */
static void put_comment(struct sl_wbuf *w, const char *text)
{
	size_t n = text != NULL ? strnlen(text, SL_CMD_COMMENT_MAX) : 0;
	if (n == 0)
		return;
	put_head(w, SL_CMD_EL_COMMENT, n + (n & 1));
	for (size_t i = 0; i < n; i++) {
		bool is_plain = text[i] >= 0x20 && text[i] < 0x7F && text[i] != '\\';
		sl_wbuf_u8(w, is_plain ? (uint8_t)text[i] : '?');
	}
	sl_wbuf_fill(w, ' ', n & 1);
}

void sl_cmd_encode_rsp(struct sl_wbuf *w, const struct sl_cmd_rsp *rsp)
{
	size_t begin = w->len;
	put_head(w, SL_CMD_EL_GROUP_LENGTH, 4);
	sl_wbuf_le32(w, 0);
	put_uid(w, SL_CMD_EL_AFFECTED_CLASS, &rsp->affected_class);
	put_us(w, SL_CMD_EL_FIELD, rsp->field | SL_CMD_RSP_BIT);
	put_us(w, SL_CMD_EL_RESPONDED_TO, rsp->responded_to);
	put_us(w, SL_CMD_EL_DATA_SET_TYPE, rsp->has_data_set ? 0x0000 : SL_CMD_NO_DATA_SET);
	put_us(w, SL_CMD_EL_STATUS, rsp->status);
	put_offenders(w, rsp);
	put_comment(w, rsp->comment);
	put_uid(w, SL_CMD_EL_AFFECTED_INSTANCE, &rsp->affected_instance);
	if (!w->bad)
		sl_wbuf_patch_le32(
			w, begin + HEAD_LEN, (uint32_t)(w->len - begin - GROUP_LENGTH_LEN));
}
