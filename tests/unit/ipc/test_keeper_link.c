/* SPDX-License-Identifier: Apache-2.0 */
/* test_keeper_link.c - bodies of the keeper's messages */
#include "unit/test.h"

#include "ipc/keeper_link.c"

static struct cv_keeper_release ask_make(void)
{
	return (struct cv_keeper_release){
		.tag = 7,
		.host = CV_STR("api.test"),
		.method = CV_STR("GET"),
		.path = CV_STR("/v1/a"),
		.port = 443,
		.creds = { 3, 5 },
		.count = 2,
	};
}

static void what_is_put_is_got(void **state)
{
	const struct cv_keeper_release ask = ask_make();
	struct cv_keeper_release got;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	assert_true(cv_keeper_release_put(&b, &ask));
	assert_true(cv_keeper_release_get(cv_buf_str(&b), &got));
	assert_int_equal(got.tag, 7);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.creds[1], 5);
	assert_true(cv_str_eq(got.path, ask.path));
	cv_buf_fini(&b);
}

static void a_cut_question_is_none(void **state)
{
	const struct cv_keeper_release ask = ask_make();
	struct cv_keeper_release got;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	assert_true(cv_keeper_release_put(&b, &ask));
	for (size_t n = 0; n < cv_buf_len(&b); n++)
		assert_false(cv_keeper_release_get(cv_str_slice(cv_buf_str(&b), 0, n), &got));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_got),
		cmocka_unit_test(a_cut_question_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
