/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.h - a policy author's own expressions (PCRE2), with an end to what a match may cost
 *
 * Expressions see bytes: a character is a byte, and \w and its like know ASCII alone.  What could
 * switch that, or run without a bound, is refused when compiled: UTF modes, \C, callouts of the
 * author's own, and what matches the empty text.
 *
 * Cost: each step of a match, and each byte that it moves over, is taken from a budget that the
 * caller gives for a whole text; a text is looked at through a window, so that what one step passes
 * over is bounded too.  Within a match there are limits on steps, depth and memory.
 *
 * Ownership: a compiled expression is malloc'ed and immutable; the scratch of matching is apart.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define CV_REGEX_TEXT_BYTES_MAX    1024 /* of an expression: compiled, it takes some 50 KiB at most */

#define CV_REGEX_WINDOW_BYTES      4096   /* that one attempt sees */
#define CV_REGEX_MATCH_BYTES       1024   /* of a match that is found whole wherever it stands */
#define CV_REGEX_BEHIND_BYTES      64     /* that an assertion may look back over */
#define CV_REGEX_STEPS_MAX         200000 /* from one beginning: as many as an author could mean */
#define CV_REGEX_DEPTH_MAX         1000   /* of backtracking; frames are on the heap */
#define CV_REGEX_HEAP_KIB_MAX      1024   /* of those frames */

#define CV_REGEX_UTF8_DEPTH_MAX    20000
#define CV_REGEX_UTF8_HEAP_KIB_MAX 8192

struct cv_regex;

/* CV_INVALID: err says what is wrong, and where in the text.  CV_LIMIT: too long, or no memory. */
CV_MUST cv_code cv_regex_compile(struct cv_str text, struct cv_regex **ret, struct cv_err *err);
/* The other kind, of a tool's schema: it sees the code points of valid UTF-8, may match the empty
 * text, and `$` is the end of the text alone.  text is made by a translator (tools/ecma.h), which
 * lets through neither verbs nor callouts; it may be as long as that one's result. */
CV_MUST cv_code cv_regex_compile_utf8(
	struct cv_str text, struct cv_regex **ret, struct cv_err *err);
void cv_regex_free(struct cv_regex *r); /* NULL is fine */

enum cv_regex_rc {
	CV_REGEX_HIT,
	CV_REGEX_NONE,
	CV_REGEX_COSTLY, /* the budget, or a limit, was reached: nothing is known of the rest */
};

/* The first match in text that begins at *from or later; *ret_end is behind it, and *from where it
 * begins.  Takes what it cost from *budget. */
CV_MUST enum cv_regex_rc cv_regex_find(const struct cv_regex *r, struct cv_str text, size_t *from,
	size_t *ret_end, uint64_t *budget);

/* Whether an expression of cv_regex_compile_utf8() matches anywhere in text, seen as a whole. */
CV_MUST enum cv_regex_rc cv_regex_test(
	const struct cv_regex *r, struct cv_str text, uint64_t *budget);
