/* The dialogue's mutator: changes what is inside of a PDU and lets the lengths around it agree, so that the
 * change arrives where it is meant to; or doubles, drops, moves and cuts whole PDUs. One change in four
 * is any change at all: lengths must also lie.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/pdu.h"
#include "tests/fuzz/dialogue.h"

#define DEPTH 5 /* length fields around a place: PDU, item, item; or PDU, PDV, element */
#define PARTS 512

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed);

struct length {
	size_t at;
	unsigned width; /* bytes */
	bool is_le;
};

/* Bytes, and the lengths that count them. */
struct place {
	size_t at, n;
	struct length lengths[DEPTH];
	unsigned lengths_n;
};

static unsigned draw(unsigned *seed, size_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (unsigned)((uint64_t)(*seed >> 8) * n >> 24);
}

static size_t get(const uint8_t *b, struct length l)
{
	size_t v = 0;
	for (unsigned i = 0; i < l.width; i++)
		v = v << 8 | b[l.at + (l.is_le ? l.width - 1 - i : i)];
	return v;
}

static void put(uint8_t *b, struct length l, size_t v)
{
	for (unsigned i = 0; i < l.width; i++)
		b[l.at + (l.is_le ? i : l.width - 1 - i)] = (uint8_t)(v >> (8 * i));
}

/* ---- going down ---- */

/* How the parts of a place look: where their length is, what it counts, where the value begins. */
struct shape {
	size_t skip; /* bytes before the first part */
	struct length length;
	size_t counted_from, value_from;
};

static const struct shape PDV = {0, {0, 4, false}, 4, 6};
static const struct shape ITEM = {0, {2, 2, false}, 4, 4};
static const struct shape IMPLICIT = {0, {4, 4, true}, 8, 8};
static const struct shape EXPLICIT = {0, {6, 2, true}, 8, 8};
static const struct shape EXPLICIT_LONG = {0, {8, 4, true}, 12, 12};

/* The shape of an element: group 0000 is implicit, what has two letters behind its tag explicit. */
static struct shape element_at(const uint8_t *b, size_t at, size_t end)
{
	if (end - at < 12 || (b[at] | b[at + 1]) == 0 || b[at + 4] < 'A' || b[at + 4] > 'Z')
		return IMPLICIT;
	return memchr("OSU", b[at + 4], 3) != NULL && memchr("BWQFNTCRV", b[at + 5], 9) != NULL
		       ? EXPLICIT_LONG
		       : EXPLICIT;
}

/* One of the parts of p, by chance. False: it has none. is_data: they are elements. */
static bool go_down(
	const uint8_t *b, struct place *p, struct shape shape, bool is_data, unsigned *seed)
{
	struct place found[PARTS];
	unsigned n = 0;
	size_t end = p->at + p->n;
	for (size_t at = p->at + sl_min(shape.skip, p->n); at < end && n < PARTS;) {
		struct shape s = is_data ? element_at(b, at, end) : shape;
		struct length l = s.length;
		if (end - at < s.value_from)
			break;
		l.at += at;
		size_t len = sl_min(get(b, l), end - at - s.counted_from);
		if (s.counted_from + len < s.value_from)
			break;
		found[n] = *p;
		found[n].at = at + s.value_from;
		found[n].n = s.counted_from + len - s.value_from;
		found[n++].lengths[p->lengths_n] = l;
		at += s.counted_from + len;
	}
	if (n == 0 || p->lengths_n == DEPTH)
		return false;
	*p = found[draw(seed, n)];
	p->lengths_n++;
	return true;
}

/* A place in the PDU that begins at `at`: itself, or something in it. */
static struct place choose(const uint8_t *b, size_t at, size_t len, unsigned *seed)
{
	struct place p = {.at = at + SL_PDU_HEAD_LEN,
		.n = len - SL_PDU_HEAD_LEN,
		.lengths = {{at + 2, 4, false}},
		.lengths_n = 1};
	struct shape items = ITEM;
	if (draw(seed, 16) == 0)
		return p;
	if (b[at] == SL_PDU_PDATA_TF) {
		if (go_down(b, &p, PDV, false, seed) && draw(seed, 8) != 0)
			(void)go_down(b, &p, IMPLICIT, true, seed);
		return p;
	}
	items.skip = 68; /* version and titles */
	if (b[at] != SL_PDU_ASSOCIATE_RQ || !go_down(b, &p, items, false, seed))
		return p;
	uint8_t type = b[p.at - 4];
	items.skip = type == 0x20 ? 4 : 0;
	if (type == 0x20 || type == 0x50)
		(void)go_down(b, &p, items, false, seed);
	return p;
}

/* ---- changes ---- */

static size_t change_inside(uint8_t *b, size_t n, size_t max, struct place p)
{
	uint8_t value[DIALOGUE_INPUT];
	size_t room = sl_min(p.n + (max - n), sizeof(value));
	if (room == 0 || p.n > sizeof(value))
		return n;
	memcpy(value, b + p.at, p.n);
	size_t now = LLVMFuzzerMutate(value, p.n, room);
	memmove(b + p.at + now, b + p.at + p.n, n - p.at - p.n);
	memcpy(b + p.at, value, now);
	for (unsigned i = 0; i < p.lengths_n; i++)
		put(b, p.lengths[i], get(b, p.lengths[i]) + now - p.n);
	return n + now - p.n;
}

/* Moves the bytes at `from` before those at `to`; or a copy of them. */
static size_t insert(uint8_t *b, size_t n, size_t max, size_t from, size_t len, size_t to)
{
	uint8_t copy[DIALOGUE_INPUT];
	if (len > sizeof(copy) || len > max - n)
		return n;
	memcpy(copy, b + from, len);
	memmove(b + to + len, b + to, n - to);
	memcpy(b + to, copy, len);
	return n + len;
}

static size_t drop(uint8_t *b, size_t n, size_t from, size_t len)
{
	memmove(b + from, b + from + len, n - from - len);
	return n - len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed)
{
	size_t begins[PARTS], lens[PARTS];
	unsigned pdus = 0;
	for (size_t at = DIALOGUE_HEAD, from = at; at < n && pdus < PARTS; from = at) {
		lens[pdus] = dialogue_pdu(bytes, n, &at);
		begins[pdus++] = from;
	}
	unsigned i = pdus == 0 ? 0 : draw(&seed, pdus), k = pdus == 0 ? 0 : draw(&seed, pdus);
	if (pdus == 0 || lens[i] < SL_PDU_HEAD_LEN)
		return LLVMFuzzerMutate(bytes, n, max);
	switch (draw(&seed, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return LLVMFuzzerMutate(bytes, n, max);
	case 4:
		return insert(bytes, n, max, begins[i], lens[i], begins[k]);
	case 5:
		return drop(bytes, n, begins[i], lens[i]);
	case 6:
		bytes[draw(&seed, DIALOGUE_HEAD)] = (uint8_t)draw(&seed, 256);
		return n;
	default:
		return change_inside(bytes, n, max, choose(bytes, begins[i], lens[i], &seed));
	}
}
