/* Orders to a stopped node, from the command line: --pin, --unpin, --pins, --delete-study,
 * --delete-object, --compact.
 *
 * Each opens the store as the node would (lock, recovery), does one thing durably, and closes it; while a
 * node runs it is refused. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "server/main_args.h"
#include "storage/storage.h"

/* True for the modes above. */
bool sl_main_is_order(enum sl_main_mode mode);

/* Does it and says so on standard output. Returns the exit code: 0 done; 1 not done (no such study, it is
 * pinned, no room); 2 usage, or the store is in use; 70 the storage failed. */
int sl_main_order(enum sl_main_mode mode, const struct sl_main_args *args,
	const struct sl_storage_conf *conf);
