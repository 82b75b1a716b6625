/* Work on a stopped node's folder, by order of the operator: open it, lock it, do one thing, close it.
 *
 * A damaged index must not take the work with it: LMDB trusts its pages and may crash on a bad one, so the
 * old index is read in a process of its own.
 *
 * Main thread, in a process that has no other; allocates. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/rebuild.h"
#include "storage/storage.h"
#include "storage/verify.h"

/* Opens the folder of a stopped node; unlike the start of a node, makes no new one. SL_E_CONFIG (there is
 * none), SL_E_BUSY (a daemon holds it: d says its pid), and as sl_root_open(). */
SL_MUST enum sl_status sl_upkeep_open(struct sl_root *root, const struct sl_storage_conf *conf,
	const struct sl_env *env, struct sl_diag *d);

/* Does work(arg) in a child process and waits for it; arg lies in memory of sl_upkeep_share(). False when
 * the child crashed. The process must have one thread only. */
bool sl_upkeep_apart(void (*work)(void *arg), void *arg);

/* n zeroed bytes that a child process shares; NULL without memory. Given back by _unshare(). */
void *sl_upkeep_share(size_t n);
void sl_upkeep_unshare(void *at, size_t n);

struct sl_upkeep_rebuilt {
	struct sl_rebuild_report rebuild;
	bool had_index;      /* there was one, readable or not */
	bool is_old_read;    /* and its removals under way were finished first */
	uint64_t tombstones; /* so many */
	char why_not[160];   /* where there was one that could not be read */
};

/* --rebuild-index. What the old index was about to remove is removed first, if it can be read; else such a
 * study is back. Until the new index is whole, the old one stays.
 * SL_OK; SL_E_CONFIG, SL_E_BUSY, SL_E_UNSUPPORTED; SL_E_FULL, SL_E_IO, SL_E_SYNC, SL_E_NOMEM. */
SL_MUST enum sl_status sl_upkeep_rebuild(const struct sl_storage_conf *conf,
	const struct sl_env *env,
	void (*on_progress)(void *arg, const struct sl_rebuild_report *so_far), void *arg,
	struct sl_upkeep_rebuilt *out, struct sl_diag *d);

struct sl_upkeep_verify {
	bool is_full;
	void (*on_finding)(void *arg, enum sl_verify_kind kind, const char *path, const char *text);
	void (*on_progress)(void *arg, const struct sl_verify_report *so_far, unsigned permille);
	void *arg; /* the callbacks come in a child process: what they keep is lost, what they print is not */
};

/* --verify. SL_OK, also with findings: sl_verify_findings(out) says how many. SL_E_CONFIG, SL_E_BUSY,
 * SL_E_UNSUPPORTED; SL_E_IO, SL_E_NOMEM: not all could be looked at. */
SL_MUST enum sl_status sl_upkeep_verify(const struct sl_storage_conf *conf,
	const struct sl_env *env, const struct sl_upkeep_verify *how, struct sl_verify_report *out,
	struct sl_diag *d);
