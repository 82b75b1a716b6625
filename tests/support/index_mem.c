/* Patients, studies, series and instances in arrays; a row that went stays as a hole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_mem_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/text.h"

void *index_mem_grow(struct array *a)
{
	a->at = realloc(a->at, (a->n + 1) * a->size);
	sl_assert(a->at != NULL);
	return memset(item(a, a->n++), 0, a->size);
}

/* ---- finding ----------------------------------------------------------------------------------- */

struct study *index_mem_study(struct index_mem *m, const struct sl_uid *uid, size_t *no)
{
	for (*no = 0; *no < m->studies.n; ++*no) {
		struct study *s = item(&m->studies, *no);
		if (!s->is_gone && sl_uid_equal(&s->uid, uid))
			return s;
	}
	return NULL;
}

struct series *index_mem_series(
	struct index_mem *m, const struct sl_uid *study, const struct sl_uid *uid, size_t *no)
{
	for (*no = 0; *no < m->series.n; ++*no) {
		struct series *s = item(&m->series, *no);
		const struct study *above = item(&m->studies, s->study);
		if (!s->is_gone && sl_uid_equal(&s->uid, uid) &&
			(study == NULL || sl_uid_equal(&above->uid, study)))
			return s;
	}
	return NULL;
}

struct instance *index_mem_instance(struct index_mem *m, const struct sl_uid *uid)
{
	for (size_t i = 0; i < m->instances.n; i++) {
		struct instance *in = item(&m->instances, i);
		if (!in->is_gone && in->shown.is_current &&
			sl_uid_equal(&in->shown.sop_instance_uid, uid))
			return in;
	}
	return NULL;
}

/* ---- values ------------------------------------------------------------------------------------ */

static void charset_of(const struct sl_record *r, enum sl_attr a, char out[129])
{
	size_t n, charset_n;
	const char *bytes = sl_record_get(r, a, &n);
	const char *charset = sl_record_get(r, SL_ATTR_SPECIFIC_CHARACTER_SET, &charset_n);
	bool matters = !sl_text_is_plain(bytes, n);
	snprintf(out, 129, "%.*s", matters ? (int)charset_n : 0, charset);
}

static bool merge(struct values *v, const struct sl_record *r, enum sl_attr_level level,
	bool may_fill, uint32_t *conflicts)
{
	bool differs = false;
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n, had_n;
		char charset[129];
		const char *bytes = sl_record_get(r, a, &n);
		const char *had = sl_record_get(&v->record, a, &had_n);
		if (sl_attrs[a].level != level || n == 0)
			continue;
		charset_of(r, a, charset);
		if (had_n == 0 && may_fill) {
			sl_record_set(&v->record, a, bytes, n);
			strcpy(v->charset[a], charset);
		} else if (had_n > 0 && (had_n != n || memcmp(had, bytes, n) != 0 ||
						strcmp(charset, v->charset[a]) != 0)) {
			*conflicts |= UINT32_C(1) << a;
			differs = true;
		}
	}
	return differs;
}

size_t index_mem_utf8(const struct values *v, enum sl_attr a, char *out, size_t cap)
{
	size_t n;
	const char *bytes = sl_record_get(&v->record, a, &n);
	struct sl_text_charset cs = sl_text_charset_of(v->charset[a], strlen(v->charset[a]));
	struct sl_wbuf w = sl_wbuf_of(out, cap);
	sl_text_to_utf8(&w, bytes, n, sl_text_kind_of(a), &cs);
	return w.len;
}

/* ---- putting ----------------------------------------------------------------------------------- */

static bool same_id(const struct values *a, const struct values *b, enum sl_attr attr)
{
	char x[600], y[600];
	size_t n = index_mem_utf8(a, attr, x, sizeof(x));
	return n == index_mem_utf8(b, attr, y, sizeof(y)) && memcmp(x, y, n) == 0;
}

static bool is_same_patient(const struct values *a, const struct values *b)
{
	return same_id(a, b, SL_ATTR_PATIENT_ID) && same_id(a, b, SL_ATTR_ISSUER_OF_PATIENT_ID);
}

static size_t join_patient(struct index_mem *m, const struct sl_record *r, size_t study)
{
	static const struct values empty;
	struct values asked = empty;
	uint32_t none = 0;
	size_t id_n;
	(void)sl_record_get(r, SL_ATTR_PATIENT_ID, &id_n);
	(void)merge(&asked, r, SL_LEVEL_PATIENT, true, &none);
	for (size_t i = 0; i < m->patients.n && id_n > 0; i++) {
		struct patient *p = item(&m->patients, i);
		if (!p->is_gone && p->own_study == 0 && is_same_patient(&p->values, &asked))
			return i;
	}
	struct patient *p = index_mem_grow(&m->patients);
	p->own_study = id_n == 0 ? study + 1 : 0;
	return m->patients.n - 1;
}

/* A value that names another patient than the study's says nothing about the study's patient. */
static void merge_patient(
	struct index_mem *m, struct study *study, const struct sl_record *r, uint32_t *conflicts)
{
	static const struct values empty;
	struct values asked = empty;
	struct patient *p = item(&m->patients, study->patient);
	uint32_t none = 0;
	size_t id_n;
	(void)sl_record_get(r, SL_ATTR_PATIENT_ID, &id_n);
	(void)merge(&asked, r, SL_LEVEL_PATIENT, true, &none);
	bool is_new = p->values.record.text_len == 0 && p->own_study == 0;
	bool is_other =
		id_n > 0 && !is_new && (p->own_study != 0 || !is_same_patient(&p->values, &asked));
	bool differs = merge(&p->values, r, SL_LEVEL_PATIENT, !is_other, conflicts);
	if (is_other)
		*conflicts |= UINT32_C(1) << SL_ATTR_PATIENT_ID;
	if (differs && !is_other)
		p->is_conflict = true;
	if (differs || is_other)
		study->is_conflict = true;
}

static void count_in(struct sl_index_counts *n, const struct sl_record *r)
{
	bool is_first = n->first_seq == 0 || r->seq < n->first_seq;
	bool is_last = r->seq >= n->last_seq;
	n->first_ms = is_first ? r->arrived_ms : n->first_ms;
	n->first_seq = is_first ? r->seq : n->first_seq;
	n->last_ms = is_last ? r->arrived_ms : n->last_ms;
	n->last_seq = is_last ? r->seq : n->last_seq;
	n->versions++;
	n->bytes += r->file_len;
}

static int64_t integer_of(const struct sl_record *r, enum sl_attr a, int64_t otherwise)
{
	char text[32], *end;
	size_t n;
	const char *bytes = sl_record_get(r, a, &n);
	snprintf(text, sizeof(text), "%.*s", (int)n, bytes);
	long long v = strtoll(text, &end, 10);
	return n == 0 || n > 12 || *end != '\0' || strlen(text) != n ? otherwise : v;
}

static struct sl_index_instance show_record(const struct sl_record *r)
{
	int64_t frames = integer_of(r, SL_ATTR_NUMBER_OF_FRAMES, 0);
	return (struct sl_index_instance){
		.study_instance_uid = r->study_instance_uid,
		.series_instance_uid = r->series_instance_uid,
		.sop_instance_uid = r->sop_instance_uid,
		.sop_class_uid = r->sop_class_uid,
		.transfer_syntax_uid = r->transfer_syntax_uid,
		.seq = r->seq,
		.dataset_len = r->dataset_len,
		.file_len = r->file_len,
		.instance_number = integer_of(r, SL_ATTR_INSTANCE_NUMBER, SL_INDEX_NO_NUMBER),
		.frames = frames > 0 && frames <= UINT32_MAX ? (uint32_t)frames : 0,
		.flags = r->flags,
	};
}

/* ---- versions ----------------------------------------------------------------------------------- */

static int rank(const struct instance *a, const struct instance *b)
{
	bool a_took = (a->shown.flags & SL_RECORD_NOT_CURRENT) == 0;
	bool b_took = (b->shown.flags & SL_RECORD_NOT_CURRENT) == 0;
	if (a_took != b_took)
		return a_took ? 1 : -1;
	return (a->shown.seq > b->shown.seq) == a_took ? 1 : -1;
}

void index_mem_set_current(struct index_mem *m, struct instance *in, bool is_current)
{
	struct series *series = item(&m->series, in->series);
	struct study *study = item(&m->studies, series->study);
	uint64_t step = (uint64_t)is_current - in->shown.is_current;
	series->counts.instances += step;
	study->counts.instances += step;
	in->shown.is_current = is_current;
}

void index_mem_elect(struct index_mem *m, const struct sl_uid *uid)
{
	struct instance *best = NULL;
	for (size_t i = 0; i < m->instances.n; i++) {
		struct instance *in = item(&m->instances, i);
		if (in->is_gone || !sl_uid_equal(&in->shown.sop_instance_uid, uid))
			continue;
		index_mem_set_current(m, in, false);
		if (best == NULL || rank(in, best) > 0)
			best = in;
	}
	if (best != NULL)
		index_mem_set_current(m, best, true);
}

/* SL_OK: this very record is there; SL_E_EXISTS: its plain name is taken; SL_E_NOTFOUND: neither. */
static enum sl_status look_up(struct index_mem *m, const struct sl_record *r)
{
	enum sl_status st = SL_E_NOTFOUND;
	for (size_t i = 0; i < m->instances.n; i++) {
		const struct instance *in = item(&m->instances, i);
		if (in->is_gone || !sl_uid_equal(&in->shown.sop_instance_uid, &r->sop_instance_uid))
			continue;
		if (in->shown.seq == r->seq)
			return SL_OK;
		if (in->shown.flags & r->flags & SL_RECORD_PLAIN_NAME)
			st = SL_E_EXISTS;
	}
	return st;
}

static void put_record(
	struct index_mem *m, const struct sl_record *r, struct sl_index_result *result)
{
	size_t study_no, series_no;
	*result = (struct sl_index_result){SL_OK, 0};
	m->next_seq = sl_max64(m->next_seq, r->seq + 1);
	result->status = look_up(m, r);
	if (result->status != SL_E_NOTFOUND)
		return;
	result->status = SL_OK;
	struct study *study = index_mem_study(m, &r->study_instance_uid, &study_no);
	if (study == NULL) {
		size_t patient = join_patient(m, r, m->studies.n);
		study_no = m->studies.n;
		study = index_mem_grow(&m->studies);
		study->uid = r->study_instance_uid;
		study->patient = patient;
	}
	struct series *series =
		index_mem_series(m, &r->study_instance_uid, &r->series_instance_uid, &series_no);
	if (series == NULL) {
		series_no = m->series.n;
		series = index_mem_grow(&m->series);
		series->uid = r->series_instance_uid;
		series->study = study_no;
	}
	if (r->study_instance_uid.len > 0) {
		study->is_conflict |=
			merge(&study->values, r, SL_LEVEL_STUDY, true, &result->conflicts);
		merge_patient(m, study, r, &result->conflicts);
	}
	if (r->series_instance_uid.len > 0)
		series->is_conflict |=
			merge(&series->values, r, SL_LEVEL_SERIES, true, &result->conflicts);
	struct instance *in = index_mem_grow(&m->instances);
	in->series = series_no;
	in->shown = show_record(r);
	count_in(&series->counts, r);
	count_in(&study->counts, r);
	index_mem_elect(m, &r->sop_instance_uid);
}

static size_t live_instances(struct index_mem *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->instances.n; i++)
		n += !((struct instance *)item(&m->instances, i))->is_gone;
	return n;
}

static int by_seq(const void *pa, const void *pb)
{
	const struct sl_record *a = *(const struct sl_record *const *)pa;
	const struct sl_record *b = *(const struct sl_record *const *)pb;
	return (a->seq > b->seq) - (a->seq < b->seq);
}

static enum sl_status put_batch(struct sl_index *base, const struct sl_record *const *records,
	size_t n, struct sl_index_result *results, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(base);
	enum sl_status st = SL_OK;
	pthread_mutex_lock(&m->lock);
	size_t new_n = 0;
	for (size_t i = 0; i < n; i++)
		new_n += look_up(m, records[i]) == SL_E_NOTFOUND;
	if (live_instances(m) + new_n > m->capacity)
		st = sl_fail(diag, SL_E_FULL, 0, "index_mem", "full");
	const struct sl_record **sorted = calloc(n + 1, sizeof(*sorted));
	sl_assert(sorted != NULL);
	if (n > 0)
		memcpy(sorted, records, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_seq);
	for (size_t i = 0; i < n && st == SL_OK; i++) {
		size_t at = 0;
		while (records[at] != sorted[i])
			at++;
		put_record(m, sorted[i], &results[at]);
	}
	free(sorted);
	m->commits += st == SL_OK;
	pthread_mutex_unlock(&m->lock);
	return st;
}

/* ---- counting ---------------------------------------------------------------------------------- */

static struct sl_index_usage count(struct index_mem *m)
{
	struct sl_index_usage u = {0};
	for (size_t i = 0; i < m->patients.n; i++) {
		const struct patient *p = item(&m->patients, i);
		u.patients += !p->is_gone;
		u.conflicts += !p->is_gone && p->is_conflict;
	}
	for (size_t i = 0; i < m->studies.n; i++) {
		const struct study *s = item(&m->studies, i);
		u.studies += !s->is_gone;
		u.conflicts += !s->is_gone && s->is_conflict;
	}
	for (size_t i = 0; i < m->series.n; i++) {
		const struct series *s = item(&m->series, i);
		u.series += !s->is_gone;
		u.conflicts += !s->is_gone && s->is_conflict;
	}
	for (size_t i = 0; i < m->instances.n; i++) {
		const struct instance *in = item(&m->instances, i);
		u.instances += !in->is_gone && in->shown.is_current;
		u.versions += !in->is_gone;
		u.bytes += in->is_gone ? 0 : in->shown.file_len;
	}
	return u;
}

static enum sl_status clear_stale(struct sl_index *base, struct sl_diag *diag)
{
	(void)base;
	(void)diag;
	return SL_OK;
}

static enum sl_status check(
	struct sl_index *base, struct sl_index_report *report, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(base);
	(void)diag;
	memset(report, 0, sizeof(*report));
	pthread_mutex_lock(&m->lock);
	report->counted = count(m);
	pthread_mutex_unlock(&m->lock);
	return SL_OK;
}

static enum sl_status reserve(struct sl_index *base, size_t objects)
{
	struct index_mem *m = mem_of(base);
	pthread_mutex_lock(&m->lock);
	bool fits = m->reserved + objects + live_instances(m) <= m->capacity;
	m->reserved += fits ? objects : 0;
	pthread_mutex_unlock(&m->lock);
	return fits ? SL_OK : SL_E_FULL;
}

static void owe(struct sl_index *base, size_t objects)
{
	struct index_mem *m = mem_of(base);
	pthread_mutex_lock(&m->lock);
	m->reserved += objects;
	pthread_mutex_unlock(&m->lock);
}

static void unreserve(struct sl_index *base, size_t objects)
{
	struct index_mem *m = mem_of(base);
	pthread_mutex_lock(&m->lock);
	sl_assert(m->reserved >= objects);
	m->reserved -= objects;
	pthread_mutex_unlock(&m->lock);
}

static void snapshot(struct sl_index *base, struct sl_index_snapshot *out)
{
	struct index_mem *m = mem_of(base);
	pthread_mutex_lock(&m->lock);
	*out = (struct sl_index_snapshot){
		.usage = count(m),
		.next_seq = m->next_seq,
		.commits = m->commits,
		.reserved = m->reserved,
		.room = m->capacity - sl_min(m->capacity, live_instances(m)),
	};
	pthread_mutex_unlock(&m->lock);
}

static void close_index(struct sl_index *base)
{
	struct index_mem *m = mem_of(base);
	free(m->patients.at);
	free(m->studies.at);
	free(m->series.at);
	free(m->instances.at);
	free(m->tombstones.at);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

struct sl_index *sl_index_mem_new(size_t capacity)
{
	struct index_mem *m = calloc(1, sizeof(*m));
	sl_assert(m != NULL);
	m->ops = index_mem_reading;
	m->ops.close = close_index;
	m->ops.put_batch = put_batch;
	m->ops.remove_instance = index_mem_remove_instance;
	m->ops.remove_studies = index_mem_remove_studies;
	m->ops.drop_tombstones = index_mem_drop_tombstones;
	m->ops.clear_stale = clear_stale;
	m->ops.check = check;
	m->ops.reserve = reserve;
	m->ops.owe = owe;
	m->ops.unreserve = unreserve;
	m->ops.snapshot = snapshot;
	m->base.ops = &m->ops;
	m->capacity = capacity;
	m->next_seq = 1;
	m->patients.size = sizeof(struct patient);
	m->studies.size = sizeof(struct study);
	m->series.size = sizeof(struct series);
	m->instances.size = sizeof(struct instance);
	m->tombstones.size = sizeof(struct sl_index_tombstone);
	pthread_mutex_init(&m->lock, NULL);
	return &m->base;
}
