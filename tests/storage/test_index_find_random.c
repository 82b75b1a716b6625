/* Random queries over a random archive, on LMDB and on the in-memory twin: what the index finds is
 * what a scan over a model of the archive finds.
 *
 * The model knows each value twice: as it is sent, in some character set, and as it is compared,
 * written down by hand; matching is done anew here. Values belong to patient, study and series, but
 * an instance may lack them, so that rows get theirs late; rows go with their last instance.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/index_asking.h"

enum { STUDIES = 12, SERIES_A_STUDY = 3, SOPS_A_SERIES = 3, VALUES = 4 };
enum { SOPS = STUDIES * SERIES_A_STUDY * SOPS_A_SERIES };

struct value {
	const char *sent, *charset, *compared;
};

/* One attribute of the model and its values; which one a row has follows from its number. */
struct model_attr {
	enum sl_attr attr;
	struct value values[VALUES];
};

static const struct model_attr model_attrs[] = {
	{SL_ATTR_PATIENT_NAME,
		{{"M\xFCller^J\xF6rg", "ISO_IR 100", "muller^jorg"}, {"DOE^John", "", "doe^john"},
			{"M\xC3\xBCnch^Ida", "ISO_IR 192", "munch^ida"},
			{"doe^Jane", "", "doe^jane"}}},
	{SL_ATTR_PATIENT_ID,
		{{"P1", "", "p1"}, {"p1x", "", "p1x"}, {"Q7", "", "q7"}, {"", "", ""}}},
	{SL_ATTR_STUDY_DATE, {{"20230105", "", "20230105"}, {"20240229", "", "20240229"},
				     {"2023.02.07", "", "20230207"}, {"", "", ""}}},
	{SL_ATTR_ACCESSION_NUMBER,
		{{"ACC1", "", "acc1"}, {"acc10", "", "acc10"}, {"Z-9", "", "z-9"}, {"", "", ""}}},
	{SL_ATTR_STUDY_DESCRIPTION, {{"Thorax", "", "thorax"},
					    {"Sch\xE4"
					     "del",
						    "ISO_IR 100", "schadel"},
					    {"Thorax KM", "", "thorax km"}, {"", "", ""}}},
	{SL_ATTR_MODALITY,
		{{"CT", "", "ct"}, {"MR", "", "mr"}, {"CT", "", "ct"}, {"SR", "", "sr"}}},
	{SL_ATTR_MANUFACTURER, {{"ACME", "", "acme"},
				       {"Acme M\xE9"
					"dical",
					       "ISO_IR 100", "acme medical"},
				       {"Zeta", "", "zeta"}, {"", "", ""}}},
	{SL_ATTR_RADIOPHARMACEUTICAL,
		{{"FDG", "", "fdg"}, {"F-18 FDG", "", "f-18 fdg"}, {"", "", ""}, {"", "", ""}}},
	{SL_ATTR_INSTITUTION_NAME,
		{{"Charit\xC3\xA9", "ISO_IR 192", "charite"}, {"CHARITE", "", "charite"},
			{"General", "", "general"}, {"", "", ""}}},
	{SL_ATTR_BODY_PART_EXAMINED, {{"CHEST", "", "chest"}, {"HEAD", "", "head"}, {"", "", ""},
					     {"CHEST", "", "chest"}}},
};

enum { MODEL_ATTRS = SL_ARRAY_N(model_attrs) };

struct model {
	bool is_there[SOPS];
	bool has[SOPS][MODEL_ATTRS]; /* by the number of the row's first instance */
	uint64_t last_seq[STUDIES];
	uint64_t seq;
};

static unsigned study_no(unsigned sop)
{
	return sop / SOPS_A_SERIES / SERIES_A_STUDY;
}

/* The row of a level that an instance belongs to, as the number of the first instance of it. Studies
 * of one PatientID share a patient; those without have one each. */
static unsigned row_no(unsigned sop, enum sl_attr_level level)
{
	unsigned a_study = SERIES_A_STUDY * SOPS_A_SERIES, study = study_no(sop);
	if (level == SL_LEVEL_INSTANCE)
		return sop;
	if (level == SL_LEVEL_SERIES)
		return sop / SOPS_A_SERIES * SOPS_A_SERIES;
	if (level == SL_LEVEL_STUDY || study % VALUES == 3)
		return study * a_study;
	return study % VALUES * a_study;
}

static const struct value *value_of(unsigned sop, unsigned attr)
{
	const struct model_attr *m = &model_attrs[attr];
	enum sl_attr_level level = sl_attrs[m->attr].level;
	unsigned row = row_no(sop, level);
	if (level == SL_LEVEL_PATIENT)
		return &m->values[study_no(sop) % VALUES];
	return &m->values[rec_mix(row, attr + 40) % VALUES];
}

static void model_uids(unsigned sop, char study[24], char series[24], char instance[24])
{
	snprintf(study, 24, "1.%u", study_no(sop) + 1);
	snprintf(
		series, 24, "1.%u.%u", study_no(sop) + 1, sop / SOPS_A_SERIES % SERIES_A_STUDY + 1);
	snprintf(instance, 24, "3.%u", sop + 1);
}

/* What the model shows of an instance's row for an attribute. */
static const char *shown(const struct model *m, unsigned sop, unsigned attr)
{
	unsigned row = row_no(sop, sl_attrs[model_attrs[attr].attr].level);
	return m->has[row][attr] ? value_of(sop, attr)->compared : "";
}

static void model_put(struct fixture *f, struct model *m, uint64_t *seed, unsigned sop)
{
	char study[24], series[24], instance[24];
	model_uids(sop, study, series, instance);
	struct sl_record r = a_record(study, series, instance, ++m->seq);
	const char *charset = "";
	unsigned lacks = (unsigned)rec_random(seed) & (unsigned)rec_random(seed);
	for (unsigned a = 0; a < MODEL_ATTRS; a++) {
		const struct value *v = value_of(sop, a);
		bool is_patients = sl_attrs[model_attrs[a].attr].level == SL_LEVEL_PATIENT;
		/* One character set an object: a value of another one is left for another object. */
		bool fits =
			*v->charset == '\0' || *charset == '\0' || strcmp(v->charset, charset) == 0;
		if (*v->sent == '\0' || !fits || (!is_patients && lacks >> a & 1))
			continue;
		rec_set(&r, model_attrs[a].attr, v->sent);
		if (*v->charset != '\0')
			charset = v->charset;
		m->has[row_no(sop, sl_attrs[model_attrs[a].attr].level)][a] = true;
	}
	rec_set(&r, SL_ATTR_SPECIFIC_CHARACTER_SET, charset);
	char number[8];
	snprintf(number, sizeof(number), "%u", sop % 4);
	rec_set(&r, SL_ATTR_INSTANCE_NUMBER, number);
	assert_int_equal(put(f->ix, &r).status, SL_OK);
	m->is_there[sop] = true;
	m->last_seq[study_no(sop)] = m->seq;
}

static void model_remove(struct fixture *f, struct model *m, unsigned sop)
{
	char study[24], series[24], instance[24];
	struct sl_index_removed removed;
	model_uids(sop, study, series, instance);
	struct sl_uid uid = sl_uid_of(instance);
	assert_int_equal(sl_index_remove_instance(f->ix, &uid, 0, &removed, NULL), SL_OK);
	m->is_there[sop] = false;
	for (enum sl_attr_level l = SL_LEVEL_PATIENT; l <= SL_LEVEL_SERIES; l++) {
		bool is_left = false;
		for (unsigned i = 0; i < SOPS; i++)
			is_left |= m->is_there[i] && row_no(i, l) == row_no(sop, l);
		for (unsigned a = 0; a < MODEL_ATTRS && !is_left; a++)
			if (sl_attrs[model_attrs[a].attr].level == l)
				m->has[row_no(sop, l)][a] = false;
		if (l == SL_LEVEL_STUDY && !is_left)
			m->last_seq[study_no(sop)] = 0;
	}
}

/* ---- matching, naively ------------------------------------------------------------------------- */

static bool naive_wildcard(const char *p, const char *s)
{
	if (*p == '*')
		return naive_wildcard(p + 1, s) || (*s != '\0' && naive_wildcard(p, s + 1));
	if (*p == '\0' || *s == '\0')
		return *p == *s;
	return (*p == '?' || *p == *s) && naive_wildcard(p + 1, s + 1);
}

static bool naive_meets(const struct sl_index_cond *c, const char *value)
{
	switch (c->match) {
	case SL_MATCH_EXACT:
		return strcmp(c->text, value) == 0;
	case SL_MATCH_PREFIX:
		return strncmp(value, c->text, c->n) == 0;
	case SL_MATCH_WILDCARD:
		return naive_wildcard(c->text, value);
	case SL_MATCH_RANGE:
		return *value != '\0' && strcmp(value, c->text) >= 0 &&
		       (c->to_n == 0 || strncmp(value, c->to, c->to_n) <= 0);
	case SL_MATCH_UIDS:
		for (size_t i = 0; i < c->uids_n; i++)
			if (strcmp(c->uids[i].s, value) == 0)
				return true;
	}
	return false;
}

static bool naive_path(const struct model *m, unsigned sop, const struct sl_index_cond *c)
{
	char study[24], series[24], instance[24], number[8];
	model_uids(sop, study, series, instance);
	snprintf(number, sizeof(number), "%u", sop % 4);
	uint64_t last = m->last_seq[study_no(sop)];
	switch (c->field) {
	case SL_FIELD_STUDY_UID:
		return naive_meets(c, study);
	case SL_FIELD_SERIES_UID:
		return naive_meets(c, series);
	case SL_FIELD_SOP_UID:
		return naive_meets(c, instance);
	case SL_FIELD_SOP_CLASS_UID:
		return naive_meets(c, "1.2.840.10008.5.1.4.1.1.2");
	case SL_FIELD_TRANSFER_SYNTAX_UID:
		return naive_meets(c, "1.2.840.10008.1.2.1");
	case SL_FIELD_ARRIVAL:
		return last >= c->from_seq && (c->to_seq == 0 || last <= c->to_seq);
	case SL_ATTR_INSTANCE_NUMBER:
		return naive_meets(c, number);
	default:
		break;
	}
	for (unsigned a = 0; a < MODEL_ATTRS; a++)
		if (model_attrs[a].attr == c->field)
			return naive_meets(c, shown(m, sop, a));
	fail_msg("no such attribute in the model");
	return false;
}

static void naive_find(struct fixture *f, const struct model *m, enum sl_attr_level level,
	const struct sl_index_cond *conds, size_t n, struct found *out)
{
	bool is_shown[SOPS] = {false};
	out->n = 0;
	for (unsigned sop = 0; sop < SOPS; sop++) {
		char study[24], series[24], instance[24];
		bool is_met = m->is_there[sop];
		for (size_t i = 0; i < n && is_met; i++)
			is_met = naive_path(m, sop, &conds[i]);
		if (!is_met || is_shown[row_no(sop, level)])
			continue;
		is_shown[row_no(sop, level)] = true;
		model_uids(sop, study, series, instance);
		char *id = out->id[out->n++];
		if (level == SL_LEVEL_PATIENT)
			snprintf(id, 160, "%llu %s", (unsigned long long)study_of(f, study).patient,
				value_of(sop, 1)->sent);
		else if (level == SL_LEVEL_SERIES)
			snprintf(id, 160, "%s %s", study, series);
		else
			snprintf(id, 160, "%s", level == SL_LEVEL_STUDY ? study : instance);
	}
	qsort(out->id, out->n, sizeof(out->id[0]), by_text);
}

/* ---- random conditions ------------------------------------------------------------------------- */

/* What the conditions of one query point to. */
struct made {
	struct sl_index_cond cond[3];
	char text[3][64], to[3][64];
	struct sl_uid uids[3][4];
};

static const unsigned uid_fields[] = {SL_FIELD_STUDY_UID, SL_FIELD_SERIES_UID, SL_FIELD_SOP_UID,
	SL_FIELD_SOP_CLASS_UID, SL_FIELD_TRANSFER_SYNTAX_UID, SL_ATTR_INSTANCE_NUMBER};

/* A text of the field that some row may have. */
static void some_text(uint64_t *seed, unsigned field, char out[64])
{
	char study[24], series[24], instance[24];
	model_uids((unsigned)(rec_random(seed) % SOPS), study, series, instance);
	snprintf(out, 64, "%s",
		field == SL_FIELD_STUDY_UID        ? study
		: field == SL_FIELD_SERIES_UID     ? series
		: field == SL_FIELD_SOP_UID        ? instance
		: field == SL_FIELD_SOP_CLASS_UID  ? "1.2.840.10008.5.1.4.1.1.2"
		: field == SL_ATTR_INSTANCE_NUMBER ? study + 2
						   : "1.2.840.10008.1.2.1");
	for (unsigned a = 0; a < MODEL_ATTRS; a++)
		if (model_attrs[a].attr == field)
			snprintf(out, 64, "%s",
				model_attrs[a].values[rec_random(seed) % VALUES].compared);
}

/* Puts "*" and "?" in the place of some of it. */
static void make_wild(uint64_t *seed, char text[64])
{
	size_t n = strlen(text), at = n > 0 ? rec_random(seed) % n : 0;
	switch (rec_random(seed) % 4) {
	case 0:
		strcpy(text + at, "*");
		break;
	case 1:
		if (n > 0)
			text[at] = '?';
		break;
	case 2:
		if (n > 0)
			text[at] = '*';
		break;
	default:
		memmove(text + 1, text, n + 1);
		text[0] = '*';
	}
}

static void make_cond(
	uint64_t *seed, struct made *made, size_t i, unsigned field, enum sl_index_match match)
{
	struct sl_index_cond *c = &made->cond[i];
	*c = (struct sl_index_cond){.field = field, .match = match, .text = made->text[i]};
	some_text(seed, field, made->text[i]);
	if (match == SL_MATCH_PREFIX)
		made->text[i][rec_random(seed) % (strlen(made->text[i]) + 1)] = '\0';
	/* A blank at the end is no part of what is asked for. */
	size_t n = strlen(made->text[i]);
	if (match == SL_MATCH_PREFIX && n > 0 && made->text[i][n - 1] == ' ')
		made->text[i][n - 1] = '\0';
	if (match == SL_MATCH_WILDCARD)
		make_wild(seed, made->text[i]);
	if (match == SL_MATCH_RANGE) {
		some_text(seed, field, made->to[i]);
		if (rec_random(seed) % 3 == 0)
			made->text[i][sl_min(strlen(made->text[i]), 6)] = '\0';
		if (rec_random(seed) % 3 == 0)
			made->to[i][sl_min(strlen(made->to[i]), 6)] = '\0';
		c->to = made->to[i];
		c->to_n = strlen(made->to[i]);
		c->from_seq = rec_random(seed) % 200;
		c->to_seq = rec_random(seed) % 2 ? c->from_seq + rec_random(seed) % 100 : 0;
	}
	for (unsigned k = 0; k < 4 && match == SL_MATCH_UIDS; k++) {
		char text[64];
		some_text(seed, field, text);
		made->uids[i][k] = sl_uid_of(text);
		c->uids = made->uids[i];
		c->uids_n = k + rec_random(seed) % 2;
	}
	c->n = strlen(made->text[i]);
}

static bool may_ask(unsigned field, enum sl_index_match match)
{
	bool is_uid = field >= SL_FIELD_STUDY_UID && field <= SL_FIELD_TRANSFER_SYNTAX_UID;
	if (field == SL_FIELD_ARRIVAL || match == SL_MATCH_RANGE)
		return match == SL_MATCH_RANGE &&
		       (field == SL_FIELD_ARRIVAL || field == SL_ATTR_STUDY_DATE);
	return match != SL_MATCH_UIDS || is_uid;
}

static void compare_with_scan(struct fixture *f, const struct model *m, const struct made *made,
	enum sl_attr_level level, size_t n)
{
	static struct found found, expected;
	find_all(f->rd, level, made->cond, n, 2 + n, &found);
	naive_find(f, m, level, made->cond, n, &expected);
	for (size_t i = 0; i < sl_max(found.n, expected.n); i++)
		if (i >= found.n || i >= expected.n || strcmp(found.id[i], expected.id[i]) != 0)
			fail_msg("level %d, field %u, match %d, \"%s\" to \"%s\" and %zu more, key "
				 "%s: %zu found, %zu expected; %s, %s",
				(int)level, made->cond[0].field, (int)made->cond[0].match,
				made->text[0], made->to[0], n - 1,
				sl_index_key_name(found.plan.key), found.n, expected.n,
				i < found.n ? found.id[i] : "-",
				i < expected.n ? expected.id[i] : "-");
}

static unsigned field_no(unsigned i)
{
	if (i < MODEL_ATTRS)
		return model_attrs[i].attr;
	i -= MODEL_ATTRS;
	return i < SL_ARRAY_N(uid_fields) ? uid_fields[i] : SL_FIELD_ARRIVAL;
}

enum { FIELDS = MODEL_ATTRS + 7 };

/* Every field by every match on every level, and some combined. */
static unsigned ask_all(struct fixture *f, const struct model *m, uint64_t *seed)
{
	static struct made made;
	unsigned asked = 0;
	for (unsigned i = 0; i < FIELDS * 5 * 4; i++) {
		unsigned field = field_no(i / 20), match = i / 4 % 5, level = i % 4;
		if (!may_ask(field, (enum sl_index_match)match))
			continue;
		make_cond(seed, &made, 0, field, (enum sl_index_match)match);
		compare_with_scan(f, m, &made, (enum sl_attr_level)level, 1);
		size_t n = 1;
		for (unsigned tries = 0; tries < 6 && n < 3; tries++) {
			unsigned other = field_no((unsigned)(rec_random(seed) % FIELDS));
			match = (unsigned)(rec_random(seed) % 5);
			if (may_ask(other, (enum sl_index_match)match))
				make_cond(seed, &made, n++, other, (enum sl_index_match)match);
		}
		compare_with_scan(f, m, &made, (enum sl_attr_level)level, n);
		asked += 2;
	}
	return asked;
}

static void random_queries_find_what_a_naive_scan_finds(void **state)
{
	struct fixture *f = *state;
	static struct model m;
	uint64_t seed = 77;
	unsigned asked = 0;
	memset(&m, 0, sizeof(m));
	for (int step = 1; step <= 400; step++) {
		unsigned sop = (unsigned)(rec_random(&seed) % SOPS);
		if (m.is_there[sop] && rec_random(&seed) % 2)
			model_remove(f, &m, sop);
		else if (!m.is_there[sop])
			model_put(f, &m, &seed, sop);
		if (step % (f->has_dir ? 20 : 100) == 0) {
			asked += ask_all(f, &m, &seed);
			check_sound(f->ix);
		}
	}
	print_message("%u queries\n", asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			random_queries_find_what_a_naive_scan_finds, open_lmdb, teardown),
		{"twin random_queries_find_what_a_naive_scan_finds",
			random_queries_find_what_a_naive_scan_finds, open_mem, teardown, NULL},
	};
	struct tmpdir dir;
	if (!tmpdir_make(&dir))
		return 0;
	tmpdir_remove(&dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
