/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a response is framed as RFC 9112 6.3 says, for what was asked, or refused (T10, T18).
 * Method: a table of heads and questions; each also in two pieces, cut at every place.
 */
#include "unit/test.h"

#include "wire/h1_fields.c"
#include "wire/h1.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}
#define OK200  "HTTP/1.1 200 OK\r\n"
#define CL5    "Content-Length: 5\r\n"
#define TE     "Transfer-Encoding: chunked\r\n"
#define OTHER  CV_H1_ASKED_OTHER
#define HEAD   CV_H1_ASKED_HEAD
#define TUNNEL CV_H1_ASKED_CONNECT
#define NONE   CV_H1_BODY_NONE
#define LENGTH CV_H1_BODY_LENGTH
#define CHUNKS CV_H1_BODY_CHUNKED
#define CLOSE  CV_H1_BODY_CLOSE

static void t10_framing(void **state)
{
	static const struct {
		struct cv_str in;
		enum cv_h1_asked asked;
		enum cv_h1_rc rc;
		enum cv_h1_body body;
		uint64_t length;
		bool has_length, is_keep_alive;
	} row[] = {
		{ S(OK200 CL5 "\r\n"), OTHER, CV_H1_OK, LENGTH, 5, true, true },
		{ S(OK200 TE "\r\n"), OTHER, CV_H1_OK, CHUNKS, 0, false, true },
		{ S(OK200 "\r\n"), OTHER, CV_H1_OK, CLOSE, 0, false, false },
		{ S(OK200 CL5 "Connection: close\r\n\r\n"), OTHER, CV_H1_OK, LENGTH, 5, true,
			false },
		{ S("HTTP/1.0 200 OK\r\n" CL5 "Connection: keep-alive\r\n\r\n"), OTHER, CV_H1_OK,
			LENGTH, 5, true, false },
		{ S("HTTP/1.1 200\r\n" CL5 "\r\n"), OTHER, CV_H1_OK, LENGTH, 5, true, true },
		{ S("HTTP/1.1 200 \r\n" CL5 "\r\n"), OTHER, CV_H1_OK, LENGTH, 5, true, true },
		{ S("HTTP/1.1 599 caf\xc3\xa9 x\r\n" CL5 "\r\n"), OTHER, CV_H1_OK, LENGTH, 5, true,
			true },
		{ S(OK200 CL5 "\r\n"), HEAD, CV_H1_OK, NONE, 5, true, true },
		{ S(OK200 TE "\r\n"), HEAD, CV_H1_OK, NONE, 0, false, true },
		{ S(OK200 "\r\n"), HEAD, CV_H1_OK, NONE, 0, false, true },
		{ S("HTTP/1.1 304 x\r\n" CL5 "\r\n"), OTHER, CV_H1_OK, NONE, 5, true, true },
		{ S("HTTP/1.1 204 x\r\n\r\n"), OTHER, CV_H1_OK, NONE, 0, false, true },
		{ S("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n"), OTHER, CV_H1_OK, NONE, 0, false,
			true },
		{ S("HTTP/1.1 204 x\r\n" CL5 "\r\n"), OTHER, CV_H1_BODY, 0, 0, false, false },
		{ S("HTTP/1.1 204 x\r\n" TE "\r\n"), OTHER, CV_H1_BODY, 0, 0, false, false },
		{ S("HTTP/1.1 100 x\r\n\r\n"), OTHER, CV_H1_OK, NONE, 0, false, true },
		{ S("HTTP/1.1 103 x\r\n" CL5 "\r\n"), OTHER, CV_H1_BODY, 0, 0, false, false },
		{ S("HTTP/1.1 100 x\r\n" TE "\r\n"), OTHER, CV_H1_BODY, 0, 0, false, false },
		{ S(OK200 CL5 "\r\n"), TUNNEL, CV_H1_OK, NONE, 0, false, true },
		{ S(OK200 TE "\r\n"), TUNNEL, CV_H1_OK, NONE, 0, false, true },
		{ S("HTTP/1.1 407 x\r\n" CL5 "\r\n"), TUNNEL, CV_H1_OK, LENGTH, 5, true, true },
		{ S(OK200 CL5 TE "\r\n"), OTHER, CV_H1_LENGTH_AND_CODING, 0, 0, false, false },
		{ S(OK200 CL5 TE "\r\n"), HEAD, CV_H1_LENGTH_AND_CODING, 0, 0, false, false },
		{ S(OK200 CL5 CL5 "\r\n"), OTHER, CV_H1_LENGTH_REPEATED, 0, 0, false, false },
		{ S(OK200 TE TE "\r\n"), OTHER, CV_H1_CODING_REPEATED, 0, 0, false, false },
		{ S(OK200 "Transfer-Encoding: gzip, chunked\r\n\r\n"), OTHER, CV_H1_CODING, 0, 0,
			false, false },
		{ S("HTTP/1.0 200 OK\r\n" TE "\r\n"), OTHER, CV_H1_CODING_VERSION, 0, 0, false,
			false },
		{ S(OK200 "Content-Length: 5, 5\r\n\r\n"), OTHER, CV_H1_LENGTH, 0, 0, false,
			false },
		{ S(OK200 "Connection: content-length\r\n" CL5 "\r\n"), OTHER, CV_H1_CONNECTION, 0,
			0, false, false },
		{ S("HTTP/1.1 099 x\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/1.1 600 x\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/1.1 20 x\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/1.1 2000\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/1.1 +20 x\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/1.1  200 x\r\n\r\n"), OTHER, CV_H1_STATUS, 0, 0, false, false },
		{ S("HTTP/2.0 200 OK\r\n\r\n"), OTHER, CV_H1_VERSION, 0, 0, false, false },
		{ S("HTTP/1.1 200 O\rK\r\n\r\n"), OTHER, CV_H1_START_LINE, 0, 0, false, false },
		{ S("HTTP/1.1 200 O\0K\r\n\r\n"), OTHER, CV_H1_START_LINE, 0, 0, false, false },
		{ S("HTTP/1.1 200 OK\n\n"), OTHER, CV_H1_BARE_LF, 0, 0, false, false },
		{ S("ICY 200 OK\r\n\r\n"), OTHER, CV_H1_START_LINE, 0, 0, false, false },
		{ S("SSH-2.0"), OTHER, CV_H1_START_LINE, 0, 0, false, false },
		{ S("\r\n"), OTHER, CV_H1_START_LINE, 0, 0, false, false },
		{ S("HTT"), OTHER, CV_H1_MORE, 0, 0, false, false },
		/* switching */
		{ S("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), OTHER,
			CV_H1_OK, NONE, 0, false, true },
		{ S("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n"), OTHER, CV_H1_UPGRADE, 0, 0,
			false, false },
		{ S("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"), OTHER, CV_H1_UPGRADE, 0, 0,
			false, false },
		{ S("HTTP/1.1 101 x\r\nUpgrade: a\r\nUpgrade: b\r\nConnection: Upgrade\r\n\r\n"),
			OTHER, CV_H1_UPGRADE, 0, 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_h1_response r;
		size_t scanned = 0;
		const struct cv_str in = row[i].in;
		const enum cv_h1_rc rc = cv_h1_response_parse(
			in, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, row[i].asked, &r);

		if (rc != row[i].rc)
			fail_msg("row %zu: got %s, want %s", i, cv_h1_rc_row(rc)->slug,
				cv_h1_rc_row(row[i].rc)->slug);
		if (rc == CV_H1_OK) {
			assert_int_equal(r.body, row[i].body);
			assert_int_equal(r.length, row[i].length);
			assert_int_equal(r.has_length, row[i].has_length);
			assert_int_equal(r.is_keep_alive, row[i].is_keep_alive);
			assert_int_equal(r.is_upgrade, r.status == 101);
			assert_int_equal(r.head_bytes, in.n);
		}
		for (size_t cut = 0; cut <= in.n; cut++) {
			enum cv_h1_rc again;

			scanned = 0;
			again = cv_h1_response_parse(cv_str_slice(in, 0, cut),
				CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, row[i].asked, &r);
			if (again == CV_H1_MORE)
				again = cv_h1_response_parse(
					in, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, row[i].asked, &r);
			assert_int_equal(again, rc);
		}
	}
}

static void asked(void **state)
{
	(void)state;
	assert_int_equal(cv_h1_asked(CV_STR("HEAD")), CV_H1_ASKED_HEAD);
	assert_int_equal(cv_h1_asked(CV_STR("CONNECT")), CV_H1_ASKED_CONNECT);
	assert_int_equal(cv_h1_asked(CV_STR("GET")), CV_H1_ASKED_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t10_framing),
		cmocka_unit_test(asked),
	};

	return cmocka_run_group_tests_name("wire/h1_response", tests, NULL, NULL);
}
