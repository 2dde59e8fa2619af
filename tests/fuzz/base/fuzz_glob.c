/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_glob.c - any pattern on any text, against the naive matcher
 *
 * The first byte is the kind; the pattern ends at the first NUL.  Properties: compiling and
 * matching never touch what they should not; the naive matcher says the same, where it is given
 * so little that its exponential time is short.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "unit/base/naive_glob.h"

#define NAIVE_PATTERN_MAX 24
#define NAIVE_TEXT_MAX    16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_glob *g = NULL;
	struct cv_arena a;

	if (size == 0)
		return 0;
	const enum cv_glob_kind kind = (enum cv_glob_kind)(data[0] % CV_GLOB_KIND_COUNT);
	struct cv_str text = { (const char *)data + 1, size - 1 };
	const struct cv_str pattern = cv_str_cut(&text, '\0');

	cv_arena_init(&a, 1 << 20);
	const cv_code code = cv_glob_compile(pattern, kind, &a, &g, NULL);
	const bool is_match = cv_glob_match(g, text);
	cv_assert(code == CV_OK || !is_match);
	cv_assert(!is_match || cv_str_has_prefix(text, cv_glob_prefix(g)));
	if (pattern.n <= NAIVE_PATTERN_MAX && text.n <= NAIVE_TEXT_MAX) {
		size_t braces = 0;

		for (size_t i = 0; i < pattern.n; i++)
			braces += pattern.p[i] == '{';
		if (braces <= 4) /* each may double what is written out */
			cv_assert(naive_glob(pattern, kind, text) == (code ? -1 : (int)is_match));
	}
	cv_arena_fini(&a);
	return 0;
}
