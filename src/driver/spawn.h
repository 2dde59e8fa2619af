/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - a program of its own session, with exactly the descriptors it is given
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define CV_DRIVER_SPAWN_FDS_MAX 16

/* Starts exe without arguments and environment: descriptor i of the new program is fds[i] (-1: closed),
 * and there is no other.  It leads a session of its own, so that nobody who signals our group means
 * it; all signals are blocked in it until it says otherwise.  ret_pidfd is close-on-exec.
 * CV_SYSTEM, CV_NOT_FOUND (no such program). */
CV_MUST cv_code cv_driver_spawn(const char *exe, const int *fds, size_t fd_count, pid_t *ret_pid,
	int *ret_pidfd, struct cv_err *err);
