/* The ledger, and what must be true of the node at each moment.
 *
 * An object (u, v) is version v of SOP instance u; its bytes follow from the seed. When a success for
 * it leaves the server, its file must be durable there and then: whole, under a name that a power cut
 * at its worst would leave. From then on it is in the ledger until the evictor takes its study, and
 * after every start it must be found by the index and read back byte for byte.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/p10.h"
#include "core/wbuf.h"
#include "sim/sim.h"
#include "sim/wraps.h"
#include "support/cmdset.h"

#define WAITING 64 /* objects that have come in whole and are not decided */

struct entry {
	bool was_sent, is_promised, was_evicted;
	bool is_gone;            /* its row was taken out, and no copy of it is under way */
	bool is_noted;           /* and journal/ops says so: it holds without the index too */
	bool has_row;            /* between rows_before() and rows_after() */
	unsigned sent, answered; /* times */
	size_t len;              /* of its data set; 0: not known yet */
};

/* Objects in the order in which their last PDVs came in. */
struct arrival {
	const struct sl_turn *turn;
	struct sl_uid uid;
	unsigned loop; /* thread */
	uint64_t at_ns;
};

static struct {
	struct entry entries[SIM_UIDS][SIM_VERSIONS];
	struct arrival arrivals[WAITING];
	unsigned arrivals_n, acknowledged;
	uint8_t bytes[SIM_DATASET], read[SIM_DATASET];
} ledger;

void sim_oracle_reset(void)
{
	memset(&ledger.entries, 0, sizeof(ledger.entries));
	ledger.arrivals_n = ledger.acknowledged = 0;
	sim_studies_reset();
}

unsigned sim_oracle_acknowledged(void)
{
	return ledger.acknowledged;
}

/* ---- objects ---- */

struct sl_uid sim_uid(unsigned u)
{
	char text[SL_UID_MAX + 1];
	snprintf(text, sizeof(text), "1.2.99.%u", u);
	return sl_uid_of(text);
}

unsigned sim_study_of(unsigned u)
{
	return u % sim_plan.studies;
}

struct sl_uid sim_study_uid(unsigned study)
{
	char text[32];
	snprintf(text, sizeof(text), "1.2.3.%u", study);
	return sl_uid_of(text);
}

static void element(struct sl_wbuf *w, uint16_t group, uint16_t el, const char *vr, const char *s)
{
	size_t n = strlen(s);
	sl_wbuf_le16(w, group);
	sl_wbuf_le16(w, el);
	sl_wbuf_put(w, vr, 2);
	sl_wbuf_le16(w, (uint16_t)(n + n % 2));
	sl_wbuf_put(w, s, n);
	if (n % 2 != 0)
		sl_wbuf_u8(w, 0);
}

size_t sim_dataset(unsigned u, unsigned v, uint8_t *out)
{
	char study[32], series[32];
	uint64_t random = sim_hash(sim_plan.seed, u * 16 + v);
	size_t pixels = 2 * (random % (sim_plan.size_max / 2));
	struct sl_wbuf w = sl_wbuf_of(out, SIM_DATASET);
	snprintf(study, sizeof(study), "1.2.3.%u", sim_study_of(u));
	snprintf(series, sizeof(series), "1.2.3.%u.%u", sim_study_of(u), u % 2);
	element(&w, 0x0008, 0x0016, "UI", T_CT_CLASS);
	element(&w, 0x0008, 0x0018, "UI", sim_uid(u).s);
	element(&w, 0x0010, 0x0020, "LO", "P1");
	element(&w, 0x0020, 0x000D, "UI", study);
	element(&w, 0x0020, 0x000E, "UI", series);
	sl_wbuf_le16(&w, 0x7FE0);
	sl_wbuf_le16(&w, 0x0010);
	sl_wbuf_put(&w, "OW\0", 4);
	sl_wbuf_le32(&w, (uint32_t)pixels);
	sl_assert(!w.bad && pixels <= SIM_DATASET - w.len);
	for (size_t i = 0; i < pixels; i += sizeof(random), random += 0x9e3779b97f4a7c15u)
		memcpy(out + w.len + i, &random, sl_min(sizeof(random), pixels - i));
	w.len += pixels;
	return w.len;
}

static size_t length_of(unsigned u, unsigned v)
{
	struct entry *e = &ledger.entries[u][v];
	if (e->len == 0)
		e->len = sim_dataset(u, v, ledger.bytes);
	return e->len;
}

/* ---- promises ---- */

struct search {
	struct sl_uid uid;
	size_t n; /* of ledger.bytes: what is looked for */
	unsigned found, spooled;
};

/* A whole file of ours with these bytes. */
static void look(void *arg, const struct sim_file *f)
{
	struct search *s = arg;
	struct sl_p10 p10;
	size_t header_len;
	if (f->n < s->n || memcmp(f->bytes + f->n - s->n, ledger.bytes, s->n) != 0)
		return;
	if (sl_p10_decode(f->bytes, f->n, &p10, &header_len) == SL_OK &&
		header_len + s->n == f->n && p10.proof.dataset_len == s->n &&
		sl_uid_equal(&p10.sop_instance_uid, &s->uid)) {
		s->found++;
		s->spooled += f->is_spooled;
	}
}

/* Of version v of object u, what a power cut now would leave at worst. */
static struct search search(unsigned u, unsigned v)
{
	struct search s = {.uid = sim_uid(u), .n = sim_dataset(u, v, ledger.bytes)};
	sim_disk_walk(true, look, &s);
	return s;
}

/* True when the index has this very version. */
static bool has_row(unsigned u, unsigned v)
{
	struct sl_index_reader rd = {.index = sim_index()};
	struct sl_uid uid = sim_uid(u);
	struct sl_index_instance row;
	struct sl_diag d = {0};
	uint64_t after = 0;
	size_t n = 1, len = length_of(u, v);
	bool found = false, was_quiet = sim_is_quiet();
	sim_quiet(true);
	while (!found && sl_index_list_versions(&rd, &uid, &after, &row, &n, &d) == SL_OK &&
		n > 0) {
		found = row.dataset_len == len;
		n = 1;
	}
	sim_quiet(was_quiet);
	return found;
}

void sim_oracle_sent(unsigned u, unsigned v)
{
	struct entry *e = &ledger.entries[u][v];
	e->was_sent = true;
	e->is_gone = false;
	e->sent++;
}

static bool another_was_sent(unsigned u, unsigned v)
{
	for (unsigned w = 0; w < SIM_VERSIONS; w++)
		if (w != v && ledger.entries[u][w].was_sent)
			return true;
	return false;
}

/* Promise 3. The quota counts bytes, so nothing is to spare. */
static void check_quota(void)
{
	uint64_t kept = sim_disk_kept(), full = sim_plan.quota - sim_plan.quota / 20;
	if (sim_plan.quota > 0 && sim_node_may_fail() && kept > full)
		sim_fail("a success above the full mark: %llu of %llu bytes are kept",
			(unsigned long long)kept, (unsigned long long)full);
}

void sim_oracle_answered(unsigned u, unsigned v, uint16_t status)
{
	struct entry *e = &ledger.entries[u][v];
	e->answered++;
	if (status == 0x0111 && (sim_plan.duplicates != SL_DUP_REFUSE || !another_was_sent(u, v)))
		sim_fail("0111 for object %u, of which there is no other version", u);
	if (status != 0 && status != 0x0111 && !sim_plan.has_faults)
		sim_fail("%04X for object %u, though nothing fails", status, u);
	if (status != 0)
		return;
	struct search s = search(u, v);
	/* Once evicted, it may have gone between the decision and this moment; then it was durable. */
	bool has_gone = e->was_evicted && s.spooled == 0 && !has_row(u, v);
	if (!has_gone && s.found == 0)
		sim_fail("success for object %u, version %u, which is not durable", u, v);
	for (unsigned w = 0; w < SIM_VERSIONS && sim_plan.duplicates == SL_DUP_REFUSE; w++)
		if (w != v && ledger.entries[u][w].is_promised)
			sim_fail("success for two versions of object %u, %u and %u", u, w, v);
	check_quota();
	e->is_promised = !has_gone;
	ledger.acknowledged++;
}

/* ---- removals ---- */

void sim_oracle_rows_before(void)
{
	for (unsigned u = 0; u < SIM_UIDS; u++)
		for (unsigned v = 0; v < SIM_VERSIONS; v++) {
			struct entry *e = &ledger.entries[u][v];
			e->has_row = e->was_sent && has_row(u, v);
		}
}

void sim_oracle_rows_after(void)
{
	for (unsigned u = 0; u < SIM_UIDS; u++)
		for (unsigned v = 0; v < SIM_VERSIONS; v++) {
			struct entry *e = &ledger.entries[u][v];
			if (!e->has_row || has_row(u, v))
				continue;
			e->is_promised = false;
			e->was_evicted = true;
			e->is_gone = e->sent == e->answered;
			e->is_noted = false;
		}
}

/* The line comes behind the commit, about what went with it. */
enum sl_status __wrap_sl_ops_gone(
	struct sl_ops *ops, const struct sl_index_tombstone *tombs, size_t n, struct sl_diag *d)
{
	enum sl_status st = __real_sl_ops_gone(ops, tombs, n, d);
	for (unsigned u = 0; u < SIM_UIDS && st == SL_OK; u++)
		for (unsigned v = 0; v < SIM_VERSIONS; v++)
			ledger.entries[u][v].is_noted |= ledger.entries[u][v].is_gone;
	return st;
}

void sim_oracle_index_lost(void)
{
	for (unsigned u = 0; u < SIM_UIDS; u++)
		for (unsigned v = 0; v < SIM_VERSIONS; v++)
			ledger.entries[u][v].is_gone &= ledger.entries[u][v].is_noted;
}

/* ---- the store after a start ---- */

static bool reads_back(struct sl_storage *s, const struct sl_index_instance *row, size_t n)
{
	const struct sl_locator at = {.study_instance_uid = row->study_instance_uid,
		.series_instance_uid = row->series_instance_uid,
		.sop_instance_uid = row->sop_instance_uid,
		.seq = row->seq,
		.has_plain_name = (row->flags & SL_RECORD_PLAIN_NAME) != 0};
	struct sl_store_reader reader;
	struct sl_diag d = {0};
	size_t got = 0;
	if (s->store->ops->open(s->store, &reader, &at, &d) != SL_OK)
		sim_fail("an object has a row and no file: %s: %s", d.where, d.text);
	bool is_same = reader.dataset_len == n &&
		       s->store->ops->read(&reader, 0, ledger.read, n, &got, &d) == SL_OK &&
		       got == n && memcmp(ledger.read, ledger.bytes, n) == 0;
	s->store->ops->close(&reader);
	return is_same;
}

/* How often version v of object u is found by the index and read back. */
static unsigned count(struct sl_storage *s, struct sl_index_reader *rd, unsigned u, unsigned v)
{
	struct sl_uid uid = sim_uid(u);
	struct sl_index_instance rows[16];
	struct sl_diag d = {0};
	uint64_t after = 0;
	size_t n = SL_ARRAY_N(rows);
	unsigned found = 0;
	if (sl_index_list_versions(rd, &uid, &after, rows, &n, &d) != SL_OK || n == 0)
		return 0;
	size_t len = sim_dataset(u, v, ledger.bytes);
	for (size_t i = 0; i < n; i++)
		found += reads_back(s, &rows[i], len);
	return found;
}

void sim_oracle_check_store(struct sl_storage *s)
{
	struct sl_index_reader *rd;
	struct sl_diag d = {0};
	ledger.arrivals_n = 0;
	if (sl_index_open_reader(s->index, &rd, &d) != SL_OK)
		sim_fail("no reader of the index");
	for (unsigned u = 0; u < SIM_UIDS; u++) {
		for (unsigned v = 0; v < SIM_VERSIONS; v++) {
			const struct entry *e = &ledger.entries[u][v];
			if (!e->was_sent)
				continue;
			unsigned n = count(s, rd, u, v);
			if (e->is_promised && n == 0)
				sim_fail("object %u, version %u, was promised and is lost", u, v);
			if (e->is_gone && n > 0)
				sim_fail("object %u, version %u, was removed and is back", u, v);
			if (n > 1)
				sim_fail("object %u, version %u, is there %u times", u, v, n);
		}
	}
	sl_index_close_reader(rd);
}

/* ---- files and index ---- */

struct tally {
	unsigned spooled, empty, archived; /* empty: in spool/ */
};

static void count_file(void *arg, const struct sim_file *f)
{
	struct tally *t = arg;
	t->spooled += f->is_spooled && f->n > 0;
	t->empty += f->is_spooled && f->n == 0;
	t->archived += !f->is_spooled;
}

void sim_oracle_look_at_spool(void)
{
	struct tally t = {0};
	sim_disk_walk(false, count_file, &t);
	if (t.spooled > 0)
		sim_saw(SIM_SAW_LEFT_IN_SPOOL);
}

void sim_oracle_check_files(void)
{
	struct tally t = {0};
	struct sl_index_snapshot snap;
	sim_disk_walk(false, count_file, &t);
	sl_index_snapshot(sim_index(), &snap);
	if (t.spooled + t.empty != 0)
		sim_fail("%u files are left in the spool after the stop", t.spooled + t.empty);
	if (t.archived != snap.usage.versions)
		sim_fail("%u files in the archive, %u in the index", t.archived,
			(unsigned)snap.usage.versions);
}

/* ---- the order of decisions ---- */

/* One that has failed already decides nothing, and is no part of the order. */
void __wrap_sl_ingest_finish(struct sl_object *o, struct sl_part *last, uint64_t extra_bytes)
{
	if (sl_ingest_is_failed(o)) {
		__real_sl_ingest_finish(o, last, extra_bytes);
		return;
	}
	if (ledger.arrivals_n == WAITING)
		sim_fail("more than %d objects wait for a decision", WAITING);
	ledger.arrivals[ledger.arrivals_n++] = (struct arrival){.turn = &o->turn,
		.uid = o->params.sop_instance_uid,
		.loop = sim_self(),
		.at_ns = sim_now_ns()};
	__real_sl_ingest_finish(o, last, extra_bytes);
}

/* The object is over; when its last PDV came [ns], or 0. Of those that came in on one loop the earlier
 * one is decided first. */
static uint64_t leave(const struct sl_turn *t, bool is_decided)
{
	unsigned i = 0;
	while (i < ledger.arrivals_n && ledger.arrivals[i].turn != t)
		i++;
	if (i == ledger.arrivals_n)
		return 0; /* given up before its last PDV came */
	const struct arrival a = ledger.arrivals[i];
	for (unsigned k = 0; k < i && is_decided; k++)
		if (ledger.arrivals[k].loop == a.loop &&
			sl_uid_equal(&ledger.arrivals[k].uid, &a.uid))
			sim_fail("object %s is decided before one that came in earlier", a.uid.s);
	ledger.arrivals_n--;
	memmove(&ledger.arrivals[i], &ledger.arrivals[i + 1], (ledger.arrivals_n - i) * sizeof(a));
	return a.at_ns;
}

void __wrap_sl_pending_release(struct sl_pending *p, struct sl_turn *t, bool won)
{
	sim_studies_released(t, won, leave(t, true));
	__real_sl_pending_release(p, t, won);
}

void __wrap_sl_pending_leave_study(struct sl_pending *p, struct sl_turn *t)
{
	(void)leave(t, false);
	sim_studies_released(t, false, 0);
	__real_sl_pending_leave_study(p, t);
}

/* ---- the gate ---- */

/* The gate by itself: without any one of what a success promises it says no, whatever the rest of the
 * code sees to. */
static void probe_gate(struct sl_object *o)
{
	struct sl_store_file *f = &o->file;
	const struct sl_store_file was = *f;
	const bool is_rival_durable = o->is_rival_durable;
	bool opens = false;
	if (o->result.dup == SL_DUP_IDENTICAL) {
		o->is_rival_durable = false;
		opens = sl_ack_gate(o);
	} else {
		f->is_data_synced = false;
		opens = sl_ack_gate(o);
		f->is_data_synced = true;
		f->is_named = false;
		opens |= sl_ack_gate(o);
		f->is_named = true;
		f->sync.covered_by = f->sync.named_after;
		opens |= sl_ack_gate(o);
	}
	f->is_data_synced = was.is_data_synced;
	f->is_named = was.is_named;
	f->sync.covered_by = was.sync.covered_by;
	o->is_rival_durable = is_rival_durable;
	if (opens)
		sim_fail("the gate opens for an object that is not durable");
}

bool __wrap_sl_ack_answer(struct sl_object *o, enum sl_verdict v)
{
	bool has_failed = sim_node_has_failed();
	bool is_success = __real_sl_ack_answer(o, v);
	if (has_failed)
		sim_saw(SIM_SAW_DECIDED_AFTER_LATCH);
	if (has_failed && is_success)
		sim_fail("a success is decided after the store has failed");
	if (is_success)
		probe_gate(o);
	return is_success;
}
