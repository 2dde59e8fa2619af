/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sse.c - event streams as rows, each fed whole, byte by byte and in threes
 */
#include "unit/test.h"

#include "wire/sse.c"

static void play(struct cv_str s, size_t step, struct cv_buf *out)
{
	struct cv_sse_event e;
	struct cv_sse sse;

	cv_sse_init(&sse);
	for (size_t at = 0; at < s.n; at += step) {
		struct cv_str in = cv_str_slice(s, at, at + step);
		enum cv_sse_result r;

		while ((r = cv_sse_next(&sse, &in, &e)) != CV_SSE_MORE) {
			if (r == CV_SSE_SKIP) {
				cv_buf_put(out, CV_STR("(skip)"));
				continue;
			}
			cv_buf_printf(out, "%.*s:%.*s:%.*s%s|", CV_STR_ARG(e.type),
				CV_STR_ARG(e.id), CV_STR_ARG(e.data), e.is_utf8 ? "" : "!");
		}
		assert_int_equal(in.n, 0);
	}
	if (sse.has_retry)
		cv_buf_printf(out, "retry %u", (unsigned)sse.retry_ms);
	cv_sse_fini(&sse);
}

static void test_rows(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "data: a\n\n", "message::a|" },
		{ "data: a\r\n\r\n", "message::a|" },
		{ "data: a\r\rdata: b\r\r", "message::a|message::b|" },
		{ "data: a\r\n\ndata: b\n\r\n", "message::a|message::b|" },
		{ "\xef\xbb\xbf"
		  "data: a\n\n",
			"message::a|" },
		{ "\n\xef\xbb\xbf"
		  "data: a\n\n",
			"" },
		{ "data: a\ndata: b\n\n", "message::a\nb|" },
		{ "data\ndata\n\n", "message::\n|" },
		{ "data:\n\n", "message::|" },
		{ "data:a\n\ndata:  a\n\n", "message::a|message:: a|" },
		{ ": comment\ndata: a\n:\n\n", "message::a|" },
		{ "event: e\ndata: a\n\ndata: b\n\n", "e::a|message::b|" },
		{ "event: e\n\ndata: b\n\n", "message::b|" },
		{ "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
			"message:1:a|message:1:b|message::c|" },
		{ "retry: 10\nretry: x\nretry: -1\n\n", "retry 10" },
		{ "Data: a\nfoo: b\n data: c\n\n", "" },
		{ "data: a", "" },
		{ "data: a\n", "" },
		{ "data: \xff\n\n", "message::\xff!|" },
		{ "event: \xc3\ndata: a\n\n", "\xc3::a!|" },
		{ "data: {\"usage\":{\"a:b\":1}}\n\ndata: [DONE]\n\n",
			"message::{\"usage\":{\"a:b\":1}}|message::[DONE]|" },
	};
	static const size_t steps[] = { 1, 2, 3, 1000 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < CV_ARRAY_LEN(steps); k++) {
			struct cv_buf out;

			cv_buf_init(&out, 4096);
			play(cv_str_of(rows[i].text), steps[k], &out);
			if (!cv_str_eq(cv_buf_str(&out), cv_str_of(rows[i].want)))
				fail_msg("row %zu by %zu: got \"%.*s\", want \"%s\"", i, steps[k],
					CV_STR_ARG(cv_buf_str(&out)), rows[i].want);
			cv_buf_fini(&out);
		}
}

/* What is over a limit is skipped; what follows is read. */
static void test_limits(void **state)
{
	static const struct {
		const char *field;
		size_t n, times;
	} rows[] = {
		{ "data: ", CV_SSE_LINE_BYTES_MAX, 1 }, /* with its name it is too long */
		{ "data: ", CV_SSE_LINE_BYTES_MAX - 6, 5 },
		{ "event: ", CV_SSE_NAME_BYTES_MAX + 1, 1 },
		{ "id: ", CV_SSE_NAME_BYTES_MAX + 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		for (size_t step = 4096; step <= 8u << 20; step = step * 2048) {
			struct cv_buf in, out;

			cv_buf_init(&in, 16u << 20);
			cv_buf_init(&out, 4096);
			cv_buf_put(&in, CV_STR("data: a\n\ndata: b\n"));
			for (size_t k = 0; k < rows[i].times; k++) {
				cv_buf_put(&in, cv_str_of(rows[i].field));
				memset(cv_buf_reserve(&in, rows[i].n), 'x', rows[i].n);
				cv_buf_commit(&in, rows[i].n);
				cv_buf_put_byte(&in, '\n');
			}
			cv_buf_put(&in, CV_STR("\ndata: c\n\n"));
			play(cv_buf_str(&in), step, &out);
			assert_str(cv_buf_str(&out), "message::a|(skip)message::c|");
			cv_buf_fini(&in);
			cv_buf_fini(&out);
		}
}

static void test_type(void **state)
{
	(void)state;
	assert_true(cv_sse_is_type(CV_STR("text/event-stream")));
	assert_true(cv_sse_is_type(CV_STR("Text/Event-Stream ; charset=utf-8")));
	assert_false(cv_sse_is_type(CV_STR("text/event-streams")));
	assert_false(cv_sse_is_type(CV_STR("application/json; text/event-stream")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
