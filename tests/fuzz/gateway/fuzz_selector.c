/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a selector of labels is read within bounds, and what was read, written again, means the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/buf.h"
#include "gateway/labels.c"
#include "gateway/pb.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cv_str text = { (const char *)data, n };
	struct cv_label_selector s, again;
	struct cv_err err;
	struct cv_buf b;

	(void)!cv_name_check("name", text, CV_NAME_SANDBOX_BYTES_MAX, &err);
	(void)!cv_name_check_other("name", text, &err);
	if (cv_label_selector_parse(text, &s, &err) != CV_RPC_OK)
		return 0;
	cv_buf_init(&b, 1u << 20);
	for (size_t i = 0; i < s.n; i++)
		cv_buf_printf(&b, "%s%.*s=%.*s", i ? "," : "", CV_STR_ARG(s.pair[i].key),
			CV_STR_ARG(s.pair[i].value));
	cv_assert(cv_label_selector_parse(cv_buf_str(&b), &again, &err) == CV_RPC_OK &&
		  again.n == s.n);
	for (size_t i = 0; i < s.n; i++)
		cv_assert(cv_str_eq(again.pair[i].value, s.pair[i].value));
	cv_buf_fini(&b);
	return 0;
}
