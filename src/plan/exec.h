/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h - one more command for a sandbox that stands, as data
 *
 * What a client says: arguments, variables, a directory.  What the sandbox says of every command
 * (Landlock rules, resource limits, the variables that all have) is its plan's; the two together are
 * a command as cove-init takes it (command.h).  Nothing that is said here can lift a confinement.
 */
#pragma once
#include "plan/command.h"

#define CV_PLAN_EXEC_BYTES_MAX (2u << 20) /* the usual ARG_MAX */
#define CV_PLAN_EXEC_ENV_MAX   1024       /* each is looked up among all */

struct cv_plan_exec {
	struct cv_str *argv, *env; /* env: NAME=VALUE; wins over the sandbox's own */
	uint32_t argc, envc;
	struct cv_str cwd; /* absolute; empty: the sandbox's */
};

/* Appends the bytes; false when they do not fit. */
CV_MUST bool cv_plan_exec_put(struct cv_buf *b, const struct cv_plan_exec *exec);
/* CV_PROTO: not the bytes of one; CV_INVALID: they are, and it can't be run.  Strings are borrowed. */
CV_MUST cv_code cv_plan_exec_get(
	struct cv_str bytes, struct cv_arena *arena, struct cv_plan_exec *ret, struct cv_err *err);
/* exec, confined and surrounded as base.  Strings of both are borrowed; CV_LIMIT: too many. */
CV_MUST cv_code cv_plan_exec_command(const struct cv_plan_exec *exec,
	const struct cv_plan_command *base, struct cv_arena *arena, struct cv_plan_command *ret,
	struct cv_err *err);
