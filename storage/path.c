/* The names below storage.root. One writer appends checked pieces; nothing is formatted by printf.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/path.h"

#include <string.h>

#define SEQ_DIGITS  16
#define TEMP_PREFIX ".tmp-"
#define SUFFIX	    ".dcm"
#define BERTH	    ".berth"
#define ABSENT	    "_"

static const char hex_digits[] = "0123456789abcdef";

/* The name so far. Its room is SL_PATH_MAX by construction; running over is our own mistake. */
struct name {
	struct sl_path *out;
	size_t len;
};

static struct name name_begin(struct sl_path *out)
{
	out->s[0] = '\0';
	return (struct name){out, 0};
}

static void add_bytes(struct name *n, const char *bytes, size_t len)
{
	sl_assert(len < SL_PATH_MAX - n->len);
	memcpy(n->out->s + n->len, bytes, len);
	n->len += len;
	n->out->s[n->len] = '\0';
}

static void add_text(struct name *n, const char *text)
{
	add_bytes(n, text, strlen(text));
}

static void add_hex(struct name *n, uint64_t value, int digits)
{
	char text[SEQ_DIGITS];
	for (int i = digits - 1; i >= 0; i--) {
		text[i] = hex_digits[value & 15];
		value >>= 4;
	}
	add_bytes(n, text, (size_t)digits);
}

static bool is_uid_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '.' || c == '-';
}

/* The gate between what a peer said and the file system: sl_uid_parse() let only these through, and
 * a value that came another way stops here. No '/', no NUL, no leading dot: never "." or "..". */
static void add_uid(struct name *n, const struct sl_uid *uid)
{
	sl_assert(uid->len <= SL_UID_MAX);
	if (uid->len == 0) {
		add_text(n, ABSENT);
		return;
	}
	sl_assert(uid->s[0] != '.');
	for (size_t i = 0; i < uid->len; i++)
		sl_assert(is_uid_char(uid->s[i]));
	add_bytes(n, uid->s, uid->len);
}

static bool hex_parse(const char *text, uint64_t *value)
{
	uint64_t v = 0;
	for (int i = 0; i < SEQ_DIGITS; i++) {
		const char *digit = text[i] == '\0' ? NULL : strchr(hex_digits, text[i]);
		if (digit == NULL)
			return false;
		v = v << 4 | (uint64_t)(digit - hex_digits);
	}
	*value = v;
	return true;
}

void sl_path_spool(struct sl_path *out, uint64_t seq)
{
	struct name n = name_begin(out);
	add_hex(&n, seq, SEQ_DIGITS);
	add_text(&n, SUFFIX);
}

bool sl_path_spool_seq(const char *name, uint64_t *seq)
{
	return hex_parse(name, seq) && strcmp(name + SEQ_DIGITS, SUFFIX) == 0;
}

void sl_path_berth(struct sl_path *out, uint64_t number)
{
	struct name n = name_begin(out);
	add_hex(&n, number, SEQ_DIGITS);
	add_text(&n, BERTH);
}

bool sl_path_berth_number(const char *name, uint64_t *number)
{
	return hex_parse(name, number) && strcmp(name + SEQ_DIGITS, BERTH) == 0;
}

void sl_path_temp(struct sl_path *out, uint64_t number)
{
	struct name n = name_begin(out);
	add_text(&n, TEMP_PREFIX);
	add_hex(&n, number, SEQ_DIGITS);
}

bool sl_path_is_temp(const char *name)
{
	return strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0;
}

void sl_path_trash(struct sl_path *out, uint64_t seq)
{
	struct name n = name_begin(out);
	add_hex(&n, seq, SEQ_DIGITS);
}

bool sl_path_trash_seq(const char *name, uint64_t *seq)
{
	return hex_parse(name, seq) && name[SEQ_DIGITS] == '\0';
}

uint8_t sl_path_hash(const struct sl_uid *study)
{
	const char *text = study->len == 0 ? ABSENT : study->s;
	size_t len = study->len == 0 ? strlen(ABSENT) : study->len;
	uint64_t h = 14695981039346656037u; /* FNV-1a, 64 bits */
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 1099511628211u;
	h ^= h >> 32;
	h ^= h >> 16;
	return (uint8_t)(h ^ h >> 8);
}

static struct name fan(struct sl_path *out, const struct sl_uid *study)
{
	struct name n = name_begin(out);
	add_hex(&n, sl_path_hash(study), 2);
	return n;
}

static struct name series_folder(
	struct sl_path *out, const struct sl_uid *study, const struct sl_uid *series)
{
	struct name n = fan(out, study);
	add_text(&n, "/");
	add_uid(&n, study);
	add_text(&n, "/");
	add_uid(&n, series);
	return n;
}

static void add_leaf(struct name *n, const struct sl_uid *sop, uint64_t version)
{
	sl_assert(sop->len > 0); /* every object has one, or it is not kept */
	add_uid(n, sop);
	if (version != 0) {
		add_text(n, "~");
		add_hex(n, version, SEQ_DIGITS);
	}
	add_text(n, SUFFIX);
}

void sl_path_fan(struct sl_path *out, const struct sl_uid *study)
{
	(void)fan(out, study);
}

void sl_path_study(struct sl_path *out, const struct sl_uid *study)
{
	struct name n = fan(out, study);
	add_text(&n, "/");
	add_uid(&n, study);
}

void sl_path_series(struct sl_path *out, const struct sl_uid *study, const struct sl_uid *series)
{
	(void)series_folder(out, study, series);
}

void sl_path_leaf(struct sl_path *out, const struct sl_uid *sop, uint64_t version)
{
	struct name n = name_begin(out);
	add_leaf(&n, sop, version);
}

void sl_path_instance(struct sl_path *out, const struct sl_uid *study, const struct sl_uid *series,
	const struct sl_uid *sop, uint64_t version)
{
	struct name n = series_folder(out, study, series);
	add_text(&n, "/");
	add_leaf(&n, sop, version);
}
