/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quantity.c - amounts as Kubernetes writes them
 */
#include "unit/test.h"

#include "driver/quantity.c"

static const struct {
	const char *text;
	uint32_t per_unit;
	uint64_t value;
} good[] = {
	{ "500m", 1000, 500 },
	{ "1", 1000, 1000 },
	{ "1.5", 1000, 1500 },
	{ ".5", 1000, 500 },
	{ "5.", 1000, 5000 },
	{ "0.0001", 1000, 1 }, /* up */
	{ "1u", 1000, 1 },
	{ "100n", 1000, 1 },
	{ "4Gi", 1, 4294967296 },
	{ "1.5Ki", 1, 1536 },
	{ "0.1Ki", 1, 103 },
	{ "128M", 1, 128000000 },
	{ "12e6", 1, 12000000 },
	{ "12E6", 1, 12000000 },
	{ "1E", 1, 1000000000000000000 },
	{ "7Ei", 1, 8070450532247928832 },
	{ "1e-3", 1000, 1 },
	{ "1e+3", 1, 1000 },
	{ "0", 1, 0 },
	{ "0e99", 1, 0 },
	{ "000000000000000000000000000001", 1, 1 },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++) {
		struct cv_err err;
		uint64_t v = 42;

		assert_int_equal(cv_quantity_parse(cv_str_of(good[i].text), good[i].per_unit,
					 UINT64_MAX, &v, &err),
			CV_OK);
		assert_int_equal(v, good[i].value);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = { "", ".", "m", "-1", "+1", "1 Gi", "1gi", "1K", "1Mib",
		"1e", "1e-", "1e1000", "1.2.3", "0x10", "1234567890123456789", "Gi", "1\n" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		struct cv_err err;
		uint64_t v = 42;

		assert_int_equal(
			cv_quantity_parse(cv_str_of(bad[i]), 1, UINT64_MAX, &v, &err), CV_INVALID);
		assert_int_equal(v, 42);
	}
}

static void test_large(void **state)
{
	static const char *const large[] = { "16Ei", "123456789012345678Ei", "1e99", "99E", "101" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(large); i++) {
		struct cv_err err;
		uint64_t v = 42;

		assert_int_equal(cv_quantity_parse(cv_str_of(large[i]), 1,
					 i == CV_ARRAY_LEN(large) - 1 ? 100 : UINT64_MAX, &v, &err),
			CV_LIMIT);
		assert_int_equal(v, 42);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
