/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: chunked bodies are decoded exactly or refused, however the bytes arrive (T10).
 * Method: a table of bodies; each decoded whole, in two pieces cut at every place, and byte by
 * byte, from a buffer that grows behind what the decoder left.
 */
#include "unit/test.h"

#include "wire/chunk.c"

#include <stdio.h>
#include <stdlib.h>

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

/* Feeds s in steps.  Data is appended to out, "name=value|" of trailers too; returns the end. */
static enum cv_chunk_event feed(struct cv_str s, size_t first, size_t step, struct cv_chunk *c,
	struct cv_buf *out, size_t *ret_rest)
{
	size_t taken = 0;

	cv_chunk_init(c);
	for (size_t n = first;; n = CV_MIN(n + step, s.n)) {
		struct cv_str in = cv_str_slice(s, taken, n), data;
		enum cv_chunk_event e;

		while ((e = cv_chunk_next(c, &in, &data)) == CV_CHUNK_DATA) {
			assert_true(data.n > 0);
			cv_buf_put(out, data);
		}
		taken = n - in.n;
		if (e == CV_CHUNK_DONE)
			for (size_t i = 0; i < c->trailer_count; i++)
				cv_buf_printf(out, "%.*s=%.*s|", CV_STR_ARG(c->trailer[i].name),
					CV_STR_ARG(c->trailer[i].value));
		*ret_rest = s.n - taken;
		if (e != CV_CHUNK_MORE || n == s.n)
			return e;
	}
}

static void t10_chunks(void **state)
{
	static const struct {
		struct cv_str in;
		enum cv_chunk_event end;
		enum cv_chunk_rc rc;
		const char *want;
		size_t rest; /* bytes behind the body */
	} row[] = {
		{ S("0\r\n\r\n"), CV_CHUNK_DONE, 0, "", 0 },
		{ S("5\r\nhello\r\n0\r\n\r\nGET"), CV_CHUNK_DONE, 0, "hello", 3 },
		{ S("5\r\nhello\r\nA\r\n0123456789\r\n00\r\n\r\n"), CV_CHUNK_DONE, 0,
			"hello0123456789", 0 },
		{ S("000000000000005\r\nhello\r\n0\r\n\r\n"), CV_CHUNK_DONE, 0, "hello", 0 },
		{ S("1\r\na\r\n0\r\nGrpc-Status: 0\r\nX: \r\n\r\n"), CV_CHUNK_DONE, 0,
			"aGrpc-Status=0|X=|", 0 },
		{ S("5\r\nhel"), CV_CHUNK_MORE, 0, "hel", 0 },
		{ S("FFFFFFFFFFFFFFF\r\nab"), CV_CHUNK_MORE, 0, "ab", 0 },
		{ S(""), CV_CHUNK_MORE, 0, "", 0 },
		/* sizes */
		{ S("0000000000000005\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE_LONG, "", 0 },
		{ S("FFFFFFFFFFFFFFFF\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE_LONG, "", 0 },
		{ S("10000000000000005\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE_LONG, "", 0 },
		{ S("-5\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("+5\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("0x5\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S(" 5\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("5 \r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("5\t\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("5_0\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("5\0\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("G\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		/* extensions, line ends */
		{ S("5;x\r\nhello\r\n0\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_EXTENSION, "", 0 },
		{ S("5;\n\r\nhello"), CV_CHUNK_BAD, CV_CHUNK_RC_EXTENSION, "", 0 },
		{ S(";\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_SIZE, "", 0 },
		{ S("5\nhello"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "", 0 },
		{ S("5\rhello"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "", 0 },
		{ S("5\r\r\nhello"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "", 0 },
		{ S("5\r\nhello0\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "hello", 0 },
		{ S("5\r\nhello\n0\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "hello", 0 },
		{ S("5\r\nhello\rX"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "hello", 0 },
		{ S("5\r\nhelloXX0\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_LINE_END, "hello", 0 },
		/* trailers */
		{ S("0\r\nContent-Length: 5\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "",
			0 },
		{ S("0\r\nHost: a\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "", 0 },
		{ S("0\r\nTransfer-Encoding: chunked\r\n\r\n"), CV_CHUNK_BAD,
			CV_CHUNK_RC_TRAILER_NAME, "", 0 },
		{ S("0\r\ntransfer_encoding: chunked\r\n\r\n"), CV_CHUNK_BAD,
			CV_CHUNK_RC_TRAILER_NAME, "", 0 },
		{ S("0\r\nAuthorization: x\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "",
			0 },
		{ S("0\r\nX_Original_URL: x\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "",
			0 },
		{ S("0\r\nProxy-Anything: x\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "",
			0 },
		{ S("0\r\nSet-Cookie: x\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER_NAME, "", 0 },
		{ S("0\r\nX : y\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER, "", 0 },
		{ S("0\r\nX: y\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER, "", 0 },
		{ S("0\r\nX: y\r\n z\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER, "", 0 },
		{ S("0\r\n\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER, "", 0 },
		{ S("0\r\nGET / HTTP/1.1\r\n\r\n"), CV_CHUNK_BAD, CV_CHUNK_RC_TRAILER, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		/* step 0 stands for "whole" */
		for (size_t k = 0; k <= row[i].in.n + 1; k++) {
			const bool by_byte = k == row[i].in.n + 1;
			struct cv_chunk c;
			struct cv_buf out;
			size_t rest;

			cv_buf_init(&out, 65536);
			const enum cv_chunk_event e = feed(row[i].in, by_byte ? 0 : k,
				by_byte ? 1 : row[i].in.n, &c, &out, &rest);
			if (e != row[i].end || c.rc != row[i].rc)
				fail_msg("row %zu cut %zu: got %d %s, want %s", i, k, (int)e,
					cv_chunk_rc_row(c.rc)->slug,
					cv_chunk_rc_row(row[i].rc)->slug);
			assert_str(cv_buf_str(&out), row[i].want);
			if (e == CV_CHUNK_DONE) /* less if not all of it was given */
				assert_true(rest >= row[i].rest);
			cv_buf_fini(&out);
		}
	}
}

static void t10_trailers_bounded(void **state)
{
	static char raw[2 * CV_CHUNK_TRAILER_BYTES_MAX];
	struct cv_chunk c;
	struct cv_buf out;
	size_t rest;
	int n;

	(void)state;
	cv_buf_init(&out, 65536);
	n = snprintf(raw, sizeof(raw), "0\r\nX: %0*d", CV_CHUNK_TRAILER_BYTES_MAX - 4, 0);
	assert_int_equal(
		feed((struct cv_str){ raw, (size_t)n }, 0, 512, &c, &out, &rest), CV_CHUNK_MORE);
	n = snprintf(raw, sizeof(raw), "0\r\nX: %0*d", CV_CHUNK_TRAILER_BYTES_MAX - 3, 0);
	assert_int_equal(
		feed((struct cv_str){ raw, (size_t)n }, 0, 512, &c, &out, &rest), CV_CHUNK_BAD);
	assert_int_equal(c.rc, CV_CHUNK_RC_TRAILER_LONG);
	n = snprintf(raw, sizeof(raw), "0\r\n");
	for (size_t i = 0; i <= CV_CHUNK_TRAILERS_MAX; i++)
		n += snprintf(raw + n, 16, "X: y\r\n");
	memcpy(raw + n, "\r\n", 2);
	assert_int_equal(
		feed((struct cv_str){ raw, (size_t)n + 2 }, 0, 512, &c, &out, &rest), CV_CHUNK_BAD);
	assert_int_equal(c.rc, CV_CHUNK_RC_TRAILER_LONG);
	cv_buf_fini(&out);
}

/* What is written comes back, and the two ends of the range of sizes have the right line. */
/* T10: a body that was cut is known to be, wherever; what is only not read yet is not. */
static void t10_cut_anywhere(void **state)
{
	const struct cv_str s = CV_STR("5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n");
	const struct cv_str trailers = CV_STR("A: b\r\nC: d\r\n\r\n");
	struct cv_chunk c;

	(void)state;
	for (size_t n = 0; n < s.n; n++) {
		const struct cv_str cut = cv_str_slice(s, 0, n);
		struct cv_buf out;
		size_t rest;

		cv_buf_init(&out, 1000);
		assert_int_equal(feed(cut, n, 1, &c, &out, &rest), CV_CHUNK_MORE);
		assert_true(cv_chunk_is_starved(&c, cv_str_slice(cut, n - rest, n)));
		if (n >= s.n - trailers.n) { /* all of them came, and nobody has read them yet */
			assert_int_equal(rest, n - (s.n - trailers.n));
			assert_false(cv_chunk_is_starved(&c, trailers));
		}
		cv_buf_fini(&out);
	}
	cv_chunk_init(&c);
	assert_false(cv_chunk_is_starved(&c, CV_STR("5\r")));
}

static void writes_what_it_reads(void **state)
{
	static const struct cv_h1_header trailer[] = {
		{ .name = S("Grpc-Status"), .value = S("0") },
		{ .name = S("Host"),
			.value = S("x"),
			.field = CV_H1_FIELD_HOST,
			.flags = CV_H1_FRAMING },
		{ .name = S("X"), .value = S("a\r\nb") },
	};
	char line[CV_CHUNK_LINE_BYTES_MAX];
	struct cv_buf wire, out;
	struct cv_chunk c;
	size_t rest;

	(void)state;
	cv_buf_init(&wire, 1u << 20);
	cv_buf_init(&out, 1u << 20);
	for (size_t n = 0; n < 600; n += 7) {
		char data[600];

		memset(data, 'd', sizeof(data));
		assert_true(cv_chunk_write(&wire, (struct cv_str){ data, n }));
	}
	assert_true(cv_chunk_write_end(&wire, trailer, CV_ARRAY_LEN(trailer)));
	assert_int_equal(feed(cv_buf_str(&wire), 0, 100, &c, &out, &rest), CV_CHUNK_DONE);
	assert_int_equal(rest, 0);
	assert_int_equal(c.trailer_count, 1);
	assert_int_equal(c.total, cv_buf_len(&out) - strlen("Grpc-Status=0|"));
	assert_int_equal(cv_chunk_line(1, line), 3);
	assert_memory_equal(line, "1\r\n", 3);
	assert_int_equal(cv_chunk_line(0xffffffffffffffeULL, line), CV_CHUNK_LINE_BYTES_MAX);
	assert_memory_equal(line, "ffffffffffffffe\r\n", CV_CHUNK_LINE_BYTES_MAX);
	assert_int_equal(cv_chunk_line(0x10, line), 4);
	assert_memory_equal(line, "10\r\n", 4);
	cv_buf_fini(&wire);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t10_chunks),
		cmocka_unit_test(t10_trailers_bounded),
		cmocka_unit_test(t10_cut_anywhere),
		cmocka_unit_test(writes_what_it_reads),
	};

	return cmocka_run_group_tests_name("wire/chunk", tests, NULL, NULL);
}
