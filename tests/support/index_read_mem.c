/* The in-memory twin's reading half: lookups and pages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_mem_priv.h"

#include <stdio.h>
#include <stdlib.h>

void index_mem_show_values(const struct values *v, struct sl_index_text *t)
{
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		size_t n = index_mem_utf8(v, a, t->utf8 + t->used, sizeof(t->utf8) - t->used);
		if (n == 0)
			continue;
		t->at[a] = t->used;
		t->len[a] = (uint16_t)n;
		t->used = (uint16_t)(t->used + n);
	}
}

static enum sl_status open_reader(
	struct sl_index *base, struct sl_index_reader **out, struct sl_diag *diag)
{
	(void)diag;
	*out = calloc(1, sizeof(**out));
	sl_assert(*out != NULL);
	(*out)->index = base;
	return SL_OK;
}

static void close_reader(struct sl_index_reader *rd)
{
	free(rd);
}

void index_mem_show_series(struct index_mem *m, const struct series *s, struct sl_index_series *out)
{
	memset(out, 0, sizeof(*out));
	out->study_instance_uid = ((struct study *)item(&m->studies, s->study))->uid;
	out->series_instance_uid = s->uid;
	out->counts = s->counts;
	out->is_conflict = s->is_conflict;
	index_mem_show_values(&s->values, &out->text);
}

void index_mem_show_study(struct index_mem *m, size_t no, struct sl_index_study *out)
{
	const struct study *s = item(&m->studies, no);
	memset(out, 0, sizeof(*out));
	out->study_instance_uid = s->uid;
	out->counts = s->counts;
	out->is_conflict = s->is_conflict;
	out->patient = s->patient + 1;
	index_mem_show_values(&s->values, &out->text);
	index_mem_show_values(&((struct patient *)item(&m->patients, s->patient))->values, &out->text);
	for (size_t i = 0; i < m->series.n; i++) {
		const struct series *below = item(&m->series, i);
		char name[SL_INDEX_MODALITY_MAX + 1];
		size_t n;
		bool is_known = false;
		if (below->is_gone || below->study != no)
			continue;
		out->series_n++;
		const char *m_bytes = sl_record_get(&below->values.record, SL_ATTR_MODALITY, &n);
		snprintf(name, sizeof(name), "%.*s", (int)n, m_bytes);
		for (uint8_t j = 0; j < out->modalities_n; j++)
			is_known |= strcmp(out->modalities[j], name) == 0;
		if (n > 0 && !is_known && out->modalities_n < SL_INDEX_MODALITIES)
			strcpy(out->modalities[out->modalities_n++], name);
	}
}

static enum sl_status locate_instance(struct sl_index_reader *rd, const struct sl_uid *uid,
	struct sl_index_instance *out, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	(void)diag;
	pthread_mutex_lock(&m->lock);
	const struct instance *in = index_mem_instance(m, uid);
	if (in != NULL)
		*out = in->shown;
	pthread_mutex_unlock(&m->lock);
	return in != NULL ? SL_OK : SL_E_NOTFOUND;
}

static enum sl_status locate_series(struct sl_index_reader *rd, const struct sl_uid *study,
	const struct sl_uid *uid, struct sl_index_series *out, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t no;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	const struct series *s = index_mem_series(m, study, uid, &no);
	if (s != NULL)
		index_mem_show_series(m, s, out);
	pthread_mutex_unlock(&m->lock);
	return s != NULL ? SL_OK : SL_E_NOTFOUND;
}

static enum sl_status locate_study(struct sl_index_reader *rd, const struct sl_uid *uid,
	struct sl_index_study *out, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t no;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	const struct study *s = index_mem_study(m, uid, &no);
	if (s != NULL)
		index_mem_show_study(m, no, out);
	pthread_mutex_unlock(&m->lock);
	return s != NULL ? SL_OK : SL_E_NOTFOUND;
}

/* A cursor here is the place in the array behind the last row shown. */
static size_t place_of(const struct sl_index_cursor *at)
{
	size_t place = 0;
	if (at->len > 0)
		memcpy(&place, at->key, sizeof(place));
	return place;
}

static void set_place(struct sl_index_cursor *at, size_t place)
{
	at->len = sizeof(place);
	memcpy(at->key, &place, sizeof(place));
}

static enum sl_status list_studies(struct sl_index_reader *rd, struct sl_index_cursor *at,
	struct sl_index_study *out, size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	for (size_t i = place_of(at); i < m->studies.n && filled < *n; i++) {
		if (((struct study *)item(&m->studies, i))->is_gone)
			continue;
		index_mem_show_study(m, i, &out[filled++]);
		set_place(at, i + 1);
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : SL_END;
}

static enum sl_status list_series(struct sl_index_reader *rd, const struct sl_uid *study,
	struct sl_index_cursor *at, struct sl_index_series *out, size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0, no;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	bool exists = index_mem_study(m, study, &no) != NULL;
	for (size_t i = place_of(at); exists && i < m->series.n && filled < *n; i++) {
		const struct series *s = item(&m->series, i);
		if (s->is_gone || s->study != no)
			continue;
		index_mem_show_series(m, s, &out[filled++]);
		set_place(at, i + 1);
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : exists ? SL_END : SL_E_NOTFOUND;
}

static enum sl_status list_instances(struct sl_index_reader *rd, const struct sl_uid *study,
	const struct sl_uid *series, struct sl_index_cursor *at, struct sl_index_instance *out,
	size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0, no;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	bool exists = index_mem_series(m, study, series, &no) != NULL;
	for (size_t i = place_of(at); exists && i < m->instances.n && filled < *n; i++) {
		const struct instance *in = item(&m->instances, i);
		if (in->is_gone || in->series != no)
			continue;
		out[filled++] = in->shown;
		set_place(at, i + 1);
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : exists ? SL_END : SL_E_NOTFOUND;
}

static enum sl_status list_versions(struct sl_index_reader *rd, const struct sl_uid *uid,
	uint64_t *after_seq, struct sl_index_instance *out, size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	bool exists = index_mem_instance(m, uid) != NULL;
	while (exists && filled < *n) {
		const struct instance *next = NULL;
		for (size_t i = 0; i < m->instances.n; i++) {
			const struct instance *in = item(&m->instances, i);
			if (!in->is_gone && sl_uid_equal(&in->shown.sop_instance_uid, uid) &&
				in->shown.seq > *after_seq &&
				(next == NULL || in->shown.seq < next->shown.seq))
				next = in;
		}
		if (next == NULL)
			break;
		out[filled++] = next->shown;
		*after_seq = next->shown.seq;
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : exists ? SL_END : SL_E_NOTFOUND;
}

static enum sl_status list_arrivals(struct sl_index_reader *rd, uint64_t *after_seq,
	struct sl_index_arrival *out, size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	while (filled < *n) {
		const struct study *next = NULL;
		for (size_t i = 0; i < m->studies.n; i++) {
			const struct study *s = item(&m->studies, i);
			if (!s->is_gone && s->counts.last_seq > *after_seq &&
				(next == NULL || s->counts.last_seq < next->counts.last_seq))
				next = s;
		}
		if (next == NULL)
			break;
		out[filled++] = (struct sl_index_arrival){next->uid, next->counts};
		*after_seq = next->counts.last_seq;
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : SL_END;
}

static enum sl_status list_tombstones(struct sl_index_reader *rd, uint64_t *after_seq,
	struct sl_index_tombstone *out, size_t *n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	size_t filled = 0;
	(void)diag;
	pthread_mutex_lock(&m->lock);
	while (filled < *n) {
		const struct sl_index_tombstone *next = NULL;
		for (size_t i = 0; i < m->tombstones.n; i++) {
			const struct sl_index_tombstone *t = item(&m->tombstones, i);
			if (t->seq > *after_seq && (next == NULL || t->seq < next->seq))
				next = t;
		}
		if (next == NULL)
			break;
		out[filled++] = *next;
		*after_seq = next->seq;
	}
	pthread_mutex_unlock(&m->lock);
	*n = filled;
	return filled > 0 ? SL_OK : SL_END;
}

const struct sl_index_ops index_mem_reading = {
	.open_reader = open_reader,
	.close_reader = close_reader,
	.locate_instance = locate_instance,
	.locate_series = locate_series,
	.locate_study = locate_study,
	.list_studies = list_studies,
	.list_series = list_series,
	.list_instances = list_instances,
	.list_versions = list_versions,
	.list_arrivals = list_arrivals,
	.list_tombstones = list_tombstones,
	.find = index_mem_find,
};
