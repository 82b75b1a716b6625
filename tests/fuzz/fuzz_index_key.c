/* Entries of the ordered keys, and texts on their way into them: any bytes. An entry that decodes is
 * written again as itself; a folded text fits, and folding it again changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_key.h"
#include "storage/index_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void entry(const uint8_t *bytes, size_t n)
{
	struct sl_index_key_entry e;
	uint8_t again[SL_INDEX_KEY_MAX];
	struct sl_wbuf w = sl_wbuf_of(again, sizeof(again));
	if (sl_index_key_get(sl_cur_of(bytes, n), &e) != SL_OK)
		return;
	sl_index_key_put(&w, &e);
	sl_assert(!w.bad && w.len == n && memcmp(again, bytes, n) == 0);
}

static void same(const struct sl_index_key_text *a, const struct sl_index_key_text *b)
{
	sl_assert(a->len == b->len && memcmp(a->s, b->s, a->len) == 0);
	sl_assert(memchr(a->s, 0, a->len) == NULL);
}

static void texts(const char *s, size_t n)
{
	struct sl_index_key_text once, twice;
	sl_index_key_fold(&once, s, n);
	sl_index_key_fold(&twice, once.s, once.len);
	same(&once, &twice);
	sl_index_key_fold_pn(&once, s, n, SL_TEXT_IDEOGRAPHIC);
	sl_index_key_fold_pn(&twice, once.s, once.len, SL_TEXT_ALPHABETIC);
	same(&once, &twice);
	sl_index_key_fold_date(&once, s, n);
	sl_assert(once.len <= SL_INDEX_KEY_DATE && memchr(once.s, 0, once.len) == NULL);
	sl_index_key_fold_modality(&once, s, n);
	sl_assert(once.len <= SL_INDEX_KEY_MODALITY);
}

static void meet(const struct sl_index_term *term, const char *s, size_t n)
{
	struct sl_uid uid;
	unsigned field = term->cond->field;
	if (field == SL_FIELD_ARRIVAL) {
		(void)sl_index_term_meets_arrival(term, n);
	} else if (field >= SL_ATTR_N) {
		if (sl_uid_parse(&uid, s, n) == SL_OK)
			(void)sl_index_term_meets_uid(term, &uid);
	} else {
		(void)sl_index_term_meets(term, s, n);
		(void)sl_index_term_meets_number(term, (int64_t)n - 5, n == 0);
	}
}

/* A condition of any bytes against a value of any bytes: an answer, whatever it is. */
static void match(const char *s, size_t n)
{
	static struct sl_index_terms terms;
	struct sl_diag why = {0};
	struct sl_uid uid;
	size_t half = n / 2;
	if (n < 2)
		return;
	const struct sl_index_cond c = {.field = (uint8_t)s[0] % SL_FIELD_N,
		.match = (enum sl_index_match)((uint8_t)s[1] % (SL_MATCH_UIDS + 1)),
		.as_is = ((uint8_t)s[1] & 0x80) != 0,
		.text = s + 2,
		.n = half > 2 ? half - 2 : 0,
		.to = s + half,
		.to_n = n - half,
		.from_seq = (uint8_t)s[1] & 7,
		.uids = &uid,
		.uids_n = sl_uid_parse(&uid, s + half, n - half) == SL_OK};
	const struct sl_index_query q = {&c, 1};
	if (sl_index_terms_make(&terms, &q, &why) == SL_OK)
		meet(&terms.term[0], s + half, n - half);
	else
		sl_assert(why.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	entry(bytes, n);
	texts((const char *)bytes, n);
	match((const char *)bytes, n);
	return 0;
}
