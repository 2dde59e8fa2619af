/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - a process gives up what its command must not have
 */
#pragma once
#include "plan/command.h"

/* No new privileges, Landlock, seccomp, in this order, in the calling single-threaded process.
 * What the kernel lacks and the command does not insist on is reported as WEAKER.  False after
 * FAILED was sent: the process must exit. */
bool confine(int link, uint32_t id, const struct cv_plan_command *c);
