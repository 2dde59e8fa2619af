/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_merge.c - operations on policies: what they do, and what they must not authorize
 */
#include "unit/test.h"

#include "rpc/policy_merge.h"

#include <stdio.h>
#include <stdlib.h>

#define OP(kind, member, ...)                                                              \
	{                                                                                  \
		.operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_##kind, \
		.member = __VA_ARGS__                                                      \
	}

typedef Openshell__V1__PolicyMergeOperation op_t;

#define BASE                                                                    \
	"version: 1\nnetwork_policies:\n"                                       \
	"  gh: {endpoints: [{host: api.github.com, port: 443, protocol: rest, " \
	"access: read-only}, {host: github.com, ports: [80, 443]}], "           \
	"binaries: [{path: /usr/bin/gh}, {path: /usr/bin/git}]}\n"              \
	"  tools: {endpoints: [{host: mcp.test, port: 443, protocol: mcp, "     \
	"rules: [{allow: {method: initialize}}]}], binaries: [{path: /usr/bin/agent}]}\n"

static struct cv_arena arena;

static cv_policy_pb *policy(const char *text)
{
	struct cv_err err = { 0 };
	cv_policy_pb *m;

	if (cv_policy_pb_from_text(CV_STR("t"), cv_str_of(text), &arena, &m, &err) != CV_OK)
		fail_msg("%s", err.msg);
	return m;
}

static Openshell__Sandbox__V1__NetworkPolicyRule *rule(const char *inside)
{
	char text[2048];

	snprintf(text, sizeof(text), "version: 1\nnetwork_policies:\n  r: {%s}\n", inside);
	cv_policy_pb *m = policy(text);
	m->network_policies[0]->value->name = m->network_policies[0]->key;
	return m->network_policies[0]->value;
}

/* What differs afterwards; or the error. */
static const char *merged(op_t *op)
{
	static char said[2048];
	cv_policy_pb *base = policy(BASE), *is;
	struct cv_err err = { 0 };
	struct cv_buf out;
	op_t *ops[] = { op };

	if (cv_policy_merge(base, ops, 1, &arena, &is, &err) != CV_OK) {
		snprintf(said, sizeof(said), "%s", err.msg);
		return said;
	}
	cv_buf_init(&out, 4096);
	cv_policy_diff(base, is, &out);
	snprintf(said, sizeof(said), "%.*s", CV_STR_ARG(cv_buf_str(&out)));
	cv_buf_fini(&out);
	return said;
}

static const char *added(const char *name, const char *inside)
{
	Openshell__V1__AddNetworkRule add;
	op_t op = OP(ADD_RULE, add_rule, &add);

	openshell__v1__add_network_rule__init(&add);
	add.rule_name = (char *)(uintptr_t)name;
	add.rule = rule(inside);
	return merged(&op);
}

#define BIN(path) "binaries: [{path: " path "}]"
#define GIT_BOTH  "binaries: [{path: /usr/bin/gh}, {path: /usr/bin/git}]"

static void rules_are_added(void **state)
{
	(void)state;
	assert_string_equal(
		added("", "endpoints: [{host: a-b.test, port: 443}], " BIN("/usr/bin/curl")),
		"+ rule 'allow_a_b_test_443'\n");
	assert_string_equal(
		added("new", "endpoints: [{host: a.test, port: 443}], " BIN("/usr/bin/curl")),
		"+ rule 'new'\n");
	/* the same again is nothing */
	assert_string_equal(
		added("gh", "endpoints: [{host: GitHub.com, ports: [443]}], " GIT_BOTH), "");
	assert_string_equal(
		added("", "endpoints: [{host: github.com, ports: [443]}], " BIN("/usr/bin/git")),
		"");
	/* an endpoint for every binary of the rule */
	assert_string_equal(added("gh", "endpoints: [{host: x.test, port: 1}], " GIT_BOTH),
		"~ rule 'gh': + x.test:1\n");
	/* a binary for every endpoint of the rule */
	assert_string_equal(
		added("gh",
			"endpoints: [{host: api.github.com, port: 443, protocol: rest, access: "
			"read-only}, {host: github.com, ports: [80, 443]}], " BIN("/usr/bin/curl")),
		"~ rule 'gh': + binary /usr/bin/curl\n");
}

static void folding_authorizes_no_more(void **state)
{
	(void)state;
	/* curl would get api.github.com too */
	assert_string_equal(added("gh", "endpoints: [{host: github.com, ports: [80, 443]}], " BIN(
						"/usr/bin/curl")),
		"+ rule 'gh_2'\n");
	/* not every port is named */
	assert_string_equal(
		added("gh", "endpoints: [{host: api.github.com, port: 443, protocol: rest, access: "
			    "read-only}, {host: github.com, port: 443}], " BIN("/usr/bin/curl")),
		"+ rule 'gh_2'\n");
	/* gh would get x.test too */
	assert_string_equal(
		added("gh", "endpoints: [{host: x.test, port: 1}], " BIN("/usr/bin/git")),
		"+ rule 'gh_2'\n");
	/* another access for the same place: git was not meant to get read-only's */
	assert_string_equal(
		added("gh", "endpoints: [{host: api.github.com, port: 443, protocol: rest, access: "
			    "full}], " GIT_BOTH),
		"+ rule 'gh_2'\n");
	/* no binaries is not the same as these */
	assert_string_equal(added("gh", "endpoints: [{host: x.test, port: 1}]"), "+ rule 'gh_2'\n");
	assert_non_null(
		strstr(added("_provider_x", "endpoints: [{host: x.test, port: 1}]"), "reserved"));
	assert_non_null(strstr(added("x", "endpoints: [{host: mcp.test, port: 443, protocol: rest, "
					  "access: full}], " BIN("/usr/bin/agent")),
		"rule 'tools' reads it as mcp"));
	assert_non_null(strstr(added("x", BIN("/usr/bin/agent")), "at least one endpoint"));
}

static void things_are_removed(void **state)
{
	Openshell__V1__RemoveNetworkEndpoint endpoint;
	Openshell__V1__RemoveNetworkRule whole;
	Openshell__V1__RemoveNetworkBinary binary;
	op_t a = OP(REMOVE_ENDPOINT, remove_endpoint, &endpoint);
	op_t b = OP(REMOVE_RULE, remove_rule, &whole);
	op_t c = OP(REMOVE_BINARY, remove_binary, &binary);

	(void)state;
	openshell__v1__remove_network_endpoint__init(&endpoint);
	openshell__v1__remove_network_rule__init(&whole);
	openshell__v1__remove_network_binary__init(&binary);
	endpoint.host = (char[]){ "GITHUB.com" };
	endpoint.port = 80;
	assert_string_equal(merged(&a), "~ rule 'gh': - github.com:80,443\n"
					"~ rule 'gh': + github.com:443\n");
	endpoint.port = 81;
	assert_non_null(strstr(merged(&a), "no rule has the endpoint GITHUB.com:81"));
	endpoint.host = (char[]){ "mcp.test" };
	endpoint.port = 443;
	assert_string_equal(merged(&a), "- rule 'tools'\n"); /* its last */
	endpoint.rule_name = (char[]){ "gh" };
	assert_non_null(strstr(merged(&a), "no rule 'gh' has the endpoint"));
	whole.rule_name = (char[]){ "gh" };
	assert_string_equal(merged(&b), "- rule 'gh'\n");
	whole.rule_name = (char[]){ "none" };
	assert_string_equal(merged(&b), "merge operation 0: there is no rule 'none'");
	binary.rule_name = (char[]){ "gh" };
	binary.binary_path = (char[]){ "/usr/bin/gh" };
	assert_string_equal(merged(&c), "~ rule 'gh': - binary /usr/bin/gh\n");
	binary.rule_name = (char[]){ "tools" };
	assert_non_null(strstr(merged(&c), "does not name the binary"));
	binary.binary_path = (char[]){ "/usr/bin/agent" };
	assert_string_equal(merged(&c), "- rule 'tools'\n"); /* never a rule for every binary */
}

static void rules_of_an_endpoint(void **state)
{
	Openshell__Sandbox__V1__NetworkPolicyRule *from = rule(
		"endpoints: [{host: x, port: 1, protocol: rest, rules: [{allow: {method: DELETE, path: "
		"/x}}], deny_rules: [{method: '*', path: /y}]}]");
	Openshell__V1__AddDenyRules deny;
	Openshell__V1__AddAllowRules allow;
	op_t a = OP(ADD_DENY_RULES, add_deny_rules, &deny);
	op_t b = OP(ADD_ALLOW_RULES, add_allow_rules, &allow);
	op_t *both[] = { &b, &a };
	struct cv_err err = { 0 };
	cv_policy_pb *is;

	(void)state;
	openshell__v1__add_deny_rules__init(&deny);
	openshell__v1__add_allow_rules__init(&allow);
	deny.deny_rules = from->endpoints[0]->deny_rules;
	deny.n_deny_rules = 1;
	allow.rules = from->endpoints[0]->rules;
	allow.n_rules = 1;
	deny.host = allow.host = (char[]){ "github.com" };
	deny.port = allow.port = 443;
	assert_non_null(strstr(merged(&a), "is not inspected"));
	deny.host = allow.host = (char[]){ "none.test" };
	assert_non_null(strstr(merged(&b), "no rule has the endpoint none.test:443"));
	deny.host = allow.host = (char[]){ "api.github.com" };
	assert_int_equal(cv_policy_merge(policy(BASE), both, 2, &arena, &is, &err), CV_OK);
	const Openshell__Sandbox__V1__NetworkEndpoint *e =
		cv_policy_pb_rule(is, "gh")->endpoints[0];
	assert_string_equal(e->access, ""); /* written out: GET, HEAD, OPTIONS */
	assert_int_equal(e->n_rules, 4);
	assert_string_equal(e->rules[3]->allow->method, "DELETE");
	assert_int_equal(e->n_deny_rules, 1);
}

static void all_or_nothing(void **state)
{
	Openshell__V1__RemoveNetworkRule gh, none;
	op_t a = OP(REMOVE_RULE, remove_rule, &gh), b = OP(REMOVE_RULE, remove_rule, &none);
	op_t unset = { .operation_case =
			       OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION__NOT_SET };
	op_t *ops[] = { &a, &b };
	cv_policy_pb *base = policy(BASE), *is = NULL;
	struct cv_err err = { 0 };

	(void)state;
	openshell__v1__remove_network_rule__init(&gh);
	openshell__v1__remove_network_rule__init(&none);
	gh.rule_name = (char[]){ "gh" };
	assert_int_equal(cv_policy_merge(base, ops, 2, &arena, &is, &err), CV_INVALID);
	assert_string_equal(err.msg, "merge operation 1: there is no rule ''");
	assert_null(is);
	assert_non_null(cv_policy_pb_rule(base, "gh"));
	assert_non_null(strstr(merged(&unset), "says nothing"));
}

static void static_parts_stay(void **state)
{
	static const struct {
		const char *was, *is, *said;
	} rows[] = {
		{ "", "network_policies: {a: {}}", NULL },
		{ "", "landlock: {compatibility: best_effort}", NULL },
		{ "", "landlock: {compatibility: hard_requirement}",
			"landlock policy cannot be changed on a live sandbox (applied at startup)" },
		{ "process: {run_as_user: sandbox}", "", NULL },
		{ "", "process: {run_as_user: sandbox, run_as_group: sandbox}", NULL },
		{ "", "process: {run_as_group: \"1000\"}",
			"process policy cannot be changed on a live sandbox (applied at startup)" },
		{ "process: {run_as_user: \"1001\"}", "",
			"process policy cannot be changed on a live sandbox (applied at startup)" },
		{ "", "filesystem_policy: {read_only: [/usr]}",
			"filesystem include_workdir cannot be changed on a live sandbox (applied at "
			"startup)" },
		{ "filesystem_policy: {read_only: [/a, /b]}",
			"filesystem_policy: {read_only: [/b, /c]}",
			"filesystem read_only path '/a' cannot be removed on a live sandbox (applied at "
			"startup)" },
		{ "filesystem_policy: {read_write: [/a]}", "filesystem_policy: {read_only: [/a]}",
			"filesystem read_write path '/a' cannot be removed on a live sandbox (applied at "
			"startup)" },
		{ "filesystem_policy: {read_write: [/a]}",
			"filesystem_policy: {read_write: [/b, /a]}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_err err = { 0 };
		char was[256], is[256];

		snprintf(was, sizeof(was), "version: 1\n%s\n", rows[i].was);
		snprintf(is, sizeof(is), "version: 1\n%s\n", rows[i].is);
		const cv_code code = cv_policy_static_check(policy(was), policy(is), &err);
		assert_int_equal(code, rows[i].said ? CV_INVALID : CV_OK);
		if (rows[i].said)
			assert_string_equal(err.msg, rows[i].said);
	}
}

static int start(void **state)
{
	(void)state;
	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_added),
		cmocka_unit_test(folding_authorizes_no_more),
		cmocka_unit_test(things_are_removed),
		cmocka_unit_test(rules_of_an_endpoint),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(static_parts_stay),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
