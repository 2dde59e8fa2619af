/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an error reads from the outside in, keeps its code and never overruns its message.
 * Method: wrap short and over-long messages.
 */
#include "unit/test.h"

#include "base/err.c"

static void wraps(void **state)
{
	struct cv_err err;

	(void)state;
	errno = ENOENT;
	assert_int_equal(cv_fail_errno(&err, "open %s", "/x"), CV_SYSTEM);
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(cv_wrap(&err, "load policy"), CV_SYSTEM);
	assert_string_equal(err.msg, "load policy: open /x: No such file or directory");
}

static void cuts_at_the_end(void **state)
{
	struct cv_err err;
	char big[CV_ERR_MSG_BYTES_MAX * 2];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(cv_fail(&err, CV_INVALID, "%s", big), CV_INVALID);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(cv_wrap(&err, "outer"), CV_INVALID);
	assert_memory_equal(err.msg, "outer: xxx", 10);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(cv_wrap(&err, "%s", big), CV_INVALID); /* context alone fills it */
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wraps),
		cmocka_unit_test(cuts_at_the_end),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
