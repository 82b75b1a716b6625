/* Instances and studies leave the arrays; tombstones stay until they are dropped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_mem_priv.h"

static void bury(struct index_mem *m, const struct sl_index_tombstone *t)
{
	if (t->seq == 0)
		return;
	struct sl_index_tombstone *to = index_mem_grow(&m->tombstones);
	*to = *t;
	m->next_seq = sl_max64(m->next_seq, t->seq + 1);
}

/* Takes an instance out and what is empty above it. */
static void take_out(struct index_mem *m, struct instance *in, struct sl_index_removed *removed)
{
	struct series *series = item(&m->series, in->series);
	struct study *study = item(&m->studies, series->study);
	index_mem_set_current(m, in, false);
	in->is_gone = true;
	removed->versions++;
	removed->bytes += in->shown.file_len;
	series->counts.versions--;
	series->counts.bytes -= in->shown.file_len;
	study->counts.versions--;
	study->counts.bytes -= in->shown.file_len;
	index_mem_elect(m, &in->shown.sop_instance_uid);
	removed->instances += index_mem_instance(m, &in->shown.sop_instance_uid) == NULL;
	removed->series_gone = series->is_gone = series->counts.versions == 0;
	removed->study_gone = study->is_gone = study->counts.versions == 0;
	bool is_patient_left = false;
	for (size_t i = 0; i < m->studies.n; i++) {
		const struct study *s = item(&m->studies, i);
		is_patient_left |= !s->is_gone && s->patient == study->patient;
	}
	((struct patient *)item(&m->patients, study->patient))->is_gone = !is_patient_left;
}

enum sl_status index_mem_remove_instance(struct sl_index *base, const struct sl_uid *uid,
	uint64_t tombstone_seq, struct sl_index_removed *removed, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(base);
	(void)diag;
	*removed = (struct sl_index_removed){0};
	pthread_mutex_lock(&m->lock);
	struct instance *in = index_mem_instance(m, uid);
	if (in != NULL) {
		take_out(m, in, removed);
		bury(m, &(struct sl_index_tombstone){
				.seq = tombstone_seq,
				.kind = SL_INDEX_TOMB_INSTANCE,
				.study_instance_uid = in->shown.study_instance_uid,
				.series_instance_uid = in->shown.series_instance_uid,
				.sop_instance_uid = *uid,
				.object_seq = in->shown.seq,
				.is_plain_name = (in->shown.flags & SL_RECORD_PLAIN_NAME) != 0,
			});
	}
	pthread_mutex_unlock(&m->lock);
	return in != NULL ? SL_OK : SL_E_NOTFOUND;
}

static void remove_study(struct index_mem *m, struct sl_index_removal *r)
{
	size_t no;
	const struct study *study = index_mem_study(m, &r->study_instance_uid, &no);
	r->removed = (struct sl_index_removed){0};
	r->status = study != NULL ? SL_OK : SL_E_NOTFOUND;
	for (size_t i = 0; i < m->instances.n && study != NULL; i++) {
		struct instance *in = item(&m->instances, i);
		const struct series *above = item(&m->series, in->series);
		if (!in->is_gone && above->study == no)
			take_out(m, in, &r->removed);
	}
	if (study != NULL)
		bury(m, &(struct sl_index_tombstone){.seq = r->tombstone_seq,
				.kind = SL_INDEX_TOMB_STUDY,
				.study_instance_uid = r->study_instance_uid});
}

enum sl_status index_mem_remove_studies(
	struct sl_index *base, struct sl_index_removal *removals, size_t n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(base);
	(void)diag;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < n; i++)
		remove_study(m, &removals[i]);
	pthread_mutex_unlock(&m->lock);
	return SL_OK;
}

enum sl_status index_mem_drop_tombstones(
	struct sl_index *base, const uint64_t *seqs, size_t n, struct sl_diag *diag)
{
	struct index_mem *m = mem_of(base);
	(void)diag;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->tombstones.n; i++) {
		struct sl_index_tombstone *t = item(&m->tombstones, i);
		for (size_t k = 0; k < n; k++)
			if (t->seq == seqs[k])
				t->seq = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return SL_OK;
}
