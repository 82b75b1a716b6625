/* The templates: one table of elements, from which each modality takes its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/kind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/unit.h"
#include "core/wbuf.h"

#define EXPLICIT_LE               "1.2.840.10008.1.2.1"
#define ENCAPSULATED_UNCOMPRESSED "1.2.840.10008.1.2.1.98"
#define LONGEST_VALUE             0xFFFFFFFEu /* of native pixels [bytes]; PS3.5 7.1.1: 32 bits, even */
#define BLOCK_LEN                 SL_MIB      /* of native pixels */
#define FRAME_SIDE                512         /* pixels, of a multi-frame object */
#define PIXEL_LEN                 2           /* bytes */
#define SIDE_MAX                  65535       /* Rows and Columns are US */

/* Arc of the Internet's numbers that is kept for documentation (RFC 5612); run, sender, study ... */
#define UID_ROOT "1.3.6.1.4.1.32473.1."

enum modality { MR = 1, CT = 2, DX = 4, MF = 8, ALL = 15 };

static const struct row {
	const char *name;
	enum modality modality;
	const char *sop_class, *code; /* code: (0008,0060) */
	uint64_t len;                 /* bytes of pixels unless told otherwise */
} rows[] = {
	{"mr", MR, "1.2.840.10008.5.1.4.1.1.4", "MR", 40000},
	{"ct", CT, "1.2.840.10008.5.1.4.1.1.2", "CT", 512 * SL_KIB},
	{"dx", DX, "1.2.840.10008.5.1.4.1.1.1.1", "DX", 10000000},
	{"mf", MF, "1.2.840.10008.5.1.4.1.1.7.3", "OT", 500000000},
};

/* What stands in an element: a text, a number, or what belongs to the kind or the object. */
enum from { TEXT, NUMBER, CLASS, MODALITY, ROWS, COLUMNS, FRAMES, PLACE };

#define AT(place, width) PLACE, width, SL_KIND_PLACE_##place, NULL
#define OF(from)         from, 0, SL_KIND_PLACE_NONE, NULL
#define IS(text)         TEXT, 0, SL_KIND_PLACE_NONE, text
#define US(n)            NUMBER, n, SL_KIND_PLACE_NONE, NULL

static const struct element {
	uint32_t tag;
	char vr[3];
	int whose; /* enum modality bits */
	enum from from;
	uint16_t n; /* width of a place, or the number */
	enum sl_kind_place place;
	const char *text;
} elements[] = {
	{0x00080005, "CS", ALL, IS("ISO_IR 100")},
	{0x00080008, "CS", CT, IS("ORIGINAL\\PRIMARY\\AXIAL")},
	{0x00080008, "CS", MR | DX, IS("ORIGINAL\\PRIMARY")},
	{0x00080008, "CS", MF, IS("DERIVED\\SECONDARY")},
	{0x00080012, "DA", ALL, IS("20240315")},
	{0x00080013, "TM", ALL, IS("101502")},
	{0x00080016, "UI", ALL, OF(CLASS)},
	{0x00080018, "UI", ALL, AT(INSTANCE_UID, 56)},
	{0x00080020, "DA", ALL, AT(STUDY_DATE, 8)},
	{0x00080021, "DA", ALL, IS("20240315")},
	{0x00080022, "DA", ALL, IS("20240315")},
	{0x00080023, "DA", ALL, IS("20240315")},
	{0x00080030, "TM", ALL, IS("101203")},
	{0x00080031, "TM", ALL, IS("101344")},
	{0x00080032, "TM", ALL, IS("101501.250000")},
	{0x00080033, "TM", ALL, IS("101502.250000")},
	{0x00080050, "SH", ALL, AT(ACCESSION, 12)},
	{0x00080060, "CS", ALL, OF(MODALITY)},
	{0x00080064, "CS", MF, IS("WSD")},
	{0x00080068, "CS", DX, IS("FOR PRESENTATION")},
	{0x00080070, "LO", ALL, IS("Sluice")},
	{0x00080080, "LO", ALL, IS("Bench Hospital")},
	{0x00080090, "PN", ALL, IS("Referring^Rita")},
	{0x00081010, "SH", ALL, IS("BENCH1")},
	{0x00081030, "LO", ALL, IS("Synthetic study for measuring")},
	{0x0008103E, "LO", ALL, IS("Axial 1.0 mm")},
	{0x00081090, "LO", ALL, IS("sluice-bench")},
	{0x00100010, "PN", ALL, AT(PATIENT_NAME, 18)},
	{0x00100020, "LO", ALL, AT(PATIENT_ID, 12)},
	{0x00100030, "DA", ALL, IS("19620417")},
	{0x00100040, "CS", ALL, IS("O")},
	{0x00101010, "AS", ALL, IS("061Y")},
	{0x00180015, "CS", MR | CT | DX, IS("CHEST")},
	{0x00180020, "CS", MR, IS("SE")},
	{0x00180021, "CS", MR, IS("NONE")},
	{0x00180022, "CS", MR, IS("FS")},
	{0x00180023, "CS", MR, IS("2D")},
	{0x00180050, "DS", MR | CT, IS("1.0")},
	{0x00180060, "DS", CT | DX, IS("120")},
	{0x00180080, "DS", MR, IS("500")},
	{0x00180081, "DS", MR, IS("12")},
	{0x00180088, "DS", MR, IS("1.0")},
	{0x00181020, "LO", ALL, IS("1")},
	{0x00181063, "DS", MF, IS("40")},
	{0x00181150, "IS", CT | DX, IS("800")},
	{0x00181164, "DS", DX, IS("0.15\\0.15")},
	{0x00185100, "CS", MR | CT, IS("HFS")},
	{0x0020000D, "UI", ALL, AT(STUDY_UID, 44)},
	{0x0020000E, "UI", ALL, AT(SERIES_UID, 48)},
	{0x00200010, "SH", ALL, IS("1")},
	{0x00200011, "IS", ALL, AT(SERIES_NUMBER, 4)},
	{0x00200012, "IS", ALL, IS("1")},
	{0x00200013, "IS", ALL, AT(INSTANCE_NUMBER, 8)},
	{0x00200032, "DS", MR | CT, IS("-250.0\\-250.0\\0.0")},
	{0x00200037, "DS", MR | CT, IS("1\\0\\0\\0\\1\\0")},
	{0x00200052, "UI", MR | CT, AT(FRAME_UID, 44)},
	{0x00200062, "CS", DX, IS("U")},
	{0x00201041, "DS", MR | CT, AT(SLICE_LOCATION, 8)},
	{0x00280002, "US", ALL, US(1)},
	{0x00280004, "CS", ALL, IS("MONOCHROME2")},
	{0x00280008, "IS", MF, OF(FRAMES)},
	{0x00280009, "AT", MF, US(0)},
	{0x00280010, "US", ALL, OF(ROWS)},
	{0x00280011, "US", ALL, OF(COLUMNS)},
	{0x00280030, "DS", MR | CT, IS("0.9766\\0.9766")},
	{0x00280100, "US", ALL, US(16)},
	{0x00280101, "US", ALL, US(12)},
	{0x00280102, "US", ALL, US(11)},
	{0x00280103, "US", ALL, US(0)},
	{0x00281040, "CS", DX, IS("LOG")},
	{0x00281041, "SS", DX, US(1)},
	{0x00281050, "DS", MR | CT | DX, IS("1040")},
	{0x00281051, "DS", MR | CT | DX, IS("400")},
	{0x00281052, "DS", CT | DX | MF, IS("-1024")},
	{0x00281053, "DS", CT | DX | MF, IS("1")},
	{0x00281054, "LO", CT | DX | MF, IS("HU")},
	{0x20500020, "CS", DX | MF, IS("IDENTITY")},
};

/* ---- the head ---------------------------------------------------------------------------------- */

static void put_tag(struct sl_wbuf *w, uint32_t tag)
{
	sl_wbuf_le16(w, (uint16_t)(tag >> 16));
	sl_wbuf_le16(w, (uint16_t)tag);
}

/* A header with a length of 16 bits: every VR of the table above has one. */
static void put_head(struct sl_wbuf *w, const struct element *e, size_t len)
{
	put_tag(w, e->tag);
	sl_wbuf_put(w, e->vr, 2);
	sl_wbuf_le16(w, (uint16_t)len);
}

static void put_text(struct sl_wbuf *w, const struct element *e, const char *text)
{
	size_t n = strlen(text);
	put_head(w, e, n + (n & 1));
	sl_wbuf_put(w, text, n);
	sl_wbuf_fill(w, strcmp(e->vr, "UI") == 0 ? 0 : ' ', n & 1);
}

static void put_number(struct sl_wbuf *w, const struct element *e, uint16_t n)
{
	if (strcmp(e->vr, "AT") == 0) { /* (0028,0009): the frames follow by Frame Time */
		put_head(w, e, 4);
		put_tag(w, 0x00181063);
		return;
	}
	put_head(w, e, 2);
	sl_wbuf_le16(w, n);
}

static void put_element(
	struct sl_wbuf *w, struct sl_kind *k, const struct row *row, const struct element *e)
{
	char text[16];
	switch (e->from) {
	case TEXT:
		put_text(w, e, e->text);
		break;
	case NUMBER:
		put_number(w, e, e->n);
		break;
	case CLASS:
		put_text(w, e, row->sop_class);
		break;
	case MODALITY:
		put_text(w, e, row->code);
		break;
	case ROWS:
		put_number(w, e, k->rows);
		break;
	case COLUMNS:
		put_number(w, e, k->columns);
		break;
	case FRAMES:
		snprintf(text, sizeof(text), "%" PRIu32, k->frames);
		put_text(w, e, text);
		break;
	case PLACE:
		put_head(w, e, e->n);
		k->places[e->place] = (uint16_t)w->len;
		sl_wbuf_fill(w, ' ', e->n);
		break;
	}
}

/* (7FE0,0010) up to its value: a length, or undefined and an empty offset table. */
static void put_pixel_data(struct sl_wbuf *w, const struct sl_kind *k, bool is_encapsulated)
{
	put_tag(w, 0x7FE00010);
	sl_wbuf_put(w, is_encapsulated ? "OB" : "OW", 2);
	sl_wbuf_le16(w, 0);
	sl_wbuf_le32(w, is_encapsulated ? UINT32_MAX : (uint32_t)k->body_len);
	if (is_encapsulated) {
		put_tag(w, 0xFFFEE000);
		sl_wbuf_le32(w, 0);
	}
}

static void make_head(struct sl_kind *k, const struct row *row, bool is_encapsulated)
{
	struct sl_wbuf w = sl_wbuf_of(k->head, sizeof(k->head));
	for (size_t i = 0; i < SL_ARRAY_N(elements); i++)
		if ((elements[i].whose & (int)row->modality) != 0)
			put_element(&w, k, row, &elements[i]);
	put_pixel_data(&w, k, is_encapsulated);
	sl_assert(!w.bad);
	k->head_len = w.len;
}

/* ---- the pixels -------------------------------------------------------------------------------- */

/* Noise of 12 bits, the same in every run: nothing below compresses or repeats it. */
static void fill_pixels(uint8_t *p, size_t n)
{
	uint32_t x = 2463534242u;
	for (size_t i = 0; i + 1 < n; i += 2) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
		p[i + 1] = (uint8_t)(x >> 8 & 0x0F);
	}
}

static enum sl_status make_block(struct sl_kind *k, bool is_encapsulated, struct sl_diag *d)
{
	size_t frame_len = (size_t)PIXEL_LEN * k->rows * k->columns;
	size_t item_len = is_encapsulated ? 8 : 0;
	k->block_len = is_encapsulated ? item_len + frame_len : BLOCK_LEN;
	k->block = malloc(k->block_len);
	if (k->block == NULL)
		return sl_fail(d, SL_E_NOMEM, 0, "object", "no memory for a block of pixels");
	if (is_encapsulated) {
		struct sl_wbuf w = sl_wbuf_of(k->block, k->block_len);
		put_tag(&w, 0xFFFEE000);
		sl_wbuf_le32(&w, (uint32_t)frame_len);
		struct sl_wbuf tail = sl_wbuf_of(k->tail, sizeof(k->tail));
		put_tag(&tail, 0xFFFEE0DD);
		sl_wbuf_le32(&tail, 0);
		k->tail_len = tail.len;
	}
	fill_pixels(k->block + item_len, k->block_len - item_len);
	k->body_len = (uint64_t)k->frames * (item_len + frame_len);
	return SL_OK;
}

static uint64_t root_of(uint64_t n)
{
	uint64_t root = 0;
	while (root <= SIDE_MAX && (root + 1) * (root + 1) <= n)
		root++;
	return root;
}

/* Rows, columns and frames that come nearest to len bytes from below. False: too small or too large. */
static bool choose_size(struct sl_kind *k, const struct row *row, uint64_t len)
{
	uint64_t pixels = len / PIXEL_LEN;
	uint64_t side = row->modality == MF ? FRAME_SIDE : root_of(pixels);
	if (side == 0 || side > SIDE_MAX || pixels / side / side > UINT32_MAX)
		return false;
	k->columns = (uint16_t)side;
	k->rows = (uint16_t)(row->modality == MF ? side : sl_min64(pixels / side, SIDE_MAX));
	k->frames = row->modality == MF ? (uint32_t)(pixels / side / side) : 1;
	return k->frames > 0;
}

/* ---- from text --------------------------------------------------------------------------------- */

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

enum sl_status sl_kind_init(
	struct sl_kind *k, const char *text, uint32_t series_len, struct sl_diag *d)
{
	char name[64];
	memset(k, 0, sizeof(*k));
	snprintf(name, sizeof(name), "%s", text);
	char *weight = strchr(name, '*'), *size = strchr(name, ':');
	if (weight != NULL)
		*weight++ = '\0';
	if (size != NULL)
		*size++ = '\0';
	const struct row *row = find_row(name);
	if (row == NULL)
		return sl_fail(d, SL_E_CONFIG, 0, "object",
			"'%s' is no object: mr, ct, dx or mf, as in mr:40KB*3", text);
	uint64_t len = row->len;
	unsigned long n = weight != NULL ? strtoul(weight, NULL, 10) : 1;
	if ((size != NULL && !sl_unit_size(size, &len)) || n == 0 || n > 1000000)
		return sl_fail(d, SL_E_CONFIG, 0, "object", "'%s': as in mr:40KB*3", text);
	if (!choose_size(k, row, len))
		return sl_fail(d, SL_E_CONFIG, 0, "object",
			row->modality == MF
				? "'%s' has no frame of 512 KiB, or too many"
				: "'%s' has no pixel, or is larger than one frame may be",
			text);
	bool is_encapsulated =
		(uint64_t)k->frames * k->rows * k->columns * PIXEL_LEN > LONGEST_VALUE;
	k->name = row->name;
	k->weight = (uint32_t)n;
	k->series_len = series_len;
	k->sop_class = sl_uid_of(row->sop_class);
	k->transfer_syntax = sl_uid_of(is_encapsulated ? ENCAPSULATED_UNCOMPRESSED : EXPLICIT_LE);
	enum sl_status st = make_block(k, is_encapsulated, d);
	if (st == SL_OK)
		make_head(k, row, is_encapsulated);
	return st;
}

void sl_kind_fini(struct sl_kind *k)
{
	free(k->block);
	k->block = NULL;
}

/* ---- one object -------------------------------------------------------------------------------- */

static void place(const struct sl_kind *k, uint8_t *head, enum sl_kind_place at, const char *text)
{
	if (k->places[at] != 0)
		memcpy(head + k->places[at], text, strlen(text));
}

/* Numbers begin with a 1 so that they keep their width and no part of a UID begins with 0. */
void sl_kind_patch(
	const struct sl_kind *k, const struct sl_kind_id *id, uint8_t *head, struct sl_uid *uid)
{
	uint64_t series = id->n / k->series_len, study = series / SL_KIND_SERIES_N;
	uint64_t in_series = id->n % k->series_len, in_study = series % SL_KIND_SERIES_N;
	uint64_t patient = study * 5 / 8; /* a patient to 1.6 studies */
	char t[SL_UID_MAX + 16];
	int n = snprintf(t, sizeof(t), UID_ROOT "1%09" PRIu64 ".%" PRIu32 ".%" PRIu64,
		id->run % 1000000000, 10000 + id->sender,
		1000000 + 100000 * (uint64_t)id->kind + study % 100000);
	place(k, head, SL_KIND_PLACE_STUDY_UID, t);
	place(k, head, SL_KIND_PLACE_FRAME_UID, t);
	n += snprintf(t + n, sizeof(t) - (size_t)n, ".10%" PRIu64, 1 + in_study);
	place(k, head, SL_KIND_PLACE_SERIES_UID, t);
	snprintf(t + n, sizeof(t) - (size_t)n, ".%" PRIu64, 1000000 + in_series % 9000000);
	place(k, head, SL_KIND_PLACE_INSTANCE_UID, t);
	*uid = sl_uid_of(t);
	snprintf(t, sizeof(t), "2024%02u%02u", (unsigned)(1 + study % 12),
		(unsigned)(1 + study / 12 % 28));
	place(k, head, SL_KIND_PLACE_STUDY_DATE, t);
	snprintf(t, sizeof(t), "A%05" PRIu32 "%" PRIu32 "%05" PRIu64, id->sender % 100000, id->kind,
		study % 100000);
	place(k, head, SL_KIND_PLACE_ACCESSION, t);
	snprintf(t, sizeof(t), "P%05" PRIu32 "%" PRIu32 "%05" PRIu64, id->sender % 100000, id->kind,
		patient % 100000);
	place(k, head, SL_KIND_PLACE_PATIENT_ID, t);
	snprintf(t, sizeof(t), "Bench^P%05" PRIu32 "%" PRIu32 "%05" PRIu64, id->sender % 100000,
		id->kind, patient % 100000);
	place(k, head, SL_KIND_PLACE_PATIENT_NAME, t);
	snprintf(t, sizeof(t), "%4" PRIu64, 1 + in_study);
	place(k, head, SL_KIND_PLACE_SERIES_NUMBER, t);
	snprintf(t, sizeof(t), "%8" PRIu64, 1 + in_series % 9000000);
	place(k, head, SL_KIND_PLACE_INSTANCE_NUMBER, t);
	snprintf(t, sizeof(t), "%8" PRIu64, in_series % 9000000);
	place(k, head, SL_KIND_PLACE_SLICE_LOCATION, t);
}

struct iovec sl_kind_bytes(const struct sl_kind *k, const uint8_t *head, uint64_t at, size_t max)
{
	if (at < k->head_len)
		return (struct iovec){
			(void *)(uintptr_t)(head + at), sl_min(max, k->head_len - (size_t)at)};
	at -= k->head_len;
	if (at < k->body_len) {
		size_t in_block = (size_t)(at % k->block_len);
		size_t n = (size_t)sl_min64(k->block_len - in_block, k->body_len - at);
		return (struct iovec){k->block + in_block, sl_min(max, n)};
	}
	at -= k->body_len;
	return (struct iovec){
		(void *)(uintptr_t)(k->tail + at), sl_min(max, k->tail_len - (size_t)at)};
}
