/* A UID as a value: what PS3.5 section 9 allows, and a little of what devices send.
 *
 * Every UID in the program is a struct sl_uid; a name in the file system is made from nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

#define SL_UID_MAX 64 /* characters; PS3.5 9.1 */

struct sl_uid {
	uint8_t len; /* 0 = absent */
	char s[SL_UID_MAX +
		1]; /* terminated; bytes past len are 0, so that values compare as memory */
};

/* Trims trailing NULs and spaces (and leading spaces), then checks: 1-64 of [0-9A-Za-z.-], not
 * starting with a dot (DESIGN, contract of names; letters and leading zeros come from real devices).
 *
 * Returns SL_OK; SL_E_NOTFOUND when nothing is left (out->len 0); SL_E_DATASET when the characters
 * or the length are not allowed (out->len 0). */
SL_MUST enum sl_status sl_uid_parse(struct sl_uid *out, const void *bytes, size_t n);

/* True for a UID strictly as PS3.5 9.1 wants it (digits and dots, no leading zeros, no empty part). */
bool sl_uid_is_strict(const struct sl_uid *u);

bool sl_uid_equal(const struct sl_uid *a, const struct sl_uid *b);

/* From a literal of our own; asserts that it parses. */
struct sl_uid sl_uid_of(const char *literal);
