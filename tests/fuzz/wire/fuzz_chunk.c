/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_chunk.c - hostile chunked bodies; the first byte is the size of the steps they arrive in
 *
 * Properties: the cut of the bytes changes neither data nor end; what was decoded, written in
 * chunks of our own, decodes to the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/chunk.h"

#define BYTES_MAX (8u << 20)

static enum cv_chunk_event feed(
	struct cv_str s, size_t step, struct cv_chunk *c, struct cv_buf *out, size_t *ret_taken)
{
	size_t taken = 0;

	cv_chunk_init(c);
	for (size_t n = CV_MIN(step, s.n);; n = CV_MIN(n + step, s.n)) {
		struct cv_str in = cv_str_slice(s, taken, n), data;
		enum cv_chunk_event e;

		while ((e = cv_chunk_next(c, &in, &data)) == CV_CHUNK_DATA) {
			cv_assert(data.p >= s.p && data.p + data.n <= s.p + n && data.n > 0);
			cv_buf_put(out, data);
		}
		taken = n - in.n;
		*ret_taken = taken;
		if (e != CV_CHUNK_MORE || n == s.n)
			return e;
		cv_assert(in.n < CV_CHUNK_TRAILER_BYTES_MAX); /* what a caller must keep */
		cv_assert(cv_chunk_is_starved(c, in));        /* a source that ends here was cut */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_chunk whole, steps;
	struct cv_buf a, b, wire;
	size_t taken_whole, taken_steps;

	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };
	const size_t step = (data[0] & 63u) + 1u;
	cv_buf_init(&a, BYTES_MAX);
	cv_buf_init(&b, BYTES_MAX);
	cv_buf_init(&wire, BYTES_MAX);
	const enum cv_chunk_event end = feed(s, s.n + 1, &whole, &a, &taken_whole);
	cv_assert(feed(s, step, &steps, &b, &taken_steps) == end);
	cv_assert(whole.rc == steps.rc && whole.total == steps.total);
	cv_assert(cv_str_eq(cv_buf_str(&a), cv_buf_str(&b)));
	if (end == CV_CHUNK_DONE) {
		cv_assert(taken_whole == taken_steps);
		cv_assert(whole.trailer_count == steps.trailer_count);
		for (size_t at = 0; at < cv_buf_len(&a); at += step)
			cv_chunk_write(&wire, cv_str_slice(cv_buf_str(&a), at, at + step));
		cv_assert(cv_chunk_write_end(&wire, whole.trailer, whole.trailer_count));
		cv_buf_reset(&b);
		cv_assert(feed(cv_buf_str(&wire), step, &steps, &b, &taken_steps) == CV_CHUNK_DONE);
		cv_assert(taken_steps == cv_buf_len(&wire));
		cv_assert(cv_str_eq(cv_buf_str(&a), cv_buf_str(&b)));
		cv_assert(steps.trailer_count == whole.trailer_count);
	}
	cv_buf_fini(&a);
	cv_buf_fini(&b);
	cv_buf_fini(&wire);
	return 0;
}
