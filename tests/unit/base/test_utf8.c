/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_utf8.c - a text in pieces is valid exactly when the whole is, wherever it was cut
 */
#include "unit/test.h"

#include "base/utf8.c"

static bool in_pieces(struct cv_str s, size_t step)
{
	struct cv_utf8_stream u = { 0 };

	for (size_t at = 0; at < s.n; at += step)
		if (!cv_utf8_stream_put(&u, cv_str_slice(s, at, at + step)))
			return false;
	return cv_utf8_stream_is_whole(&u);
}

static void test_streams(void **state)
{
	static const struct {
		const char *text;
		bool is_valid;
	} rows[] = {
		{ "", true },
		{ "plain", true },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xc3", false },
		{ "a\xe2\x82", false },
		{ "\xf0\x9f\x98", false },
		{ "\xc3(", false },
		{ "\xe2\x82(abc", false },
		{ "\x80", false },
		{ "abc\xff", false },
		{ "\xc0\xaf", false },
		{ "\xed\xa0\x80", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf0\x80\x80\x80", false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct cv_str s = cv_str_of(rows[i].text);

		assert_int_equal(cv_utf8_is_valid(s), rows[i].is_valid);
		for (size_t step = 1; step <= s.n + 1; step++)
			if (in_pieces(s, step) != rows[i].is_valid)
				fail_msg("row %zu, %zu at a time", i, step);
	}
}

/* A text that can't become valid is known within four bytes, not at the end. */
static void test_early(void **state)
{
	struct cv_utf8_stream u = { 0 };

	(void)state;
	assert_true(cv_utf8_stream_put(&u, CV_STR("ab\xe2")));
	assert_false(cv_utf8_stream_put(&u, CV_STR("abc")));
	assert_false(cv_utf8_stream_put(&u, CV_STR("good")));
	assert_false(cv_utf8_stream_is_whole(&u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
