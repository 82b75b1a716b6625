/* The life of an object between the loop and the disk threads.
 *
 * The loop thread queues parts and says when there are no more; the disk threads take them one at a
 * time and in order. `is_running` is the baton: whoever sets it (under the object's lock) submits the
 * job, and only the job that holds it works on the object. The job gives the baton back when it has
 * nothing to do: no part has come yet, or an earlier object of the same UID has not finished (or, for
 * a version of its own, has not been settled).
 *
 *	RECEIVING --finish--> DECIDING --turn, sealed--> NAMING --folder fsynced--> DONE
 *	    |                     |                         |
 *	    '------ abort --------'------- failure ---------'---------------------> DONE
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/ingest_int.h"

#include <stdlib.h>
#include <string.h>

static void on_turn(struct sl_turn *t);
static void on_named(struct sl_store_file *f, enum sl_status st);
static void run(struct sl_job *job, struct sl_ioq_thread *thread);

/* ---- open and close ---------------------------------------------------------------------------- */

enum sl_status sl_ingest_open(struct sl_ingest **out, const struct sl_ingest_conf *conf,
	const struct sl_ingest_deps *deps, struct sl_diag *d)
{
	enum sl_status st = SL_E_NOMEM;
	struct sl_ingest *in = calloc(1, sizeof(*in));
	if (in == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "ingest", "no memory");
	in->deps = *deps;
	in->conf = *conf;
	pthread_mutex_init(&in->conf_lock, NULL);
	atomic_init(&in->next_seq, deps->next_seq);
	in->threads = calloc(deps->threads, sizeof(*in->threads));
	if (in->threads == NULL)
		goto out;
	for (unsigned i = 0; i < deps->threads; i++) {
		struct sl_ingest_thread *t = &in->threads[i];
		st = sl_index_open_reader(deps->index, &t->reader, d);
		if (st != SL_OK)
			goto out;
		t->inflate_memory = aligned_alloc(64, (sl_inflate_memory() + 63) / 64 * 64);
		if (t->inflate_memory == NULL) {
			st = sl_fail(d, SL_E_NOMEM, 0, "ingest", "no memory for inflating");
			goto out;
		}
	}
	*out = in;
	return SL_OK;
out:
	sl_ingest_close(in);
	return st;
}

void sl_ingest_close(struct sl_ingest *in)
{
	if (in == NULL)
		return;
	for (unsigned i = 0; in->threads != NULL && i < in->deps.threads; i++) {
		sl_index_close_reader(in->threads[i].reader);
		free(in->threads[i].inflate_memory);
	}
	pthread_mutex_destroy(&in->conf_lock);
	free(in->threads);
	free(in);
}

uint64_t sl_ingest_next_seq(struct sl_ingest *in)
{
	return atomic_fetch_add_explicit(&in->next_seq, 1, memory_order_relaxed);
}

void sl_ingest_configure(struct sl_ingest *in, const struct sl_ingest_conf *conf)
{
	pthread_mutex_lock(&in->conf_lock);
	in->conf = *conf;
	pthread_mutex_unlock(&in->conf_lock);
}

/* ---- failure ----------------------------------------------------------------------------------- */

void sl_ingest_fail(struct sl_object *o, enum sl_verdict v)
{
	if (atomic_load_explicit(&o->is_failed, memory_order_relaxed))
		return;
	o->result.verdict = v;
	/* Release: whoever sees the flag sees the verdict. */
	atomic_store_explicit(&o->is_failed, true, memory_order_release);
}

void sl_ingest_condemn(struct sl_object *o, enum sl_verdict v)
{
	if (!o->conf.keeps_quarantine) {
		sl_ingest_fail(o, v);
	} else if (!o->is_condemned) {
		o->is_condemned = true;
		o->result.verdict = v;
	}
}

void sl_ingest_fail_io(struct sl_object *o, enum sl_status st)
{
	struct sl_ingest *in = o->ingest;
	if (st == SL_E_SYNC)
		sl_latch_fail(in->deps.latch, &o->result.diag);
	if (st == SL_E_FULL && o->result.diag.errnum != 0)
		sl_water_enospc(in->deps.water);
	sl_ingest_fail(o, sl_verdict_of(st));
}

bool sl_ingest_is_failed(const struct sl_object *o)
{
	return atomic_load_explicit(&o->is_failed, memory_order_acquire);
}

/* ---- the loop thread's side -------------------------------------------------------------------- */

enum sl_status sl_ingest_begin(
	struct sl_ingest *in, struct sl_object *o, const struct sl_ingest_params *params)
{
	o->result = (struct sl_result){
		.verdict = SL_VERDICT_IO_ERROR, .is_sound = true, .unsound_why = ""};
	o->ingest = in;
	o->params = *params;
	pthread_mutex_lock(&in->conf_lock);
	o->conf = in->conf;
	pthread_mutex_unlock(&in->conf_lock);
	pthread_mutex_init(&o->lock, NULL);
	sl_list_init(&o->parts);
	o->last = NULL;
	o->has_last = o->is_aborted = o->is_running = o->has_turn = o->is_claimed = false;
	o->stage = SL_OBJECT_RECEIVING;
	o->job.run = run;
	atomic_init(&o->is_failed, false);
	o->turn = (struct sl_turn){.uid = &o->params.sop_instance_uid, .on_turn = on_turn};
	o->file = (struct sl_store_file){.fd = -1};
	o->is_file_open = o->is_index_reserved = false;
	o->is_condemned = o->is_rival_durable = false;
	o->reserved = 0;
	o->waiting_since_ns = 0;
	sl_digest_init(&o->digest);
	sl_ingest_prepare(o);
	if (sl_latch_is_failed(in->deps.latch)) {
		sl_ingest_fail(o, SL_VERDICT_SYNC_FAILED);
	} else if (!sl_water_may_begin(in->deps.water)) {
		(void)sl_fail(&o->result.diag, SL_E_FULL, 0, "water",
			"refusing: disk is at its full mark");
		sl_ingest_fail(o, SL_VERDICT_DISK_FULL);
	} else if (sl_index_reserve(in->deps.index, 1) != SL_OK) {
		(void)sl_fail(
			&o->result.diag, SL_E_FULL, 0, "index", "refusing: the index has no room");
		sl_ingest_fail(o, SL_VERDICT_INDEX_FULL);
	} else {
		o->is_index_reserved = true;
		return SL_OK;
	}
	return SL_E_FULL;
}

/* Under the lock: takes the baton if nobody has it. */
static bool may_run(struct sl_object *o)
{
	if (o->is_running)
		return false;
	o->is_running = true;
	return true;
}

void sl_ingest_append(struct sl_object *o, struct sl_part *p)
{
	o->result.bytes += p->bytes;
	pthread_mutex_lock(&o->lock);
	sl_assert(!o->has_last && !o->is_aborted);
	sl_list_push(&o->parts, &p->node);
	bool run_now = may_run(o);
	pthread_mutex_unlock(&o->lock);
	if (run_now)
		sl_ioq_submit(o->ingest->deps.ioq, &o->job);
}

void sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes)
{
	o->result.bytes += extra_bytes + (last != NULL ? last->bytes : 0);
	/* Here, on the loop thread, because here last PDVs are in their order (DESIGN 2). What has
	 * failed already decides nothing. */
	bool is_turn = false;
	if (!sl_ingest_is_failed(o)) {
		o->is_claimed = true;
		is_turn = sl_pending_claim(o->ingest->deps.pending, &o->turn);
	}
	pthread_mutex_lock(&o->lock);
	sl_assert(!o->has_last && !o->is_aborted);
	o->last = last;
	o->has_last = true;
	if (is_turn)
		o->has_turn = true;
	bool run_now = may_run(o);
	pthread_mutex_unlock(&o->lock);
	if (run_now)
		sl_ioq_submit(o->ingest->deps.ioq, &o->job);
}

void sl_ingest_abort(struct sl_object *o)
{
	pthread_mutex_lock(&o->lock);
	bool run_now = false;
	if (!o->has_last && !o->is_aborted) {
		o->is_aborted = true;
		run_now = may_run(o);
	}
	pthread_mutex_unlock(&o->lock);
	if (run_now)
		sl_ioq_submit(o->ingest->deps.ioq, &o->job);
}

/* The turn on the UID has come: on whichever thread released it. */
static void on_turn(struct sl_turn *t)
{
	struct sl_object *o = sl_container_of(t, struct sl_object, turn);
	pthread_mutex_lock(&o->lock);
	o->has_turn = true;
	bool run_now = o->has_last && may_run(o);
	struct sl_ioq *ioq = o->ingest->deps.ioq;
	pthread_mutex_unlock(&o->lock);
	if (run_now)
		sl_ioq_submit(ioq, &o->job);
}

/* ---- the disk threads' side -------------------------------------------------------------------- */

/* Over: gives back what it held and tells the owner, who may reuse the memory at once. */
static void done(struct sl_object *o, bool won)
{
	struct sl_ingest *in = o->ingest;
	struct sl_pending_entry *entry = o->turn.entry;
	uint64_t kept = 0;
	if (o->is_file_open)
		in->deps.store->ops->abort(&o->file);
	o->is_file_open = false;
	if (won || o->result.is_quarantined)
		kept = o->header_len + o->file.written;
	if (o->reserved > 0 || kept > 0)
		sl_water_settle(in->deps.water, o->reserved, kept);
	/* The index room of a winner is given back by the indexer, after the commit. */
	if (o->is_index_reserved && !won)
		sl_index_unreserve(in->deps.index, 1);
	if (o->is_claimed)
		sl_pending_release(in->deps.pending, &o->turn, won);
	else
		sl_pending_leave_study(in->deps.pending, &o->turn);
	if (won)
		sl_indexer_push(in->deps.indexer, entry);
	o->stage = SL_OBJECT_DONE;
	pthread_mutex_destroy(&o->lock);
	o->on_done(o);
}

/* The store has made the name durable, or failed to. On a disk thread or dirsync's. */
static void on_named(struct sl_store_file *f, enum sl_status st)
{
	struct sl_object *o = sl_container_of(f, struct sl_object, file);
	if (st != SL_OK) {
		(void)sl_fail(&o->result.diag, st, f->sync.errnum, "spool/fsync",
			"fsync of spool/: %s", strerror(f->sync.errnum));
		sl_ingest_fail_io(o, st);
	}
	done(o, sl_ack_answer(o, sl_ingest_kept_verdict(o)));
}

/* Releases a part to its owner. */
static void give_back(struct sl_object *o, struct sl_part *p)
{
	sl_part_release(p);
	o->on_part(o, p);
}

/* Room may have been made, or its study's eviction is over. */
static void on_news(struct sl_water_wait *wait)
{
	struct sl_object *o = sl_container_of(wait, struct sl_object, wait);
	sl_ioq_submit(o->ingest->deps.ioq, &o->job);
}

/* Sets the object aside until there is news; it keeps the baton and whatever buffers it has, none of
 * which the evictor needs. False: it has waited long enough, or nobody wants it any more; it failed. */
static bool park(struct sl_object *o)
{
	uint64_t now = sl_env_now_ns(o->ingest->deps.env);
	pthread_mutex_lock(&o->lock);
	bool is_aborted = o->is_aborted;
	pthread_mutex_unlock(&o->lock);
	if (o->waiting_since_ns == 0)
		o->waiting_since_ns = now;
	if (is_aborted) {
		sl_ingest_fail(o, SL_VERDICT_CANCELLED);
		return false;
	}
	if (now - o->waiting_since_ns >= SL_INGEST_PATIENCE_MS * 1000000ull) {
		sl_ingest_fail_io(
			o, sl_fail(&o->result.diag, SL_E_FULL, 0, "water/wait",
				   "no room was made in %u s", SL_INGEST_PATIENCE_MS / 1000));
		return false;
	}
	o->wait.on_news = on_news;
	sl_water_wait(o->ingest->deps.water, &o->wait);
	return true; /* from here on another thread may have the object */
}

static void give_back_last(struct sl_object *o)
{
	struct sl_part *last = o->last;
	o->last = NULL;
	if (last != NULL)
		give_back(o, last);
}

/* All parts are written. False: an earlier object of this UID is not over; the baton was given back. */
static bool see_all(struct sl_object *o, struct sl_ingest_thread *t, uint8_t *scratch)
{
	if (o->stage == SL_OBJECT_RECEIVING) {
		enum sl_status st = o->last != NULL ? sl_ingest_part(o, o->last, true) : SL_OK;
		sl_assert(st == SL_OK); /* only those that are written wait for room */
		sl_ingest_judge(o, t, scratch);
		o->stage = SL_OBJECT_DECIDING;
	}
	pthread_mutex_lock(&o->lock);
	bool may_go_on = o->has_turn || !o->is_claimed;
	if (!may_go_on)
		o->is_running = false;
	pthread_mutex_unlock(&o->lock);
	return may_go_on;
}

static void set_turn(struct sl_object *o, bool has_turn)
{
	pthread_mutex_lock(&o->lock);
	o->has_turn = has_turn;
	pthread_mutex_unlock(&o->lock);
}

/* The last bytes go into the file and their buffer back, where there is room at once. */
static void spill(struct sl_object *o)
{
	enum sl_status st = o->last != NULL ? sl_ingest_room(o, o->last->bytes, true) : SL_AGAIN;
	if (st == SL_AGAIN)
		return;
	if (st == SL_OK)
		sl_ingest_write(o, o->last);
	else
		sl_ingest_fail_io(o, st);
	give_back_last(o);
}

/* Lets go of the turn (not of its place in the line) until the indexer has settled the version before
 * this one, and of the buffer: its bytes wait in the file. Where nothing is settled now, the object
 * fails: its sender comes again, rather than wait for a full disk. */
static void await_settled(struct sl_object *o)
{
	struct sl_ingest *in = o->ingest;
	if (sl_indexer_hurry(in->deps.indexer) != SL_OK) {
		(void)sl_fail(&o->result.diag, SL_E_FULL, 0, "index",
			"refusing: the version before it cannot be settled now");
		sl_ingest_fail(o, sl_latch_is_failed(in->deps.latch) ? SL_VERDICT_SYNC_FAILED
								     : SL_VERDICT_INDEX_FULL);
		return;
	}
	spill(o);
	if (sl_ingest_is_failed(o))
		return;
	/* Before parking: from then on on_turn may come. The baton stays here, so nothing runs yet. */
	set_turn(o, false);
	if (!sl_pending_park(in->deps.pending, &o->turn))
		set_turn(o, true);
	else if (sl_indexer_hurry(in->deps.indexer) != SL_OK)
		sl_pending_wake(in->deps.pending);
}

static void conclude(struct sl_object *o, struct sl_ioq_thread *thread)
{
	struct sl_ingest_thread *t = &o->ingest->threads[thread->number];
	enum sl_decision decision;
	do {
		if (!see_all(o, t, thread->scratch))
			return;
		if (o->is_condemned)
			sl_ingest_set_aside(o, t);
		decision = sl_ingest_is_failed(o) ? SL_DECISION_ENDED
						  : sl_ingest_decide(o, t, thread->scratch);
		if (decision == SL_DECISION_WAITS && park(o))
			return;
		if (decision == SL_DECISION_LATER)
			await_settled(o);
	} while (decision == SL_DECISION_WAITS || decision == SL_DECISION_LATER);
	/* The bytes are in the file or given up: the buffer is free before the name is durable. */
	give_back_last(o);
	if (decision == SL_DECISION_ENDED) {
		done(o, false);
		return;
	}
	o->stage = SL_OBJECT_NAMING;
	o->file.on_named = on_named;
	o->ingest->deps.store->ops->name_durably(&o->file);
}

/* Writes a part and gives it back. False: it waits at the head of the others. */
static bool take_part(struct sl_object *o, struct sl_part *p)
{
	while (sl_ingest_part(o, p, false) == SL_AGAIN) {
		pthread_mutex_lock(&o->lock);
		sl_list_push_front(&o->parts, &p->node);
		pthread_mutex_unlock(&o->lock);
		if (park(o))
			return false;
		pthread_mutex_lock(&o->lock);
		sl_list_remove(&p->node);
		pthread_mutex_unlock(&o->lock);
	}
	o->waiting_since_ns = 0;
	give_back(o, p);
	return true;
}

static void run(struct sl_job *job, struct sl_ioq_thread *thread)
{
	struct sl_object *o = sl_container_of(job, struct sl_object, job);
	for (;;) {
		pthread_mutex_lock(&o->lock);
		struct sl_list *n = sl_list_pop(&o->parts);
		bool is_last = n == NULL && o->has_last;
		bool is_aborted = n == NULL && o->is_aborted;
		if (n == NULL && !is_last && !is_aborted)
			o->is_running = false;
		pthread_mutex_unlock(&o->lock);
		if (n != NULL) {
			if (!take_part(o, sl_container_of(n, struct sl_part, node)))
				return;
		} else if (is_aborted) {
			sl_ingest_fail(o, SL_VERDICT_CANCELLED);
			done(o, false);
			return;
		} else if (is_last) {
			conclude(o, thread);
			return;
		} else {
			return;
		}
	}
}
