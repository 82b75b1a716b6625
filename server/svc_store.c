/* C-STORE (PS3.7 9.1.1, 9.3.1; PS3.4 annex B): from the command to the object in ingest, and from its
 * result to the response.
 *
 * Happy path: the request begins an object; each slice of its data set goes into the connection's
 * intake, the last one finishes it; ingest decides; the response carries what ingest says.
 *
 * Failure: as soon as the object can only fail its buffers are given up and bytes are counted, and the
 * status is told when the last PDV has come in.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/svc.h"

static struct sl_intake *intake_of(const struct sl_svc_store *s)
{
	return &s->assoc->conn->intake;
}

bool sl_svc_store_is_busy(const struct sl_svc_store *s)
{
	return sl_sm_state(&s->op.stage) != SL_OP_FREE;
}

/* ---- the request ----------------------------------------------------------------------------- */

static struct sl_svc_store *take_free(struct sl_assoc *a)
{
	sl_list_for_each (node, &a->stores) {
		struct sl_svc_store *s = sl_container_of(node, struct sl_svc_store, node);
		if (!sl_svc_store_is_busy(s))
			return s;
	}
	return NULL;
}

static void begin(struct sl_svc_store *s, const struct sl_svc_request *rq)
{
	struct sl_assoc *a = s->assoc;
	struct sl_ingest_params params = {
		.sop_class_uid = rq->cmd->affected_class,
		.sop_instance_uid = rq->cmd->affected_instance,
		.transfer_syntax_uid = sl_uid_of(sl_registry_ts_at(rq->context->ts)->uid),
		.calling = a->nego.calling,
		.called = a->nego.called,
		.duplicates = a->grant.duplicates,
	};
	memcpy(params.charset, a->grant.charset, sizeof(params.charset));
	struct sl_server *server = a->conn->loop->server;
	sl_stats_add(&server->stats->objects_in, 1);
	s->pcid = rq->pcid;
	s->dropped = 0;
	s->rsp = sl_cmd_rsp_to(rq->cmd, SL_DSTAT_PROCESSING_FAILURE, NULL);
	s->is_dropping = sl_op_begin(&s->op, server->ingest, &params) != SL_OK;
	if (!s->is_dropping)
		sl_intake_begin(intake_of(s), &s->op);
	a->sink = (struct sl_svc_sink){.kind = SL_SVC_SINK_STORE, .store = s};
}

void sl_svc_store_request(struct sl_assoc *a, const struct sl_svc_request *rq)
{
	if (!rq->has_data_set) {
		sl_svc_refuse(a, rq, SL_DSTAT_NO_DATA_SET, "no-data-set",
			"C-STORE-RQ says that no data set follows");
		return;
	}
	struct sl_svc_store *s = take_free(a);
	sl_assert(s != NULL); /* sl_svc_must_wait() saw to it */
	begin(s, rq);
}

/* ---- its data set ---------------------------------------------------------------------------- */

/* The object can only fail: what was gathered for it is given up. */
static void start_dropping(struct sl_svc_store *s)
{
	s->is_dropping = true;
	s->dropped += sl_intake_drop(intake_of(s));
}

enum sl_status sl_svc_store_data(struct sl_svc_store *s, struct sl_msg_ev *ev)
{
	if (!s->is_dropping && sl_ingest_is_failed(&s->op.object))
		start_dropping(s);
	if (s->is_dropping) {
		s->dropped += ev->len;
		if (ev->is_end)
			sl_op_finish(&s->op, false, s->dropped);
		return SL_OK;
	}
	if (sl_intake_add(intake_of(s), ev->p, ev->len) == SL_AGAIN)
		return SL_AGAIN;
	ev->len = 0; /* taken: the end alone may have to be asked for again */
	return ev->is_end ? sl_intake_finish(intake_of(s), 0) : SL_OK;
}

void sl_svc_store_abort(struct sl_svc_store *s)
{
	if (sl_sm_state(&s->op.stage) != SL_OP_OPEN)
		return;
	if (!s->is_dropping)
		start_dropping(s);
	sl_op_abort(&s->op);
}

/* ---- news ------------------------------------------------------------------------------------ */

static void on_part(struct sl_op *op)
{
	struct sl_svc_store *s = op->owner;
	/* A connection that waits for a buffer need not wait any longer for an object that failed. */
	if (sl_sm_state(&op->stage) == SL_OP_OPEN && !s->is_dropping &&
		sl_ingest_is_failed(&op->object))
		start_dropping(s);
	s->assoc->on_object(s->assoc);
}

static void on_done(struct sl_op *op)
{
	struct sl_svc_store *s = op->owner;
	struct sl_assoc *a = s->assoc;
	const struct sl_verdict_row *verdict = &sl_verdicts[op->object.result.verdict];
	sl_story_object(&a->story, &op->object);
	if (op->object.result.verdict != SL_VERDICT_CANCELLED) { /* else its request never ended */
		s->rsp.status = (uint16_t)verdict->dstat;
		s->rsp.comment = verdict->comment;
		sl_assoc_answer(a, s->pcid, &s->rsp);
	}
	sl_assoc_settled(a);
	a->on_object(a);
}

void sl_svc_store_init(struct sl_svc_store *s, struct sl_assoc *a)
{
	s->assoc = a;
	sl_op_init(&s->op, &a->conn->loop->mailbox, &a->conn->intake.is_awaited);
	s->op.on_part = on_part;
	s->op.on_done = on_done;
	s->op.owner = s;
}
