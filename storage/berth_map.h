/* Which object of spool/ lies in which berth: a row names its file by seq, and an object that came into a
 * name made ahead (berth.h) has that one until it is moved.
 *
 * Holds what is in spool/ and no more: from the moment an object is sealed, or found by recovery, until
 * its name there goes. So it is bounded by the pending table and by what recovery left; sized for that at
 * open, it grows only while recovery reads.
 *
 * Open addressing, a lookup touches one or two cache lines; one lock. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

struct sl_berth_map;

/* For n objects. Returns owned; NULL: no memory. */
struct sl_berth_map *sl_berth_map_open(size_t n);
void sl_berth_map_close(struct sl_berth_map *m);

/* Room for n more than there are. May allocate. SL_E_NOMEM. */
SL_MUST enum sl_status sl_berth_map_reserve(struct sl_berth_map *m, size_t n);

/* The object of `seq` lies in berth `number` (not 0). False: it is said of another already. There is room
 * (assert). */
SL_MUST bool sl_berth_map_put(struct sl_berth_map *m, uint64_t seq, uint64_t number);

/* The number of its berth; 0 = it is not in one. */
uint64_t sl_berth_map_find(struct sl_berth_map *m, uint64_t seq);

/* Its name is gone from spool/. Nothing where it was in no berth. */
void sl_berth_map_drop(struct sl_berth_map *m, uint64_t seq);

/* Memory for n objects [bytes]: part of the sum printed at start. */
size_t sl_berth_map_memory(size_t n);
