/* From a complete command to its service; see svc.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/svc.h"

#include <stdio.h>

#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"

static const struct sl_svc services[] = {
	{SL_CMD_C_ECHO_RQ, SL_SOP_VERIFICATION, "echo", false, sl_svc_echo_request},
	{SL_CMD_C_STORE_RQ, SL_SOP_STORAGE, "store", true, sl_svc_store_request},
};

const struct sl_svc *sl_svc_find(uint16_t field)
{
	for (size_t i = 0; i < SL_ARRAY_N(services); i++)
		if (services[i].field == field)
			return &services[i];
	return NULL;
}

/* The Message ID belongs to an operation that is still open. */
static bool is_taken(const struct sl_assoc *a, uint16_t message_id)
{
	sl_list_for_each (node, &a->stores) {
		const struct sl_svc_store *s = sl_container_of(node, struct sl_svc_store, node);
		if (sl_svc_store_is_busy(s) && s->rsp.responded_to == message_id)
			return true;
	}
	return false;
}

static bool is_window_full(const struct sl_assoc *a)
{
	sl_list_for_each (node, &a->stores)
		if (!sl_svc_store_is_busy(sl_container_of(node, struct sl_svc_store, node)))
			return false;
	return true;
}

bool sl_svc_must_wait(const struct sl_assoc *a, const struct sl_svc_request *rq)
{
	const struct sl_svc *svc = sl_svc_find(rq->cmd->field);
	if (svc == NULL || !svc->needs_window || !is_window_full(a))
		return false;
	/* A second request with the Message ID of an open one need not wait for its refusal. */
	return !is_taken(a, rq->cmd->message_id);
}

/* ---- refusals -------------------------------------------------------------------------------- */

void sl_svc_refuse(struct sl_assoc *a, const struct sl_svc_request *rq, enum sl_dstat status,
	const char *why, const char *comment)
{
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(rq->cmd, status, comment);
	rsp.offenders_n = sl_cmd_offenders(rq->cmd, rsp.offenders);
	if (rq->cmd->field == SL_CMD_C_STORE_RQ)
		sl_story_refused_store(&a->story, (uint16_t)status, why, &rq->cmd->affected_class);
	else
		a->story.others++;
	if (!rq->has_data_set) {
		sl_assoc_answer(a, rq->pcid, &rsp);
		return;
	}
	a->sink = (struct sl_svc_sink){.kind = SL_SVC_SINK_REFUSE, .rsp = rsp};
	snprintf(a->sink.comment, sizeof(a->sink.comment), "%s", comment);
	a->sink.rsp.comment = a->sink.comment;
}

static bool is_class_of_context(const struct sl_svc_request *rq)
{
	return sl_uid_equal(&rq->cmd->affected_class, &rq->context->abstract_syntax);
}

static bool is_offered(const struct sl_svc *svc, const struct sl_nego_context *context)
{
	if (context->sop == SL_REGISTRY_NONE)
		return svc->kind == SL_SOP_STORAGE; /* unknown classes are taken for storage */
	return sl_registry_sop_at(context->sop)->kind == svc->kind;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static void unknown(struct sl_assoc *a, const struct sl_svc_request *rq)
{
	char comment[SL_CMD_COMMENT_MAX + 1];
	snprintf(comment, sizeof(comment), "%s (%04XH) is not offered here",
		sl_cmd_field_name(rq->cmd->field), rq->cmd->field);
	sl_stats_add(&a->conn->loop->server->stats->unknown_commands, 1);
	sl_svc_refuse(a, rq, SL_DSTAT_UNRECOGNIZED_OPERATION, "unknown-command", comment);
}

void sl_svc_begin(struct sl_assoc *a, const struct sl_svc_request *rq)
{
	a->sink = (struct sl_svc_sink){.kind = SL_SVC_SINK_NONE};
	if (rq->cmd->field == SL_CMD_C_CANCEL_RQ)
		return; /* nothing we serve can be cancelled; it has no response */
	const struct sl_svc *svc = sl_svc_find(rq->cmd->field);
	if (svc == NULL)
		unknown(a, rq);
	else if (rq->cmd_status != SL_OK)
		sl_svc_refuse(a, rq, sl_cmd_fault_status(rq->cmd), "bad-command", rq->fault);
	else if (!is_class_of_context(rq))
		sl_svc_refuse(a, rq, SL_DSTAT_CLASS_NOT_SUPPORTED, "class-not-of-context",
			"Affected SOP Class is not that of the presentation context");
	else if (!is_offered(svc, rq->context))
		unknown(a, rq);
	else if (is_taken(a, rq->cmd->message_id))
		sl_svc_refuse(a, rq, SL_DSTAT_DUPLICATE_INVOCATION, "duplicate-message-id",
			"Message ID belongs to an operation that is still open");
	else
		svc->on_request(a, rq);
}

enum sl_status sl_svc_data(struct sl_assoc *a, struct sl_msg_ev *ev)
{
	switch (a->sink.kind) {
	case SL_SVC_SINK_STORE:
		if (sl_svc_store_data(a->sink.store, ev) == SL_AGAIN)
			return SL_AGAIN;
		break;
	case SL_SVC_SINK_REFUSE:
		a->story.bytes += ev->len;
		if (ev->is_end)
			sl_assoc_answer(a, ev->pcid, &a->sink.rsp);
		break;
	case SL_SVC_SINK_NONE:
		break;
	}
	if (ev->is_end)
		a->sink.kind = SL_SVC_SINK_NONE;
	return SL_OK;
}

void sl_svc_abort(struct sl_assoc *a)
{
	a->sink.kind = SL_SVC_SINK_NONE;
	sl_list_for_each (node, &a->stores)
		sl_svc_store_abort(sl_container_of(node, struct sl_svc_store, node));
}
