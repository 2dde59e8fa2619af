/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: borrowed bytes are compared, cut and read as numbers exactly, at their edges too.
 * Method: tables of small cases, empty strings and NULs among them.
 */
#include "unit/test.h"

#include "base/str.c"

static void cuts(void **state)
{
	struct cv_str rest = CV_STR("a,,b");

	(void)state;
	assert_str(cv_str_cut(&rest, ','), "a");
	assert_str(cv_str_cut(&rest, ','), "");
	assert_str(cv_str_cut(&rest, ','), "b");
	assert_null(rest.p);
	rest = CV_STR("a,");
	assert_str(cv_str_cut(&rest, ','), "a");
	assert_non_null(rest.p); /* an empty last part is still a part */
	assert_str(cv_str_cut(&rest, ','), "");
	assert_null(rest.p);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, want;
		bool ok;
	} row[] = {
		{ "0", 10, 0, true },
		{ "65535", 65535, 65535, true },
		{ "65536", 65535, 0, false },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, 0, false },
		{ "", 10, 0, false },
		{ "+1", 10, 0, false },
		{ " 1", 10, 0, false },
		{ "1x", 10, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		uint64_t got = 77;

		assert_int_equal(
			cv_str_to_u64(cv_str_of(row[i].text), row[i].max, &got), row[i].ok);
		assert_int_equal(got, row[i].ok ? row[i].want : 77);
	}
}

static void compares(void **state)
{
	(void)state;
	assert_true(cv_str_eq_nocase(CV_STR("HoSt"), CV_STR("hOsT")));
	assert_false(cv_str_eq_nocase(CV_STR("host["), CV_STR("host{"))); /* only letters fold */
	assert_true(cv_str_eq(CV_STR_NONE, CV_STR("")));
	assert_true(cv_str_cmp(CV_STR("a"), CV_STR("ab")) < 0);
	assert_true(cv_str_has_suffix(CV_STR("a.example"), CV_STR(".example")));
	assert_false(cv_str_has_suffix(CV_STR("e"), CV_STR(".example")));
}

static void to_cstr(void **state)
{
	char z[4];

	(void)state;
	assert_true(cv_str_to_cstr(CV_STR("abc"), z, sizeof(z)));
	assert_string_equal(z, "abc");
	assert_false(cv_str_to_cstr(CV_STR("abcd"), z, sizeof(z)));
	assert_string_equal(z, "");
	assert_false(cv_str_to_cstr(CV_STR("a\0b"), z, sizeof(z)));
}

static void copies(void **state)
{
	const char part[3] = { 'a', '\0', 'b' };
	char *z = cv_str_dup((struct cv_str){ part, sizeof(part) });

	(void)state;
	assert_memory_equal(z, "a\0b", 4);
	free(z);
	z = cv_str_dup(CV_STR_NONE);
	assert_string_equal(z, "");
	free(z);
}

static void control_bytes(void **state)
{
	static const char bad[] = { 0, 1, '\t', '\n', '\r', 0x1b, 0x1f, 0x7f };
	char text[] = "a b";

	(void)state;
	assert_false(cv_str_has_control(CV_STR_NONE));
	assert_false(cv_str_has_control(
		CV_STR(" ~\x80\xc3\xa9\xff"))); /* UTF-8 is none of its business */
	for (size_t i = 0; i < sizeof(bad); i++)
		for (size_t at = 0; at < 3; at++) {
			memcpy(text, "a b", 3);
			text[at] = bad[i];
			assert_true(cv_str_has_control((struct cv_str){ text, 3 }));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts),
		cmocka_unit_test(numbers),
		cmocka_unit_test(compares),
		cmocka_unit_test(to_cstr),
		cmocka_unit_test(copies),
		cmocka_unit_test(control_bytes),
	};

	return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
