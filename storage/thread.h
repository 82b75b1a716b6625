/* Starting a storage thread: one way, so that no signal ever lands on one of them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "core/status.h"

/* Runs main(arg) on a new thread with every signal blocked (they belong to the loop). `what` names it
 * in the diagnosis and, up to its first slash, for the operating system. SL_E_NOMEM. */
SL_MUST enum sl_status sl_thread_start(
	pthread_t *id, void *(*main)(void *arg), void *arg, const char *what, struct sl_diag *d);
