/* The planner: which key answers a query with the fewest rows to look at.
 *
 * Each condition that has a key allows one range of it; date and modality together have one of their
 * own. The first SL_INDEX_PROBE entries of each range are counted, the shortest range wins; where none
 * is that short, the order of `ranks` decides, most telling first. A query without such a condition
 * looks at every row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_find_priv.h"

static const enum sl_index_key ranks[] = {SL_KEY_SOP_UID, SL_KEY_SERIES_UID, SL_KEY_STUDY_UID,
	SL_KEY_ACCESSION_NUMBER, SL_KEY_PATIENT_ID, SL_KEY_PATIENT_NAME, SL_KEY_DATE_MODALITY,
	SL_KEY_STUDY_DATE, SL_KEY_RADIOPHARMACEUTICAL, SL_KEY_INSTITUTION, SL_KEY_MANUFACTURER,
	SL_KEY_MODALITY, SL_KEY_ARRIVAL, SL_KEY_NONE};

static size_t rank_of(enum sl_index_key key)
{
	size_t i = 0;
	while (ranks[i] != key && ranks[i] != SL_KEY_NONE)
		i++;
	return i;
}

static enum sl_index_key key_of(unsigned field)
{
	switch (field) {
	case SL_ATTR_PATIENT_NAME:
		return SL_KEY_PATIENT_NAME;
	case SL_ATTR_PATIENT_ID:
		return SL_KEY_PATIENT_ID;
	case SL_ATTR_STUDY_DATE:
		return SL_KEY_STUDY_DATE;
	case SL_ATTR_ACCESSION_NUMBER:
		return SL_KEY_ACCESSION_NUMBER;
	case SL_ATTR_MODALITY:
		return SL_KEY_MODALITY;
	case SL_ATTR_MANUFACTURER:
		return SL_KEY_MANUFACTURER;
	case SL_ATTR_RADIOPHARMACEUTICAL:
		return SL_KEY_RADIOPHARMACEUTICAL;
	case SL_ATTR_INSTITUTION_NAME:
		return SL_KEY_INSTITUTION;
	case SL_FIELD_STUDY_UID:
		return SL_KEY_STUDY_UID;
	case SL_FIELD_SERIES_UID:
		return SL_KEY_SERIES_UID;
	case SL_FIELD_SOP_UID:
		return SL_KEY_SOP_UID;
	case SL_FIELD_ARRIVAL:
		return SL_KEY_ARRIVAL;
	default:
		return SL_KEY_NONE;
	}
}

/* ---- ranges ------------------------------------------------------------------------------------ */

/* Both ends: the key, a text, and where the text is whole its end mark. */
static void set_ends(struct sl_index_lmdb_range *r, const struct sl_index_key_text *from,
	const struct sl_index_key_text *to, bool is_whole)
{
	struct sl_wbuf lo = sl_wbuf_of(r->lo, sizeof(r->lo));
	struct sl_wbuf hi = sl_wbuf_of(r->hi, sizeof(r->hi));
	sl_wbuf_u8(&lo, (uint8_t)r->key);
	sl_wbuf_u8(&hi, (uint8_t)r->key);
	sl_wbuf_put(&lo, from->s, from->len);
	sl_wbuf_put(&hi, to->s, to->len);
	if (is_whole) {
		sl_wbuf_u8(&lo, 0);
		sl_wbuf_u8(&hi, 0);
	}
	r->lo_n = lo.len;
	r->hi_n = hi.len;
}

/* What every value that meets the term begins with, folded. */
static void beginning_of(const struct sl_index_term *t, struct sl_index_key_text *out)
{
	const struct sl_index_cond *c = t->cond;
	unsigned group = 0;
	while (t->has_groups && group + 1 < SL_INDEX_GROUPS && t->pattern[group].len == 0)
		group++;
	if (t->is_pn)
		sl_index_key_fold_pn(out, c->text, c->n, (enum sl_text_pn_group)group);
	else
		sl_index_key_fold(out, c->text, c->n);
	if (c->match != SL_MATCH_WILDCARD)
		return;
	uint8_t n = 0;
	while (n < out->len && out->s[n] != '*' && out->s[n] != '?')
		n++;
	/* A key that was cut has none of these at its end. */
	while (n > 0 && (out->s[n - 1] == ' ' || (t->is_pn && out->s[n - 1] == '^')))
		n--;
	out->len = n;
}

static bool is_digits(const struct sl_index_key_text *t)
{
	for (uint8_t i = 0; i < t->len; i++)
		if (t->s[i] < '0' || t->s[i] > '9')
			return false;
	return true;
}

/* Dates between from and to; false when the condition does not say which. */
static bool dates_of(const struct sl_index_term *t, struct sl_index_key_text *from,
	struct sl_index_key_text *to, bool *is_whole)
{
	const struct sl_index_cond *c = t->cond;
	*is_whole = c->match == SL_MATCH_EXACT;
	if (c->match == SL_MATCH_RANGE) {
		from->len = (uint8_t)t->pattern[0].len;
		memcpy(from->s, t->pattern[0].s, from->len);
		to->len = (uint8_t)t->to_n;
		memcpy(to->s, t->to, to->len);
		return true;
	}
	if (c->n == 0)
		return false;
	if (c->match == SL_MATCH_EXACT)
		sl_index_key_fold_date(from, c->text, c->n);
	else
		beginning_of(t, from);
	*to = *from;
	return from->len > 0 && from->len <= SL_INDEX_KEY_DATE && (*is_whole || is_digits(from));
}

static bool range_of_text(const struct sl_index_term *t, struct sl_index_lmdb_range *r)
{
	struct sl_index_key_text from, to;
	bool is_whole = t->cond->match == SL_MATCH_EXACT;
	if (r->key == SL_KEY_STUDY_DATE) {
		if (!dates_of(t, &from, &to, &is_whole))
			return false;
	} else {
		if (t->cond->n == 0)
			return false;
		beginning_of(t, &from);
		if (from.len == 0)
			return false;
		to = from;
	}
	r->tree = SL_TREE_KEY;
	set_ends(r, &from, &to, is_whole);
	return true;
}

static bool range_of_uids(const struct sl_index_term *t, struct sl_index_lmdb_range *r)
{
	const struct sl_index_cond *c = t->cond;
	if (c->match == SL_MATCH_UIDS) {
		r->uids = c->uids;
		r->uids_n = c->uids_n;
		return c->uids_n <= UINT32_MAX;
	}
	if (c->match != SL_MATCH_EXACT || c->n == 0 ||
		sl_uid_parse(&r->one, c->text, c->n) != SL_OK || r->one.len != c->n)
		return false;
	r->uids = &r->one;
	r->uids_n = 1;
	return true;
}

static void range_of_arrival(const struct sl_index_term *t, struct sl_index_lmdb_range *r)
{
	struct sl_wbuf lo = sl_wbuf_of(r->lo, sizeof(r->lo));
	struct sl_wbuf hi = sl_wbuf_of(r->hi, sizeof(r->hi));
	sl_lmdb_key_put_uint(&lo, t->cond->from_seq);
	if (t->cond->to_seq > 0)
		sl_lmdb_key_put_uint(&hi, t->cond->to_seq);
	r->tree = SL_TREE_ARRIVAL;
	r->lo_n = lo.len;
	r->hi_n = hi.len;
}

/* The range of one condition; false when it has no key, or says too little for it. */
static bool range_of(
	const struct sl_index_terms *terms, unsigned cond, struct sl_index_lmdb_range *r)
{
	const struct sl_index_term *t = &terms->term[cond];
	*r = (struct sl_index_lmdb_range){.key = key_of(t->cond->field), .cond = cond};
	switch (r->key) {
	case SL_KEY_NONE:
		return false;
	case SL_KEY_STUDY_UID:
	case SL_KEY_SERIES_UID:
	case SL_KEY_SOP_UID:
		return range_of_uids(t, r);
	case SL_KEY_ARRIVAL:
		range_of_arrival(t, r);
		return true;
	default:
		return range_of_text(t, r);
	}
}

/* A condition on the date with one on the modality. `cond` is the date's. */
static bool range_of_both(
	const struct sl_index_terms *terms, unsigned cond, struct sl_index_lmdb_range *r)
{
	const struct sl_index_term *date = &terms->term[cond];
	struct sl_index_key_text from, to;
	bool is_whole;
	*r = (struct sl_index_lmdb_range){
		.key = SL_KEY_DATE_MODALITY, .cond = cond, .tree = SL_TREE_KEY};
	if (date->cond->field != SL_ATTR_STUDY_DATE || !dates_of(date, &from, &to, &is_whole))
		return false;
	for (size_t i = 0; i < terms->n && r->want.len == 0; i++) {
		const struct sl_index_cond *c = terms->term[i].cond;
		if (c->field == SL_ATTR_MODALITY && c->match == SL_MATCH_EXACT && c->n > 0)
			sl_index_key_fold_modality(&r->want, c->text, c->n);
	}
	set_ends(r, &from, &to, is_whole);
	return r->want.len > 0;
}

/* Every row: of patients, or of the studies that lead to all that is asked for. */
static void range_of_all(const struct sl_index_lmdb_finder *f, struct sl_index_lmdb_range *r)
{
	*r = (struct sl_index_lmdb_range){.key = SL_KEY_NONE,
		.cond = (unsigned)f->terms.n,
		.tree = f->level == SL_LEVEL_PATIENT ? SL_TREE_PATIENT : SL_TREE_STUDY};
}

/* ---- choosing ---------------------------------------------------------------------------------- */

static enum sl_status probe(struct sl_index_lmdb_finder *f, struct sl_index_lmdb_range *r)
{
	enum sl_status st = SL_OK;
	f->entry.n = 0;
	if (r->uids_n > 0)
		r->candidates = (uint32_t)sl_min(r->uids_n, SL_INDEX_PROBE);
	while (r->uids == NULL && r->candidates < SL_INDEX_PROBE) {
		st = sl_index_lmdb_next_entry(f, r, false);
		if (st != SL_OK)
			break;
		r->candidates++;
	}
	f->entry.n = 0;
	return st == SL_END ? SL_OK : st;
}

/* Takes f->other when it is the narrower one. */
static enum sl_status consider(struct sl_index_lmdb_finder *f)
{
	struct sl_index_lmdb_range *best = &f->range, *r = &f->other;
	enum sl_status st = probe(f, r);
	bool is_better =
		best->key == SL_KEY_NONE || r->candidates < best->candidates ||
		(r->candidates == best->candidates && rank_of(r->key) < rank_of(best->key));
	if (st == SL_OK && is_better) {
		*best = *r;
		best->uids = r->uids == &r->one ? &best->one : r->uids;
	}
	return st;
}

enum sl_status sl_index_lmdb_plan(struct sl_index_lmdb_finder *f)
{
	enum sl_status st = SL_OK;
	range_of_all(f, &f->range);
	for (unsigned i = 0; i < f->terms.n && st == SL_OK; i++) {
		if (range_of(&f->terms, i, &f->other))
			st = consider(f);
		if (st == SL_OK && range_of_both(&f->terms, i, &f->other))
			st = consider(f);
	}
	return st == SL_OK && f->range.key == SL_KEY_NONE ? probe(f, &f->range) : st;
}

enum sl_status sl_index_lmdb_plan_again(
	struct sl_index_lmdb_finder *f, enum sl_index_key key, unsigned cond)
{
	struct sl_index_lmdb_range *r = &f->range;
	bool is_ours = cond < f->terms.n;
	if (key == SL_KEY_NONE)
		range_of_all(f, r);
	else if (is_ours)
		is_ours = key == SL_KEY_DATE_MODALITY
				  ? range_of_both(&f->terms, cond, r)
				  : range_of(&f->terms, cond, r) && r->key == key;
	if (key == SL_KEY_NONE ? cond == f->terms.n : is_ours)
		return SL_OK;
	return sl_fail(
		f->t->diag, SL_E_CORRUPT, 0, "index/cursor", "the cursor is not of this query");
}
