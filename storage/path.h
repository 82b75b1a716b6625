/* Every name below storage.root, and nothing else that makes one (DESIGN 7, HOSTILE 1-5).
 *
 *   spool/<number>.berth                              a name made ahead, and then the object that took it
 *   spool/<seq>.dcm                                   an object that was named when it was complete
 *   archive/<hh>/<study>/<series>/<sop>.dcm           the first version of an object
 *   archive/<hh>/<study>/<series>/<sop>~<seq>.dcm     each later version beside it
 *   trash/<seq>                                       evicted or deleted, being unlinked
 *   quarantine/<seq>.dcm                              kept, but not an object
 *   journal/ops                                       what no object carries
 *
 * <seq> is 16 lower-case hex digits, so that names sort in order of arrival; <hh> is a hash of the
 * Study UID; `_` stands where a class has no study or series UID. Neither `_` nor `~` is in the
 * grammar of a UID, so no two things share a name. A UID enters a name only as a struct sl_uid; each
 * character is checked once more here, and one that should not be there is a programming error.
 *
 * Pure functions: no file system, no allocation. Names are relative to the folder named first above.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/uid.h"

#define SL_PATH_SPOOL      "spool"
#define SL_PATH_ARCHIVE    "archive"
#define SL_PATH_TRASH      "trash"
#define SL_PATH_INDEX      "index"
#define SL_PATH_QUARANTINE "quarantine"
#define SL_PATH_LOCK       "lock"
#define SL_PATH_JOURNAL    "journal"
#define SL_PATH_OPS        "ops" /* in journal/, and what becomes it */
#define SL_PATH_OPS_NEW    ".ops.new"

/* hh/study/series/sop~seq.dcm and the final NUL */
#define SL_PATH_MAX (2 + 1 + SL_UID_MAX + 1 + SL_UID_MAX + 1 + SL_UID_MAX + 1 + 16 + 4 + 1)

struct sl_path {
	char s[SL_PATH_MAX]; /* terminated */
};

/* <seq>.dcm, for spool/ and quarantine/. */
void sl_path_spool(struct sl_path *out, uint64_t seq);

/* The seq of a spool name. False for anything sl_path_spool() would not have written. */
SL_MUST bool sl_path_spool_seq(const char *name, uint64_t *seq);

/* <number>.berth, in spool/, and back. */
void sl_path_berth(struct sl_path *out, uint64_t number);
SL_MUST bool sl_path_berth_number(const char *name, uint64_t *number);

/* .tmp-<number>, in spool/: an object being written where the file system has no O_TMPFILE. */
void sl_path_temp(struct sl_path *out, uint64_t number);
bool sl_path_is_temp(const char *name);

/* <seq>, for trash/, and back. */
void sl_path_trash(struct sl_path *out, uint64_t seq);
SL_MUST bool sl_path_trash_seq(const char *name, uint64_t *seq);

/* Beneath archive/: hh, hh/study, hh/study/series. A UID of length 0 becomes `_`. */
void sl_path_fan(struct sl_path *out, const struct sl_uid *study);
void sl_path_study(struct sl_path *out, const struct sl_uid *study);
void sl_path_series(struct sl_path *out, const struct sl_uid *study, const struct sl_uid *series);

/* Beneath its series folder: <sop>.dcm when version is 0, else <sop>~<version>.dcm. */
void sl_path_leaf(struct sl_path *out, const struct sl_uid *sop, uint64_t version);

/* Beneath archive/: hh/study/series/leaf. */
void sl_path_instance(struct sl_path *out, const struct sl_uid *study, const struct sl_uid *series,
	const struct sl_uid *sop, uint64_t version);

/* The <hh> of a study: FNV-1a, 64 bits, of the folder's name, folded to 8. Part of the layout on
 * disk: it must never change. */
uint8_t sl_path_hash(const struct sl_uid *study);
