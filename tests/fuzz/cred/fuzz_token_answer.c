/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what a token endpoint answers is read and written within bounds, and what is written is JSON again,
 * in which the words stand where the tokens stood.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/token_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct cv_str words[CV_KEEPER_TOKENS_MAX] = { CV_STR("word-0"),
		CV_STR("word-1"), CV_STR("word-2"), CV_STR("word-3"), CV_STR("word-4"),
		CV_STR("word-5"), CV_STR("word-6"), CV_STR("word-7") };
	const struct cv_str text = { (const char *)data, n };
	struct cv_token_answer a, again;
	struct cv_arena arena;
	struct cv_buf b;

	cv_arena_init(&arena, 1 << 20);
	cv_buf_init(&b, 1 << 20);
	if (!cv_token_answer_read(text, &arena, &a)) {
		cv_assert(cv_token_answer_write(text, &a, words, &b));
		if (cv_buf_len(&b) <= CV_TOKEN_ANSWER_BYTES_MAX) {
			cv_assert(!cv_token_answer_read(cv_buf_str(&b), &arena, &again));
			cv_assert(again.n == a.n);
		}
		for (size_t i = 0; i < a.n && cv_buf_len(&b) <= CV_TOKEN_ANSWER_BYTES_MAX; i++)
			cv_assert(cv_str_eq(again.v[i].value, words[i]) &&
				  again.v[i].kind == a.v[i].kind &&
				  again.v[i].lives_s == a.v[i].lives_s);
	}
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
	return 0;
}
