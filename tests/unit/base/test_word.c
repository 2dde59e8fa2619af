/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a slip of the finger finds the word, and what is no slip finds none.  Method: tables.
 */
#include "unit/test.h"

#include "base/word.c"

static void nearest(void **state)
{
	static const char *const word[] = { "policy", "pids", "env", "network_policies" };
	static const struct {
		const char *typed;
		size_t want;
	} row[] = { { "polcy", 0 }, { "POLICY", 0 }, { "pid", 1 }, { "network_polices", 3 },
		{ "x", 4 }, { "quarantine", 4 }, { "", 4 } };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_int_equal(cv_word_nearest(cv_str_of(row[i].typed), word, 4), row[i].want);
}

static void distance(void **state)
{
	char big[CV_WORD_BYTES_MAX + 1];

	(void)state;
	assert_int_equal(cv_word_distance(CV_STR("kitten"), CV_STR("sitting")), 3);
	assert_int_equal(cv_word_distance(CV_STR(""), CV_STR("abc")), 3);
	assert_int_equal(cv_word_distance(CV_STR("abc"), CV_STR("ABC")), 0);
	memset(big, 'a', sizeof(big));
	assert_true(cv_word_distance((struct cv_str){ big, sizeof(big) }, CV_STR("a")) == SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest),
		cmocka_unit_test(distance),
	};

	return cmocka_run_group_tests_name("base/word", tests, NULL, NULL);
}
