/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of all that anybody can send to the listener of a log-in, only the gateway's own page brings a
 * token, with the code of this terminal; and the answers are what a browser asks for. */
#include "unit/test.h"

#include "client/oidc_text.c"
#include "client/edge_text.c"

#define ORIGIN "https://gw.example:8443"
#define CODE   "ABC-DEF2"
#define BODY   "{\"token\":\"a.b.c\",\"code\":\"" CODE "\"}"

static struct cv_arena arena;

static enum cl_edge_kind kind_of(const char *head, const char *body, struct cl_edge_call *call)
{
	struct cv_buf b;
	enum cl_edge_kind kind;

	cv_buf_init(&b, CL_EDGE_BYTES_MAX * 2);
	cv_buf_printf(&b, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
	kind = cl_edge_call_read(cv_buf_str(&b), CV_STR(ORIGIN), CV_STR(CODE), &arena, call);
	cv_buf_fini(&b);
	return kind;
}

#define POST(more) "POST /callback HTTP/1.1\r\nHost: 127.0.0.1:1\r\n" more
#define JSON       "Content-Type: application/json\r\n"
#define FROM_PAGE  "Origin: " ORIGIN "\r\n"

static void test_calls(void **state)
{
	static const struct {
		const char *head, *body;
		enum cl_edge_kind kind;
	} rows[] = {
		{ POST(JSON FROM_PAGE), BODY, CL_EDGE_TOKEN },
		{ POST("Content-Type: application/json; charset=utf-8\r\n" FROM_PAGE), BODY,
			CL_EDGE_TOKEN },
		{ POST(JSON), BODY, CL_EDGE_FORBIDDEN },
		{ POST(JSON "Origin: https://gw.example\r\n"), BODY, CL_EDGE_FORBIDDEN },
		{ POST(JSON "Origin: http://gw.example:8443\r\n"), BODY, CL_EDGE_FORBIDDEN },
		{ POST(JSON "Origin: https://gw.example:84433\r\n"), BODY, CL_EDGE_FORBIDDEN },
		{ POST(JSON "Origin: null\r\n"), BODY, CL_EDGE_FORBIDDEN },
		{ POST(JSON FROM_PAGE FROM_PAGE), BODY, CL_EDGE_FORBIDDEN },
		{ POST("Content-Type: text/plain\r\n" FROM_PAGE), BODY, CL_EDGE_BAD },
		{ POST(FROM_PAGE), BODY, CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "{\"token\":\"a.b.c\",\"code\":\"ABC-DEF3\"}",
			CL_EDGE_WRONG },
		{ POST(JSON FROM_PAGE), "{\"token\":\"a.b.c\"}", CL_EDGE_WRONG },
		{ POST(JSON FROM_PAGE), "{\"code\":\"" CODE "\"}", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "{\"token\":\"a b\",\"code\":\"" CODE "\"}", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "{\"token\":\"a\\n\",\"code\":\"" CODE "\"}", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "{\"token\":7,\"code\":\"" CODE "\"}", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "[]", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "", CL_EDGE_BAD },
		{ POST(JSON FROM_PAGE), "{", CL_EDGE_BAD },
		{ "GET /callback HTTP/1.1\r\nHost: h\r\n" FROM_PAGE, "", CL_EDGE_METHOD },
		{ "PUT /callback HTTP/1.1\r\nHost: h\r\n" JSON FROM_PAGE, BODY, CL_EDGE_METHOD },
		{ "OPTIONS /callback HTTP/1.1\r\nHost: h\r\n" FROM_PAGE, "", CL_EDGE_PREFLIGHT },
		{ "OPTIONS /callback HTTP/1.1\r\nHost: h\r\n", "", CL_EDGE_FORBIDDEN },
		{ "POST / HTTP/1.1\r\nHost: h\r\n" JSON FROM_PAGE, BODY, CL_EDGE_OTHER },
		{ "GET /favicon.ico HTTP/1.1\r\nHost: h\r\n", "", CL_EDGE_OTHER },
		{ "nonsense\r\n", "", CL_EDGE_OTHER },
	};
	struct cl_edge_call call;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const enum cl_edge_kind kind = kind_of(rows[i].head, rows[i].body, &call);

		if (kind != rows[i].kind)
			fail_msg("row %zu: %d and not %d", i, (int)kind, (int)rows[i].kind);
		assert_int_equal(call.token.p != NULL, kind == CL_EDGE_TOKEN);
	}
	assert_int_equal(kind_of(POST(JSON FROM_PAGE), BODY, &call), CL_EDGE_TOKEN);
	assert_str(call.token, "a.b.c");
}

static void test_pieces_and_sizes(void **state)
{
	const char all[] = POST(JSON FROM_PAGE) "Content-Length: 35\r\n\r\n" BODY;
	struct cl_edge_call call;

	(void)state;
	assert_int_equal(strlen(BODY), 35);
	for (size_t n = 0; n < sizeof(all) - 1; n++)
		assert_int_equal(cl_edge_call_read((struct cv_str){ all, n }, CV_STR(ORIGIN),
					 CV_STR(CODE), &arena, &call),
			CL_EDGE_PART);
	assert_int_equal(
		cl_edge_call_read(cv_str_of(all), CV_STR(ORIGIN), CV_STR(CODE), &arena, &call),
		CL_EDGE_TOKEN);
	/* what is said to come, and can't all be taken */
	assert_int_equal(
		cl_edge_call_read(CV_STR(POST(JSON FROM_PAGE) "Content-Length: 1000000\r\n\r\n{"),
			CV_STR(ORIGIN), CV_STR(CODE), &arena, &call),
		CL_EDGE_BAD);
	assert_int_equal(
		cl_edge_call_read(
			CV_STR(POST(JSON FROM_PAGE) "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
			CV_STR(ORIGIN), CV_STR(CODE), &arena, &call),
		CL_EDGE_BAD);
}

static void test_answers(void **state)
{
	struct cl_edge_call call = { .asks_private = false };
	struct cv_buf b;

	(void)state;
	assert_int_equal(kind_of("OPTIONS /callback HTTP/1.1\r\nHost: h\r\n" FROM_PAGE
				 "Access-Control-Request-Private-Network: true\r\n",
				 "", &call),
		CL_EDGE_PREFLIGHT);
	assert_true(call.asks_private);
	cv_buf_init(&b, 4096);
	cl_edge_answer_put(&b, CL_EDGE_PREFLIGHT, &call, CV_STR(ORIGIN));
	assert_true(cv_str_has_prefix(cv_buf_str(&b), CV_STR("HTTP/1.1 204 No Content\r\n")));
	cv_buf_put_byte(&b, 0);
	for (size_t i = 0; i < 4; i++) {
		static const char *const want[] = { "Access-Control-Allow-Origin: " ORIGIN "\r\n",
			"Access-Control-Allow-Methods: POST, OPTIONS\r\n",
			"Access-Control-Allow-Headers: Content-Type\r\n",
			"Access-Control-Allow-Private-Network: true\r\n" };

		assert_non_null(strstr(cv_buf_str(&b).p, want[i]));
	}
	assert_null(strstr(cv_buf_str(&b).p, "Content-Length"));
	cv_buf_reset(&b);
	call.asks_private = false;
	cl_edge_answer_put(&b, CL_EDGE_TOKEN, &call, CV_STR(ORIGIN));
	cv_buf_put_byte(&b, 0);
	assert_non_null(strstr(cv_buf_str(&b).p, "\r\nContent-Length: 11\r\n"));
	assert_non_null(strstr(cv_buf_str(&b).p, "\r\n\r\n{\"ok\":true}"));
	assert_null(strstr(cv_buf_str(&b).p, "Private-Network"));
	cv_buf_fini(&b);
}

static void test_codes_and_origins(void **state)
{
	static const struct {
		const char *url, *origin;
	} rows[] = {
		{ "https://gw.example", "https://gw.example" },
		{ "https://gw.example:443", "https://gw.example" },
		{ "https://GW.example:8443/", "https://gw.example:8443" },
		{ "http://127.0.0.1:80", "http://127.0.0.1" },
		{ "https://[2001:db8::1]:9", "https://[2001:db8::1]:9" },
		{ "gw.example", NULL },
	};
	const unsigned char low[CL_EDGE_RANDOM_BYTES] = { 0 };
	const unsigned char high[CL_EDGE_RANDOM_BYTES] = { 255, 254, 63, 32, 31, 24, 1 };
	char code[CL_EDGE_CODE_BYTES + 1], origin[CL_EDGE_ORIGIN_BYTES];

	(void)state;
	cl_edge_code_make(low, code);
	assert_string_equal(code, "AAA-AAAA");
	cl_edge_code_make(high, code);
	assert_string_equal(code, "989-A92B");
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		assert_int_equal(
			cl_edge_origin_of(cv_str_of(rows[i].url), origin), rows[i].origin != NULL);
		if (rows[i].origin)
			assert_string_equal(origin, rows[i].origin);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_pieces_and_sizes),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_codes_and_origins),
	};
	int failed;

	cv_arena_init(&arena, 1 << 20);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	cv_arena_fini(&arena);
	return failed;
}
