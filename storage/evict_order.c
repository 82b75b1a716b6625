/* By order: somebody has a study or an instance deleted, or pins a study, and waits for it.
 *
 * Orders queue, and are carried out on the indexer thread between two of its batches, before anything
 * goes for room: so what is pinned when the order returns is not on its way out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/evict_priv.h"

#include "storage/latch.h"

#define ORDER_PERIOD_MS 200 /* an order looks this often whether the store has failed */

/* ---- on the indexer thread ---------------------------------------------------------------------- */

void sl_evict_tell(struct sl_evict *ev, struct sl_evict_order *o, enum sl_status st)
{
	pthread_mutex_lock(&ev->lock);
	o->status = st;
	if (st == SL_OK && ev->batch.n > 0)
		o->removed = ev->batch.report[0].removed;
	o->is_done = true;
	pthread_cond_broadcast(&ev->over);
	pthread_mutex_unlock(&ev->lock);
}

struct sl_evict_order *sl_evict_next_order(struct sl_evict *ev)
{
	pthread_mutex_lock(&ev->lock);
	struct sl_list *n = sl_list_pop(&ev->orders);
	struct sl_evict_order *o =
		n != NULL ? sl_container_of(n, struct sl_evict_order, node) : NULL;
	if (o != NULL)
		o->is_taken = true;
	pthread_mutex_unlock(&ev->lock);
	return o;
}

/* The instance's study is closed; the tombstone says where its file is. */
static enum sl_status choose_instance(struct sl_evict *ev, const struct sl_uid *uid)
{
	struct sl_index_instance row;
	enum sl_status st = sl_index_locate_instance(ev->reader, uid, &row, NULL);
	if (st != SL_OK)
		return st;
	if (sl_ops_is_pinned(ev->deps.ops, &row.study_instance_uid) ||
		!sl_evict_add(ev, &row.study_instance_uid, 0))
		return SL_E_BUSY;
	ev->batch.report[0].sop_instance_uid = row.sop_instance_uid;
	ev->batch.tomb[0] = (struct sl_index_tombstone){
		.kind = SL_INDEX_TOMB_INSTANCE,
		.volume = row.volume,
		.study_instance_uid = row.study_instance_uid,
		.series_instance_uid = row.series_instance_uid,
		.sop_instance_uid = row.sop_instance_uid,
		.object_seq = row.seq,
		.is_plain_name = (row.flags & SL_RECORD_PLAIN_NAME) != 0,
	};
	return SL_OK;
}

static enum sl_status choose_study(struct sl_evict *ev, const struct sl_uid *uid)
{
	if (sl_ops_is_pinned(ev->deps.ops, uid) || !sl_evict_add(ev, uid, 0))
		return SL_E_BUSY;
	return SL_OK;
}

static enum sl_errand pin(struct sl_evict *ev, struct sl_evict_order *o)
{
	struct sl_diag d = {0};
	sl_evict_begin(ev);
	enum sl_status st = sl_ops_pin(ev->deps.ops, &o->uid, o->what == SL_EVICT_PIN, &d);
	bool has_failed = st != SL_OK && st != SL_E_FULL && st != SL_E_NOMEM;
	ev->batch.order = has_failed ? o : NULL;
	if (has_failed)
		return sl_evict_fail(ev, &d);
	sl_evict_tell(ev, o, st);
	return SL_ERRAND_MORE;
}

enum sl_errand sl_evict_obey(struct sl_evict *ev, struct sl_evict_order *o)
{
	enum sl_errand next = SL_ERRAND_MORE;
	if (o->what == SL_EVICT_PIN || o->what == SL_EVICT_UNPIN)
		return pin(ev, o);
	sl_evict_begin(ev);
	enum sl_status st = o->what == SL_EVICT_STUDY ? choose_study(ev, &o->uid)
						      : choose_instance(ev, &o->uid);
	if (st == SL_OK) {
		ev->batch.order = o;
		ev->batch.report[0].is_order = true;
		st = sl_evict_take_out(ev, &next);
	}
	if (next == SL_ERRAND_RETRY)
		return next; /* told when it is through */
	if (next != SL_ERRAND_FAILED)
		sl_evict_tell(ev, o, st);
	ev->batch.order = NULL;
	return next;
}

/* ---- for who orders ----------------------------------------------------------------------------- */

static enum sl_status give(struct sl_evict *ev, enum sl_evict_what what, const struct sl_uid *uid,
	struct sl_index_removed *removed)
{
	struct sl_evict_order o = {.uid = *uid, .what = what};
	sl_list_init(&o.node);
	pthread_mutex_lock(&ev->lock);
	sl_list_push(&ev->orders, &o.node);
	pthread_mutex_unlock(&ev->lock);
	sl_indexer_wake(ev->deps.indexer);
	pthread_mutex_lock(&ev->lock);
	/* Once it is taken, the indexer thread has it and says how it ended. */
	while (!o.is_done && (o.is_taken || !sl_latch_is_failed(ev->deps.latch))) {
		uint64_t at = sl_env_now_ns(ev->deps.env) + ORDER_PERIOD_MS * 1000000u;
		const struct timespec ts = {
			.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
		pthread_cond_timedwait(&ev->over, &ev->lock, &ts);
	}
	sl_list_remove(&o.node);
	*removed = o.removed;
	enum sl_status st = o.is_done ? o.status : SL_E_IO;
	pthread_mutex_unlock(&ev->lock);
	return st;
}

enum sl_status sl_evict_study(
	struct sl_evict *ev, const struct sl_uid *uid, struct sl_index_removed *removed)
{
	return give(ev, SL_EVICT_STUDY, uid, removed);
}

enum sl_status sl_evict_instance(
	struct sl_evict *ev, const struct sl_uid *uid, struct sl_index_removed *removed)
{
	struct sl_index_removed one;
	enum sl_status st;
	*removed = (struct sl_index_removed){0};
	/* The current version each time, until none has taken its place. A crash in between leaves
	 * versions of an object whose deletion was not confirmed. */
	while ((st = give(ev, SL_EVICT_INSTANCE, uid, &one)) == SL_OK) {
		removed->instances += one.instances;
		removed->versions += one.versions;
		removed->bytes += one.bytes;
		removed->series_gone = one.series_gone;
		removed->study_gone = one.study_gone;
	}
	return st == SL_E_NOTFOUND && removed->versions > 0 ? SL_OK : st;
}

enum sl_status sl_evict_pin(struct sl_evict *ev, const struct sl_uid *study, bool is_pinned)
{
	struct sl_index_removed none;
	return give(ev, is_pinned ? SL_EVICT_PIN : SL_EVICT_UNPIN, study, &none);
}
