/* C-ECHO (PS3.7 9.1.5, 9.3.5): answered whatever state the node is in, for it asks whether we are there
 * and not how we are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/svc.h"

void sl_svc_echo_request(struct sl_assoc *a, const struct sl_svc_request *rq)
{
	struct sl_cmd_rsp rsp = sl_cmd_rsp_to(rq->cmd, SL_DSTAT_SUCCESS, NULL);
	a->story.echos++;
	sl_stats_add(&a->conn->loop->server->stats->echos, 1);
	sl_assoc_answer(a, rq->pcid, &rsp); /* a data set that should not be there is passed over */
}
