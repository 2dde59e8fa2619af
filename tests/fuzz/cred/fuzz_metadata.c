/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_metadata.c - requests of a sandbox to the emulated metadata servers
 *
 * Lines of the input: method, path, query, name:value of one header.  Nobody gets the token without
 * the header that asks for it.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/metadata.h"

static bool holds(struct cv_str body, struct cv_str what)
{
	for (size_t i = 0; i + what.n <= body.n; i++)
		if (cv_str_eq(cv_str_slice(body, i, i + what.n), what))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_metadata_google google = { CV_STR("p"), CV_STR("a@p"), CV_STR("x y"),
		CV_STR("PLACEHOLDER") };
	const struct cv_metadata_aws aws = { .path = CV_STR("/v1"),
		.authorization = CV_STR("tok"),
		.key_id = CV_STR("PLACEHOLDER"),
		.expires_s = 1700000000 };
	struct cv_str rest = { (const char *)data, size };
	struct cv_metadata_request r = { .method = cv_str_cut(&rest, '\n') };
	struct cv_metadata_answer answer;
	struct cv_cred_header h;
	struct cv_arena arena;

	r.path = cv_str_cut(&rest, '\n');
	r.query = cv_str_cut(&rest, '\n');
	h.name = cv_str_cut(&rest, ':');
	h.value = cv_str_trim(rest);
	r.headers = &h;
	r.header_count = 1;
	cv_arena_init(&arena, 65536);
	cv_metadata_google(&r, &google, &arena, &answer);
	if (holds(answer.body, CV_STR("PLACEHOLDER")))
		cv_assert(cv_str_eq(h.value, CV_STR("Google")));
	cv_metadata_aws(&r, &aws, &arena, &answer);
	if (holds(answer.body, CV_STR("PLACEHOLDER")))
		cv_assert(cv_str_eq(h.value, CV_STR("tok")));
	cv_arena_fini(&arena);
	return 0;
}
