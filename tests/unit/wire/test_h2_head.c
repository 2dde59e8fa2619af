/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h2_head.c - header lists as text, and back; frames counted however they are cut
 */
#include "unit/test.h"

#include "wire/h2_frame.c"
#include "wire/h2_head.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

struct row {
	const char *what;
	struct cv_h2_pair pair[8];
	enum cv_h2_rc rc;
	const char *text; /* of OK */
	bool is_open;     /* a body follows */
};

#define GOOD                                                                                 \
	{ S(":method"), S("GET") }, { S(":scheme"), S("https") }, { S(":path"), S("/a?b") }, \
	{                                                                                    \
		S(":authority"), S("h.test")                                                 \
	}

static void fill(struct cv_h2_fields *f, const struct cv_h2_pair *pair, size_t max)
{
	cv_h2_fields_init(f);
	for (size_t i = 0; i < max && pair[i].name.p; i++)
		cv_h2_fields_add(f, pair[i].name, pair[i].value);
}

static void check(const struct row *r, bool is_request)
{
	struct cv_h2_fields f;
	struct cv_h2_head head;
	struct cv_buf out;

	fill(&f, r->pair, CV_ARRAY_LEN(r->pair));
	cv_buf_init(&out, 65536);
	const enum cv_h2_rc rc =
		is_request ? cv_h2_request_text(&f, true, !r->is_open, &out, &head)
			   : cv_h2_response_text(&f, CV_H1_ASKED_OTHER, !r->is_open, &out, &head);
	if (rc != r->rc)
		fail_msg("%s: %s", r->what, cv_h2_rc_row(rc)->slug);
	if (rc == CV_H2_OK && !cv_str_eq(cv_buf_str(&out), cv_str_of(r->text)))
		fail_msg("%s: %.*s", r->what, CV_STR_ARG(cv_buf_str(&out)));
	if (rc != CV_H2_OK)
		assert_int_equal(cv_buf_len(&out), 0);
	cv_buf_fini(&out);
	cv_h2_fields_fini(&f);
}

static void t19_requests(void **state)
{
	static const struct row rows[] = {
		{ "plain", { GOOD }, CV_H2_OK, "GET /a?b HTTP/1.1\r\nhost: h.test\r\n\r\n" },
		{ "open", { GOOD }, CV_H2_OK,
			"GET /a?b HTTP/1.1\r\nhost: h.test\r\ntransfer-encoding: chunked\r\n\r\n",
			true },
		{ "length", { GOOD, { S("content-length"), S("5") } }, CV_H2_OK,
			"GET /a?b HTTP/1.1\r\nhost: h.test\r\ncontent-length: 5\r\n\r\n", true },
		{ "crumbs",
			{ GOOD, { S("cookie"), S("a=b") }, { S("x"), S("y") },
				{ S("cookie"), S("c=d") } },
			CV_H2_OK,
			"GET /a?b HTTP/1.1\r\nhost: h.test\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n" },
		{ "te is not text", { GOOD, { S("te"), S("trailers") } }, CV_H2_OK,
			"GET /a?b HTTP/1.1\r\nhost: h.test\r\n\r\n" },
		{ "same host", { GOOD, { S("host"), S("H.test:443") } }, CV_H2_OK,
			"GET /a?b HTTP/1.1\r\nhost: h.test\r\n\r\n" },
		{ "connect", { { S(":method"), S("CONNECT") }, { S(":authority"), S("a:1") } },
			CV_H2_OK, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n" },
		{ "other host", { GOOD, { S("host"), S("i.test") } }, CV_H2_HOST },
		{ "untrue length", { GOOD, { S("content-length"), S("5") } }, CV_H2_LENGTH },
		{ "two lengths",
			{ GOOD, { S("content-length"), S("0") }, { S("content-length"), S("0") } },
			CV_H2_LENGTH },
		{ "late pseudo", { { S("x"), S("y") }, GOOD }, CV_H2_PSEUDO_LATE },
		{ "twice", { GOOD, { S(":path"), S("/") } }, CV_H2_PSEUDO_REPEATED },
		{ "unknown", { GOOD, { S(":protocol"), S("websocket") } }, CV_H2_PSEUDO_UNKNOWN },
		{ "status", { GOOD, { S(":status"), S("200") } }, CV_H2_PSEUDO_UNKNOWN },
		{ "upper case", { GOOD, { S("X"), S("y") } }, CV_H2_NAME },
		{ "LF", { GOOD, { S("x"), S("y\nz") } }, CV_H2_VALUE },
		{ "blank", { GOOD, { S("x"), S("y ") } }, CV_H2_VALUE },
		{ "connection", { GOOD, { S("connection"), S("x") } }, CV_H2_CONNECTION },
		{ "te", { GOOD, { S("te"), S("gzip") } }, CV_H2_TE },
		{ "no path", { { S(":method"), S("GET") }, { S(":scheme"), S("https") } },
			CV_H2_PSEUDO_MISSING },
		{ "scheme",
			{ { S(":method"), S("GET") }, { S(":scheme"), S("http") },
				{ S(":path"), S("/") }, { S(":authority"), S("a") } },
			CV_H2_SCHEME },
		{ "CR LF in the path",
			{ { S(":method"), S("GET") }, { S(":scheme"), S("https") },
				{ S(":path"), S("/ HTTP/1.1\r\nx: y") },
				{ S(":authority"), S("a") } },
			CV_H2_PATH },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		check(&rows[i], true);
}

static void t10_responses(void **state)
{
	static const struct row rows[] = {
		{ "ended", { { S(":status"), S("200") } }, CV_H2_OK,
			"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n" },
		{ "open", { { S(":status"), S("200") }, { S("x"), S(" y ") } }, CV_H2_OK,
			"HTTP/1.1 200 \r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n", true },
		{ "hints", { { S(":status"), S("103") } }, CV_H2_OK, "HTTP/1.1 103 \r\n\r\n",
			true },
		{ "hints that end", { { S(":status"), S("103") } }, CV_H2_STATUS },
		{ "no content", { { S(":status"), S("204") } }, CV_H2_OK, "HTTP/1.1 204 \r\n\r\n" },
		{ "not modified", { { S(":status"), S("304") }, { S("content-length"), S("9") } },
			CV_H2_OK, "HTTP/1.1 304 \r\ncontent-length: 9\r\n\r\n" },
		{ "switch", { { S(":status"), S("101") } }, CV_H2_STATUS, NULL, true },
		{ "word", { { S(":status"), S("20x") } }, CV_H2_STATUS },
		{ "none", { { S("x"), S("y") } }, CV_H2_PSEUDO_MISSING },
		{ "CR LF", { { S(":status"), S("200") }, { S("x"), S("a\r\nb: c") } },
			CV_H2_VALUE },
		{ "coding",
			{ { S(":status"), S("200") }, { S("transfer-encoding"), S("chunked") } },
			CV_H2_CONNECTION },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		check(&rows[i], false);
}

static void trailers_are_filtered(void **state)
{
	static const struct cv_h2_pair pair[] = { { S("grpc-status"), S("0") },
		{ S("content-length"), S("5") }, { S("x-a"), S("b") },
		{ { NULL, 0 }, { NULL, 0 } } };
	static const struct cv_h2_pair pseudo[] = { { S(":path"), S("/") } };
	struct cv_h2_fields f;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 65536);
	fill(&f, pair, CV_ARRAY_LEN(pair));
	assert_int_equal(cv_h2_trailers_text(&f, &out), CV_H2_OK);
	assert_true(cv_str_eq(cv_buf_str(&out), CV_STR("grpc-status: 0\r\nx-a: b\r\n")));
	cv_h2_fields_fini(&f);
	fill(&f, pseudo, 1);
	assert_int_equal(cv_h2_trailers_text(&f, &out), CV_H2_TRAILER);
	cv_h2_fields_fini(&f);
	cv_buf_fini(&out);
}

static void t19_lists_are_bounded(void **state)
{
	char value[1000];
	struct cv_h2_fields f;

	(void)state;
	memset(value, 'v', sizeof(value));
	cv_h2_fields_init(&f);
	for (size_t i = 0; i < 1000; i++)
		cv_h2_fields_add(&f, CV_STR("x"), (struct cv_str){ value, sizeof(value) });
	assert_true(f.is_long && f.list_bytes == 1000 * (1000 + 1 + 32));
	assert_true(cv_buf_len(&f.bytes) <= CV_H2_LIST_BYTES_MAX);
	cv_h2_fields_fini(&f);
	cv_h2_fields_init(&f);
	for (size_t i = 0; i < CV_H2_FIELDS_MAX + 1; i++)
		cv_h2_fields_add(&f, CV_STR("x"), CV_STR("y"));
	assert_true(f.is_long && f.count == CV_H2_FIELDS_MAX);
	cv_h2_fields_fini(&f);
}

static void request_there_and_back(void **state)
{
	static const struct cv_str text =
		CV_STR("POST /a?b HTTP/1.1\r\nHost: h.test:1\r\nX-Y: z\r\n"
		       "Connection: X-Hop\r\nX-Hop: 1\r\n"
		       "Content-Length: 12\r\n\r\n");
	static struct cv_h1_request r;
	struct cv_h2_pair pair[CV_H2_PAIRS_MAX];
	struct cv_buf names;
	size_t scanned = 0;

	(void)state;
	cv_buf_init(&names, 65536);
	assert_int_equal(cv_h1_request_parse(text, 8192, &scanned, &r), CV_H1_OK);
	const size_t n = cv_h2_of_request(&r, true, true, &names, pair);
	static const struct cv_h2_pair want[] = { { S(":method"), S("POST") },
		{ S(":scheme"), S("https") }, { S(":authority"), S("h.test:1") },
		{ S(":path"), S("/a?b") }, { S("x-y"), S("z") }, { S("content-length"), S("12") },
		{ S("te"), S("trailers") } };
	assert_int_equal(n, CV_ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++)
		assert_true(cv_str_eq(pair[i].name, want[i].name) &&
			    cv_str_eq(pair[i].value, want[i].value));
	cv_buf_fini(&names);
}

static void frames_however_cut(void **state)
{
	const struct cv_str bytes = CV_STR("PREFACEPREFACEPREFACE..."
					   "\0\0\3\0\1\0\0\0\1abc"
					   "\0\0\0\4\1\0\0\0\0"
					   "\0\0\1\x9\4\x80\0\0\3x");

	(void)state;
	for (size_t step = 1; step <= bytes.n; step++) {
		struct cv_h2_scan s = { .left = CV_H2_PREFACE_BYTES };
		struct cv_h2_frame f[4];
		size_t n = 0;

		for (size_t at = 0; at < bytes.n; at += step) {
			struct cv_str in = cv_str_slice(bytes, at, at + step);

			while (n < 4 && cv_h2_scan_next(&s, &in, &f[n]))
				n++;
		}
		assert_int_equal(n, 3);
		assert_true(
			f[0].length == 3 && f[0].type == 0 && f[0].flags == 1 && f[0].stream == 1);
		assert_true(
			f[1].length == 0 && f[1].type == 4 && f[2].type == 9 && f[2].stream == 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t19_requests),
		cmocka_unit_test(t10_responses),
		cmocka_unit_test(trailers_are_filtered),
		cmocka_unit_test(t19_lists_are_bounded),
		cmocka_unit_test(request_there_and_back),
		cmocka_unit_test(frames_however_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
