/* Finding: the typed calls in front of the seam's one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_find.h"

static enum sl_status find(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	struct sl_index_plan unasked;
	return rd->index->ops->find(rd, level, q, at, out, n, plan ? plan : &unasked, diag);
}

enum sl_status sl_index_find_patients(struct sl_index_reader *rd, const struct sl_index_query *q,
	struct sl_index_cursor *at, struct sl_index_patient *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	return find(rd, SL_LEVEL_PATIENT, q, at, out, n, plan, diag);
}

enum sl_status sl_index_find_studies(struct sl_index_reader *rd, const struct sl_index_query *q,
	struct sl_index_cursor *at, struct sl_index_study *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	return find(rd, SL_LEVEL_STUDY, q, at, out, n, plan, diag);
}

enum sl_status sl_index_find_series(struct sl_index_reader *rd, const struct sl_index_query *q,
	struct sl_index_cursor *at, struct sl_index_series *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	return find(rd, SL_LEVEL_SERIES, q, at, out, n, plan, diag);
}

enum sl_status sl_index_find_instances(struct sl_index_reader *rd, const struct sl_index_query *q,
	struct sl_index_cursor *at, struct sl_index_instance *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	return find(rd, SL_LEVEL_INSTANCE, q, at, out, n, plan, diag);
}

enum sl_status sl_index_explain(struct sl_index_reader *rd, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_plan *plan, struct sl_diag *diag)
{
	struct sl_index_cursor at = {0};
	size_t none = 0;
	enum sl_status st = find(rd, level, q, &at, NULL, &none, plan, diag);
	return st == SL_END ? SL_OK : st;
}

const char *sl_index_key_name(enum sl_index_key key)
{
	static const char *const names[SL_KEY_N] = {
		[SL_KEY_NONE] = "none",
		[SL_KEY_PATIENT_NAME] = "patient.name",
		[SL_KEY_PATIENT_ID] = "patient.id",
		[SL_KEY_PATIENT_STUDY] = "patient.study",
		[SL_KEY_STUDY_DATE] = "study.date",
		[SL_KEY_ACCESSION_NUMBER] = "accession.number",
		[SL_KEY_DATE_MODALITY] = "date.modality",
		[SL_KEY_MODALITY] = "modality",
		[SL_KEY_MANUFACTURER] = "manufacturer",
		[SL_KEY_RADIOPHARMACEUTICAL] = "radiopharmaceutical",
		[SL_KEY_INSTITUTION] = "institution",
		[SL_KEY_STUDY_UID] = "study.uid",
		[SL_KEY_SERIES_UID] = "series.uid",
		[SL_KEY_SOP_UID] = "sop.uid",
		[SL_KEY_ARRIVAL] = "arrival",
	};
	return (unsigned)key < SL_KEY_N ? names[key] : "?";
}
