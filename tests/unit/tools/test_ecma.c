/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an expression means what ECMA 262 says of it, or is refused.  Method: expressions by table,
 * compiled by PCRE2 and held against texts.
 */
#include "unit/test.h"

#include "policy/regex.h"
#include "tools/ecma.c"

static cv_code compile(const char *text, struct cv_regex **ret, struct cv_err *err)
{
	struct cv_buf out;
	cv_code code;

	cv_buf_init(&out, CV_ECMA_OUT_BYTES_MAX);
	code = cv_ecma_translate(cv_str_of(text), &out, err);
	if (code == CV_OK)
		code = cv_regex_compile_utf8(cv_buf_str(&out), ret, err);
	cv_buf_fini(&out);
	return code;
}

static void means(void **state)
{
	static const struct {
		const char *text, *yes, *no;
	} row[] = {
		{ "^a.c$", "abc", "a\nc" },
		{ "^.$", "\xf0\x9f\x90\xb2", "\xe2\x80\xa8" },
		{ "^abc$", "abc", "abc\n" },
		{ "^\\s$", "\xc2\xa0", "a" },
		{ "^\\s$", "\xef\xbb\xbf", "\xe2\x80\x8b" },
		{ "^\\S$", "\xe2\x80\x8b", "\xe3\x80\x80" },
		{ "^[\\S]$", "a", "\x0b" },
		{ "^[^\\s]+$", "ab", "a b" },
		{ "^[^\\S]+$", " \t", " a" },
		{ "^\\d$", "7", "\xd9\xa3" },
		{ "^\\w$", "_", "\xc3\xa9" },
		{ "^\\W$", "\xc3\xa9", "z" },
		{ "^\\u00e9\\xe9\\u{1F600}$", "\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80", "ee" },
		{ "^\\ud83d\\ude00$", "\xf0\x9f\x98\x80", "?" },
		{ "^\\p{Letter}+$", "\xd0\x96z", "1" },
		{ "^\\P{gc=Decimal_Number}$", "a", "1" },
		{ "^\\p{Script=Greek}$", "\xce\xb1", "a" },
		{ "^[\\p{Lu}-]+$", "A-\xd0\x96", "a" },
		{ "^\\cA$", "\x01", "A" },
		{ "^\\0?$", "", "0" },
		{ "^[[:a]+$", "[:a", "b" },
		{ "^([]|a)$", "a", "]" },
		{ "^[^]$", "\n", "" },
		{ "^a{2}{$", "aa{", "aaa" },
		{ "^{,2}$", "{,2}", "" },
		{ "^(?<n>a)\\k<n>$", "aa", "a" },
		{ "^(?:(a)|b)\\1c$", "bc", "ac" },
		{ "^(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10$", "abcdefghijj", "abcdefghija0" },
		{ "(?<=a)b(?!c)", "ab", "abc" },
		{ "^[\\b]$", "\b", "b" },
		{ "^a+?b*?c??$", "aab", "b" },
		{ "^\\/\\-\\.$", "/-.", "/-a" },
		{ "^\xc3\xa9+$", "\xc3\xa9\xc3\xa9", "\xc3\xa9\xa9" },
		{ "", "anything", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		uint64_t budget = 10000;
		struct cv_regex *r = NULL;
		struct cv_err err;

		if (compile(row[i].text, &r, &err) != CV_OK)
			fail_msg("%s: %s", row[i].text, err.msg);
		if (cv_regex_test(r, cv_str_of(row[i].yes), &budget) != CV_REGEX_HIT)
			fail_msg("%s does not match %s", row[i].text, row[i].yes);
		if (row[i].no && cv_regex_test(r, cv_str_of(row[i].no), &budget) == CV_REGEX_HIT)
			fail_msg("%s matches %s", row[i].text, row[i].no);
		assert_true(budget < 10000);
		cv_regex_free(r);
	}
}

static void refused(void **state)
{
	static const char *const row[] = { "(?i)a", "(?i:a)", "(?>a)", "(?|a)", "(?#a)", "(?P<n>a)",
		"(?R)", "(?1)", "(?C1)a", "(*UTF)a", "(*FAIL)", "a++", "a*+", "a{2}+", "*", "a**",
		"(*)", "|*", "^*", "\\Aa", "a\\Z", "a\\z", "\\Ka", "\\Ga", "\\Qa\\E", "\\X", "\\C",
		"\\R", "\\h", "\\e", "\\a", "\\N", "\\g1", "\\k", "\\k<a", "\\x1", "\\u12",
		"\\u{110000}", "\\u{}", "\\ud800", "\\c1", "\\01", "\\p", "\\p{}", "\\p{L",
		"\\p{^L}", "\\p{a=b}", "[a", "[\\1]", "[\\B]", "(a", "a)", "\\", "[b-a]", "a\xff",
		"\\2(a)" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_regex *r = NULL;
		struct cv_err err = { 0 };

		if (compile(row[i], &r, &err) == CV_OK)
			fail_msg("%s is accepted", row[i]);
		assert_true(err.msg[0]);
	}
}

static void t15_budget(void **state)
{
	const struct cv_str text = CV_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
	struct cv_regex *r = NULL;
	struct cv_err err;
	uint64_t budget = 100000;

	(void)state;
	assert_int_equal(compile("^(a+)+$", &r, &err), CV_OK);
	assert_int_equal(cv_regex_test(r, text, &budget), CV_REGEX_COSTLY);
	assert_int_equal(budget, 0);
	budget = text.n;
	assert_int_equal(cv_regex_test(r, text, &budget), CV_REGEX_COSTLY);
	cv_regex_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(means),
		cmocka_unit_test(refused),
		cmocka_unit_test(t15_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
