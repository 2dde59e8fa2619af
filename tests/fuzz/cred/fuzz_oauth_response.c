/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_oauth_response.c - answers of issuers, for every strategy that asks over HTTP
 *
 * The first line chooses: strategy, status, Retry-After.  What is renewed has a token that can
 * stand in a header, and an expiry that is to come; what is not has none.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/refresh.h"

#define NOW_S 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_str rest = { (const char *)data, size };
	struct cv_str line = cv_str_cut(&rest, '\n');
	const struct cv_cred_refresh refresh = { .strategy = cv_str_cut(&line, ' ') };
	const struct cv_str status = cv_str_cut(&line, ' ');
	const struct cv_cred_header header = { CV_STR("retry-after"), line };
	struct cv_refresh_answer answer = { .headers = &header, .header_count = 1, .body = rest };
	struct cv_refresh_result r;
	struct cv_arena arena;
	uint64_t n = 0;

	if (cv_str_to_u64(status, 599, &n))
		answer.status = (int)n;
	cv_arena_init(&arena, 4 << 20);
	cv_refresh_response(&refresh, &answer, NOW_S, &arena, &r);
	cv_assert(r.reason < CV_REFRESH_REASON_COUNT);
	cv_assert((r.verdict == CV_REFRESH_RENEWED) == (r.output_count > 0));
	cv_assert(r.retry_s >= 0 && r.retry_s <= CV_REFRESH_RETRY_S_MAX);
	if (r.verdict == CV_REFRESH_RENEWED)
		cv_assert(r.expires_s > NOW_S);
	for (size_t i = 0; i < r.output_count; i++) {
		cv_assert(r.outputs[i].value.n > 0);
		for (size_t j = 0; j < r.outputs[i].value.n; j++)
			cv_assert(r.outputs[i].value.p[j] > ' ' && r.outputs[i].value.p[j] < 0x7f);
	}
	cv_arena_fini(&arena);
	return 0;
}
