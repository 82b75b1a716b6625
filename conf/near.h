/* What somebody may have meant who wrote a name we do not know. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"

#define SL_NEAR_MAX 64 /* characters of a name that are compared */

/* Insertions, deletions, replacements and swaps of neighbours between two names. */
size_t sl_near_distance(const char *a, const char *b);

/* "dicom.port" for "dicom.prot" or "storage.port": the nearest key, or "" when none is near. */
void sl_near_key(const char *group, const char *name, char *out, size_t cap);

/* The nearest group's name, or NULL. */
const char *sl_near_group(const char *group);
