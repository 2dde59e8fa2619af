/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_shown.c - hostile text on its way to a person's terminal
 *
 * Properties: what comes out is valid UTF-8 without a control, hidden or combining character, line
 * feeds stand only where lines were asked for, and escapes are ours.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/shown.h"
#include "base/utf8.h"

#define OUT_BYTES_MAX (16u << 20)

static void check(struct cv_str out, bool has_lines)
{
	uint32_t cp;
	size_t step;

	for (; out.n; out = cv_str_slice(out, step, out.n)) {
		step = cv_utf8_decode(out, &cp);
		cv_assert(step);
		cv_assert(!cv_utf8_is_hidden(cp) || (cp == '\n' && has_lines));
		cv_assert(cp < 0x0300 || cp > 0x036f);
		cv_assert(cp < 0x0590 || cp > 0x08ff);
		cv_assert(cp < 0x2000 || cp > 0x2fff || cp == 0x2026);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	const struct cv_shown how[] = {
		{ 0 },
		{ .is_json = true },
		{ .bytes_max = 16 },
		{ .bytes_max = 64, .columns = 20, .prefix = "> ", .is_json = true },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(how); i++) {
		struct cv_buf out;

		cv_buf_init(&out, OUT_BYTES_MAX);
		if (cv_shown_put(&out, s, &how[i]))
			check(cv_buf_str(&out), how[i].columns > 0);
		cv_buf_fini(&out);
	}
	return 0;
}
