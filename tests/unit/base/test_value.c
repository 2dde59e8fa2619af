/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: values are compared by what they mean, numbers exactly however they are written.  Method:
 * tables of numbers in ascending order, each compared with each; trees built by hand.
 */
#include "unit/test.h"

#include "base/value.c"

/* clang-format off */
#define N(text) { .type = CV_VALUE_NUMBER, .s = { text, sizeof(text) - 1 } }
#define T(text) { .type = CV_VALUE_STRING, .s = { text, sizeof(text) - 1 } }
/* clang-format on */

static struct cv_value number(const char *text)
{
	return (struct cv_value){ .type = CV_VALUE_NUMBER, .s = cv_str_of(text) };
}

static void numbers_in_order(void **state)
{
	/* those of one row are the same number */
	static const char *const row[][6] = {
		{ "-1e100000000000000000000", "-10e99999999999999999999",
			"-0.01e100000000000000000002" },
		{ "-1e99999999999999999999" },
		{ "-1e400", "-10000e396" },
		{ "-10", "-1e1", "-1E+1", "-0.1e2", "-100e-1", "-10.0" },
		{ "-9.99999999999999999999999999999999" },
		{ "-1e-400" },
		{ "0", "-0", "0.000", "0e999999999999999999999", "-0E-5", "0.0e1" },
		{ "1e-100000000000000000000", "0.1e-99999999999999999999" },
		{ "1e-99999999999999999999" },
		{ "1e-400" },
		{ "0.1", "1e-1", "0.10", "0.01e1", "10e-2", "0.0000001e6" },
		{ "0.10000000000000000000000000000001" },
		{ "1", "1.0", "10e-1", "0.1E1", "1e0", "1e-0" },
		{ "9007199254740992", "9007199254740992.0" },
		{ "9007199254740993" },
		{ "18446744073709551615" },
		{ "18446744073709551616" },
		{ "123456789012345678901234567890", "1.2345678901234567890123456789e29",
			"12345678901234567890123456789e1" },
		{ "123456789012345678901234567891" },
		{ "1e400", "1e0000000000000000000000400" },
		{ "1e99999999999999999998" },
		{ "1e99999999999999999999" },
		{ "1e100000000000000000000", "10e99999999999999999999" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		for (size_t j = 0; j < CV_ARRAY_LEN(row); j++)
			for (size_t k = 0; k < 36; k++) {
				const char *x = row[i][k / 6], *y = row[j][k % 6];
				if (!x || !y)
					continue;
				const struct cv_value a = number(x), b = number(y);
				const int got = cv_value_number_cmp(&a, &b);
				const int want = i < j ? -1 : i > j;
				if (got != want)
					fail_msg("%s, %s: got %d, want %d", x, y, got, want);
				assert_int_equal(cv_value_eq(&a, &b), want == 0);
			}
}

static void t16_numbers_in_plain_digits(void **state)
{
	static const struct {
		const char *text, *plain;
	} row[] = {
		{ "0", "0" },
		{ "-0", "0" },
		{ "0.000", "0" },
		{ "0e999999999999999999999", "0" },
		{ "-0E-5", "0" },
		{ "1", "1" },
		{ "1.0", "1" },
		{ "10e-1", "1" },
		{ "0.1E1", "1" },
		{ "-1e2", "-100" },
		{ "100", "100" },
		{ "1.50", "1.5" },
		{ "15e-1", "1.5" },
		{ "0.1", "0.1" },
		{ "1e-3", "0.001" },
		{ "-0.0120e1", "-0.12" },
		{ "12.034", "12.034" },
		{ "9007199254740993.0", "9007199254740993" },
		{ "1e19", "10000000000000000000" },
		{ "1e20", "100000000000000000000" },
		{ "1e30", NULL },
		{ "1e-30", NULL },
		{ "1e999999999999999999999", NULL },
		{ "1e-999999999999999999999", NULL },
		{ "1234567890123456789012345", NULL },
		{ "-100000000000000000000.5", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_value v = number(row[i].text);
		struct cv_buf b;

		cv_buf_init(&b, 22);
		assert_int_equal(cv_value_number_write(&v, &b), row[i].plain != NULL);
		if (row[i].plain)
			assert_true(cv_str_eq(cv_buf_str(&b), cv_str_of(row[i].plain)));
		cv_buf_fini(&b);
	}
}

static void integers(void **state)
{
	static const struct {
		const char *text;
		bool is_integer, fits;
		int64_t want;
	} row[] = {
		{ "0", true, true, 0 },
		{ "-0.0e-7", true, true, 0 },
		{ "1.0", true, true, 1 },
		{ "1e3", true, true, 1000 },
		{ "-12.50e1", true, true, -125 },
		{ "100e-2", true, true, 1 },
		{ "0.001e3", true, true, 1 },
		{ "9223372036854775807", true, true, INT64_MAX },
		{ "-9223372036854775808", true, true, INT64_MIN },
		{ "9223372036854775808", true, false, 0 },
		{ "-9223372036854775809", true, false, 0 },
		{ "1e400", true, false, 0 },
		{ "1e99999999999999999999", true, false, 0 },
		{ "1.5", false, false, 0 },
		{ "1e-1", false, false, 0 },
		{ "1e-99999999999999999999", false, false, 0 },
		{ "9007199254740993.1", false, false, 0 },
	};
	const struct cv_value text = T("1");
	int64_t got;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_value v = number(row[i].text);

		got = 0;
		assert_int_equal(cv_value_is_integer(&v), row[i].is_integer);
		assert_int_equal(cv_value_to_i64(&v, &got), row[i].fits);
		assert_true(got == row[i].want);
	}
	assert_false(cv_value_is_integer(&text));
	assert_false(cv_value_to_i64(&text, &got));
}

static void multiples(void **state)
{
	static const struct {
		const char *v, *divisor;
		bool want;
	} row[] = {
		{ "0", "7", true },
		{ "7", "7", true },
		{ "-14", "7.0", true },
		{ "15", "7", false },
		{ "0.3", "0.1", true },
		{ "0.0075", "0.0001", true },
		{ "0.00751", "0.0001", false },
		{ "4.5", "1.5", true },
		{ "35", "1.5", false },
		{ "50", "50", true },
		{ "500", "50", true },
		{ "5", "50", false },
		{ "12391239123", "1e-8", true },
		{ "1e308", "0.123456789", false },
		{ "1e308", "0.5", true },
		{ "1e99999999999999999999", "1024", true },
		{ "1e99999999999999999999", "3", false },
		{ "1e-99999999999999999999", "3", false },
		{ "3e99999999999999999999", "3", true },
		{ "12345678901234567890123456789012", "4", true },
		{ "12345678901234567890123456789013", "4", false },
		{ "18446744073709551614", "9223372036854775807", true },
	};
	static const char *const no_divisor[] = { "0", "-1", "0.0e5", "12345678901234567891" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_value v = number(row[i].v), d = number(row[i].divisor);

		assert_true(cv_value_is_divisor(&d));
		if (cv_value_is_multiple(&v, &d) != row[i].want)
			fail_msg("%s of %s", row[i].v, row[i].divisor);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(no_divisor); i++) {
		const struct cv_value d = number(no_divisor[i]);

		assert_false(cv_value_is_divisor(&d));
	}
}

/* {"a/b":[1,"x"],"m~n":null,"":true} and the same in another order, 1 written as 10e-1 */
static const struct cv_value list[] = { N("1"), T("x") }, list_b[] = { N("10e-1"), T("x") };
static const struct cv_str key[] = { CV_STR("a/b"), CV_STR("m~n"), CV_STR("") };
static const struct cv_str key_b[] = { CV_STR(""), CV_STR("a/b"), CV_STR("m~n") };
static const struct cv_value member[] = {
	{ .type = CV_VALUE_ARRAY, .n = 2, .v = list },
	{ .type = CV_VALUE_NULL },
	{ .type = CV_VALUE_TRUE },
};
static const struct cv_value member_b[] = {
	{ .type = CV_VALUE_TRUE },
	{ .type = CV_VALUE_ARRAY, .n = 2, .v = list_b },
	{ .type = CV_VALUE_NULL },
};
static const struct cv_value object = { .type = CV_VALUE_OBJECT, .n = 3, .v = member, .key = key };
static const struct cv_value object_b = {
	.type = CV_VALUE_OBJECT, .n = 3, .v = member_b, .key = key_b
};

static void equality(void **state)
{
	const struct cv_value fewer = { .type = CV_VALUE_OBJECT, .n = 2, .v = member, .key = key };
	const struct cv_value other = {
		.type = CV_VALUE_OBJECT, .n = 3, .v = member_b, .key = key
	};
	const struct cv_value turned[] = { T("x"), N("1") };
	const struct cv_value array = { .type = CV_VALUE_ARRAY, .n = 2, .v = turned };
	const struct cv_value no = { .type = CV_VALUE_FALSE }, zero = N("0");

	(void)state;
	assert_true(cv_value_eq(&object, &object_b));
	assert_false(cv_value_eq(&object, &fewer));
	assert_false(cv_value_eq(&object, &other));
	assert_false(cv_value_eq(&member[0], &array));
	assert_false(cv_value_eq(&no, &zero));
	assert_false(cv_value_eq(&no, &member[2]));
	assert_int_equal(cv_value_cmp(&object, &other), -cv_value_cmp(&other, &object));
}

static void pointers(void **state)
{
	(void)state;
	assert_ptr_equal(cv_value_at(&object, CV_STR("")), &object);
	assert_ptr_equal(cv_value_at(&object, CV_STR("/a~1b/1")), &list[1]);
	assert_ptr_equal(cv_value_at(&object, CV_STR("/m~0n")), &member[1]);
	assert_ptr_equal(cv_value_at(&object, CV_STR("/")), &member[2]);
	static const char *const row[] = { "a", "/a", "/a~1b/2", "/a~1b/01", "/a~1b/-", "/a~1b/",
		"/a~1b/0/0", "/a/b", "/m~2n", "/m~", "//", "/a~1b/18446744073709551616" };
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_null(cv_value_at(&object, cv_str_of(row[i])));
}

static void members(void **state)
{
	(void)state;
	assert_ptr_equal(cv_value_get(&object, CV_STR("m~n")), &member[1]);
	assert_null(cv_value_get(&object, CV_STR("m")));
	assert_null(cv_value_get(&member[0], CV_STR("0")));
	assert_null(cv_value_get(NULL, CV_STR("")));
	assert_null(cv_value_get_str(&object, CV_STR("m~n")).p);
	assert_string_equal(cv_value_type_name(CV_VALUE_FALSE), "boolean");
	assert_string_equal(cv_value_type_name(CV_VALUE_OBJECT), "object");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_in_order),
		cmocka_unit_test(t16_numbers_in_plain_digits),
		cmocka_unit_test(integers),
		cmocka_unit_test(multiples),
		cmocka_unit_test(equality),
		cmocka_unit_test(pointers),
		cmocka_unit_test(members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
