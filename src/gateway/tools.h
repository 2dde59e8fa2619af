/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - host tools of the gateway's sandboxes
 *
 *     tools:
 *       catalogs: [/etc/cove/tools.yaml, github]     # of every sandbox; files, or those built in
 *       workspaces: {web: "/etc/cove/web.yaml"}      # and of those of a workspace; commas between several
 *
 *     catalogs (read at start and SIGHUP) --set of a workspace--> plan of a sandbox --> its broker
 *                                                             \-> its token and grants, in its keeper's set
 *
 * Each sandbox whose workspace has catalogs gets tools.local, and a broker that its supervisor
 * starts as in `cove run`; what may be called is the policy's to say (its section tools, none:
 * nothing).  A sandbox keeps the catalogs that it was started with.
 *
 * Token: 256 random bits, new for each start, sealed by the vault at once.  Its envelope and its
 * digest are in a file (box_file.h), so that a set which is made later (a provider's value
 * changed, the gateway came back) has it too.
 */
#pragma once
#include "gateway/gateway.h"

struct cv_cred_set;

/* Reads and judges all catalogs that c names (cv_gw_config_check_fn); what is wrong in a file goes to
 * stderr. */
struct cv_findings;
void cv_gw_tools_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err);

/* Credentials of those catalogs that are not on this host (cv_gw_remarks). */
void cv_gw_tools_remark(const struct cv_gw_config *c, char **env, struct cv_findings *findings);

/* The sandbox was started with host tools. */
bool cv_gw_tools_are_there(const struct cv_gateway *g, const struct cv_object *sandbox);
/* The envelope of its token, under the vault's present key. */
CV_MUST cv_code cv_gw_tools_rewrap(
	struct cv_gateway *g, const struct cv_object *sandbox, struct cv_err *err);
/* Its token, and what its tools may have of secrets, as references into set, which may be empty;
 * *ret_env is "COVE_TOOLS_TOKEN=PLACEHOLDER", in the arena. */
CV_MUST cv_code cv_gw_tools_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_cred_set *set, struct cv_arena *arena, struct cv_str *ret_env,
	struct cv_err *err);
