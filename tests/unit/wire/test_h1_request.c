/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a request head means one thing or is refused with the right reason (T2, T3, T10, T12, T14,
 * T20).
 * Method: tables of heads with their reason or what was understood; every head is also given in two
 * pieces, cut at every place, and byte by byte, which must not change the answer.
 */
#include "unit/test.h"

#include "wire/h1_fields.c"
#include "wire/h1.c"

#include <stdio.h>
#include <stdlib.h>

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}
#define H    "Host: a.test\r\n"
#define GET  "GET / HTTP/1.1\r\n" H
#define POST "POST / HTTP/1.1\r\n" H

static enum cv_h1_rc parse(struct cv_str s, struct cv_h1_request *r)
{
	size_t scanned = 0;

	return cv_h1_request_parse(s, CV_H1_PROXY_HEAD_BYTES_MAX, &scanned, r);
}

/* The answer when bytes come in steps; the bytes move between calls, as a growing buffer does. */
static enum cv_h1_rc parse_in_steps(struct cv_str s, size_t first, size_t step)
{
	struct cv_h1_request r;
	size_t scanned = 0;

	for (size_t n = first;; n = CV_MIN(n + step, s.n)) {
		char *copy = malloc(n ? n : 1); /* exact, so that ASan sees reads behind it */
		enum cv_h1_rc rc;

		memcpy(copy, s.p, n);
		rc = cv_h1_request_parse(
			(struct cv_str){ copy, n }, CV_H1_PROXY_HEAD_BYTES_MAX, &scanned, &r);
		free(copy);
		if (rc != CV_H1_MORE || n == s.n)
			return rc;
	}
}

struct refuse_row {
	struct cv_str in;
	enum cv_h1_rc rc;
};

static void refuse_run(const struct refuse_row *row, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct cv_str in = row[i].in;
		struct cv_h1_request r;
		const enum cv_h1_rc rc = parse(in, &r);

		if (rc != row[i].rc)
			fail_msg("row %zu: got %s, want %s\n%.*s", i, cv_h1_rc_row(rc)->slug,
				cv_h1_rc_row(row[i].rc)->slug, CV_STR_ARG(in));
		for (size_t cut = 0; cut <= in.n; cut++)
			assert_int_equal(parse_in_steps(in, cut, in.n), rc);
		assert_int_equal(parse_in_steps(in, 0, 1), rc);
	}
}

static void t10_smuggling(void **state)
{
	static const struct refuse_row row[] = {
		{ S(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
			CV_H1_LENGTH_AND_CODING },
		{ S(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
			CV_H1_LENGTH_AND_CODING },
		{ S(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), CV_H1_LENGTH_REPEATED },
		{ S(POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n"), CV_H1_LENGTH_REPEATED },
		{ S(POST "Content-Length: 5, 5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 5,\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: +5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: -5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 0x5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 5 5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 05\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 5.0\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: \"5\"\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 1_0\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: \xd9\xa5\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length:\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 18446744073709551616\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 9223372036854775808\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length: 00000000000000000000\r\n\r\n"), CV_H1_LENGTH },
		{ S(POST "Content-Length : 5\r\n\r\n"), CV_H1_NAME },
		{ S(POST "Content-Length\t: 5\r\n\r\n"), CV_H1_NAME },
		{ S(POST "Content-Length: 5\v\r\n\r\n"), CV_H1_VALUE },
		{ S(POST "Content_Length: 5\r\n\r\n"), CV_H1_UNDERSCORE },
		{ S(POST "Transfer_Encoding: chunked\r\n\r\n"), CV_H1_UNDERSCORE },
		{ S(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: identity, chunked\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: chunked,\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: ,chunked\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: identity\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: xchunked\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding:\r\n\r\n"), CV_H1_CODING },
		{ S(POST "Transfer-Encoding: \vchunked\r\n\r\n"), CV_H1_VALUE },
		{ S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
			CV_H1_CODING_REPEATED },
		{ S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
			CV_H1_CODING_REPEATED },
		{ S(POST " Transfer-Encoding: chunked\r\n\r\n"), CV_H1_FOLD },
		{ S(POST "X: y\r\n z\r\n\r\n"), CV_H1_FOLD },
		{ S(POST "X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n"), CV_H1_FOLD },
		{ S("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
			CV_H1_CODING_VERSION },
		{ S(POST "X: a\nTransfer-Encoding: chunked\r\n\r\n"), CV_H1_BARE_LF },
		{ S(POST "X: a\rTransfer-Encoding: chunked\r\n\r\n"), CV_H1_VALUE },
		{ S(POST "X: a\r\r\n\r\n"), CV_H1_VALUE },
		{ S("GET / HTTP/1.1\n" H "\r\n"), CV_H1_BARE_LF },
		{ S(GET "\n"), CV_H1_BARE_LF },
		{ S(POST "X: a\0b\r\n\r\n"), CV_H1_VALUE },
		{ S(POST "X\0: a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "X: \x1b[31m\r\n\r\n"), CV_H1_VALUE },
		{ S(POST "X: \x7f\r\n\r\n"), CV_H1_VALUE },
		{ S(POST ": a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "X\r\n\r\n"), CV_H1_NAME },
		{ S(POST "X Y: a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "\"X\": a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "X\xc3\xa9: a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "X/Y: a\r\n\r\n"), CV_H1_NAME },
		{ S(POST "Connection: close, Content-Length\r\nContent-Length: 5\r\n\r\n"),
			CV_H1_CONNECTION },
		{ S(POST "Connection: transfer-encoding\r\n\r\n"), CV_H1_CONNECTION },
		{ S(POST "Connection: transfer_encoding\r\n\r\n"), CV_H1_CONNECTION },
		{ S(POST "Connection: HOST\r\n\r\n"), CV_H1_CONNECTION },
		{ S(POST "Connection: a b\r\n\r\n"), CV_H1_CONNECTION },
		{ S(POST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n"),
			CV_H1_CONNECTION },
		{ S(POST "Connection: ,,,,,,,,,,,,,,,,,\r\n\r\n"), CV_H1_CONNECTION },
		{ S("TRACE / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"), CV_H1_BODY },
		{ S("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
		    "Content-Length: 5\r\n\r\n"),
			CV_H1_BODY },
		{ S("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"),
			CV_H1_BODY },
	};

	(void)state;
	refuse_run(row, CV_ARRAY_LEN(row));
}

static void t10_start_lines(void **state)
{
	static const struct refuse_row row[] = {
		{ S("\r\nGET / HTTP/1.1\r\n" H "\r\n"), CV_H1_METHOD },
		{ S("\nGET / HTTP/1.1\r\n" H "\r\n"), CV_H1_METHOD },
		{ S(" GET / HTTP/1.1\r\n" H "\r\n"), CV_H1_METHOD },
		{ S("GET  / HTTP/1.1\r\n" H "\r\n"), CV_H1_TARGET },
		{ S("GET\t/ HTTP/1.1\r\n" H "\r\n"), CV_H1_METHOD },
		{ S("GET /  HTTP/1.1\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/1.1 \r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/1.1\r\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET /\r\n\r\n"), CV_H1_TARGET },
		{ S("GET\r\n\r\n"), CV_H1_METHOD },
		{ S("G\0T / HTTP/1.1\r\n" H "\r\n"), CV_H1_METHOD },
		{ S("GET /a b HTTP/1.1\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / http/1.1\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/1.1x\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/11\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/+1.1\r\n" H "\r\n"), CV_H1_START_LINE },
		{ S("GET / HTTP/1.2\r\n" H "\r\n"), CV_H1_VERSION },
		{ S("GET / HTTP/0.9\r\n" H "\r\n"), CV_H1_VERSION },
		{ S("GET / HTTP/2.0\r\n" H "\r\n"), CV_H1_VERSION },
		{ S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), CV_H1_H2_PREFACE },
		{ S("\x16\x03\x01\x02"), CV_H1_METHOD },
		{ S("SSH-2.0-OpenSSH_9\r\n"), CV_H1_METHOD },
		{ S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CV_H1_METHOD },
		{ S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CV_H1_MORE },
		{ S(""), CV_H1_MORE },
		{ S(GET), CV_H1_MORE },
		{ S(GET "\r"), CV_H1_MORE },
	};

	(void)state;
	refuse_run(row, CV_ARRAY_LEN(row));
}

static void t3_targets_and_hosts(void **state)
{
	static const struct refuse_row row[] = {
		{ S("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"), CV_H1_HOST_MISMATCH },
		{ S("GET http://a.test:8080/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
			CV_H1_HOST_MISMATCH },
		{ S("GET http://a.test/ HTTP/1.1\r\nHost: a.test:8080\r\n\r\n"),
			CV_H1_HOST_MISMATCH },
		{ S("GET https://a.test/ HTTP/1.1\r\nHost: a.test:80\r\n\r\n"),
			CV_H1_HOST_MISMATCH },
		{ S("GET http://a.test/ HTTP/1.1\r\n\r\n"), CV_H1_HOST_MISSING },
		{ S("GET http://u:p@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_AUTHORITY },
		{ S("GET http://a.test:80@b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"),
			CV_H1_AUTHORITY },
		{ S("GET http:/// HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_AUTHORITY },
		{ S("GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_SCHEME },
		{ S("GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_SCHEME },
		{ S("GET a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_SCHEME },
		{ S("GET * HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_TARGET },
		{ S("GET \\\\b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_SCHEME },
		{ S("GET / HTTP/1.1\r\n\r\n"), CV_H1_HOST_MISSING },
		{ S("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n"),
			CV_H1_HOST_REPEATED },
		{ S("GET / HTTP/1.1\r\nHost: a.test\r\nhOST: b.test\r\n\r\n"),
			CV_H1_HOST_REPEATED },
		{ S("GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test\r\n\r\n"),
			CV_H1_HOST_REPEATED },
		{ S("GET / HTTP/1.1\r\nHost:\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: a.test/\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost: http://a.test\r\n\r\n"), CV_H1_HOST },
		{ S("GET / HTTP/1.1\r\nHost : a.test\r\n\r\n"), CV_H1_NAME },
		{ S("CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_AUTHORITY },
		{ S("CONNECT / HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_AUTHORITY },
		{ S("CONNECT http://a.test:443/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
			CV_H1_AUTHORITY },
		{ S("CONNECT a.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n"),
			CV_H1_HOST_MISMATCH },
		{ S("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:80\r\n\r\n"),
			CV_H1_HOST_MISMATCH },
		{ S("CONNECT a.test:443@b.test HTTP/1.1\r\nHost: a.test:443\r\n\r\n"),
			CV_H1_AUTHORITY },
		{ S("CONNECT evil.test\0.a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
			CV_H1_TARGET },
		{ S("CONNECT 127.1:443 HTTP/1.1\r\nHost: 127.1:443\r\n\r\n"), CV_H1_AUTHORITY },
	};

	(void)state;
	refuse_run(row, CV_ARRAY_LEN(row));
}

static void t12_t20_options(void **state)
{
	static const struct refuse_row row[] = {
		{ S("GET /#f HTTP/1.1\r\n" H "\r\n"), CV_H1_TARGET },
		{ S("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), CV_H1_TARGET },
		{ S("GET /\x7f HTTP/1.1\r\n" H "\r\n"), CV_H1_TARGET },
		{ S(POST "Expect: 100-continue, x\r\nContent-Length: 5\r\n\r\n"), CV_H1_EXPECT },
		{ S(POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n"), CV_H1_EXPECT },
		{ S(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), CV_H1_EXPECT },
		{ S(GET "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
			CV_H1_UPGRADE },
		{ S(GET "Upgrade:\r\nConnection: upgrade\r\n\r\n"), CV_H1_UPGRADE },
		{ S(GET "Upgrade: web socket\r\nConnection: upgrade\r\n\r\n"), CV_H1_UPGRADE },
	};

	(void)state;
	refuse_run(row, CV_ARRAY_LEN(row));
}

static void t12_t20_limits(void **state)
{
	static char head[2 * CV_H1_TUNNEL_HEAD_BYTES_MAX];
	struct cv_h1_request r;
	size_t scanned = 0;
	int n;

	(void)state;
	memset(head, 'a', sizeof(head));
	memcpy(head, "GET /", 5);
	assert_int_equal(
		cv_h1_request_parse((struct cv_str){ head, 8191 }, 8192, &scanned, &r), CV_H1_MORE);
	assert_int_equal(cv_h1_request_parse((struct cv_str){ head, 8192 }, 8192, &scanned, &r),
		CV_H1_HEAD_LONG);
	scanned = 0; /* a target of 9 KiB where the head may have 16 */
	n = snprintf(head, sizeof(head), "GET /%09216d HTTP/1.1\r\n" H "\r\n", 0);
	assert_int_equal(cv_h1_request_parse((struct cv_str){ head, (size_t)n },
				 CV_H1_TUNNEL_HEAD_BYTES_MAX, &scanned, &r),
		CV_H1_TARGET_LONG);
	n = snprintf(head, sizeof(head), GET);
	for (size_t i = 1; i < CV_H1_HEADERS_MAX; i++)
		n += snprintf(head + n, 16, "X: y\r\n");
	memcpy(head + n, "\r\n", 2);
	assert_int_equal(parse((struct cv_str){ head, (size_t)n + 2 }, &r), CV_H1_OK);
	assert_int_equal(r.header_count, CV_H1_HEADERS_MAX);
	memcpy(head + n, "X: y\r\n\r\n", 8);
	assert_int_equal(parse((struct cv_str){ head, (size_t)n + 8 }, &r), CV_H1_HEADERS_MANY);
	n = snprintf(head, sizeof(head), GET "%0*d: y\r\n\r\n", CV_H1_NAME_BYTES_MAX + 1, 0);
	assert_int_equal(parse((struct cv_str){ head, (size_t)n }, &r), CV_H1_NAME_LONG);
	assert_int_equal(cv_h1_rc_row(CV_H1_NAME_LONG)->status, 431);
}

static void forms(void **state)
{
	static const struct {
		struct cv_str in;
		enum cv_h1_form form;
		const char *method, *host, *path, *query;
		uint16_t port;
		bool is_https;
	} row[] = {
		{ S("GET /x?y=%20 HTTP/1.1\r\nHost: A.test:8080\r\n\r\n"), CV_H1_FORM_ORIGIN, "GET",
			"a.test", "/x", "y=%20", 8080, false },
		{ S("GET //b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_FORM_ORIGIN, "GET",
			"a.test", "//b.test/x", NULL, 0, false },
		{ S("POST http://A.test/x? HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_FORM_ABSOLUTE,
			"POST", "a.test", "/x", "", 80, false },
		{ S("GET http://a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_FORM_ABSOLUTE,
			"GET", "a.test", "", NULL, 80, false },
		{ S("GET HTTPS://a.test HTTP/1.0\r\n\r\n"), CV_H1_FORM_ABSOLUTE, "GET", "a.test",
			"", NULL, 443, true },
		{ S("OPTIONS * HTTP/1.1\r\nHost: [::1]:81\r\n\r\n"), CV_H1_FORM_ASTERISK, "OPTIONS",
			"::1", "*", NULL, 81, false },
		{ S("CONNECT A.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_FORM_AUTHORITY,
			"CONNECT", "a.test", "", NULL, 443, false },
		{ S("CONNECT [2001:DB8::1]:443 HTTP/1.0\r\n\r\n"), CV_H1_FORM_AUTHORITY, "CONNECT",
			"2001:db8::1", "", NULL, 443, false },
		{ S("GET / HTTP/1.0\r\n\r\n"), CV_H1_FORM_ORIGIN, "GET", "", "/", NULL, 0, false },
		{ S("patch / HTTP/1.1\r\nHost: a.test\r\n\r\n"), CV_H1_FORM_ORIGIN, "patch",
			"a.test", "/", NULL, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_h1_request r;
		const enum cv_h1_rc rc = parse(row[i].in, &r);

		if (rc != CV_H1_OK)
			fail_msg("row %zu: %s", i, cv_h1_rc_row(rc)->text);
		assert_int_equal(r.form, row[i].form);
		assert_str(r.method, row[i].method);
		assert_str(cv_host_str(&r.authority.host), row[i].host);
		assert_int_equal(r.authority.port, row[i].port);
		assert_str(r.path, row[i].path);
		assert_int_equal(r.query.p != NULL, row[i].query != NULL);
		assert_str(r.query, row[i].query ? row[i].query : "");
		assert_int_equal(r.is_https, row[i].is_https);
		assert_int_equal(r.head_bytes, row[i].in.n);
		for (size_t cut = 0; cut <= row[i].in.n; cut++)
			assert_int_equal(parse_in_steps(row[i].in, cut, 1), CV_H1_OK);
	}
}

enum { KEEP = 1, EXPECT = 2, UPGRADE = 4, UNUSUAL = 8, OVERRIDING = 16 };

static void t10_t14_meaning(void **state)
{
	static const struct {
		struct cv_str in;
		enum cv_h1_body body;
		uint64_t length;
		unsigned flags;
	} row[] = {
		{ S(GET "\r\n"), CV_H1_BODY_NONE, 0, KEEP },
		{ S(POST "Content-Length: 0\r\n\r\n"), CV_H1_BODY_LENGTH, 0, KEEP },
		{ S(POST "Content-Length: \t 12 \r\n\r\n"), CV_H1_BODY_LENGTH, 12, KEEP },
		{ S(POST "Content-Length: 999999999999999999\r\n\r\n"), CV_H1_BODY_LENGTH,
			999999999999999999, KEEP },
		{ S(POST "transfer-ENCODING: Chunked\r\n\r\n"), CV_H1_BODY_CHUNKED, 0, KEEP },
		{ S(GET "Content-Length: 5\r\n\r\n"), CV_H1_BODY_LENGTH, 5, KEEP | UNUSUAL },
		{ S(GET "Transfer-Encoding: chunked\r\n\r\n"), CV_H1_BODY_CHUNKED, 0,
			KEEP | UNUSUAL },
		{ S(GET "Content-Length: 0\r\n\r\n"), CV_H1_BODY_LENGTH, 0, KEEP },
		{ S(GET "Connection: Close\r\n\r\n"), CV_H1_BODY_NONE, 0, 0 },
		{ S(GET "Connection: keep-alive\r\nConnection: x, close\r\n\r\n"), CV_H1_BODY_NONE,
			0, 0 },
		{ S("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), CV_H1_BODY_NONE, 0, 0 },
		{ S(POST "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"), CV_H1_BODY_LENGTH, 5,
			KEEP | EXPECT },
		{ S(GET "Expect: 100-continue\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP },
		{ S("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
			CV_H1_BODY_LENGTH, 5, 0 },
		{ S(GET "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"),
			CV_H1_BODY_NONE, 0, KEEP | UPGRADE },
		{ S(GET "Upgrade: h2c\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP },
		{ S(GET "Connection: upgrade\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP },
		{ S(POST "X-HTTP-Method-Override: DELETE\r\n\r\n"), CV_H1_BODY_NONE, 0,
			KEEP | OVERRIDING },
		{ S(POST "x_http_method: DELETE\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP | OVERRIDING },
		{ S(POST "X-Method-Override: DELETE\r\n\r\n"), CV_H1_BODY_NONE, 0,
			KEEP | OVERRIDING },
		{ S(POST "X-Original-URL: /admin\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP | OVERRIDING },
		{ S(POST "X-Rewrite-URL: /admin\r\n\r\n"), CV_H1_BODY_NONE, 0, KEEP | OVERRIDING },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_h1_request r;
		const enum cv_h1_rc rc = parse(row[i].in, &r);
		const unsigned flags =
			(r.is_keep_alive ? KEEP : 0u) | (r.is_expect_continue ? EXPECT : 0u) |
			(r.is_upgrade ? UPGRADE : 0u) | (r.is_body_unusual ? UNUSUAL : 0u) |
			(r.is_overriding ? OVERRIDING : 0u);

		if (rc != CV_H1_OK)
			fail_msg("row %zu: %s", i, cv_h1_rc_row(rc)->text);
		assert_int_equal(r.body, row[i].body);
		assert_int_equal(r.length, row[i].length);
		assert_int_equal(flags, row[i].flags);
	}
}

static void fields(void **state)
{
	struct cv_h1_request r;
	size_t at = 0;

	(void)state;
	assert_int_equal(parse(CV_STR(GET "Accept:  a/b , \t c\t\r\nX-Secret: s\r\nx: \r\n"
					  "Proxy-Foo: 1\r\nX_SECRET: t\r\n"
					  "Connection: x-secret, keep-alive\r\n\r\nGET "),
				 &r),
		CV_H1_OK);
	assert_int_equal(r.header_count, 7);
	assert_int_equal(r.header[0].field, CV_H1_FIELD_HOST);
	assert_str(r.header[1].name, "Accept");
	assert_str(r.header[1].value, "a/b , \t c");
	assert_int_equal(r.header[1].flags, 0);
	assert_int_equal(r.header[2].flags, CV_H1_NAMED);
	assert_str(r.header[3].value, "");
	assert_true(r.header[4].flags & CV_H1_HOP);
	assert_int_equal(r.header[5].flags, CV_H1_NAMED);
	assert_ptr_equal(cv_h1_header_next(r.header, r.header_count, CV_H1_FIELD_CONNECTION, &at),
		&r.header[6]);
	assert_null(cv_h1_header_next(r.header, r.header_count, CV_H1_FIELD_CONNECTION, &at));
	at = 0;
	assert_ptr_equal(cv_h1_header_next_named(r.header, r.header_count, CV_STR("x-SECRET"), &at),
		&r.header[2]);
	assert_ptr_equal(cv_h1_header_next_named(r.header, r.header_count, CV_STR("x-SECRET"), &at),
		&r.header[5]);
}

/* The rows stand in order of length, and field_first points at the first of each. */
static void field_table(void **state)
{
	(void)state;
	for (size_t f = 1; f < CV_H1_FIELD_COUNT; f++) {
		const struct cv_str name = cv_str_of(field_row[f].text);

		assert_int_equal(cv_h1_field_of(name), f);
		assert_true(f == 1 || field_row[f - 1].n <= field_row[f].n);
	}
	assert_int_equal(cv_h1_field_of(CV_STR("")), CV_H1_FIELD_OTHER);
	assert_int_equal(cv_h1_field_of(CV_STR("hosts")), CV_H1_FIELD_OTHER);
	assert_int_equal(cv_h1_field_of(CV_STR("HOST")), CV_H1_FIELD_HOST);
	assert_int_equal(cv_h1_field_of(CV_STR("x-a-name-longer-than-all")), CV_H1_FIELD_OTHER);
}

static void lists(void **state)
{
	(void)state;
	assert_true(cv_h1_list_has(CV_STR("a, B ,c"), CV_STR("b")));
	assert_false(cv_h1_list_has(CV_STR("ab"), CV_STR("b")));
	assert_false(cv_h1_list_has(CV_STR_NONE, CV_STR("b")));
	assert_true(cv_h1_upgrade_is_plain(CV_STR("h2c, TLS/1.0")));
	assert_false(cv_h1_upgrade_is_plain(CV_STR("a/b/c")));
	assert_false(cv_h1_upgrade_is_plain(CV_STR("a,")));
	assert_false(cv_h1_upgrade_is_plain(CV_STR("a/")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t10_smuggling),
		cmocka_unit_test(t10_start_lines),
		cmocka_unit_test(t3_targets_and_hosts),
		cmocka_unit_test(t12_t20_options),
		cmocka_unit_test(t12_t20_limits),
		cmocka_unit_test(forms),
		cmocka_unit_test(t10_t14_meaning),
		cmocka_unit_test(fields),
		cmocka_unit_test(field_table),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests_name("wire/h1_request", tests, NULL, NULL);
}
