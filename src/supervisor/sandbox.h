/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - new namespaces, and what becomes PID 1 in them
 */
#pragma once
#include "plan/plan.h"

#include <sys/types.h>

struct sandbox {
	pid_t pid; /* PID 1 of the sandbox, seen from here */
	int pidfd;
	int link; /* ipc/init_link.h */
};

/* Forks the builder of the sandbox.  It reports BUILT or FAILED on the link; commands may be sent
 * at once.  init_fd: cove-init, opened for execution. */
CV_MUST cv_code sandbox_start(
	const struct cv_plan *plan, int init_fd, struct sandbox *ret, struct cv_err *err);
