/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_plan.c - bytes to a plan; what was read is written again and must be the same bytes
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "plan/limits.h"
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str bytes = { (const char *)data, size };
	struct cv_arena arena;
	struct cv_plan plan;
	struct cv_buf b;

	cv_arena_init(&arena, CV_PLAN_MEMORY_MAX);
	if (cv_plan_get(bytes, &arena, &plan, NULL) == CV_OK) {
		cv_buf_init(&b, CV_PLAN_BYTES_MAX);
		cv_assert(cv_plan_put(&b, &plan) && cv_str_eq(cv_buf_str(&b), bytes));
		cv_buf_reset(&b);
		cv_plan_text(&plan, &b);
		cv_buf_reset(&b);
		cv_plan_json(&plan, &b);
		cv_buf_fini(&b);
	}
	cv_arena_fini(&arena);
	return 0;
}
