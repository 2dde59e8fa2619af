/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_int.h - the parts of run.c: what the host has, and what policy says
 */
#pragma once
#include "cli/run.h"
#include "cli/run_provider.h"
#include "cli/run_tools.h"
#include "plan/plan.h"

/* path as the host has it: absolute, links resolved, in the arena.  CV_NOT_FOUND, CV_SYSTEM. */
CV_MUST cv_code run_path_resolve(const char *what, struct cv_str path, struct cv_arena *arena,
	struct cv_str *ret, struct cv_err *err);
/* What is at path, without following a final link. */
enum cv_path_kind run_path_kind(const char *path);

/* The host's part of the spec and files: ids, layout, date, terminal, trusted roots, what is to be
 * protected in the working directory. */
CV_MUST cv_code run_host_fill(struct cv_run_spec *s, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err);
/* Our own programs, all of them there. */
CV_MUST cv_code run_programs_find(struct cv_plan_files *files, struct cv_arena *arena,
	struct cv_str *ret_supervisor, struct cv_err *err);

/* Reads and judges the policy with what the providers lay over it, and takes its static sections
 * into the spec; then the providers' set is made, with the token of host tools.  CV_INVALID after the findings were printed. */
CV_MUST cv_code run_policy_fill(struct cv_run_request *r, struct run_providers *providers,
	struct run_tools *tools, struct cv_arena *arena, struct cv_err *err);

/* Judges the words about an upstream proxy, and reads the credentials for it, which providers keep
 * and wipe.  CV_INVALID, CV_NOT_FOUND. */
/* r->upstream_auth is there: the value into r->upstream_secret and among the providers' secrets. */
CV_MUST cv_code run_forward_secret_read(
	struct cv_run_request *r, struct run_providers *providers, struct cv_err *err);
CV_MUST cv_code run_forward_fill(struct cv_run_request *r, struct run_providers *providers,
	struct cv_plan_files *files, struct cv_err *err);

/* Which means enforces each limit that was asked for; said on stderr unless quiet.
 * CV_UNAVAILABLE when nothing does. */
CV_MUST cv_code run_limits_fill(struct cv_run_spec *s, struct cv_err *err);
