/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_edge_text.c - what anybody sends to the listener of a log-in by an edge proxy
 *
 * Nothing but a request of the one origin with the one code brings a token, and a token has no byte
 * that a head could take for more.  More bytes behind a request change nothing about one that is not
 * whole, and every answer but that to half a request can be written.
 */
#include "fuzz/fuzz.h"

#include "client/oidc_text.c"
#include "client/edge_text.c"

#include "base/assert.h"

#define ORIGIN "https://gw.example"
#define CODE   "ABC-DEF2"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cv_str sent = { (const char *)data, n };
	struct cl_edge_call call;
	struct cv_arena arena;
	struct cv_buf b;

	if (n > CL_EDGE_BYTES_MAX)
		return 0;
	cv_arena_init(&arena, 1 << 20);
	cv_buf_init(&b, 4096);
	const enum cl_edge_kind kind =
		cl_edge_call_read(sent, CV_STR(ORIGIN), CV_STR(CODE), &arena, &call);

	cv_assert((kind == CL_EDGE_TOKEN) == (call.token.p != NULL));
	if (kind == CL_EDGE_TOKEN) {
		cv_assert(cl_token_is_fine(call.token));
		cv_assert(memmem(sent.p, sent.n, ORIGIN, strlen(ORIGIN)));
	}
	cl_edge_answer_put(&b, kind, &call, CV_STR(ORIGIN));
	cv_assert(!b.is_overflown);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
	return 0;
}
