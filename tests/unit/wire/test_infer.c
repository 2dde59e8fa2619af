/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a call of a model is known by its path, its body becomes one for another model and nothing
 * else of it changes, and what it cost is counted whatever shape the answer has.
 * Method: requests, bodies and answers of the real shapes, by table; each answer fed whole and byte
 * by byte, and cut at every place.
 */
#include "unit/test.h"

#include "wire/infer.c"
#include "wire/infer_filter.h"
#include "wire/infer_usage.h"

#include <stdlib.h>

static void classified(void **state)
{
	static const struct {
		const char *method, *path;
		enum cv_infer_protocol want;
		const char *model;
	} row[] = {
		{ "POST", "/v1/chat/completions", CV_INFER_CHAT, "" },
		{ "POST", "/v1/completions", CV_INFER_COMPLETIONS, "" },
		{ "POST", "/v1/responses", CV_INFER_RESPONSES, "" },
		{ "POST", "/v1/messages", CV_INFER_MESSAGES, "" },
		{ "POST", "/v1/embeddings", CV_INFER_EMBEDDINGS, "" },
		{ "GET", "/v1/models", CV_INFER_MODELS, "" },
		{ "GET", "/v1/models/gpt-4", CV_INFER_MODELS, "gpt-4" },
		{ "GET", "/v1/models/meta/llama", CV_INFER_MODELS, "meta/llama" },
		{ "POST", "/model/a.b-v1:0/invoke", CV_INFER_BEDROCK_INVOKE, "a.b-v1:0" },
		{ "POST", "/model/m/invoke-with-response-stream", CV_INFER_BEDROCK_INVOKE_STREAM,
			"m" },
		{ "POST", "/model/m/converse", CV_INFER_BEDROCK_CONVERSE, "m" },
		{ "POST", "/model/m/converse-stream", CV_INFER_BEDROCK_CONVERSE_STREAM, "m" },
		{ "GET", "/v1/chat/completions", CV_INFER_NONE, "" },
		{ "post", "/v1/chat/completions", CV_INFER_NONE, "" },
		{ "POST", "/v1/chat/completions/", CV_INFER_NONE, "" },
		{ "POST", "/v1/chat/completionsx", CV_INFER_NONE, "" },
		{ "POST", "/v1/models", CV_INFER_NONE, "" },
		{ "GET", "/v1/models/", CV_INFER_NONE, "" },
		{ "POST", "/model//invoke", CV_INFER_NONE, "" },
		{ "POST", "/model/a/b/invoke", CV_INFER_NONE, "" },
		{ "POST", "/model/invoke", CV_INFER_NONE, "" },
		{ "POST", "/v1/files", CV_INFER_NONE, "" },
		{ "GET", "/", CV_INFER_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_str model;
		const enum cv_infer_protocol got =
			cv_infer_classify(cv_str_of(row[i].method), cv_str_of(row[i].path), &model);

		if (got != row[i].want)
			fail_msg(
				"%s %s: %s", row[i].method, row[i].path, cv_infer_protocol_id(got));
		assert_str(model, row[i].model);
	}
}

static void rewritten(void **state)
{
	static const struct cv_infer_edit model = { .model = CV_STR("m\"2") };
	static const struct cv_infer_edit stream = { .model = CV_STR("m2"),
		.wants_stream_usage = true };
	static const struct cv_infer_edit vertex = {
		.model = CV_STR("m2"), .drops_model = true, .version = CV_STR("v")
	};
	static const struct {
		const struct cv_infer_edit *edit;
		const char *body, *want;
	} row[] = {
		{ &model, "{}", "{\"model\":\"m\\\"2\"}" },
		{ &model, " { \"a\" : 1e400 , \"model\" : \"x\" ,\"m\":{\"model\":\"in\"} } ",
			" { \"a\" : 1e400 , \"model\" : \"m\\\"2\" ,\"m\":{\"model\":\"in\"} } " },
		{ &model, "{\"mo\\u0064el\":\"x\"}", "{\"mo\\u0064el\":\"m\\\"2\"}" },
		{ &model, "{\"a\":[1,{}]}", "{\"model\":\"m\\\"2\",\"a\":[1,{}]}" },
		{ &model, "{\"stream\":true}", "{\"model\":\"m\\\"2\",\"stream\":true}" },
		{ &stream, "{\"stream\":false,\"model\":\"x\"}",
			"{\"stream\":false,\"model\":\"m2\"}" },
		{ &stream, "{\"model\":\"x\",\"stream\":true}",
			"{\"stream_options\":{\"include_usage\":true},\"model\":\"m2\",\"stream\":true}" },
		{ &stream, "{\"stream\":true}",
			"{\"stream_options\":{\"include_usage\":true},\"model\":\"m2\",\"stream\":true}" },
		{ &stream, "{\"stream\":true,\"stream_options\":{ },\"model\":\"x\"}",
			"{\"stream\":true,\"stream_options\":{\"include_usage\":true },\"model\":\"m2\"}" },
		{ &stream, "{\"model\":\"x\",\"stream\":true,\"stream_options\":{\"z\":[1]}}",
			"{\"model\":\"m2\",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"z\":[1]}}" },
		{ &stream,
			"{\"stream_options\":{\"z\":1,\"include_usage\":false},\"stream\":true,\"model\":\"\"}",
			"{\"stream_options\":{\"z\":1,\"include_usage\":true},\"stream\":true,\"model\":\"m2\"}" },
		{ &stream, "{\"stream_options\":null,\"stream\":true,\"model\":\"x\"}",
			"{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"model\":\"m2\"}" },
		{ &vertex, "{\"model\":\"x\",\"a\":1}", "{\"anthropic_version\":\"v\",\"a\":1}" },
		{ &vertex, "{\"a\":1,\"model\":\"x\",\"b\":2}",
			"{\"anthropic_version\":\"v\",\"a\":1,\"b\":2}" },
		{ &vertex, "{\"a\":1, \"model\":\"x\" }",
			"{\"anthropic_version\":\"v\",\"a\":1 }" },
		{ &vertex, "{\"model\":\"x\"}", "{\"anthropic_version\":\"v\"}" },
		{ &vertex, "{\"anthropic_version\":\"w\",\"model\":\"x\"}",
			"{\"anthropic_version\":\"w\"}" },
		{ &vertex, "{}", "{\"anthropic_version\":\"v\"}" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_infer_asked asked;
		struct cv_buf out;

		cv_buf_init(&out, 4096);
		assert_int_equal(cv_infer_read(cv_str_of(row[i].body), &asked), 0);
		assert_true(cv_infer_write(cv_str_of(row[i].body), row[i].edit, &out));
		assert_str(cv_buf_str(&out), row[i].want);
		assert_int_equal(cv_json_check(cv_buf_str(&out), NULL), 0);
		cv_buf_fini(&out);
	}
}

static void t15_bodies_refused(void **state)
{
	static const char *const row[] = { "", "[]", "1", "{\"model\":1}", "{\"model\":null}",
		"{\"stream\":\"yes\"}", "{\"stream\":1}", "{\"model\":\"a\",\"model\":\"b\"}",
		"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", "{\"stream\":true,\"stream\":false}",
		"{\"model\":\"a\"}x", "\xef\xbb\xbf{}", "{\"model\":\"a\"" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_infer_asked asked;

		if (cv_infer_read(cv_str_of(row[i]), &asked) == CV_JSON_PROBLEM_NONE)
			fail_msg("taken: %s", row[i]);
	}
}

#define SSE "text/event-stream; charset=utf-8"
#define J   "application/json"

static const struct answer {
	enum cv_infer_protocol p;
	const char *type, *body;
	uint64_t input, output;
	bool is_told;
} answer[] = {
	{ CV_INFER_CHAT, J,
		"{\"id\":\"x\",\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{\"prompt_tokens\":9,"
		"\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":{\"cached_tokens\":4}}}",
		9, 12, true },
	{ CV_INFER_CHAT, SSE,
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n"
		"data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n"
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n"
		"data: [DONE]\n\n",
		7, 3, true },
	{ CV_INFER_CHAT, SSE, "data: {\"choices\":[]}\r\n\r\ndata: {\"choices\":[]}\r\n\r\n", 26, 2,
		false },
	{ CV_INFER_EMBEDDINGS, J,
		"{\"data\":[],\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}", 8, 0, true },
	{ CV_INFER_RESPONSES, J, "{\"usage\":{\"input_tokens\":36,\"output_tokens\":87}}", 36, 87,
		true },
	{ CV_INFER_RESPONSES, SSE,
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n"
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":"
		"{\"input_tokens\":37,\"output_tokens\":11,\"total_tokens\":48}}}\n\n",
		37, 11, true },
	{ CV_INFER_MESSAGES, J,
		"{\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":100,"
		"\"cache_creation_input_tokens\":1000,\"output_tokens\":5}}",
		1110, 5, true },
	{ CV_INFER_MESSAGES, SSE,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,"
		"\"output_tokens\":1}}}\n\n: ping\n\nevent: content_block_delta\ndata: {\"delta\":{\"text\":\"x\"}}\n\n"
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n"
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		25, 15, true },
	{ CV_INFER_BEDROCK_CONVERSE, J,
		"{\"usage\":{\"inputTokens\":3,\"outputTokens\":4,\"totalTokens\":7}}", 3, 4,
		true },
	{ CV_INFER_BEDROCK_INVOKE, J,
		"{\"generation\":\"x\",\"prompt_token_count\":6,\"generation_token_count\":2}", 6,
		2, true },
	{ CV_INFER_BEDROCK_INVOKE, J,
		"{\"inputTextTokenCount\":5,\"results\":[{\"tokenCount\":3}]}", 5, 3, true },
	{ CV_INFER_CHAT, J,
		"{\"usage\":{\"prompt_tokens\":1e400,\"completion_tokens\":99999999999999999999}}",
		UINT64_MAX, UINT64_MAX, true },
	{ CV_INFER_CHAT, J, "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":\"7\"}}", 26,
		13, false },
	{ CV_INFER_CHAT, J, "{\"usage\":{\"prompt_tokens\":1,\"prompt_tokens\":0}}", 26, 11,
		false },
	{ CV_INFER_CHAT, J, "<html>", 26, 1, false },
	{ CV_INFER_MODELS, J, "{\"data\":[]}", 0, 0, true },
};

static struct cv_infer_usage fed(const struct answer *a, size_t step, size_t bytes)
{
	struct cv_str rest = cv_str_slice(cv_str_of(a->body), 0, bytes);
	struct cv_infer_tap t;

	cv_infer_tap_init(&t, a->p, cv_str_of(a->type), false, 100);
	while (rest.n) {
		cv_infer_tap_feed(&t, cv_str_slice(rest, 0, step));
		rest = cv_str_slice(rest, step, rest.n);
	}
	const struct cv_infer_usage u = cv_infer_tap_end(&t);
	cv_infer_tap_fini(&t);
	return u;
}

static void counted(void **state)
{
	static const size_t steps[] = { SIZE_MAX, 1, 7 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(answer); i++)
		for (size_t k = 0; k < CV_ARRAY_LEN(steps); k++) {
			const struct cv_infer_usage u =
				fed(&answer[i], steps[k], strlen(answer[i].body));

			if (u.input != answer[i].input || u.output != answer[i].output ||
				u.is_told != answer[i].is_told)
				fail_msg("%s: %llu %llu %d", answer[i].body,
					(unsigned long long)u.input, (unsigned long long)u.output,
					u.is_told);
		}
}

/* Hanging up makes no call free: whatever is cut off, something is counted. */
static void cut_is_not_free(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(answer); i++)
		for (size_t n = 0; n < strlen(answer[i].body); n++)
			if (answer[i].p != CV_INFER_MODELS)
				assert_true(fed(&answer[i], SIZE_MAX, n).input > 0);
}

static void event_put(struct cv_buf *b, const char *payload)
{
	const uint32_t headers = 5, total = 12 + headers + (uint32_t)strlen(payload) + 4;

	cv_buf_put_u32be(b, total);
	cv_buf_put_u32be(b, headers);
	cv_buf_put_u32be(b, 0);
	cv_buf_put(b, CV_STR("abcde"));
	cv_buf_put(b, cv_str_of(payload));
	cv_buf_put_u32be(b, 0);
}

static void bedrock_streams(void **state)
{
	static const char *const long_type = "application/vnd.amazon.eventstream";
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4u << 20);
	event_put(&b, "{\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdGFydCJ9\"}");
	char *filler = malloc(CV_INFER_EVENT_BYTES_MAX + 1); /* too long to be read: passed over */
	assert_non_null(filler);
	memset(filler, 'x', CV_INFER_EVENT_BYTES_MAX);
	filler[CV_INFER_EVENT_BYTES_MAX] = 0;
	event_put(&b, filler);
	free(filler);
	/* {"amazon-bedrock-invocationMetrics":{"inputTokenCount":14,"outputTokenCount":30}} */
	event_put(&b,
		"{\"bytes\":\"eyJhbWF6b24tYmVkcm9jay1pbnZvY2F0aW9uTWV0cmljcyI6eyJpbnB1dFRva2VuQ291bnQiOj"
		"E0LCJvdXRwdXRUb2tlbkNvdW50IjozMH19\"}");
	assert_false(b.is_overflown);
	static const size_t steps[] = { SIZE_MAX, 4093 };
	for (size_t k = 0; k < CV_ARRAY_LEN(steps); k++) {
		struct cv_str rest = cv_buf_str(&b);
		struct cv_infer_tap t;

		cv_infer_tap_init(
			&t, CV_INFER_BEDROCK_INVOKE_STREAM, cv_str_of(long_type), false, 4);
		while (rest.n) {
			cv_infer_tap_feed(&t, cv_str_slice(rest, 0, steps[k]));
			rest = cv_str_slice(rest, steps[k], rest.n);
		}
		const struct cv_infer_usage u = cv_infer_tap_end(&t);
		assert_true(u.is_told);
		assert_int_equal(u.input, 14);
		assert_int_equal(u.output, 30);
		cv_infer_tap_fini(&t);
	}
	cv_buf_fini(&b);
	struct cv_infer_tap t;
	cv_infer_tap_init(&t, CV_INFER_BEDROCK_INVOKE, CV_STR("application/json"), true, 4);
	cv_infer_tap_field(&t, CV_STR("X-Amzn-Bedrock-Input-Token-Count"), CV_STR("21"));
	cv_infer_tap_field(&t, CV_STR("x-amzn-bedrock-output-token-count"), CV_STR("22"));
	cv_infer_tap_field(&t, CV_STR("x-amzn-bedrock-output-token-count"), CV_STR("-1"));
	cv_infer_tap_feed(&t, CV_STR("\x1f\x8b"));
	const struct cv_infer_usage u = cv_infer_tap_end(&t);
	assert_true(u.is_told && u.input == 21 && u.output == 22);
	cv_infer_tap_fini(&t);
}

static void usage_hidden(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
		{ "data: {\"choices\":[{}]}\n\ndata: {\"choices\":[],\"usage\":{\"a\":1}}\n\ndata: [DONE]\n\n",
			"data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n" },
		{ "data: {\"usage\":{},\"choices\":[ ]}\r\n\r\ndata: x\r\n\r\n",
			"data: x\r\n\r\n" },
		{ "data: {\"usage\":{},\"choices\":[]}\r\rdata: x\r\r", "data: x\r\r" },
		{ "data: {\"choices\":[],\"usage\":null}\n\n",
			"data: {\"choices\":[],\"usage\":null}\n\n" },
		{ "data: {\"choices\":[{}],\"usage\":{}}\n\n",
			"data: {\"choices\":[{}],\"usage\":{}}\n\n" },
		{ "data: {\"usage\":{}}\n\n", "data: {\"usage\":{}}\n\n" },
		{ ": ping\n\n\n\ndata: a\ndata: b\n\nrest",
			": ping\n\n\n\ndata: a\ndata: b\n\nrest" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		for (size_t step = 1; step < 100; step += 7) {
			struct cv_str rest = cv_str_of(row[i].in);
			struct cv_infer_filter f;
			struct cv_buf out;

			cv_infer_filter_init(&f);
			cv_buf_init(&out, 4096);
			while (rest.n) {
				assert_true(cv_infer_filter_feed(
					&f, cv_str_slice(rest, 0, step), &out));
				rest = cv_str_slice(rest, step, rest.n);
			}
			assert_true(cv_infer_filter_end(&f, &out));
			/* where a CR is cut from its LF, that LF may stay: an empty line more */
			if (step >= 8 || !strchr(row[i].in, '\r'))
				assert_str(cv_buf_str(&out), row[i].want);
			cv_buf_fini(&out);
			cv_infer_filter_fini(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classified),
		cmocka_unit_test(rewritten),
		cmocka_unit_test(t15_bodies_refused),
		cmocka_unit_test(counted),
		cmocka_unit_test(cut_is_not_free),
		cmocka_unit_test(bedrock_streams),
		cmocka_unit_test(usage_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
