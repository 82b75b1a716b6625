/* Rows and keys of the index: any bytes. The first byte chooses the decoder; a row that decodes
 * is written again and decodes to the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/index_row.h"
#include "storage/lmdb_key.h"
#include "tests/support/index_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Decodes `in`; when it is a row, encodes it and says that the encoding must come back as itself. */
#define ROUND_TRIP(type, decode, encode)                                      \
	do {                                                                  \
		static struct type first, again;                              \
		if (decode(in, &first) != SL_OK)                              \
			break;                                                \
		struct sl_wbuf w = sl_wbuf_of(once, sizeof(once));            \
		encode(&w, &first);                                           \
		sl_assert(!w.bad);                                            \
		sl_assert(decode(sl_cur_of(once, w.len), &again) == SL_OK);   \
		struct sl_wbuf v = sl_wbuf_of(twice, sizeof(twice));          \
		encode(&v, &again);                                           \
		sl_assert(w.len == v.len && memcmp(once, twice, w.len) == 0); \
	} while (0)

static void instance(struct sl_cur in)
{
	struct sl_uid series = {0};
	struct sl_index_row_instance row, again;
	uint8_t bytes[SL_INDEX_ROW_MAX];
	uint64_t seq;
	uint32_t flags;
	size_t head_len = sl_cur_u8(&in);
	struct sl_cur head = sl_cur_sub(&in, sl_min(head_len, sl_cur_left(&in)));
	sl_lmdb_key_uid(&head, &series);
	if (head.bad || sl_index_row_instance(in, &series, &row) != SL_OK)
		return;
	struct sl_wbuf w = sl_wbuf_of(bytes, sizeof(bytes));
	sl_index_row_put_instance(&w, &row, &series);
	struct sl_cur c = sl_cur_of(bytes, w.len);
	sl_assert(!w.bad && sl_index_row_instance(c, &series, &again) == SL_OK);
	sl_assert(same_instance(&row, &again));
	sl_assert(sl_index_row_instance_head(c, &flags, &seq) == SL_OK && seq == row.seq && flags == row.flags);
	sl_index_row_instance_set_behind(bytes, !row.is_behind);
	sl_assert(sl_index_row_instance(c, &series, &again) == SL_OK && again.is_behind != row.is_behind);
}

/* A number as text: itself, or what stands for none. */
static void integer(struct sl_cur in)
{
	const int64_t limit = 1000000000000;
	int64_t v = sl_index_row_integer((const char *)in.p, sl_cur_left(&in), limit);
	sl_assert(v == limit || (v > -limit && v < limit));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t once[SL_INDEX_ROW_MAX], twice[SL_INDEX_ROW_MAX];
	struct sl_cur in = sl_cur_of(bytes, n);
	switch (sl_cur_u8(&in)) {
	case 0:
		ROUND_TRIP(sl_index_row_place, sl_index_row_place, sl_index_row_put_place);
		break;
	case 1:
		ROUND_TRIP(sl_index_row_state, sl_index_row_state, sl_index_row_put_state);
		break;
	case 2:
		ROUND_TRIP(sl_index_row_patient, sl_index_row_patient, sl_index_row_put_patient);
		break;
	case 3:
		ROUND_TRIP(sl_index_row_study, sl_index_row_study, sl_index_row_put_study);
		break;
	case 4:
		ROUND_TRIP(sl_index_row_series, sl_index_row_series, sl_index_row_put_series);
		break;
	case 5:
		ROUND_TRIP(sl_index_tombstone, sl_index_row_tombstone, sl_index_row_put_tombstone);
		break;
	case 6:
		instance(in);
		break;
	case 7:
		integer(in);
		break;
	}
	return 0;
}
