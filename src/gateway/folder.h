/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - directories of policies and of provider profiles, followed as they change
 *
 *     policies_dir/WORKSPACE.yaml  the policy of that workspace's sandboxes that came without one
 *     profiles_dir/ANY.yaml        a provider profile of the platform
 *
 * A file that is wrong changes nothing but the log; what was there stays.  So does what a file said
 * that is gone, where it is a policy: no sandbox loses its rules by a slip.  A profile goes with its
 * file, unless somebody uses it.
 *
 *     folder.c           watching; policies         folder_profile.c   profiles
 */
#pragma once
#include "gateway/gateway.h"
#include "rpc/policy_pb.h"

#define CV_GW_FOLDER_FILES_MAX  1000
#define CV_GW_FOLDER_POLICY_KEY "policy-file"  /* in a revision's provenance */
#define CV_GW_PROFILE_FILE_KEY  "profile-file" /* in the annotations of a stored profile */

/* What a sandbox of the workspace starts with that has no policy of its own: canonical, borrowed until
 * the next turn.  ret_file: for its provenance.  NULL: there is none. */
const cv_policy_pb *cv_gw_folder_policy(
	const struct cv_gateway *g, struct cv_str workspace, struct cv_str *ret_file);

/* Calls one for each file of the directory whose name ends in .yaml, .yml or .json.  CV_SYSTEM: it
 * can't be read. */
typedef void cv_gw_folder_fn(
	struct cv_gateway *g, struct cv_str name, struct cv_str text, void *arg);
CV_MUST cv_code cv_gw_folder_walk(struct cv_gateway *g, struct cv_str dir, cv_gw_folder_fn *one,
	void *arg, struct cv_err *err);

/* "LINE:COLUMN: what is wrong; what would be right", of the first that is. */
struct cv_findings;
void cv_gw_folder_finding(const struct cv_findings *f, struct cv_err *err);

/* Makes the platform's profiles what the directory says. */
void cv_gw_folder_profiles(struct cv_gateway *g, struct cv_str dir);
