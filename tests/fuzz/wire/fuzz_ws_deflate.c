/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ws_deflate.c - hostile compressed messages; the first byte is the size of the steps
 *
 * Properties: it ends; never more comes out than the bound allows; how the bytes were cut changes
 * nothing, but for where a ratio is noticed.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/ws_deflate.h"

struct result {
	enum cv_ws_rc rc;
	uint64_t n, sum; /* bytes that came out, and a sum of them */
};

static struct result inflated(struct cv_str s, size_t in_step, size_t out_step)
{
	static char room[16384];
	struct cv_ws_inflate *i = cv_ws_inflate_new();
	enum cv_ws_inflated got = CV_WS_INFLATED_WANT;
	struct result r = { CV_WS_RC_OK, 0, 0 };
	size_t at = 0, n = 0;

	cv_assert(i);
	while (got != CV_WS_INFLATED_END) {
		if (got == CV_WS_INFLATED_WANT) {
			cv_ws_inflate_put(
				i, cv_str_slice(s, at, at + in_step), at + in_step >= s.n);
			at += in_step;
		}
		got = cv_ws_inflate_next(i, room, out_step, &n, &r.rc);
		if (got == CV_WS_INFLATED_BAD)
			break;
		cv_assert(n <= out_step && (n > 0 || got != CV_WS_INFLATED_SOME));
		r.n += n;
		for (size_t k = 0; k < n; k++)
			r.sum = r.sum * 31 + (uint8_t)room[k];
		cv_assert(r.n <= CV_WS_INFLATE_BYTES_MAX);
		cv_assert(r.n <= CV_MAX((uint64_t)CV_WS_INFLATE_FREE,
					 (uint64_t)s.n * CV_WS_INFLATE_RATIO_MAX));
	}
	cv_ws_inflate_free(i);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };
	const struct result a = inflated(s, CV_WS_INFLATE_IN_BYTES, 16384);
	const struct result b = inflated(s, (data[0] & 63u) + 1u, 16384);

	if (a.rc == CV_WS_RC_OK && b.rc == CV_WS_RC_OK)
		cv_assert(a.n == b.n && a.sum == b.sum);
	else
		cv_assert(a.rc == b.rc || a.rc == CV_WS_RC_RATIO || b.rc == CV_WS_RC_RATIO);
	return 0;
}
