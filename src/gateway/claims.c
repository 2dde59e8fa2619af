/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims.c - see issuer.h: from the claims of a token that was verified to a name and to roles
 *
 * Pure.
 */
#include "gateway/issuer.h"

bool cv_gw_claims_name(const struct cv_jwt *t, struct cv_principal *who)
{
	static const char *const names[] = { "preferred_username", "email", "name" };
	const struct cv_str subject = cv_value_get_str(t->claims, CV_STR("sub"));

	if (!subject.n || !cv_str_to_cstr(subject, who->subject, sizeof(who->subject)))
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++) {
		const struct cv_str v = cv_value_get_str(t->claims, cv_str_of(names[i]));

		if (v.n && cv_str_to_cstr(v, who->display_name, sizeof(who->display_name)))
			return true;
	}
	return cv_str_to_cstr(subject, who->display_name, sizeof(who->display_name));
}

/* Without names for roles there are none to ask for: every user is an administrator. */
enum cv_rpc_status cv_gw_claims_roles(const struct cv_jwt *t, struct cv_str path,
	struct cv_str admin_role, struct cv_str user_role, struct cv_principal *who,
	struct cv_err *err)
{
	const struct cv_value *v = cv_jwt_claim_at(t, path);
	const bool has_list = v && v->type == CV_VALUE_ARRAY;

	if (!admin_role.n && !user_role.n) {
		who->is_admin = who->is_user = true;
		return CV_RPC_OK;
	}
	for (size_t i = 0; has_list && i < v->n; i++) {
		if (v->v[i].type != CV_VALUE_STRING)
			continue;
		who->is_admin |= admin_role.n && cv_str_eq(v->v[i].s, admin_role);
		who->is_user |= user_role.n && cv_str_eq(v->v[i].s, user_role);
	}
	who->is_user |= who->is_admin || !user_role.n;
	if (who->is_user)
		return CV_RPC_OK;
	cv_fail(err, CV_DENIED, "the token has neither the role '%.*s' nor '%.*s'",
		CV_STR_ARG(user_role), CV_STR_ARG(admin_role));
	return CV_RPC_PERMISSION_DENIED;
}
