/* The full recount: every row read, every name followed both ways, every counter added up again.
 *
 * Walks the trees from the top: each study's row names a patient and is named by its UID; its series
 * rows follow it in their tree as its number leads them, their instances likewise. What a row counts
 * must be what lies below it, and each tree of names must have as many entries as there are rows to
 * name. The first things wrong are told, the rest is counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_priv.h"

#include <stdarg.h>
#include <stdio.h>

struct check {
	struct sl_index_txn *t;
	struct sl_index_report *report;
	MDB_cursor *series, *instances; /* walk along with the studies */
	struct sl_index_lmdb_keys keys; /* counts the entries the rows must have */
};

/* One thing wrong; a failure of LMDB itself ends the check by its status. */
SL_PRINTF(2, 3) static void wrong(struct check *c, const char *fmt, ...)
{
	struct sl_index_report *r = c->report;
	char *line = r->wrong < SL_INDEX_REPORT_LINES ? r->lines[r->wrong] : NULL;
	va_list ap;
	if (line != NULL) {
		va_start(ap, fmt);
		vsnprintf(line, sizeof(r->lines[0]), fmt, ap);
		va_end(ap);
	}
	if (r->wrong++ == 0)
		memcpy(r->first, r->lines[0], sizeof(r->first));
}

static bool is_failure(enum sl_status st)
{
	return st != SL_OK && st != SL_E_NOTFOUND && st != SL_E_CORRUPT;
}

/* The next row of a walk when its key begins with prefix: SL_OK, or SL_END. */
static enum sl_status next_of(struct check *c, MDB_cursor *cursor, MDB_cursor_op op,
	const struct sl_wbuf *prefix, MDB_val *key, MDB_val *value)
{
	if (op == MDB_SET_RANGE)
		*key = (MDB_val){prefix->len, prefix->base};
	int rc = mdb_cursor_get(cursor, key, value, op);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return sl_index_lmdb_error(rc, "lmdb/check", c->t->diag);
	if (rc == MDB_NOTFOUND || !sl_index_lmdb_is_below(key, prefix))
		return SL_END;
	return SL_OK;
}

/* A row's entries among the ordered keys are there. As many entries as rows have, each of them there:
 * no entry is without its row. */
static enum sl_status check_keys(
	struct check *c, enum sl_status st, const char *kind, const char *name)
{
	if (c->keys.missing > 0 || st == SL_E_CORRUPT)
		wrong(c, "%s %s lacks an ordered key", kind, name);
	c->keys.missing = 0;
	return is_failure(st) ? st : SL_OK;
}

static void add(struct sl_index_counts *sum, const struct sl_index_counts *n)
{
	sum->instances += n->instances;
	sum->versions += n->versions;
	sum->bytes += n->bytes;
}

static bool is_sum(const struct sl_index_counts *sum, const struct sl_index_counts *n)
{
	return sum->instances == n->instances && sum->versions == n->versions &&
	       sum->bytes == n->bytes;
}

/* A version behind: the tree of versions leads to its place, and what is current is ahead of it. */
static enum sl_status check_behind(struct check *c, const struct sl_index_row_place *place,
	const struct sl_index_row_instance *row)
{
	struct sl_index_lmdb_version own = {*place, row->seq, row->flags}, current;
	struct sl_index_row_place named = {0};
	struct sl_cur v;
	uint8_t kb[SL_LMDB_KEY_UID_MAX + SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	sl_index_lmdb_key_version(&key, &row->uid, row->seq);
	enum sl_status st = sl_index_lmdb_get(c->t, SL_TREE_VERSION, &key, &v);
	if (st == SL_OK)
		st = sl_index_row_place(v, &named);
	if (is_failure(st))
		return st;
	if (st != SL_OK || memcmp(&named, place, sizeof(named)) != 0)
		wrong(c, "a version of %s is not where its seq leads", row->uid.s);
	st = sl_index_lmdb_get_place(c->t, &row->uid, &current.place);
	if (st == SL_OK)
		st = sl_index_lmdb_get_version(c->t, &current);
	if (is_failure(st))
		return st;
	if (st != SL_OK || !sl_index_lmdb_is_ahead(&current, &own))
		wrong(c, "instance %s has the wrong version current", row->uid.s);
	return SL_OK;
}

/* An instance: its row decodes, its UID leads back to its place. */
static enum sl_status check_instance(struct check *c, const struct sl_index_row_place *place,
	const struct sl_index_row_series *series, MDB_val value, struct sl_index_counts *sum)
{
	struct sl_index_row_instance row;
	struct sl_index_row_place named;
	if (sl_index_row_instance(sl_cur_of(value.mv_data, value.mv_size), &series->uid, &row) !=
		SL_OK) {
		wrong(c, "an instance row of series %s does not decode", series->uid.s);
		return SL_OK;
	}
	add(sum, &(struct sl_index_counts){
			 .instances = !row.is_behind, .versions = 1, .bytes = row.file_len});
	if (place->ordinal >= series->next_ordinal || row.seq >= c->t->state.next_seq)
		wrong(c, "instance %s has a number not yet given", row.uid.s);
	if (row.is_behind)
		return check_behind(c, place, &row);
	enum sl_status st = sl_index_lmdb_get_place(c->t, &row.uid, &named);
	if (is_failure(st))
		return st;
	if (st != SL_OK || memcmp(&named, place, sizeof(named)) != 0)
		wrong(c, "instance %s is not where its UID leads", row.uid.s);
	return SL_OK;
}

static enum sl_status check_series(struct check *c, uint64_t study, uint64_t no,
	const struct sl_index_row_study *above, const struct sl_index_row_series *row,
	struct sl_index_counts *study_sum)
{
	uint8_t kb[2 * SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	struct sl_index_counts sum = {0};
	uint64_t named = 0;
	MDB_val key, value;
	MDB_cursor_op op = MDB_SET_RANGE;
	enum sl_status st = sl_index_lmdb_find_series(c->t, study, &row->uid, &named);
	if (is_failure(st))
		return st;
	if (st != SL_OK || named != no)
		wrong(c, "series %s is not where its UID leads", row->uid.s);
	st = check_keys(c, sl_index_lmdb_keys_of_series(&c->keys, study, no, above, row), "series",
		row->uid.s);
	if (is_failure(st))
		return st;
	sl_lmdb_key_put_uint(&prefix, study);
	sl_lmdb_key_put_uint(&prefix, no);
	while ((st = next_of(c, c->instances, op, &prefix, &key, &value)) == SL_OK) {
		struct sl_cur tail =
			sl_cur_of((uint8_t *)key.mv_data + prefix.len, key.mv_size - prefix.len);
		struct sl_index_row_place place = {study, no, sl_lmdb_key_uint(&tail)};
		st = check_instance(c, &place, row, value, &sum);
		if (st != SL_OK)
			return st;
		op = MDB_NEXT;
	}
	if (sum.versions == 0 || !is_sum(&sum, &row->counts))
		wrong(c, "series %s counts %llu instances and has %llu", row->uid.s,
			(unsigned long long)row->counts.instances,
			(unsigned long long)sum.instances);
	add(study_sum, &sum);
	c->report->counted.conflicts += (row->flags & SL_INDEX_ROW_CONFLICT) != 0;
	return st == SL_END ? SL_OK : st;
}

static bool same_modalities(const struct sl_index_row_study *a, const struct sl_index_row_study *b)
{
	/* Named in order of arrival, or of series number when one went: compared as sets. */
	if (a->modalities_n != b->modalities_n)
		return false;
	struct sl_index_row_study both = *a;
	for (uint8_t i = 0; i < b->modalities_n; i++)
		sl_index_row_add_modality(&both, b->modalities[i], strlen(b->modalities[i]));
	return both.modalities_n == a->modalities_n || a->modalities_n == SL_INDEX_MODALITIES;
}

static enum sl_status check_children(
	struct check *c, uint64_t no, const struct sl_index_row_study *row)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf prefix = sl_wbuf_of(kb, sizeof(kb));
	struct sl_index_counts sum = {0};
	struct sl_index_row_study recount = {0};
	MDB_val key, value;
	MDB_cursor_op op = MDB_SET_RANGE;
	enum sl_status st;
	sl_lmdb_key_put_uint(&prefix, no);
	while ((st = next_of(c, c->series, op, &prefix, &key, &value)) == SL_OK) {
		struct sl_index_row_series series;
		struct sl_cur tail =
			sl_cur_of((uint8_t *)key.mv_data + prefix.len, key.mv_size - prefix.len);
		uint64_t series_no = sl_lmdb_key_uint(&tail);
		op = MDB_NEXT;
		recount.series_n++;
		if (sl_index_row_series(sl_cur_of(value.mv_data, value.mv_size), &series) !=
			SL_OK) {
			wrong(c, "a series row of study %s does not decode", row->uid.s);
			continue;
		}
		st = check_series(c, no, series_no, row, &series, &sum);
		if (st != SL_OK)
			return st;
		if (series.text.len[SL_ATTR_MODALITY] > 0)
			sl_index_row_add_modality(&recount,
				series.text.bytes + series.text.at[SL_ATTR_MODALITY],
				series.text.len[SL_ATTR_MODALITY]);
	}
	if (recount.series_n != row->series_n || !is_sum(&sum, &row->counts) ||
		!same_modalities(row, &recount))
		wrong(c, "study %s counts %u series, %llu instances and has %u, %llu", row->uid.s,
			row->series_n, (unsigned long long)row->counts.instances, recount.series_n,
			(unsigned long long)sum.instances);
	c->report->counted.series += recount.series_n;
	c->report->counted.instances += sum.instances;
	c->report->counted.versions += sum.versions;
	c->report->counted.bytes += sum.bytes;
	return st == SL_END ? SL_OK : st;
}

/* The study stands once in the order of arrival, at its last instance's seq. */
static enum sl_status check_arrival(
	struct check *c, uint64_t no, const struct sl_index_row_study *row)
{
	uint8_t kb[SL_LMDB_KEY_UINT_MAX];
	struct sl_wbuf key = sl_wbuf_of(kb, sizeof(kb));
	uint64_t named = 0;
	sl_lmdb_key_put_uint(&key, row->counts.last_seq);
	enum sl_status st = sl_index_lmdb_get_number(c->t, SL_TREE_ARRIVAL, &key, &named);
	if (!is_failure(st) && (st != SL_OK || named != no))
		wrong(c, "study %s is not where its last arrival leads", row->uid.s);
	return st;
}

static enum sl_status check_study(struct check *c, MDB_val key, MDB_val value)
{
	struct sl_index_row_study row;
	struct sl_index_row_patient patient;
	struct sl_cur k = sl_cur_of(key.mv_data, key.mv_size);
	uint64_t no = sl_lmdb_key_uint(&k), named = 0;
	c->report->counted.studies++;
	if (sl_index_row_study(sl_cur_of(value.mv_data, value.mv_size), &row) != SL_OK) {
		wrong(c, "the row of study number %llu does not decode", (unsigned long long)no);
		return SL_OK;
	}
	c->report->counted.conflicts += (row.flags & SL_INDEX_ROW_CONFLICT) != 0;
	enum sl_status st = sl_index_lmdb_find_study(c->t, &row.uid, &named);
	if (is_failure(st))
		return st;
	if (st != SL_OK || named != no)
		wrong(c, "study %s is not where its UID leads", row.uid.s);
	st = check_arrival(c, no, &row);
	if (!is_failure(st))
		st = check_keys(
			c, sl_index_lmdb_keys_of_study(&c->keys, no, &row), "study", row.uid.s);
	if (is_failure(st))
		return st;
	st = sl_index_lmdb_get_patient(c->t, row.patient, &patient);
	if (is_failure(st))
		return st;
	if (st != SL_OK)
		wrong(c, "study %s names a patient that is not there", row.uid.s);
	if (no >= c->t->state.next_study)
		wrong(c, "study %s has a number not yet given", row.uid.s);
	return check_children(c, no, &row);
}

static enum sl_status check_studies(struct check *c, MDB_cursor *studies)
{
	MDB_val key, value;
	const struct sl_wbuf all = {0};
	enum sl_status st = next_of(c, studies, MDB_FIRST, &all, &key, &value);
	while (st == SL_OK) {
		st = check_study(c, key, value);
		if (st == SL_OK)
			st = next_of(c, studies, MDB_NEXT, &all, &key, &value);
	}
	return st == SL_END ? SL_OK : st;
}

/* Patients: each row's key leads back to it; together they have as many studies as there are. */
static enum sl_status check_patients(struct check *c, MDB_cursor *patients)
{
	MDB_val key, value;
	const struct sl_wbuf all = {0};
	uint64_t studies = 0;
	enum sl_status st = next_of(c, patients, MDB_FIRST, &all, &key, &value);
	for (; st == SL_OK; st = next_of(c, patients, MDB_NEXT, &all, &key, &value)) {
		struct sl_index_row_patient row;
		struct sl_cur k = sl_cur_of(key.mv_data, key.mv_size);
		uint64_t no = sl_lmdb_key_uint(&k), named = 0;
		c->report->counted.patients++;
		if (sl_index_row_patient(sl_cur_of(value.mv_data, value.mv_size), &row) != SL_OK) {
			wrong(c, "the row of patient number %llu does not decode",
				(unsigned long long)no);
			continue;
		}
		const struct sl_wbuf name = {row.key, sizeof(row.key), row.key_len, false};
		enum sl_status found =
			sl_index_lmdb_get_number(c->t, SL_TREE_PATIENT_KEY, &name, &named);
		if (is_failure(found))
			return found;
		if (found != SL_OK || named != no)
			wrong(c, "patient number %llu is not where its key leads",
				(unsigned long long)no);
		char number[24];
		snprintf(number, sizeof(number), "%llu", (unsigned long long)no);
		found = check_keys(
			c, sl_index_lmdb_keys_of_patient(&c->keys, no, &row), "patient", number);
		if (is_failure(found))
			return found;
		c->report->counted.conflicts += (row.flags & SL_INDEX_ROW_CONFLICT) != 0;
		studies += row.studies_n;
	}
	if (studies != c->report->counted.studies)
		wrong(c, "patients count %llu studies and there are %llu",
			(unsigned long long)studies,
			(unsigned long long)c->report->counted.studies);
	return st == SL_END ? SL_OK : st;
}

/* Words: each number leads to a word that leads back to it. Words that no row uses any more stay. */
static enum sl_status check_words(struct check *c)
{
	MDB_cursor *words = NULL;
	MDB_val key, value;
	const struct sl_wbuf all = {0};
	uint64_t by_number = 0, n = 0;
	int rc = mdb_cursor_open(c->t->txn, c->t->ix->tree[SL_TREE_DICT], &words);
	enum sl_status st = sl_index_lmdb_error(rc, "lmdb/check", c->t->diag);
	if (st == SL_OK)
		st = next_of(c, words, MDB_FIRST, &all, &key, &value);
	for (; st == SL_OK; st = next_of(c, words, MDB_NEXT, &all, &key, &value)) {
		struct sl_cur k = sl_cur_of(key.mv_data, key.mv_size);
		uint32_t named = 0;
		n++;
		if (sl_cur_u8(&k) != SL_INDEX_LMDB_WORD_BY_NUMBER)
			continue;
		uint64_t no = sl_lmdb_key_uint(&k);
		by_number++;
		enum sl_status found =
			sl_index_lmdb_find_word(c->t, value.mv_data, value.mv_size, &named);
		if (is_failure(found)) {
			st = found;
			break;
		}
		if (k.bad || sl_cur_left(&k) > 0 || found != SL_OK || named != no)
			wrong(c, "a word of the dictionary is not where its number leads");
	}
	if (words != NULL)
		mdb_cursor_close(words);
	if (st == SL_END && (n != 2 * by_number || by_number + 1 != c->t->state.next_word))
		wrong(c, "the dictionary has %llu entries for %llu words", (unsigned long long)n,
			(unsigned long long)(c->t->state.next_word - 1));
	return st == SL_END ? SL_OK : st;
}

/* Names without a row, and rows without one above, show as trees of different size. */
static enum sl_status check_sizes(struct check *c)
{
	const struct sl_index_usage *u = &c->report->counted;
	const struct {
		enum sl_index_lmdb_tree tree;
		const char *name;
		uint64_t rows;
	} sizes[] = {
		{SL_TREE_PATIENT_KEY, "patient keys", u->patients},
		{SL_TREE_STUDY_UID, "study UIDs", u->studies},
		{SL_TREE_ARRIVAL, "last arrivals", u->studies},
		{SL_TREE_SERIES, "series rows", u->series},
		{SL_TREE_SERIES_UID, "series UIDs", u->series},
		{SL_TREE_INSTANCE, "instance rows", u->versions},
		{SL_TREE_UID, "instance UIDs", u->instances},
		{SL_TREE_VERSION, "versions behind", u->versions - u->instances},
		{SL_TREE_KEY, "ordered keys", c->keys.entries},
		{SL_TREE_META, "entries of meta (schema, state)", 2},
	};
	for (size_t i = 0; i < SL_ARRAY_N(sizes); i++) {
		MDB_stat stat;
		int rc = mdb_stat(c->t->txn, c->t->ix->tree[sizes[i].tree], &stat);
		if (rc != 0)
			return sl_index_lmdb_error(rc, "lmdb/stat", c->t->diag);
		if (stat.ms_entries != sizes[i].rows)
			wrong(c, "%zu %s for %llu rows", stat.ms_entries, sizes[i].name,
				(unsigned long long)sizes[i].rows);
	}
	return SL_OK;
}

static enum sl_status check_all(struct check *c, MDB_cursor *studies, MDB_cursor *patients)
{
	enum sl_status st = sl_index_lmdb_get_state(c->t, &c->t->state);
	if (st == SL_OK)
		st = check_studies(c, studies);
	if (st == SL_OK)
		st = check_patients(c, patients);
	if (st == SL_OK)
		st = check_sizes(c);
	if (st == SL_OK)
		st = check_words(c);
	if (st == SL_OK &&
		memcmp(&c->t->state.usage, &c->report->counted, sizeof(c->report->counted)) != 0)
		wrong(c, "the totals say %llu instances, %llu studies; counted %llu, %llu",
			(unsigned long long)c->t->state.usage.instances,
			(unsigned long long)c->t->state.usage.studies,
			(unsigned long long)c->report->counted.instances,
			(unsigned long long)c->report->counted.studies);
	return st;
}

enum sl_status sl_index_lmdb_check(
	struct sl_index *base, struct sl_index_report *report, struct sl_diag *diag)
{
	struct sl_index_lmdb *ix = sl_index_lmdb_of(base);
	struct sl_index_txn t = {.ix = ix, .diag = diag};
	struct check c = {
		.t = &t, .report = report, .keys = {.t = &t, .what = SL_INDEX_LMDB_KEYS_CHECK}};
	MDB_cursor *studies = NULL, *patients = NULL;
	memset(report, 0, sizeof(*report));
	int rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &t.txn);
	if (rc == 0)
		rc = mdb_cursor_open(t.txn, ix->tree[SL_TREE_STUDY], &studies);
	if (rc == 0)
		rc = mdb_cursor_open(t.txn, ix->tree[SL_TREE_PATIENT], &patients);
	if (rc == 0)
		rc = mdb_cursor_open(t.txn, ix->tree[SL_TREE_SERIES], &c.series);
	if (rc == 0)
		rc = mdb_cursor_open(t.txn, ix->tree[SL_TREE_INSTANCE], &c.instances);
	enum sl_status st = rc == 0 ? check_all(&c, studies, patients)
				    : sl_index_lmdb_error(rc, "lmdb/check", diag);
	MDB_cursor *const open[] = {studies, patients, c.series, c.instances};
	for (size_t i = 0; i < SL_ARRAY_N(open); i++)
		if (open[i] != NULL)
			mdb_cursor_close(open[i]);
	if (t.txn != NULL)
		mdb_txn_abort(t.txn);
	return st;
}
