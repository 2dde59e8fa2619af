/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a response on a credentialed endpoint is scrubbed in every part, or refused with a reason;
 * what is no longer true of it is dropped (C2, C3, T15).
 * Method: heads as an origin writes them are parsed, planned, edited and written anew; bodies are
 * coded with zlib and fed in steps.
 */
#include "unit/test.h"

#include "cred/response.c"
#include "wire/h1_write.h"

#include <zlib.h>

#define SECRET "ghp_16C7e42F292c"

static struct cv_scrub_set *set;
static struct cv_arena arena;

static int setup(void **state)
{
	const struct cv_str value = CV_STR(SECRET);

	(void)state;
	cv_arena_init(&arena, 1u << 20);
	return cv_scrub_set_new(&value, 1, NULL, &set, NULL);
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	cv_scrub_set_unref(set);
	return 0;
}

static struct cv_h1_response parsed(const char *head)
{
	struct cv_h1_response r;
	size_t scanned = 0;

	assert_int_equal(cv_h1_response_parse(cv_str_of(head), CV_H1_REPLY_HEAD_BYTES_MAX, &scanned,
				 CV_H1_ASKED_OTHER, &r),
		CV_H1_OK);
	return r;
}

static struct cv_response_plan planned(
	const struct cv_h1_response *r, struct cv_response_asked asked)
{
	return cv_response_plan(r->status, r->header, r->header_count, set, asked);
}

static void t15_plans(void **state)
{
	static const struct {
		const char *head;
		enum cv_response_action action;
		enum cv_response_reason reason;
	} row[] = {
		{ "200 OK\r\n", CV_RESPONSE_SCRUB, 0 },
		{ "200 OK\r\nContent-Encoding: identity\r\n", CV_RESPONSE_SCRUB, 0 },
		{ "500 No\r\nContent-Encoding: gzip\r\n", CV_RESPONSE_DECODE, 0 },
		{ "200 OK\r\nContent-Encoding: gzip, br\r\n", CV_RESPONSE_DECODE, 0 },
		{ "200 OK\r\nContent-Encoding: gzip\r\nContent_encoding: zstd\r\n",
			CV_RESPONSE_DECODE, 0 },
		{ "200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Encoding: gzip\r\n",
			CV_RESPONSE_REFUSE, CV_RESPONSE_REASON_DEEP },
		{ "200 OK\r\nContent-Encoding: compress\r\n", CV_RESPONSE_REFUSE,
			CV_RESPONSE_REASON_CODING },
		{ "304 Not Modified\r\nContent-Encoding: compress\r\n", CV_RESPONSE_SCRUB, 0 },
		{ "206 Part\r\nContent-Range: bytes 0-1/9\r\n", CV_RESPONSE_REFUSE,
			CV_RESPONSE_REASON_PARTIAL },
		{ "206 Part\r\nContent-Type: multipart/byteranges; boundary=x\r\n",
			CV_RESPONSE_REFUSE, CV_RESPONSE_REASON_PARTIAL },
		{ "200 OK\r\nContent-Range: bytes 0-1/9\r\n", CV_RESPONSE_REFUSE,
			CV_RESPONSE_REASON_PARTIAL },
		{ "226 IM Used\r\n", CV_RESPONSE_REFUSE, CV_RESPONSE_REASON_PARTIAL },
		{ "416 Range\r\nContent-Range: bytes */9\r\n", CV_RESPONSE_SCRUB, 0 },
		{ "200 OK\r\ngrpc-encoding: gzip\r\n", CV_RESPONSE_REFUSE,
			CV_RESPONSE_REASON_MESSAGES },
		{ "200 OK\r\ngrpc-encoding: identity\r\n", CV_RESPONSE_SCRUB, 0 },
		{ "200 OK\r\nContent-Type: text/plain; charset=\"UTF-16LE\"\r\n",
			CV_RESPONSE_REFUSE, CV_RESPONSE_REASON_CHARSET },
		{ "200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n", CV_RESPONSE_SCRUB, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const char *head = cv_arena_printf(&arena, "HTTP/1.1 %s\r\n", row[i].head).p;
		const struct cv_h1_response r = parsed(head);
		const struct cv_response_plan p = planned(&r, (struct cv_response_asked){ 0 });

		if (p.action != row[i].action || p.reason != row[i].reason)
			fail_msg("%s: %d %s", head, (int)p.action,
				cv_response_reason_row(p.reason)->slug);
		assert_int_equal(
			planned(&r, (struct cv_response_asked){ .is_unscrubbed = true }).action,
			CV_RESPONSE_PASS);
		assert_int_not_equal(
			planned(&r, (struct cv_response_asked){ .is_head = true }).action,
			CV_RESPONSE_REFUSE);
	}
}

/* The head after all edits, as it would be sent. */
static struct cv_str sent(const char *head, struct cv_buf *out)
{
	struct cv_scrub *s = cv_scrub_new(set);
	struct cv_h1_response r = parsed(head);
	const struct cv_response_plan p = planned(&r, (struct cv_response_asked){ 0 });
	struct cv_h1_edit e = { 0 };

	assert_non_null(s);
	assert_true(cv_response_head(&p, s, &arena, &r));
	cv_h1_edit_of_response(&e, &r);
	cv_buf_reset(out);
	assert_true(cv_h1_write_response(out, &r, &e));
	cv_scrub_free(s);
	return cv_buf_str(out);
}

static void c3_heads(void **state)
{
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1u << 16);
	assert_str(sent("HTTP/1.1 302 No " SECRET "\r\n"
			"Location: https://x/?t=ghp%5F16C7e42F292c\r\n"
			"Set-Cookie: a=Z2hwXzE2QzdlNDJGMjkyYw==\r\n"
			"Set-Cookie: b=6768705f31364337653432463239326\r\n"
			"WWW-Authenticate: Basic realm=\"" SECRET "\"\r\n"
			"X-" SECRET ": 1\r\n"
			"ETag: \"" SECRET "\"\r\n"
			"Accept-Ranges: bytes\r\n"
			"Content-MD5: abc\r\n"
			"Content-Length: 7\r\n\r\n",
			   &out),
		"HTTP/1.1 302 No ****************\r\n"
		"Location: https://x/?t=***%2A************\r\n"
		"Set-Cookie: a=AAAAAAAAAAAAAAAAAAAAAw==\r\n"
		"Set-Cookie: b=6768705f31364337653432463239326\r\n"
		"WWW-Authenticate: Basic realm=\"****************\"\r\n"
		"X-****************: 1\r\n"
		"ETag: \"****************\"\r\n"
		"Content-MD5: abc\r\n"
		"Content-Length: 7\r\n\r\n");
	assert_str(sent("HTTP/1.1 200 OK\r\n"
			"Content-Encoding: gzip\r\n"
			"ETag: \"abc\"\r\n"
			"Digest: sha-256=x\r\n"
			"Content-Length: 7\r\n\r\n",
			   &out),
		"HTTP/1.1 200 OK\r\n"
		"ETag: W/\"abc\"\r\n"
		"Transfer-Encoding: chunked\r\n\r\n");
	cv_buf_fini(&out);
}

/* All fields are looked at as one text first: that must find what is in any of them, whatever stands
 * before it. */
static void c3_every_field_behind_every_other(void **state)
{
	static const char *const before[] = { "", "a", "ends in %", "ends in %4", "ends in \\",
		"ends in \\u00", "ends in \\ud83d", "ends in %25", "ghp_16C7", "ghp_16C7e42F292",
		"ghp_16C7e42F292c", "Z2hwXzE2QzdlNDJGMjky", "6768705f3136433765",
		"%67%68%70%5f16C7e4", "\\u0067hp_16C7e42F29", "short" };
	static const char *const secret[] = { "ghp_16C7e42F292c", "x ghp_16C7e42F292c y",
		"%67hp_16C7e42F292c", "g%68p_16C7e42F292%63", "\\u0067hp_16C7e42F292c",
		"%5cu0067hp_16C7e42F292c",
		"Z2hwXzE2QzdlNDJGMjkyYw==", "eHggZ2hwXzE2QzdlNDJGMjkyYyB5",
		"6768705F31364337653432463239326", "6768705f313643376534324632393263",
		"no secret here at all" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(before); i++)
		for (size_t k = 0; k < CV_ARRAY_LEN(secret); k++)
			for (int where = 0; where < 3; where++) {
				struct cv_h1_header h[2] = {
					{ .name = CV_STR("x-first"),
						.value = cv_str_of(before[i]) },
					{ .name = CV_STR("x-second"),
						.value = cv_str_of(secret[k]) },
				};
				struct cv_scrub *s = cv_scrub_new(set);
				struct cv_buf want[4];

				if (where == 1) /* in a name, behind a value */
					h[1] = (struct cv_h1_header){ .name = cv_str_of(secret[k]),
						.value = CV_STR("x") };
				if (where == 2) /* in the value, behind its name */
					h[1].name = cv_str_of(before[i]);
				for (size_t n = 0; n < 4; n++) {
					cv_buf_init(&want[n], 256);
					assert_true(cv_scrub_text(s,
						n % 2 ? h[n / 2].value : h[n / 2].name, &want[n]));
				}
				assert_true(cv_response_fields(s, &arena, h, 2));
				for (size_t n = 0; n < 4; n++) {
					assert_true(
						cv_str_eq(n % 2 ? h[n / 2].value : h[n / 2].name,
							cv_buf_str(&want[n])));
					cv_buf_fini(&want[n]);
				}
				cv_scrub_free(s);
				cv_arena_reset(&arena);
			}
}

static void c3_trailers(void **state)
{
	struct cv_h1_header h[] = { { .name = CV_STR("grpc-message"),
		.value = CV_STR("bad token %67hp_16C7e42F292c") } };
	struct cv_scrub *s = cv_scrub_new(set);

	(void)state;
	assert_true(cv_response_fields(s, &arena, h, 1));
	assert_str(h[0].value, "bad token %2A***************");
	cv_scrub_free(s);
}

static void c2_coded_bodies(void **state)
{
	static const char text[] = "{\"echo\":\"" SECRET "\",\"b\":\"" SECRET "\"}";
	uint8_t coded[512];
	struct cv_buf out;
	z_stream z = { .next_in = (Bytef *)(uintptr_t)text,
		.avail_in = sizeof(text) - 1,
		.next_out = coded,
		.avail_out = sizeof(coded) };

	(void)state;
	assert_int_equal(
		deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	const size_t n = z.total_out;

	deflateEnd(&z);
	cv_buf_init(&out, 1u << 20);
	for (size_t whole = 0; whole < 2; whole++)
		for (size_t step = 1; step <= n; step++) {
			const struct cv_response_plan p = { .action = CV_RESPONSE_DECODE,
				.codings = { CV_CODING_GZIP },
				.coding_count = 1 };
			struct cv_response_body *b = cv_response_body_new(&p, cv_scrub_new(set));
			const size_t end = whole ? n : n - 1;

			cv_buf_reset(&out);
			for (size_t at = 0; at < end; at += step) {
				struct cv_str in = cv_str_slice(
					(struct cv_str){ (char *)coded, end }, at, at + step);

				assert_int_equal(cv_response_body_feed(b, &in, &out), CV_DECODE_OK);
				assert_int_equal(in.n, 0);
			}
			assert_int_equal(cv_response_body_end(b, &out),
				whole ? CV_DECODE_OK : CV_DECODE_TRUNCATED);
			if (whole)
				assert_str(cv_buf_str(&out),
					"{\"echo\":\"****************\",\"b\":\"****************\"}");
			assert_int_equal(cv_scrub_hits(cv_response_body_scrub(b)), 2);
			cv_response_body_free(b);
		}
	cv_buf_fini(&out);
}

static void accept_encoding(void **state)
{
	static const struct {
		const char *client[2], *want;
	} row[] = {
		{ { NULL }, "identity" },
		{ { "gzip, deflate, br, zstd" }, "gzip, br, zstd" },
		{ { "compress, GZIP;q=0.5" }, "gzip" },
		{ { "br;q=0, *" }, "gzip, zstd" },
		{ { "*;q=0.000" }, "identity" },
		{ { "deflate", "br ; q=1.0" }, "br" },
		{ { "" }, "identity" },
	};
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 100);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_h1_header h[2];
		size_t count = 0;

		for (; count < 2 && row[i].client[count]; count++)
			h[count] = (struct cv_h1_header){ .name = CV_STR("Accept-Encoding"),
				.value = cv_str_of(row[i].client[count]) };
		cv_buf_reset(&out);
		assert_true(cv_response_accept_encoding(h, count, &out));
		assert_str(cv_buf_str(&out), row[i].want);
	}
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t15_plans),
		cmocka_unit_test(c3_heads),
		cmocka_unit_test(c3_every_field_behind_every_other),
		cmocka_unit_test(c3_trailers),
		cmocka_unit_test(c2_coded_bodies),
		cmocka_unit_test(accept_encoding),
	};

	return cmocka_run_group_tests_name("cred/response", tests, setup, teardown);
}
