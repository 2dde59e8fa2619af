/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_oidc_text.c - a redirect that anybody on this host can send, and the answer of a token endpoint
 *
 * The first byte chooses.  What is taken has no byte that a head or a terminal could take for more.
 */
#include "fuzz/fuzz.h"

#include "client/oidc_text.c"

#include "base/assert.h"

static void plain_check(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		cv_assert((unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cv_str s = { (const char *)data + 1, n ? n - 1 : 0 };
	struct cv_arena arena;
	struct cl_redirect r;
	struct cl_token t;

	if (!n)
		return 0;
	cv_arena_init(&arena, 1 << 20);
	if (data[0] & 1) {
		if (cl_redirect_read(s, &arena, &r) == CL_REDIRECT_OURS) {
			plain_check(r.state);
			plain_check(r.code);
			plain_check(r.error);
			plain_check(r.description);
			plain_check(r.issuer);
		}
	} else if (!cl_token_read(s, &arena, &t)) {
		cv_assert(t.error.p || cl_token_is_fine(t.access));
		cv_assert(t.error.p || !t.refresh.p || cl_token_is_fine(t.refresh));
	}
	cv_arena_fini(&arena);
	return 0;
}
