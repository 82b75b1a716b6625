/* The heartbeat: one `status` line every log.heartbeat says how the node is (DESIGN promise 6).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "server/server.h"
#include "storage/storage.h"

struct sl_heartbeat {
	struct sl_log *log;
	struct sl_stats *stats;
	struct sl_server *server;
	struct sl_storage *storage;
	bool is_durable;
	bool is_evicting; /* storage.policy = "evict" */
	/* As of the last beat, for rates. Owned by the main thread. */
	uint64_t at_ns, bytes_in, objects;
};

/* Writes the line now. Main thread. */
void sl_heartbeat_beat(struct sl_heartbeat *h, uint64_t now_ns);

/* The disk's standing as one sentence: "disk 96.0 % used, 31.0 GiB free, refusing below 10.0 GiB". */
void sl_heartbeat_disk(const struct sl_water_now *water, char *buf, size_t cap);
