/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_proposal.c - an agent's document, and the bytes of a message: what was read is written, and is the
 * same when it is read again
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "plan/proposal.h"
#include "wire/json_value.h"

static void again(const struct cv_proposals *p, struct cv_arena *arena)
{
	struct cv_proposals copy;
	struct cv_buf a, b;

	cv_buf_init(&a, 1 << 20);
	cv_buf_init(&b, 1 << 20);
	if (cv_proposals_put(p, &a)) {
		cv_assert(cv_proposals_get(cv_buf_str(&a), arena, &copy));
		cv_assert(cv_proposals_put(&copy, &b));
		cv_assert(cv_str_eq(cv_buf_str(&a), cv_buf_str(&b)));
	}
	cv_buf_fini(&a);
	cv_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str bytes = { (const char *)data, size };
	const struct cv_value *document;
	struct cv_arena arena;
	struct cv_proposals p;
	struct cv_err err;

	cv_arena_init(&arena, 16 << 20);
	if (cv_proposals_get(bytes, &arena, &p))
		again(&p, &arena);
	if (cv_json_value_read(bytes, &arena, &document, NULL) == CV_JSON_PROBLEM_NONE) {
		if (cv_proposals_read(document, &arena, &p, &err) == CV_OK)
			again(&p, &arena);
		else
			cv_assert(err.msg[0]);
	}
	cv_arena_fini(&arena);
	return 0;
}
