/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_exec.c - bytes to an exec; what was read is written again and must be the same bytes, and
 * merged with a plan's command it must be one that cove-init reads
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "plan/exec.h"
#include "plan/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_str env[] = { { "PATH=/bin", 9 }, { "HOME=/", 6 } };
	const struct cv_plan_command base = { .env = env, .envc = 2, .cwd = CV_STR("/") };
	const struct cv_str bytes = { (const char *)data, size };
	struct cv_plan_command command;
	struct cv_plan_exec exec;
	struct cv_arena arena;
	struct cv_buf b;

	cv_arena_init(&arena, CV_PLAN_MEMORY_MAX);
	if (cv_plan_exec_get(bytes, &arena, &exec, NULL) == CV_OK) {
		cv_buf_init(&b, CV_PLAN_BYTES_MAX);
		cv_assert(cv_plan_exec_put(&b, &exec) && cv_str_eq(cv_buf_str(&b), bytes));
		cv_buf_reset(&b);
		if (cv_plan_exec_command(&exec, &base, &arena, &command, NULL) == CV_OK) {
			cv_assert(cv_plan_command_put(&b, &command));
			cv_assert(cv_plan_command_get(cv_buf_str(&b), &arena, &command, NULL) ==
				  CV_OK);
			cv_assert(command.argc > 0);
		}
		cv_buf_fini(&b);
	}
	cv_arena_fini(&arena);
	return 0;
}
