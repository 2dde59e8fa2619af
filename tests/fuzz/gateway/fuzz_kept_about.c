/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what a ring says about its command is read within bounds, and what was read, written again, is
 * the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/kept_about.c"
#include "ipc/kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct kept_about a, again;
	struct cv_buf b;

	if (n > CV_KEPT_ABOUT_MAX || !kept_about_get((struct cv_str){ (const char *)data, n }, &a))
		return 0;
	cv_buf_init(&b, CV_KEPT_ABOUT_MAX);
	cv_assert(kept_about_put(&b, &a) && kept_about_get(cv_buf_str(&b), &again));
	cv_assert(cv_buf_len(&b) == n && again.arg_count == a.arg_count);
	cv_assert(cv_str_eq(again.id, a.id) && cv_str_eq(again.key, a.key));
	for (size_t i = 0; i < a.arg_count; i++)
		cv_assert(cv_str_eq(again.args[i], a.args[i]));
	cv_buf_fini(&b);
	return 0;
}
