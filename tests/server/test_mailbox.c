/* The mailbox under real threads: nothing lost, nothing twice, order kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <stdatomic.h>

#include "server/mailbox.h"

#define THREADS 4
#define EACH    2000

struct fixture {
	uv_loop_t loop;
	struct sl_mailbox box;
};

static int setup(void **state)
{
	static struct fixture fx;
	fx = (struct fixture){0};
	assert_int_equal(uv_loop_init(&fx.loop), 0);
	assert_int_equal(sl_mailbox_open(&fx.box, &fx.loop), SL_OK);
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	if (!fx->box.is_closed) {
		sl_mailbox_close(&fx->box, NULL);
		uv_run(&fx->loop, UV_RUN_DEFAULT);
	}
	assert_int_equal(uv_loop_close(&fx->loop), 0);
	return 0;
}

struct note {
	struct sl_mail mail;
	struct post *from;
	int number;
};

struct post { /* one posting thread and what arrived from it */
	struct fixture *fx;
	pthread_t id;
	struct note notes[EACH];
	int arrived;
};

static void on_note(struct sl_mail *mail)
{
	struct note *n = sl_container_of(mail, struct note, mail);
	assert_int_equal(n->number, n->from->arrived); /* in order, none twice */
	n->from->arrived++;
}

static void *post_all(void *arg)
{
	struct post *p = arg;
	for (int i = 0; i < EACH; i++)
		sl_mailbox_post(&p->fx->box, &p->notes[i].mail);
	return NULL;
}

static void nothing_is_lost_or_reordered(void **state)
{
	struct fixture *fx = *state;
	static struct post posts[THREADS];
	for (int t = 0; t < THREADS; t++) {
		posts[t].fx = fx;
		posts[t].arrived = 0;
		for (int i = 0; i < EACH; i++) {
			posts[t].notes[i] = (struct note){.from = &posts[t], .number = i};
			sl_mail_init(&posts[t].notes[i].mail, on_note);
		}
		assert_int_equal(pthread_create(&posts[t].id, NULL, post_all, &posts[t]), 0);
	}
	int arrived = 0;
	while (arrived < THREADS * EACH) {
		uv_run(&fx->loop, UV_RUN_ONCE);
		arrived = 0;
		for (int t = 0; t < THREADS; t++)
			arrived += posts[t].arrived;
	}
	for (int t = 0; t < THREADS; t++)
		pthread_join(posts[t].id, NULL);
}

/* "Look at this": many posts of one message, at least one delivery after the last of them. */
struct flag {
	struct sl_mail mail;
	struct fixture *fx;
	atomic_int wanted;
	int seen, deliveries;
};

static void on_flag(struct sl_mail *mail)
{
	struct flag *f = sl_container_of(mail, struct flag, mail);
	f->seen = atomic_load(&f->wanted);
	f->deliveries++;
}

static void *raise_flag(void *arg)
{
	struct flag *f = arg;
	for (int i = 0; i < EACH; i++) {
		atomic_fetch_add(&f->wanted, 1);
		sl_mailbox_post(&f->fx->box, &f->mail);
	}
	return NULL;
}

static void posting_twice_is_delivered_once_and_never_missed(void **state)
{
	struct fixture *fx = *state;
	struct flag f = {.fx = fx};
	sl_mail_init(&f.mail, on_flag);
	sl_mailbox_post(&fx->box, &f.mail);
	sl_mailbox_post(&fx->box, &f.mail);
	uv_run(&fx->loop, UV_RUN_ONCE);
	assert_int_equal(f.deliveries, 1);
	pthread_t id;
	assert_int_equal(pthread_create(&id, NULL, raise_flag, &f), 0);
	while (f.seen < EACH)
		uv_run(&fx->loop, UV_RUN_ONCE);
	pthread_join(id, NULL);
	assert_int_equal(f.seen, EACH);
}

/* A message may post itself: it comes again in another turn of the loop, not in this one. */
struct echo {
	struct sl_mail mail;
	struct fixture *fx;
	int left, turns;
};

static void on_echo(struct sl_mail *mail)
{
	struct echo *e = sl_container_of(mail, struct echo, mail);
	if (--e->left > 0)
		sl_mailbox_post(&e->fx->box, mail);
}

static void a_message_may_post_itself(void **state)
{
	struct fixture *fx = *state;
	struct echo e = {.fx = fx, .left = 3};
	sl_mail_init(&e.mail, on_echo);
	sl_mailbox_post(&fx->box, &e.mail);
	for (e.turns = 0; e.left > 0; e.turns++)
		uv_run(&fx->loop, UV_RUN_ONCE);
	assert_int_equal(e.turns, 3);
}

static void on_closed(struct sl_mailbox *box)
{
	box->wake.data = NULL; /* seen by the test */
}

static void closing_delivers_what_is_left(void **state)
{
	struct fixture *fx = *state;
	struct flag f = {.fx = fx, .wanted = 7};
	sl_mail_init(&f.mail, on_flag);
	sl_mailbox_post(&fx->box, &f.mail);
	sl_mailbox_close(&fx->box, on_closed);
	assert_int_equal(f.seen, 7);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_null(fx->box.wake.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_lost_or_reordered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			posting_twice_is_delivered_once_and_never_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_may_post_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_delivers_what_is_left, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
