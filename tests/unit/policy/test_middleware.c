/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: network_middlewares say what they mean: patterns select the hosts that they should, in the
 * middlewares' order, and a config that is wrong is said to be, with its place.
 * Method: tables of pattern and host, and of policies and what validation says; an order of three.
 */
#include "unit/test.h"

#include "policy/middleware.c"

#include <stdio.h>

static struct cv_policy *must_open(const char *yaml)
{
	struct cv_policy *policy = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	if (cv_policy_open(CV_STR("p"), cv_str_of(yaml), &policy, &f) != CV_OK)
		fail_msg("%s: %.*s", yaml, CV_STR_ARG(f.v[0].message));
	cv_findings_fini(&f);
	return policy;
}

/* clang-format off */
static const struct {
	const char *include, *exclude, *host;
	bool is_ip, want;
} hosts[] = {
	{ "api.example.com", "",                   "api.example.com",   false, true },
	{ "API.Example.com", "",                   "api.example.com",   false, true },
	{ "api.example.com", "",                   "xapi.example.com",  false, false },
	{ "api.example.com", "",                   "api.example.com.a", false, false },
	{ "*.example.com",   "",                   "a.example.com",     false, true },
	{ "*.example.com",   "",                   "a.b.example.com",   false, false },
	{ "*.example.com",   "",                   "example.com",       false, false },
	{ "**.example.com",  "",                   "a.b.example.com",   false, true },
	{ "**.example.com",  "",                   "example.com",       false, false },
	{ "a.**.com",        "",                   "a.b.com",           false, true },
	{ "a.**.com",        "",                   "a.b.c.com",         false, true },
	{ "a.**.com",        "",                   "a.com",             false, false },
	{ "a.**",            "",                   "a.b.c",             false, true },
	{ "a.**",            "",                   "a",                 false, false },
	{ "api-*.test",      "",                   "api-7.test",        false, true },
	{ "**",              "",                   "a",                 false, true },
	{ "**",              "",                   "a.b.c",             false, true },
	{ "*",               "",                   "a",                 false, true },
	{ "*",               "",                   "a.b",               false, false },
	{ "**",              "a.b.c",              "a.b.c",             false, false },
	{ "**",              "*.b.c",              "a.b.c",             false, false },
	{ "**",              "**.c",               "a.b.d",             false, true },
	{ "a.b.c",           "**",                 "a.b.c",             false, false },
	{ "**",              "",                   "10.0.0.1",          true,  true },
	{ "**",              "",                   "2001:db8::1",       true,  true },
	{ "**",              "*.0.0.1",            "10.0.0.1",          true,  true },
	{ "**",              "10.0.0.1",           "10.0.0.1",          true,  false },
};
/* clang-format on */

static void test_hosts(void **state)
{
	char yaml[512];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(hosts); i++) {
		snprintf(yaml, sizeof(yaml),
			"version: 1\nnetwork_middlewares: {m: {middleware: openshell/regex, "
			"endpoints: {include: [\"%s\"], exclude: [%s%s%s]}}}\n",
			hosts[i].include, hosts[i].exclude[0] ? "\"" : "", hosts[i].exclude,
			hosts[i].exclude[0] ? "\"" : "");
		struct cv_policy *p = must_open(yaml);
		const uint32_t bits =
			cv_policy_middlewares(p, cv_str_of(hosts[i].host), hosts[i].is_ip);
		if (bits != hosts[i].want)
			fail_msg("include %s exclude %s: %s gave %u", hosts[i].include,
				hosts[i].exclude, hosts[i].host, bits);
		cv_policy_unref(p);
	}
	assert_int_equal(cv_policy_middlewares(NULL, CV_STR("a"), false), 0);
}

static void test_order_and_config(void **state)
{
	struct cv_policy *p = must_open(
		"version: 1\n"
		"network_middlewares:\n"
		"  last: {order: 9, middleware: openshell/regex, endpoints: {include: [a.b]}}\n"
		"  first: {order: -1, middleware: cove/dlp, on_error: fail_open, config: {detectors: "
		"[jwt, email], action: deny, direction: both, patterns: [{name: x1, regex: 'a+'}]}, "
		"endpoints: {include: [a.b]}}\n"
		"  other: {order: 3, name: shown, middleware: mine, config: {any: [1, {b: c}]}, "
		"endpoints: {include: [c.d]}}\n");
	size_t n;
	const struct cv_middleware *v = cv_policy_middleware_list(p, &n);

	(void)state;
	assert_int_equal(n, 3);
	assert_int_equal(cv_policy_middlewares(p, CV_STR("a.b"), false), 1 | 4);
	assert_int_equal(cv_policy_middlewares(p, CV_STR("c.d"), false), 2);
	assert_str(v[0].name, "first");
	assert_int_equal(v[0].kind, CV_MIDDLEWARE_DLP);
	assert_int_equal(v[0].action, CV_MIDDLEWARE_DENY);
	assert_int_equal(v[0].directions, CV_MIDDLEWARE_BOTH);
	assert_true(v[0].is_fail_open);
	assert_int_equal(v[0].detectors, 1u << CV_DETECTOR_JWT | 1u << CV_DETECTOR_EMAIL);
	assert_int_equal(v[0].pattern_count, 1);
	assert_str(v[0].pattern[0].regex, "a+");
	assert_str(v[1].name, "shown");
	assert_int_equal(v[1].kind, CV_MIDDLEWARE_OTHER);
	assert_int_equal(v[2].kind, CV_MIDDLEWARE_REGEX);
	assert_int_equal(v[2].detectors, 1u << CV_DETECTOR_SK_TOKEN);
	assert_false(v[2].is_fail_open);
	cv_policy_unref(p);
}

/* clang-format off */
static const struct {
	const char *config, *said; /* the first finding; NULL: none */
} configs[] = {
	{ "middleware: openshell/regex, config: {mode: redact}", NULL },
	{ "middleware: openshell/regex", NULL },
	{ "middleware: openshell/regex, config: {mode: deny}", "config.mode: unknown value" },
	{ "middleware: openshell/regex, config: {detectors: [jwt]}", "unknown key 'detectors' in config" },
	{ "middleware: openshell/regex, config: [x]", "config: expected a mapping" },
	{ "middleware: cove/dlp, config: {detectors: [jwt]}", NULL },
	{ "config: {detectors: [jwt]}, middleware: cove/dlp", NULL },
	{ "middleware: cove/dlp", "it has nothing to look for" },
	{ "middleware: cove/dlp, config: {detectors: []}", "it has nothing to look for" },
	{ "middleware: cove/dlp, config: {detectors: [jtw]}", "unknown detector 'jtw'" },
	{ "middleware: cove/dlp, config: {detectors: [jwt], mode: redact}", "unknown key 'mode' in config" },
	{ "middleware: cove/dlp, config: {detectors: [jwt], action: allow}", "config.action: unknown value" },
	{ "middleware: cove/dlp, config: {detectors: [jwt], direction: in}", "config.direction: unknown value" },
	{ "middleware: cove/dlp, config: {patterns: [{name: a, regex: 'a('}]}", "pattern a: missing closing parenthesis at character 3" },
	{ "middleware: cove/dlp, config: {patterns: [{name: a, regex: 'a*'}]}", "pattern a: matches the empty text" },
	{ "middleware: cove/dlp, config: {patterns: [{name: A-b, regex: a}]}", "pattern name 'A-b' is not accepted" },
	{ "middleware: cove/dlp, config: {patterns: [{name: jwt, regex: a}]}", "pattern name 'jwt' is not accepted" },
	{ "middleware: cove/dlp, config: {patterns: [{name: a}]}", "a pattern needs a name and a regex" },
	{ "middleware: cove/dlp, config: {patterns: [{name: a, regex: b, x: c}]}", "'x' is not accepted in a pattern" },
	{ "middleware: cove/dlp, config: {patterns: [a]}", "config.patterns: expected {name: ..., regex: ...}" },
};
/* clang-format on */

static void test_configs(void **state)
{
	char yaml[512], want[256];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(configs); i++) {
		struct cv_policy_doc *doc = NULL;
		struct cv_findings f;

		cv_findings_init(&f);
		snprintf(yaml, sizeof(yaml),
			"version: 1\nnetwork_middlewares:\n  m: {%s, endpoints: {include: [a.b]}}\n",
			configs[i].config);
		assert_int_equal(cv_policy_load(CV_STR("p"), cv_str_of(yaml), &doc, &f), CV_OK);
		const cv_code code = cv_policy_validate(doc, &f);
		snprintf(want, sizeof(want), "middleware m: %s",
			configs[i].said ? configs[i].said : "");
		if ((code == CV_OK) != !configs[i].said ||
			(configs[i].said && !cv_str_eq(f.v[0].message, cv_str_of(want))))
			fail_msg("%s: said %.*s", configs[i].config,
				CV_STR_ARG(f.n ? f.v[0].message : CV_STR_NONE));
		if (configs[i].said)
			assert_int_equal(f.v[0].pos.line, 3);
		cv_policy_doc_free(doc);
		cv_findings_fini(&f);
	}
}

static void test_others_are_refused_by_name(void **state)
{
	const char *yaml =
		"version: 1\nnetwork_middlewares:\n"
		"  m: {middleware: mine, order: 1, endpoints: {include: [a.b]}}\n"
		"  n: {middleware: openshell/regex, order: 2, endpoints: {include: [a.b]}}\n";
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	(void)state;
	cv_findings_init(&f);
	assert_int_equal(cv_policy_load(CV_STR("p"), cv_str_of(yaml), &doc, &f), CV_OK);
	assert_int_equal(cv_policy_enforceable(doc, &f), CV_INVALID);
	assert_int_equal(f.n, 1);
	assert_str(f.v[0].message,
		"network_middlewares.m: middleware 'mine' is not enforced by this build");
	cv_policy_doc_free(doc);
	cv_findings_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_order_and_config),
		cmocka_unit_test(test_configs),
		cmocka_unit_test(test_others_are_refused_by_name),
	};

	return cmocka_run_group_tests_name("policy/middleware", tests, NULL, NULL);
}
