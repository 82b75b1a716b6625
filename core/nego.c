/* Negotiation: collects a request, decides, and lays the answer out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/nego.h"

#include <string.h>

#include "core/impl.h"

/* ---- Policy ---------------------------------------------------------------------------------- */

void sl_nego_policy_init(struct sl_nego_policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	policy->served = 1u << SL_SOP_STORAGE | 1u << SL_SOP_VERIFICATION;
	policy->accept_unknown_classes = true;
	policy->async_max = 1;
	size_t bad;
	enum sl_status st = sl_nego_policy_prefer(policy, NULL, 0, &bad);
	sl_assert(st == SL_OK);
}

enum sl_status sl_nego_policy_prefer(
	struct sl_nego_policy *policy, const struct sl_uid *prefer, size_t n, size_t *bad)
{
	size_t rows_n;
	const struct sl_ts_row *rows = sl_registry_transfer_syntaxes(&rows_n);
	uint8_t order[SL_REGISTRY_TS_MAX];
	memset(order, SL_NEGO_NEVER, sizeof(order));
	/* The ranks begin where the preferred end: at most all syntaxes, well below NEVER. */
	_Static_assert(SL_REGISTRY_TS_MAX + SL_TS_RANK_N < SL_NEGO_NEVER, "orders must fit");
	for (size_t i = 0; i < rows_n; i++)
		if (rows[i].rank != SL_TS_NOT_A_DATA_SET)
			order[i] = (uint8_t)(SL_REGISTRY_TS_MAX + rows[i].rank);
	for (size_t i = 0; i < n; i++) {
		const struct sl_ts_row *ts = sl_registry_ts(&prefer[i]);
		*bad = i;
		if (ts == NULL || ts->rank == SL_TS_NOT_A_DATA_SET)
			return SL_E_NOTFOUND;
		uint8_t *place = &order[sl_registry_ts_number(ts)];
		if (*place < SL_REGISTRY_TS_MAX)
			return SL_E_EXISTS;
		*place = (uint8_t)i;
	}
	memcpy(policy->order, order, sizeof(order));
	return SL_OK;
}

bool sl_nego_accepts_class(const struct sl_nego_policy *policy, const struct sl_sop_row *sop)
{
	enum sl_sop_kind kind = sop != NULL ? sop->kind : SL_SOP_STORAGE;
	if (sop == NULL && !policy->accept_unknown_classes)
		return false;
	return (policy->served & 1u << kind) != 0;
}

/* ---- Collecting ------------------------------------------------------------------------------ */

void sl_nego_init(struct sl_nego *n)
{
	memset(n, 0, sizeof(*n));
	n->peer_max_len = SL_PDU_ASSUMED_MAX_LEN;
	n->bad_application_context = true; /* until it comes */
	n->best = n->best_plain = SL_REGISTRY_NONE;
}

static bool is_storage(const struct sl_nego_context *c)
{
	const struct sl_sop_row *sop = sl_registry_sop_at(c->sop);
	return sop == NULL || sop->kind == SL_SOP_STORAGE;
}

/* A UID of an item; false when it cannot be one. */
static bool uid_of(struct sl_uid *uid, const struct sl_pdu_value *v)
{
	memset(uid, 0, sizeof(*uid));
	return v->p != NULL && sl_uid_parse(uid, v->p, v->len) == SL_OK;
}

static void on_titles(struct sl_nego *n, const struct sl_pdu_ev *ev)
{
	/* Only bit 0 is tested, all others are not significant (9.3.2). */
	n->bad_version = (ev->ae.protocol_version & 1) == 0;
	memcpy(n->called_field, ev->ae.called, sizeof(n->called_field));
	memcpy(n->calling_field, ev->ae.calling, sizeof(n->calling_field));
	/* What cannot be a title stays empty; sl_nego_decide() says what follows. */
	if (sl_ae_parse(&n->called, n->called_field, sizeof(n->called_field)) != SL_OK)
		n->called.len = 0;
	if (sl_ae_parse(&n->calling, n->calling_field, sizeof(n->calling_field)) != SL_OK)
		n->calling.len = 0;
}

static void on_application_context(struct sl_nego *n, const struct sl_pdu_value *v)
{
	struct sl_uid uid;
	n->bad_application_context =
		!uid_of(&uid, v) || strcmp(uid.s, SL_APPLICATION_CONTEXT_UID) != 0;
}

static void on_context_begin(struct sl_nego *n, uint8_t id)
{
	struct sl_nego_context *c = &n->contexts[id / 2];
	n->open_id = 0;
	n->best = n->best_plain = SL_REGISTRY_NONE;
	if ((id & 1) == 0 || c->asked != 0) {
		n->bad_context_id = true;
		return;
	}
	c->asked = SL_NEGO_ASKED_CONTEXT;
	c->sop = c->ts = SL_REGISTRY_NONE;
	n->open_id = id;
	n->order[n->contexts_n++] = id;
}

static void on_abstract_syntax(struct sl_nego *n, const struct sl_pdu_value *v)
{
	struct sl_nego_context *c = &n->contexts[n->open_id / 2];
	if (n->open_id == 0 || c->abstract_syntax.len != 0)
		return; /* of a context that is not kept, or a second one: there is one only */
	if (uid_of(&c->abstract_syntax, v))
		c->sop = sl_registry_sop_number(sl_registry_sop_class(&c->abstract_syntax));
}

static void on_transfer_syntax(
	struct sl_nego *n, const struct sl_nego_policy *policy, const struct sl_pdu_value *v)
{
	struct sl_uid uid;
	if (n->open_id == 0 || !uid_of(&uid, v))
		return;
	const struct sl_ts_row *ts = sl_registry_ts(&uid);
	uint16_t number = sl_registry_ts_number(ts);
	if (ts == NULL || policy->order[number] == SL_NEGO_NEVER)
		return;
	/* Equal order: the first stays, for the requestor named it first. */
	if (n->best == SL_REGISTRY_NONE || policy->order[number] < policy->order[n->best])
		n->best = number;
	if (n->best_plain == SL_REGISTRY_NONE || ts->rank < sl_registry_ts_at(n->best_plain)->rank)
		n->best_plain = number;
}

static void on_context_end(struct sl_nego *n, const struct sl_nego_policy *policy)
{
	struct sl_nego_context *c = &n->contexts[n->open_id / 2];
	if (n->open_id == 0)
		return;
	n->open_id = 0;
	/* What somebody prefers for images says nothing about an echo: for it the rank alone. */
	uint16_t ts = is_storage(c) ? n->best : n->best_plain;
	if (c->abstract_syntax.len == 0 ||
		!sl_nego_accepts_class(policy, sl_registry_sop_at(c->sop))) {
		c->result = SL_PDU_PCTX_ABSTRACT_SYNTAX;
	} else if (ts == SL_REGISTRY_NONE) {
		c->result = SL_PDU_PCTX_TRANSFER_SYNTAX;
	} else {
		c->result = SL_PDU_PCTX_ACCEPTED;
		c->ts = ts;
		n->accepted_n++;
	}
}

/* Notes what was asked for a SOP class on every context that has it (contexts come before user
 * information: 9.3.2). A class that is in no context is passed over: there is nothing to answer. */
static void mark_class(struct sl_nego *n, const struct sl_pdu_value *v, unsigned asked)
{
	struct sl_uid uid;
	if (!uid_of(&uid, v))
		return;
	for (size_t i = 0; i < n->contexts_n; i++) {
		struct sl_nego_context *c = &n->contexts[n->order[i] / 2];
		if (sl_uid_equal(&c->abstract_syntax, &uid))
			c->asked = (uint8_t)(c->asked | asked);
	}
}

static void on_impl_version(struct sl_nego *n, const struct sl_pdu_value *v)
{
	size_t len = v->p != NULL ? sl_min(v->len, sizeof(n->impl_version) - 1) : 0;
	memset(n->impl_version, 0, sizeof(n->impl_version));
	if (len > 0)
		memcpy(n->impl_version, v->p, len);
}

void sl_nego_feed(
	struct sl_nego *n, const struct sl_nego_policy *policy, const struct sl_pdu_ev *ev)
{
	if (ev->pdu != SL_PDU_ASSOCIATE_RQ)
		return;
	switch (ev->type) {
	case SL_PDU_EV_AE_TITLES:
		on_titles(n, ev);
		break;
	case SL_PDU_EV_APPLICATION_CONTEXT:
		on_application_context(n, &ev->value);
		break;
	case SL_PDU_EV_PCTX_BEGIN:
		on_context_begin(n, ev->pctx.id);
		break;
	case SL_PDU_EV_ABSTRACT_SYNTAX:
		on_abstract_syntax(n, &ev->value);
		break;
	case SL_PDU_EV_TRANSFER_SYNTAX:
		on_transfer_syntax(n, policy, &ev->value);
		break;
	case SL_PDU_EV_PCTX_END:
		on_context_end(n, policy);
		break;
	case SL_PDU_EV_MAX_LEN:
		n->peer_max_len = ev->max_len;
		break;
	case SL_PDU_EV_IMPL_CLASS:
		if (!uid_of(&n->impl_class, &ev->value))
			n->impl_class.len = 0;
		break;
	case SL_PDU_EV_IMPL_VERSION:
		on_impl_version(n, &ev->value);
		break;
	case SL_PDU_EV_ASYNC:
		n->has_async = true;
		n->async_invoked = ev->async.invoked;
		n->async_performed = ev->async.performed;
		break;
	case SL_PDU_EV_ROLE:
		mark_class(n, &ev->role.sop_class,
			SL_NEGO_ASKED_ROLE | (ev->role.scu == 1 ? SL_NEGO_ASKED_SCU : 0u) |
				(ev->role.scp == 1 ? SL_NEGO_ASKED_SCP : 0u));
		break;
	case SL_PDU_EV_EXTENDED:
		mark_class(n, &ev->extended.sop_class, SL_NEGO_ASKED_EXTENDED);
		break;
	case SL_PDU_EV_IDENTITY:
		n->identity_type = ev->identity.type;
		n->identity_reply_wanted = ev->identity.response_wanted == 1;
		break;
	case SL_PDU_EV_BEGIN:
	case SL_PDU_EV_PDV:
	case SL_PDU_EV_COMMON_CLASS: /* 57H has no answer (PS3.7 D.3.3.6) */
	case SL_PDU_EV_COMMON_SERVICE:
	case SL_PDU_EV_COMMON_RELATED:
	case SL_PDU_EV_IDENTITY_REPLY:
	case SL_PDU_EV_END:
		break;
	}
}

/* ---- Deciding -------------------------------------------------------------------------------- */

enum {
	VERSION,
	APPLICATION_CONTEXT,
	CALLING_AE,
	CALLED_AE,
	LIMIT,
	CONGESTION,
	CONTEXT_ID,
	NO_CONTEXTS,
	MAX_LENGTH,
	ACCEPTED,
	OUTCOMES_N
};

#define REJECT(tuple) .verdict = SL_NEGO_REJECT, .reject = tuple

static const struct sl_nego_decision outcomes[OUTCOMES_N] = {
	[VERSION] = {REJECT(SL_UL_RJ_PROTOCOL_VERSION), .why = "protocol-version",
		.when = "bit 0 of the protocol version is clear"},
	[APPLICATION_CONTEXT] = {REJECT(SL_UL_RJ_APPLICATION_CONTEXT), .why = "application-context",
		.when = "the application context is missing or not " SL_APPLICATION_CONTEXT_UID},
	[CALLING_AE] = {REJECT(SL_UL_RJ_CALLING_AE), .why = "calling-ae",
		.when = "the calling AE title is empty, has characters that are not allowed, or is "
			"not one that may come from this address"},
	[CALLED_AE] = {REJECT(SL_UL_RJ_CALLED_AE), .why = "called-ae",
		.when = "the called AE title is empty, has characters that are not allowed, or is "
			"checked and not ours"},
	[LIMIT] = {REJECT(SL_UL_RJ_LIMIT), .why = "limit",
		.when = "the node, or this peer, has as many associations as it may"},
	[CONGESTION] = {REJECT(SL_UL_RJ_CONGESTION), .why = "congestion",
		.when = "the buffers are too short for one more association, or the node is "
			"stopping"},
	[CONTEXT_ID] = {.verdict = SL_NEGO_ABORT,
		.abort = {SL_UL_SOURCE_PROVIDER, SL_UL_ABORT_INVALID_PARAMETER},
		.why = "context-id",
		.when = "a presentation context ID is even or comes twice"},
	[NO_CONTEXTS] = {REJECT(SL_UL_RJ_NO_REASON), .why = "no-contexts",
		.when = "no presentation context is proposed"},
	[MAX_LENGTH] = {REJECT(SL_UL_RJ_NO_REASON), .why = "max-length",
		.when = "the requestor's Maximum Length is 1 to 6, too short for any answer"},
	[ACCEPTED] = {.verdict = SL_NEGO_ACCEPT, .why = "accepted", .when = "otherwise"},
};

const struct sl_nego_decision *sl_nego_outcomes(size_t *n)
{
	*n = OUTCOMES_N;
	return outcomes;
}

static unsigned judge(const struct sl_nego *n, const struct sl_nego_node *node)
{
	if (n->bad_version)
		return VERSION;
	if (n->bad_application_context)
		return APPLICATION_CONTEXT;
	if (n->calling.len == 0 || !node->calling_permitted)
		return CALLING_AE;
	if (n->called.len == 0 || !node->called_recognized)
		return CALLED_AE;
	if (node->limit_reached)
		return LIMIT;
	if (node->congested)
		return CONGESTION;
	if (n->bad_context_id)
		return CONTEXT_ID;
	if (n->contexts_n == 0)
		return NO_CONTEXTS;
	if (sl_pdu_fragment_max(n->peer_max_len, SL_PDU_ASSUMED_MAX_LEN) == 0)
		return MAX_LENGTH;
	return ACCEPTED;
}

/* 0 asks for any number (PS3.7 D.3.3.3). */
static uint16_t grant(uint16_t asked, uint16_t max)
{
	return asked == 0 || asked > max ? max : asked;
}

struct sl_nego_decision sl_nego_decide(
	struct sl_nego *n, const struct sl_nego_policy *policy, const struct sl_nego_node *node)
{
	uint16_t max = policy->async_max;
	sl_assert(max > 0);
	if (node->async_max > 0 && node->async_max < max)
		max = node->async_max;
	/* Without 53H the association is synchronous: one operation each way (D.3.3.3.1). */
	n->async_invoked = n->has_async ? grant(n->async_invoked, max) : 1;
	n->async_performed = n->has_async ? grant(n->async_performed, max) : 1;
	return outcomes[judge(n, node)];
}

const struct sl_nego_context *sl_nego_context(const struct sl_nego *n, uint8_t id)
{
	const struct sl_nego_context *c = &n->contexts[id / 2];
	bool accepted = (id & 1) != 0 && (c->asked & SL_NEGO_ASKED_CONTEXT) != 0 &&
			c->result == SL_PDU_PCTX_ACCEPTED;
	return accepted ? c : NULL;
}

/* ---- Answering ------------------------------------------------------------------------------- */

/* True when a C-GET could come: only then may the requestor be a storage SCP (PS3.4 C.4.3). */
static bool has_get(const struct sl_nego *n)
{
	for (size_t i = 0; i < n->contexts_n; i++) {
		const struct sl_nego_context *c = sl_nego_context(n, n->order[i]);
		const struct sl_sop_row *sop = c != NULL ? sl_registry_sop_at(c->sop) : NULL;
		if (sop != NULL && sop->kind == SL_SOP_GET)
			return true;
	}
	return false;
}

/* The i-th context if it is the first accepted one of its SOP class, else NULL: roles and extended
 * negotiation are answered once per class. */
static const struct sl_nego_context *first_of_class(const struct sl_nego *n, size_t i)
{
	const struct sl_nego_context *c = sl_nego_context(n, n->order[i]);
	for (size_t k = 0; c != NULL && k < i; k++) {
		const struct sl_nego_context *before = sl_nego_context(n, n->order[k]);
		if (before != NULL && sl_uid_equal(&before->abstract_syntax, &c->abstract_syntax))
			return NULL;
	}
	return c;
}

/* 54H, PS3.7 D.3.3.4: the SCU role as asked; the SCP role where a C-GET needs it. */
static struct sl_pdu_role role_of(const struct sl_nego_context *c, bool get)
{
	return (struct sl_pdu_role){.sop_class = c->abstract_syntax,
		.scu = (c->asked & SL_NEGO_ASKED_SCU) != 0,
		.scp = (c->asked & SL_NEGO_ASKED_SCP) != 0 && get && is_storage(c)};
}

/* 56H of the Storage Service Class, PS3.4 B.3.1: level 2 (full), signature level 3 (bit-preserving:
 * signatures stay valid), no coercion. */
static struct sl_pdu_extended storage_level_of(const struct sl_nego_context *c)
{
	return (struct sl_pdu_extended){
		.sop_class = c->abstract_syntax, .info_len = 6, .info = {2, 0, 3, 0, 0, 0}};
}

static void answer_user(const struct sl_nego *n, uint32_t max_len, struct sl_nego_answer *a)
{
	struct sl_pdu_user *user = &a->ac.user;
	bool get = has_get(n);
	for (size_t i = 0; i < n->contexts_n; i++) {
		const struct sl_nego_context *c = first_of_class(n, i);
		if (c == NULL)
			continue;
		if ((c->asked & SL_NEGO_ASKED_ROLE) != 0)
			a->roles[user->roles_n++] = role_of(c, get);
		if ((c->asked & SL_NEGO_ASKED_EXTENDED) != 0 && is_storage(c))
			a->extended[user->extended_n++] = storage_level_of(c);
	}
	user->max_len = max_len;
	user->impl_class_uid = sl_uid_of(SL_IMPL_CLASS_UID);
	user->impl_version_name = SL_IMPL_VERSION_NAME;
	user->has_async = n->has_async;
	user->async_invoked = n->async_invoked;
	user->async_performed = n->async_performed;
	user->roles = a->roles;
	user->extended = a->extended;
	/* Empty for name and passcode; for the others we have nothing to prove ourselves with. */
	user->has_identity_reply =
		n->identity_reply_wanted && (n->identity_type == 1 || n->identity_type == 2);
}

void sl_nego_answer(const struct sl_nego *n, uint32_t max_len, struct sl_nego_answer *answer)
{
	memset(&answer->ac, 0, sizeof(answer->ac));
	memcpy(answer->ac.called_ae, n->called_field, sizeof(n->called_field));
	memcpy(answer->ac.calling_ae, n->calling_field, sizeof(n->calling_field));
	for (size_t i = 0; i < n->contexts_n; i++) {
		const struct sl_nego_context *c = &n->contexts[n->order[i] / 2];
		struct sl_pdu_pctx_result *r = &answer->pctx[i];
		*r = (struct sl_pdu_pctx_result){.id = n->order[i], .result = c->result};
		if (c->result == SL_PDU_PCTX_ACCEPTED)
			r->transfer_syntax = sl_uid_of(sl_registry_ts_at(c->ts)->uid);
	}
	answer->ac.pctx = answer->pctx;
	answer->ac.pctx_n = n->contexts_n;
	answer_user(n, max_len, answer);
}
