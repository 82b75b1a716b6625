/* What the decoder says about a stream, as text, one event a line: so that a test reads like the
 * dialogue it is about, and any two splits of one stream can be compared.
 *
 * Each chunk is decoded from a heap copy of its exact size, so that ASan sees a read one byte too
 * far. The slices of one fragment are joined: where they are cut is the split's business. What must
 * hold for every stream (SL_AGAIN leaves nothing, slices lie in the chunk, fragments add up, dead
 * stays dead) is asserted here; the fuzz target uses the same.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pdu.h"

/* Growing text; free(text) when done. */
struct trace {
	char *text;
	size_t len, cap;
	uint64_t hash;  /* of the open fragment's bytes */
	size_t pdv_len; /* of the open fragment, so far */
	bool in_pdu, in_fragment;
	char head[65]; /* the open fragment's first bytes, hex */
};

SL_PRINTF(2, 3) static inline void trace_add(struct trace *t, const char *fmt, ...)
{
	va_list ap;
	if (t->cap - t->len < 1024) {
		t->cap = t->cap * 2 + 4096;
		t->text = realloc(t->text, t->cap);
		sl_assert(t->text != NULL);
	}
	va_start(ap, fmt);
	int n = vsnprintf(t->text + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	sl_assert(n >= 0 && (size_t)n < t->cap - t->len);
	t->len += (size_t)n;
}

static inline void trace_bytes(struct trace *t, const uint8_t *p, size_t n)
{
	trace_add(t, "[");
	for (size_t i = 0; i < n; i++)
		if (p[i] > 0x20 && p[i] < 0x7f)
			trace_add(t, "%c", p[i]);
		else
			trace_add(t, p[i] == ' ' ? "_" : "\\%02x", p[i]);
	trace_add(t, "]");
}

static inline void trace_value(struct trace *t, struct sl_pdu_value v)
{
	if (v.p == NULL) {
		sl_assert(v.len == 0 && v.stated_len > 0);
		trace_add(t, " (%u not kept)", v.stated_len);
		return;
	}
	sl_assert(v.len == v.stated_len && v.len <= SL_PDU_FIELD_MAX);
	trace_add(t, " ");
	trace_bytes(t, v.p, v.len);
}

static inline const char *trace_pdu_name(enum sl_pdu_type type)
{
	static const char *const names[] = {
		"?", "RQ", "AC", "RJ", "PDATA", "RELEASE_RQ", "RELEASE_RP", "ABORT"};
	return names[type];
}

static inline void trace_pdv(struct trace *t, const struct sl_pdu_pdv *pdv)
{
	sl_assert(pdv->fragment_begin == !t->in_fragment);
	sl_assert(pdv->fragment_end == (pdv->left == 0));
	sl_assert(pdv->len > 0 || (pdv->fragment_begin && pdv->fragment_end));
	if (pdv->fragment_begin) {
		t->pdv_len = 0;
		t->hash = 14695981039346656037u;
	}
	for (uint32_t i = 0; i < pdv->len; i++) {
		if (t->pdv_len < 32)
			(void)snprintf(t->head + 2 * t->pdv_len, 3, "%02x", pdv->p[i]);
		t->hash = (t->hash ^ pdv->p[i]) * 1099511628211u;
		t->pdv_len++;
	}
	t->in_fragment = !pdv->fragment_end;
	if (t->in_fragment)
		return;
	trace_add(t, "PDV %u%s%s n=%zu", pdv->pcid, pdv->is_command ? " command" : " data",
		pdv->is_last ? " last" : "", t->pdv_len);
	if (t->pdv_len > 32)
		trace_add(t, " #%016llx", (unsigned long long)t->hash);
	else if (t->pdv_len > 0)
		trace_add(t, " %.*s", (int)(2 * t->pdv_len), t->head);
	trace_add(t, "\n");
}

static inline void trace_end(struct trace *t, const struct sl_pdu_ev *ev)
{
	trace_add(t, "END %s", trace_pdu_name(ev->pdu));
	if (ev->pdu == SL_PDU_ASSOCIATE_RQ || ev->pdu == SL_PDU_ASSOCIATE_AC)
		trace_add(t, " seen=%02x pctx=%u ignored=%u", ev->assoc.seen, ev->assoc.pctx_n,
			ev->assoc.ignored_n);
	else if (ev->pdu == SL_PDU_ASSOCIATE_RJ)
		trace_add(t, " %u/%u/%u", ev->reject.result, ev->reject.source, ev->reject.reason);
	else if (ev->pdu == SL_PDU_ABORT)
		trace_add(t, " %u/%u", ev->reason.source, ev->reason.reason);
	trace_add(t, "\n");
}

static inline void trace_named(struct trace *t, const char *name, struct sl_pdu_value v)
{
	trace_add(t, "%s", name);
	trace_value(t, v);
	trace_add(t, "\n");
}

static inline void trace_user(struct trace *t, const struct sl_pdu_ev *ev)
{
	switch ((int)ev->type) {
	case SL_PDU_EV_MAX_LEN:
		trace_add(t, "MAX_LEN %u\n", ev->max_len);
		break;
	case SL_PDU_EV_ASYNC:
		trace_add(t, "ASYNC %u %u\n", ev->async.invoked, ev->async.performed);
		break;
	case SL_PDU_EV_ROLE:
		trace_add(t, "ROLE");
		trace_value(t, ev->role.sop_class);
		trace_add(t, " scu=%u scp=%u\n", ev->role.scu, ev->role.scp);
		break;
	case SL_PDU_EV_EXTENDED:
		trace_add(t, "EXTENDED");
		trace_value(t, ev->extended.sop_class);
		trace_value(t, ev->extended.info);
		trace_add(t, "\n");
		break;
	case SL_PDU_EV_IDENTITY:
		trace_add(t, "IDENTITY type=%u wanted=%u %u+%u\n", ev->identity.type,
			ev->identity.response_wanted, ev->identity.primary_len,
			ev->identity.secondary_len);
		break;
	case SL_PDU_EV_IDENTITY_REPLY:
		trace_add(t, "IDENTITY_REPLY %u\n", ev->reply_len);
		break;
	default:
		sl_assert(false && "an event the trace does not know");
	}
}

static inline void trace_event(struct trace *t, const struct sl_pdu_ev *ev)
{
	sl_assert(t->in_pdu == (ev->type != SL_PDU_EV_BEGIN));
	sl_assert(!t->in_fragment || ev->type == SL_PDU_EV_PDV);
	switch (ev->type) {
	case SL_PDU_EV_BEGIN:
		t->in_pdu = true;
		trace_add(t, "BEGIN %s %u\n", trace_pdu_name(ev->pdu), ev->pdu_len);
		return;
	case SL_PDU_EV_PDV:
		trace_pdv(t, &ev->pdv);
		return;
	case SL_PDU_EV_AE_TITLES:
		trace_add(t, "AE_TITLES v=%04x ", ev->ae.protocol_version);
		trace_bytes(t, ev->ae.called, 16);
		trace_bytes(t, ev->ae.calling, 16);
		trace_add(t, "\n");
		return;
	case SL_PDU_EV_PCTX_BEGIN:
		trace_add(t, "PCTX %u result=%u\n", ev->pctx.id, ev->pctx.result);
		return;
	case SL_PDU_EV_ABSTRACT_SYNTAX:
	case SL_PDU_EV_TRANSFER_SYNTAX:
		trace_add(t, "PCTX %u", ev->pctx.id);
		trace_named(t, ev->type == SL_PDU_EV_ABSTRACT_SYNTAX ? " abstract" : " transfer",
			ev->value);
		return;
	case SL_PDU_EV_PCTX_END:
		trace_add(t, "PCTX %u end\n", ev->pctx.id);
		return;
	case SL_PDU_EV_APPLICATION_CONTEXT:
		trace_named(t, "APPLICATION_CONTEXT", ev->value);
		return;
	case SL_PDU_EV_IMPL_CLASS:
		trace_named(t, "IMPL_CLASS", ev->value);
		return;
	case SL_PDU_EV_IMPL_VERSION:
		trace_named(t, "IMPL_VERSION", ev->value);
		return;
	case SL_PDU_EV_COMMON_CLASS:
		trace_named(t, "COMMON_CLASS", ev->value);
		return;
	case SL_PDU_EV_COMMON_SERVICE:
		trace_named(t, "COMMON_SERVICE", ev->value);
		return;
	case SL_PDU_EV_COMMON_RELATED:
		trace_named(t, "COMMON_RELATED", ev->value);
		return;
	case SL_PDU_EV_MAX_LEN:
	case SL_PDU_EV_ASYNC:
	case SL_PDU_EV_ROLE:
	case SL_PDU_EV_EXTENDED:
	case SL_PDU_EV_IDENTITY:
	case SL_PDU_EV_IDENTITY_REPLY:
		trace_user(t, ev);
		return;
	case SL_PDU_EV_END:
		t->in_pdu = false;
		trace_end(t, ev);
		return;
	}
	sl_assert(false && "an event outside the enum");
}

/* Decodes one chunk; false when the decoder has refused. */
static inline bool trace_chunk(
	struct trace *t, struct sl_pdu_dec *dec, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n + (n == 0));
	sl_assert(copy != NULL);
	if (n > 0)
		memcpy(copy, bytes, n);
	struct sl_cur in = sl_cur_of(copy, n);
	struct sl_pdu_ev ev;
	enum sl_status st;
	while ((st = sl_pdu_next(dec, &in, &ev)) == SL_OK) {
		if (ev.type == SL_PDU_EV_PDV && ev.pdv.len > 0)
			sl_assert(ev.pdv.p >= copy && ev.pdv.p + ev.pdv.len == in.p);
		trace_event(t, &ev);
	}
	sl_assert(sl_cur_left(&in) == 0 && !in.bad);
	if (st == SL_E_PDU) {
		sl_assert(sl_pdu_next(dec, &in, &ev) == SL_E_PDU);
		trace_add(t, "E_PDU %u/%u\n", dec->reason.source, dec->reason.reason);
	} else {
		sl_assert(st == SL_AGAIN);
	}
	free(copy);
	return st == SL_AGAIN;
}

/* The whole story of n bytes cut at `cuts` (ascending, each at most n). The caller frees it. */
static inline char *trace_run(
	const uint8_t *bytes, size_t n, uint32_t max_len, const size_t *cuts, size_t cuts_n)
{
	struct trace t = {0};
	struct sl_pdu_dec dec;
	size_t at = 0;
	sl_pdu_init(&dec, max_len);
	trace_add(&t, "%s", "");
	for (size_t i = 0; i <= cuts_n; i++) {
		size_t to = i < cuts_n ? cuts[i] : n;
		if (!trace_chunk(&t, &dec, bytes + at, to - at))
			break;
		at = to;
	}
	return t.text;
}
