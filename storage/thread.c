/* Threads that take no signals.
 * SPDX-License-Identifier: Apache-2.0 */
#include "storage/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* "ioq/start" makes "sl-ioq": what top -H and a debugger show. */
static void name_it(pthread_t id, const char *what)
{
	char name[16]; /* the kernel keeps no more */
	snprintf(name, sizeof(name), "sl-%.*s", (int)sl_min(strcspn(what, "/"), 12), what);
	(void)pthread_setname_np(id, name);
}

enum sl_status sl_thread_start(
	pthread_t *id, void *(*main)(void *arg), void *arg, const char *what, struct sl_diag *d)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
	int errnum = pthread_create(id, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errnum == 0) {
		name_it(*id, what);
		return SL_OK;
	}
	return sl_fail(d, SL_E_NOMEM, errnum, what,
		"cannot start a thread: %s (limits: ulimit -u, TasksMax)", strerror(errnum));
}
