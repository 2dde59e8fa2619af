/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h - who may do what in a workspace
 *
 * A row of rpc/methods.h says MEMBER or MANAGER; which workspace is meant, only the handler knows.
 * Administrators of the gateway may everything.  Where no roles are configured (mTLS and local
 * users), every user is one.  Sandboxes have no workspace role: what they may see is theirs, and the
 * handler compares ids (cv_gw_is_own()).
 */
#pragma once
#include "gateway/gateway.h"

#define CV_GW_WORKSPACE_DEFAULT "default"

/* The workspace that a request means: empty is "default". */
struct cv_str cv_gw_workspace_name(struct cv_str requested);

/* The workspace, if the caller of c may do there what c's method asks for.
 * NOT_FOUND "workspace not found"; PERMISSION_DENIED with the command that would help;
 * with is_change: FAILED_PRECONDITION "workspace 'w' is being deleted". */
CV_MUST enum cv_rpc_status cv_gw_workspace_open(const struct cv_rpc_call *c,
	struct cv_str requested, bool is_change, struct cv_object **ret, struct cv_err *err);

/* The same without a call (REST pages, streams that check again). */
CV_MUST enum cv_rpc_status cv_gw_workspace_may(const struct cv_gateway *g,
	const struct cv_principal *who, enum cv_rpc_role role, struct cv_str requested,
	bool is_change, struct cv_object **ret, struct cv_err *err);

/* An object by id, for callers that may reach its workspace with the method's role; a sandbox may
 * reach its own sandbox.  Others hear NOT_FOUND, as if there were none. */
CV_MUST enum cv_rpc_status cv_gw_object_open_id(const struct cv_rpc_call *c,
	enum cv_object_kind kind, struct cv_str id, struct cv_object **ret, struct cv_err *err);

/* The caller is the sandbox with this id. */
bool cv_gw_is_own(const struct cv_principal *who, struct cv_str sandbox_id);

/* What a request says can't be: the sentence, which names the field, into err. */
CV_PRINTF(2, 3)
enum cv_rpc_status cv_gw_invalid(struct cv_err *err, const char *fmt, ...);
