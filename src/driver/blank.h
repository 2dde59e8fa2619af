/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blank.h - the supervisor of the sandbox that will be created next
 *
 * It was started and waits for its plan (supervisor/blank.c), so that a creation does not wait for a
 * program's start.  It knows of no sandbox: which one it becomes, and all that is so about it,
 * comes with the plan, as for one that is started then.
 */
#pragma once
#include "driver/standby.h"

/* Makes it the supervisor of a sandbox.  fds: as it would have been started with, CV_PLAN_FD_COUNT
 * of them.  False: there is none, or it can't; the caller starts one. */
bool cv_driver_blank_take(
	struct cv_driver_standby *b, const int *fds, pid_t *ret_pid, int *ret_pidfd);
