/* What a disk may hold after the power went: one choice of what was asked for and not synced, written
 * out as a folder.
 *
 * A choice follows from its family and seed alone. Families: nothing, everything, names without their
 * bytes, bytes without their names, all but one change, one change alone, the last one alone, and random
 * ones, with bytes torn at sectors of 512 bytes, at pages of 4 KiB, or not at all.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/power/disk.h"

enum state_family {
	STATE_NOTHING,
	STATE_EVERYTHING,
	STATE_NAMES,
	STATE_BYTES,
	STATE_ALL_BUT_ONE,
	STATE_ONE,
	STATE_RANDOM,
	STATE_TORN,
	STATE_LAST,
	STATE_FAMILIES
};

extern const char *const state_family_names[STATE_FAMILIES];

struct state;

/* work: an empty folder that the states may use, on a fast file system; they are written to work/root. */
struct state *state_open(const struct disk *d, const char *work);
void state_close(struct state *s);

/* Chooses for the disk as it stands. Returns a number that tells choices apart. */
uint64_t state_choose(struct state *s, enum state_family family, uint64_t seed);

/* Writes out what was chosen; removes it again, whatever it has become. False: said why on stderr. */
bool state_write(struct state *s);
bool state_remove(struct state *s);
