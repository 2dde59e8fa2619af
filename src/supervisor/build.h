/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h - the sandbox's file systems, from inside its new namespaces
 *
 * Process: the supervisor's forked child, trusted code with all capabilities of the new user
 * namespace, single-threaded, about to become cove-init.
 */
#pragma once
#include "plan/plan.h"

struct build {
	const struct cv_plan *plan;
	int host;   /* the host's / until SEAL, then -1 */
	int root;   /* the sandbox's / */
	int layer;  /* its own file system alone, writable whatever SEAL does */
	int parent; /* cache: the directory parent_path, opened without following links */
	struct cv_str parent_path;
};

/* Executes all operations in order.  On failure err names the operation and its path. */
CV_MUST cv_code build_run(struct build *b, const struct cv_plan *plan, struct cv_err *err);
