/* The items of A-ASSOCIATE-RQ and -AC (PS3.8 9.3.2, 9.3.3, annex D; PS3.7 annex D.3.3).
 *
 * An item is a header {type, reserved, length} and a body. The table below says which items belong
 * where and which field their body begins with; each field has a step that tells what it read and
 * enters the next one. Closing an item passes over what its fields left, so a longer item of a later
 * edition of the standard is understood as far as we know it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/pdu_dec.h"

#define ITEM_HEAD_LEN 4
#define AE_TITLE_LEN  16

/* A bit of dec->seen beside enum sl_pdu_seen, cleared where a presentation context ends. */
#define SEEN_ABSTRACT_SYNTAX (1 << 15)

enum { RQ = 1 << 0, AC = 1 << 1 };
#define WHOLE UINT8_MAX /* the first field is the whole body */

struct item_row {
	uint8_t list;  /* the list that it is an item of */
	uint8_t pdus;  /* and in which PDUs */
	uint8_t type;  /* as on the wire */
	uint8_t field; /* the state its body begins with */
	uint8_t len;   /* length of that field [bytes], or WHOLE */
	uint16_t once; /* bit of dec->seen where there is one at most; else 0 */
};

#define LIST(name)  SL_PDU_ST_##name
#define FIELD(name) SL_PDU_ST_##name
#define ONCE(name)  SL_PDU_SEEN_##name
/* clang-format off */
static const struct item_row items[] = {
	/* list           in       type  first field                 its len */
	{LIST(ITEM),      RQ | AC, 0x10, FIELD(APPLICATION_CONTEXT), WHOLE, ONCE(APPLICATION_CONTEXT)},
	{LIST(ITEM),      RQ,      0x20, FIELD(PCTX),                4,     0},
	{LIST(ITEM),      AC,      0x21, FIELD(PCTX),                4,     0},
	{LIST(ITEM),      RQ | AC, 0x50, FIELD(USER),                0,     ONCE(USER_INFORMATION)},
	{LIST(PCTX_ITEM), RQ,      0x30, FIELD(ABSTRACT_SYNTAX),     WHOLE, SEEN_ABSTRACT_SYNTAX},
	{LIST(PCTX_ITEM), RQ | AC, 0x40, FIELD(TRANSFER_SYNTAX),     WHOLE, 0},
	{LIST(USER_ITEM), RQ | AC, 0x51, FIELD(MAX_LEN),             4,     ONCE(MAX_LEN)},
	{LIST(USER_ITEM), RQ | AC, 0x52, FIELD(IMPL_CLASS),          WHOLE, ONCE(IMPL_CLASS)},
	{LIST(USER_ITEM), RQ | AC, 0x53, FIELD(ASYNC),               4,     ONCE(ASYNC)},
	{LIST(USER_ITEM), RQ | AC, 0x54, FIELD(ROLE_LEN),            2,     0},
	{LIST(USER_ITEM), RQ | AC, 0x55, FIELD(IMPL_VERSION),        WHOLE, ONCE(IMPL_VERSION)},
	{LIST(USER_ITEM), RQ | AC, 0x56, FIELD(EXTENDED_LEN),        2,     0},
	{LIST(USER_ITEM), RQ,      0x57, FIELD(COMMON_CLASS_LEN),    2,     0},
	{LIST(USER_ITEM), RQ,      0x58, FIELD(IDENTITY),            4,     ONCE(IDENTITY)},
	{LIST(USER_ITEM), AC,      0x59, FIELD(IDENTITY_REPLY),      2,     ONCE(IDENTITY_REPLY)},
};
/* clang-format on */

static uint16_t be16(const uint8_t *field)
{
	struct sl_cur c = sl_cur_of(field, 2);
	return sl_cur_be16(&c);
}

/* The current field as a value; one too long to be kept has no bytes. */
static struct sl_pdu_value value_of(const struct sl_pdu_dec *dec, const uint8_t *field)
{
	bool is_kept = dec->want == dec->stated_len;
	return (struct sl_pdu_value){is_kept ? field : NULL, dec->want, dec->stated_len};
}

/* ---- Items and lists -------------------------------------------------------------------------- */

/* The next item of a list, or what follows the list. The list's level is the innermost. */
static void next_item(struct sl_pdu_dec *dec, enum sl_pdu_state list)
{
	if (list == SL_PDU_ST_USER_ITEM && dec->left[dec->level] == 0) {
		sl_pdu_close(dec);
		list = SL_PDU_ST_ITEM;
	}
	if (dec->left[dec->level] > 0) {
		sl_pdu_enter(dec, list, ITEM_HEAD_LEN);
	} else if (list == SL_PDU_ST_PCTX_ITEM) {
		sl_pdu_close(dec);
		sl_pdu_enter(dec, SL_PDU_ST_PCTX_END, 0);
	} else {
		sl_pdu_enter(dec, SL_PDU_ST_END, 0);
	}
}

static void close_item(struct sl_pdu_dec *dec, enum sl_pdu_state list)
{
	sl_pdu_close(dec);
	next_item(dec, list);
}

static const struct item_row *find_item(const struct sl_pdu_dec *dec, uint8_t type)
{
	uint8_t pdu = dec->type == SL_PDU_ASSOCIATE_RQ ? RQ : AC;
	for (size_t i = 0; i < SL_ARRAY_N(items); i++)
		if (items[i].list == dec->state && items[i].type == type &&
			(items[i].pdus & pdu) != 0)
			return &items[i];
	return NULL;
}

/* Whether one more item of this kind goes beyond a limit of pdu.h. Unknown ones count as well. */
static bool is_one_too_many(struct sl_pdu_dec *dec, const struct item_row *row)
{
	if (dec->state == SL_PDU_ST_USER_ITEM)
		return ++dec->sub_n > SL_MAX_SUB_ITEMS;
	if (row != NULL && row->field == SL_PDU_ST_PCTX)
		return ++dec->pctx_n > SL_MAX_CONTEXTS;
	if (row != NULL && row->field == SL_PDU_ST_TRANSFER_SYNTAX)
		return ++dec->syntax_n > SL_MAX_TRANSFER_SYNTAXES;
	return false;
}

static bool on_item(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	enum sl_pdu_state list = (enum sl_pdu_state)dec->state;
	const struct item_row *row = find_item(dec, field[0]);
	uint16_t len = be16(field + 2);
	if (is_one_too_many(dec, row)) {
		sl_pdu_refuse(dec, SL_UL_ABORT_INVALID_PARAMETER);
		return false;
	}
	sl_pdu_open(dec, len);
	if (row == NULL || (dec->seen & row->once) != 0) {
		dec->ignored_n++;
		close_item(dec, list);
		return false;
	}
	dec->seen |= row->once;
	sl_pdu_enter(dec, (enum sl_pdu_state)row->field, row->len == WHOLE ? len : row->len);
	return false;
}

/* A step for fields that are one value and the end of their item. */
static bool tell_value(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev,
	enum sl_pdu_ev_type type, enum sl_pdu_state list)
{
	sl_pdu_say(dec, ev, type);
	ev->value = value_of(dec, field);
	close_item(dec, list);
	return true;
}

/* ---- In the PDU: 9.3.2, 9.3.3 ------------------------------------------------------------------ */

void sl_pdu_assoc_begin(struct sl_pdu_dec *dec)
{
	dec->seen = dec->pctx_n = dec->sub_n = dec->ignored_n = 0;
	sl_pdu_enter(dec, SL_PDU_ST_AE_TITLES, 68);
}

static bool on_ae_titles(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_AE_TITLES);
	ev->ae.protocol_version = be16(field);
	ev->ae.called = field + 4;
	ev->ae.calling = field + 4 + AE_TITLE_LEN;
	next_item(dec, SL_PDU_ST_ITEM);
	return true;
}

static bool on_application_context(
	struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	return tell_value(dec, field, ev, SL_PDU_EV_APPLICATION_CONTEXT, SL_PDU_ST_ITEM);
}

/* ---- In a presentation context: 9.3.2.2, 9.3.3.2 ----------------------------------------------- */

static bool tell_pctx(struct sl_pdu_dec *dec, struct sl_pdu_ev *ev, enum sl_pdu_ev_type type)
{
	sl_pdu_say(dec, ev, type);
	ev->pctx.id = dec->kept[0];
	ev->pctx.result = dec->kept[1];
	return true;
}

static bool on_pctx(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	dec->kept[0] = field[0];
	dec->kept[1] = dec->type == SL_PDU_ASSOCIATE_AC ? field[2] : 0;
	dec->syntax_n = 0;
	if (dec->kept[1] != SL_PDU_PCTX_ACCEPTED) /* "not significant": 9.3.3.2 */
		sl_pdu_pass(dec, dec->left[dec->level]);
	next_item(dec, SL_PDU_ST_PCTX_ITEM);
	return tell_pctx(dec, ev, SL_PDU_EV_PCTX_BEGIN);
}

static bool on_syntax(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	tell_pctx(dec, ev,
		dec->state == SL_PDU_ST_ABSTRACT_SYNTAX ? SL_PDU_EV_ABSTRACT_SYNTAX
							: SL_PDU_EV_TRANSFER_SYNTAX);
	ev->value = value_of(dec, field);
	close_item(dec, SL_PDU_ST_PCTX_ITEM);
	return true;
}

static bool on_pctx_end(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)field;
	dec->seen &= (uint16_t)~SEEN_ABSTRACT_SYNTAX;
	next_item(dec, SL_PDU_ST_ITEM);
	return tell_pctx(dec, ev, SL_PDU_EV_PCTX_END);
}

/* ---- In the user information: PS3.8 annex D.1, PS3.7 annex D.3.3 -------------------------------- */

static bool on_user(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)field;
	(void)ev;
	next_item(dec, SL_PDU_ST_USER_ITEM);
	return false;
}

static bool on_max_len(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	struct sl_cur c = sl_cur_of(field, 4);
	sl_pdu_say(dec, ev, SL_PDU_EV_MAX_LEN);
	ev->max_len = sl_cur_be32(&c);
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return true;
}

static bool on_impl_class(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	return tell_value(dec, field, ev, SL_PDU_EV_IMPL_CLASS, SL_PDU_ST_USER_ITEM);
}

static bool on_impl_version(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	return tell_value(dec, field, ev, SL_PDU_EV_IMPL_VERSION, SL_PDU_ST_USER_ITEM);
}

static bool on_async(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_ASYNC);
	ev->async.invoked = be16(field);
	ev->async.performed = be16(field + 2);
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return true;
}

/* 54H: the UID and its two role bytes are one field. */
static bool on_role_len(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	sl_pdu_enter(dec, SL_PDU_ST_ROLE, (uint32_t)be16(field) + 2);
	return false;
}

static bool on_role(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	bool is_kept = dec->want >= 2;
	if (is_kept) {
		uint16_t uid_len = (uint16_t)(dec->want - 2);
		sl_pdu_say(dec, ev, SL_PDU_EV_ROLE);
		ev->role.sop_class = (struct sl_pdu_value){field, uid_len, uid_len};
		ev->role.scu = field[uid_len];
		ev->role.scp = field[uid_len + 1];
	} else { /* no UID is that long, so it speaks of no class */
		dec->ignored_n++;
	}
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return is_kept;
}

/* 56H: the UID and the information are one field, or the UID alone where both are not kept. */
static bool on_extended_len(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	uint32_t all = dec->left[dec->level];
	dec->first_len = be16(field);
	bool is_one_field = dec->first_len <= all && all <= SL_PDU_FIELD_MAX;
	sl_pdu_enter(dec, SL_PDU_ST_EXTENDED, is_one_field ? all : dec->first_len);
	return false;
}

static bool on_extended(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	uint16_t n = dec->first_len;
	uint16_t info_n = dec->want > n ? (uint16_t)(dec->want - n) : 0;
	uint16_t left_n = (uint16_t)dec->left[dec->level];
	sl_pdu_say(dec, ev, SL_PDU_EV_EXTENDED);
	ev->extended.sop_class = dec->want >= n ? (struct sl_pdu_value){field, n, n}
						: (struct sl_pdu_value){NULL, 0, n};
	ev->extended.info = left_n == 0 ? (struct sl_pdu_value){field + n, info_n, info_n}
					: (struct sl_pdu_value){NULL, 0, left_n};
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return true;
}

/* 57H: three lengths, each before what it measures; the third is of a list. */
static bool on_common_len(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	enum sl_pdu_state value = dec->state == SL_PDU_ST_COMMON_CLASS_LEN ? SL_PDU_ST_COMMON_CLASS
				  : dec->state == SL_PDU_ST_COMMON_SERVICE_LEN
					  ? SL_PDU_ST_COMMON_SERVICE
					  : SL_PDU_ST_COMMON_RELATED;
	sl_pdu_enter(dec, value, be16(field));
	return false;
}

static bool on_common_class(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_COMMON_CLASS);
	ev->value = value_of(dec, field);
	sl_pdu_enter(dec, SL_PDU_ST_COMMON_SERVICE_LEN, 2);
	return true;
}

static bool on_common_service(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_COMMON_SERVICE);
	ev->value = value_of(dec, field);
	sl_pdu_enter(dec, SL_PDU_ST_COMMON_LIST_LEN, 2);
	return true;
}

static void next_related(struct sl_pdu_dec *dec)
{
	if (dec->left[dec->level] > 0) {
		sl_pdu_enter(dec, SL_PDU_ST_COMMON_RELATED_LEN, 2);
		return;
	}
	sl_pdu_close(dec);
	close_item(dec, SL_PDU_ST_USER_ITEM);
}

static bool on_common_list_len(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	sl_pdu_open(dec, be16(field));
	next_related(dec);
	return false;
}

static bool on_common_related(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_COMMON_RELATED);
	ev->value = value_of(dec, field);
	next_related(dec);
	return true;
}

/* 58H: a user name, passcode, ticket or token never enters dec->field and is in no event. */
static bool on_identity(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	(void)ev;
	dec->kept[0] = field[0];
	dec->kept[1] = field[1];
	dec->first_len = be16(field + 2);
	sl_pdu_pass(dec, dec->first_len);
	sl_pdu_enter(dec, SL_PDU_ST_IDENTITY_SECOND, 2);
	return false;
}

static bool on_identity_second(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_IDENTITY);
	ev->identity.type = dec->kept[0];
	ev->identity.response_wanted = dec->kept[1];
	ev->identity.primary_len = dec->first_len;
	ev->identity.secondary_len = be16(field);
	sl_pdu_pass(dec, ev->identity.secondary_len);
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return true;
}

static bool on_identity_reply(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	sl_pdu_say(dec, ev, SL_PDU_EV_IDENTITY_REPLY);
	ev->reply_len = be16(field);
	sl_pdu_pass(dec, ev->reply_len);
	close_item(dec, SL_PDU_ST_USER_ITEM);
	return true;
}

bool sl_pdu_assoc_step(struct sl_pdu_dec *dec, const uint8_t *field, struct sl_pdu_ev *ev)
{
	static sl_pdu_step_fn *const steps[SL_PDU_ST_N] = {
		[SL_PDU_ST_ITEM] = on_item,
		[SL_PDU_ST_PCTX_ITEM] = on_item,
		[SL_PDU_ST_USER_ITEM] = on_item,
		[SL_PDU_ST_AE_TITLES] = on_ae_titles,
		[SL_PDU_ST_APPLICATION_CONTEXT] = on_application_context,
		[SL_PDU_ST_PCTX] = on_pctx,
		[SL_PDU_ST_PCTX_END] = on_pctx_end,
		[SL_PDU_ST_USER] = on_user,
		[SL_PDU_ST_ABSTRACT_SYNTAX] = on_syntax,
		[SL_PDU_ST_TRANSFER_SYNTAX] = on_syntax,
		[SL_PDU_ST_MAX_LEN] = on_max_len,
		[SL_PDU_ST_IMPL_CLASS] = on_impl_class,
		[SL_PDU_ST_ASYNC] = on_async,
		[SL_PDU_ST_ROLE_LEN] = on_role_len,
		[SL_PDU_ST_ROLE] = on_role,
		[SL_PDU_ST_IMPL_VERSION] = on_impl_version,
		[SL_PDU_ST_EXTENDED_LEN] = on_extended_len,
		[SL_PDU_ST_EXTENDED] = on_extended,
		[SL_PDU_ST_COMMON_CLASS_LEN] = on_common_len,
		[SL_PDU_ST_COMMON_CLASS] = on_common_class,
		[SL_PDU_ST_COMMON_SERVICE_LEN] = on_common_len,
		[SL_PDU_ST_COMMON_SERVICE] = on_common_service,
		[SL_PDU_ST_COMMON_LIST_LEN] = on_common_list_len,
		[SL_PDU_ST_COMMON_RELATED_LEN] = on_common_len,
		[SL_PDU_ST_COMMON_RELATED] = on_common_related,
		[SL_PDU_ST_IDENTITY] = on_identity,
		[SL_PDU_ST_IDENTITY_SECOND] = on_identity_second,
		[SL_PDU_ST_IDENTITY_REPLY] = on_identity_reply,
	};
	sl_assert(dec->state < SL_PDU_ST_N && steps[dec->state] != NULL);
	return steps[dec->state](dec, field, ev);
}
