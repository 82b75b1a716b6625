/* A loop's mailbox: how other threads hand it news.
 *
 * Happy path: any thread posts an intrusive message, one wake-up reaches the loop, and the loop takes
 * the messages out under the lock and delivers them outside it, in the order of posting.
 *
 * A message that is already posted is not posted twice: a post means "look at this", never "count
 * this", so that a message embedded in what it speaks of never needs memory. It may be posted again
 * as soon as its delivery has begun.
 *
 * On close: messages still inside are delivered before the wake-up handle closes; posting later is a
 * programming error.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <uv.h>

#include "core/list.h"
#include "core/status.h"

/* Embedded in what the news is about; its owner keeps it alive until it was delivered. */
struct sl_mail {
	struct sl_list node;
	void (*deliver)(struct sl_mail *mail); /* on the loop's thread */
	bool is_posted;                        /* under the mailbox's lock */
};

struct sl_mailbox {
	uv_async_t wake;
	pthread_mutex_t lock;
	struct sl_list queue;                          /* struct sl_mail.node */
	void (*on_closed)(struct sl_mailbox *mailbox); /* loop thread only */
	bool is_closed;                                /* under the lock */
};

void sl_mail_init(struct sl_mail *mail, void (*deliver)(struct sl_mail *mail));

/* On the loop's thread, or before the loop runs. SL_E_IO when the loop has no descriptor for it. */
SL_MUST enum sl_status sl_mailbox_open(struct sl_mailbox *mailbox, uv_loop_t *loop);

/* Any thread. */
void sl_mailbox_post(struct sl_mailbox *mailbox, struct sl_mail *mail);

/* On the loop's thread; on_closed follows, once. Nobody posts any more. */
void sl_mailbox_close(struct sl_mailbox *mailbox, void (*on_closed)(struct sl_mailbox *mailbox));
