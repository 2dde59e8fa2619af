/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_command_output.c - what a command of the user's prints
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/refresh.h"

#define NOW_S 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_cred_refresh refresh = { .strategy = CV_STR("command") };
	const struct cv_refresh_answer answer = { .body = { (const char *)data, size } };
	struct cv_refresh_result r;
	struct cv_arena arena;

	cv_arena_init(&arena, 1 << 20);
	cv_refresh_response(&refresh, &answer, NOW_S, &arena, &r);
	cv_assert((r.verdict == CV_REFRESH_RENEWED) == (r.output_count == 1));
	if (r.output_count) {
		cv_assert(r.expires_s > NOW_S);
		for (size_t j = 0; j < r.outputs[0].value.n; j++)
			cv_assert(r.outputs[0].value.p[j] > ' ' && r.outputs[0].value.p[j] < 0x7f);
	}
	cv_arena_fini(&arena);
	return 0;
}
