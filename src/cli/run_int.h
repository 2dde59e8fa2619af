/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_int.h - the parts of run.c, beside what the driver does for every run
 */
#pragma once
#include "cli/run.h"
#include "cli/run_provider.h"
#include "cli/run_tools.h"
#include "driver/host.h"
#include "plan/named.h"
#include "plan/plan.h"

/* Reads and judges the policy with what the providers lay over it, and takes its static sections
 * into the spec; then the providers' set is made, with the token of host tools.  CV_INVALID after
 * the findings were printed. */
CV_MUST cv_code run_policy_fill(struct cv_run_request *r, struct run_providers *providers,
	struct run_tools *tools, struct cv_arena *arena, struct cv_err *err);

/* Judges the words about an upstream proxy, and reads the credentials for it, which providers keep
 * and wipe.  CV_INVALID, CV_NOT_FOUND. */
/* r->upstream_auth is there: the value into r->upstream_secret and among the providers' secrets. */
CV_MUST cv_code run_forward_secret_read(
	struct cv_run_request *r, struct run_providers *providers, struct cv_err *err);
CV_MUST cv_code run_forward_fill(struct cv_run_request *r, struct run_providers *providers,
	struct cv_plan_files *files, struct cv_err *err);

/* run_named.c: which files the run was told of, into the spec; once all else of it is there. */
CV_MUST cv_code run_named_find(struct cv_run_request *r, const struct run_providers *providers,
	const struct run_tools *tools, const struct cv_plan_files *files, struct cv_arena *arena,
	struct cv_err *err);
