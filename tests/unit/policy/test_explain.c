/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the texts of denials are OpenShell's; near misses are in order and say why; the printed
 * forms hold whatever a name holds.
 * Method: one document, golden texts.
 */
#include "unit/test.h"

#include "base/utf8.h"
#include "policy/explain.h"
#include "unit/policy/doc.h"

#include <stdio.h>

#define OUT_BYTES_MAX (1u << 20)

static const struct cv_str parents[] = { { "/bin/bash", 9 }, { "/usr/bin/node", 13 } };

static struct cv_policy *policy_of(enum cv_policy_enforcement enforcement)
{
	struct cv_policy_doc *d = doc_new();
	struct cv_policy *p = NULL;

	doc_entry(d, "github");
	doc_binary(d, "/usr/bin/git");
	doc_rest(d, "api.github.com", CV_ACCESS_NONE)->enforcement = enforcement;
	doc_allow(d, "GET", "/repos/**");
	doc_allow(d, "POST", "/repos/*/issues");
	doc_query(d, "v", "1*");
	doc_deny(d, "*", "/repos/secret/**");
	doc_entry(d, "mirror");
	doc_binary(d, "/usr/bin/python3");
	doc_endpoint(d, "api.github.com", 443);
	doc_entry(d, "other");
	doc_binary(d, "/usr/bin/git");
	doc_endpoint(d, "api.github.com", 22);
	doc_endpoint(d, "x.org", 443);
	assert_int_equal(cv_policy_compile(d, &p, NULL), CV_OK);
	return p;
}

static struct cv_policy *policy_new(void)
{
	return policy_of(CV_ENFORCEMENT_ENFORCE);
}

static struct cv_facts facts_of(const char *exe, const char *method, const char *path)
{
	return (struct cv_facts){ .op = method ? CV_OP_REQUEST : CV_OP_CONNECT,
		.who = { exe != NULL, cv_str_of(exe), parents, 2 },
		.host = CV_STR("api.github.com"),
		.port = 443,
		.method = cv_str_of(method),
		.path = cv_str_of(path) };
}

static void denial_texts(void **state)
{
	static const struct {
		const char *exe, *method, *path, *want;
	} rows[] = {
		{ "/usr/bin/git", "DELETE", "/x", "DELETE /x not permitted by policy" },
		{ "/usr/bin/git", "GET", "/repos/secret/x",
			"GET /repos/secret/x blocked by deny rule" },
		{ "/usr/bin/curl", NULL, NULL,
			"binary '/usr/bin/curl' not allowed in policy 'github' "
			"(ancestors: [/bin/bash -> /usr/bin/node], cmdline: []); "
			"binary '/usr/bin/curl' not allowed in policy 'mirror' "
			"(ancestors: [/bin/bash -> /usr/bin/node], cmdline: [])" },
		{ NULL, NULL, NULL,
			"process identity for api.github.com:443 could not be established" },
	};
	struct cv_policy *p = policy_new();
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, OUT_BYTES_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct cv_facts f = facts_of(rows[i].exe, rows[i].method, rows[i].path);
		const struct cv_verdict v = cv_policy_decide(p, &f);

		assert_int_equal(v.action, CV_ACTION_DENY);
		assert_str(cv_policy_denial_text(p, &f, &v, &a), rows[i].want);
	}
	struct cv_facts f = facts_of("/usr/bin/git", NULL, NULL);
	f.port = 80;
	struct cv_verdict v = cv_policy_decide(p, &f);
	assert_str(cv_policy_denial_text(p, &f, &v, &a),
		"endpoint api.github.com:80 is not allowed by any policy");
	f = facts_of("/usr/bin/python3.11", NULL, NULL);
	v = cv_policy_decide(p, &f);
	assert_non_null(strstr(cv_policy_denial_text(p, &f, &v, &a).p, "SYMLINK HINT: "));
	cv_policy_unref(p);

	assert_int_equal(cv_policy_compile(NULL, &p, NULL), CV_OK);
	v = cv_policy_decide(p, &f);
	assert_str(
		cv_policy_denial_text(p, &f, &v, &a), "network connections not allowed by policy");
	cv_policy_unref(p);
	cv_arena_fini(&a);
}

static void near_misses_nearest_first(void **state)
{
	static const enum cv_miss want[] = { CV_MISS_QUERY, CV_MISS_BINARY, CV_MISS_PORT,
		CV_MISS_HOST };
	struct cv_policy *p = policy_new();
	const struct cv_facts f = facts_of("/usr/bin/git", "POST", "/repos/x/issues");
	struct cv_near_miss rows[8];
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, OUT_BYTES_MAX);
	assert_int_equal(cv_policy_near_misses(p, &f, &a, rows, 8), 4);
	for (size_t i = 0; i < CV_ARRAY_LEN(want); i++)
		assert_int_equal(rows[i].miss, want[i]);
	assert_int_equal(rows[0].rule, 1);
	assert_int_equal(
		rows[0].line, cv_policy_doc(p)->entries[0].endpoints[0].rules.v[1].pos.line);
	assert_str(rows[0].text, "rule POST /repos/*/issues: the query does not match");
	assert_str(rows[1].text, "neither binary '/usr/bin/git' nor an ancestor of it is listed");
	assert_str(rows[2].text, "port 443 is not among 22");
	assert_str(rows[3].text, "host 'x.org' does not match 'api.github.com'");
	assert_int_equal(cv_policy_near_misses(p, &f, &a, rows, 2), 2);
	assert_int_equal(rows[1].miss, CV_MISS_BINARY);
	assert_int_equal(cv_policy_near_misses(p, &f, &a, rows, 0), 0);
	cv_policy_unref(p);
	cv_arena_fini(&a);
}

static void allowed_rows_are_the_callers(void **state)
{
	struct cv_policy *p = policy_new();
	struct cv_facts f = facts_of("/usr/bin/git", "PUT", "/");
	struct cv_allowed_row rows[4];
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, OUT_BYTES_MAX);
	assert_int_equal(cv_policy_allowed(p, &f, &a, rows, 4), 2);
	assert_str(rows[0].method, "GET");
	assert_str(rows[0].path, "/repos/**");
	assert_str(rows[1].path, "/repos/*/issues");
	assert_int_equal(cv_policy_allowed(p, &f, &a, rows, 1), 1);
	f.who.exe = CV_STR("/usr/bin/python3");
	assert_int_equal(cv_policy_allowed(p, &f, &a, rows, 4), 0);
	cv_policy_unref(p);
	cv_arena_fini(&a);
}

static void printed(
	const struct cv_policy *p, const struct cv_facts *f, bool is_json, const char *want)
{
	char copy[8192];
	struct cv_buf out;

	cv_buf_init(&out, OUT_BYTES_MAX);
	(is_json ? cv_policy_explain_json : cv_policy_explain_text)(p, f, &out);
	assert_true(cv_str_to_cstr(cv_buf_str(&out), copy, sizeof(copy)));
	if (!strstr(copy, want))
		fail_msg("want \"%s\" in:\n%s", want, copy);
	for (const char *c = copy; *c; c++)
		assert_true((unsigned char)*c >= ' ' || *c == '\n');
	cv_buf_fini(&out);
}

static void printed_forms(void **state)
{
	struct cv_policy *p = policy_new();
	struct cv_facts f = facts_of("/usr/bin/git", "GET", "/repos/a");
	const struct cv_policy_endpoint *ep = cv_policy_doc(p)->entries[0].endpoints;
	char want[256];

	(void)state;
	snprintf(want, sizeof(want),
		"ALLOW GET api.github.com:443/repos/a\n"
		"  decided at test.yaml:%u  github.endpoints[0].rules[0]\n  with inspect\n",
		ep->rules.v[0].pos.line);
	printed(p, &f, false, want);
	printed(p, &f, true, "{\"action\":\"allow\",\"reason\":\"allowed\",\"policy\":\"github\",");

	f.path = CV_STR("/repos/secret/\x1b[2J\"");
	snprintf(want, sizeof(want),
		"  decided at test.yaml:%u  github.endpoints[0].deny_rules[0]\n",
		ep->deny_rules.v[0].pos.line);
	printed(p, &f, false, want);
	printed(p, &f, false, "blocked_by_deny_rule: GET /repos/secret/\\u001b[2J\\\" blocked");
	printed(p, &f, false, "  allowed here: GET /repos/**\n");
	printed(p, &f, false, "  allowed here: POST /repos/*/issues with query {\"v\":\"1*\"}\n");
	printed(p, &f, true,
		"{\"method\":\"POST\",\"path\":\"/repos/*/issues\",\"query\":{\"v\":\"1*\"}}]");
	printed(p, &f, true, "\"miss\":\"deny_rule\"");
	printed(p, &f, true, "\"allowed\":[{\"method\":\"GET\",\"path\":\"/repos/**\"},");

	cv_policy_unref(p);
	p = policy_of(CV_ENFORCEMENT_APPROVE);
	f = facts_of("/usr/bin/git", "POST", "/repos/a");
	printed(p, &f, false,
		"HOLD POST api.github.com:443/repos/a\n  waits for a person's approval: "
		"request_not_permitted: ");
	printed(p, &f, false, "  with approve\n");
	printed(p, &f, true, "{\"action\":\"allow\",\"reason\":\"request_not_permitted\",");
	printed(p, &f, true, "\"declared_host\",\"approve\"]");

	f.host = CV_STR("nowhere.net");
	printed(p, &f, false, "  nearest: ");
	printed(p, &f, true, "\"miss\":\"host\"");
	cv_policy_unref(p);
}

/* Whatever is printed says the same as the decision. */
static void the_nearest_agrees_with_the_verdict(void **state)
{
	static const char *const exes[] = { "/usr/bin/git", "/usr/bin/python3", "/bin/x", NULL };
	static const char *const methods[] = { NULL, "GET", "POST" };
	static const char *const paths[] = { "/repos/a", "/repos/secret/a", "/x" };
	struct cv_policy *p = policy_new();
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, OUT_BYTES_MAX);
	for (size_t i = 0; i < 4 * 3 * 3; i++) {
		const struct cv_facts f = facts_of(exes[i % 4], methods[i / 4 % 3], paths[i / 12]);
		const struct cv_verdict v = cv_policy_decide(p, &f);
		struct cv_near_miss row;

		assert_int_equal(cv_policy_near_misses(p, &f, &a, &row, 1), 1);
		assert_int_equal(row.miss == CV_MISS_NONE, v.action == CV_ACTION_ALLOW);
		assert_int_equal(row.miss == CV_MISS_DENIED, v.reason == CV_REASON_DENY_RULE);
	}
	cv_policy_unref(p);
	cv_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(denial_texts),
		cmocka_unit_test(near_misses_nearest_first),
		cmocka_unit_test(allowed_rows_are_the_callers),
		cmocka_unit_test(printed_forms),
		cmocka_unit_test(the_nearest_agrees_with_the_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
