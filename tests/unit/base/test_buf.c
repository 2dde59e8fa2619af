/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the invariant of struct cv_buf holds through growth, skipping and overflow, and JSON
 * escaping yields valid one-line JSON for any bytes.  Method: the module included whole, small
 * maxima, and every single byte through the escaper.
 */
#include "unit/test.h"

#include "base/buf.c"

static void grows_and_skips(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1000);
	for (int i = 0; i < 100; i++)
		assert_true(cv_buf_put(&b, CV_STR("0123456789")));
	assert_int_equal(cv_buf_len(&b), 1000);
	cv_buf_skip(&b, 995);
	assert_str(cv_buf_str(&b), "56789");
	assert_true(cv_buf_put(&b, CV_STR("abc"))); /* room is made by sliding, not by growing */
	assert_str(cv_buf_str(&b), "56789abc");
	assert_true(b.cap <= 1000);
	cv_buf_fini(&b);
}

static void overflow_is_sticky(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4);
	assert_true(cv_buf_put(&b, CV_STR("abc")));
	assert_false(cv_buf_put(&b, CV_STR("de")));
	assert_false(cv_buf_put(&b, CV_STR("d"))); /* would fit, but something was lost before */
	assert_true(b.is_overflown);
	assert_str(cv_buf_str(&b), "abc");
	cv_buf_reset(&b);
	assert_true(cv_buf_put(&b, CV_STR("defg")));
	cv_buf_fini(&b);
}

static void json_escapes_every_byte(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	for (int c = 0; c < 256; c++) {
		const char byte = (char)c;

		cv_buf_reset(&b);
		assert_true(cv_buf_put_json(&b, (struct cv_str){ &byte, 1 }));
		for (size_t i = 0; i < cv_buf_len(&b); i++) {
			const unsigned char out = (unsigned char)cv_buf_str(&b).p[i];

			assert_true(out >= 0x20 && out < 0x7f);
		}
	}
	cv_buf_reset(&b);
	assert_true(cv_buf_put_json(&b, CV_STR("a\"\n\xc3\xa9\xc3\x1b")));
	assert_str(cv_buf_str(&b), "a\\\"\\n\xc3\xa9\\u00c3\\u001b");
	cv_buf_reset(&b); /* U+0085, U+2028, U+202E, a tag; an emoji stays */
	assert_true(cv_buf_put_json(
		&b, CV_STR("\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xf3\xa0\x81\x81\xf0\x9f\x98\x80")));
	assert_str(cv_buf_str(&b), "\\u0085\\u2028\\u202e\\udb40\\udc41\xf0\x9f\x98\x80");
	cv_buf_fini(&b);
}

static void json_strings_and_members_are_quoted(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 64);
	assert_true(cv_buf_put_json_str(&b, CV_STR_NONE));
	assert_true(cv_buf_put_json_str(&b, CV_STR("a\"b")));
	assert_true(cv_buf_put_json_member(&b, "name", CV_STR("x\n")));
	assert_str(cv_buf_str(&b), "\"\"\"a\\\"b\"\"name\":\"x\\n\"");
	cv_buf_fini(&b);
}

static void printf_appends(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 64);
	assert_true(cv_buf_printf(&b, "%s:%d", "host", 443));
	assert_true(cv_buf_put_u16be(&b, 0x4142));
	assert_str(cv_buf_str(&b), "host:443AB");
	cv_buf_fini(&b);
}

static void percent_leaves_what_a_query_may_have(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 32);
	assert_true(cv_buf_put_percent(&b, CV_STR("aZ09-._~ &=+/\xc3\xa4")));
	assert_str(cv_buf_str(&b), "aZ09-._~%20%26%3D%2B%2F%C3%A4");
	assert_false(cv_buf_put_percent(&b, CV_STR("&&&")));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_skips),
		cmocka_unit_test(overflow_is_sticky),
		cmocka_unit_test(json_escapes_every_byte),
		cmocka_unit_test(json_strings_and_members_are_quoted),
		cmocka_unit_test(printf_appends),
		cmocka_unit_test(percent_leaves_what_a_query_may_have),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
