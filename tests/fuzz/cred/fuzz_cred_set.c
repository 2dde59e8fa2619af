/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cred_set.c - bytes to a set; what was read is written again and must be the same bytes
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/limits_profile.h"
#include "cred/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str bytes = { (const char *)data, size };
	struct cv_cred_set set;
	struct cv_buf b;

	if (cv_cred_set_read(bytes, &set, NULL) != CV_OK)
		return 0;
	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	cv_assert(cv_cred_set_write(&set, &b, NULL) == CV_OK);
	cv_assert(cv_str_eq(cv_buf_str(&b), bytes));
	cv_buf_fini(&b);
	cv_cred_set_fini(&set);
	return 0;
}
