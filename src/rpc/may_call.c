/* SPDX-License-Identifier: Apache-2.0 */
/*
 * may_call.c - what a method asks of who calls, as far as no workspace must be known (pure)
 *
 * Membership (MEMBER, MANAGER) is the handler's to judge: only it knows which workspace a request
 * names.  Scopes: "openshell:all" is all of them.
 */
#include "rpc/principal.h"

#include <stdio.h>

#define SCOPE_ALL "openshell:all"

static enum cv_rpc_status deny(struct cv_err *err, const char *why)
{
	cv_fail(err, CV_DENIED, "%s", why);
	return CV_RPC_PERMISSION_DENIED;
}

static bool has_scope(const struct cv_principal *who, const char *scope)
{
	for (size_t i = 0; i < who->scope_count && i < CV_RPC_SCOPES_MAX; i++)
		if (cv_str_eq(cv_str_of(who->scopes[i]), cv_str_of(scope)) ||
			cv_str_eq(cv_str_of(who->scopes[i]), CV_STR(SCOPE_ALL)))
			return true;
	return false;
}

static enum cv_rpc_status user_judge(
	const struct cv_rpc_rule *rule, const struct cv_principal *who, struct cv_err *err)
{
	if (rule->auth == CV_RPC_AUTH_SANDBOX)
		return deny(err, "this method requires a sandbox principal");
	if (!who->is_user && !who->is_admin)
		return deny(err, "the user role is required");
	if (rule->role == CV_RPC_ROLE_ADMIN && !who->is_admin)
		return deny(err, "the platform admin role is required");
	if (who->has_scopes && rule->scope && *rule->scope && !has_scope(who, rule->scope)) {
		cv_fail(err, CV_DENIED, "scope '%s' is required", rule->scope);
		return CV_RPC_PERMISSION_DENIED;
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_rpc_may_call(
	const struct cv_rpc_rule *rule, const struct cv_principal *who, struct cv_err *err)
{
	if (rule->auth == CV_RPC_AUTH_UNAUTHENTICATED)
		return CV_RPC_OK;
	switch (who->kind) {
	case CV_PRINCIPAL_NONE: break;
	case CV_PRINCIPAL_USER: return user_judge(rule, who, err);
	case CV_PRINCIPAL_SANDBOX:
		if (rule->auth == CV_RPC_AUTH_BEARER)
			return deny(err, "sandbox principals may not call this method");
		return CV_RPC_OK;
	}
	cv_fail(err, CV_DENIED, "authentication is required");
	return CV_RPC_UNAUTHENTICATED;
}
