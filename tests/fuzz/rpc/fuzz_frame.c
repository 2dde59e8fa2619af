/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_frame.c - hostile gRPC bodies; the first byte is the size of the steps they arrive in
 *
 * Properties: the cut of the bytes changes neither messages nor end; messages written anew are read
 * as the same; no memory is held beyond what came.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "rpc/frame.h"

#define MESSAGE_BYTES_MAX 4096
#define BYTES_MAX         (8u << 20)

static enum cv_rpc_frame_event feed(
	struct cv_str s, size_t step, struct cv_buf *out, uint32_t *ret_announced, bool *ret_whole)
{
	struct cv_rpc_frame_reader r;
	enum cv_rpc_frame_event e = CV_RPC_FRAME_MORE;
	uint8_t head[CV_RPC_FRAME_HEAD_BYTES];

	cv_rpc_frame_reader_init(&r, MESSAGE_BYTES_MAX);
	for (size_t at = 0; at < s.n && e == CV_RPC_FRAME_MORE; at += step) {
		struct cv_str in = cv_str_slice(s, at, at + step), m;

		while ((e = cv_rpc_frame_next(&r, &in, &m)) == CV_RPC_FRAME_MESSAGE) {
			cv_assert(m.n == r.announced && m.n <= MESSAGE_BYTES_MAX);
			cv_rpc_frame_head_write((uint32_t)m.n, head);
			cv_buf_put(out, (struct cv_str){ (char *)head, sizeof(head) });
			cv_buf_put(out, m);
		}
		cv_assert(e != CV_RPC_FRAME_MORE || in.n == 0);
		cv_assert(cv_buf_len(&r.body) <= at + step);
	}
	*ret_announced = e == CV_RPC_FRAME_LARGE ? r.announced : 0;
	*ret_whole = cv_rpc_frame_reader_is_whole(&r);
	cv_rpc_frame_reader_fini(&r);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf a, b;
	uint32_t announced_a, announced_b;
	bool whole_a, whole_b;

	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };
	const size_t step = (data[0] & 63u) + 1u;
	cv_buf_init(&a, BYTES_MAX);
	cv_buf_init(&b, BYTES_MAX);
	const enum cv_rpc_frame_event end = feed(s, s.n + 1, &a, &announced_a, &whole_a);
	cv_assert(feed(s, step, &b, &announced_b, &whole_b) == end);
	cv_assert(announced_a == announced_b && whole_a == whole_b);
	cv_assert(cv_str_eq(cv_buf_str(&a), cv_buf_str(&b)));
	/* what was read stood at the front as it was written */
	cv_assert(cv_str_has_prefix(s, cv_buf_str(&a)));
	cv_assert(end != CV_RPC_FRAME_MORE || !whole_a || cv_buf_len(&a) == s.n);
	cv_buf_fini(&a);
	cv_buf_fini(&b);
	return 0;
}
