/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_grpc_text.c - grpc-message and grpc-timeout
 */
#include "unit/test.h"

#include "rpc/grpc_text.c"

static void messages(void **state)
{
	static const struct {
		struct cv_str plain;
		const char *coded;
	} rows[] = {
		{ CV_STR(""), "" },
		{ CV_STR("plain words ~"), "plain words ~" },
		{ CV_STR("100 %"), "100 %25" },
		{ CV_STR("a\nb\r\0c\x7f"), "a%0Ab%0D%00c%7F" },
		{ CV_STR("\xc3\xa4"), "%C3%A4" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_buf b;

		cv_buf_init(&b, 256);
		cv_rpc_percent_encode(&b, rows[i].plain);
		assert_true(cv_str_eq(cv_buf_str(&b), cv_str_of(rows[i].coded)));
		cv_buf_fini(&b);
	}
}

static void timeouts(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {
		{ "1H", 3600000 },
		{ "2M", 120000 },
		{ "3S", 3000 },
		{ "100m", 100 },
		{ "1u", 1 },
		{ "1000u", 1 },
		{ "1001u", 2 },
		{ "1n", 1 },
		{ "0n", 0 },
		{ "0S", 0 },
		{ "99999999H", 99999999LL * 3600000 },
		{ "", -1 },
		{ "H", -1 },
		{ "1", -1 },
		{ "123456789m", -1 },
		{ "-1S", -1 },
		{ "+1S", -1 },
		{ "1 S", -1 },
		{ "1x", -1 },
		{ "1s", -1 },
		{ "0x1S", -1 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		int64_t ms = -1;

		assert_int_equal(
			cv_rpc_timeout_parse(cv_str_of(rows[i].text), &ms), rows[i].ms >= 0);
		assert_int_equal(ms, rows[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(timeouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
