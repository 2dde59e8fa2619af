/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_run.h - a search of live runs and of the host around them
 */
#pragma once
#include "cli/audit_files.h"
#include "cli/run_provider.h"

#define AUDIT_RUNS_MAX 1024 /* searched at once */

/* The values of attached providers.  What can't be searched for becomes a row.  CV_INVALID when
 * there is nothing to search for. */
CV_MUST cv_code audit_values_take(const struct run_providers *p, struct audit_report *r,
	struct audit_search **ret, struct cv_err *err);

/* Runs by pid of their supervisor, n of them, into the report.  CV_NOT_FOUND. */
CV_MUST cv_code audit_runs_search(struct audit_search *s, struct audit_report *r, const pid_t *run,
	size_t n, uint64_t files_max, struct cv_err *err);

/* The supervisors of this user's live runs.  CV_NOT_FOUND when there is none, CV_LIMIT. */
CV_MUST cv_code audit_runs_find(pid_t ret[AUDIT_RUNS_MAX], size_t *ret_n, struct cv_err *err);

/* `cove audit secrets --self-test`, in audit_selftest.c.  CV_OK when it could be done; *ret_passed
 * says how it went. */
CV_MUST cv_code audit_selftest(
	enum cv_output output, uint64_t files_max, bool *ret_passed, struct cv_err *err);
