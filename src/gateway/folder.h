/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - directories of policies and of provider profiles, followed as they change
 *
 *     policies_dir/WORKSPACE.yaml  the policy of that workspace's sandboxes that came without one
 *     profiles_dir/ANY.yaml        a provider profile of the platform
 *
 * A file that is wrong changes nothing but the log; what was there stays.  A file that is gone holds
 * for nobody who comes later: sandboxes start with no policy then.  Those that have its policy keep
 * it, since none loses its rules by a slip, and follow the file when it is back.  A profile goes with
 * its file, unless somebody uses it.  A directory that can't be read is not one without files.
 *
 *     folder.c           watching; policies         folder_profile.c   profiles
 *     folder_check.c     of `config check`
 */
#pragma once
#include "gateway/gateway.h"
#include "rpc/policy_pb.h"
#include "openshell.pb-c.h"

#define CV_GW_FOLDER_FILES_MAX \
	1000 /* of a directory, the first by name: each look reads all of them */
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

/* The files of a directory whose names end in .yaml, .yml or .json, in the order of their names. */
struct cv_gw_folder_names {
	char *v[CV_GW_FOLDER_FILES_MAX]; /* owned */
	size_t n;
	size_t more;     /* that are beyond it, and are not read */
	char *first_out; /* the first of them by name; owned; NULL: none */
};
/* CV_SYSTEM: the directory can't be read. */
CV_MUST cv_code cv_gw_folder_list(
	struct cv_str dir, struct cv_gw_folder_names *ret, struct cv_err *err);
void cv_gw_folder_names_fini(struct cv_gw_folder_names *names);

/* Calls one for each of these files that is still there. */
typedef void cv_gw_folder_fn(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg);
CV_MUST cv_code cv_gw_folder_read(struct cv_gateway *g, struct cv_str dir,
	const struct cv_gw_folder_names *names, cv_gw_folder_fn *one, void *arg,
	struct cv_err *err);

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

/* Makes the platform's profiles what these files of the directory say. */
void cv_gw_folder_profiles(
	struct cv_gateway *g, struct cv_str dir, const struct cv_gw_folder_names *names);

/* Both directories of a configuration and every file in them (cv_gw_config_check_fn): what is wrong
 * in a file is printed on stderr. */
struct cv_gw_config;
void cv_gw_folder_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err);
