/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: budgets and routes say one thing, or are refused with a sentence.
 * Method: texts by table.
 */
#include "unit/test.h"

#include "plan/budget.h"
#include "plan/routes.h"

static void budgets(void **state)
{
	static const struct {
		const char *text;
		uint64_t limit;
		enum cv_budget_unit unit;
		const char *scope;
	} good[] = {
		{ "tokens=500k", 500000, CV_BUDGET_TOKENS, "run" },
		{ "tokens=2M", 2000000, CV_BUDGET_TOKENS, "run" },
		{ "requests=0", 0, CV_BUDGET_REQUESTS, "run" },
		{ "bytes=2GiB", 2147483648, CV_BUDGET_BYTES, "run" },
		{ "bytes=10kb", 10000, CV_BUDGET_BYTES, "run" },
		{ "bytes=7b", 7, CV_BUDGET_BYTES, "run" },
		{ "usd=5", 5000000, CV_BUDGET_USD, "run" },
		{ "usd=0.25", 250000, CV_BUDGET_USD, "run" },
		{ "usd=0.000001", 1, CV_BUDGET_USD, "run" },
		{ "host=API.test:requests=10", 10, CV_BUDGET_REQUESTS, "host:api.test" },
		{ "host=[::1]:bytes=1Ki", 1024, CV_BUDGET_BYTES, "host:::1" },
		{ "route=cheap:usd=1.5", 1500000, CV_BUDGET_USD, "route:cheap" },
	};
	static const char *const refused[] = { "", "tokens", "tokens=", "tokens=-1", "tokens=1.5",
		"tokens=1kib", "tokens=k", "tokens=18446744073709551616",
		"tokens=18446744073709552k", "usd=", "usd=.5", "usd=1.", "usd=1.0000001", "usd=1k",
		"usd=-1", "usd=1e3", "euros=1", "Tokens=1", " tokens=1", "tokens=1 ",
		"host=:tokens=1", "host=a b:tokens=1", "host=api.test", "route=:tokens=1",
		"route=x", "host=[::1:bytes=1", "tokens=1,usd=2" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++) {
		struct cv_budget_rule r;
		struct cv_err err = { 0 };
		struct cv_buf b;

		if (cv_budget_parse(cv_str_of(good[i].text), &r, &err) != CV_OK)
			fail_msg("%s: %s", good[i].text, err.msg);
		assert_int_equal(r.unit, good[i].unit);
		assert_int_equal(r.limit, good[i].limit);
		cv_buf_init(&b, 256);
		cv_budget_scope_put(&b, &r);
		assert_str(cv_buf_str(&b), good[i].scope);
		cv_buf_fini(&b);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(refused); i++) {
		struct cv_budget_rule r;
		struct cv_err err = { 0 };

		if (cv_budget_parse(cv_str_of(refused[i]), &r, &err) == CV_OK)
			fail_msg("taken: %s", refused[i]);
		assert_true(err.msg[0] != 0);
	}
}

#define HEAD "version: 1\nroutes:\n"

static void routes(void **state)
{
	static const char text[] = HEAD
		"  - {name: second, type: anthropic, order: 2, credential: claude/ANTHROPIC_API_KEY}\n"
		"  - name: first\n"
		"    type: openai\n"
		"    base_url: http://10.0.0.1:8080/v1/\n"
		"    model: llama\n"
		"    credential: KEY\n"
		"    headers: [OpenAI-Beta]\n"
		"    price: {input: 2.50, output: 10}\n"
		"    weight: 3\n"
		"    timeout: 3600\n";
	struct cv_routes r;
	struct cv_err err = { 0 };

	(void)state;
	cv_routes_init(&r);
	if (cv_routes_load(cv_str_of(text), &r, &err) != CV_OK)
		fail_msg("%s", err.msg);
	assert_int_equal(r.n, 2);
	assert_str(r.v[0].name, "first");
	assert_str(r.v[0].path, "/v1");
	assert_int_equal(r.v[0].port, 8080);
	assert_false(r.v[0].is_https);
	assert_str(cv_host_str(&r.v[0].host), "10.0.0.1");
	assert_int_equal(r.v[0].input_price, 2500000);
	assert_int_equal(r.v[0].output_price, 10000000);
	assert_int_equal(r.v[0].weight, 3);
	assert_int_equal(r.v[0].timeout_s, 3600);
	assert_int_equal(r.v[1].timeout_s, 120);
	assert_str(r.v[0].headers[0], "OpenAI-Beta");
	assert_str(r.v[1].credential, "ANTHROPIC_API_KEY");
	assert_str(cv_host_str(&r.v[1].host), "api.anthropic.com");
	assert_str(r.v[1].path, "/v1");
	assert_int_equal(r.v[1].port, 443);
	assert_true(r.v[1].is_https);
	cv_routes_fini(&r);
}

static void routes_refused(void **state)
{
	static const char *const row[] = { "", "a", "[]", "version: 1\n",
		"version: 2\nroutes: []\n", HEAD "  - {name: a}\n", HEAD "  - {type: openai}\n",
		HEAD "  - {name: a, type: x}\n", HEAD "  - {name: a, type: aws-bedrock}\n",
		HEAD "  - {name: a, type: openai, key: v}\n",
		HEAD "  - {name: a, type: openai, name: b}\n",
		HEAD "  - {name: a b, type: openai}\n",
		HEAD "  - {name: a, type: openai, base_url: ftp://x}\n",
		HEAD "  - {name: a, type: openai, base_url: https://x/?q}\n",
		HEAD "  - {name: a, type: openai, headers: [Authorization]}\n",
		HEAD "  - {name: a, type: openai, headers: [X_Api_Key]}\n",
		HEAD "  - {name: a, type: openai, headers: [\"a b\"]}\n",
		HEAD "  - {name: a, type: openai, price: {input: x}}\n",
		HEAD "  - {name: a, type: openai, price: {inputs: 1}}\n",
		HEAD "  - {name: a, type: openai, price: 1}\n",
		HEAD "  - {name: a, type: openai, weight: 0}\n",
		HEAD "  - {name: a, type: openai, timeout: 0}\n",
		HEAD "  - {name: a, type: openai, timeout: 3601}\n",
		HEAD "  - {name: a, type: openai, timeout: 1.5}\n",
		HEAD "  - {name: a, type: openai, credential: \"a/b c\"}\n",
		HEAD "  - {name: a, type: openai, credential: \"a/\"}\n",
		HEAD "  - {name: a, type: openai, model: {}}\n",
		HEAD "  - {name: a, type: openai}\n  - {name: a, type: nvidia}\n",
		HEAD "  - {name: a, type: openai}\n---\nversion: 1\n", "version: 1\nroutes: {}\n",
		"version: 1\nroute: []\n", HEAD "  - {name: a, type: openai\n", HEAD "  - x\n" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_routes r;
		struct cv_err err = { 0 };

		cv_routes_init(&r);
		if (cv_routes_load(cv_str_of(row[i]), &r, &err) == CV_OK)
			fail_msg("taken: %s", row[i]);
		assert_true(err.msg[0] != 0);
		cv_routes_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budgets),
		cmocka_unit_test(routes),
		cmocka_unit_test(routes_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
