/* What must be true of a storage after a power cut, by the plan of what was promised (plan.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/storage.h"
#include "tests/power/plan.h"

struct judge;

/* NULL: said why on stderr. */
struct judge *judge_open(const char *plan);
void judge_close(struct judge *j);
uint64_t judge_root(const struct judge *j);

/* Compares a storage that has recovered from a power cut at that position with the plan: every object
 * acknowledged is there with its bytes, every file holds bytes that were sent, nothing evicted is
 * back, index and files say the same, the right version is current. NULL: all of it is true; else the
 * first thing that is not, valid until the next call. */
const char *judge_complaint(struct judge *j, size_t position, struct sl_storage *s);
