/* In which order the records of a batch are put.
 *
 * The order of arrival, because the first value of a row stays, and a rebuild, which goes by seq, is to
 * come to the same. But rows are read and written once for each run of records that share them, so what
 * shares no row is kept apart: the records of a study stay together, unless other studies of its patient
 * (or other versions of an object) arrived in between. Groups are found by sorting: by study, by patient,
 * by object; a group goes by the record of it that came first. Writer. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

/* What a sort goes by, and how. */
struct order_by {
	const struct sl_record *const *records;
	const uint64_t *patient; /* by_patient: of each record */
	const uint32_t *group;   /* by_group: likewise */
	int (*compare)(const struct order_by *by, uint32_t i, uint32_t k);
};

static int by_number(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_study(const struct order_by *by, uint32_t i, uint32_t k)
{
	const struct sl_uid *a = &by->records[i]->study_instance_uid;
	return memcmp(a->s, by->records[k]->study_instance_uid.s, sizeof(a->s));
}

static int by_instance(const struct order_by *by, uint32_t i, uint32_t k)
{
	const struct sl_uid *a = &by->records[i]->sop_instance_uid;
	return memcmp(a->s, by->records[k]->sop_instance_uid.s, sizeof(a->s));
}

static int by_patient(const struct order_by *by, uint32_t i, uint32_t k)
{
	return by_number(by->patient[i], by->patient[k]);
}

/* Groups by their first record, and the records of each by seq. */
static int by_group(const struct order_by *by, uint32_t i, uint32_t k)
{
	uint32_t a = by->group[i], b = by->group[k];
	if (a != b)
		return by_number(by->records[a]->seq, by->records[b]->seq);
	return by_number(by->records[i]->seq, by->records[k]->seq);
}

/* True when record i comes before record k; never for both ways round. */
static bool is_before(const struct order_by *by, uint32_t i, uint32_t k)
{
	int order = by->compare(by, i, k);
	if (order == 0 && by->group != NULL)
		order = by_number(by->group[i], by->group[k]);
	return order != 0 ? order < 0 : i < k;
}

static void sift(uint32_t *heap, size_t at, size_t n, const struct order_by *by)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && is_before(by, heap[child], heap[child + 1]))
			child++;
		if (!is_before(by, heap[at], heap[child]))
			return;
		uint32_t moved = heap[at];
		heap[at] = heap[child];
		heap[child] = moved;
	}
}

/* A heapsort: glibc's qsort() allocates. */
static void sort_by(uint32_t *order, size_t n, const struct order_by *by)
{
	for (size_t i = n / 2; i > 0; i--)
		sift(order, i - 1, n, by);
	for (size_t end = n; end > 1; end--) {
		uint32_t last = order[0];
		order[0] = order[end - 1];
		order[end - 1] = last;
		sift(order, 0, end - 1, by);
	}
}

/* The record that stands for the group of record i: the one of them that came first. */
static uint32_t group_of(uint32_t *group, uint32_t i)
{
	while (group[i] != i)
		i = group[i] = group[group[i]];
	return i;
}

/* Makes one group of those that compare alike. */
static void join_alike(struct sl_index_lmdb_batch *b, size_t n, const struct order_by *by)
{
	sort_by(b->order, n, by);
	for (size_t i = 1; i < n; i++) {
		uint32_t before = b->order[i - 1], own = b->order[i];
		bool is_nobody = by->compare == by_patient && by->patient[own] == 0;
		if (by->compare(by, before, own) != 0 || is_nobody)
			continue;
		uint32_t x = group_of(b->group, before), y = group_of(b->group, own);
		if (by->records[x]->seq <= by->records[y]->seq)
			b->group[y] = x;
		else
			b->group[x] = y;
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

enum sl_status sl_index_lmdb_order(struct sl_index_txn *t, struct sl_index_lmdb_batch *b, size_t n,
	const struct sl_record *const *records)
{
	struct order_by by = {records, b->patient_id, NULL, by_study};
	enum sl_status st = SL_OK;
	for (uint32_t i = 0; i < n; i++)
		b->order[i] = b->group[i] = i;
	join_alike(b, n, &by);
	for (uint32_t i = 0; i < n && st == SL_OK; i++)
		if (group_of(b->group, i) == i)
			st = patient_of(t, records[i], &b->patient_id[i]);
	for (uint32_t i = 0; i < n; i++)
		b->patient_id[i] = b->patient_id[group_of(b->group, i)];
	by.compare = by_patient;
	join_alike(b, n, &by);
	by.compare = by_instance;
	join_alike(b, n, &by);
	for (uint32_t i = 0; i < n; i++)
		b->group[i] = group_of(b->group, i);
	sort_by(b->order, n, &(struct order_by){records, NULL, b->group, by_group});
	return st;
}
