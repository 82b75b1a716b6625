/* Finding: walks the planner's range, looks at the rows its entries lead to, fills a page.
 *
 * Happy path: an entry leads to a row of its key's level. That row and those above it are read and meet
 * their conditions. Rows asked for at or below that level are then shown, each that has a path down
 * that meets the rest; a row asked for above it is shown once: at the entry of its first path that
 * answers, in the order in which its rows were made. So nothing is remembered between pages but where
 * the walk stands.
 * Failure: rows that an entry leads to and that are not there are damage.
 * Long walks that find little end their transaction every TURN steps and go on in a new one: nobody
 * pins pages for longer. SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_lmdb_find_priv.h"

#include <stdlib.h>

enum { TURN = 4096 /* steps of one transaction */ };

struct sl_index_lmdb_finder *sl_index_lmdb_finder_new(void)
{
	return calloc(1, sizeof(struct sl_index_lmdb_finder));
}

/* ---- conditions -------------------------------------------------------------------------------- */

static enum sl_status is(bool answer)
{
	return answer ? SL_OK : SL_END;
}

static enum sl_status meets_word(
	struct sl_index_lmdb_finder *f, const struct sl_index_term *term, uint32_t word)
{
	struct sl_uid uid = {0};
	size_t n;
	enum sl_status st = sl_index_lmdb_get_word(f->t, word, uid.s, SL_UID_MAX, &n);
	uid.len = (uint8_t)n;
	return st == SL_OK ? is(sl_index_term_meets_uid(term, &uid)) : st;
}

static enum sl_status meets_text(struct sl_index_lmdb_finder *f, const struct sl_index_term *term,
	const struct sl_index_row_text *row)
{
	char value[SL_INDEX_VALUE_MAX];
	struct sl_wbuf w = sl_wbuf_of(value, sizeof(value));
	enum sl_attr a = (enum sl_attr)term->cond->field;
	enum sl_status st = row->len[a] > 0 ? sl_index_lmdb_read_value(f->t, row, a, &w) : SL_OK;
	return st == SL_OK ? is(sl_index_term_meets(term, value, w.len)) : st;
}

static enum sl_status meets_term(struct sl_index_lmdb_finder *f, const struct sl_index_term *term)
{
	const struct sl_index_row_instance *i = &f->instance;
	switch (term->cond->field) {
	case SL_FIELD_STUDY_UID:
		return is(sl_index_term_meets_uid(term, &f->study.uid));
	case SL_FIELD_SERIES_UID:
		return is(sl_index_term_meets_uid(term, &f->series.uid));
	case SL_FIELD_SOP_UID:
		return is(sl_index_term_meets_uid(term, &i->uid));
	case SL_FIELD_SOP_CLASS_UID:
		return meets_word(f, term, i->sop_class);
	case SL_FIELD_TRANSFER_SYNTAX_UID:
		return meets_word(f, term, i->transfer_syntax);
	case SL_FIELD_ARRIVAL:
		return is(sl_index_term_meets_arrival(term, f->study.counts.last_seq));
	case SL_ATTR_INSTANCE_NUMBER:
		return is(sl_index_term_meets_number(
			term, i->instance_number, i->instance_number == SL_INDEX_NO_NUMBER));
	case SL_ATTR_NUMBER_OF_FRAMES:
		return is(sl_index_term_meets_number(term, i->frames, i->frames == 0));
	default:
		return meets_text(f, term,
			term->level == SL_LEVEL_PATIENT ? &f->patient.text
			: term->level == SL_LEVEL_STUDY ? &f->study.text
							: &f->series.text);
	}
}

/* SL_OK when the loaded row of a level meets the conditions on that level; SL_END when not. */
static enum sl_status meets(struct sl_index_lmdb_finder *f, enum sl_attr_level level)
{
	/* Versions behind do not answer, nor rows that have nothing else. */
	bool is_current = level == SL_LEVEL_INSTANCE ? !f->instance.is_behind
			  : level == SL_LEVEL_SERIES ? f->series.counts.instances > 0
			  : level == SL_LEVEL_STUDY  ? f->study.counts.instances > 0
						     : true;
	enum sl_status st = is(is_current);
	for (size_t i = 0; i < f->terms.n && st == SL_OK; i++)
		if (f->terms.term[i].level == level)
			st = meets_term(f, &f->terms.term[i]);
	return st;
}

/* SL_OK when a path down from the loaded row of `level` to `depth` meets the conditions on its way;
 * the first such path is then loaded. SL_END: there is none. At most three levels deep. */
static enum sl_status find_below(
	struct sl_index_lmdb_finder *f, enum sl_attr_level level, enum sl_attr_level depth)
{
	const enum sl_attr_level child = (enum sl_attr_level)(level + 1);
	if (level >= depth)
		return SL_OK;
	for (uint64_t from = 0;; from = f->no[child] + 1) {
		enum sl_status st = sl_index_lmdb_next_child(f, child, from);
		if (st != SL_OK)
			return st;
		st = meets(f, child);
		if (st == SL_OK)
			st = find_below(f, child, depth);
		if (st != SL_END)
			return st;
	}
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* Shows the loaded row of the level asked for. */
static enum sl_status show(struct sl_index_lmdb_finder *f)
{
	struct sl_index_patient *patient = f->out;
	size_t at = f->filled++;
	switch (f->level) {
	case SL_LEVEL_PATIENT:
		patient += at;
		patient->patient = f->no[SL_LEVEL_PATIENT];
		patient->studies_n = f->patient.studies_n;
		patient->is_conflict = (f->patient.flags & SL_INDEX_ROW_CONFLICT) != 0;
		memset(&patient->text, 0, offsetof(struct sl_index_text, utf8));
		return sl_index_lmdb_read_text(f->t, &f->patient.text, &patient->text);
	case SL_LEVEL_STUDY:
		return sl_index_lmdb_show_study(
			f->t, &f->study, (struct sl_index_study *)f->out + at);
	case SL_LEVEL_SERIES:
		return sl_index_lmdb_show_series(
			f->t, &f->study.uid, &f->series, (struct sl_index_series *)f->out + at);
	case SL_LEVEL_INSTANCE:
		return sl_index_lmdb_show_instance(f->t, &f->instance, &f->study.uid,
			&f->series.uid, f->series.volume, (struct sl_index_instance *)f->out + at);
	}
	return SL_E_UNSUPPORTED;
}

static bool is_done(const struct sl_index_lmdb_finder *f)
{
	return f->filled == f->want || f->steps - f->steps_at >= TURN;
}

/* Shows the rows asked for at and below the loaded row of `level`, which meets its conditions; goes on
 * behind f->sub where it is set. SL_AGAIN: the page or the turn ended first. */
static enum sl_status show_below(
	struct sl_index_lmdb_finder *f, enum sl_attr_level level, bool is_behind)
{
	const enum sl_attr_level child = (enum sl_attr_level)(level + 1);
	enum sl_status st = SL_END;
	if (level == f->level) {
		st = find_below(f, level, f->terms.deepest);
		if (st == SL_OK)
			st = show(f);
		memcpy(f->sub, f->no, sizeof(f->sub));
		f->has_sub = true;
		return st == SL_OK || st == SL_END ? (is_done(f) ? SL_AGAIN : SL_END) : st;
	}
	uint64_t from = !is_behind ? 0 : f->sub[child] + (child == f->level);
	for (;; from = f->no[child] + 1) {
		st = sl_index_lmdb_next_child(f, child, from);
		if (st != SL_OK)
			return st;
		is_behind = is_behind && child != f->level && f->no[child] == f->sub[child];
		st = meets(f, child);
		if (st == SL_OK)
			st = show_below(f, child, is_behind);
		is_behind = false;
		if (st != SL_END)
			return st;
	}
}

/* The row asked for is above the entry's: shown when the entry is of its first path that answers. */
static enum sl_status show_above(struct sl_index_lmdb_finder *f, enum sl_attr_level level)
{
	uint64_t no[SL_INDEX_LMDB_LEVELS];
	enum sl_attr_level depth = level > f->terms.deepest ? level : f->terms.deepest;
	memcpy(no, f->no, sizeof(no));
	enum sl_status st = find_below(f, f->level, depth);
	for (unsigned i = f->level; i <= level && st == SL_OK; i++)
		st = is(no[i] == f->no[i]);
	return st == SL_OK ? show(f) : st;
}

/* The answers an entry leads to. SL_OK: all of them are shown; SL_AGAIN: the page or the turn ended
 * within. */
static enum sl_status answer(struct sl_index_lmdb_finder *f, bool is_behind)
{
	enum sl_attr_level level = f->range.key == SL_KEY_NONE && f->level == SL_LEVEL_PATIENT
					   ? SL_LEVEL_PATIENT
					   : sl_index_key_level(f->range.key);
	enum sl_status st = sl_index_lmdb_load(f, level);
	for (unsigned i = 0; i <= level && st == SL_OK; i++)
		st = meets(f, (enum sl_attr_level)i);
	if (st == SL_OK && level > f->level)
		st = show_above(f, level);
	else if (st == SL_OK)
		st = show_below(f, level, is_behind);
	/* The row of the entry itself is all there is: nothing to go on with within it. */
	if (st == SL_AGAIN && level == f->level)
		st = SL_OK;
	return st == SL_END ? SL_OK : st;
}

/* ---- pages ------------------------------------------------------------------------------------- */

/* One transaction's worth. SL_OK: the page or the turn ended; SL_END: the range did. */
static enum sl_status take_turn(struct sl_index_lmdb_finder *f)
{
	enum sl_status st = SL_OK;
	f->steps_at = f->steps;
	memset(f->is_loaded, 0, sizeof(f->is_loaded));
	while (st == SL_OK && !is_done(f)) {
		struct sl_index_lmdb_entry was = f->entry;
		bool is_behind = f->has_sub;
		f->has_sub = false;
		st = sl_index_lmdb_next_entry(f, &f->range, is_behind);
		if (st != SL_OK)
			break;
		is_behind = is_behind && was.n == f->entry.n &&
			    memcmp(was.bytes, f->entry.bytes, was.n) == 0;
		st = answer(f, is_behind);
		if (st == SL_OK)
			f->has_sub = false;
	}
	return st == SL_AGAIN ? SL_OK : st;
}

static void put_cursor(const struct sl_index_lmdb_finder *f, struct sl_index_cursor *at)
{
	struct sl_wbuf w = sl_wbuf_of(at->key, sizeof(at->key));
	sl_wbuf_u8(&w, (uint8_t)f->range.key);
	sl_wbuf_u8(&w, (uint8_t)f->range.cond);
	sl_wbuf_u8(&w, (uint8_t)f->entry.n);
	sl_wbuf_put(&w, f->entry.bytes, f->entry.n);
	for (unsigned i = 0; f->has_sub && i < SL_INDEX_LMDB_LEVELS; i++)
		sl_lmdb_key_put_uint(&w, f->sub[i]);
	sl_assert(!w.bad);
	at->len = (uint8_t)w.len;
}

static enum sl_status get_cursor(struct sl_index_lmdb_finder *f, const struct sl_index_cursor *at)
{
	struct sl_cur c = sl_cur_of(at->key, sl_min(at->len, sizeof(at->key)));
	enum sl_index_key key = (enum sl_index_key)sl_cur_u8(&c);
	unsigned cond = sl_cur_u8(&c);
	struct sl_cur entry = sl_cur_sub(&c, sl_cur_u8(&c));
	f->entry.n = sl_min(sl_cur_left(&entry), sizeof(f->entry.bytes));
	if (f->entry.n > 0)
		memcpy(f->entry.bytes, entry.p, f->entry.n);
	f->has_sub = sl_cur_left(&c) > 0;
	for (unsigned i = 0; f->has_sub && i < SL_INDEX_LMDB_LEVELS; i++)
		f->sub[i] = sl_lmdb_key_uint(&c);
	if (c.bad || entry.bad || sl_cur_left(&c) > 0)
		return sl_fail(f->t->diag, SL_E_CORRUPT, 0, "index/cursor",
			"the cursor is not of this query");
	return sl_index_lmdb_plan_again(f, key, cond);
}

static enum sl_status begin(struct sl_index_lmdb_finder *f)
{
	static const enum sl_index_lmdb_tree walked[] = {SL_TREE_KEY, SL_TREE_PATIENT,
		SL_TREE_STUDY, SL_TREE_SERIES, SL_TREE_SERIES_UID, SL_TREE_INSTANCE,
		SL_TREE_ARRIVAL};
	struct sl_diag *diag = f->t->diag;
	enum sl_status st = sl_index_lmdb_read_begin(f->rd, f->t, diag);
	for (size_t i = 0; i < SL_ARRAY_N(walked) && st == SL_OK; i++)
		st = sl_index_lmdb_error(
			mdb_cursor_renew(f->t->txn, f->rd->cursor[walked[i]]), "lmdb/renew", diag);
	return st;
}

static void tell_plan(const struct sl_index_lmdb_finder *f, struct sl_index_plan *plan)
{
	*plan = (struct sl_index_plan){f->range.key, f->range.cond, f->range.candidates, f->steps};
}

enum sl_status sl_index_lmdb_find(struct sl_index_reader *base, enum sl_attr_level level,
	const struct sl_index_query *q, struct sl_index_cursor *at, void *out, size_t *n,
	struct sl_index_plan *plan, struct sl_diag *diag)
{
	struct sl_index_lmdb_finder *f = sl_index_lmdb_reader_of(base)->finder;
	struct sl_index_txn t = {.diag = diag};
	bool is_first = true;
	f->rd = sl_index_lmdb_reader_of(base);
	f->t = &t;
	f->level = level;
	f->out = out;
	f->want = *n;
	f->filled = 0;
	f->steps = 0;
	f->entry.n = 0;
	f->has_sub = false;
	*n = 0;
	*plan = (struct sl_index_plan){0};
	enum sl_status st = sl_index_terms_make(&f->terms, q, diag);
	if (f->terms.deepest == SL_LEVEL_PATIENT)
		f->terms.deepest = SL_LEVEL_STUDY; /* patients do not count what is current */
	while (st == SL_OK && (is_first || f->filled == 0)) {
		st = begin(f);
		if (st == SL_OK && is_first)
			st = at->len > 0 ? get_cursor(f, at) : sl_index_lmdb_plan(f);
		if (st == SL_OK)
			st = take_turn(f);
		st = sl_index_lmdb_read_end(f->rd, st);
		is_first = false;
		if (f->want == 0)
			break;
	}
	tell_plan(f, plan);
	if ((st != SL_OK && st != SL_END) || f->want == 0)
		return st;
	if (f->filled > 0)
		put_cursor(f, at);
	*n = f->filled;
	return f->filled > 0 ? SL_OK : SL_END;
}
