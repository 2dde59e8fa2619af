/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each count reaches the budgets of its scope and no other; nothing wraps around.
 * Method: a run's budgets, counts by table.
 */
#include "unit/test.h"

#include "proxy/budget.c"

static void put(struct cv_budgets *b, const char *text)
{
	struct cv_budget_rule rule;

	assert_int_equal(cv_budget_parse(cv_str_of(text), &rule, NULL), CV_OK);
	assert_true(cv_budgets_put(b, &rule));
}

static void scopes(void **state)
{
	static struct cv_budgets b;
	const struct cv_budget_where agent = { .is_run = true, .host = CV_STR("inference.local") };
	const struct cv_budget_where route = { .host = CV_STR("api.test"), .route = CV_STR("r") };

	(void)state;
	put(&b, "requests=2");
	put(&b, "host=api.test:requests=1");
	put(&b, "route=r:tokens=10");
	put(&b, "tokens=100");
	cv_budgets_add(&b, CV_BUDGET_REQUESTS, &agent, 1);
	assert_null(cv_budgets_exceeded(&b, &agent));
	cv_budgets_add(&b, CV_BUDGET_TOKENS, &route, 9);
	assert_null(cv_budgets_exceeded(&b, &route));
	cv_budgets_add(&b, CV_BUDGET_TOKENS, &route, 1);
	assert_ptr_equal(cv_budgets_exceeded(&b, &route), &b.v[2]);
	assert_null(cv_budgets_exceeded(&b, &agent));
	cv_budgets_add(&b, CV_BUDGET_REQUESTS, &route, 1);
	assert_ptr_equal(cv_budgets_exceeded(&b, &route), &b.v[1]);
	cv_budgets_add(&b, CV_BUDGET_REQUESTS, &agent, UINT64_MAX);
	cv_budgets_add(&b, CV_BUDGET_REQUESTS, &agent, 5);
	assert_int_equal(b.v[0].used, UINT64_MAX);
	assert_int_equal(b.v[3].used, 0);
}

static void body(void **state)
{
	static struct cv_budgets b;
	const struct cv_budget_where run = { .is_run = true };
	struct cv_buf out;

	(void)state;
	put(&b, "usd=1.5");
	cv_budgets_add(&b, CV_BUDGET_USD, &run, 1600001);
	cv_buf_init(&out, 1024);
	cv_budget_body_put(&out, cv_budgets_exceeded(&b, &run));
	assert_str(cv_buf_str(&out),
		"{\"error\":\"budget_exceeded\",\"detail\":\"the budget of usd for run is used up: "
		"1.600001 of 1.500000\",\"what\":\"usd\",\"limit\":1.500000,\"used\":1.600001,"
		"\"scope\":\"run\"}");
	cv_buf_fini(&out);
}

static void cost(void **state)
{
	(void)state;
	assert_int_equal(cv_budget_cost(0, 5), 0);
	assert_int_equal(cv_budget_cost(1, 1), 1);
	assert_int_equal(cv_budget_cost(1000000, 2500000), 2500000);
	assert_int_equal(cv_budget_cost(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scopes),
		cmocka_unit_test(body),
		cmocka_unit_test(cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
