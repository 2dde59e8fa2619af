/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_infer.c - hostile bodies of calls and answers
 *
 * Input: a byte for protocol and form, one for how the answer is cut, then the body.  Properties: a
 * body that was taken is good JSON for the other model after it was written, and writing that
 * again changes nothing; an answer counts the same however it is cut.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/infer.h"
#include "wire/infer_filter.h"
#include "wire/infer_usage.h"

#define BYTES_MAX (4u << 20)

static void body_try(struct cv_str body, bool drops_model)
{
	const struct cv_infer_edit edit = { .model = CV_STR("m\n\"2"),
		.drops_model = drops_model,
		.version = drops_model ? CV_STR("v") : CV_STR_NONE,
		.wants_stream_usage = true };
	struct cv_json_value v[] = { { .path = "model" }, { .path = "anthropic_version" },
		{ .path = "stream_options.include_usage" } };
	struct cv_infer_asked asked;
	struct cv_buf once, twice;

	if (cv_infer_read(body, &asked) != CV_JSON_PROBLEM_NONE)
		return;
	cv_buf_init(&once, BYTES_MAX);
	cv_buf_init(&twice, BYTES_MAX);
	cv_assert(cv_infer_write(body, &edit, &once));
	cv_assert(cv_json_find(cv_buf_str(&once), v, 3) == CV_JSON_PROBLEM_NONE);
	if (drops_model)
		cv_assert(v[0].token.type == CV_JSON_END && v[1].token.type != CV_JSON_END);
	else
		cv_assert(cv_json_says(&v[0].token, CV_STR("m\n\"2")));
	if (asked.is_stream)
		cv_assert(v[2].token.type == CV_JSON_TRUE);
	cv_assert(cv_infer_write(cv_buf_str(&once), &edit, &twice));
	cv_assert(cv_str_eq(cv_buf_str(&once), cv_buf_str(&twice)));
	cv_buf_fini(&once);
	cv_buf_fini(&twice);
}

static struct cv_infer_usage answer_try(
	struct cv_str body, enum cv_infer_protocol p, const char *type, size_t step)
{
	struct cv_infer_tap t;

	cv_infer_tap_init(&t, p, cv_str_of(type), false, 100);
	while (body.n) {
		cv_infer_tap_feed(&t, cv_str_slice(body, 0, step));
		body = cv_str_slice(body, step, body.n);
	}
	const struct cv_infer_usage u = cv_infer_tap_end(&t);
	cv_infer_tap_fini(&t);
	return u;
}

/* What is taken out is the same however the stream is cut, but for line ends that a CR is cut from. */
static void filter_try(struct cv_str body, size_t step)
{
	struct cv_infer_filter f;
	struct cv_buf out[2];

	if (cv_str_has_byte(body, '\r'))
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(out); i++) {
		struct cv_str rest = body;

		cv_infer_filter_init(&f);
		cv_buf_init(&out[i], BYTES_MAX);
		while (rest.n) {
			const size_t n = i ? step : rest.n;

			cv_assert(cv_infer_filter_feed(&f, cv_str_slice(rest, 0, n), &out[i]));
			rest = cv_str_slice(rest, n, rest.n);
		}
		cv_assert(cv_infer_filter_end(&f, &out[i]));
		cv_infer_filter_fini(&f);
	}
	cv_assert(cv_str_eq(cv_buf_str(&out[0]), cv_buf_str(&out[1])));
	cv_buf_fini(&out[0]);
	cv_buf_fini(&out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const type[] = { "application/json", "text/event-stream",
		"application/vnd.amazon.eventstream" };
	struct cv_str model;

	if (size < 2)
		return 0;
	const enum cv_infer_protocol p = data[0] % CV_INFER_PROTOCOL_COUNT;
	const char *form = type[data[0] / CV_INFER_PROTOCOL_COUNT % CV_ARRAY_LEN(type)];
	const struct cv_str body = { (const char *)data + 2, size - 2 };

	body_try(body, data[1] & 1);
	(void)!cv_infer_classify(data[1] & 2 ? CV_STR("POST") : CV_STR("GET"), body, &model);
	filter_try(body, 1u + data[1]);
	const struct cv_infer_usage whole = answer_try(body, p, form, SIZE_MAX);
	const struct cv_infer_usage parts = answer_try(body, p, form, 1u + data[1]);
	cv_assert(whole.input == parts.input && whole.output == parts.output &&
		  whole.is_told == parts.is_told);
	return 0;
}
