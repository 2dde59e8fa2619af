/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ecma.h - expressions of ECMA 262 in PCRE2's dialect
 *
 * JSON Schema means the dialect of ECMA 262 with its flag u.  What both write alike goes through;
 * what they mean differently is spelled out: \s, \S and the dot are Unicode's, \d and \w ASCII's,
 * `$` is the end alone, [] matches nothing, \u{1f600} and \u00e9 are characters, \p{Letter} and
 * \p{Script=Greek} go by PCRE2's names, an unset group matches the empty text.  What only PCRE2
 * has (\A, \K, (?i), (*VERB), possessive repetition, recursion) is refused: nobody meant it.
 *
 * Not had: assertions that look back over a text of no fixed length (PCRE2 says so when compiling),
 * properties of strings and set operations of classes (flag v).  Pure.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* CV_INVALID: err says what and where.  CV_LIMIT: too long. */
CV_MUST cv_code cv_ecma_translate(struct cv_str text, struct cv_buf *out, struct cv_err *err);
