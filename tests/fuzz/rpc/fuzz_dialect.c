/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dialect.c - bytes of older clients: refused, or rewritten without growing out of proportion
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "rpc/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const asked[] = { "openshell.v1.CreateProviderRequest",
		"openshell.v1.CreateSandboxRequest" };
	static const char *const told[] = { "openshell.v1.ListSandboxesResponse",
		"openshell.v1.ListProvidersResponse" };
	struct cv_buf out;

	if (size == 0)
		return 0;
	const struct cv_str in = { (const char *)data + 1, size - 1 };
	cv_buf_init(&out, 4 * size + 4096);
	const bool is_good = data[0] & 2 ? cv_dialect_request(asked[data[0] & 1], in, &out)
					 : cv_dialect_answer(told[data[0] & 1], in, &out);
	cv_assert(!is_good || cv_buf_len(&out) <= 4 * size + 64);
	cv_buf_fini(&out);
	return 0;
}
