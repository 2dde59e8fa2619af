/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: names are read as they are written; what anyip listens on is each port once; a port that
 * nobody listens on is found.
 */
#include "unit/test.h"

#include "plan/interception.c"
#include "plan/limits.h"

static void names(void **state)
{
	uint32_t how = 99;

	(void)state;
	for (uint32_t i = 0; i < CV_INTERCEPTION_COUNT; i++) {
		assert_true(cv_interception_parse(cv_str_of(cv_interception_name(i)), &how));
		assert_int_equal(how, i);
	}
	assert_false(cv_interception_parse(CV_STR(""), &how));
	assert_false(cv_interception_parse(CV_STR("Tproxy"), &how));
	assert_false(cv_interception_parse(CV_STR("tproxy "), &how));
	assert_string_equal(cv_interception_name(CV_INTERCEPTION_COUNT), "?");
	assert_string_equal(cv_interception_lost(CV_INTERCEPTION_COUNT), "");
}

/* Who is told of nothing has lost nothing: only these two may be silent. */
static void p13_each_weaker_one_says_what_it_lacks(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < CV_INTERCEPTION_COUNT; i++)
		assert_int_equal(cv_interception_lost(i)[0] == '\0',
			i == CV_INTERCEPTION_AUTO || i == CV_INTERCEPTION_TPROXY);
}

static void ports(void **state)
{
	static const uint32_t given[] = { 22, 80, 443, 8080 };
	static const uint32_t want[] = { 53, 80, 443, 3128, 22, 8080 };
	uint32_t many[CV_PLAN_PORTS_MAX], got[CV_PLAN_PORTS_MAX + CV_ANYIP_ALWAYS];

	(void)state;
	assert_int_equal(cv_anyip_ports(given, 4, got), 6);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(cv_anyip_ports(NULL, 0, got), CV_ANYIP_ALWAYS);
	for (uint32_t i = 0; i < CV_PLAN_PORTS_MAX; i++)
		many[i] = 2000 + i;
	assert_int_equal(
		cv_anyip_ports(many, CV_PLAN_PORTS_MAX, got), CV_PLAN_PORTS_MAX + CV_ANYIP_ALWAYS);
	assert_int_equal(
		cv_anyip_missing(many, CV_PLAN_PORTS_MAX, got, CV_PLAN_PORTS_MAX + CV_ANYIP_ALWAYS),
		0);
	assert_int_equal(cv_anyip_missing(given, 4, want, 4), 22);
	assert_int_equal(cv_anyip_missing(NULL, 0, want, 0), 0);
	assert_int_equal(cv_anyip_missing(given, 1, NULL, 0), 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(p13_each_weaker_one_says_what_it_lacks),
		cmocka_unit_test(ports),
	};

	return cmocka_run_group_tests_name("plan/interception", tests, NULL, NULL);
}
