/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - see access.h
 *
 * A membership is the object MEMBER of the workspace whose name is the subject.  There are none as
 * long as nobody can be added; so who is no administrator has no workspace yet, and is told what
 * would have to be done.
 */
#include "gateway/access.h"

#include "datamodel.pb-c.h"
#include "openshell.pb-c.h"

#include <stdarg.h>
#include <stdio.h>

struct cv_str cv_gw_workspace_name(struct cv_str requested)
{
	return requested.n ? requested : CV_STR(CV_GW_WORKSPACE_DEFAULT);
}

bool cv_gw_is_own(const struct cv_principal *who, struct cv_str sandbox_id)
{
	return who->kind == CV_PRINCIPAL_SANDBOX && sandbox_id.n &&
	       cv_str_eq(cv_str_of(who->sandbox_id), sandbox_id);
}

static bool has_role(const struct cv_gateway *g, const struct cv_principal *who,
	enum cv_rpc_role role, struct cv_str workspace)
{
	const struct cv_object *o;

	if (who->kind != CV_PRINCIPAL_USER)
		return false;
	if (who->is_admin || role == CV_RPC_ROLE_NONE)
		return true;
	if (role == CV_RPC_ROLE_ADMIN)
		return false;
	o = cv_object_find(g->objects, CV_OBJECT_MEMBER, workspace, cv_str_of(who->subject));
	if (!o)
		return false;

	const Openshell__V1__WorkspaceMember *m = (const void *)o->message;

	return role == CV_RPC_ROLE_MEMBER ||
	       m->role == OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_ADMIN;
}

enum cv_rpc_status cv_gw_workspace_may(const struct cv_gateway *g, const struct cv_principal *who,
	enum cv_rpc_role role, struct cv_str requested, bool is_change, struct cv_object **ret,
	struct cv_err *err)
{
	const struct cv_str name = cv_gw_workspace_name(requested);
	struct cv_object *o;

	if (!has_role(g, who, role, name)) { /* before it is said whether there is one */
		cv_fail(err, CV_DENIED,
			"not a member of workspace '%.*s'; ask for: openshell workspace member add "
			"--workspace %.*s --subject %s --role %s",
			CV_STR_ARG(cv_str_slice(name, 0, 64)),
			CV_STR_ARG(cv_str_slice(name, 0, 64)), who->subject,
			role == CV_RPC_ROLE_MANAGER ? "admin" : "user");
		return CV_RPC_PERMISSION_DENIED;
	}

	const enum cv_rpc_status s =
		cv_object_get(g->objects, CV_OBJECT_WORKSPACE, CV_STR_NONE, name, &o, err);

	if (s != CV_RPC_OK)
		return s;

	const Openshell__Datamodel__V1__Workspace *w = (const void *)o->message;

	if (is_change && w->status &&
		w->status->phase ==
			OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_TERMINATING) {
		cv_fail(err, CV_DENIED, "workspace '%.*s' is being deleted", CV_STR_ARG(name));
		return CV_RPC_FAILED_PRECONDITION;
	}
	*ret = o;
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_workspace_open(const struct cv_rpc_call *c, struct cv_str requested,
	bool is_change, struct cv_object **ret, struct cv_err *err)
{
	return cv_gw_workspace_may(cv_gw_of(c), cv_rpc_call_principal(c),
		cv_rpc_call_method(c)->rule.role, requested, is_change, ret, err);
}

enum cv_rpc_status cv_gw_object_open_id(const struct cv_rpc_call *c, enum cv_object_kind kind,
	struct cv_str id, struct cv_object **ret, struct cv_err *err)
{
	const struct cv_gateway *g = cv_gw_of(c);
	const struct cv_principal *who = cv_rpc_call_principal(c);
	struct cv_object *o = cv_object_find_id(g->objects, kind, id);

	if (o && !(kind == CV_OBJECT_SANDBOX && cv_gw_is_own(who, id)) &&
		!has_role(g, who, cv_rpc_call_method(c)->rule.role, o->scope))
		o = NULL;
	if (!o) {
		cv_fail(err, CV_NOT_FOUND, "%s not found", cv_object_noun(kind));
		return CV_RPC_NOT_FOUND;
	}
	*ret = o;
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_invalid(struct cv_err *err, const char *fmt, ...)
{
	va_list ap;

	err->code = CV_INVALID;
	err->sys = 0;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return CV_RPC_INVALID_ARGUMENT;
}
