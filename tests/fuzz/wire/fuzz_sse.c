/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sse.c - hostile event streams; the first byte is the size of the steps they arrive in
 *
 * Properties: how the bytes were cut changes no event; an event written as a stream is read again
 * as the same event.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/sse.h"

#define BYTES_MAX (16u << 20)

/* Events, written as a stream again. */
static uint64_t feed(struct cv_str s, size_t step, struct cv_buf *out)
{
	struct cv_sse_event e;
	struct cv_sse sse;
	uint64_t count;

	cv_sse_init(&sse);
	for (size_t at = 0; at < s.n; at += step) {
		struct cv_str in = cv_str_slice(s, at, at + step);
		enum cv_sse_result r;

		while ((r = cv_sse_next(&sse, &in, &e)) != CV_SSE_MORE) {
			if (r == CV_SSE_SKIP)
				continue;
			cv_assert(e.data.n <= CV_SSE_EVENT_BYTES_MAX);
			cv_assert(e.type.n > 0 && e.type.n <= CV_SSE_NAME_BYTES_MAX);
			cv_buf_printf(out, "event: %.*s\nid: ", CV_STR_ARG(e.type));
			cv_buf_put(out, e.id);
			for (struct cv_str rest = e.data.p ? e.data : CV_STR(""); rest.p;) {
				cv_buf_put(out, CV_STR("\ndata: "));
				cv_buf_put(out, cv_str_cut(&rest, '\n'));
			}
			cv_buf_put(out, CV_STR("\n\n"));
		}
		cv_assert(in.n == 0);
	}
	count = sse.event_count;
	cv_sse_fini(&sse);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf whole, steps, again;

	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };

	cv_buf_init(&whole, BYTES_MAX);
	cv_buf_init(&steps, BYTES_MAX);
	cv_buf_init(&again, BYTES_MAX);
	const uint64_t count = feed(s, s.n + 1, &whole);
	cv_assert(feed(s, (data[0] & 31u) + 1u, &steps) == count);
	cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&steps)));
	if (!whole.is_overflown && !memchr(s.p, '\0', s.n)) {
		feed(cv_buf_str(&whole), 4096, &again);
		cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&again)));
	}
	cv_buf_fini(&whole);
	cv_buf_fini(&steps);
	cv_buf_fini(&again);
	return 0;
}
