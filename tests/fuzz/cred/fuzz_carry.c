/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_carry.c - replies of a courier that has been taken over
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/carry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_cred_refresh refresh = { .strategy = CV_STR("oauth2_refresh_token") };
	const struct cv_str message = { (const char *)data + 1, size ? size - 1 : 0 };
	struct cv_carry_reply reply;
	struct cv_refresh_result result;
	struct cv_arena arena;
	struct cv_err err;

	if (!size || cv_carry_get(data[0] & 1, message, &reply, &err) != CV_OK)
		return 0;
	cv_assert(reply.header_count <= CV_CARRY_HEADERS_MAX);
	cv_assert(reply.failure < CV_COURIER_FAILURE_COUNT);
	cv_arena_init(&arena, 1 << 20);
	cv_carry_result(&refresh, &reply, message, 1700000000, &arena, &result);
	cv_assert(result.verdict != CV_REFRESH_RENEWED || result.output_count);
	cv_arena_fini(&arena);
	return 0;
}
