/* The in-memory twin's find: every row of the level in the order it was made, every path through it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_mem_priv.h"

#include "storage/index_match.h"

/* A path from a patient down to an instance. */
struct path {
	size_t no[SL_LEVEL_INSTANCE + 1];
	const struct patient *patient;
	const struct study *study;
	const struct series *series;
	const struct instance *instance;
};

static bool get_path(struct index_mem *m, size_t instance, struct path *p)
{
	p->instance = item(&m->instances, instance);
	p->series = item(&m->series, p->instance->series);
	p->study = item(&m->studies, p->series->study);
	p->patient = item(&m->patients, p->study->patient);
	p->no[SL_LEVEL_INSTANCE] = instance;
	p->no[SL_LEVEL_SERIES] = p->instance->series;
	p->no[SL_LEVEL_STUDY] = p->series->study;
	p->no[SL_LEVEL_PATIENT] = p->study->patient;
	return !p->instance->is_gone && p->instance->shown.is_current;
}

static bool meets(const struct path *p, const struct sl_index_term *t)
{
	const struct sl_index_instance *i = &p->instance->shown;
	char value[1024];
	switch (t->cond->field) {
	case SL_FIELD_STUDY_UID:
		return sl_index_term_meets_uid(t, &p->study->uid);
	case SL_FIELD_SERIES_UID:
		return sl_index_term_meets_uid(t, &p->series->uid);
	case SL_FIELD_SOP_UID:
		return sl_index_term_meets_uid(t, &i->sop_instance_uid);
	case SL_FIELD_SOP_CLASS_UID:
		return sl_index_term_meets_uid(t, &i->sop_class_uid);
	case SL_FIELD_TRANSFER_SYNTAX_UID:
		return sl_index_term_meets_uid(t, &i->transfer_syntax_uid);
	case SL_FIELD_ARRIVAL:
		return sl_index_term_meets_arrival(t, p->study->counts.last_seq);
	case SL_ATTR_INSTANCE_NUMBER:
		return sl_index_term_meets_number(
			t, i->instance_number, i->instance_number == SL_INDEX_NO_NUMBER);
	case SL_ATTR_NUMBER_OF_FRAMES:
		return sl_index_term_meets_number(t, i->frames, i->frames == 0);
	default:
		break;
	}
	const struct values *v = t->level == SL_LEVEL_PATIENT ? &p->patient->values
				 : t->level == SL_LEVEL_STUDY ? &p->study->values
							      : &p->series->values;
	size_t n = index_mem_utf8(v, (enum sl_attr)t->cond->field, value, sizeof(value));
	return sl_index_term_meets(t, value, n);
}

static bool answers(struct index_mem *m, const struct sl_index_terms *terms,
	enum sl_attr_level level, size_t no)
{
	struct path p;
	for (size_t i = 0; i < m->instances.n; i++) {
		bool is_met = get_path(m, i, &p) && p.no[level] == no;
		for (size_t k = 0; k < terms->n && is_met; k++)
			is_met = meets(&p, &terms->term[k]);
		if (is_met)
			return true;
	}
	return false;
}

static void show_patient(struct index_mem *m, size_t no, struct sl_index_patient *out)
{
	const struct patient *p = item(&m->patients, no);
	memset(out, 0, sizeof(*out));
	out->patient = no + 1;
	out->is_conflict = p->is_conflict;
	index_mem_show_values(&p->values, &out->text);
	for (size_t i = 0; i < m->studies.n; i++) {
		const struct study *s = item(&m->studies, i);
		out->studies_n += !s->is_gone && s->patient == no;
	}
}

static void show(struct index_mem *m, enum sl_attr_level level, size_t no, void *out, size_t at)
{
	if (level == SL_LEVEL_PATIENT)
		show_patient(m, no, (struct sl_index_patient *)out + at);
	else if (level == SL_LEVEL_STUDY)
		index_mem_show_study(m, no, (struct sl_index_study *)out + at);
	else if (level == SL_LEVEL_SERIES)
		index_mem_show_series(m, item(&m->series, no), (struct sl_index_series *)out + at);
	else
		((struct sl_index_instance *)out)[at] =
			((struct instance *)item(&m->instances, no))->shown;
}

enum sl_status index_mem_find(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(rd->index);
	static _Thread_local struct sl_index_terms terms;
	const size_t rows[] = {m->patients.n, m->studies.n, m->series.n, m->instances.n};
	size_t filled = 0, no = 0;
	*plan = (struct sl_index_plan){.key = SL_KEY_NONE, .cond = (unsigned)q->n};
	enum sl_status st = sl_index_terms_make(&terms, q, diag);
	if (st != SL_OK)
		return st;
	if (at->len > 0)
		memcpy(&no, at->key, sizeof(no));
	pthread_mutex_lock(&m->lock);
	for (; no < rows[level] && filled < *n; no++)
		if (answers(m, &terms, level, no))
			show(m, level, no, out, filled++);
	pthread_mutex_unlock(&m->lock);
	at->len = sizeof(no);
	memcpy(at->key, &no, sizeof(no));
	*n = filled;
	return filled > 0 ? SL_OK : SL_END;
}
