/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.h - which profile a provider's type means: the workspace's, the platform's, or a built-in one
 *
 * Profiles of users are stored (CV_OBJECT_PROFILE): those of the platform under the empty scope.
 * Built-in ones are read once.
 */
#pragma once
#include "gateway/gateway.h"
#include "gateway/profile_pb.h"

struct cv_gw_profile {
	const struct cv_profile *profile;
	struct cv_profile *owned; /* one of a user, read for this; NULL */
	struct cv_object *object; /* NULL: built in */
	bool is_of_workspace;
};

/* Looked up in this order.  workspace empty: platform and built-in only; built-in ones have aliases,
 * too.  CV_NOT_FOUND "provider profile 'x' not found"; CV_INVALID: stored, and not readable any
 * more. */
CV_MUST cv_code cv_gw_profile_find(const struct cv_gateway *g, struct cv_str workspace,
	struct cv_str id, struct cv_gw_profile *ret, struct cv_err *err);
void cv_gw_profile_fini(struct cv_gw_profile *p);

/* As clients see it, in the arena. */
CV_MUST cv_code cv_gw_profile_view(const struct cv_gw_profile *p, struct cv_arena *arena,
	Openshell__V1__ProviderProfile **ret, struct cv_err *err);

/* Built-in ones, by number; NULL behind the last. */
const struct cv_profile *cv_gw_profile_builtin(const struct cv_gateway *g, size_t i);

/* A message of its own, to be stored. */
Openshell__V1__StoredProviderProfile *cv_gw_profile_stored_new(
	struct cv_str scope, Openshell__V1__ProviderProfile *p);
/* FAILED_PRECONDITION with who uses it. */
CV_MUST enum cv_rpc_status cv_gw_profile_delete(
	struct cv_gateway *g, struct cv_object *o, struct cv_err *err);
/* The file that a stored one is of (folder.h); empty: a client brought it. */
struct cv_str cv_gw_profile_file(const struct cv_object *o);

cv_code cv_gw_profiles_start(struct cv_gateway *g, struct cv_err *err);
void cv_gw_profiles_stop(struct cv_gateway *g);
