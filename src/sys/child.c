/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.c - see child.h
 */
#include "sys/child.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

cv_code cv_child_wait(pid_t pid, int *ret_status)
{
	int status;

	if (pid <= 0) {
		errno = ECHILD;
		return CV_SYSTEM;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CV_SYSTEM;
	if (ret_status)
		*ret_status = status;
	return CV_OK;
}

void cv_child_kill(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	(void)cv_child_wait(pid, NULL);
}
