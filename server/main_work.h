/* Work on a stopped node, from the command line: --rebuild-index, --verify.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "server/main_args.h"
#include "storage/storage.h"

/* Does it, telling standard output what comes of it and standard error how far it is. Returns the exit
 * code: 0 done, and sound; 1 damage found, or it failed; 2 not to be done here (no such folder, a node is
 * running); 70 an fsync failed. */
int sl_main_work(enum sl_main_mode mode, const struct sl_main_args *args,
	const struct sl_storage_conf *conf);
