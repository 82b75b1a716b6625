/* Bytes of the ordered keys. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_key.h"

#include "storage/index_match.h"

enum sl_attr_level sl_index_key_level(enum sl_index_key key)
{
	switch (key) {
	case SL_KEY_PATIENT_NAME:
	case SL_KEY_PATIENT_ID:
		return SL_LEVEL_PATIENT;
	case SL_KEY_DATE_MODALITY:
	case SL_KEY_MODALITY:
	case SL_KEY_MANUFACTURER:
	case SL_KEY_RADIOPHARMACEUTICAL:
	case SL_KEY_INSTITUTION:
	case SL_KEY_SERIES_UID:
		return SL_LEVEL_SERIES;
	case SL_KEY_SOP_UID:
		return SL_LEVEL_INSTANCE;
	default:
		return SL_LEVEL_STUDY;
	}
}

void sl_index_key_put(struct sl_wbuf *w, const struct sl_index_key_entry *e)
{
	enum sl_attr_level level = sl_index_key_level(e->key);
	sl_assert(e->key > SL_KEY_NONE && e->key < SL_KEY_TREE_N);
	sl_wbuf_u8(w, (uint8_t)e->key);
	if (e->key == SL_KEY_PATIENT_STUDY) {
		sl_lmdb_key_put_uint(w, e->patient);
		sl_lmdb_key_put_uint(w, e->study);
		return;
	}
	sl_assert(e->text.len > 0 && (e->with.len > 0) == (e->key == SL_KEY_DATE_MODALITY));
	sl_wbuf_put(w, e->text.s, e->text.len);
	sl_wbuf_u8(w, 0);
	if (e->with.len > 0) {
		sl_wbuf_put(w, e->with.s, e->with.len);
		sl_wbuf_u8(w, 0);
	}
	sl_lmdb_key_put_uint(w, level == SL_LEVEL_PATIENT ? e->patient : e->study);
	if (level == SL_LEVEL_SERIES)
		sl_lmdb_key_put_uint(w, e->series);
}

/* A text up to its end mark: at least one byte, at most `cap`. */
static void get_text(struct sl_cur *c, size_t cap, struct sl_index_key_text *out)
{
	uint8_t ch;
	out->len = 0;
	while ((ch = sl_cur_u8(c)) != 0 && out->len < cap)
		out->s[out->len++] = (char)ch;
	if (ch != 0 || out->len == 0)
		c->bad = true;
}

enum sl_status sl_index_key_get(struct sl_cur c, struct sl_index_key_entry *out)
{
	unsigned key = sl_cur_u8(&c);
	*out = (struct sl_index_key_entry){.key = (enum sl_index_key)key};
	if (key == SL_KEY_NONE || key >= SL_KEY_TREE_N)
		return SL_E_CORRUPT;
	enum sl_attr_level level = sl_index_key_level(out->key);
	if (key == SL_KEY_PATIENT_STUDY) {
		out->patient = sl_lmdb_key_uint(&c);
		out->study = sl_lmdb_key_uint(&c);
		return c.bad || sl_cur_left(&c) > 0 ? SL_E_CORRUPT : SL_OK;
	}
	bool is_date = key == SL_KEY_STUDY_DATE || key == SL_KEY_DATE_MODALITY;
	get_text(&c, is_date ? SL_INDEX_KEY_DATE : SL_TEXT_KEY_MAX, &out->text);
	if (key == SL_KEY_DATE_MODALITY)
		get_text(&c, SL_INDEX_KEY_MODALITY, &out->with);
	if (level == SL_LEVEL_PATIENT)
		out->patient = sl_lmdb_key_uint(&c);
	else
		out->study = sl_lmdb_key_uint(&c);
	if (level == SL_LEVEL_SERIES)
		out->series = sl_lmdb_key_uint(&c);
	return c.bad || sl_cur_left(&c) > 0 ? SL_E_CORRUPT : SL_OK;
}

void sl_index_key_fold(struct sl_index_key_text *out, const char *utf8, size_t n)
{
	struct sl_wbuf w = sl_wbuf_of(out->s, sizeof(out->s));
	sl_text_fold(&w, utf8, n);
	out->len = (uint8_t)w.len;
}

void sl_index_key_fold_pn(
	struct sl_index_key_text *out, const char *utf8, size_t n, enum sl_text_pn_group group)
{
	struct sl_wbuf w = sl_wbuf_of(out->s, sizeof(out->s));
	sl_text_fold_pn(&w, utf8, n, group);
	out->len = (uint8_t)w.len;
}

void sl_index_key_fold_date(struct sl_index_key_text *out, const char *utf8, size_t n)
{
	out->len = (uint8_t)sl_index_date(out->s, SL_INDEX_KEY_DATE, utf8, n);
}

void sl_index_key_fold_modality(struct sl_index_key_text *out, const char *utf8, size_t n)
{
	struct sl_wbuf w = sl_wbuf_of(out->s, SL_INDEX_KEY_MODALITY);
	sl_text_fold(&w, utf8, n);
	out->len = (uint8_t)w.len;
}
