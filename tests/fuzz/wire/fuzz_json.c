/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json.c - hostile JSON
 *
 * Property: a text that is taken, written anew from its tokens (strings decoded and escaped again),
 * is taken too and gives the same tokens; and tokens lie in the text, in order, without overlap.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/json.h"

#define BYTES_MAX (8u << 20)

static void text_put(struct cv_buf *b, const struct cv_json_token *t)
{
	struct cv_buf said;

	cv_buf_init(&said, BYTES_MAX);
	cv_assert(cv_json_decode(t, &said));
	cv_assert(cv_json_says(t, cv_buf_str(&said)));
	cv_buf_put_byte(b, '"');
	cv_buf_put_json(b, cv_buf_str(&said));
	cv_buf_put_byte(b, '"');
	cv_buf_fini(&said);
}

static void token_put(struct cv_buf *b, const struct cv_json_token *t, bool *needs_comma)
{
	const bool is_end = t->type == CV_JSON_OBJECT_END || t->type == CV_JSON_ARRAY_END;

	if (*needs_comma && !is_end)
		cv_buf_put_byte(b, ',');
	*needs_comma =
		t->type != CV_JSON_OBJECT && t->type != CV_JSON_ARRAY && t->type != CV_JSON_KEY;
	if (t->type == CV_JSON_STRING || t->type == CV_JSON_KEY)
		text_put(b, t);
	else
		cv_buf_put(b, t->raw);
	if (t->type == CV_JSON_KEY)
		cv_buf_put_byte(b, ':');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_json_value found[] = { { .path = "usage.total_tokens" }, { .path = "a.0.b" },
		{ .path = "0" } };
	struct cv_json_token a, b;
	struct cv_json j, again;
	bool needs_comma = false;
	struct cv_buf out;
	size_t at = 0;
	uint64_t number;

	cv_buf_init(&out, BYTES_MAX);
	cv_json_init(&j, text);
	while (cv_json_next(&j, &a) != CV_JSON_END && a.type != CV_JSON_BAD) {
		cv_assert(at <= a.at && a.at < a.end && a.end <= size);
		at = a.end;
		token_put(&out, &a, &needs_comma);
		if (cv_json_to_u64(&a, &number))
			cv_assert(a.type == CV_JSON_NUMBER);
	}
	cv_assert(j.at <= size);
	cv_assert(cv_json_find(text, found, CV_ARRAY_LEN(found)) == j.problem);
	if (a.type == CV_JSON_END && !out.is_overflown) {
		cv_json_fini(&j);
		cv_json_init(&j, text);
		cv_json_init(&again, cv_buf_str(&out));
		do {
			cv_json_next(&j, &a);
			cv_json_next(&again, &b);
			cv_assert(a.type == b.type);
		} while (a.type != CV_JSON_END);
		cv_json_fini(&again);
	}
	cv_json_fini(&j);
	cv_buf_fini(&out);
	return 0;
}
