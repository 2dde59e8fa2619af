/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what is sent is what was decided: our start line, Host, framing and Connection, end-to-end
 * fields only, nothing that was not checked (T2, T10, T14, T21, C6, C7).
 * Method: heads parsed, edited and written, compared with text; and written heads parsed again,
 * which must give the same meaning.
 */
#include "unit/test.h"

#include "wire/h1_write.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}
#define H "Host: a.test\r\n"

struct fixture {
	struct cv_h1_request req;
	struct cv_h1_response rep;
	struct cv_authority authority;
	struct cv_h1_request_edit edit;
	struct cv_buf out;
};

static struct fixture fx;

static int setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	cv_buf_init(&fx.out, 65536);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_buf_fini(&fx.out);
	return 0;
}

static void parse_request(struct cv_str in)
{
	size_t scanned = 0;

	assert_int_equal(
		cv_h1_request_parse(in, CV_H1_PROXY_HEAD_BYTES_MAX, &scanned, &fx.req), CV_H1_OK);
	fx.edit = (struct cv_h1_request_edit){
		.authority = &fx.req.authority,
		.port_default = 80,
		.path = fx.req.path,
		.query = fx.req.query,
		.is_expect_continue = fx.req.is_expect_continue,
	};
	cv_h1_edit_of_request(&fx.edit.common, &fx.req);
}

static void parse_response(struct cv_str in, enum cv_h1_asked asked)
{
	size_t scanned = 0;

	assert_int_equal(
		cv_h1_response_parse(in, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, asked, &fx.rep),
		CV_H1_OK);
	cv_h1_edit_of_response(&fx.edit.common, &fx.rep);
}

#define assert_request(want)                                                  \
	do {                                                                  \
		cv_buf_reset(&fx.out);                                        \
		assert_true(cv_h1_write_request(&fx.out, &fx.req, &fx.edit)); \
		assert_str(cv_buf_str(&fx.out), want);                        \
	} while (0)
#define assert_response(want)                                                         \
	do {                                                                          \
		cv_buf_reset(&fx.out);                                                \
		assert_true(cv_h1_write_response(&fx.out, &fx.rep, &fx.edit.common)); \
		assert_str(cv_buf_str(&fx.out), want);                                \
	} while (0)
#define assert_refused(call)                              \
	do {                                              \
		assert_false(call);                       \
		assert_int_equal(cv_buf_len(&fx.out), 0); \
	} while (0)

static void t14_only_end_to_end_fields(void **state)
{
	(void)state;
	parse_request(CV_STR("POST http://A.test:80/x?y HTTP/1.1\r\nhOST:   a.TEST\r\n"
			     "Accept:  a\t\r\nX_HTTP_Method_Override: DELETE\r\n"
			     "X-Original-URL: /admin\r\nProxy-Authorization: p\r\n"
			     "Proxy-Thing: p\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
			     "Keep-Alive: 5\r\nTrailer: x\r\nConnection: keep-alive, X-Hop\r\n"
			     "X-Hop: 1\r\nx_hop: 2\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
			     "content-length:  3\r\nCookie: c\r\n\r\n"));
	assert_request("POST /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: a\r\nCookie: c\r\n"
		       "Content-Length: 3\r\n\r\n");
	fx.edit.common.is_keep_alive = false;
	fx.edit.common.via = CV_STR("1.1 cove");
	fx.edit.is_absolute = true;
	assert_request(
		"POST http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\nAccept: a\r\nCookie: c\r\n"
		"Content-Length: 3\r\nVia: 1.1 cove\r\nConnection: close\r\n\r\n");
}

static void t2_host_is_the_decided_one(void **state)
{
	(void)state;
	parse_request(CV_STR("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"));
	assert_int_equal(
		cv_authority_parse(CV_STR("[2001:db8::1]:8443"), &fx.authority), CV_HOST_OK);
	fx.edit.authority = &fx.authority;
	fx.edit.port_default = 443;
	fx.edit.query = CV_STR(""); /* a ? with nothing behind it stays */
	assert_request("GET /? HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n");
}

static void t10_framing_is_ours(void **state)
{
	(void)state;
	parse_request(CV_STR("POST / HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n"
			     "Expect: 100-continue\r\n\r\n"));
	assert_request("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n");
	fx.edit.common.body = CV_H1_BODY_LENGTH; /* the body was read, and changed */
	fx.edit.common.length = 7;
	fx.edit.is_expect_continue = false;
	assert_request("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 7\r\n\r\n");
	fx.edit.common.body = CV_H1_BODY_CLOSE;
	cv_buf_reset(&fx.out);
	assert_refused(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
}

static void c6_only_our_credential_arrives(void **state)
{
	static const struct cv_h1_header set[] = {
		{ .name = S("X-Api-Key"), .value = S("real") },
	};
	static const struct cv_str drop[] = { S("authorization") };

	(void)state;
	parse_request(CV_STR("GET / HTTP/1.1\r\n" H "x-api-key: a\r\nX_API_KEY: b\r\n"
			     "Authorization: c\r\nX-API-KEY: d\r\nX-Api-Keys: e\r\n\r\n"));
	fx.edit.common.set = set;
	fx.edit.common.set_count = 1;
	fx.edit.common.drop = drop;
	fx.edit.common.drop_count = 1;
	assert_request(
		"GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Keys: e\r\nX-Api-Key: real\r\n\r\n");
}

static void c7_nothing_unchecked_is_written(void **state)
{
	static const struct cv_h1_header bad[] = {
		{ .name = S("X"), .value = S("a\r\nHost: b") },
		{ .name = S("X"), .value = S("a\nb") },
		{ .name = S("X"), .value = S("a\0b") },
		{ .name = S("X"), .value = S(" a") },
		{ .name = S("X Y"), .value = S("a") },
		{ .name = S(""), .value = S("a") },
		{ .name = S("Host"), .value = S("b.test") },
		{ .name = S("content_length"), .value = S("5") },
		{ .name = S("Transfer-Encoding"), .value = S("chunked") },
		{ .name = S("Connection"), .value = S("x") },
	};
	static const struct cv_str path[] = { S(""), S("x"), S("/a b"), S("/a\r\n"), S("/a?b"),
		S("/a#b"), S("**") };

	(void)state;
	parse_request(CV_STR("GET / HTTP/1.1\r\n" H "\r\n"));
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		fx.edit.common.set = &bad[i];
		fx.edit.common.set_count = 1;
		assert_refused(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
		assert_refused(cv_h1_write_status(&fx.out, 200, &fx.edit.common));
		assert_refused(cv_h1_write_connect(&fx.out, &fx.req.authority, &fx.edit.common));
	}
	fx.edit.common.set_count = 0;
	for (size_t i = 0; i < CV_ARRAY_LEN(path); i++) {
		fx.edit.path = path[i];
		assert_refused(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
	}
	fx.edit.path = CV_STR("/");
	fx.edit.query = CV_STR("a b");
	assert_refused(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
	fx.edit.query = CV_STR_NONE;
	fx.req.header[0].flags = 0; /* as if another parser had made it */
	fx.req.header[0].value = CV_STR("a\r\nb");
	assert_refused(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
}

static void overflow_appends_nothing(void **state)
{
	struct cv_buf small;

	(void)state;
	parse_request(CV_STR("GET / HTTP/1.1\r\n" H "X: yyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n"));
	cv_buf_init(&small, 60);
	cv_buf_put(&small, CV_STR("before"));
	assert_false(cv_h1_write_request(&small, &fx.req, &fx.edit));
	assert_true(small.is_overflown);
	assert_str(cv_buf_str(&small), "before");
	cv_buf_fini(&small);
}

static void t21_responses(void **state)
{
	(void)state;
	parse_response(CV_STR("HTTP/1.0 200 Fine\r\nAlt-Svc: h3=\":443\"\r\nalt_svc: x\r\n"
			      "Proxy-Authenticate: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
			      "Connection: close, X\r\nX: y\r\nUpgrade: h2\r\n\r\n"),
		CV_H1_ASKED_OTHER);
	assert_response("HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
			"Connection: close\r\n\r\n");
	fx.edit.common.body = CV_H1_BODY_CHUNKED;
	fx.edit.common.is_keep_alive = true;
	assert_response("HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	parse_response(CV_STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), CV_H1_ASKED_HEAD);
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
	parse_response(CV_STR("HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n"), CV_H1_ASKED_OTHER);
	assert_response("HTTP/1.1 204 \r\n\r\n");
	parse_response(CV_STR("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
			      "Sec-WebSocket-Accept: x\r\n\r\n"),
		CV_H1_ASKED_OTHER);
	assert_response("HTTP/1.1 101 Go\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n"
			"Upgrade: websocket\r\n\r\n");
}

static void own_heads(void **state)
{
	static const struct cv_h1_header set[] = {
		{ .name = S("Content-Type"), .value = S("application/json") },
	};
	struct cv_h1_edit e = {
		.set = set, .set_count = 1, .body = CV_H1_BODY_LENGTH, .length = 2
	};

	(void)state;
	assert_true(cv_h1_write_status(&fx.out, 403, &e));
	assert_str(cv_buf_str(&fx.out),
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n"
		"Content-Type: application/json\r\nConnection: close\r\n\r\n");
	cv_buf_reset(&fx.out);
	e = (struct cv_h1_edit){ .body = CV_H1_BODY_NONE };
	assert_true(cv_h1_write_status(&fx.out, 431, &e));
	assert_str(cv_buf_str(&fx.out), "HTTP/1.1 431 Request Header Fields Too Large\r\n"
					"Content-Length: 0\r\nConnection: close\r\n\r\n");
	cv_buf_reset(&fx.out);
	e.is_keep_alive = true;
	assert_true(cv_h1_write_status(&fx.out, 100, &e));
	assert_str(cv_buf_str(&fx.out), "HTTP/1.1 100 Continue\r\n\r\n");
	cv_buf_reset(&fx.out);
	e.body = CV_H1_BODY_CHUNKED;
	assert_refused(cv_h1_write_status(&fx.out, 204, &e));
	e.body = CV_H1_BODY_NONE;
	assert_refused(cv_h1_write_status(&fx.out, 99, &e));
	assert_int_equal(cv_authority_parse(CV_STR("a.test:443"), &fx.authority), CV_HOST_OK);
	assert_true(cv_h1_write_connect(&fx.out, &fx.authority, &e));
	assert_str(cv_buf_str(&fx.out), "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
}

/* What is written, parsed again, means what was written. */
static void parse_of_write(void **state)
{
	static const struct cv_str in[] = {
		S("GET / HTTP/1.1\r\n" H "\r\n"),
		S("PUT /a?b HTTP/1.1\r\n" H "X: 1\r\nx: 2\r\nContent-Length: 12\r\n\r\n"),
		S("PUT http://a.test:81/a HTTP/1.1\r\nHost: a.test:81\r\n"
		  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"),
		S("GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
		S("OPTIONS * HTTP/1.1\r\n" H "\r\n"),
		S("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
	};
	static struct cv_h1_request before;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(in); i++) {
		parse_request(in[i]);
		before = fx.req;
		cv_buf_reset(&fx.out);
		assert_true(cv_h1_write_request(&fx.out, &fx.req, &fx.edit));
		parse_request(cv_buf_str(&fx.out));
		assert_true(cv_str_eq(before.method, fx.req.method));
		assert_true(cv_str_eq(before.path, fx.req.path));
		assert_true(cv_str_eq(before.query, fx.req.query));
		assert_true(cv_str_eq(before.upgrade, fx.req.upgrade));
		assert_true(cv_authority_eq(&before.authority, &fx.req.authority, 80));
		assert_int_equal(before.body, fx.req.body);
		assert_int_equal(before.length, fx.req.length);
		assert_int_equal(before.is_keep_alive, fx.req.is_keep_alive);
		assert_int_equal(before.is_expect_continue, fx.req.is_expect_continue);
		assert_int_equal(before.is_upgrade, fx.req.is_upgrade);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t14_only_end_to_end_fields),
		T(t2_host_is_the_decided_one),
		T(t10_framing_is_ours),
		T(c6_only_our_credential_arrives),
		T(c7_nothing_unchecked_is_written),
		T(overflow_appends_nothing),
		T(t21_responses),
		T(own_heads),
		T(parse_of_write),
	};

	return cmocka_run_group_tests_name("wire/h1_write", tests, NULL, NULL);
}
