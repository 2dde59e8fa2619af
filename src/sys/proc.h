/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h - what a process takes away from itself, and where it runs
 */
#pragma once
#include "base/err.h"

#include <sys/types.h>

/* No core file, not dumpable: nobody of the same user may read our memory (prctl(2),
 * PR_SET_DUMPABLE; ptrace(2)). */
CV_MUST cv_code cv_proc_harden(struct cv_err *err);

/* No exec from here on can gain privileges; Landlock and seccomp ask for it (prctl(2)). */
CV_MUST cv_code cv_proc_no_new_privs_set(struct cv_err *err);

/* SIGKILL when the parent dies.  parent is its pid as the caller knew it before the fork (0 when
 * the parent is outside our pid namespace): if it has died since, CV_UNAVAILABLE, because the
 * signal would never come. */
CV_MUST cv_code cv_proc_die_with_parent(pid_t parent, struct cv_err *err);

/* Not on the processor that we run on, if there is another; and wherever we may run.  For a process
 * that is about to be woken, around what wakes it: the kernel likes to put it where its waker runs,
 * in virtual machines also when another processor is idle, and then one of the two waits.  Best
 * effort. */
void cv_proc_elsewhere(pid_t pid);
void cv_proc_anywhere(pid_t pid);

/* Marks every descriptor from first on close-on-exec. */
CV_MUST cv_code cv_proc_cloexec_from(unsigned first, struct cv_err *err);
