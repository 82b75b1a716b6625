/* Inside the association: how its three files work together.
 *
 * assoc_step.c performs cells of table 9-10, assoc_request.c judges an association request, assoc.c
 * has the bytes, the clocks and the life.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "server/assoc.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"

static inline struct sl_loop *sl_assoc_loop_of(const struct sl_assoc *a)
{
	return a->conn->loop;
}

static inline struct sl_server *sl_assoc_server_of(const struct sl_assoc *a)
{
	return a->conn->loop->server;
}

static inline uint64_t sl_assoc_now_ms(const struct sl_assoc *a)
{
	return uv_now(&a->conn->loop->uv);
}

static inline bool sl_assoc_is_established(const struct sl_assoc *a)
{
	return a->state == SL_UL_STA6 || a->state == SL_UL_STA8;
}

static inline bool sl_assoc_is_ended(const struct sl_assoc *a)
{
	return a->state == SL_UL_STA1 || a->state == SL_UL_STA13;
}

/* Performs what an event causes in the present state, and what follows from it. */
void sl_assoc_step(struct sl_assoc *a, enum sl_ul_event event);

/* Ends the association as its user: A-ABORT, source 0. In an established one. */
void sl_assoc_abort(struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note);

/* Says why it ends; the first call counts. A connection without request has no story. */
void sl_assoc_ends(struct sl_assoc *a, enum sl_story_end end, const char *why, const char *note);
struct sl_story_who sl_assoc_who(const struct sl_assoc *a);

/* The titles are here: who is it, and what may it do? */
void sl_assoc_meet_peer(struct sl_assoc *a);

/* The request is complete: a->decision. */
void sl_assoc_decide(struct sl_assoc *a);
