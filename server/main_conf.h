/* From the configuration file's options to what each part of the node takes: the one translation.
 * Only server/main*.c see conf/.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conf/conf.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/server.h"
#include "storage/storage.h"

/* All of it, borrowed from a struct sl_conf that stays. */
struct sl_main_conf {
	struct sl_log_conf log;
	struct sl_storage_conf storage;
	struct sl_server_conf server;
	struct sl_peers_conf peers;
	struct sl_limits_memory memory;
	uint64_t descriptors; /* open files needed */
	struct sl_peer peer[SL_PEERS_MAX];
	struct sl_charset_rule charset[SL_PEERS_MAX];
};

/* Fills *out (zeroed memory of the caller's, large) from a checked configuration. */
void sl_main_conf_fill(
	struct sl_main_conf *out, const struct sl_conf *conf, const struct sl_env *env);

/* What needs the registry to be checked: preferred transfer syntaxes. Complains to err. */
SL_MUST bool sl_main_conf_check(const struct sl_conf *conf, FILE *err);

/* "75%" or "free 20GiB", into buf. */
void sl_main_conf_mark(const struct sl_conf_mark *mark, char *buf, size_t cap);
