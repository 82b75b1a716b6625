/* The index seam's in-memory twin: the same answers from plain arrays, for tests.
 *
 * Written to be obviously right, not fast: every lookup scans. Any thread may call; one lock.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/index.h"

/* An empty index that takes `capacity` instances before it is full (SL_E_FULL); returned owned. */
struct sl_index *sl_index_mem_new(size_t capacity);
