/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: packets of PostgreSQL are read as the server reads them, or refused.
 * Method: packets written by our own builders or by hand, cut at every byte, and broken ones.
 */
#include "unit/test.h"

#include "wire/pg.c"

#define S(lit) ((struct cv_str){ lit, sizeof(lit) - 1 })

static void startup_is_read(void **state)
{
	struct cv_pg_startup s;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	cv_pg_startup_begin(&b);
	cv_pg_startup_add(&b, S("user"), S("agent"));
	cv_pg_startup_add(&b, S("database"), S("app"));
	assert_true(cv_pg_startup_end(&b));
	const struct cv_str whole = cv_buf_str(&b);
	for (size_t n = 0; n < whole.n; n++)
		assert_int_equal(cv_pg_startup_parse(cv_str_slice(whole, 0, n), &s), CV_PG_MORE);
	assert_int_equal(cv_pg_startup_parse(whole, &s), CV_PG_OK);
	assert_int_equal(s.kind, CV_PG_STARTUP);
	assert_int_equal(s.bytes, whole.n);
	assert_true(cv_str_eq(s.user, S("agent")));
	assert_true(cv_str_eq(s.database, S("app")));
	cv_buf_fini(&b);
}

static void startup_is_refused(void **state)
{
	static const struct cv_str bad[] = {
		{ "\0\0\0\7....", 8 }, { "GET / HTTP/1.1\r\n", 16 },
		{ "\0\0\0\11\0\3\0\0\0", 9 },                    /* no user */
		{ "\0\0\0\20\0\2\0\0user\0a\0\0", 16 },          /* version 2 */
		{ "\0\0\0\17\0\3\0\0user\0a\0", 15 },            /* no end */
		{ "\0\0\0\21\0\3\0\0user\0a\0\0x", 17 },         /* more behind the end */
		{ "\0\0\0\27\0\3\0\0user\0a\0User\0b\0\0", 23 }, /* twice */
		{ "\0\0\0\11\x04\xd2\x16\x2f.", 9 },             /* SSLRequest too long */
		{ "\0\0\0\14\x04\xd2\x16\x2e\0\0\0\1", 12 },     /* no key */
	};
	struct cv_pg_startup s;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		assert_int_equal(cv_pg_startup_parse(bad[i], &s), CV_PG_ERROR);
		assert_non_null(s.problem);
	}
}

static void requests_before(void **state)
{
	struct cv_pg_startup s;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	cv_pg_put_ssl_request(&b);
	assert_int_equal(cv_pg_startup_parse(cv_buf_str(&b), &s), CV_PG_OK);
	assert_int_equal(s.kind, CV_PG_SSL);
	cv_buf_reset(&b);
	cv_pg_put_cancel(&b, 77, S("\1\2\3\4"));
	assert_int_equal(cv_pg_startup_parse(cv_buf_str(&b), &s), CV_PG_OK);
	assert_int_equal(s.kind, CV_PG_CANCEL);
	assert_int_equal(s.pid, 77);
	assert_true(cv_str_eq(s.key, S("\1\2\3\4")));
	assert_int_equal(cv_pg_startup_parse(S("\0\0\0\10\x04\xd2\x16\x30"), &s), CV_PG_OK);
	assert_int_equal(s.kind, CV_PG_GSS);
	cv_buf_fini(&b);
}

static void heads(void **state)
{
	struct cv_pg_head h;

	(void)state;
	assert_int_equal(cv_pg_head_parse(CV_STR_NONE, false, &h), CV_PG_MORE);
	assert_int_equal(cv_pg_head_parse(S("Q\0\0\0"), false, &h), CV_PG_MORE);
	assert_int_equal(cv_pg_head_parse(S("Q\0\0\0\4"), false, &h), CV_PG_OK);
	assert_int_equal(h.body_bytes, 0);
	assert_int_equal(cv_pg_head_parse(S("Q\0\0\0\3"), false, &h), CV_PG_ERROR);
	assert_int_equal(cv_pg_head_parse(S("Q\xff\xff\xff\xff"), false, &h), CV_PG_ERROR);
	assert_int_equal(cv_pg_head_parse(S("Z"), false, &h), CV_PG_ERROR);
	assert_int_equal(cv_pg_head_parse(S("Q"), true, &h), CV_PG_ERROR);
	assert_int_equal(cv_pg_head_parse(S("\0\0\0\0\0"), true, &h), CV_PG_ERROR);
}

static void bodies(void **state)
{
	struct cv_str a, b;

	(void)state;
	assert_true(cv_pg_query_parse(S("SELECT 1\0"), &a));
	assert_true(cv_str_eq(a, S("SELECT 1")));
	assert_false(cv_pg_query_parse(S("SELECT 1"), &a));
	assert_false(cv_pg_query_parse(S("SELECT 1\0; DROP\0"), &a));
	assert_true(cv_pg_parse_parse(S("n\0SELECT $1\0\0\1\0\0\0\x17"), &a, &b));
	assert_true(cv_str_eq(a, S("n")) && cv_str_eq(b, S("SELECT $1")));
	assert_false(cv_pg_parse_parse(S("n\0SELECT $1\0\0\2\0\0\0\x17"), &a, &b));
	assert_false(cv_pg_parse_parse(S("n\0SELECT $1"), &a, &b));
	assert_true(cv_pg_pair_parse(S("a\0b\0"), &a, &b));
	assert_false(cv_pg_pair_parse(S("a\0b\0c"), &a, &b));
	assert_true(cv_str_eq(cv_pg_error_field(S("SERROR\0C42601\0Mno\0\0"), 'C'), S("42601")));
	assert_int_equal(cv_pg_error_field(S("SERROR\0C42601"), 'C').n, 0);
	assert_int_equal(cv_pg_error_field(S(""), 'M').n, 0);
}

static void what_we_say(void **state)
{
	struct cv_pg_head h;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	cv_pg_put_error(&b, "ERROR", "42501", S("no\0way"), S("ask"));
	const struct cv_str e = cv_buf_str(&b);
	assert_int_equal(cv_pg_head_parse(e, true, &h), CV_PG_OK);
	assert_int_equal(h.body_bytes + CV_PG_HEAD_BYTES, e.n);
	const struct cv_str body = cv_str_slice(e, CV_PG_HEAD_BYTES, e.n);
	assert_true(cv_str_eq(cv_pg_error_field(body, 'M'), S("no")));
	assert_true(cv_str_eq(cv_pg_error_field(body, 'H'), S("ask")));
	cv_buf_reset(&b);
	cv_pg_put_ready(&b, 'T');
	assert_true(cv_str_eq(cv_buf_str(&b), S("Z\0\0\0\5T")));
	cv_buf_reset(&b);
	cv_pg_put_auth(&b, 3, CV_STR_NONE);
	assert_true(cv_str_eq(cv_buf_str(&b), S("R\0\0\0\10\0\0\0\3")));
	cv_buf_reset(&b);
	cv_pg_put_password(&b, S("pw"));
	assert_true(cv_str_eq(cv_buf_str(&b), S("p\0\0\0\7pw\0")));
	cv_buf_reset(&b);
	cv_pg_put_sasl_first(&b, S("M"), S("data"));
	assert_true(cv_str_eq(cv_buf_str(&b), S("p\0\0\0\16M\0\0\0\0\4data")));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(startup_is_read),
		cmocka_unit_test(startup_is_refused),
		cmocka_unit_test(requests_before),
		cmocka_unit_test(heads),
		cmocka_unit_test(bodies),
		cmocka_unit_test(what_we_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
