/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_utf8.c - hostile bytes through the UTF-8 check and the JSON writer
 *
 * Properties: validity is stepping to the end; and whatever goes in, the inside of a JSON string
 * comes out: printable, valid UTF-8, no bare quote and no control byte.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/utf8.h"

#define OUT_BYTES_MAX (8u << 20) /* six bytes for one is the writer's worst case */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	struct cv_buf out;
	size_t at = 0, step;

	while (at < size && (step = cv_utf8_step(cv_str_slice(s, at, size))) > 0)
		at += step;
	cv_assert((at == size) == cv_utf8_is_valid(s));

	cv_buf_init(&out, OUT_BYTES_MAX);
	if (cv_buf_put_json(&out, s)) {
		const struct cv_str json = cv_buf_str(&out);

		cv_assert(cv_utf8_is_valid(json));
		for (size_t i = 0; i < json.n; i++) {
			cv_assert((unsigned char)json.p[i] >= ' ' && json.p[i] != '"');
			if (json.p[i] == '\\')
				cv_assert(++i < json.n); /* what is escaped */
		}
	}
	cv_buf_fini(&out);
	return 0;
}
