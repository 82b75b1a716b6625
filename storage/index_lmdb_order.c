/* In which order the records of a batch are put.
 *
 * The order of arrival, because the first value of a row stays, and a rebuild, which goes by seq, is to
 * come to the same. But rows are read and written once for each run of records that share them, and a
 * tree is walked once for keys that are neighbours: so the records of a study stay together, unless
 * other versions of an object arrived in between, or other studies of its patient that say something
 * else about him. A group goes by the record of it that came first.
 *
 * Records get turns, in order of seq; groups are found by hashing, O(n), and are known by their first
 * turn. Writer. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#define MIX UINT64_C(0x9E3779B97F4A7C15)

/* What one batch is ordered by. */
struct order {
	struct sl_index_lmdb_turn *turns;
	uint32_t n, slots_n; /* slots_n: a power of two, at least 2 n */
	uint32_t *slots;     /* a turn and 1; 0: free */
	const struct sl_record *const *records;
};

static const struct sl_record *record_of(const struct order *o, uint32_t turn)
{
	return o->records[o->turns[turn].record];
}

/* ---- turns ------------------------------------------------------------------------------------- */

static bool is_before(const struct order *o, uint32_t i, uint32_t k)
{
	uint64_t a = o->records[i]->seq, b = o->records[k]->seq;
	return a != b ? a < b : i < k;
}

static void sift(struct sl_index_lmdb_turn *heap, size_t at, size_t n, const struct order *o)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && is_before(o, heap[child].record, heap[child + 1].record))
			child++;
		if (!is_before(o, heap[at].record, heap[child].record))
			return;
		uint32_t moved = heap[at].record;
		heap[at].record = heap[child].record;
		heap[child].record = moved;
	}
}

/* A heapsort (glibc's qsort() allocates), unless they came in order, as they nearly always do. */
static void give_turns(const struct order *o)
{
	bool is_sorted = true;
	for (uint32_t i = 0; i < o->n; i++) {
		o->turns[i] = (struct sl_index_lmdb_turn){.record = i, .group = i, .kin = i};
		is_sorted &= i == 0 || is_before(o, i - 1, i);
	}
	for (size_t i = is_sorted ? 0 : o->n / 2; i > 0; i--)
		sift(o->turns, i - 1, o->n, o);
	for (size_t end = is_sorted ? 0 : o->n; end > 1; end--) {
		uint32_t last = o->turns[0].record;
		o->turns[0].record = o->turns[end - 1].record;
		o->turns[end - 1].record = last;
		sift(o->turns, 0, end - 1, o);
	}
}

/* ---- groups ------------------------------------------------------------------------------------ */

/* The first turn of a group. */
static uint32_t group_of(const struct order *o, uint32_t i)
{
	struct sl_index_lmdb_turn *turns = o->turns;
	while (turns[i].group != i)
		i = turns[i].group = turns[turns[i].group].group;
	return i;
}

static void join(const struct order *o, uint32_t i, uint32_t k)
{
	uint32_t a = group_of(o, i), b = group_of(o, k);
	o->turns[sl_max(a, b)].group = (uint32_t)sl_min(a, b);
}

static uint64_t hash_of(const struct sl_uid *u)
{
	uint64_t h = u->len, word;
	_Static_assert(SL_UID_MAX % sizeof(word) == 0, "read in whole words, zeros behind the end");
	for (size_t i = 0; i < u->len; i += sizeof(word)) {
		memcpy(&word, u->s + i, sizeof(word));
		h = (h ^ word) * MIX;
		h ^= h >> 32;
	}
	return h;
}

/* The first turn that was looked up with what is alike; its own when there is none. */
static uint32_t find_alike(const struct order *o, uint32_t turn, uint64_t hash,
	bool (*is_alike)(const struct order *o, uint32_t i, uint32_t k))
{
	uint32_t mask = o->slots_n - 1;
	for (uint32_t at = (uint32_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
		uint32_t found = o->slots[at];
		if (found == 0)
			o->slots[at] = turn + 1;
		if (found == 0 || is_alike(o, found - 1, turn))
			return found == 0 ? turn : found - 1;
	}
}

static bool is_same_study(const struct order *o, uint32_t i, uint32_t k)
{
	return sl_uid_equal(
		&record_of(o, i)->study_instance_uid, &record_of(o, k)->study_instance_uid);
}

static bool is_same_object(const struct order *o, uint32_t i, uint32_t k)
{
	return sl_uid_equal(&record_of(o, i)->sop_instance_uid, &record_of(o, k)->sop_instance_uid);
}

static bool is_same_patient(const struct order *o, uint32_t i, uint32_t k)
{
	return o->turns[i].patient == o->turns[k].patient;
}

static void empty_slots(const struct order *o)
{
	memset(o->slots, 0, o->slots_n * sizeof(*o->slots));
}

static bool says_same_patient(const struct order *o, uint32_t i, uint32_t k)
{
	return sl_index_lmdb_says_same(record_of(o, i), record_of(o, k), SL_LEVEL_PATIENT);
}

static void join_studies(const struct order *o)
{
	empty_slots(o);
	for (uint32_t i = 0; i < o->n; i++) {
		uint64_t hash = hash_of(&record_of(o, i)->study_instance_uid);
		uint32_t first = find_alike(o, i, hash, is_same_study);
		o->turns[i].group = first;
		if (first != i && !o->turns[first].is_mixed)
			o->turns[first].is_mixed = !says_same_patient(o, first, i);
	}
}

static void join_objects(const struct order *o)
{
	empty_slots(o);
	for (uint32_t i = 0; i < o->n; i++) {
		uint64_t hash = hash_of(&record_of(o, i)->sop_instance_uid);
		join(o, i, find_alike(o, i, hash, is_same_object));
	}
}

/* What stands for the patient whose row a study's records may touch: its number; of a row not yet made, a
 * hash of its key (two that are alike are put in order without need); 0: nobody else's. */
static enum sl_status patient_of(
	struct sl_index_txn *t, const struct sl_record *first, uint64_t *patient)
{
	struct sl_index_row_study study;
	uint8_t kb[SL_INDEX_ROW_KEY_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	size_t n;
	uint64_t no;
	*patient = 0;
	enum sl_status st = sl_index_lmdb_find_study(t, &first->study_instance_uid, &no);
	if (st == SL_OK) {
		st = sl_index_lmdb_get_study(t, no, &study);
		*patient = study.patient;
		return st == SL_E_NOTFOUND ? sl_index_lmdb_corrupt("index/study", t->diag) : st;
	}
	(void)sl_record_get(first, SL_ATTR_PATIENT_ID, &n);
	if (st != SL_E_NOTFOUND || n == 0)
		return st == SL_E_NOTFOUND ? SL_OK : st;
	sl_index_lmdb_patient_key(&key, first, 0);
	st = sl_index_lmdb_get_number(t, SL_TREE_PATIENT_KEY, &key, patient);
	if (st != SL_E_NOTFOUND)
		return st;
	*patient = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < key.len; i++)
		*patient = (*patient ^ kb[i]) * UINT64_C(0x100000001b3);
	*patient |= UINT64_C(1) << 63;
	return SL_OK;
}

/* Joins the studies of a patient, if any two of their records differ in what they say of him. */
static enum sl_status join_patients(struct sl_index_txn *t, const struct order *o)
{
	struct sl_index_lmdb_turn *turns = o->turns;
	enum sl_status st = SL_OK;
	empty_slots(o);
	for (uint32_t i = 0; i < o->n && st == SL_OK; i++) {
		if (turns[i].group != i)
			continue;
		st = patient_of(t, record_of(o, i), &turns[i].patient);
		if (st != SL_OK || turns[i].patient == 0)
			continue;
		uint32_t first = find_alike(o, i, turns[i].patient * MIX, is_same_patient);
		turns[i].kin = first;
		turns[first].is_mixed |= turns[i].is_mixed || !says_same_patient(o, first, i);
	}
	for (uint32_t i = 0; i < o->n && st == SL_OK; i++)
		if (turns[turns[i].kin].is_mixed)
			join(o, i, turns[i].kin);
	return st;
}

/* ---- the order --------------------------------------------------------------------------------- */

/* Groups by their first turn, and the turns of each one after the other. */
static void lay_out(const struct order *o, uint32_t *order)
{
	struct sl_index_lmdb_turn *turns = o->turns;
	uint32_t next = 0;
	for (uint32_t i = 0; i < o->n; i++)
		turns[group_of(o, i)].start++; /* how many they are, at first */
	for (uint32_t i = 0; i < o->n; i++) {
		uint32_t members = turns[i].start;
		turns[i].start = next;
		next += members;
	}
	for (uint32_t i = 0; i < o->n; i++)
		order[turns[group_of(o, i)].start++] = turns[i].record;
}

enum sl_status sl_index_lmdb_order(struct sl_index_txn *t, struct sl_index_lmdb_batch *b, size_t n,
	const struct sl_record *const *records)
{
	struct order o = {b->turns, (uint32_t)n, 2, b->slots, records};
	while (o.slots_n < 2 * n)
		o.slots_n *= 2;
	give_turns(&o);
	join_studies(&o);
	enum sl_status st = n > 1 ? join_patients(t, &o) : SL_OK;
	join_objects(&o);
	lay_out(&o, b->order);
	return st;
}
