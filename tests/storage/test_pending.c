/* The pending table: one owner per UID at a time, FIFO per UID and for a full table, and what is
 * durable is found until it is settled.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/t.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "storage/pending.h"

struct claimant {
	struct sl_turn turn;
	struct sl_uid uid;
	int *order; /* where it writes its number when its turn comes */
	int *order_n;
	int number;
};

static void zero_random(void *arg, void *bytes, size_t n)
{
	(void)arg;
	memset(bytes, 7, n);
}

static const struct sl_env env = {.random = zero_random};

static void note_turn(struct sl_turn *t)
{
	struct claimant *c = sl_container_of(t, struct claimant, turn);
	c->order[(*c->order_n)++] = c->number;
}

static struct claimant claimant(const char *uid, int number, int *order, int *order_n)
{
	struct claimant c = {
		.uid = sl_uid_of(uid), .order = order, .order_n = order_n, .number = number};
	c.turn.on_turn = note_turn;
	return c;
}

static struct sl_pending *open_table(uint32_t entries)
{
	struct sl_pending *p;
	struct sl_diag d = {0};
	assert_int_equal(sl_pending_open(&p, entries, &env, &d), SL_OK);
	return p;
}

static void one_owner_then_fifo(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(4);
	int order[8], n = 0;
	struct claimant c[4];
	for (int i = 0; i < 4; i++) {
		c[i] = claimant("1.2.3", i, order, &n);
		c[i].turn.uid = &c[i].uid;
		assert_int_equal(sl_pending_claim(p, &c[i].turn), i == 0);
	}
	assert_int_equal(n, 0);
	for (int i = 0; i < 4; i++) {
		sl_pending_release(p, &c[i].turn, false);
		assert_int_equal(n, i < 3 ? i + 1 : 3);
		if (i < 3)
			assert_int_equal(order[i], i + 1);
	}
	assert_int_equal(sl_pending_stats(p).used, 0);
	sl_pending_close(p);
}

static void a_winner_is_found_until_settled(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(4);
	int order[4], n = 0;
	struct sl_record rec;
	uint8_t digest[SL_DIGEST_LEN];
	struct claimant a = claimant("1.2.3", 0, order, &n), b = claimant("1.2.3", 1, order, &n);
	a.turn.uid = &a.uid;
	b.turn.uid = &b.uid;
	assert_true(sl_pending_claim(p, &a.turn));
	assert_int_equal(sl_pending_rival(p, &a.turn, &rec, digest), SL_E_NOTFOUND);
	struct sl_pending_entry *e = a.turn.entry;
	sl_record_init(&e->record);
	e->record.seq = 42;
	memset(e->digest, 9, sizeof(e->digest));
	assert_int_equal(sl_pending_lookup(p, &a.uid, &rec), SL_E_NOTFOUND);
	sl_pending_release(p, &a.turn, true);
	assert_int_equal(sl_pending_lookup(p, &a.uid, &rec), SL_OK);
	assert_int_equal(rec.seq, 42);
	/* A later one decides against it, also while the indexer settles it. */
	assert_true(sl_pending_claim(p, &b.turn));
	assert_ptr_equal(b.turn.entry, e);
	assert_int_equal(sl_pending_rival(p, &b.turn, &rec, digest), SL_OK);
	assert_int_equal(digest[3], 9);
	sl_pending_settled(p, e);
	assert_int_equal(sl_pending_rival(p, &b.turn, &rec, digest), SL_E_NOTFOUND);
	assert_int_equal(sl_pending_stats(p).used, 1);
	sl_pending_release(p, &b.turn, false);
	assert_int_equal(sl_pending_stats(p).used, 0);
	sl_pending_close(p);
}

static void a_full_table_makes_wait_in_order(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(2);
	int order[8], n = 0;
	const char *const uids[] = {"1.1", "1.2", "1.3", "1.4", "1.3"};
	struct claimant c[5];
	for (int i = 0; i < 5; i++) {
		c[i] = claimant(uids[i], i, order, &n);
		c[i].turn.uid = &c[i].uid;
		assert_int_equal(sl_pending_claim(p, &c[i].turn), i < 2);
	}
	sl_pending_release(p, &c[0].turn, false);
	assert_int_equal(n, 1); /* 1.3 entered */
	assert_int_equal(order[0], 2);
	sl_pending_release(p, &c[1].turn, false);
	assert_int_equal(n, 2); /* 1.4 entered; the second 1.3 queues behind the first */
	assert_int_equal(order[1], 3);
	sl_pending_release(p, &c[2].turn, false);
	assert_int_equal(n, 3);
	assert_int_equal(order[2], 4);
	sl_pending_release(p, &c[3].turn, false);
	sl_pending_release(p, &c[4].turn, false);
	assert_int_equal(sl_pending_stats(p).used, 0);
	assert_int_equal(sl_pending_stats(p).waiting, 0);
	sl_pending_close(p);
}

/* Who brings a version waits for the one before it: until it is settled, or settling is held up. */
/* Seed 348 of the simulator: who comes when a UID has its entry must not pass those of the same UID
 * who still wait for the table behind others. */
static void a_full_table_keeps_the_order_of_a_uid(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(1);
	static const char *const uids[] = {"1.1", "1.2", "1.3", "1.2", "1.2"};
	int order[8], n = 0;
	struct claimant c[5];
	for (int i = 0; i < 5; i++) {
		c[i] = claimant(uids[i], i, order, &n);
		c[i].turn.uid = &c[i].uid;
		if (i < 4)
			assert_int_equal(sl_pending_claim(p, &c[i].turn), i == 0);
	}
	sl_pending_release(p, &c[0].turn, false);
	c[4].turn.uid = &c[4].uid;
	assert_false(sl_pending_claim(p, &c[4].turn));
	static const int expected[] = {1, 3, 4, 2};
	for (int i = 0; i < 4; i++) {
		assert_int_equal(n, i + 1);
		assert_int_equal(order[i], expected[i]);
		sl_pending_release(p, &c[order[i]].turn, false);
	}
	assert_int_equal(sl_pending_stats(p).used, 0);
	assert_int_equal(sl_pending_stats(p).waiting, 0);
	sl_pending_close(p);
}

static void a_parked_owner_keeps_its_turn(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(4);
	int order[8], n = 0;
	struct claimant c[3];
	for (int i = 0; i < 3; i++) {
		c[i] = claimant("1.2.3", i, order, &n);
		c[i].turn.uid = &c[i].uid;
		assert_int_equal(sl_pending_claim(p, &c[i].turn), i == 0);
	}
	assert_false(sl_pending_park(p, &c[0].turn)); /* nothing to wait for */
	struct sl_pending_entry *e = c[0].turn.entry;
	sl_pending_release(p, &c[0].turn, true);
	assert_int_equal(n, 1);
	assert_true(sl_pending_park(p, &c[1].turn));
	assert_int_equal(sl_pending_stats(p).parked, 1);
	assert_int_equal(n, 1);
	sl_pending_wake(p); /* settling is held up: it looks, and parks again */
	assert_true(n == 2 && order[1] == 1);
	assert_true(sl_pending_park(p, &c[1].turn));
	sl_pending_settled(p, e);
	assert_true(n == 3 && order[2] == 1);
	assert_int_equal(sl_pending_stats(p).parked, 0);
	assert_false(sl_pending_park(p, &c[1].turn));
	sl_pending_release(p, &c[1].turn, true);
	assert_true(n == 4 && order[3] == 2); /* the next in line only now */
	sl_pending_settled(p, e);
	sl_pending_wake(p);
	assert_int_equal(n, 4);
	sl_pending_release(p, &c[2].turn, false);
	assert_int_equal(sl_pending_stats(p).used, 0);
	sl_pending_close(p);
}

/* Many threads on few UIDs: never two owners of one. */
struct crowd {
	struct sl_pending *p;
	int inside[3]; /* guarded by the turnstile itself: TSan sees it if that fails */
	pthread_mutex_t lock;
	pthread_cond_t turned;
};

struct person {
	struct claimant c;
	struct crowd *crowd;
	bool has_turn;
};

static void person_turn(struct sl_turn *t)
{
	struct person *m =
		sl_container_of(sl_container_of(t, struct claimant, turn), struct person, c);
	pthread_mutex_lock(&m->crowd->lock);
	m->has_turn = true;
	pthread_cond_broadcast(&m->crowd->turned);
	pthread_mutex_unlock(&m->crowd->lock);
}

static void *push_through(void *arg)
{
	struct crowd *crowd = arg;
	for (int i = 0; i < 3000; i++) {
		char uid[16];
		struct person m = {.crowd = crowd};
		snprintf(uid, sizeof(uid), "1.2.%d", i % 3);
		m.c.uid = sl_uid_of(uid);
		m.c.turn = (struct sl_turn){.uid = &m.c.uid, .on_turn = person_turn};
		if (!sl_pending_claim(crowd->p, &m.c.turn)) {
			pthread_mutex_lock(&crowd->lock);
			while (!m.has_turn)
				pthread_cond_wait(&crowd->turned, &crowd->lock);
			pthread_mutex_unlock(&crowd->lock);
		}
		assert_int_equal(crowd->inside[i % 3]++, 0);
		crowd->inside[i % 3]--;
		sl_pending_release(crowd->p, &m.c.turn, false);
	}
	return NULL;
}

static void never_two_owners(void **state)
{
	(void)state;
	struct crowd crowd = {.p = open_table(2)};
	pthread_t threads[4];
	pthread_mutex_init(&crowd.lock, NULL);
	pthread_cond_init(&crowd.turned, NULL);
	for (size_t i = 0; i < SL_ARRAY_N(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push_through, &crowd), 0);
	for (size_t i = 0; i < SL_ARRAY_N(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sl_pending_stats(crowd.p).used, 0);
	assert_int_equal(sl_pending_stats(crowd.p).waiting, 0);
	sl_pending_close(crowd.p);
}

/* A study may be closed only while no object of it is under way, and nobody enters it then. */
static void a_study_under_way_is_not_closed(void **state)
{
	(void)state;
	struct sl_pending *p = open_table(4);
	const struct sl_uid study = sl_uid_of("1.9"), other = sl_uid_of("1.8"),
			    third = sl_uid_of("1.7");
	int order[4], n = 0;
	struct claimant c[3];
	for (int i = 0; i < 3; i++) {
		c[i] = claimant(i == 0 ? "1.2.0" : i == 1 ? "1.2.1" : "1.2.2", i, order, &n);
		c[i].turn.uid = &c[i].uid;
	}
	assert_true(sl_pending_close_study(p, &study));
	assert_int_equal(sl_pending_enter_study(p, &c[0].turn, &study), SL_AGAIN);
	assert_true(sl_pending_close_study(p, &third)); /* several may be closed */
	assert_int_equal(sl_pending_enter_study(p, &c[2].turn, &third), SL_AGAIN);
	assert_int_equal(sl_pending_enter_study(p, &c[0].turn, &study), SL_AGAIN);
	assert_int_equal(sl_pending_enter_study(p, &c[1].turn, &other), SL_OK);
	sl_pending_open_studies(p);
	/* One is given up before it claims, one loses, one wins and is settled. */
	sl_pending_leave_study(p, &c[1].turn);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sl_pending_enter_study(p, &c[i].turn, &study), SL_OK);
		assert_int_equal(sl_pending_enter_study(p, &c[i].turn, &study), SL_OK);
	}
	sl_pending_leave_study(p, &c[0].turn);
	sl_pending_leave_study(p, &c[0].turn);
	assert_true(sl_pending_claim(p, &c[1].turn));
	sl_pending_release(p, &c[1].turn, false);
	assert_true(sl_pending_claim(p, &c[2].turn));
	struct sl_pending_entry *won = c[2].turn.entry;
	assert_false(sl_pending_close_study(p, &study));
	sl_pending_release(p, &c[2].turn, true);
	assert_false(sl_pending_close_study(p, &study)); /* durable, not yet in the archive */
	sl_pending_settled(p, won);
	assert_true(sl_pending_close_study(p, &study));
	sl_pending_open_studies(p);
	sl_pending_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_owner_then_fifo),
		cmocka_unit_test(a_winner_is_found_until_settled),
		cmocka_unit_test(a_full_table_makes_wait_in_order),
		cmocka_unit_test(a_full_table_keeps_the_order_of_a_uid),
		cmocka_unit_test(a_parked_owner_keeps_its_turn),
		cmocka_unit_test(never_two_owners),
		cmocka_unit_test(a_study_under_way_is_not_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
