/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - the end of a process that we started
 *
 * For those who wait: they have nothing else to do until it has ended.  Who must not wait learns of
 * the end by a pidfd or SIGCHLD, and takes the status with WNOHANG himself.
 */
#pragma once
#include "base/err.h"

#include <sys/types.h>

/* Waits until the child has ended, through whatever signals come, and takes its status (NULL: not
 * wanted).  CV_SYSTEM with errno, the status untouched: there is nobody to wait for.  That is so when
 * pid is 0 or -1, since nothing was started; when it was waited for already; and, after it has
 * ended, when SIGCHLD is ignored (waitpid(2)). */
cv_code cv_child_wait(pid_t pid, int *ret_status);

/* SIGKILL, then its end.  A pid of 0 or -1 is nobody: neither our group nor everyone (kill(2)). */
void cv_child_kill(pid_t pid);
