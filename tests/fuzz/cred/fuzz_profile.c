/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_profile.c - any bytes as a profile: a failure is never silent, and what was read is written
 * and read again without a finding that was not there before
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/limits_profile.h"
#include "cred/profile.h"
#include "policy/findings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_profile *p = NULL, *again = NULL;
	struct cv_findings f;
	struct cv_buf out;

	cv_findings_init(&f);
	cv_buf_init(&out, 8 * CV_CRED_PROFILE_BYTES_MAX);
	const cv_code code = cv_profile_load(CV_STR("p"), text, &p, &f);
	cv_assert((code == CV_OK) == (p != NULL));
	cv_assert((code == CV_OK) == (f.error_count == 0));
	if (p) {
		cv_fill_write(&cv_profile_schema, p, &out);
		if (!out.is_overflown && cv_buf_len(&out) <= CV_CRED_PROFILE_BYTES_MAX) {
			cv_assert(cv_profile_load(CV_STR("p"), cv_buf_str(&out), &again, &f) ==
				  CV_OK);
			cv_assert(cv_str_eq(again->id.s, p->id.s));
			cv_assert(again->network.endpoint_count == p->network.endpoint_count);
		}
	}
	cv_profile_free(again);
	cv_profile_free(p);
	cv_buf_fini(&out);
	cv_findings_fini(&f);
	return 0;
}
