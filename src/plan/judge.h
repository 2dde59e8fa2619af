/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.h - whether a spec describes a sandbox that can be built, and would hold
 *
 * Only what the spec itself says: what the host has is looked at by who starts the run.
 */
#pragma once
#include "base/err.h"
#include "plan/spec.h"

#define CV_PLAN_ENV_OWN_MAX 48 /* variables that a plan adds to those of the spec */

/* CV_INVALID, CV_LIMIT, CV_UNAVAILABLE: the option, and what would be right.  has_main: a command
 * is expected; without, none may be given. */
CV_MUST cv_code cv_plan_spec_judge(const struct cv_run_spec *s, bool has_main, struct cv_err *err);

/* "sandbox", or a number that is not root's. */
CV_MUST cv_code cv_plan_id_parse(
	const char *what, struct cv_str text, uint32_t *ret, struct cv_err *err);

/* dir equals path or is above it. */
bool cv_plan_path_is_beneath(struct cv_str path, struct cv_str dir);
