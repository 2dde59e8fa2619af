/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_tools.h - the launcher's side of host tools
 *
 *     --tools FILE... --read--> catalog, judged as a whole --+--> names and routes, for the proxy
 *                                                            +--> skill file, in the sandbox
 *     256 random bits --> token: value to the keeper, placeholder to the sandbox, digest to the broker
 *
 * The broker reads the same files; here they are only judged, so that nothing starts with a bad one.
 */
#pragma once
#include "cli/run_provider.h"
#include "tools/catalog.h"

struct run_tools {
	struct cv_catalog *catalog; /* of all files; NULL: the run has no host tools */
	struct cv_str *files;       /* absolute */
	size_t count;
	struct cv_str digest; /* of the token */
	struct cv_plan_tool *tools;
	struct cv_str map, skill;
};

/* Reads and judges the files of the request.  CV_INVALID after the findings were printed. */
CV_MUST cv_code run_tools_load(struct run_tools *t, const struct cv_run_request *r,
	struct cv_arena *arena, struct cv_err *err);

/* Once the policy is judged: the token into the providers' set and the sandbox's environment, and what
 * the policy says of each tool. */
CV_MUST cv_code run_tools_compose(struct run_tools *t, struct cv_run_request *r,
	struct run_providers *providers, const struct cv_policy *policy, struct cv_arena *arena,
	struct cv_err *err);

/* What of it goes into the plan. */
CV_MUST cv_code run_tools_list(const struct run_tools *t, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err);

/* run_grants.c: values of the catalog's credentials into the providers' set, with a grant for each
 * tool that uses one. */
CV_MUST cv_code run_tools_grant(const struct cv_catalog *catalog, const struct cv_run_request *r,
	struct run_providers *providers, struct cv_err *err);
/* The values alone, among the providers' secrets: for who searches for them. */
CV_MUST cv_code run_tools_values(
	const struct cv_catalog *catalog, struct run_providers *providers, struct cv_err *err);

void run_tools_fini(struct run_tools *t);
