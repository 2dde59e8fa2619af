/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - from the words of `cove run` to a running sandbox
 *
 * cmd_run.c reads the words into a request, run.c looks at the host, builds the plan and becomes
 * cove-supervisor.
 */
#pragma once
#include "cli/commands.h"
#include "plan/limits.h"
#include "plan/spec.h"

#define CV_RUN_MOUNTS_MAX    128
#define CV_RUN_ENV_MAX       1024
#define CV_RUN_CAS_MAX       16
#define CV_RUN_TOOLS_MAX     16
#define CV_RUN_BUDGETS_MAX   32 /* what the proxy counts: CV_BUDGETS_MAX */

#define CV_RUN_PROVIDERS_MAX 32 /* the language's own number (openshell-behaviour 6.1) */

/* What providers add to the policy, as one string of the plan. */
#define CV_RUN_LAYER_BYTES_MAX (128u << 10)

/* What was asked for.  Strings are borrowed from argv; spec's lists point into this struct. */
struct cv_run_request {
	struct cv_run_spec spec;
	const char *policy_path; /* NULL: no policy, no network */
	const char *audit_path;  /* NULL: none */
	const char *ca_paths[CV_RUN_CAS_MAX];
	size_t ca_count;
	const char *routes_path; /* --inference; NULL: none */
	/* --upstream-proxy and its companions; NULL: not given */
	const char *upstream_proxy, *upstream_direct, *upstream_auth;
	bool is_upstream_by_name, has_upstream_auth_consent;
	struct cv_str upstream_secret; /* what upstream_auth names; the providers' to wipe */
	struct cv_str budgets[CV_RUN_BUDGETS_MAX];
	size_t budget_count;
	const char *providers[CV_RUN_PROVIDERS_MAX];
	size_t provider_count;
	const char *tools_paths[CV_RUN_TOOLS_MAX];
	size_t tools_count;
	bool is_dry_run;
	enum cv_output output; /* of the dry run */
	struct cv_spec_mount mounts[CV_RUN_MOUNTS_MAX];
	struct cv_str env[CV_RUN_ENV_MAX];
	struct cv_spec_pin pins[CV_PLAN_PINS_MAX];
};

/* Looks at the host, judges policy, builds the plan, and becomes the supervisor: returns only for
 * a dry run (CV_OK, printed) or a failure, before anything was started. */
CV_MUST cv_code cv_run_start(struct cv_run_request *request, struct cv_err *err);
