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
 *     folder_check.c     of `config check`
 */
#pragma once
#include "gateway/gateway.h"
#include "rpc/policy_pb.h"
#include "openshell.pb-c.h"

#define CV_GW_FOLDER_FILES_MAX  1000
#define CV_GW_FOLDER_POLICY_KEY "policy-file"  /* in a revision's provenance */
#define CV_GW_PROFILE_FILE_KEY  "profile-file" /* in the annotations of a stored profile */

/* What a sandbox of the workspace starts with that has no policy of its own: canonical, borrowed until
 * the next turn.  ret_file: for its provenance.  NULL: there is none. */
const cv_policy_pb *cv_gw_folder_policy(
	const struct cv_gateway *g, struct cv_str workspace, struct cv_str *ret_file);

/* A file of a directory.  unread: why it can't be read, and text is none then; else NULL. */
struct cv_gw_folder_file {
	struct cv_str name, text;
	const struct cv_err *unread;
};

/* Calls one for each file of the directory whose name ends in .yaml, .yml or .json, in the order of
 * their names.  CV_SYSTEM: it can't be read. */
typedef void cv_gw_folder_fn(
	struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg);
CV_MUST cv_code cv_gw_folder_walk(struct cv_gateway *g, struct cv_str dir, cv_gw_folder_fn *one,
	void *arg, struct cv_err *err);

/* What a file says, judged: a policy with its hash, a profile.  For the gateway that runs, and for
 * `config check`.  ret lives in the arena.  What is wrong is in findings, as far as it has a place in
 * the file; err has the first of it in any case: "LINE:COLUMN: what is wrong; what would be right". */
struct cv_findings;
CV_MUST cv_code cv_gw_folder_policy_read(const struct cv_gw_folder_file *file,
	struct cv_arena *arena, cv_policy_pb **ret, char ret_hash[CV_POLICY_HASH_BYTES],
	struct cv_findings *findings, struct cv_err *err);
CV_MUST cv_code cv_gw_folder_profile_read(const struct cv_gw_folder_file *file,
	struct cv_arena *arena, Openshell__V1__ProviderProfile **ret, struct cv_findings *findings,
	struct cv_err *err);

void cv_gw_folder_finding(const struct cv_findings *f, struct cv_err *err);

/* Makes the platform's profiles what the directory says. */
void cv_gw_folder_profiles(struct cv_gateway *g, struct cv_str dir);

/* Both directories of a configuration and every file in them (cv_gw_config_check_fn): what is wrong
 * in a file is printed on stderr. */
struct cv_gw_config;
void cv_gw_folder_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err);
