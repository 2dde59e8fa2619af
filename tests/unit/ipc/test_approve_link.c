/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_approve_link.c - a question comes out as it went in, and the largest fits a message
 */
#include "unit/test.h"

#include "ipc/approve_link.c"

static void round_trip(void **state)
{
	const struct cv_ask ask = {
		.id = 7,
		.seconds = 300,
		.sandbox = CV_STR("cove-1"),
		.who = CV_STR("/usr/bin/curl"),
		.what = CV_STR("issue_new"),
		.text = CV_STR("{\"a\":1}"),
		.text_bytes = 100,
		.rule = CV_STR("issues"),
		.flags = CV_ASK_EACH | CV_ASK_JSON,
		.pid = 12,
		.ancestors = { CV_STR("/bin/sh"), CV_STR("/usr/bin/claude") },
		.ancestor_count = 2,
		.ancestors_more = 3,
	};
	struct cv_ask got;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	assert_true(cv_ask_put(&b, &ask));
	assert_true(cv_ask_get(cv_buf_str(&b), &got));
	assert_int_equal(got.id, 7);
	assert_int_equal(got.seconds, 300);
	assert_true(cv_str_eq(got.sandbox, ask.sandbox) && cv_str_eq(got.who, ask.who) &&
		    cv_str_eq(got.what, ask.what) && cv_str_eq(got.text, ask.text) &&
		    cv_str_eq(got.rule, ask.rule));
	assert_int_equal(got.text_bytes, 100);
	assert_int_equal(got.flags, ask.flags);
	assert_int_equal(got.pid, 12);
	assert_int_equal(got.ancestor_count, 2);
	assert_true(cv_str_eq(got.ancestors[1], ask.ancestors[1]));
	assert_int_equal(got.ancestors_more, 3);
	for (size_t n = 0; n < cv_buf_len(&b); n++)
		assert_false(cv_ask_get(cv_str_slice(cv_buf_str(&b), 0, n), &got));
	cv_buf_fini(&b);
}

static void b6_the_largest_fits_and_says_what_is_missing(void **state)
{
	static char text[1 << 20];
	const struct cv_str big = { text, sizeof(text) };
	struct cv_ask ask = { .sandbox = big, .who = big, .what = big, .text = big, .rule = big };
	struct cv_ask got;
	struct cv_buf b;

	(void)state;
	ask.ancestor_count = CV_IDENTITY_ANCESTORS_MAX;
	for (size_t i = 0; i < CV_IDENTITY_ANCESTORS_MAX; i++)
		ask.ancestors[i] = big;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	assert_true(cv_ask_put(&b, &ask));
	assert_true(cv_ask_get(cv_buf_str(&b), &got));
	assert_int_equal(got.text.n, CV_ASK_TEXT_BYTES_MAX);
	assert_int_equal(got.text_bytes, sizeof(text));
	assert_int_equal(got.ancestor_count + got.ancestors_more, CV_IDENTITY_ANCESTORS_MAX);
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(b6_the_largest_fits_and_says_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
