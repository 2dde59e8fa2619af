/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - what a sandbox with host tools is told of them, from catalog and policy
 *
 *     catalog --+--> names and routes, for the proxy
 *               +--> with the policy: the skill file, and a line for each tool
 *     random bytes --> token: value to the keeper, placeholder to the sandbox, digest to the broker
 *
 * Who will call is not known yet, so what is said of a tool here is what the policy's rules ask of
 * anybody; a rule for some binaries counts as one that may apply.  Strings are the arena's.
 */
#pragma once
#include "plan/plan.h"
#include "policy/policy.h"
#include "tools/catalog.h"

/* What of it goes into the plan of a gateway's sandbox. */
struct cv_driver_tools {
	struct cv_str *names; /* of the catalogs; "builtin:..." are not written anywhere */
	struct cv_str *texts;
	size_t count;
	struct cv_plan_tool *tools;
	size_t tool_count;
	struct cv_str map, skill, digest;
	struct cv_str
		state; /* directory that stays while the sandbox does; made by its supervisor */
	struct cv_str slots;      /* the file of sys/slots.h, for limits of several sandboxes */
	const struct cv_str *env; /* NAME=VALUE that tools may inherit */
	size_t env_count;
	bool is_late; /* the first call starts the broker */
};

/* CV_LIMIT. */
CV_MUST cv_code cv_driver_tools_map(
	const struct cv_catalog *c, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err);
CV_MUST cv_code cv_driver_tools_skill(const struct cv_catalog *c, const struct cv_policy *policy,
	struct cv_arena *arena, struct cv_str *ret, struct cv_err *err);
/* One for each tool of the catalog. */
CV_MUST cv_code cv_driver_tools_rows(const struct cv_catalog *c, const struct cv_policy *policy,
	struct cv_arena *arena, struct cv_plan_tool **ret, struct cv_err *err);
/* Appends the token that CV_COMPOSE_TOKEN_RANDOM bytes make; *ret_digest is its SHA-256 in
 * hexadecimal. */
CV_MUST cv_code cv_driver_tools_token(const unsigned char *random, struct cv_buf *token,
	struct cv_arena *arena, struct cv_str *ret_digest, struct cv_err *err);
/* Whether nothing in it has to run, or to be looked for on this host, before it is called: then all
 * that can be wrong was found when the catalog was judged. */
bool cv_driver_tools_may_be_late(const struct cv_catalog *c);
bool cv_driver_tools_has_builds(const struct cv_catalog *c);
