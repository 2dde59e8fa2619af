/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_sigv4.c - requests to be signed
 *
 * Lines of the input: service, path, query, host, then headers as name:value.  What is sent in
 * place of path and query must be a fixed point: signing it again gives the same signature.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "cred/sigv4.h"

#define HEADERS_MAX 200

static struct cv_str split(struct cv_str *line)
{
	const struct cv_str name = cv_str_cut(line, ':');

	*line = cv_str_trim(*line);
	return name;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_cred_header headers[HEADERS_MAX];
	static const unsigned char sha256[CV_SHA256_BYTES] = { 1, 2, 3 };
	struct cv_str rest = { (const char *)data, size };
	const struct cv_str service = cv_str_cut(&rest, '\n');
	struct cv_sigv4_request request = { .method = CV_STR("PUT") };
	const struct cv_sigv4_keys keys = { CV_STR("AKIDEXAMPLE"), CV_STR("secret"),
		CV_STR("tok") };
	struct cv_sigv4_scope scope = { CV_STR("us-east-1"), service, 1440938160 };
	struct cv_sigv4_result first, second;
	struct cv_arena arena;
	struct cv_err err;

	request.path = cv_str_cut(&rest, '\n');
	request.query = cv_str_cut(&rest, '\n');
	request.host = cv_str_cut(&rest, '\n');
	for (request.headers = headers; rest.p && request.header_count < HEADERS_MAX;) {
		struct cv_str value = cv_str_cut(&rest, '\n');
		const struct cv_str name = split(&value);

		headers[request.header_count++] = (struct cv_cred_header){ name, value };
	}
	if (cv_sigv4_region(request.host, CV_STR_NONE, &scope.region, &err) != CV_OK)
		scope.region = CV_STR("us-east-1");
	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	if (cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_HASH, sha256, &arena, &first,
		    &err) == CV_OK) {
		request.path = first.path;
		request.query = first.query;
		if (cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_HASH, sha256, &arena,
			    &second, &err) == CV_OK)
			cv_assert(cv_str_eq(first.set[first.set_count - 1].value,
				second.set[second.set_count - 1].value));
		else
			cv_assert(err.code == CV_LIMIT);
	}
	cv_arena_fini(&arena);
	return 0;
}
