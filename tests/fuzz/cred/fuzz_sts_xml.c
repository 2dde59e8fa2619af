/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sts_xml.c - answers of STS; what is kept stands in the input
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/sts_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_sts_answer a;
	struct cv_arena arena;
	struct cv_err err;

	cv_arena_init(&arena, 1 << 20);
	if (cv_sts_xml_parse((struct cv_str){ (const char *)data, size }, &arena, &a, &err) ==
		CV_OK)
		cv_assert(a.key_id.n + a.secret.n + a.session_token.n + a.error_code.n < size);
	cv_arena_fini(&arena);
	return 0;
}
