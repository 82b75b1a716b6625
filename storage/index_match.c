/* Matching: conditions made ready, values against them.
 *
 * Folding is idempotent and works on characters, so "*" and "?" go through it as they are, and a
 * folded beginning is the beginning of what is folded. Spaces at the ends are not part of a value
 * (PS3.5 6.2), carets at the end not of a name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_match.h"

#include <stdio.h>
#include <string.h>

/* ---- texts ------------------------------------------------------------------------------------- */

size_t sl_index_date(char *out, size_t cap, const char *utf8, size_t n)
{
	size_t used = 0;
	/* ACR-NEMA 300 */
	bool is_dotted = n == 10 && utf8[4] == '.' && utf8[7] == '.';
	for (size_t i = 0; i < n; i++) {
		bool is_digit = utf8[i] >= '0' && utf8[i] <= '9';
		if (utf8[i] == ':' || (is_dotted && utf8[i] == '.'))
			continue;
		if ((!is_digit && utf8[i] != '.') || used == cap)
			return 0;
		out[used++] = utf8[i];
	}
	return used;
}

/* One group of a name as it is: between its "=" and the next. */
static const char *group_of(const char *s, size_t *n, unsigned group)
{
	const char *end = s + *n, *at = s;
	for (; group > 0 && at != NULL; group--) {
		at = memchr(at, '=', (size_t)(end - at));
		at = at != NULL ? at + 1 : NULL;
	}
	*n = 0;
	if (at == NULL)
		return s;
	const char *next = memchr(at, '=', (size_t)(end - at));
	*n = (size_t)((next != NULL ? next : end) - at);
	return at;
}

/* The value, or one group of it, as it is compared; the bytes written to out[SL_INDEX_FOLDED_MAX]. */
static size_t comparable(const struct sl_index_term *t, const char *utf8, size_t n, unsigned group,
	char out[SL_INDEX_FOLDED_MAX])
{
	struct sl_wbuf w = sl_wbuf_of(out, SL_INDEX_FOLDED_MAX);
	size_t date = t->is_date ? sl_index_date(out, SL_INDEX_FOLDED_MAX, utf8, n) : 0;
	if (date > 0 || t->cond->match == SL_MATCH_RANGE)
		return date;
	if (t->cond->as_is) {
		const char *s = t->is_pn ? group_of(utf8, &n, group) : utf8;
		while (n > 0 && (s[n - 1] == ' ' || (t->is_pn && s[n - 1] == '^')))
			n--;
		sl_wbuf_put(&w, s, sl_min(n, SL_INDEX_FOLDED_MAX));
	} else if (t->is_pn) {
		sl_text_fold_pn(&w, utf8, n, (enum sl_text_pn_group)group);
	} else {
		sl_text_fold(&w, utf8, n);
	}
	return w.len;
}

/* ---- conditions -------------------------------------------------------------------------------- */

static bool is_date_or_time(unsigned field)
{
	return field == SL_ATTR_STUDY_DATE || field == SL_ATTR_SERIES_DATE ||
	       field == SL_ATTR_STUDY_TIME || field == SL_ATTR_SERIES_TIME ||
	       field == SL_ATTR_PATIENT_BIRTH_DATE;
}

static enum sl_attr_level level_of(unsigned field)
{
	if (field < SL_ATTR_N)
		return sl_attrs[field].level;
	if (field == SL_FIELD_STUDY_UID || field == SL_FIELD_ARRIVAL)
		return SL_LEVEL_STUDY;
	return field == SL_FIELD_SERIES_UID ? SL_LEVEL_SERIES : SL_LEVEL_INSTANCE;
}

static enum sl_status check_cond(const struct sl_index_cond *c, struct sl_diag *diag)
{
	bool is_uid = c->field >= SL_FIELD_STUDY_UID && c->field <= SL_FIELD_TRANSFER_SYNTAX_UID;
	const char *wrong = NULL;
	if (c->field >= SL_FIELD_N || c->field == SL_ATTR_SPECIFIC_CHARACTER_SET)
		wrong = "the index does not keep what a condition asks for";
	else if ((unsigned)c->match > SL_MATCH_UIDS)
		wrong = "a condition asks for no kind of match";
	else if (c->match == SL_MATCH_UIDS && !is_uid)
		wrong = "a list of UIDs is asked of what is no UID";
	else if (c->match == SL_MATCH_RANGE && !is_date_or_time(c->field) &&
		 c->field != SL_FIELD_ARRIVAL)
		wrong = "a range is asked of what is no date, time or arrival";
	else if (c->match != SL_MATCH_RANGE && c->field == SL_FIELD_ARRIVAL)
		wrong = "arrival is asked for by something else than a range";
	if (wrong != NULL)
		return sl_fail(diag, SL_E_UNSUPPORTED, 0, "index/find", "%s", wrong);
	if (c->match != SL_MATCH_UIDS &&
		(c->n > SL_INDEX_COND_TEXT || c->to_n > SL_INDEX_COND_TEXT))
		return sl_fail(diag, SL_E_LIMIT, 0, "index/find",
			"a condition is longer than %d bytes", SL_INDEX_COND_TEXT);
	return SL_OK;
}

/* The separator that a beginning ends with is asked for, though it is no part of a whole value. */
static void keep_end(struct sl_index_pattern *p, const struct sl_index_term *t, unsigned group)
{
	size_t n = t->cond->n;
	const char *s = t->has_groups ? group_of(t->cond->text, &n, group) : t->cond->text;
	while (t->is_pn && n > 0 && p->len < sizeof(p->s) && s[n - 1] == '^') {
		p->s[p->len++] = '^';
		n--;
	}
}

static enum sl_status make_range(struct sl_index_term *t, struct sl_diag *diag)
{
	const struct sl_index_cond *c = t->cond;
	t->pattern[0].len = (uint16_t)sl_index_date(t->pattern[0].s, sizeof(t->to), c->text, c->n);
	t->to_n = sl_index_date(t->to, sizeof(t->to), c->to, c->to_n);
	if ((c->n > 0 && t->pattern[0].len == 0) || (c->to_n > 0 && t->to_n == 0))
		return sl_fail(diag, SL_E_UNSUPPORTED, 0, "index/find",
			"a range ends in what is no date or time");
	return SL_OK;
}

static enum sl_status make_term(
	struct sl_index_term *t, const struct sl_index_cond *c, struct sl_diag *diag)
{
	enum sl_status st = check_cond(c, diag);
	if (st != SL_OK)
		return st;
	t->cond = c;
	t->level = level_of(c->field);
	t->is_pn = c->field < SL_ATTR_N && sl_text_kind_of((enum sl_attr)c->field) == SL_TEXT_PN;
	t->is_date = is_date_or_time(c->field);
	t->has_groups = t->is_pn && c->n > 0 && memchr(c->text, '=', c->n) != NULL;
	t->to_n = 0;
	for (unsigned g = 0; g < SL_INDEX_GROUPS; g++)
		t->pattern[g].len = 0;
	if (c->field >= SL_ATTR_N)
		return SL_OK;
	if (c->match == SL_MATCH_RANGE)
		return make_range(t, diag);
	for (unsigned g = 0; g < (t->has_groups ? SL_INDEX_GROUPS : 1); g++) {
		struct sl_index_pattern *p = &t->pattern[g];
		p->len = (uint16_t)comparable(t, c->n > 0 ? c->text : "", c->n, g, p->s);
		if (c->match == SL_MATCH_PREFIX && p->len > 0)
			keep_end(p, t, g);
	}
	return SL_OK;
}

enum sl_status sl_index_terms_make(
	struct sl_index_terms *out, const struct sl_index_query *q, struct sl_diag *diag)
{
	out->n = 0;
	out->deepest = SL_LEVEL_PATIENT;
	if (q->n > SL_INDEX_CONDS_MAX)
		return sl_fail(diag, SL_E_LIMIT, 0, "index/find", "more than %d conditions",
			SL_INDEX_CONDS_MAX);
	for (; out->n < q->n; out->n++) {
		struct sl_index_term *t = &out->term[out->n];
		enum sl_status st = make_term(t, &q->conds[out->n], diag);
		if (st != SL_OK)
			return st;
		if (t->level > out->deepest)
			out->deepest = t->level;
	}
	return SL_OK;
}

/* ---- values ------------------------------------------------------------------------------------ */

/* The character at s, in bytes. */
static size_t char_len(const char *s, const char *end)
{
	size_t n = 1;
	while (s + n < end && ((unsigned char)s[n] & 0xC0) == 0x80)
		n++;
	return n;
}

bool sl_index_wildcard(const char *pattern, size_t n, const char *text, size_t text_n)
{
	const char *p = pattern, *p_end = pattern + n, *s = text, *s_end = text + text_n;
	const char *star = NULL, *from = NULL; /* behind the last "*", and what it leaves */
	while (s < s_end) {
		if (p < p_end && *p == '*') {
			star = ++p;
			from = s;
		} else if (p < p_end && *p == '?') {
			p++;
			s += char_len(s, s_end);
		} else if (p < p_end && *p == *s) {
			p++;
			s++;
		} else if (star != NULL) {
			from += char_len(from, s_end);
			p = star;
			s = from;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

static bool starts_with(const char *s, size_t n, const char *prefix, size_t prefix_n)
{
	return n >= prefix_n && (prefix_n == 0 || memcmp(s, prefix, prefix_n) == 0);
}

static bool meets_pattern(
	enum sl_index_match match, const struct sl_index_pattern *p, const char *s, size_t n)
{
	switch (match) {
	case SL_MATCH_EXACT:
		return n == p->len && memcmp(s, p->s, n) == 0;
	case SL_MATCH_PREFIX:
		return starts_with(s, n, p->s, p->len);
	case SL_MATCH_WILDCARD:
		return sl_index_wildcard(p->s, p->len, s, n);
	case SL_MATCH_RANGE:
	case SL_MATCH_UIDS:
		break;
	}
	return false;
}

static int compare(const char *a, size_t n, const char *b, size_t m)
{
	int order = memcmp(a, b, sl_min(n, m));
	return order != 0 ? order : (n > m) - (n < m);
}

static bool is_within(const struct sl_index_term *t, const char *s, size_t n)
{
	bool is_after = compare(s, n, t->pattern[0].s, t->pattern[0].len) >= 0;
	bool is_before = t->to_n == 0 || compare(s, n, t->to, t->to_n) <= 0 ||
			 starts_with(s, n, t->to, t->to_n);
	return n > 0 && is_after && is_before;
}

static bool meets_name(const struct sl_index_term *t, const char *utf8, size_t n)
{
	char s[SL_INDEX_FOLDED_MAX];
	bool is_one_met = false;
	for (unsigned g = 0; g < SL_INDEX_GROUPS; g++) {
		size_t len = comparable(t, utf8, n, g, s);
		bool is_asked = !t->has_groups || t->pattern[g].len > 0;
		bool is_met = is_asked && meets_pattern(t->cond->match,
						  &t->pattern[t->has_groups ? g : 0], s, len);
		if (t->has_groups && is_asked && !is_met)
			return false;
		/* A group that the name does not have is no empty one, unless it has none at all. */
		is_one_met |= is_met && (len > 0 || n == 0);
	}
	return is_one_met || (t->has_groups && t->pattern[0].len == 0 && t->pattern[1].len == 0 &&
				     t->pattern[2].len == 0);
}

bool sl_index_term_meets(const struct sl_index_term *t, const char *utf8, size_t n)
{
	char s[SL_INDEX_FOLDED_MAX];
	if (t->is_pn)
		return meets_name(t, utf8, n);
	size_t len = comparable(t, utf8, n, 0, s);
	return t->cond->match == SL_MATCH_RANGE
		       ? is_within(t, s, len)
		       : meets_pattern(t->cond->match, &t->pattern[0], s, len);
}

bool sl_index_term_meets_uid(const struct sl_index_term *t, const struct sl_uid *uid)
{
	const struct sl_index_cond *c = t->cond;
	switch (c->match) {
	case SL_MATCH_EXACT:
		return uid->len == c->n && starts_with(uid->s, uid->len, c->text, c->n);
	case SL_MATCH_PREFIX:
		return starts_with(uid->s, uid->len, c->text, c->n);
	case SL_MATCH_WILDCARD:
		return sl_index_wildcard(c->n > 0 ? c->text : "", c->n, uid->s, uid->len);
	case SL_MATCH_UIDS:
		for (size_t i = 0; i < c->uids_n; i++)
			if (sl_uid_equal(&c->uids[i], uid))
				return true;
		break;
	case SL_MATCH_RANGE:
		break;
	}
	return false;
}

bool sl_index_term_meets_number(const struct sl_index_term *t, int64_t number, bool is_absent)
{
	char text[24] = "";
	if (!is_absent)
		snprintf(text, sizeof(text), "%lld", (long long)number);
	return sl_index_term_meets(t, text, strlen(text));
}

bool sl_index_term_meets_arrival(const struct sl_index_term *t, uint64_t seq)
{
	return seq >= t->cond->from_seq && (t->cond->to_seq == 0 || seq <= t->cond->to_seq);
}
