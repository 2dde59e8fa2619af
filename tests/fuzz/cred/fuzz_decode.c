/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_decode.c - hostile coded content; the first byte picks codings, the second the steps
 *
 * Properties: output of a call, ratio and memory stay in their bounds; the cut changes neither the
 * text nor whether it is whole.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/decode.h"

#define OUT_MAX (16u << 20)

static enum cv_decode_rc run(const enum cv_coding *codings, size_t count, struct cv_str s,
	size_t step, struct cv_buf *out)
{
	struct cv_decode *d;
	enum cv_decode_rc rc = cv_decode_new(codings, count, &d);

	cv_assert(rc == CV_DECODE_OK);
	for (size_t at = 0; at < s.n && !rc; at += step) {
		struct cv_str in = cv_str_slice(s, at, at + step);

		do {
			const size_t had = cv_buf_len(out), left = in.n;

			rc = cv_decode_feed(d, &in, out);
			const size_t given = cv_buf_len(out) - had;

			cv_assert(given <= CV_DECODE_CALL_BYTES_MAX);
			cv_assert(rc != CV_DECODE_MORE || given || in.n < left); /* goes on */
			cv_assert(rc != CV_DECODE_OK || !in.n);
			cv_assert(cv_decode_memory_peak(d) <= CV_DECODE_MEMORY_MAX);
		} while (rc == CV_DECODE_MORE);
	}
	/* One call's output may be beyond the ratio before it is noticed. */
	cv_assert(!count || cv_buf_len(out) <= CV_DECODE_FREE_BYTES + 2 * CV_DECODE_CALL_BYTES_MAX +
						       (s.n + 1) * CV_DECODE_RATIO_MAX);
	if (!rc)
		rc = cv_decode_end(d);
	cv_decode_free(d);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum cv_coding codings[CV_DECODE_CODINGS_MAX];
	struct cv_buf whole, steps;
	size_t count = 0;

	if (size < 2 || size > 8000)
		return 0;
	for (unsigned pick = data[0]; count < CV_DECODE_CODINGS_MAX && pick; pick /= 8)
		if (pick % 8 && pick % 8 < CV_CODING_COUNT)
			codings[count++] = (enum cv_coding)(pick % 8);
	const struct cv_str s = { (const char *)data + 2, size - 2 };

	cv_buf_init(&whole, OUT_MAX);
	cv_buf_init(&steps, OUT_MAX);
	const enum cv_decode_rc a = run(codings, count, s, s.n + 1, &whole);
	const enum cv_decode_rc b = run(codings, count, s, data[1] % 64u + 1u, &steps);

	/* Broken content may break at another place; whole content is the same. */
	cv_assert((a == CV_DECODE_OK) == (b == CV_DECODE_OK) || a == CV_DECODE_RATIO ||
		  b == CV_DECODE_RATIO);
	if (a == CV_DECODE_OK && b == CV_DECODE_OK)
		cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&steps)));
	cv_buf_fini(&whole);
	cv_buf_fini(&steps);
	return 0;
}
