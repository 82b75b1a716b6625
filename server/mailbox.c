/* A loop's mailbox; see mailbox.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/mailbox.h"

void sl_mail_init(struct sl_mail *mail, void (*deliver)(struct sl_mail *mail))
{
	sl_list_init(&mail->node);
	mail->deliver = deliver;
	mail->is_posted = false;
}

/* Delivers what had been posted when it was called: a message that posts itself again waits for the
 * next turn of the loop, so that sockets get theirs in between. */
static void deliver_all(struct sl_mailbox *mailbox)
{
	struct sl_list batch;
	sl_list_init(&batch);
	pthread_mutex_lock(&mailbox->lock);
	sl_list_splice(&batch, &mailbox->queue);
	while (!sl_list_is_empty(&batch)) {
		struct sl_mail *mail = sl_container_of(sl_list_pop(&batch), struct sl_mail, node);
		mail->is_posted = false;
		pthread_mutex_unlock(&mailbox->lock);
		mail->deliver(mail);
		pthread_mutex_lock(&mailbox->lock);
	}
	pthread_mutex_unlock(&mailbox->lock);
}

static void on_wake(uv_async_t *wake)
{
	deliver_all(wake->data);
}

static void on_wake_closed(uv_handle_t *wake)
{
	struct sl_mailbox *mailbox = wake->data;
	pthread_mutex_destroy(&mailbox->lock);
	if (mailbox->on_closed != NULL)
		mailbox->on_closed(mailbox);
}

enum sl_status sl_mailbox_open(struct sl_mailbox *mailbox, uv_loop_t *loop)
{
	*mailbox = (struct sl_mailbox){0};
	sl_list_init(&mailbox->queue);
	if (pthread_mutex_init(&mailbox->lock, NULL) != 0)
		return SL_E_NOMEM;
	if (uv_async_init(loop, &mailbox->wake, on_wake) != 0) {
		pthread_mutex_destroy(&mailbox->lock);
		return SL_E_IO;
	}
	mailbox->wake.data = mailbox;
	return SL_OK;
}

void sl_mailbox_post(struct sl_mailbox *mailbox, struct sl_mail *mail)
{
	pthread_mutex_lock(&mailbox->lock);
	sl_assert(!mailbox->is_closed);
	if (!mail->is_posted) {
		mail->is_posted = true;
		sl_list_push(&mailbox->queue, &mail->node);
		/* Under the lock: once the message can be delivered, this thread is done with the
		 * mailbox but for the unlock, so the loop may close it right after. */
		uv_async_send(&mailbox->wake);
	}
	pthread_mutex_unlock(&mailbox->lock);
}

void sl_mailbox_close(struct sl_mailbox *mailbox, void (*on_closed)(struct sl_mailbox *mailbox))
{
	deliver_all(mailbox);
	pthread_mutex_lock(&mailbox->lock);
	sl_assert(sl_list_is_empty(&mailbox->queue));
	mailbox->is_closed = true;
	pthread_mutex_unlock(&mailbox->lock);
	mailbox->on_closed = on_closed;
	uv_close((uv_handle_t *)&mailbox->wake, on_wake_closed);
}
