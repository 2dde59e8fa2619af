/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rewrite_body.c - hostile bodies with placeholders
 *
 * The first byte chooses the kind, the rest is the body.  Properties: what collect lets pass, apply
 * makes a body of that has no placeholder in it and is valid UTF-8 if the body was; spans lie in it,
 * one behind the other; the stated arena is enough.
 */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "cred/rewrite_body.h"
#include "fuzz/cred/ph_seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_rewrite_plan plan;
	static const char *const type[] = { "", "application/json",
		"application/x-www-form-urlencoded", "text/plain",
		"multipart/form-data; boundary=b" };
	struct cv_arena arena;
	struct cv_str made;
	size_t at = 0;

	if (size == 0)
		return 0;
	const struct cv_str body = { (const char *)data + 1, size - 1 };
	const struct cv_rewrite_body b = cv_rewrite_body_of(
		cv_str_of(type[(data[0] & 7) % CV_ARRAY_LEN(type)]), CV_STR_NONE);

	cv_arena_init(&arena, CV_REWRITE_BODY_ARENA_BYTES);
	enum cv_rewrite_rc rc = cv_rewrite_body_collect(ph_set(), &b, body, &arena, &plan);
	cv_assert(rc != CV_REWRITE_MEMORY);
	if (rc == CV_REWRITE_OK) {
		for (size_t i = 0; i < plan.count; at = plan.use[i].at + plan.use[i].n, i++)
			cv_assert(plan.use[i].at >= at && plan.use[i].n <= body.n - plan.use[i].at);
		rc = cv_rewrite_body_apply(ph_set(), body, &plan, ph_values, &arena, &made);
		cv_assert(rc == CV_REWRITE_OK || rc == CV_REWRITE_LEFT);
		if (rc == CV_REWRITE_OK) {
			cv_assert(!cv_ph_is_in(ph_set(), made));
			cv_assert(!cv_utf8_is_valid(body) || cv_utf8_is_valid(made));
		}
	}
	cv_arena_fini(&arena);
	return 0;
}
