/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: from YAML to a verdict: what the reader writes into the document is what compiling reads.
 * Method: one text, opened; verdicts and the lines they name.
 */
#include "unit/test.h"

#include "policy/policy.h"

static const char text[] = "version: 1\n"
			   "network_policies:\n"
			   "  api:\n"
			   "    endpoints:\n"
			   "      - host: API.example.com\n" /* line 5 */
			   "        port: 443\n"
			   "        protocol: rest\n"
			   "        enforcement: enforce\n"
			   "        rules:\n"
			   "          - allow:\n"
			   "              method: GET\n"
			   "              path: /v1/*/items\n"
			   "              query: {page: '1*'}\n"
			   "        deny_rules:\n"
			   "          - method: GET\n" /* line 15 */
			   "            path: /v1/secret/**\n"
			   "      - host: '*.cdn.example.com'\n"
			   "        ports: [443, 8443]\n"
			   "        tls: skip\n"
			   "      - allowed_ips: [10.0.0.0/8]\n"
			   "        port: 5432\n"
			   "    binaries:\n"
			   "      - path: /usr/bin/curl\n";

static struct cv_policy *opened(void)
{
	struct cv_policy *p = NULL;
	struct cv_findings findings;

	cv_findings_init(&findings);
	if (cv_policy_open(CV_STR("p.yaml"), cv_str_of(text), &p, &findings) != CV_OK)
		fail_msg(
			"line %u: %.*s", findings.v[0].pos.line, CV_STR_ARG(findings.v[0].message));
	cv_findings_fini(&findings);
	return p;
}

static struct cv_verdict ask(const struct cv_policy *p, const char *host, uint16_t port,
	const char *path, const char *query)
{
	const struct cv_facts f = { .op = path ? CV_OP_REQUEST : CV_OP_CONNECT,
		.who = { .is_known = true, .exe = CV_STR("/usr/bin/curl") },
		.host = cv_str_of(host),
		.port = port,
		.method = CV_STR("GET"),
		.path = cv_str_of(path),
		.query = cv_str_of(query) };

	return cv_policy_decide(p, &f);
}

static void text_becomes_verdicts(void **state)
{
	struct cv_policy *p = opened();
	struct cv_verdict v;

	(void)state;
	v = ask(p, "api.example.com", 443, NULL, NULL);
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_int_equal(v.obligations, CV_OBLIGE_INSPECT | CV_OBLIGE_DECLARED_HOST);
	assert_int_equal(v.line, 5);
	v = ask(p, "api.example.com", 443, "/v1/a/items", "page=12");
	assert_int_equal(v.reason, CV_REASON_NONE);
	assert_int_equal(v.rule, 0);
	assert_in_range(v.line, 10, 11);
	assert_int_equal(
		ask(p, "api.example.com", 443, "/v1/a/items", NULL).reason, CV_REASON_NO_RULE);
	v = ask(p, "api.example.com", 443, "/v1/secret/items", "page=1");
	assert_int_equal(v.reason, CV_REASON_DENY_RULE);
	assert_int_equal(v.line, 15);
	v = ask(p, "x.cdn.example.com", 8443, NULL, NULL);
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_int_equal(v.obligations, CV_OBLIGE_TLS_SKIP);
	v = ask(p, "db.internal", 5432, NULL, NULL);
	assert_int_equal(v.obligations, CV_OBLIGE_ALLOWED_IPS);
	cv_policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(text_becomes_verdicts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
