/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_may_call.c - every kind of method by every kind of caller
 */
#include "unit/test.h"

#include "rpc/may_call.c"

static struct cv_principal user = { .kind = CV_PRINCIPAL_USER, .is_user = true };
static struct cv_principal admin = { .kind = CV_PRINCIPAL_USER, .is_admin = true };
static struct cv_principal roleless = { .kind = CV_PRINCIPAL_USER };
static struct cv_principal sandbox = { .kind = CV_PRINCIPAL_SANDBOX };
static struct cv_principal nobody;

static enum cv_rpc_status ask(enum cv_rpc_auth auth, enum cv_rpc_role role, const char *scope,
	const struct cv_principal *who, const char *sentence)
{
	const struct cv_rpc_rule rule = { auth, scope, role };
	struct cv_err err = { 0 };
	const enum cv_rpc_status s = cv_rpc_may_call(&rule, who, &err);

	assert_string_equal(err.msg, sentence);
	return s;
}

#define SANDBOX_ONLY "this method requires a sandbox principal"
#define USER_ONLY    "sandbox principals may not call this method"
#define NOBODY       "authentication is required"

static void who_may(void **state)
{
	(void)state;
	static const struct {
		enum cv_rpc_auth auth;
		const struct cv_principal *who;
		enum cv_rpc_status status;
		const char *sentence;
	} rows[] = {
		{ CV_RPC_AUTH_UNAUTHENTICATED, &nobody, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_UNAUTHENTICATED, &sandbox, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_UNAUTHENTICATED, &roleless, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_BEARER, &nobody, CV_RPC_UNAUTHENTICATED, NOBODY },
		{ CV_RPC_AUTH_BEARER, &user, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_BEARER, &admin, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_BEARER, &sandbox, CV_RPC_PERMISSION_DENIED, USER_ONLY },
		{ CV_RPC_AUTH_SANDBOX, &nobody, CV_RPC_UNAUTHENTICATED, NOBODY },
		{ CV_RPC_AUTH_SANDBOX, &user, CV_RPC_PERMISSION_DENIED, SANDBOX_ONLY },
		{ CV_RPC_AUTH_SANDBOX, &admin, CV_RPC_PERMISSION_DENIED, SANDBOX_ONLY },
		{ CV_RPC_AUTH_SANDBOX, &sandbox, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_DUAL, &nobody, CV_RPC_UNAUTHENTICATED, NOBODY },
		{ CV_RPC_AUTH_DUAL, &user, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_DUAL, &sandbox, CV_RPC_OK, "" },
		{ CV_RPC_AUTH_DUAL, &roleless, CV_RPC_PERMISSION_DENIED,
			"the user role is required" },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		assert_int_equal(
			ask(rows[i].auth, CV_RPC_ROLE_NONE, "", rows[i].who, rows[i].sentence),
			rows[i].status);
}

static void roles(void **state)
{
	(void)state;
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_ADMIN, "", &user,
				 "the platform admin role is required"),
		CV_RPC_PERMISSION_DENIED);
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_ADMIN, "", &admin, ""), CV_RPC_OK);
	/* of a workspace: the handler's to judge */
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_MANAGER, "", &user, ""), CV_RPC_OK);
}

static void scope_add(struct cv_principal *p, const char *scope)
{
	assert_true(cv_str_to_cstr(
		cv_str_of(scope), p->scopes[p->scope_count++], CV_RPC_SCOPE_BYTES_MAX));
}

static void scopes(void **state)
{
	struct cv_principal p = user;

	(void)state;
	assert_int_equal(
		ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:read", &p, ""), CV_RPC_OK);
	p.has_scopes = true;
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:read", &p,
				 "scope 'sandbox:read' is required"),
		CV_RPC_PERMISSION_DENIED);
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "", &p, ""), CV_RPC_OK);
	scope_add(&p, "sandbox:readonly");
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:read", &p,
				 "scope 'sandbox:read' is required"),
		CV_RPC_PERMISSION_DENIED);
	scope_add(&p, "sandbox:read");
	assert_int_equal(
		ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:read", &p, ""), CV_RPC_OK);
	assert_int_equal(ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:write", &p,
				 "scope 'sandbox:write' is required"),
		CV_RPC_PERMISSION_DENIED);
	scope_add(&p, "openshell:all");
	assert_int_equal(
		ask(CV_RPC_AUTH_BEARER, CV_RPC_ROLE_NONE, "sandbox:write", &p, ""), CV_RPC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may),
		cmocka_unit_test(roles),
		cmocka_unit_test(scopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
