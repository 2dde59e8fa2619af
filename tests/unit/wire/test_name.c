/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: one text per host name, and nothing that a resolver could read otherwise (A1, A2, A5).
 * Method: tables of texts at the edges of the grammar.
 */
#include "unit/test.h"

#include "wire/name.c"

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"

static void a2_canonical(void **state)
{
	struct cv_name name;

	(void)state;
	assert_true(cv_name_parse(CV_STR("API.Example.TEST"), &name));
	assert_str(cv_name_str(&name), "api.example.test");
	assert_int_equal(name.text[name.n], 0);
	assert_true(cv_name_parse(CV_STR("_sip._tcp.x-1.xn--bcher-kva"), &name));
	assert_true(cv_name_parse(
		CV_STR(L63 "." L63 "." L63 "."
			   "a234567890123456789012345678901234567890123456789012345678901"),
		&name));
	assert_int_equal(name.n, 253);
	assert_true(cv_name_parse(CV_STR("localhost"), &name));
}

static void a1_a2_refused(void **state)
{
	static const struct cv_str row[] = { CV_STR(""), CV_STR("."), CV_STR("a."), CV_STR(".a"),
		CV_STR("a..b"), CV_STR("-a.b"), CV_STR("a-.b"), CV_STR("a b"), CV_STR("a\0.b"),
		CV_STR("a\n"), CV_STR("a:443"), CV_STR("a@b"), CV_STR("a%00"), CV_STR("a#@b"),
		CV_STR("[::1]"), CV_STR("::1"), CV_STR("*.a"), CV_STR("a/b"), CV_STR("a\\b"),
		CV_STR("b\xc3\xbc.de"),
		CV_STR("a\xe3\x80\x82"
		       "b"),
		CV_STR("a" L63), CV_STR(L63 "." L63 "." L63 "." L63) };
	struct cv_name name;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_name_parse(row[i], &name))
			fail_msg("\"%.*s\" is a name", CV_STR_ARG(row[i]));
}

static void a5_numbers_are_no_names(void **state)
{
	static const char *const numeric[] = { "1", "127.1", "1.2.3.4", "0x7f000001", "0x7f.1",
		"a.b.0X1f", "foo.09", "0x", "example.1" };
	static const char *const named[] = { "1a", "a1", "1.com", "0xg", "4.3.2.1.in-addr.arpa",
		"x0", "0.pool.ntp.org" };
	struct cv_name name;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(numeric); i++) {
		assert_true(cv_name_is_numeric(cv_str_of(numeric[i])));
		assert_false(cv_name_parse(cv_str_of(numeric[i]), &name));
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(named); i++)
		assert_true(cv_name_parse(cv_str_of(named[i]), &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a2_canonical),
		cmocka_unit_test(a1_a2_refused),
		cmocka_unit_test(a5_numbers_are_no_names),
	};

	return cmocka_run_group_tests_name("wire/name", tests, NULL, NULL);
}
