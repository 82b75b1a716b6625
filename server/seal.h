/* "Memory is bought at start", checked: after the seal no loop or disk thread may allocate.
 *
 * The daemon only marks its threads; the check is the tests' (tests/support/seal_preload.c, by
 * LD_PRELOAD), which counts or refuses allocations of a marked thread. libuv's few allocations come
 * from an arena of fixed size that is bought here and counted.
 *
 * Exempt, by not being marked: the indexer thread (LMDB), the log writer, and later the client of the
 * DCMTK worker; TLS handshakes when they come.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/status.h"

#define SL_SEAL_ARENA \
	(512 * SL_KIB) /* bytes for libuv: its tables of descriptors grow by doubling */

/* Gives libuv its arena. Before any other call of libuv. */
SL_MUST enum sl_status sl_seal_uv(struct sl_diag *d);

/* Bytes of the arena in use. */
size_t sl_seal_uv_used(void);

/* Marks the calling thread: from here on it allocates nothing. arg is ignored (thread callbacks). */
void sl_seal_thread(void *arg);
