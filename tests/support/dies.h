/* Does a call stop the process by sl_assert()? Tried in a child, whose complaint is not shown.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool dies(void (*call)(void *arg), void *arg)
{
	int wstatus = 0;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		call(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &wstatus, 0), child);
	return WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGABRT;
}
