/* Bytes of the rows: numbers in their shortest form, UIDs packed, texts as sent.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_row.h"

#include "storage/lmdb_key.h"

static enum sl_status whole(const struct sl_cur *c)
{
	return c->bad || sl_cur_left(c) > 0 ? SL_E_CORRUPT : SL_OK;
}

static uint32_t get_u32(struct sl_cur *c)
{
	uint64_t v = sl_lmdb_key_uint(c);
	if (v > UINT32_MAX)
		c->bad = true;
	return c->bad ? 0 : (uint32_t)v;
}

static void put_uid(struct sl_wbuf *w, const struct sl_uid *u)
{
	sl_lmdb_key_put_uid_end(w, u->s, u->len);
}

static void get_uid(struct sl_cur *c, struct sl_uid *u)
{
	memset(u, 0, sizeof(*u));
	sl_lmdb_key_uid(c, u);
}

/* ---- texts ------------------------------------------------------------------------------------- */

/* Each level's values at their caps fit its row, and its reader's text at 3 bytes for each. */
#define SL_ATTR(name, tag, level, cap, keyword) +(SL_LEVEL_##level == LEVEL ? cap : 0)
enum {
#define LEVEL SL_LEVEL_PATIENT
	PATIENT_CAPS = 0
#include "core/attrs.def"
	,
#undef LEVEL
#define LEVEL SL_LEVEL_STUDY
	STUDY_CAPS = 0
#include "core/attrs.def"
	,
#undef LEVEL
#define LEVEL SL_LEVEL_SERIES
	SERIES_CAPS = 0
#include "core/attrs.def"
#undef LEVEL
};
#undef SL_ATTR
_Static_assert(PATIENT_CAPS <= SL_INDEX_ROW_TEXT_MAX && STUDY_CAPS <= SL_INDEX_ROW_TEXT_MAX &&
		       SERIES_CAPS <= SL_INDEX_ROW_TEXT_MAX,
	"a row holds every value of its level at its cap");
_Static_assert((PATIENT_CAPS + STUDY_CAPS) * 3 <= SL_INDEX_TEXT_MAX &&
		       SERIES_CAPS * 3 <= SL_INDEX_TEXT_MAX,
	"a reader holds them in UTF-8");
_Static_assert(
	SL_INDEX_ROW_TEXT_MAX + SL_INDEX_ROW_KEY_MAX + SL_ATTR_N * 12 + 200 <= SL_INDEX_ROW_MAX,
	"any row fits its buffer");

void sl_index_row_text_set(
	struct sl_index_row_text *t, enum sl_attr a, const char *bytes, size_t n, uint32_t charset)
{
	sl_assert(a < SL_ATTR_N && t->len[a] == 0 && n > 0);
	sl_assert(n <= sizeof(t->bytes) - t->used);
	memcpy(t->bytes + t->used, bytes, n);
	t->at[a] = t->used;
	t->len[a] = (uint16_t)n;
	t->charset[a] = charset;
	t->used = (uint16_t)(t->used + n);
}

/* By tag, so that a row outlives changes of the list of attributes. */
static void put_text(struct sl_wbuf *w, const struct sl_index_row_text *t)
{
	for (enum sl_attr a = 0; a < SL_ATTR_N; a++) {
		if (t->len[a] == 0)
			continue;
		sl_wbuf_be32(w, sl_attrs[a].tag);
		sl_lmdb_key_put_uint(w, (uint64_t)t->len[a] << 1 | (t->charset[a] != 0));
		if (t->charset[a] != 0)
			sl_lmdb_key_put_uint(w, t->charset[a]);
		sl_wbuf_put(w, t->bytes + t->at[a], t->len[a]);
	}
}

/* Reads the rest of a row as texts. An attribute that this program does not keep is passed over. */
static enum sl_status get_text(struct sl_cur *c, struct sl_index_row_text *t)
{
	memset(t, 0, offsetof(struct sl_index_row_text, bytes));
	while (sl_cur_left(c) > 0) {
		enum sl_attr a = sl_attr_find(sl_cur_be32(c));
		uint64_t form = sl_lmdb_key_uint(c);
		uint32_t charset = form & 1 ? get_u32(c) : 0;
		size_t n = sl_min64(form >> 1, SIZE_MAX);
		const uint8_t *bytes = sl_cur_take(c, n);
		if (c->bad || n == 0 || ((form & 1) && charset == 0))
			return SL_E_CORRUPT;
		if (a == SL_ATTR_N)
			continue;
		if (t->len[a] != 0 || n > sizeof(t->bytes) - t->used)
			return SL_E_CORRUPT;
		sl_index_row_text_set(t, a, (const char *)bytes, n, charset);
	}
	return whole(c);
}

/* ---- counts, state, places --------------------------------------------------------------------- */

static void put_counts(struct sl_wbuf *w, const struct sl_index_counts *n)
{
	sl_lmdb_key_put_uint(w, n->instances);
	sl_lmdb_key_put_uint(w, n->bytes);
	sl_lmdb_key_put_uint(w, n->first_seq);
	sl_lmdb_key_put_uint(w, n->last_seq);
	sl_lmdb_key_put_int(w, n->first_ms);
	sl_lmdb_key_put_int(w, n->last_ms);
	if (n->versions != n->instances)
		sl_lmdb_key_put_uint(w, n->versions - n->instances);
}

/* The flags in front of counts: whether rows behind are counted is seen from them, so that a row
 * without any is as short as ever. */
static void put_flags(struct sl_wbuf *w, uint32_t flags, const struct sl_index_counts *n)
{
	sl_assert((flags & SL_INDEX_ROW_BEHIND) == 0 && n->versions >= n->instances);
	sl_lmdb_key_put_uint(w, flags | (n->versions != n->instances ? SL_INDEX_ROW_BEHIND : 0));
}

/* Takes SL_INDEX_ROW_BEHIND out of *flags. */
static void get_counts(struct sl_cur *c, struct sl_index_counts *n, uint32_t *flags)
{
	n->instances = sl_lmdb_key_uint(c);
	n->bytes = sl_lmdb_key_uint(c);
	n->first_seq = sl_lmdb_key_uint(c);
	n->last_seq = sl_lmdb_key_uint(c);
	n->first_ms = sl_lmdb_key_int(c);
	n->last_ms = sl_lmdb_key_int(c);
	uint64_t behind = *flags & SL_INDEX_ROW_BEHIND ? sl_lmdb_key_uint(c) : 0;
	if ((*flags & SL_INDEX_ROW_BEHIND && behind == 0) ||
		!sl_add_ok(n->instances, behind, &n->versions))
		c->bad = true;
	*flags &= ~(uint32_t)SL_INDEX_ROW_BEHIND;
}

void sl_index_row_put_place(struct sl_wbuf *w, const struct sl_index_row_place *p)
{
	sl_lmdb_key_put_uint(w, p->study);
	sl_lmdb_key_put_uint(w, p->series);
	sl_lmdb_key_put_uint(w, p->ordinal);
}

enum sl_status sl_index_row_place(struct sl_cur c, struct sl_index_row_place *out)
{
	out->study = sl_lmdb_key_uint(&c);
	out->series = sl_lmdb_key_uint(&c);
	out->ordinal = sl_lmdb_key_uint(&c);
	return whole(&c);
}

void sl_index_row_put_state(struct sl_wbuf *w, const struct sl_index_row_state *s)
{
	sl_lmdb_key_put_uint(w, s->next_seq);
	sl_lmdb_key_put_uint(w, s->next_patient);
	sl_lmdb_key_put_uint(w, s->next_study);
	sl_lmdb_key_put_uint(w, s->next_word);
	sl_lmdb_key_put_uint(w, s->usage.patients);
	sl_lmdb_key_put_uint(w, s->usage.studies);
	sl_lmdb_key_put_uint(w, s->usage.series);
	sl_lmdb_key_put_uint(w, s->usage.instances);
	sl_lmdb_key_put_uint(w, s->usage.bytes);
	sl_lmdb_key_put_uint(w, s->usage.conflicts);
	sl_lmdb_key_put_uint(w, s->usage.versions - s->usage.instances);
}

enum sl_status sl_index_row_state(struct sl_cur c, struct sl_index_row_state *out)
{
	out->next_seq = sl_lmdb_key_uint(&c);
	out->next_patient = sl_lmdb_key_uint(&c);
	out->next_study = sl_lmdb_key_uint(&c);
	out->next_word = sl_lmdb_key_uint(&c);
	out->usage.patients = sl_lmdb_key_uint(&c);
	out->usage.studies = sl_lmdb_key_uint(&c);
	out->usage.series = sl_lmdb_key_uint(&c);
	out->usage.instances = sl_lmdb_key_uint(&c);
	out->usage.bytes = sl_lmdb_key_uint(&c);
	out->usage.conflicts = sl_lmdb_key_uint(&c);
	if (!sl_add_ok(out->usage.instances, sl_lmdb_key_uint(&c), &out->usage.versions))
		return SL_E_CORRUPT;
	return whole(&c);
}

/* ---- patient, study, series -------------------------------------------------------------------- */

void sl_index_row_put_patient(struct sl_wbuf *w, const struct sl_index_row_patient *p)
{
	sl_lmdb_key_put_uint(w, p->flags);
	sl_lmdb_key_put_uint(w, p->studies_n);
	sl_lmdb_key_put_uint(w, p->key_len);
	sl_wbuf_put(w, p->key, p->key_len);
	put_text(w, &p->text);
}

enum sl_status sl_index_row_patient(struct sl_cur c, struct sl_index_row_patient *out)
{
	out->flags = get_u32(&c);
	out->studies_n = sl_lmdb_key_uint(&c);
	uint64_t key_len = sl_lmdb_key_uint(&c);
	if (key_len == 0 || key_len > sizeof(out->key))
		return SL_E_CORRUPT;
	const uint8_t *key = sl_cur_take(&c, (size_t)key_len);
	if (key == NULL)
		return SL_E_CORRUPT;
	memcpy(out->key, key, (size_t)key_len);
	out->key_len = (uint16_t)key_len;
	return get_text(&c, &out->text);
}

void sl_index_row_add_modality(struct sl_index_row_study *s, const char *bytes, size_t n)
{
	n = sl_min(n, SL_INDEX_MODALITY_MAX);
	for (uint8_t i = 0; i < s->modalities_n; i++)
		if (strlen(s->modalities[i]) == n && memcmp(s->modalities[i], bytes, n) == 0)
			return;
	if (s->modalities_n == SL_INDEX_MODALITIES || memchr(bytes, 0, n) != NULL)
		return;
	char *to = s->modalities[s->modalities_n++];
	memcpy(to, bytes, n);
	to[n] = '\0';
}

void sl_index_row_put_study(struct sl_wbuf *w, const struct sl_index_row_study *s)
{
	put_flags(w, s->flags, &s->counts);
	put_uid(w, &s->uid);
	sl_lmdb_key_put_uint(w, s->patient);
	sl_lmdb_key_put_uint(w, s->series_n);
	sl_lmdb_key_put_uint(w, s->next_series);
	put_counts(w, &s->counts);
	sl_wbuf_u8(w, s->modalities_n);
	for (uint8_t i = 0; i < s->modalities_n; i++) {
		size_t n = strlen(s->modalities[i]);
		sl_wbuf_u8(w, (uint8_t)n);
		sl_wbuf_put(w, s->modalities[i], n);
	}
	put_text(w, &s->text);
}

static void get_modalities(struct sl_cur *c, struct sl_index_row_study *out)
{
	uint8_t count = sl_cur_u8(c);
	out->modalities_n = 0;
	for (uint8_t i = 0; i < count && !c->bad; i++) {
		size_t n = sl_cur_u8(c);
		const uint8_t *bytes = sl_cur_take(c, n);
		if (bytes == NULL || n == 0 || n > SL_INDEX_MODALITY_MAX) {
			c->bad = true;
			return;
		}
		sl_index_row_add_modality(out, (const char *)bytes, n);
	}
	if (out->modalities_n != count)
		c->bad = true;
}

enum sl_status sl_index_row_study(struct sl_cur c, struct sl_index_row_study *out)
{
	out->flags = get_u32(&c);
	get_uid(&c, &out->uid);
	out->patient = sl_lmdb_key_uint(&c);
	out->series_n = get_u32(&c);
	out->next_series = get_u32(&c);
	get_counts(&c, &out->counts, &out->flags);
	get_modalities(&c, out);
	return c.bad ? SL_E_CORRUPT : get_text(&c, &out->text);
}

enum sl_status sl_index_row_study_uid(struct sl_cur c, struct sl_uid *uid)
{
	(void)get_u32(&c); /* flags */
	get_uid(&c, uid);
	return c.bad ? SL_E_CORRUPT : SL_OK;
}

void sl_index_row_put_series(struct sl_wbuf *w, const struct sl_index_row_series *s)
{
	put_flags(w, s->flags, &s->counts);
	put_uid(w, &s->uid);
	sl_wbuf_u8(w, s->volume);
	sl_lmdb_key_put_uint(w, s->next_ordinal);
	put_counts(w, &s->counts);
	put_text(w, &s->text);
}

enum sl_status sl_index_row_series(struct sl_cur c, struct sl_index_row_series *out)
{
	out->flags = get_u32(&c);
	get_uid(&c, &out->uid);
	out->volume = sl_cur_u8(&c);
	out->next_ordinal = sl_lmdb_key_uint(&c);
	get_counts(&c, &out->counts, &out->flags);
	return c.bad ? SL_E_CORRUPT : get_text(&c, &out->text);
}

enum sl_status sl_index_row_series_head(struct sl_cur c, struct sl_uid *uid, uint8_t *volume)
{
	(void)get_u32(&c); /* flags */
	get_uid(&c, uid);
	*volume = sl_cur_u8(&c);
	return c.bad ? SL_E_CORRUPT : SL_OK;
}

/* ---- instance, tombstone ----------------------------------------------------------------------- */

/* One byte says which of the rare fields follow: most instances have one frame and a number. */
enum {
	HAS_FLAGS = 1 << 0,
	HAS_NUMBER = 1 << 1,
	HAS_FRAMES = 1 << 2,
	IS_BEHIND = 1 << 3, /* nothing follows */
	HAS_ALL = (1 << 4) - 1
};

/* How many characters two UIDs begin with alike; eight at a time. */
static uint8_t shared_chars(const struct sl_uid *a, const struct sl_uid *b)
{
	enum { WORD = 8 };
	uint8_t n = 0, most = (uint8_t)sl_min(a->len, b->len);
	while (n + WORD <= most && memcmp(a->s + n, b->s + n, WORD) == 0)
		n = (uint8_t)(n + WORD);
	while (n < most && a->s[n] == b->s[n])
		n++;
	return n;
}

void sl_index_row_put_instance(
	struct sl_wbuf *w, const struct sl_index_row_instance *i, const struct sl_uid *series)
{
	bool has_flags = i->flags != SL_RECORD_PLAIN_NAME;
	bool has_number = i->instance_number != SL_INDEX_NO_NUMBER;
	bool has_frames = i->frames != 0;
	sl_assert(i->file_len >= i->dataset_len);
	sl_wbuf_u8(w, (uint8_t)((has_flags ? HAS_FLAGS : 0) | (has_number ? HAS_NUMBER : 0) |
				(has_frames ? HAS_FRAMES : 0) | (i->is_behind ? IS_BEHIND : 0)));
	if (has_flags)
		sl_lmdb_key_put_uint(w, i->flags);
	sl_lmdb_key_put_uint(w, i->seq);
	sl_lmdb_key_put_uint(w, i->sop_class);
	sl_lmdb_key_put_uint(w, i->transfer_syntax);
	sl_lmdb_key_put_uint(w, i->dataset_len);
	sl_lmdb_key_put_uint(w, i->file_len - i->dataset_len);
	if (has_number)
		sl_lmdb_key_put_int(w, i->instance_number);
	if (has_frames)
		sl_lmdb_key_put_uint(w, i->frames);
	uint8_t shared = shared_chars(&i->uid, series);
	sl_wbuf_u8(w, shared);
	sl_lmdb_key_put_uid(w, i->uid.s + shared, (size_t)(i->uid.len - shared));
}

enum sl_status sl_index_row_instance(
	struct sl_cur c, const struct sl_uid *series, struct sl_index_row_instance *out)
{
	uint8_t has = sl_cur_u8(&c);
	uint64_t overhead = 0;
	memset(out, 0, sizeof(*out));
	out->flags = has & HAS_FLAGS ? get_u32(&c) : SL_RECORD_PLAIN_NAME;
	out->seq = sl_lmdb_key_uint(&c);
	out->sop_class = get_u32(&c);
	out->transfer_syntax = get_u32(&c);
	out->dataset_len = sl_lmdb_key_uint(&c);
	overhead = sl_lmdb_key_uint(&c);
	out->instance_number = has & HAS_NUMBER ? sl_lmdb_key_int(&c) : SL_INDEX_NO_NUMBER;
	out->frames = has & HAS_FRAMES ? get_u32(&c) : 0;
	out->is_behind = (has & IS_BEHIND) != 0;
	uint8_t shared = sl_cur_u8(&c);
	if (c.bad || has > HAS_ALL || shared > series->len ||
		!sl_add_ok(out->dataset_len, overhead, &out->file_len))
		return SL_E_CORRUPT;
	memcpy(out->uid.s, series->s, shared);
	out->uid.len = shared;
	sl_lmdb_key_uid(&c, &out->uid);
	return out->uid.len == 0 ? SL_E_CORRUPT : whole(&c);
}

enum sl_status sl_index_row_instance_head(struct sl_cur c, uint32_t *flags, uint64_t *seq)
{
	uint8_t has = sl_cur_u8(&c);
	*flags = has & HAS_FLAGS ? get_u32(&c) : SL_RECORD_PLAIN_NAME;
	*seq = sl_lmdb_key_uint(&c);
	return c.bad ? SL_E_CORRUPT : SL_OK;
}

void sl_index_row_instance_set_behind(uint8_t *row, bool is_behind)
{
	row[0] = (uint8_t)(is_behind ? row[0] | IS_BEHIND : row[0] & ~IS_BEHIND);
}

void sl_index_row_put_tombstone(struct sl_wbuf *w, const struct sl_index_tombstone *t)
{
	sl_wbuf_u8(w, (uint8_t)t->kind);
	sl_wbuf_u8(w, t->volume);
	sl_wbuf_u8(w, t->is_plain_name);
	sl_lmdb_key_put_uint(w, t->seq);
	sl_lmdb_key_put_uint(w, t->object_seq);
	put_uid(w, &t->study_instance_uid);
	put_uid(w, &t->series_instance_uid);
	put_uid(w, &t->sop_instance_uid);
}

enum sl_status sl_index_row_tombstone(struct sl_cur c, struct sl_index_tombstone *out)
{
	uint8_t kind = sl_cur_u8(&c);
	memset(out, 0, sizeof(*out));
	if (kind != SL_INDEX_TOMB_STUDY && kind != SL_INDEX_TOMB_INSTANCE)
		return SL_E_CORRUPT;
	out->kind = (enum sl_index_tombstone_kind)kind;
	out->volume = sl_cur_u8(&c);
	out->is_plain_name = sl_cur_u8(&c) != 0;
	out->seq = sl_lmdb_key_uint(&c);
	out->object_seq = sl_lmdb_key_uint(&c);
	get_uid(&c, &out->study_instance_uid);
	get_uid(&c, &out->series_instance_uid);
	get_uid(&c, &out->sop_instance_uid);
	return whole(&c);
}

/* ---- values ------------------------------------------------------------------------------------ */

int64_t sl_index_row_integer(const char *bytes, size_t n, int64_t otherwise)
{
	size_t i = 0;
	bool negative = false;
	int64_t v = 0;
	if (n > 0 && (bytes[0] == '-' || bytes[0] == '+')) {
		negative = bytes[0] == '-';
		i = 1;
	}
	if (i == n || n > 12)
		return otherwise;
	for (; i < n; i++) {
		if (bytes[i] < '0' || bytes[i] > '9')
			return otherwise;
		v = v * 10 + (bytes[i] - '0');
	}
	return negative ? -v : v;
}
